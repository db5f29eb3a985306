//! What a batch of writes has changed so far, laid over the rows of the file.
//!
//! Closures change this, never redb: the writer applies it when all of a batch have run, sorted by
//! table and key, which is also the order that dirties the fewest pages. So a closure that fails or
//! panics is undone by taking its own changes back, and its neighbours notice nothing.

use std::collections::BTreeMap;

use super::keys::{Key, Span};
use super::tables::Table;

/// What a row shall be: these bytes, or gone.
pub(super) type Change = Option<Vec<u8>>;

/// Changed rows of every table, with the way back to the last [`Changes::keep`].
pub(super) struct Changes {
    tables: [BTreeMap<Key, Change>; Table::COUNT],
    /// What stood here before each change since then, oldest first.
    undo: Vec<(Table, Key, Option<Change>)>,
    bytes: usize,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            tables: std::array::from_fn(|_| BTreeMap::new()),
            undo: Vec::new(),
            bytes: 0,
        }
    }

    /// What is to become of a row; `None` if it was not changed.
    pub(super) fn find(&self, table: Table, key: &[u8]) -> Option<&Change> {
        self.tables[table as usize].get(key)
    }

    /// Changed rows of a range, in the order of their keys.
    pub(super) fn range(&self, table: Table, span: &Span) -> impl Iterator<Item = (&Key, &Change)> {
        self.tables[table as usize].range::<[u8], _>(span.bounds())
    }

    pub(super) fn set(&mut self, table: Table, key: Key, change: Change) {
        self.bytes += key.len() + change.as_ref().map_or(0, Vec::len);
        let before = self.tables[table as usize].insert(key.clone(), change);
        self.undo.push((table, key, before));
    }

    /// Makes what was changed so far final for this batch.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    /// Takes back what was changed since the last [`Changes::keep`].
    pub(super) fn take_back(&mut self) {
        for (table, key, before) in self.undo.drain(..).rev() {
            let rows = &mut self.tables[table as usize];
            match before {
                Some(change) => rows.insert(key, change),
                None => rows.remove(&key),
            };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    /// About how much memory was asked for, taken back or not.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changed tables with their rows, in the order of their keys.
    pub(super) fn tables(&self) -> impl Iterator<Item = (Table, &BTreeMap<Key, Change>)> {
        let all = Table::ALL.iter().copied().zip(&self.tables);
        all.filter(|(_, rows)| !rows.is_empty())
    }
}
