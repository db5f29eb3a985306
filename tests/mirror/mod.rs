//! Mirrors, from a scripted source into a site: runs begun by hand or by the clock, faults, deaths.

mod faults;
mod kill;
mod organizations;
mod plan;
mod policies;
mod referrers;
mod runs;

use std::time::Duration;

use entrepot::config::Config;
use entrepot::jobs::Intervals;
use entrepot::mirror::{Mirror, cancelled};
use entrepot::model::{
    LogEntry, LogFilter, LogScope, MirrorOptions, MirrorRecord, MirrorSource, MirrorStatus,
    MirrorTagRecord, NamespaceId, RepositoryId, RepositoryState, SyncState, TagChoice, TagRecord,
    Timestamp, Visibility,
};
use entrepot::oci::Tag;
use entrepot::store::{self, ReadTx, WriteTx};

use crate::harness::origin::Origin;
use crate::harness::site::Site;

/// Where the source has what is mirrored, and where it lands.
pub(crate) const SOURCE: &str = "team/app";
pub(crate) const HERE: &str = "acme/app";

/// A site with one mirror, `acme/app`, of the source's `team/app`.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) origin: Origin,
    pub(crate) namespace: NamespaceId,
    pub(crate) repository: RepositoryId,
}

/// What is decided of a mirror of this repository of a source on a plain connection, as the configuration would.
pub(crate) fn record(origin: &Origin, source: &str) -> MirrorRecord {
    MirrorRecord {
        enabled: true,
        source: MirrorSource {
            reference: format!("http://{}/{source}", origin.address()),
            username: None,
            password: None,
            verify_tls: true,
            unsigned_images: false,
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
        },
        tags: TagChoice {
            globs: vec!["*".to_owned()],
            ..TagChoice::default()
        },
        interval_s: 86_400,
        robot: None,
        deadline_s: 300,
        architectures: Vec::new(),
        options: MirrorOptions::default(),
        created: Timestamp::default(),
        configured: true,
    }
}

/// Loops that never turn, but for the one that is looked at.
pub(crate) fn still() -> Intervals {
    let never = Duration::from_secs(30 * 86_400);
    Intervals {
        flush: never,
        relief: never,
        gauges: never,
        first_sweep: never,
        sweep: never,
        collection: None,
        leftovers: never,
        scrub: Some(never),
        queue: never,
        mirrors: never,
        keys: never,
        files: never,
    }
}

impl Stage {
    /// The mirror is not due before the test says so.
    pub(crate) async fn new() -> Self {
        Self::with(still(), |_| {}).await
    }

    pub(crate) async fn with(intervals: Intervals, adjust: impl FnOnce(&mut Config)) -> Self {
        let origin = Origin::start().await;
        let site = Site::start_turning(intervals, adjust).await;
        let namespace = site.organization("acme", None).await;
        site.robot("acme+mirror").await;
        let mut stage = Self {
            site,
            origin,
            namespace,
            repository: RepositoryId(0),
        };
        stage.repository = stage.mirror(HERE, SOURCE, |_| {}).await;
        stage
    }

    /// Makes a repository a mirror.
    pub(crate) async fn mirror(
        &self,
        here: &str,
        source: &str,
        adjust: impl FnOnce(&mut MirrorRecord),
    ) -> RepositoryId {
        let repository = self.site.repository(here, Visibility::Public).await;
        let mut record = record(&self.origin, source);
        let namespace = self.namespace;
        let read = move |tx: &ReadTx| tx.robots().by_name(namespace, "mirror");
        let robot: Result<_, store::Error> = self.site.registry().store().read(read).await;
        record.robot = robot.unwrap().map(|(id, _)| id);
        adjust(&mut record);
        self.write(move |tx| {
            let mut of = tx.repositories().record(repository)?.unwrap();
            of.state = RepositoryState::Mirror;
            tx.repositories().put(repository, &of)?;
            tx.mirrors().put(repository, &record)?;
            let status = MirrorStatus::new(None);
            tx.mirrors().put_status(repository, &status)
        })
        .await;
        repository
    }

    pub(crate) async fn write(
        &self,
        write: impl Fn(&mut WriteTx<'_>) -> Result<(), store::Error> + Send + 'static,
    ) {
        let written: Result<(), store::Error> = self.site.registry().store().write(write).await;
        written.unwrap();
    }

    /// Changes what is decided of the mirror.
    pub(crate) async fn decide(&self, change: impl Fn(&mut MirrorRecord) + Send + 'static) {
        let repository = self.repository;
        self.write(move |tx| {
            let mut record = tx.mirrors().record(repository)?.unwrap();
            change(&mut record);
            tx.mirrors().put(repository, &record)
        })
        .await;
    }

    /// Has the mirror be due by itself from now on.
    pub(crate) async fn begin_now(&self) {
        let (repository, now) = (self.repository, self.site.clock.now());
        self.write(move |tx| {
            let mut status = tx.mirrors().status(repository)?.unwrap();
            status.next = Some(now);
            tx.mirrors().put_status(repository, &status)
        })
        .await;
        self.mirrors().wake();
    }

    pub(crate) fn mirrors(&self) -> &Mirror {
        self.site.app().mirror()
    }

    /// Runs the mirror now, to its end.
    pub(crate) async fn run(&self) -> MirrorStatus {
        self.run_of(self.repository).await
    }

    pub(crate) async fn run_of(&self, repository: RepositoryId) -> MirrorStatus {
        self.mirrors().want(repository).await.unwrap();
        let ended = self.mirrors().run(repository).await.unwrap();
        ended.expect("it was wanted")
    }

    /// The same of a run that must succeed.
    pub(crate) async fn run_well(&self) -> MirrorStatus {
        let status = self.run().await;
        assert_eq!(status.state, SyncState::Success, "{:?}", status.report);
        status
    }

    pub(crate) async fn status(&self) -> MirrorStatus {
        let status = self.mirrors().status_of(self.repository).await;
        status.unwrap().unwrap()
    }

    /// Ends the run under way, as the API does.
    pub(crate) async fn cancel(&self) {
        let repository = self.repository;
        self.write(move |tx| {
            let status = tx.mirrors().status(repository)?.unwrap();
            tx.mirrors().put_status(repository, &cancelled(status))
        })
        .await;
        self.mirrors().wake();
    }

    /// What the repository has, by name.
    pub(crate) async fn tags(&self) -> Vec<(Tag, TagRecord)> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|(tag, _): &(Tag, TagRecord)| tag.clone());
            let page = self.site.registry().list_tags(self.repository, after, 1000);
            let page = page.await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        let tags = self.tags().await.into_iter();
        tags.map(|(tag, _)| tag.to_string()).collect()
    }

    /// What the last run came to with a tag.
    pub(crate) async fn told(&self, tag: &str) -> Option<MirrorTagRecord> {
        let (repository, tag) = (self.repository, tag.parse().unwrap());
        let read = move |tx: &ReadTx| tx.mirrors().tag(repository, &tag);
        let read: Result<_, store::Error> = self.site.registry().store().read(read).await;
        read.unwrap()
    }

    /// The usage log of the repository, the first line first.
    pub(crate) async fn log(&self) -> Vec<LogEntry> {
        let filter = LogFilter {
            scope: Some(LogScope::Repository(self.repository)),
            performer: None,
            since: Timestamp::default(),
            until: Timestamp::from_millis(i64::MAX),
        };
        let (mut lines, mut after) = (Vec::new(), None);
        loop {
            let page = self.site.app().audit().list(filter.clone(), after, 1000);
            let page = page.await.unwrap();
            lines.extend(page.lines.into_iter().map(|listed| listed.entry));
            after = page.next;
            if after.is_none() {
                lines.reverse();
                return lines;
            }
        }
    }

    /// How often the source was asked for a manifest or a blob.
    pub(crate) fn fetched(&self, what: &str) -> usize {
        self.origin.count("GET", &format!("/v2/{SOURCE}/{what}/"))
    }
}
