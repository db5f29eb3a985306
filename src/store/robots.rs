//! Robots: records by id, ids by short name below a namespace.
//!
//! Invariants: every record has its row in the table of names, and ids are never given twice, so that
//! a new robot of an old name inherits nothing. The namespace's name is not in a robot's row: it is read with
//! it, so that a namespace can be renamed.

use serde::{Deserialize, Serialize};

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{
    Federation, Grantee, Member, NamespaceId, RobotId, RobotName, RobotRecord, Sealed, Timestamp,
};

/// Robots as a transaction sees them.
pub struct Robots<S>(pub(super) S);

/// A [`RobotRecord`] as it is stored.
#[derive(Deserialize, Serialize)]
pub(super) struct RobotRow {
    namespace: NamespaceId,
    short: String,
    description: String,
    created: Timestamp,
    last_accessed: Option<Timestamp>,
    token: Sealed,
    federation: Vec<Federation>,
}

impl<S: Reads> Robots<S> {
    /// The record of a robot, if there is one.
    pub fn record(&self, id: RobotId) -> Result<Option<RobotRecord>, Error> {
        let row: Option<RobotRow> = self.0.tx().record(Table::Robots, &keys::robot(id))?;
        let Some(row) = row else { return Ok(None) };
        let Some(namespace) = self.0.tx().namespaces().record(row.namespace)? else {
            return Ok(None);
        };
        let Ok(name) = RobotName::new(namespace.name, &row.short) else {
            return Err(Error::Corrupt {
                table: Table::Robots.name(),
                reason: "a robot's name has no known form".to_owned(),
            });
        };
        Ok(Some(RobotRecord {
            namespace: row.namespace,
            name,
            description: row.description,
            created: row.created,
            last_accessed: row.last_accessed,
            token: row.token,
            federation: row.federation,
        }))
    }

    /// The robot of this short name in the namespace, if there is one.
    pub fn by_name(
        &self,
        namespace: NamespaceId,
        short: &str,
    ) -> Result<Option<(RobotId, RobotRecord)>, Error> {
        let key = keys::robot_name(namespace, short);
        let Some(id) = self.0.tx().record(Table::RobotNames, &key)? else {
            return Ok(None);
        };
        Ok(self.record(id)?.map(|record| (id, record)))
    }

    /// Up to `limit` robots of the namespace behind the short name `after`, in byte order.
    pub fn list(
        &self,
        namespace: NamespaceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(RobotId, RobotRecord)>, Error> {
        let after = after.map(|short| keys::robot_name(namespace, short));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let named = |_: &[u8]| Some(());
        let ids = self
            .0
            .tx()
            .records(Table::RobotNames, &span, limit, named)?;
        let mut robots = Vec::with_capacity(ids.len());
        for ((), id) in ids {
            robots.extend(self.record(id)?.map(|record| (id, record)));
        }
        Ok(robots)
    }

    /// The text that the owner of a robot keeps with it, if there is one.
    pub fn metadata(&self, id: RobotId) -> Result<Option<String>, Error> {
        self.0.tx().record(Table::RobotMetadata, &keys::robot(id))
    }
}

impl Robots<&mut WriteTx<'_>> {
    /// Makes a robot and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken in its namespace.
    pub fn create(&mut self, record: &RobotRecord) -> Result<RobotId, Error> {
        let name = keys::robot_name(record.namespace, record.name.short());
        if self.0.has(Table::RobotNames, &name)? {
            return Err(Error::Exists {
                name: record.name.to_string(),
            });
        }
        let id = RobotId(repositories::next_id(self.0, "last_robot")?);
        self.0.put_record(Table::RobotNames, name, &id);
        self.put_row(id, record);
        Ok(id)
    }

    /// Replaces the record of a robot that exists; its name stays.
    pub fn put(&mut self, id: RobotId, record: &RobotRecord) -> Result<(), Error> {
        debug_assert!(
            self.0.has(Table::Robots, &keys::robot(id))?,
            "only a robot that exists is changed"
        );
        self.put_row(id, record);
        Ok(())
    }

    /// Keeps a text with a robot.
    pub fn put_metadata(&mut self, id: RobotId, text: &str) -> Result<(), Error> {
        let text = text.to_owned();
        self.0
            .put_record(Table::RobotMetadata, keys::robot(id), &text);
        Ok(())
    }

    /// Removes a robot with its grants and memberships; nothing happens if there is none.
    pub fn remove(&mut self, id: RobotId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        // All at once: what is removed is held in memory until the commit in any case.
        self.empty(id, usize::MAX)?;
        let name = keys::robot_name(record.namespace, record.name.short());
        self.0.remove(Table::RobotNames, name);
        self.0.remove(Table::RobotMetadata, keys::robot(id));
        self.0.remove(Table::Robots, keys::robot(id));
        Ok(())
    }

    /// Removes up to about `limit` grants and memberships of a robot; returns how many.
    pub fn empty(&mut self, id: RobotId, limit: usize) -> Result<usize, Error> {
        let teams = self.0.teams().leave(Member::Robot(id), limit)?;
        let grantee = Grantee::Robot(id);
        let grants = self.0.permissions().clear_grantee(grantee, limit)?;
        Ok(teams + grants)
    }

    fn put_row(&mut self, id: RobotId, record: &RobotRecord) {
        let record = record.clone();
        let row = RobotRow {
            namespace: record.namespace,
            short: record.name.short().to_owned(),
            description: record.description,
            created: record.created,
            last_accessed: record.last_accessed,
            token: record.token,
            federation: record.federation,
        };
        self.0.put_record(Table::Robots, keys::robot(id), &row);
    }
}
