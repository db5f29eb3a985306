//! Robots: records by id, ids by short name below a namespace.
//!
//! Invariant: every record has its row in the table of names, and ids are never given twice, so that
//! a new robot of an old name inherits nothing.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{Grantee, Member, NamespaceId, RobotId, RobotRecord};

/// Robots as a transaction sees them.
pub struct Robots<S>(pub(super) S);

impl<S: Reads> Robots<S> {
    /// The record of a robot, if there is one.
    pub fn record(&self, id: RobotId) -> Result<Option<RobotRecord>, Error> {
        self.0.tx().record(Table::Robots, &keys::robot(id))
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
        self.0.put_record(Table::Robots, keys::robot(id), record);
        Ok(id)
    }

    /// Replaces the record of a robot that exists; its name stays.
    pub fn put(&mut self, id: RobotId, record: &RobotRecord) -> Result<(), Error> {
        let key = keys::robot(id);
        debug_assert!(
            self.0.has(Table::Robots, &key)?,
            "only a robot that exists is changed"
        );
        self.0.put_record(Table::Robots, key, record);
        Ok(())
    }

    /// Removes a robot with its grants and memberships; nothing happens if there is none.
    pub fn remove(&mut self, id: RobotId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        self.0.teams().leave_all(Member::Robot(id))?;
        self.0.permissions().clear_grantee(Grantee::Robot(id))?;
        let name = keys::robot_name(record.namespace, record.name.short());
        self.0.remove(Table::RobotNames, name);
        self.0.remove(Table::Robots, keys::robot(id));
        Ok(())
    }
}
