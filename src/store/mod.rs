//! The store: what is known about content, in one redb file. No other room knows redb.
//!
//! A transaction is a closure. [`Store::read`] runs it where it is, over the rows that are committed;
//! [`Store::write`] queues it for the one writer thread, which commits what waits together and
//! answers when it is durable. Inside a closure: look, decide, change; no clock, no I/O, no waiting.
//!
//! ```text
//!  write(f) ─▶ queue ─▶ writer: f(tx) f(tx) f(tx) ─▶ one durable commit ─▶ hooks ─▶ answers
//!  read(f)  ─▶ f(snapshot)             changes.rs      two syncs
//! ```
//!
//! Promises: a write that was answered with `Ok` is durable, also through a crash or a power cut; one
//! that was answered with an error of the caller's left nothing behind; a reader sees all of a write
//! or nothing. Bytes of blobs are durable before the row that names them is written, and unlinked
//! after the row is gone: that order is the caller's to keep.
//!
//! The first failure of the disk is final ([`Store::failed`]): nothing is retried. A volume that takes no
//! writes is no failure: reads go on, and writes are refused until it takes them again ([`Error::ReadOnly`]).
//!
//! `tables` draws every table, `keys` and `codec` own every byte, one file a noun has its verbs.

mod app_tokens;
mod audit;
mod blobs;
mod changes;
mod codec;
mod dump;
mod error;
mod health;
mod immutability;
mod invitations;
mod jobs;
mod keys;
mod labels;
mod load;
mod logs;
mod manifests;
mod metrics;
mod migrate;
mod mirrors;
mod namespaces;
mod notices;
mod oauth_applications;
mod oauth_assignments;
mod oauth_tokens;
mod open;
mod overlay;
mod permissions;
mod prototypes;
mod proxy_caches;
mod prune_policies;
mod purges;
mod quotas;
mod recency;
mod referrers;
mod repositories;
mod reviews;
mod robots;
mod room;
mod service_keys;
mod settings;
mod signing_keys;
mod stars;
mod tables;
mod tag_places;
mod tags;
mod teams;
mod txn;
mod upgrade;
mod usage;
mod users;
mod volume;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};
use tokio::sync::{oneshot, watch};

pub use app_tokens::AppTokens;
pub use audit::{
    Audit, Fault, Index, Number, Progress, RowFault, Standing, WrongCount, WrongNumber, WrongRow,
};
pub use blobs::{Blobs, LinkChange};
pub use dump::{Cached, Dumped, Sink};
pub use error::Error;
pub use immutability::Immutability;
pub use invitations::Invitations;
pub use jobs::Jobs;
pub use labels::Labels;
pub use load::load;
pub use logs::{Logs, day};
pub use manifests::Manifests;
pub use mirrors::Mirrors;
pub use namespaces::Namespaces;
pub use notices::{Messages, NoticePlace, Notices};
pub use oauth_applications::OauthApplications;
pub use oauth_assignments::OauthAssignments;
pub use oauth_tokens::OauthTokens;
pub use permissions::Permissions;
pub use prototypes::{PROTOTYPES, Prototypes};
pub use proxy_caches::ProxyCaches;
pub use prune_policies::PrunePolicies;
pub use purges::Purges;
pub use quotas::Quotas;
pub use recency::Recency;
pub use referrers::Referrers;
pub use repositories::Repositories;
pub use reviews::Reviews;
pub use robots::Robots;
pub use service_keys::ServiceKeys;
pub use settings::Settings;
pub use signing_keys::SigningKeys;
pub use stars::Stars;
pub use tags::Tags;
pub use teams::Teams;
pub use txn::{ReadTx, Reads, WriteTx};
pub use usage::Usage;
pub use users::Users;

use health::Health;
use metrics::Metrics;
use open::Opened;
use room::Room;
use volume::Volume;
use writer::{Batches, Writer};

/// Most rows that a page of a listing should ask for: what one visit to the blocking pool reads.
pub const PAGE_ROWS: usize = 1_000;

/// The schema that this release reads and writes.
pub const SCHEMA: u64 = migrate::SCHEMA;

/// The open store. Clones share it; dropping the last one finishes the queued writes, which blocks
/// for a commit or two, and closes the file.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for pages of the file, in bytes.
    pub cache_bytes: usize,
}

struct Inner {
    // First, so that it is dropped first: queued writes need the database. None: only reads.
    writer: Option<Writer>,
    database: Arc<dyn ReadableDatabase + Send + Sync>,
    health: Arc<Health>,
    volume: Arc<Volume>,
    // Last: its end tells that the file is closed.
    open: watch::Sender<()>,
}

impl Store {
    /// Opens the store in the file `path`, or makes one there, readable by its owner only.
    ///
    /// Reads and writes files, so it belongs before the runtime or on its blocking pool.
    ///
    /// # Errors
    /// [`Error::InUse`] if it is open already, [`Error::NewerSchema`] if a newer release wrote it
    /// (nothing is changed then), [`Error::Open`] if it is no store, or one of an older schema on a volume
    /// that takes no writes.
    pub fn open(
        path: &Path,
        options: &Options,
        metrics: &prometheus::Registry,
    ) -> Result<Self, Error> {
        let metrics = Metrics::new(metrics).map_err(|error| Error::Metrics(Arc::new(error)))?;
        let gauge = metrics.read_only.clone();
        match open::database(path, options.cache_bytes)? {
            Opened::ForWriting(database) => {
                Self::start(path, database, Volume::writable(path, gauge), metrics)
            }
            Opened::InMemory(database) => {
                Self::start(path, database, Volume::overlaid(path, gauge), metrics)
            }
        }
    }

    /// Opens the store in the file `path` without changing a byte of it, for a look; writes are refused.
    ///
    /// # Errors
    /// As [`Store::open`]; [`Error::NotClosed`] if the process that had it open was killed,
    /// [`Error::OlderSchema`] if it is to be brought up to date first.
    pub fn open_read_only(
        path: &Path,
        options: &Options,
        metrics: &prometheus::Registry,
    ) -> Result<Self, Error> {
        let metrics = Metrics::new(metrics).map_err(|error| Error::Metrics(Arc::new(error)))?;
        Ok(Self(Arc::new(Inner {
            writer: None,
            database: Arc::new(open::read_only(path, options.cache_bytes)?),
            health: Arc::new(Health::new(metrics.failed)),
            // Nothing is asked of it: there is no writer.
            volume: Arc::new(Volume::overlaid(path, metrics.read_only)),
            open: watch::Sender::new(()),
        })))
    }

    fn start(
        path: &Path,
        database: Database,
        volume: Volume,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let (database, volume) = (Arc::new(database), Arc::new(volume));
        let health = Arc::new(Health::new(metrics.failed.clone()));
        let batches = Batches {
            database: Arc::clone(&database),
            health: Arc::clone(&health),
            volume: Arc::clone(&volume),
            room: Room::take(path),
            metrics,
        };
        let writer = Writer::start(batches).map_err(|error| Error::file(path, error))?;
        Ok(Self(Arc::new(Inner {
            writer: Some(writer),
            database,
            health,
            volume,
            open: watch::Sender::new(()),
        })))
    }

    /// Runs `f` over what is committed, on the calling task: for point reads, a few microseconds each.
    ///
    /// # Errors
    /// What `f` returns, or [`Error::Failed`] if the disk fails.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&ReadTx) -> Result<T, E>,
        E: From<Error>,
    {
        f(&ReadTx::begin(&*self.0.database, &self.0.health)?)
    }

    /// Runs `f` over what is committed, on the blocking pool: for pages of up to [`PAGE_ROWS`] rows.
    ///
    /// # Errors
    /// As [`Store::read`]; [`Error::Closed`] if the runtime shuts down.
    ///
    /// # Panics
    /// If `f` does.
    pub async fn scan<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&ReadTx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let store = self.clone();
        let (reply, outcome) = oneshot::channel();
        blocking(Box::new(move || {
            let read = || f(&ReadTx::begin(&*store.0.database, &store.0.health)?);
            // A caller that is gone does not want to know.
            let _ = reply.send(read());
        }))
        .await?;
        outcome.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// Runs `f` as a write that is never committed, on the blocking pool: it tells what a write of
    /// the same kind would do now. Its hooks do not run.
    ///
    /// What it changes is held in memory: `f` minds [`WriteTx::changed_bytes`].
    ///
    /// # Errors
    /// As [`Store::scan`].
    ///
    /// # Panics
    /// If `f` does.
    pub async fn rehearse<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (database, health) = (self.0.database.clone(), self.0.health.clone());
        self.scan(move |_| {
            let mut tx = ReadTx::begin(&*database, &health)?;
            f(&mut WriteTx::new(&mut tx))
        })
        .await
    }

    /// Runs `f` on the writer thread and returns once what it changed is durable.
    ///
    /// `f` may be run more than once and touches nothing outside; times and ids are its input. If it
    /// returns an error or panics, nothing of it stays, and other writes notice nothing.
    ///
    /// # Errors
    /// What `f` returns; [`Error::Panicked`] if it panicked; [`Error::Failed`] if the disk fails or
    /// has failed, and then it is unknown until the next opening whether the write took place;
    /// [`Error::ReadOnly`] if it would change anything and the volume takes no writes.
    ///
    /// # Cancel safety
    /// Dropped while it waits for a place in the queue, `f` does not run. Dropped later, `f` runs and
    /// only its outcome is lost.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: Fn(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.0.health.check()?;
        let writer = self.0.writer.as_ref().ok_or(Error::ReadOnly)?;
        let answer = writer.submit(f).await?;
        answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// Returns once the last handle is gone and the file is closed, so that it can be opened again.
    ///
    /// Reads on the blocking pool hold a handle until they are done, whoever waits for them.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut open = self.0.open.subscribe();
        // Nothing is ever sent: the wait ends when the sender goes.
        async move { while open.changed().await.is_ok() {} }
    }

    /// Asks the volume whether it takes writes now, on the blocking pool: on a slow disk even this can take a
    /// while (DK-11).
    pub async fn takes_writes(&self) -> bool {
        let volume = Arc::clone(&self.0.volume);
        let asked = tokio::task::spawn_blocking(move || volume.check().is_ok());
        // At the end of the process nobody is asked; the write itself tells.
        asked.await.unwrap_or(true)
    }

    /// Has a store that was opened on a volume that takes no writes stay as it is from here on. Until then
    /// its changes are kept in memory, up to 64 MiB of them, for the start of a process to settle what it
    /// needs; they are gone with it. Any other store goes on as before.
    pub fn seal(&self) {
        self.0.volume.seal();
    }

    /// Returns once a store that was opened on a volume that took no writes could be opened for them, which
    /// takes a fresh process; never for any other.
    pub async fn wait_writable(&self) {
        self.0.volume.wait_writable().await;
    }

    /// Whether the disk has failed: every later write is refused, and the process should end.
    pub fn failed(&self) -> bool {
        self.0.health.check().is_err()
    }

    /// Returns once the disk has failed; at once if it has.
    pub async fn wait_failed(&self) {
        self.0.health.wait_failed().await;
    }
}

/// Runs `work` on the blocking pool; a panic goes on in the caller. Boxed, so that the runtime's machinery
/// for a task is compiled once, and not for every closure that reads.
async fn blocking(work: Box<dyn FnOnce() + Send>) -> Result<(), Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(()) => Ok(()),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Closed),
        },
    }
}
