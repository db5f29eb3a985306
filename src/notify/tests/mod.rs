//! The room over a real store, with a clock that is moved.

mod inbox;
mod noting;
mod reading;

use std::time::Duration;

use prometheus::Registry;

use super::*;
use crate::config::AuditConfig;
use crate::model::{
    Actor, Clock, LogFilter, LogScope, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord,
    RepositoryId, Timestamp, UserId,
};
use crate::oci::{MediaType, Reference, RepositoryName};
use crate::store::{Options, Store, WriteTx};

const NAMESPACE: NamespaceId = NamespaceId(1);
const REPOSITORY: RepositoryId = RepositoryId(1);

/// 2024-05-10T17:46:00Z
const NOW: Timestamp = Timestamp::from_millis(1_715_363_160_000);

/// A usage log over a store in a directory of its own.
struct Site {
    audit: Audit,
    clock: Clock,
    store: Store,
    metrics: Metrics,
    _directory: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        Self::with(AuditConfig::default()).await
    }

    async fn with(config: AuditConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let options = Options {
            cache_bytes: 1 << 20,
        };
        let store = Store::open(&path, &options, &Registry::new()).unwrap();
        let (clock, metrics) = (Clock::manual(NOW), Metrics::new(&Registry::new()).unwrap());
        let audit = Audit::new(Parts {
            store: store.clone(),
            clock: clock.clone(),
            config,
            metrics: metrics.clone(),
        });
        let acme = |tx: &mut WriteTx<'_>| {
            let kind = NamespaceKind::Organization;
            let record = NamespaceRecord::new("acme".parse().unwrap(), kind, NOW);
            tx.namespaces().create(&record)
        };
        assert_eq!(store.write(acme).await.unwrap(), NAMESPACE);
        Self {
            audit,
            clock,
            store,
            metrics,
            _directory: directory,
        }
    }

    fn pull(&self, reference: &str, actor: &Actor) {
        let namespace: NamespaceName = "acme".parse().unwrap();
        let repository: RepositoryName = "app".parse().unwrap();
        let reference: Reference = reference.parse().unwrap();
        self.audit.pulled(&Pull {
            namespace: (NAMESPACE, &namespace),
            repository: (REPOSITORY, &repository),
            reference: &reference,
            media_type: &MediaType::OCI_MANIFEST,
            actor,
            oauth: None,
            app_token: None,
            address: [192, 0, 2, 1].into(),
            user_agent: Some("containerd/2"),
        });
    }

    async fn lines(&self) -> Vec<Listed> {
        let page = self.audit.list(everything(), None, 1000).await.unwrap();
        assert_eq!(page.next, None);
        page.lines
    }

    async fn count(&self) -> u64 {
        let days = self.audit.activity(REPOSITORY, 2).await.unwrap();
        days.iter().map(|(_, count)| count).sum()
    }
}

fn everything() -> LogFilter {
    LogFilter {
        scope: None,
        performer: None,
        since: Timestamp::from_millis(0),
        until: Timestamp::from_millis(i64::MAX),
    }
}

fn of_repository() -> LogFilter {
    LogFilter {
        scope: Some(LogScope::Repository(REPOSITORY)),
        ..everything()
    }
}

fn ann() -> Actor {
    Actor::User {
        id: UserId(1),
        name: "ann".parse().unwrap(),
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
