//! Where it stands how it stands with a mirror: in rows of its own, or in that of a mirrored organisation's
//! repository.

use serde_json::{Value, json};

use super::state::{self, Due, Times};
use super::{Error, Mirror};
use crate::model::{
    Actor, DiscoveredRecord, LogEntry, LogKind, MirrorOptions, MirrorRecord, MirrorStatus,
    NamespaceId, NamespaceName, OrgMirrorRecord, Performer, RepositoryId, RepositoryState, RobotId,
    TagChoice, Timestamp,
};
use crate::oci::RepositoryName;
use crate::store::{self, ReadTx, WriteTx};

/// Where the status of a mirror is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Seat {
    Own(RepositoryId),
    /// A repository of a mirrored organisation, by its name at the source.
    Discovered {
        repository: RepositoryId,
        namespace: NamespaceId,
        name: RepositoryName,
    },
}

/// A mirror as the store has it.
pub(super) struct Seated {
    pub(super) seat: Seat,
    pub(super) record: MirrorRecord,
    pub(super) status: MirrorStatus,
    pub(super) namespace: (NamespaceId, NamespaceName),
    pub(super) name: RepositoryName,
    /// `None` if it was deleted.
    pub(super) robot: Option<Performer>,
}

impl Seated {
    pub(super) fn due(&self, now: Timestamp) -> Due {
        state::due(&self.status, &self.times(), now)
    }

    pub(super) fn times(&self) -> Times<'_> {
        Times::of(&self.record)
    }
}

impl Seat {
    pub(super) const fn repository(&self) -> RepositoryId {
        match self {
            Self::Own(repository) | Self::Discovered { repository, .. } => *repository,
        }
    }

    pub(super) fn status(&self, tx: &ReadTx) -> Result<Option<MirrorStatus>, store::Error> {
        match self {
            Self::Own(repository) => tx.mirrors().status(*repository),
            Self::Discovered {
                namespace, name, ..
            } => {
                let found = tx.mirrors().discovered(*namespace, name)?;
                Ok(found.map(|found| found.status))
            }
        }
    }

    pub(super) fn put_status(
        &self,
        tx: &mut WriteTx<'_>,
        status: &MirrorStatus,
    ) -> Result<(), store::Error> {
        match self {
            Self::Own(repository) => tx.mirrors().put_status(*repository, status),
            Self::Discovered {
                namespace, name, ..
            } => {
                let Some(found) = tx.mirrors().discovered(*namespace, name)? else {
                    return Ok(());
                };
                let found = DiscoveredRecord {
                    status: status.clone(),
                    ..found
                };
                tx.mirrors().put_discovered(*namespace, name, &found)
            }
        }
    }

    /// What a line of the usage log is called here (`quay-log-kinds` 2.8).
    pub(super) const fn kind(&self, kind: RunLine) -> LogKind {
        match (self, kind) {
            (Self::Own(_), RunLine::Started) => LogKind::RepoMirrorSyncStarted,
            (Self::Own(_), RunLine::Success) => LogKind::RepoMirrorSyncSuccess,
            (Self::Own(_), RunLine::Failed | RunLine::Cancelled) => LogKind::RepoMirrorSyncFailed,
            (Self::Discovered { .. }, RunLine::Started) => LogKind::OrgMirrorSyncStarted,
            (Self::Discovered { .. }, RunLine::Success) => LogKind::OrgMirrorSyncSuccess,
            (Self::Discovered { .. }, RunLine::Failed) => LogKind::OrgMirrorSyncFailed,
            (Self::Discovered { .. }, RunLine::Cancelled) => LogKind::OrgMirrorSyncCancelled,
        }
    }
}

/// What the log tells of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RunLine {
    Started,
    Success,
    Failed,
    Cancelled,
}

/// What a line of a run says: Quay's keys, those without a word null.
pub(super) fn said(
    verb: &str,
    (namespace, repository): (&NamespaceName, &RepositoryName),
    message: &str,
    more: Value,
) -> Value {
    let mut said = json!({
        "verb": verb,
        "namespace": namespace,
        "repo": repository,
        "message": message,
        "tag": null,
        "tags": null,
        "stdout": null,
        "stderr": null,
    });
    if let (Value::Object(said), Value::Object(more)) = (&mut said, more) {
        said.extend(more);
    }
    said
}

/// A line that is filed under the repository.
pub(super) fn line(
    kind: LogKind,
    at: Timestamp,
    by: &Performer,
    (namespace, repository): (NamespaceId, RepositoryId),
    said: Value,
) -> LogEntry {
    LogEntry::new(kind, at, by)
        .of_repository(namespace, repository)
        .with(said)
}

impl Mirror {
    /// A mirror, with all that is decided of it.
    ///
    /// # Errors
    /// [`Error::NoMirror`].
    pub(super) async fn seated(&self, repository: RepositoryId) -> Result<Seated, Error> {
        let read = move |tx: &ReadTx| seated(tx, repository);
        let found: Option<Seated> = self.registry().store().read(read).await?;
        found.ok_or(Error::NoMirror)
    }
}

pub(super) fn seated(tx: &ReadTx, repository: RepositoryId) -> Result<Option<Seated>, Error> {
    let Some(record) = tx.repositories().record(repository)? else {
        return Ok(None);
    };
    let namespace = tx.namespaces().record(record.namespace)?;
    let Some(owner) = namespace.filter(|owner| owner.deleted.is_none()) else {
        return Ok(None);
    };
    let found = match record.state {
        RepositoryState::Mirror => own(tx, repository)?,
        RepositoryState::OrgMirror => discovered(tx, repository, record.namespace, &record.name)?,
        RepositoryState::Normal
        | RepositoryState::ReadOnly
        | RepositoryState::MarkedForDeletion => None,
    };
    let Some((seat, mirror, status)) = found else {
        return Ok(None);
    };
    let robot = robot(tx, mirror.robot)?;
    Ok(Some(Seated {
        seat,
        record: mirror,
        status,
        namespace: (record.namespace, owner.name),
        name: record.name,
        robot,
    }))
}

type Found = Option<(Seat, MirrorRecord, MirrorStatus)>;

fn own(tx: &ReadTx, repository: RepositoryId) -> Result<Found, Error> {
    let record = tx.mirrors().record(repository)?;
    let status = tx.mirrors().status(repository)?;
    Ok(record
        .zip(status)
        .map(|(record, status)| (Seat::Own(repository), record, status)))
}

fn discovered(
    tx: &ReadTx,
    repository: RepositoryId,
    namespace: NamespaceId,
    name: &RepositoryName,
) -> Result<Found, Error> {
    let organization = tx.mirrors().of_organization(namespace)?;
    let found = tx.mirrors().discovered(namespace, name)?;
    let Some((organization, found)) = organization.zip(found) else {
        return Ok(None);
    };
    let Some(record) = of_organization(&organization, name) else {
        return Ok(None);
    };
    let seat = Seat::Discovered {
        repository,
        namespace,
        name: name.clone(),
    };
    Ok(Some((seat, record, found.status)))
}

/// What is decided of a repository of a mirrored organisation: all tags, and nothing ends.
fn of_organization(organization: &OrgMirrorRecord, name: &RepositoryName) -> Option<MirrorRecord> {
    let mut source = organization.source.clone();
    source.reference = super::discover::reference(organization, name)?;
    Some(MirrorRecord {
        enabled: organization.enabled,
        source,
        tags: TagChoice {
            globs: vec!["*".to_owned()],
            ..TagChoice::default()
        },
        interval_s: organization.interval_s,
        robot: organization.robot,
        deadline_s: organization.deadline_s,
        architectures: organization.architectures.clone(),
        options: MirrorOptions {
            deletion: crate::model::Deletion::Keep,
            ..MirrorOptions::default()
        },
        created: organization.created,
        configured: false,
    })
}

/// Who acts for a mirror, if he is still there.
pub(super) fn robot(tx: &ReadTx, id: Option<RobotId>) -> Result<Option<Performer>, Error> {
    let Some(id) = id else {
        return Ok(None);
    };
    let robot = tx.robots().record(id)?;
    Ok(robot.map(|robot| {
        Performer::from(Actor::Robot {
            id,
            name: robot.name,
        })
    }))
}
