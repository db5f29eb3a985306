//! Transactions: a snapshot to read, and what is to change on top of it.
//!
//! The rooms above see [`ReadTx`] and [`WriteTx`] with one accessor a noun; the files of the nouns see
//! rows of bytes. A write transaction is a read transaction with changes laid over its snapshot, so
//! every accessor reads the same way in both, and sees what was changed before it.
//!
//! Tables are opened when first touched and stay open: a point read opens one of some forty.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase};

use super::changes::{Change, Changes};
use super::codec::Stored;
use super::health::Health;
use super::keys::{Key, Span};
use super::tables::Table;
use super::{
    AppTokens, Audit, Blobs, Error, Immutability, Invitations, Labels, Logs, Manifests, Messages,
    Namespaces, Notices, OauthApplications, OauthAssignments, OauthTokens, Permissions, Prototypes,
    Purges, Quotas, Recency, Referrers, Repositories, Reviews, Robots, Settings, SigningKeys,
    Stars, Tags, Teams, Usage, Users, codec,
};
use super::{Jobs, Mirrors, ProxyCaches, PrunePolicies, ServiceKeys};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What runs once the changes of a write are durable.
pub(super) type Hook = Box<dyn FnOnce() + Send>;

/// Which way a counted row goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Count {
    Up,
    Down,
}

impl Count {
    pub(super) const fn apply(self, count: u64) -> u64 {
        match self {
            Self::Up => count.saturating_add(1),
            Self::Down => count.saturating_sub(1),
        }
    }
}

/// A consistent view of everything, as it was when the transaction began.
///
/// It keeps the pages of its snapshot from being reused, so it lives as briefly as the closure it is
/// given to.
pub struct ReadTx {
    snapshot: ReadTransaction,
    tables: [OnceCell<Rows>; Table::COUNT],
    changes: Changes,
    health: Arc<Health>,
}

/// A view of everything, with the changes of this write and of those before it in its batch.
///
/// Dereferences to [`ReadTx`], so that what reads can be shared between the two.
pub struct WriteTx<'batch> {
    tx: &'batch mut ReadTx,
    hooks: Vec<Hook>,
}

/// Either transaction, as far as reading goes.
pub trait Reads {
    /// The transaction that is read.
    fn tx(&self) -> &ReadTx;
}

impl Reads for &ReadTx {
    fn tx(&self) -> &ReadTx {
        self
    }
}

impl Reads for &mut WriteTx<'_> {
    fn tx(&self) -> &ReadTx {
        self.tx
    }
}

macro_rules! nouns {
    ($($(#[$doc:meta])* $accessor:ident: $view:ident,)*) => {
        impl ReadTx {
            $($(#[$doc])* pub const fn $accessor(&self) -> $view<&Self> { $view(self) })*
        }

        impl WriteTx<'_> {
            $($(#[$doc])* pub const fn $accessor(&mut self) -> $view<&mut Self> { $view(self) })*
        }
    };
}

nouns! {
    /// Namespaces that own repositories.
    namespaces: Namespaces,
    /// Repositories and their names.
    repositories: Repositories,
    /// Which repositories people like.
    stars: Stars,
    /// By what tags become immutable.
    immutability: Immutability,
    /// What is to be done by the clock.
    jobs: Jobs,
    /// By what tags end by themselves.
    prune_policies: PrunePolicies,
    /// Labels of manifests.
    labels: Labels,
    /// People.
    users: Users,
    /// Robot accounts of namespaces.
    robots: Robots,
    /// Teams of organisations, and who is in them.
    teams: Teams,
    /// Invitations into teams.
    invitations: Invitations,
    /// What is granted on single repositories.
    permissions: Permissions,
    /// What is granted on every repository that is made.
    prototypes: Prototypes,
    /// What is deleted and has rows left.
    purges: Purges,
    /// What organisations cache by the API.
    proxy_caches: ProxyCaches,
    /// What copies another registry's repositories on a schedule.
    mirrors: Mirrors,
    /// Tokens that users made for programs.
    app_tokens: AppTokens,
    /// Programs of others that act for users.
    oauth_applications: OauthApplications,
    /// Tokens that users gave to applications.
    oauth_tokens: OauthTokens,
    /// Tokens that users are offered.
    oauth_assignments: OauthAssignments,
    /// Keys of services that belong to this registry.
    service_keys: ServiceKeys,
    /// Keys that registry tokens are signed with.
    signing_keys: SigningKeys,
    /// Manifests, their documents, and who names whom.
    manifests: Manifests,
    /// Where tags point, and where they pointed.
    tags: Tags,
    /// Blobs, and who may read them.
    blobs: Blobs,
    /// Artifacts by what they refer to.
    referrers: Referrers,
    /// When content was last used.
    recency: Recency,
    /// Bytes held by namespaces.
    usage: Usage,
    /// What namespaces may hold, by the API.
    quotas: Quotas,
    /// What is to be looked at for collection.
    reviews: Reviews,
    /// The usage log.
    logs: Logs,
    /// What users and organisations are told.
    notices: Notices,
    /// Messages to everyone.
    messages: Messages,
    /// Single values by name.
    settings: Settings,
    /// Rows that are derived from others, to be compared with them.
    audit: Audit,
}

// === impl ReadTx ===

impl ReadTx {
    /// Begins at what is committed now.
    pub(super) fn begin(
        database: &dyn ReadableDatabase,
        health: &Arc<Health>,
    ) -> Result<Self, Error> {
        let snapshot = database
            .begin_read()
            .map_err(|error| health.fail("beginning a read", error))?;
        Ok(Self {
            snapshot,
            tables: [const { OnceCell::new() }; Table::COUNT],
            changes: Changes::new(),
            health: Arc::clone(health),
        })
    }

    /// The snapshot itself, for what looks at every table.
    pub(super) const fn snapshot(&self) -> &ReadTransaction {
        &self.snapshot
    }

    /// What `decode` makes of a row, if there is one.
    pub(super) fn row<T>(
        &self,
        table: Table,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if let Some(change) = self.changes.find(table, key) {
            return change.as_deref().map(decode).transpose();
        }
        let row = self.open(table)?.get(key);
        let row = row.map_err(|error| self.health.fail("reading a row", error))?;
        row.map(|row| decode(row.value())).transpose()
    }

    /// The record in a row, if there is one.
    pub(super) fn record<T: Stored>(&self, table: Table, key: &[u8]) -> Result<Option<T>, Error> {
        self.row(table, key, |bytes| codec::decode(table, bytes))
    }

    pub(super) fn has(&self, table: Table, key: &[u8]) -> Result<bool, Error> {
        let row = self.row(table, key, |_| Ok(()))?;
        Ok(row.is_some())
    }

    /// What `decode` makes of the first `limit` rows of a range, in the order of their keys.
    pub(super) fn page<T>(
        &self,
        table: Table,
        span: &Span,
        limit: usize,
        mut decode: impl FnMut(&[u8], &[u8]) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let fail = |error| self.health.fail("reading a range", error);
        let range = self.open(table)?.range::<&[u8]>(span.bounds());
        let mut stored = range.map_err(fail)?;
        let mut changed = self.changes.range(table, span).peekable();
        let mut page = Vec::new();
        let mut row = stored.next().transpose().map_err(fail)?;
        while page.len() < limit {
            // A changed row stands for the stored row of the same key.
            let order = match (&row, changed.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((key, _)), Some((changed, _))) => key.value().cmp(changed),
            };
            if let Some((key, value)) = &row
                && order.is_lt()
            {
                page.push(decode(key.value(), value.value())?);
            }
            if order.is_ge()
                && let Some((key, Some(value))) = changed.next()
            {
                page.push(decode(key, value)?);
            }
            if order.is_le() {
                row = stored.next().transpose().map_err(fail)?;
            }
        }
        Ok(page)
    }

    /// What `read` makes of the keys of the first `limit` rows of a range.
    pub(super) fn keys<T>(
        &self,
        table: Table,
        span: &Span,
        limit: usize,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        self.page(table, span, limit, |key, _| {
            read(key).ok_or_else(|| table.damaged_key())
        })
    }

    /// The keys and records of the first `limit` rows of a range.
    pub(super) fn records<K, T: Stored>(
        &self,
        table: Table,
        span: &Span,
        limit: usize,
        read: impl Fn(&[u8]) -> Option<K>,
    ) -> Result<Vec<(K, T)>, Error> {
        self.page(table, span, limit, |key, value| {
            let key = read(key).ok_or_else(|| table.damaged_key())?;
            Ok((key, codec::decode(table, value)?))
        })
    }

    pub(super) fn has_any(&self, table: Table, span: &Span) -> Result<bool, Error> {
        let first = self.page(table, span, 1, |_, _| Ok(()))?;
        Ok(!first.is_empty())
    }

    /// What is to be written, with the changes of the last closure kept or taken back.
    pub(super) const fn changes_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }

    /// Lets go of the snapshot and leaves what is to be written.
    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }

    fn open(&self, table: Table) -> Result<&Rows, Error> {
        let cell = &self.tables[table as usize];
        if let Some(rows) = cell.get() {
            return Ok(rows);
        }
        let rows = self.snapshot.open_table(table.definition());
        let rows = rows.map_err(|error| self.health.fail("opening a table", error))?;
        Ok(cell.get_or_init(|| rows))
    }
}

// === impl WriteTx ===

impl<'batch> WriteTx<'batch> {
    pub(super) const fn new(tx: &'batch mut ReadTx) -> Self {
        Self {
            tx,
            hooks: Vec::new(),
        }
    }

    /// Has `hook` run once the changes of this write are durable, before its caller is answered.
    ///
    /// If the write fails, or is run again, the hooks of that run are dropped. Hooks run on the
    /// writer thread, so they must be brief and must not wait for another write.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// About how much memory the changes of this write and of those before it in its batch take.
    pub const fn changed_bytes(&self) -> usize {
        self.tx.changes.bytes()
    }

    pub(super) fn put(&mut self, table: Table, key: Key, value: Vec<u8>) {
        self.tx.changes.set(table, key, Some(value));
    }

    pub(super) fn put_record<T: Stored>(&mut self, table: Table, key: Key, record: &T) {
        self.put(table, key, codec::encode(record));
    }

    /// Puts a row that says all it says by being there.
    pub(super) fn mark(&mut self, table: Table, key: Key) {
        self.put(table, key, Vec::new());
    }

    /// Removes a row; nothing happens if there is none.
    pub(super) fn remove(&mut self, table: Table, key: Key) {
        self.tx.changes.set(table, key, Change::None);
    }

    /// Counts one more or less in a row that is there only while it counts something.
    pub(super) fn count(&mut self, table: Table, key: Key, change: Count) -> Result<(), Error> {
        let before: Option<u64> = self.record(table, &key)?;
        match change.apply(before.unwrap_or(0)) {
            0 => self.remove(table, key),
            count => self.put_record(table, key, &count),
        }
        Ok(())
    }

    pub(super) fn into_hooks(self) -> Vec<Hook> {
        self.hooks
    }
}

impl Deref for WriteTx<'_> {
    type Target = ReadTx;

    fn deref(&self) -> &ReadTx {
        self.tx
    }
}
