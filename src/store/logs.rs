//! The usage log: lines by time, where each is filed, and how many there were of each kind a day.
//!
//! Invariants: a line has its rows below everything it is filed under, and below who did it there, or
//! none; a count is the number of acts that were ever told of that day, also of lines that were removed
//! since. Lines are written in the transaction of what they tell. Every list and count reads a range of
//! what is wanted; none walks through what is not.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{LogEntry, LogFilter, LogKind, LogPlace, LogScope, Timestamp};

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Kinds of lines that there can be on a day.
const KINDS: usize = LogKind::ALL.len() + 1;

/// The usage log as a transaction sees it.
pub struct Logs<S>(pub(super) S);

impl<S: Reads> Logs<S> {
    /// Up to `limit` lines behind `after`, the newest first.
    pub fn list(
        &self,
        filter: &LogFilter,
        after: Option<LogPlace>,
        limit: usize,
    ) -> Result<Vec<(LogPlace, LogEntry)>, Error> {
        let prefix = match (filter.scope, &filter.performer) {
            (None, _) => {
                let span = span(filter, &[]).after(after.map(place));
                let table = Table::Logs;
                return self.0.tx().records(table, &span, limit, keys::read_log);
            }
            (Some(scope), None) => keys::log_scope(scope),
            (Some(scope), Some(performer)) => keys::log_performer(scope, performer),
        };
        let table = match filter.performer {
            None => Table::LogsByScope,
            Some(_) => Table::LogsByPerformer,
        };
        let after = after.map(|after| [&prefix[..], &place(after)].concat());
        let span = span(filter, &prefix).after(after);
        let places = self
            .0
            .tx()
            .keys(table, &span, limit, keys::read_filed_log)?;
        let mut lines = Vec::with_capacity(places.len());
        for at in places {
            let line = self.0.tx().record(Table::Logs, &place(at))?;
            lines.extend(line.map(|line| (at, line)));
        }
        Ok(lines)
    }

    /// How many acts of each kind were told of on a day, counted from 1970-01-01, in the order of the
    /// kinds' numbers; only those of `performer`, if one is given.
    pub fn counts(
        &self,
        scope: Option<LogScope>,
        performer: Option<&str>,
        day: i32,
    ) -> Result<Vec<(LogKind, u64)>, Error> {
        let span = Span::under(keys::log_counts(day, scope, performer));
        let (table, read) = (Table::LogCounts, keys::read_log_count);
        let counts = self.0.tx().records(table, &span, KINDS, read)?;
        let of_kind = counts
            .into_iter()
            .filter_map(|(kind, count)| Some((kind?, count)));
        Ok(of_kind.collect())
    }

    /// How many acts there were in a scope on a day, of whatever kind.
    pub fn count(&self, scope: LogScope, day: i32) -> Result<u64, Error> {
        let key = keys::log_count(day, Some(scope), None, None);
        Ok(self.0.tx().record(Table::LogCounts, &key)?.unwrap_or(0))
    }
}

impl Logs<&mut WriteTx<'_>> {
    /// Writes a line.
    pub fn append(&mut self, entry: &LogEntry) -> Result<(), Error> {
        let sequence = repositories::next_id(self.0, "last_log")?;
        let performer = entry.performer_name();
        self.0
            .put_record(Table::Logs, keys::log(entry.at, sequence), entry);
        for scope in entry.scopes() {
            let key = keys::scoped_log(scope, entry.at, sequence);
            self.0.mark(Table::LogsByScope, key);
            if let Some(performer) = &performer {
                let key = keys::performer_log(scope, performer, entry.at, sequence);
                self.0.mark(Table::LogsByPerformer, key);
            }
        }
        self.count_entry(entry, performer.as_deref())
    }

    fn count_entry(&mut self, entry: &LogEntry, performer: Option<&str>) -> Result<(), Error> {
        let (day, kind) = (day(entry.at), Some(entry.kind));
        let acts = u64::from(entry.count);
        for scope in std::iter::once(None).chain(entry.scopes().map(Some)) {
            self.add(keys::log_count(day, scope, None, kind), acts)?;
            if performer.is_some() {
                self.add(keys::log_count(day, scope, performer, kind), acts)?;
            }
        }
        match entry.repository.map(LogScope::Repository) {
            None => Ok(()),
            scope => self.add(keys::log_count(day, scope, None, None), acts),
        }
    }

    fn add(&mut self, key: keys::Key, acts: u64) -> Result<(), Error> {
        let before: u64 = self.0.record(Table::LogCounts, &key)?.unwrap_or(0);
        let count = before.saturating_add(acts);
        self.0.put_record(Table::LogCounts, key, &count);
        Ok(())
    }

    /// Removes up to `limit` lines older than `before`, and returns how many went; their counts stay.
    pub fn remove_lines(&mut self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let last = Timestamp::from_millis(before.as_millis().saturating_sub(1));
        let span = Span::from(keys::log_time(last));
        let old: Vec<(LogPlace, LogEntry)> =
            self.0.records(Table::Logs, &span, limit, keys::read_log)?;
        for ((at, sequence), entry) in &old {
            self.0.remove(Table::Logs, keys::log(*at, *sequence));
            let performer = entry.performer_name();
            for scope in entry.scopes() {
                let key = keys::scoped_log(scope, *at, *sequence);
                self.0.remove(Table::LogsByScope, key);
                if let Some(performer) = &performer {
                    let key = keys::performer_log(scope, performer, *at, *sequence);
                    self.0.remove(Table::LogsByPerformer, key);
                }
            }
        }
        Ok(old.len())
    }

    /// Removes up to `limit` counts of days before `day`, and returns how many went.
    pub fn remove_counts(&mut self, day: i32, limit: usize) -> Result<usize, Error> {
        let span = Span::up_to(&keys::log_day(day.saturating_sub(1)));
        let key = |key: &[u8]| Some(key.to_vec());
        let old = self.0.keys(Table::LogCounts, &span, limit, key)?;
        let removed = old.len();
        for key in old {
            self.0.remove(Table::LogCounts, key);
        }
        Ok(removed)
    }
}

/// The keys of a filter's lines below `prefix`.
fn span(filter: &LogFilter, prefix: &[u8]) -> Span {
    let last = Timestamp::from_millis(filter.until.as_millis().saturating_sub(1));
    let from = [prefix, &keys::log_time(last)].concat();
    let to = [prefix, &keys::log_time(filter.since)].concat();
    Span::between(from, &to)
}

fn place((at, sequence): LogPlace) -> keys::Key {
    keys::log(at, sequence)
}

/// The day of a time, counted from 1970-01-01.
pub fn day(at: Timestamp) -> i32 {
    let day = at.as_millis().div_euclid(DAY);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}
