//! Accounts over a real store: people and programs, their rights, their secrets.

mod changes;
mod namespaces;
mod people;
mod programs;
mod rights;
mod secrets;

use std::path::PathBuf;

use prometheus::Registry;

use super::*;
use crate::model::{
    Grantee, Member, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord, Performer,
    RepositoryId, RepositoryRecord, RobotId, RobotName, Role, Secret, TeamId, TeamRecord, TeamRole,
    Timestamp, UserId,
};
use crate::store::Options;

/// Hashes in no time, and protects nothing.
pub(super) const CHEAP: PasswordCost = PasswordCost {
    memory_kib: 64,
    passes: 1,
};

/// Accounts in a directory of their own.
struct Site {
    accounts: Accounts,
    clock: Clock,
    metrics: Registry,
    directory: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_000_000));
        let metrics = Registry::new();
        Self {
            accounts: open(&directory, &clock, &metrics).await,
            clock,
            metrics,
            directory,
        }
    }

    /// Closes the store and opens it again.
    async fn reopened(self) -> Self {
        let closed = self.store().closed();
        drop(self.accounts);
        closed.await;
        let metrics = Registry::new();
        Self {
            accounts: open(&self.directory, &self.clock, &metrics).await,
            metrics,
            ..self
        }
    }

    fn store(&self) -> &Store {
        &self.accounts.inner.store
    }

    /// Writes that wait for the writer.
    fn queued_writes(&self) -> f64 {
        let families = self.metrics.gather();
        let queued = families
            .iter()
            .find(|family| family.name() == "entrepot_store_queue_depth_writes");
        queued.unwrap().get_metric()[0].get_gauge().get_value()
    }

    async fn user(&self, name: &str) -> UserId {
        self.accounts.create_user(new_user(name)).await.unwrap()
    }

    async fn organization(&self, name: &str, owner: UserId) -> NamespaceId {
        let made = self
            .accounts
            .create_organization(NewOrganization::named(&named(name), Some(owner)))
            .await;
        made.unwrap()
    }

    async fn cache(&self, name: &str) -> NamespaceId {
        let record = NamespaceRecord::new(named(name), NamespaceKind::Cache, self.clock.now());
        self.write(move |tx| tx.namespaces().create(&record)).await
    }

    async fn namespace(&self, name: &str) -> NamespaceId {
        let name = named(name);
        let found = self.store().read(|tx| tx.namespaces().by_name(&name)).await;
        let found: Result<_, crate::store::Error> = found;
        found.unwrap().unwrap().0
    }

    async fn repository(&self, namespace: NamespaceId, name: &str) -> RepositoryId {
        let record = RepositoryRecord::new(namespace, name.parse().unwrap(), self.clock.now());
        self.write(move |tx| tx.repositories().create(&record))
            .await
    }

    async fn robot(&self, name: &str) -> RobotId {
        let name = robot(name);
        let made = self
            .accounts
            .create_robot(&name, "", &Performer::SYSTEM)
            .await;
        made.unwrap().0
    }

    async fn team(&self, namespace: NamespaceId, name: &str, role: TeamRole) -> TeamId {
        let team = TeamRecord::new(namespace, name.to_owned(), role);
        self.accounts
            .create_team(&team, &Performer::SYSTEM)
            .await
            .unwrap()
    }

    /// Runs `f` in one write and unwraps what it returns.
    async fn write<T: Send + 'static>(
        &self,
        f: impl Fn(&mut WriteTx<'_>) -> Result<T, crate::store::Error> + Send + 'static,
    ) -> T {
        self.store().write(f).await.unwrap()
    }
}

async fn open(directory: &tempfile::TempDir, clock: &Clock, metrics: &Registry) -> Accounts {
    let options = Options {
        cache_bytes: 1 << 20,
    };
    let parts = Parts {
        store: Store::open(&file(directory), &options, metrics).unwrap(),
        clock: clock.clone(),
        seal: SealKey::from_bytes(&[9; 32]),
        metrics: Metrics::new(metrics).unwrap(),
    };
    Accounts::with_cost(parts, CHEAP).await.unwrap()
}

fn file(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("store.redb")
}

fn named(name: &str) -> NamespaceName {
    name.parse().unwrap()
}

fn robot(name: &str) -> RobotName {
    name.parse().unwrap()
}

fn new_user(name: &str) -> NewUser {
    NewUser::named(&named(name))
}
