//! One mirror, ready to be worked on: what a plan and a run have in common.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::account::Whose;
use super::filter::{Chooser, Platforms};
use super::metrics::OfMirror;
use super::seat::{Seat, Seated};
use super::source::{Asking, Source};
use super::survey::Memo;
use super::throttle::Throttle;
use super::{Error, Mirror, SourceReference};
use crate::model::{Actor, MirrorRecord, NamespaceName, Performer, RepositoryId};
use crate::oci::RepositoryName;
use crate::registry::{Placed, Registry};

impl Mirror {
    /// Quay fails here without a word on why (SC-067).
    fn check_robot(&self, by: &Performer) -> Result<(), Error> {
        match &by.actor {
            Actor::Robot { name, .. } if !self.inner.robots.admits(name) => {
                let text = format!(
                    "{name} may not act: ROBOTS_DISALLOW is set; name it in ROBOTS_WHITELIST"
                );
                Err(Error::Setting(text))
            }
            _ => Ok(()),
        }
    }
}

/// A mirror with its source opened.
pub(super) struct Work {
    pub(super) mirror: Mirror,
    pub(super) seat: Seat,
    pub(super) placed: Placed,
    pub(super) namespace: NamespaceName,
    pub(super) name: RepositoryName,
    pub(super) record: MirrorRecord,
    /// In whose name content lands.
    pub(super) by: Performer,
    pub(super) source: Source,
    pub(super) chooser: Chooser,
    pub(super) platforms: Platforms,
    pub(super) throttle: Throttle,
    /// Bytes that came from the source.
    pub(super) received: AtomicU64,
    pub(super) metrics: OfMirror,
    pub(super) memo: Memo,
    /// The source was found to have no referrers API.
    pub(super) lacks_referrers_api: AtomicBool,
}

impl Work {
    /// Opens a mirror.
    ///
    /// # Errors
    /// [`Error::NoMirror`], [`Error::NoRobot`]; for settings that cannot be followed, and as [`Mirror::open`].
    pub(super) async fn open(mirror: &Mirror, repository: RepositoryId) -> Result<Self, Error> {
        let seated = mirror.seated(repository).await?;
        Self::of(mirror, seated).await
    }

    pub(super) async fn of(mirror: &Mirror, seated: Seated) -> Result<Self, Error> {
        let Seated {
            seat,
            record,
            namespace,
            name,
            robot,
            ..
        } = seated;
        let by = robot.ok_or(Error::NoRobot)?;
        mirror.check_robot(&by)?;
        let chooser = match seat {
            Seat::Own(_) => Chooser::new(&record.tags)?,
            Seat::Discovered { .. } => Chooser::all(),
        };
        let platforms = Platforms::of(&record)?;
        let reference: SourceReference = record.source.reference.parse()?;
        let whose = match &seat {
            Seat::Own(repository) => Whose::Repository(*repository),
            Seat::Discovered { namespace, .. } => Whose::Organization(*namespace),
        };
        let source = mirror
            .open(Asking {
                whose,
                source: &record.source,
                reference,
                configured: record.configured,
                namespace: &namespace.1,
            })
            .await?;
        let clock = mirror.registry().clock().clone();
        let (namespace_id, namespace) = namespace;
        Ok(Self {
            mirror: mirror.clone(),
            placed: Placed {
                namespace: namespace_id,
                repository: seat.repository(),
            },
            metrics: mirror.inner.metrics.of(namespace.as_str(), name.as_str()),
            throttle: Throttle::new(record.options.bandwidth.clone(), clock),
            seat,
            namespace,
            name,
            record,
            by,
            source,
            chooser,
            platforms,
            received: AtomicU64::new(0),
            memo: Memo::default(),
            lacks_referrers_api: AtomicBool::new(false),
        })
    }

    pub(super) fn registry(&self) -> &Registry {
        self.mirror.registry()
    }

    pub(super) const fn actor(&self) -> &Actor {
        &self.by.actor
    }
}
