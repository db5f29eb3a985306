//! What the lines of the usage log say of where something was done.

use serde_json::{Value, json};

use super::Error;
use crate::model::{
    LogEntry, LogKind, NamespaceId, NamespaceName, Performer, PolicyScope, RepositoryId, Timestamp,
};
use crate::oci::RepositoryName;
use crate::store::ReadTx;

/// A repository, by the names that the log tells.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) namespace_id: NamespaceId,
    repository: RepositoryId,
    pub(super) namespace: NamespaceName,
    pub(super) name: RepositoryName,
}

impl Told {
    /// # Errors
    /// [`Error::NameUnknown`] if the repository is gone.
    pub(super) fn of(tx: &ReadTx, repository: RepositoryId) -> Result<Self, Error> {
        let record = tx.repositories().record(repository)?;
        let record = record.ok_or(Error::NameUnknown)?;
        let namespace = tx.namespaces().record(record.namespace)?;
        Ok(Self {
            namespace_id: record.namespace,
            repository,
            namespace: namespace.ok_or(Error::NameUnknown)?.name,
            name: record.name,
        })
    }

    /// A line filed under the repository; `more` is a JSON object.
    pub(super) fn line(
        &self,
        kind: LogKind,
        at: Timestamp,
        by: &Performer,
        more: Value,
    ) -> LogEntry {
        LogEntry::new(kind, at, by)
            .of_repository(self.namespace_id, self.repository)
            .with(more)
    }
}

/// A line that is filed under a scope, with its names.
pub(super) fn scope_line(
    tx: &ReadTx,
    scope: PolicyScope,
    kind: LogKind,
    (at, by): (Timestamp, &Performer),
    more: Value,
) -> Result<LogEntry, Error> {
    match scope {
        PolicyScope::Repository(repository) => {
            let told = Told::of(tx, repository)?;
            let names = json!({"namespace": told.namespace, "repo": told.name});
            Ok(told.line(kind, at, by, names).with(more))
        }
        PolicyScope::Namespace(namespace) => {
            let record = tx.namespaces().record(namespace)?;
            let name = record.ok_or(Error::NameUnknown)?.name;
            let line = LogEntry::new(kind, at, by).within(namespace);
            Ok(line.with(json!({"namespace": name})).with(more))
        }
    }
}
