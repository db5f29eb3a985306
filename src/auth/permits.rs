//! What a caller may do at the doors of the API: roles, cut by the scopes of the credentials.
//!
//! Beside [`super::rights`], which answers for `/v2/`: there the state of a repository and everything
//! that is open to everyone bear on the answer; here a role is asked for by its name, and a state that
//! forbids a change has an answer of its own. Scopes map to roles as in Quay: `repo:*` to roles on
//! repositories, `repo:create` and `org:admin` to roles in an organisation, `user:*` to one's own
//! account.

use super::scope::Scope;
use super::{Auth, Error, Identity, Target};
use crate::model::{NamespaceId, NamespaceKind, Role, UserId, Visibility};

/// What may be done with one repository.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RepositoryPermits {
    role: Option<Role>,
    reads: bool,
}

/// What may be done in one namespace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NamespacePermits {
    admin: bool,
    create: bool,
    member: bool,
    views: bool,
}

impl RepositoryPermits {
    /// Whether it can be seen and pulled: by name, or because everyone may.
    pub const fn may_read(self) -> bool {
        self.reads
    }

    pub fn may_write(self) -> bool {
        self.role >= Some(Role::Write)
    }

    pub fn may_admin(self) -> bool {
        self.role == Some(Role::Admin)
    }
}

impl NamespacePermits {
    /// Whether they rule it: the owner of a user's, an admin of an organisation.
    pub const fn is_admin(self) -> bool {
        self.admin
    }

    /// Whether repositories may be made in it.
    pub const fn may_create(self) -> bool {
        self.create
    }

    /// Whether they are in any team of it, or rule it.
    pub const fn is_member(self) -> bool {
        self.member
    }

    /// Whether they see what only admins see: an admin, or who reads everything.
    pub const fn may_view(self) -> bool {
        self.admin || self.views
    }
}

impl Auth {
    /// What `identity` may do with a repository, now; nothing if `target` names none.
    ///
    /// # Errors
    /// If the store cannot be read (AZ-15).
    pub async fn on_repository(
        &self,
        identity: &Identity,
        target: &Target,
    ) -> Result<RepositoryPermits, Error> {
        let rules = &self.0.rules;
        let policy = rules.policy();
        let Some((_, visibility, _)) = target.repository else {
            return Ok(RepositoryPermits::default());
        };
        let is_public = match target.kind {
            NamespaceKind::Cache => target.anonymous_pull,
            NamespaceKind::Organization | NamespaceKind::User(_) => {
                visibility == Visibility::Public
            }
        };
        let Some(principal) = identity.principal() else {
            return Ok(RepositoryPermits {
                role: None,
                reads: is_public && policy.anonymous_access,
            });
        };
        let rights = rules.of_principal(principal, target).await?;
        let is_cache = target.kind == NamespaceKind::Cache;
        let owns = identity.is_superuser() && (policy.superusers_full_access || is_cache);
        let role = if owns { Some(Role::Admin) } else { rights.role };
        let role = cut(role, identity);
        let reads_all =
            identity.is_global_readonly() || ((is_cache || target.fetched) && rights.member);
        let may_read = identity.scopes().contains(Scope::RepoRead);
        Ok(RepositoryPermits {
            role,
            reads: is_public || role.is_some() || (reads_all && may_read),
        })
    }

    /// What `identity` may do in a namespace, now.
    ///
    /// # Errors
    /// If the store cannot be read (AZ-15).
    pub async fn in_namespace(
        &self,
        identity: &Identity,
        namespace: NamespaceId,
        kind: NamespaceKind,
    ) -> Result<NamespacePermits, Error> {
        let Some(principal) = identity.principal() else {
            return Ok(NamespacePermits::default());
        };
        let rules = &self.0.rules;
        let target = Target {
            namespace,
            kind,
            anonymous_pull: false,
            repository: None,
            fetched: false,
        };
        let rights = rules.of_principal(principal, &target).await?;
        let full = rules.policy().superusers_full_access || kind == NamespaceKind::Cache;
        let owns = identity.is_superuser() && full;
        let rules_it = owns || rights.role == Some(Role::Admin);
        let scopes = identity.scopes();
        let administers = match kind {
            NamespaceKind::User(_) => scopes.contains(Scope::UserAdmin),
            NamespaceKind::Cache | NamespaceKind::Organization => scopes.contains(Scope::OrgAdmin),
        };
        let creates = scopes.contains(Scope::RepoCreate) || scopes.contains(Scope::OrgAdmin);
        let is_reader = identity.is_global_readonly();
        let is_own = matches!(kind, NamespaceKind::User(_)) && !owns;
        let restricted = is_own && identity.is_restricted();
        Ok(NamespacePermits {
            admin: rules_it && administers && !is_reader,
            create: (rights.may_create || owns)
                && creates
                && !is_reader
                && !restricted
                && kind != NamespaceKind::Cache,
            member: (rights.member || rules_it) && (administers || creates),
            views: is_reader && administers,
        })
    }
}

impl Identity {
    /// Whether this is that user, with credentials for reading the account.
    pub fn may_read_user(&self, user: UserId) -> bool {
        let scopes = self.scopes();
        let may = scopes.contains(Scope::UserRead) || scopes.contains(Scope::UserAdmin);
        may && self.is_user(user)
    }

    /// Whether this is that user, with credentials for changing the account.
    pub fn may_admin_user(&self, user: UserId) -> bool {
        self.scopes().contains(Scope::UserAdmin) && self.is_user(user)
    }

    /// Whether this is somebody who may make namespaces: a person who may own something, with
    /// credentials for the account, as the door of the API demands (AZ-14).
    pub fn may_make_namespaces(&self) -> bool {
        let may_own = !self.is_restricted() && !self.is_global_readonly();
        self.user().is_some() && may_own && self.scopes().contains(Scope::UserAdmin)
    }

    fn is_user(&self, user: UserId) -> bool {
        self.user().is_some_and(|(id, _)| id == user)
    }
}

/// The role that remains within the scopes; who only reads everything keeps reading.
fn cut(role: Option<Role>, identity: &Identity) -> Option<Role> {
    let scopes = identity.scopes();
    let highest = if scopes.contains(Scope::RepoAdmin) {
        Some(Role::Admin)
    } else if scopes.contains(Scope::RepoWrite) {
        Some(Role::Write)
    } else if scopes.contains(Scope::RepoRead) {
        Some(Role::Read)
    } else {
        None
    };
    let highest = match identity.is_global_readonly() {
        true => highest.min(Some(Role::Read)),
        false => highest,
    };
    role.min(highest)
}
