//! A store made of the rows of a dump.
//!
//! Called by restores, over bytes whose checksum was compared. Promises all the same that no bytes make
//! it do more than refuse them: lengths and numbers are bounded, and a file that is not finished is not
//! left behind. Knows nothing of what rows mean: a store is checked after it was opened.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use redb::{Builder, TableDefinition};

use super::dump::{END, HEAD, ROW, TABLE};
use super::{Error, migrate};

/// Longest key. Keys of ours are a few names long.
const KEY_BYTES: usize = 64 * 1024;

/// Longest value: a manifest has up to 4 MiB, a row of an index of a whole repository less.
const VALUE_BYTES: usize = 64 * 1024 * 1024;

/// Most tables.
const TABLES: u64 = 1_000;

/// Memory for pages while the file is made.
const CACHE_BYTES: usize = 64 << 20;

/// Makes the store `path`, for its owner alone, of the rows in `rows`; returns how many there were.
///
/// The file is durable when this returns, its name is the caller's to sync.
///
/// # Errors
/// [`Error::Dump`] if they are not rows of a store that this release knows, [`Error::Open`] if the file
/// cannot be written; there is no file then.
pub fn load(path: &Path, rows: &mut dyn Read) -> Result<u64, Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::file(path, error))?;
    let loaded = fill(path, rows);
    if loaded.is_err() {
        // Whatever it holds is of no use; what went wrong is told.
        let _ = fs::remove_file(path);
    }
    loaded
}

fn fill(path: &Path, rows: &mut dyn Read) -> Result<u64, Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    let database = builder
        .create(path)
        .map_err(|error| Error::opening(path, error))?;
    let failed = |error: redb::Error| Error::file(path, error);
    let mut transaction = database
        .begin_write()
        .map_err(|error| failed(error.into()))?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    let mut reader = Reader { rows };
    reader.expect(HEAD)?;
    let (mut tables, mut count) = (0_u64, 0_u64);
    let mut tag = reader.byte()?;
    while tag == TABLE {
        tables += 1;
        if tables > TABLES {
            return Err(not_rows("it has too many tables"));
        }
        let name = reader.name()?;
        let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(&name);
        let mut table = transaction
            .open_table(definition)
            .map_err(|error| failed(error.into()))?;
        loop {
            tag = reader.byte()?;
            if tag != ROW {
                break;
            }
            let (key, value) = (reader.bytes(KEY_BYTES)?, reader.bytes(VALUE_BYTES)?);
            table
                .insert(&*key, &*value)
                .map_err(|error| failed(error.into()))?;
            count += 1;
        }
    }
    if tag != END || reader.number()? != tables || reader.number()? != count {
        return Err(not_rows("it is not as long as it says"));
    }
    if reader.has_more()? {
        return Err(not_rows("bytes follow its end"));
    }
    transaction.commit().map_err(|error| failed(error.into()))?;
    migrate::check(path, &database)?;
    Ok(count)
}

/// The parts of a dump, each bounded.
struct Reader<'a> {
    rows: &'a mut dyn Read,
}

impl Reader<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let cut = |_| not_rows("it ends before it is complete");
        self.rows.read_exact(buffer).map_err(cut)
    }

    fn expect(&mut self, text: &[u8]) -> Result<(), Error> {
        let mut found = vec![0; text.len()];
        self.fill(&mut found)?;
        match found == text {
            true => Ok(()),
            false => Err(not_rows("it begins otherwise")),
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// The name of a table: lower-case letters, digits, `_` and `.`.
    fn name(&mut self) -> Result<String, Error> {
        let mut length = [0; 2];
        self.fill(&mut length)?;
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 || length > 64 {
            return Err(not_rows("a table of it has a strange name"));
        }
        let mut name = vec![0; length];
        self.fill(&mut name)?;
        let is_name = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.');
        match String::from_utf8(name) {
            Ok(name) if name.as_bytes().iter().all(is_name) => Ok(name),
            _ => Err(not_rows("a table of it has a strange name")),
        }
    }

    fn bytes(&mut self, most: usize) -> Result<Vec<u8>, Error> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > most {
            return Err(not_rows("a row of it is too long"));
        }
        // Grows with what comes, so that a length alone takes no memory.
        let mut bytes = Vec::new();
        let read = (&mut *self.rows)
            .take(length as u64)
            .read_to_end(&mut bytes);
        match read {
            Ok(read) if read == length => Ok(bytes),
            _ => Err(not_rows("it ends before it is complete")),
        }
    }

    fn has_more(&mut self) -> Result<bool, Error> {
        let more = self.rows.read(&mut [0]);
        Ok(more.map_err(|error| not_rows(&error.to_string()))? > 0)
    }
}

fn not_rows(reason: &str) -> Error {
    Error::Dump {
        reason: reason.to_owned(),
    }
}
