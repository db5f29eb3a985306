//! Lines of the usage log for what clients do at the registry's own doors (`quay-log-kinds`: rows marked T).
//!
//! They are written in the transaction of the act, so that there is no act without its line.

use serde_json::{Value, json};

use super::Error;
use crate::model::{LogEntry, LogKind, Performer, RepositoryId, Timestamp};
use crate::oci::{Digest, Tag};
use crate::store::{ReadTx, WriteTx};

/// Where something is done, when and by whom.
pub(super) struct Tracked<'a> {
    pub(super) repository: RepositoryId,
    pub(super) at: Timestamp,
    pub(super) by: &'a Performer,
}

impl Tracked<'_> {
    /// Tells that a tag was deleted; `None`: a manifest without tags.
    pub(super) fn deleted(
        &self,
        tx: &mut WriteTx<'_>,
        tag: Option<&Tag>,
        digest: &Digest,
    ) -> Result<(), Error> {
        let digest = digest.to_string();
        let more = match tag {
            Some(tag) => json!({"tag": tag.as_str(), "digest": digest}),
            None => json!({"digest": digest}),
        };
        self.tell(tx, LogKind::DeleteTag, more)
    }

    /// Tells `more`, a JSON object.
    pub(super) fn tell(
        &self,
        tx: &mut WriteTx<'_>,
        kind: LogKind,
        more: Value,
    ) -> Result<(), Error> {
        let line = self.line(tx, kind, more)?;
        Ok(tx.logs().append(&line)?)
    }

    fn line(&self, tx: &ReadTx, kind: LogKind, more: Value) -> Result<LogEntry, Error> {
        let record = tx.repositories().record(self.repository)?;
        let record = record.ok_or(Error::NameUnknown)?;
        let namespace = tx.namespaces().record(record.namespace)?;
        let namespace = namespace.ok_or(Error::NameUnknown)?;
        let place = (namespace.name.as_str(), record.name.as_str());
        let line = LogEntry::tracked(kind, self.at, self.by, place, more);
        Ok(line.of_repository(record.namespace, self.repository))
    }
}
