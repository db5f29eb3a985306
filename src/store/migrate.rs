//! Which schema a file has, and what is done about it.
//!
//! The number stands in a row whose place and form never change, so that any release can read it.
//! A file of a newer schema is refused (LC-05). Schema 1 is the first: a file of an older one does
//! not exist, so there is no step to run. The next schema brings its step here, run in one
//! transaction that also writes the number.

use std::path::Path;

use redb::{Database, ReadTransaction, ReadableDatabase, TableError};

use super::tables::Table;
use super::{Error, keys};

/// The schema that this release reads and writes.
pub(super) const SCHEMA: u64 = 1;

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

/// # Errors
/// [`Error::NewerSchema`], or [`Error::Open`] if the file is no store.
pub(super) fn check(path: &Path, database: &impl ReadableDatabase) -> Result<(), Error> {
    let failed = |error| Error::file(path, error);
    let snapshot = database
        .begin_read()
        .map_err(|error| failed(error.into()))?;
    match schema(&snapshot).map_err(failed)? {
        Some(SCHEMA) => Ok(()),
        Some(found) if found > SCHEMA => Err(Error::NewerSchema {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        }),
        Some(_) | None => Err(Error::file(path, Foreign)),
    }
}

fn schema(snapshot: &ReadTransaction) -> Result<Option<u64>, redb::Error> {
    let meta = match snapshot.open_table(Table::Meta.definition()) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        // No such table, or one of other types.
        Err(_) => return Ok(None),
    };
    let row = meta.get(&*keys::name(ROW))?;
    Ok(row.and_then(|row| keys::read_number(row.value())))
}
