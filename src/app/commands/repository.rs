//! `entrepot permission ...`, `entrepot repository ...`, `entrepot organization ...`.

use super::listing::{carry_out, list};
use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::cli::{OrganizationCommand, PermissionCommand, RepositoryCommand, VisibilityArg};
use crate::app::operations::{Request, Row};

pub(super) fn permission(
    command: PermissionCommand,
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    let request = match command {
        PermissionCommand::Ls { repository, json } => {
            let request = Request::ListGrants { repository };
            let head = ["NAME", "ROLE"];
            return list(request, json, (site, output), head, grant_cells);
        }
        PermissionCommand::Set {
            repository,
            grantee,
            role,
        } => Request::Grant {
            repository,
            grantee,
            role,
        },
        PermissionCommand::Rm {
            repository,
            grantee,
        } => Request::Revoke {
            repository,
            grantee,
        },
    };
    carry_out(request, site, output)
}

pub(super) fn repository(
    command: RepositoryCommand,
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    match command {
        RepositoryCommand::Ls { namespace, json } => {
            let request = Request::ListRepositories { namespace };
            let head = ["REPOSITORY", "VISIBILITY", "CREATED"];
            list(request, json, (site, output), head, repository_cells)
        }
        RepositoryCommand::Create { repository, public } => {
            let request = Request::CreateRepository { repository, public };
            carry_out(request, site, output)
        }
        RepositoryCommand::Visibility {
            repository,
            visibility,
        } => {
            let public = matches!(visibility, VisibilityArg::Public);
            let request = Request::SetVisibility { repository, public };
            carry_out(request, site, output)
        }
    }
}

pub(super) fn organization(
    command: OrganizationCommand,
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    match command {
        OrganizationCommand::Ls { json } => {
            let head = ["ORGANIZATION", "CREATED"];
            let request = Request::ListOrganizations {};
            list(request, json, (site, output), head, organization_cells)
        }
        OrganizationCommand::Create { name, owner } => {
            carry_out(Request::CreateOrganization { name, owner }, site, output)
        }
    }
}

fn grant_cells(row: Row) -> Option<[Cell; 2]> {
    let Row::Grant(grant) = row else { return None };
    Some([Cell::of(grant.name), Cell::Text(grant.role)])
}

fn repository_cells(row: Row) -> Option<[Cell; 3]> {
    let Row::Repository(row) = row else {
        return None;
    };
    Some([
        Cell::of(row.repository),
        Cell::Text(row.visibility),
        Cell::of(row.created),
    ])
}

fn organization_cells(row: Row) -> Option<[Cell; 2]> {
    let Row::LocalOrganization(row) = row else {
        return None;
    };
    Some([Cell::of(row.organization), Cell::of(row.created)])
}
