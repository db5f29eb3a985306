//! Mirrors: repositories that copy those of another registry on a schedule.
//!
//! Called by `jobs` (runs that are due), `api` and `app`. What is copied lands as if the mirror's robot had pushed
//! it: in a local repository, under its namespace's quota, immutable tags kept.
//!
//! ```text
//!  due ─▶ the queue ─▶ run: begin or go on ─▶ list once ─▶ each tag: HEAD ─▶ unchanged
//!                                                                    └─────▶ survey ─▶ blobs ─▶ manifests ─▶ the tag
//!                           ◀─ end (state) ◀─ tags that are chosen no more end ◀─ new referrers ◀─┘
//! ```
//!
//! Promised (CA-10): a tag moves only when all that it leads to is here, in the transaction that notes it in the
//! journal; a list that is empty or was cut off ends no tag; a run that dies is gone on with where it was. What a
//! plan says ([`Mirror::plan`]) is what a run then takes.
//!
//! Whoever changes how it stands with a mirror calls [`Mirror::wake`]. Not done here: the doors.

mod account;
mod asked;
mod configured;
mod copy;
mod discover;
mod discovered;
mod due;
mod ending;
mod error;
mod fault;
mod fetch;
mod filter;
mod glob;
mod health;
mod metrics;
mod organizations;
mod plan;
mod preview;
mod reference;
mod requests;
mod results;
mod run;
mod schedule;
mod seat;
mod settings;
mod source;
mod state;
mod survey;
mod tags;
mod throttle;
mod verify;
mod wave;
mod work;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

pub use account::{Half, Whose};
pub use configured::Configured;
pub use discover::Discovery;
pub use discovered::DiscoveredPage;
pub use error::Error;
pub use fault::{OrgSettingsError, SettingsError};
pub use filter::Chooser;
pub use glob::Glob;
pub use health::{Lines, MirrorHealth, MirrorIssue, MirrorLine};
pub use metrics::Metrics;
pub use organizations::{OrgMirrorShown, OrgMirrorWish, kind_name};
pub use preview::{Plan, PlannedTag};
pub use reference::SourceReference;
pub use results::RunResults;
pub use schedule::{Calendar, by_interval};
pub use settings::MirrorShown;
pub use state::{cancelled, wanted};

use crate::accounts::{Accounts, SealKey};
use crate::config::{Deadlines, RobotAccess};
use crate::model::{MirrorReport, RepositoryId, Timestamp};
use crate::outbound::Outbound;
use crate::registry::Registry;
use crate::store::Store;
use crate::upstream;

/// All mirrors; cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    accounts: Accounts,
    outbound: Outbound,
    /// Under which the accounts at sources are sealed.
    seal: SealKey,
    /// What the configuration is called.
    configured_in: Box<str>,
    /// Which robots may act.
    robots: RobotAccess,
    deadlines: Deadlines,
    offline: AtomicBool,
    enabled: bool,
    organizations: bool,
    hosts: upstream::Hosts,
    upstream_metrics: upstream::Metrics,
    metrics: Metrics,
    /// Something may be due now.
    due: Notify,
    /// How it stands with some mirror has changed.
    changed: Notify,
    /// Runs under way in this process, and how far they are.
    running: Mutex<HashMap<RepositoryId, Arc<watch::Sender<MirrorReport>>>>,
}

/// What mirrors are built from.
pub struct Parts {
    pub registry: Registry,
    pub accounts: Accounts,
    pub outbound: Outbound,
    /// What the configuration is called, for those who try to change by the API what it says.
    pub configured_in: String,
    /// Which robots may act (`ROBOTS_DISALLOW`).
    pub robots: RobotAccess,
    pub deadlines: Deadlines,
    /// No upstream is ever asked.
    pub offline: bool,
    /// `FEATURE_REPO_MIRROR`
    pub enabled: bool,
    /// `FEATURE_ORG_MIRROR`
    pub organizations: bool,
    /// With whom the budgets of upstreams are shared.
    pub hosts: upstream::Hosts,
    pub upstream_metrics: upstream::Metrics,
    pub metrics: Metrics,
}

impl Mirror {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            registry,
            accounts,
            outbound,
            configured_in,
            robots,
            deadlines,
            offline,
            enabled,
            organizations,
            hosts,
            upstream_metrics,
            metrics,
        } = parts;
        Self {
            inner: Arc::new(Inner {
                registry,
                seal: accounts.seal_key().clone(),
                accounts,
                outbound,
                configured_in: configured_in.into(),
                robots,
                deadlines,
                offline: AtomicBool::new(offline),
                enabled,
                organizations,
                hosts,
                upstream_metrics,
                metrics,
                due: Notify::new(),
                changed: Notify::new(),
                running: Mutex::default(),
            }),
        }
    }

    /// Has it looked at now what is due, and whether a run was cancelled, rather than at the next turn: somebody
    /// changed how it stands with a mirror.
    pub fn wake(&self) {
        self.inner.due.notify_one();
        self.inner.changed.notify_waiters();
    }

    /// Waits until somebody wants it looked at now what is due.
    pub async fn woken(&self) {
        self.inner.due.notified().await;
    }

    /// Whether mirrors run at all now.
    ///
    /// # Errors
    /// [`Error::Off`], with the reason.
    pub fn check_on(&self) -> Result<(), Error> {
        if !self.inner.enabled {
            return Err(Error::Off("FEATURE_REPO_MIRROR is off"));
        }
        if self.is_offline() {
            return Err(Error::Off("no upstream is asked (OFFLINE)"));
        }
        if !self.registry().rules().may_collect {
            let text = "the registry is closed to writes (REGISTRY_STATE, DISABLE_PUSHES)";
            return Err(Error::Off(text));
        }
        Ok(())
    }

    /// Says whether any upstream may be asked from now on.
    pub fn set_offline(&self, offline: bool) {
        self.inner.offline.store(offline, Ordering::Relaxed);
    }

    fn is_offline(&self) -> bool {
        self.inner.offline.load(Ordering::Relaxed)
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn store(&self) -> &Store {
        self.registry().store()
    }

    fn now(&self) -> Timestamp {
        self.registry().clock().now()
    }
}
