//! What an operator may ask of the content, carried out on the services.
//!
//! A running server carries it out for whoever speaks to its control socket; without one, the command
//! does it itself with the same services. Either way the answer is a row of [`Frame`]s, so long work
//! shows that it goes on and no answer is held in memory whole.

mod accounts;
mod backup;
mod backup_message;
mod bundle;
mod bundle_message;
mod content;
mod explain;
mod findings;
mod grants;
mod look_message;
mod message;
mod mirror;
mod prune;
mod repositories;
mod robots;
mod tags;
mod target;
mod top;
mod upkeep;
mod warm;

use std::sync::Arc;

use tokio::sync::mpsc;

pub(super) use backup_message::{BackupWish, PartRow, SnapshotRow};
pub(super) use bundle_message::{
    ExportRow, ExportWish, ImportRow, ImportWish, LeftRow, Resume, VolumeRow, WarmWish, WarmedRow,
};
pub(super) use findings::{describe as describe_finding, is_lost};
pub(super) use look_message::{
    Belongs, BlobRow, BlobState, ExplainRow, LookRow, OrganizationLook, Pullers,
};
pub(super) use message::{
    ChangeRow, Clear, CollectedRow, DamageRow, Expiry, FindingRow, Frame, ImportedUser, NewRobot,
    NewUser, Request, Row, ScrubRow, StatusRow,
};
pub(super) use target::{GranteeName, Rate, RepositoryPath, Target};

use super::assemble::Services;
use crate::bundle::Input;
use crate::registry::Prune;

/// Frames that wait for a slow reader.
const FRAMES: usize = 64;

/// Where frames go. Once nobody reads them the work ends at its next frame.
#[derive(Clone)]
pub(super) struct Report(mpsc::Sender<Frame>);

/// Nobody listens any more.
#[derive(Debug)]
pub(super) struct Unheard;

/// Why an operation ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("nobody listens any more")]
    Unheard,
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    #[error(transparent)]
    Accounts(#[from] crate::accounts::Error),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error(transparent)]
    Upstream(#[from] crate::proxy::Error),
    /// Boxed: errors stay small on the good path.
    #[error(transparent)]
    Bundle(Box<crate::bundle::Error>),
}

impl Failure {
    fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }
}

impl From<crate::bundle::Error> for Failure {
    fn from(error: crate::bundle::Error) -> Self {
        Self::Bundle(Box::new(error))
    }
}

impl From<Unheard> for Failure {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl Report {
    pub(super) async fn bytes(&self, bytes: bytes::Bytes) -> Result<(), Unheard> {
        self.0.send(Frame::Bytes(bytes)).await.map_err(|_| Unheard)
    }

    pub(super) async fn row(&self, row: Row) -> Result<(), Unheard> {
        self.0.send(Frame::Row(row)).await.map_err(|_| Unheard)
    }

    pub(super) async fn progress(&self, text: impl Into<String>) -> Result<(), Unheard> {
        self.0
            .send(Frame::Progress { text: text.into() })
            .await
            .map_err(|_| Unheard)
    }
}

/// Begins an operation and returns its frames; the last one is [`Frame::Done`] or [`Frame::Failed`].
///
/// # Cancel safety
/// When the frames are dropped, the operation ends where it is.
pub(super) fn begin(
    services: Arc<Services>,
    request: Request,
    input: mpsc::Receiver<Input>,
) -> mpsc::Receiver<Frame> {
    let (sender, frames) = mpsc::channel(FRAMES);
    tokio::spawn(async move {
        let report = Report(sender.clone());
        let outcome = tokio::select! {
            outcome = carry_out(&services, &request, input, &report) => outcome,
            () = sender.closed() => return,
        };
        let last = match outcome {
            Ok(text) => Frame::Done { text },
            Err(error) => Frame::Failed {
                reason: error.to_string(),
            },
        };
        // The reader may have left at the last moment.
        let _ = sender.send(last).await;
    });
    frames
}

/// Carries out a request; the text sums up what was done.
async fn carry_out(
    services: &Services,
    request: &Request,
    input: mpsc::Receiver<Input>,
    report: &Report,
) -> Result<String, Failure> {
    match request {
        Request::Export(wish) => bundle::export(services, wish, input, report).await,
        Request::Import(wish) => bundle::import(services, wish, input, report).await,
        Request::Inventory {} => bundle::inventory(services, report).await,
        Request::Present {} => bundle::present(services, input, report).await,
        Request::MakeKey {} => bundle::make_key(services, report).await,
        Request::ListKeys {} => bundle::list_keys(services, report).await,
        Request::TrustKey { text } => bundle::trust_key(services, text, report).await,
        Request::DistrustKey { id } => bundle::distrust_key(services, id).await,
        Request::Backup(wish) => backup::backup(services, *wish, input, report).await,
        Request::Warm(wish) => warm::warm(services, wish, input, report).await,
        Request::List { scope: None } => content::list_organizations(services, report).await,
        Request::List { scope: Some(scope) } => content::list_tags(services, scope, report).await,
        Request::Remove { targets, all } => content::remove(services, targets, *all, report).await,
        Request::Refresh { targets } => content::refresh(services, targets, report).await,
        Request::Pin { targets, pinned } => content::pin(services, targets, *pinned, report).await,
        Request::Sweep {} => upkeep::sweep(services, report).await,
        Request::Explain { target } => explain::explain(services, target, report).await,
        Request::Top { looks } => top::top(services, *looks, report).await,
        Request::Status {} => upkeep::status(services, report).await,
        Request::Collect { dry_run: false } => upkeep::collect(services, report).await,
        Request::Collect { dry_run: true } => upkeep::collectable(services, report).await,
        Request::Prune { scope, dry_run } => {
            let mode = if *dry_run { Prune::Tell } else { Prune::End };
            prune::prune(services, scope.as_ref(), mode, report).await
        }
        Request::Mirror {
            repository,
            dry_run: true,
        } => mirror::plan(services, repository, report).await,
        Request::Mirror {
            repository,
            dry_run: false,
        } => mirror::run(services, repository, report).await,
        Request::Check { repair } => {
            upkeep::check(services, upkeep::Extent::Everything, *repair, report).await
        }
        Request::Recount { repair } => {
            upkeep::check(services, upkeep::Extent::Bytes, *repair, report).await
        }
        Request::Scrub { bandwidth } => upkeep::scrub(services, *bandwidth, report).await,
        Request::CreateUser(new) => accounts::create_user(services, new).await,
        Request::ImportUsers { users } => accounts::import_users(services, users, report).await,
        Request::SetPassword { name, password } => {
            accounts::set_password(services, name, password).await
        }
        Request::SetEnabled { name, enabled } => {
            accounts::set_enabled(services, name, *enabled).await
        }
        Request::ListUsers {} => accounts::list_users(services, report).await,
        Request::CreateRobot(new) => robots::create(services, new, report).await,
        Request::ListRobots { namespace } => robots::list(services, namespace, report).await,
        Request::RegenerateRobot { name } => robots::regenerate(services, name, report).await,
        Request::RemoveRobot { name } => robots::remove(services, name).await,
        Request::ListOrganizations {} => accounts::list_organizations(services, report).await,
        Request::CreateOrganization { name, owner } => {
            accounts::create_organization(services, name, owner.as_ref()).await
        }
        Request::ListGrants { repository } => grants::list(services, repository, report).await,
        Request::Grant {
            repository,
            grantee,
            role,
        } => grants::set(services, repository, grantee, *role).await,
        Request::Revoke {
            repository,
            grantee,
        } => grants::remove(services, repository, grantee).await,
        Request::ListRepositories { namespace } => {
            repositories::list(services, namespace.as_ref(), report).await
        }
        Request::CreateRepository { repository, public } => {
            repositories::create(services, repository, *public).await
        }
        Request::SetVisibility { repository, public } => {
            repositories::set_visibility(services, repository, *public).await
        }
        Request::ListTags { repository } => tags::list(services, repository, report).await,
        Request::ListHistory { scope } => tags::history(services, scope, report).await,
        Request::RestoreTag { target } => tags::restore(services, target, report).await,
        Request::SetImmutable { targets, immutable } => {
            tags::set_immutable(services, targets, *immutable, report).await
        }
        Request::SetExpiry { targets, expiry } => {
            tags::set_expiry(services, targets, expiry, report).await
        }
    }
}
