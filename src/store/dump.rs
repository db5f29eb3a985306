//! Every row of a snapshot as one stream of bytes, for backups; and which blobs go with it.
//!
//! ```text
//!  "entrepot rows 1\n"
//!  T  name (u16 length)                    a table begins
//!  R  key (u32 length)  value (u32 length) a row of it, in the order of keys
//!  E  tables (u64)  rows (u64)             the end; without it the stream was cut
//! ```
//!
//! Lengths and numbers are big-endian. Rows stand as they are in the file, so that `load` makes a store
//! of the same schema of them, whatever release reads it then upgrades that as any other.
//!
//! Why rows and not the file, or a copy of it made by redb: the rows of a snapshot are consistent while
//! writes go on, have no free pages, need no second file beside the store, and do not depend on how redb
//! lays out a file. A read transaction is held for as long as the stream takes, which pins the pages that
//! are replaced meanwhile and blocks nobody. A page that cannot be read ends the dump, and not the server.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{
    ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
    TableHandle as _,
};

use super::tables::Table;
use super::{Error, ReadTx, migrate};
use crate::model::{NamespaceId, NamespaceKind, RepositoryId};
use crate::oci::Digest;

/// How a dump begins.
pub(super) const HEAD: &[u8] = b"entrepot rows 1\n";
pub(super) const TABLE: u8 = b'T';
pub(super) const ROW: u8 = b'R';
pub(super) const END: u8 = b'E';

/// Bytes that are passed on at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Rows of blobs looked at in one go.
const PAGE: usize = 1_000;

/// Takes what is written; an error of its own ends the dump.
pub type Sink<'a> = dyn FnMut(Vec<u8>) -> io::Result<()> + 'a;

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dumped {
    pub schema: u64,
    pub tables: u64,
    pub rows: u64,
    pub namespaces: u64,
    pub repositories: u64,
    pub manifests: u64,
    pub tags: u64,
    pub users: u64,
}

/// Whether what caches hold, which can be fetched again, is meant as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cached {
    Left,
    Taken,
}

impl ReadTx {
    /// Writes every row; see the file's head for the form.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if the file is damaged, or `out` takes no more.
    pub fn dump(&self, out: &mut Sink<'_>) -> Result<Dumped, Error> {
        // Unwind safety: only the snapshot is looked at, and nothing of a broken dump is used.
        let dumped = catch_unwind(AssertUnwindSafe(|| dump(self.snapshot(), out)));
        match dumped {
            Ok(Ok(dumped)) => Ok(dumped),
            Ok(Err(error)) => Err(Error::unreadable(error)),
            Err(_) => Err(Error::unreadable("a page of it has no known form")),
        }
    }

    /// Tells `out` of every blob that a backup takes along, with its size, in the order of digests: what
    /// was pushed or mirrored here, and if wanted what caches hold.
    ///
    /// # Errors
    /// The store's; [`Error::Unreadable`] if `out` takes no more.
    pub fn blobs_to_keep(
        &self,
        cached: Cached,
        out: &mut dyn FnMut(Digest, u64) -> io::Result<()>,
    ) -> Result<(), Error> {
        let caches = match cached {
            Cached::Left => Some(self.caches()?),
            Cached::Taken => None,
        };
        let mut after = None;
        loop {
            let page = self.blobs().list(after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (digest, record) in page {
                let is_kept = match &caches {
                    Some(caches) => self.is_local(&digest, caches)?,
                    None => true,
                };
                if is_kept {
                    out(digest, record.size_bytes).map_err(Error::unreadable)?;
                }
            }
        }
    }

    fn caches(&self) -> Result<Caches, Error> {
        let mut caches = Caches::default();
        for (id, record) in self.namespaces().list()? {
            if record.kind != NamespaceKind::Cache {
                continue;
            }
            caches.namespaces.push(id);
            let mut after = None;
            loop {
                let page = self.repositories().list(id, after.as_ref(), PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (_, repository) in page {
                    let record = self.repositories().record(repository)?;
                    if record.is_some_and(|record| !record.fetched) {
                        caches.pushed.push(repository);
                    }
                }
            }
        }
        Ok(caches)
    }

    /// Whether anything but a cache has the blob.
    fn is_local(&self, digest: &Digest, caches: &Caches) -> Result<bool, Error> {
        if !self.blobs().holders(digest, 1)?.is_empty() {
            return Ok(true);
        }
        // One more than there are caches, so that one that is none is among them.
        let namespaces = self
            .blobs()
            .namespaces(digest, caches.namespaces.len() + 1)?;
        if namespaces.iter().any(|id| !caches.namespaces.contains(id)) {
            return Ok(true);
        }
        for repository in &caches.pushed {
            if self.blobs().link_record(*repository, digest)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Namespaces whose content can be fetched again, and what was pushed into them all the same.
#[derive(Default)]
struct Caches {
    namespaces: Vec<NamespaceId>,
    pushed: Vec<RepositoryId>,
}

/// What ends a dump early.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Store(#[from] redb::Error),
    #[error(transparent)]
    Sink(#[from] io::Error),
    #[error("it is a database of another program")]
    Foreign,
    #[error("a name, key or value of it is too long")]
    Long,
}

impl From<redb::StorageError> for Stopped {
    fn from(error: redb::StorageError) -> Self {
        Self::Store(error.into())
    }
}

impl From<redb::TableError> for Stopped {
    fn from(error: redb::TableError) -> Self {
        Self::Store(error.into())
    }
}

fn dump(snapshot: &ReadTransaction, out: &mut Sink<'_>) -> Result<Dumped, Stopped> {
    let mut dumped = Dumped {
        schema: migrate::schema(snapshot)?.ok_or(Stopped::Foreign)?,
        ..Dumped::default()
    };
    let mut names: Vec<String> = snapshot
        .list_tables()?
        .map(|table| table.name().to_owned())
        .collect();
    names.sort_unstable();
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    piece.extend_from_slice(HEAD);
    for name in &names {
        let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(name);
        let table = snapshot.open_table(definition)?;
        count(&mut dumped, name, table.len()?);
        piece.push(TABLE);
        let length = u16::try_from(name.len()).map_err(|_| Stopped::Long)?;
        piece.extend_from_slice(&length.to_be_bytes());
        piece.extend_from_slice(name.as_bytes());
        for row in table.iter()? {
            let (key, value) = row?;
            piece.push(ROW);
            for bytes in [key.value(), value.value()] {
                let length = u32::try_from(bytes.len()).map_err(|_| Stopped::Long)?;
                piece.extend_from_slice(&length.to_be_bytes());
                piece.extend_from_slice(bytes);
            }
            dumped.rows += 1;
            if piece.len() >= PIECE_BYTES {
                out(std::mem::take(&mut piece))?;
            }
        }
        dumped.tables += 1;
    }
    piece.push(END);
    piece.extend_from_slice(&dumped.tables.to_be_bytes());
    piece.extend_from_slice(&dumped.rows.to_be_bytes());
    out(piece)?;
    Ok(dumped)
}

fn count(dumped: &mut Dumped, name: &str, rows: u64) {
    let of = |table: Table| name == table.name();
    if of(Table::Namespaces) {
        dumped.namespaces = rows;
    } else if of(Table::Repositories) {
        dumped.repositories = rows;
    } else if of(Table::Manifests) {
        dumped.manifests = rows;
    } else if of(Table::Tags) {
        dumped.tags = rows;
    } else if of(Table::Users) {
        dumped.users = rows;
    }
}
