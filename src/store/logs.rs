//! The usage log: lines by time, where each is filed, and how many there were of each kind a day.
//!
//! Invariants: a line has its rows below everything it is filed under, or none; a count is the number of
//! acts that were ever told of that day, also of lines that were removed since. Lines are written in the
//! transaction of what they tell.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{LogEntry, LogKind, LogScope, Timestamp};

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A place in the log: the time and the sequence of a line.
pub type LogPlace = (Timestamp, u64);

/// The usage log as a transaction sees it.
pub struct Logs<S>(pub(super) S);

impl<S: Reads> Logs<S> {
    /// Up to `limit` lines that are filed under `scope` (`None` for all there are), behind `after`, the
    /// newest first, none of them later than `until`.
    pub fn list(
        &self,
        scope: Option<LogScope>,
        until: Timestamp,
        after: Option<LogPlace>,
        limit: usize,
    ) -> Result<Vec<(LogPlace, LogEntry)>, Error> {
        let Some(scope) = scope else {
            let after = after.map(|(at, sequence)| keys::log(at, sequence));
            let span = Span::from(keys::log_time(until)).after(after);
            return self
                .0
                .tx()
                .records(Table::Logs, &span, limit, keys::read_log);
        };
        let after = after.map(|(at, sequence)| keys::scoped_log(scope, at, sequence));
        let span = Span::under_from(keys::log_scope(scope), keys::log_time(until)).after(after);
        let (table, read) = (Table::LogsByScope, keys::read_scoped_log);
        let places = self.0.tx().keys(table, &span, limit, read)?;
        let mut lines = Vec::with_capacity(places.len());
        for (at, sequence) in places {
            let line = self.0.tx().record(Table::Logs, &keys::log(at, sequence))?;
            lines.extend(line.map(|line| ((at, sequence), line)));
        }
        Ok(lines)
    }

    /// How many acts of each kind, by whom, were told of on a day, counted from 1970-01-01.
    pub fn counts(
        &self,
        scope: Option<LogScope>,
        day: i32,
        limit: usize,
    ) -> Result<Vec<((LogKind, String), u64)>, Error> {
        let span = Span::under(keys::log_count_day(scope, day));
        let (table, read) = (Table::LogCounts, keys::read_log_count);
        self.0.tx().records(table, &span, limit, read)
    }
}

impl Logs<&mut WriteTx<'_>> {
    /// Writes a line.
    pub fn append(&mut self, entry: &LogEntry) -> Result<(), Error> {
        let sequence = repositories::next_id(self.0, "last_log")?;
        self.0
            .put_record(Table::Logs, keys::log(entry.at, sequence), entry);
        for scope in entry.scopes() {
            let key = keys::scoped_log(scope, entry.at, sequence);
            self.0.mark(Table::LogsByScope, key);
        }
        let performer = entry.performer.to_string();
        for scope in std::iter::once(None).chain(entry.scopes().map(Some)) {
            let key = keys::log_count(scope, day(entry.at), entry.kind, &performer);
            let before: u64 = self.0.record(Table::LogCounts, &key)?.unwrap_or(0);
            let count = before.saturating_add(u64::from(entry.count));
            self.0.put_record(Table::LogCounts, key, &count);
        }
        Ok(())
    }
}

/// The day of a time, counted from 1970-01-01.
pub fn day(at: Timestamp) -> i32 {
    i32::try_from(at.as_millis().div_euclid(DAY)).unwrap_or(i32::MAX)
}
