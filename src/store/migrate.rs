//! Which schema a file has, and what is done about it.
//!
//! The number stands in a row whose place and form never change, so that any release can read it.
//! A file of a newer schema is refused (LC-05). A file of an older one is brought up to date step by
//! step, each in one transaction that also writes the number: before it, nothing has changed, and
//! after it, the earlier release refuses the file.
//!
//! | schema | what it brought |
//! |---|---|
//! | 2 | namespaces in place of organisations; lifetimes in place of tag events, which nothing showed |
//! | 3 | the bytes of every repository are counted |
//! | 4 | mirrors: repositories, jobs and lines of the log that earlier releases cannot read |
//!
//! A table that only adds to the others comes without a number of its own: it is made when it is not there.
//! What an earlier release would read wrongly, or not at all, brings a number, so that it refuses the file
//! rather than some of its rows. `open` keeps a copy of the file before the first step.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable as _, TableDefinition, TableError,
    TableHandle as _, WriteTransaction,
};

use super::tables::Table;
use super::tag_places::BLOCK;
use super::{Error, codec, keys, usage};
use crate::model::{
    BlobRecord, ManifestRecord, NamespaceId, RepositoryId, RepositoryRecord, TagList, TagPlace,
    TagRecord,
};

/// The schema that this release reads and writes.
pub(super) const SCHEMA: u64 = 4;

/// The row of the schema's number, in [`Table::Meta`].
const ROW: &str = "schema";

/// What is said of a file of redb that holds no store.
#[derive(Debug, thiserror::Error)]
#[error("it is a database of another program")]
struct Foreign;

/// Makes every table, and says which schema they follow.
pub(super) fn initialise(database: &Database) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    for table in Table::ALL {
        transaction.open_table(table.definition())?;
    }
    transaction
        .open_table(Table::Meta.definition())?
        .insert(&*keys::name(ROW), &SCHEMA.to_be_bytes()[..])?;
    Ok(transaction.commit()?)
}

/// Brings an opened file to this release's schema.
///
/// # Errors
/// As [`check`]; the disk's.
pub(super) fn upgrade(path: &Path, database: &Database) -> Result<(), Error> {
    let failed = |error| Error::file(path, error);
    let found = check(path, database)?;
    if found < 2 {
        step(database, 2, to_second).map_err(failed)?;
    }
    make_tables(database).map_err(failed)?;
    if found < 3 {
        step(database, 3, count_bytes).map_err(failed)?;
    }
    if found < 4 {
        step(database, 4, |_| Ok(())).map_err(failed)?;
    }
    if found < SCHEMA {
        tracing::info!(store.schema = SCHEMA, "the store was brought up to date");
    }
    Ok(())
}

/// One step, in one transaction with the number of the schema that it leads to.
fn step(
    database: &Database,
    schema: u64,
    change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    change(&transaction)?;
    transaction
        .open_table(Table::Meta.definition())?
        .insert(&*keys::name(ROW), &schema.to_be_bytes()[..])?;
    Ok(transaction.commit()?)
}

/// Makes the tables that are not there, since a reader makes none.
fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let there: BTreeSet<String> = {
        let snapshot = database.begin_read()?;
        let tables = snapshot.list_tables()?;
        tables.map(|table| table.name().to_owned()).collect()
    };
    let lacks = |table: &&Table| !there.contains(table.name());
    if !Table::ALL.iter().any(|table| lacks(&table)) {
        return Ok(());
    }
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    for table in Table::ALL.iter().filter(lacks) {
        transaction.open_table(table.definition())?;
    }
    Ok(transaction.commit()?)
}

/// From schema 1 to 2.
fn to_second(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    type Old = TableDefinition<'static, &'static [u8], &'static [u8]>;
    for (old, table) in [
        ("organizations.v1", Table::Namespaces),
        ("organization_names.v1", Table::NamespaceNames),
        ("blob_organizations.v1", Table::BlobNamespaces),
    ] {
        transaction.rename_table(Old::new(old), table.definition())?;
    }
    transaction.delete_table(Old::new("tag_history.v1"))?;
    {
        let mut meta = transaction.open_table(Table::Meta.definition())?;
        let last = meta.remove(&*keys::name("last_organization"))?;
        let last = last.map(|row| row.value().to_vec());
        if let Some(last) = last {
            meta.insert(&*keys::name("last_namespace"), &*last)?;
        }
    }
    place_tags(transaction)
}

/// Gives every tag its place in the history of its repository, in the order in which they began. A tag
/// whose row is damaged gets none, and is met again by who reads it.
fn place_tags(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut tags = transaction.open_table(Table::Tags.definition())?;
    let mut places = transaction.open_table(Table::TagPlaces.definition())?;
    let mut blocks = transaction.open_table(Table::TagBlocks.definition())?;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = tags.range::<&[u8]>((from, Bound::Unbounded))?.next();
        let Some(next) = next.transpose()? else {
            return Ok(());
        };
        let prefix = next.0.value().get(..8).unwrap_or_default().to_vec();
        drop(next);
        let mut found = Vec::new();
        for row in tags.range::<&[u8]>((Bound::Included(&*prefix), Bound::Unbounded))? {
            let (key, value) = row?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            after = Some(key.value().to_vec());
            let record = codec::decode::<TagRecord>(Table::Tags, value.value());
            let tag = keys::read_tag(key.value());
            found.extend(
                record
                    .ok()
                    .zip(tag)
                    .map(|(record, tag)| (record.since, tag, record)),
            );
        }
        found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let Some(repository) = keys::read_repository(&prefix) else {
            continue;
        };
        for (rows, (start, tag, record)) in found.into_iter().enumerate() {
            let place = rows as u64 + 1;
            let key = keys::tag(repository, &tag);
            let record = TagRecord { place, ..record };
            tags.insert(&*key, &*codec::encode(&record))?;
            let lifetime = None;
            let line = codec::encode(&TagPlace {
                tag,
                start,
                lifetime,
            });
            for list in [TagList::All, TagList::Live] {
                places.insert(&*keys::tag_place(repository, list, place), &*line)?;
                let block = place / BLOCK;
                let count = place - (block * BLOCK).max(1) + 1;
                let key = keys::tag_place(repository, list, block);
                blocks.insert(&*key, &*codec::encode(&count))?;
            }
        }
    }
}

/// Counts the bytes of every repository: of the blobs it links, and of its manifests if they were fetched.
/// Those that were pushed no longer count for their namespace. What is damaged counts nothing, and is met
/// again by who reads it.
fn count_bytes(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut counts = transaction.open_table(Table::RepositoryUsage.definition())?;
    counts.retain(|_, _| false)?;
    let mut add = |repository: RepositoryId, bytes: u64| -> Result<(), redb::Error> {
        let key = keys::repository(repository);
        let before = counts.get(&*key)?.and_then(|row| {
            let before = codec::decode::<u64>(Table::RepositoryUsage, row.value());
            before.ok()
        });
        let sum = before.unwrap_or(0).saturating_add(bytes);
        if sum > 0 {
            counts.insert(&*key, &*codec::encode(&sum))?;
        }
        Ok(())
    };
    let blobs = transaction.open_table(Table::Blobs.definition())?;
    let size = |digest: &[u8]| -> Result<u64, redb::Error> {
        let row = blobs.get(digest)?;
        let record = row.map(|row| codec::decode::<BlobRecord>(Table::Blobs, row.value()));
        Ok(record
            .and_then(Result::ok)
            .map_or(0, |blob| blob.size_bytes))
    };
    let mut uncounted: BTreeMap<NamespaceId, u64> = BTreeMap::new();
    let repositories = transaction.open_table(Table::Repositories.definition())?;
    let record = |id: RepositoryId| -> Result<Option<RepositoryRecord>, redb::Error> {
        let row = repositories.get(&*keys::repository(id))?;
        let record = row.map(|row| codec::decode(Table::Repositories, row.value()));
        Ok(record.and_then(Result::ok))
    };
    for table in [Table::Manifests, Table::BlobLinks] {
        let mut of = (RepositoryId(0), 0_u64);
        for row in transaction.open_table(table.definition())?.iter()? {
            let (key, value) = row?;
            let Some(repository) = keys::read_repository(key.value()) else {
                continue;
            };
            if repository != of.0 {
                add(of.0, of.1)?;
                of = (repository, 0);
            }
            let bytes = match table {
                Table::Manifests => {
                    let manifest = codec::decode::<ManifestRecord>(table, value.value());
                    let bytes = manifest.map_or(0, |record| record.size_bytes);
                    match record(repository)? {
                        Some(record) if !record.fetched => {
                            *uncounted.entry(record.namespace).or_default() += bytes;
                            0
                        }
                        _ => bytes,
                    }
                }
                _ => size(key.value().get(8..).unwrap_or_default())?,
            };
            of.1 = of.1.saturating_add(bytes);
        }
        add(of.0, of.1)?;
    }
    let mut held = transaction.open_table(Table::Usage.definition())?;
    let mut all = 0_u64;
    for row in blobs.iter()? {
        let record = codec::decode::<BlobRecord>(Table::Blobs, row?.1.value());
        all = all.saturating_add(record.map_or(0, |blob| blob.size_bytes));
    }
    held.insert(&*usage::of_everything(), &*codec::encode(&all))?;
    for (namespace, bytes) in uncounted {
        let key = keys::namespace(namespace);
        let row = held.get(&*key)?;
        let before = row.and_then(|row| codec::decode::<u64>(Table::Usage, row.value()).ok());
        let left = before.unwrap_or(0).saturating_sub(bytes);
        held.insert(&*key, &*codec::encode(&left))?;
    }
    Ok(())
}

/// Which schema the file has.
///
/// # Errors
/// [`Error::NewerSchema`], or [`Error::Open`] if the file is no store.
pub(super) fn check(path: &Path, database: &impl ReadableDatabase) -> Result<u64, Error> {
    let failed = |error| Error::file(path, error);
    let snapshot = database
        .begin_read()
        .map_err(|error| failed(error.into()))?;
    match schema(&snapshot).map_err(failed)? {
        Some(found @ 1..=SCHEMA) => Ok(found),
        Some(found) if found > SCHEMA => Err(Error::NewerSchema {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        }),
        Some(_) | None => Err(Error::file(path, Foreign)),
    }
}

pub(super) fn schema(snapshot: &ReadTransaction) -> Result<Option<u64>, redb::Error> {
    let meta = match snapshot.open_table(Table::Meta.definition()) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        // No such table, or one of other types.
        Err(_) => return Ok(None),
    };
    let row = meta.get(&*keys::name(ROW))?;
    Ok(row.and_then(|row| keys::read_number(row.value())))
}
