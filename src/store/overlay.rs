//! The store's file where it may not be written: read as it is, with changes kept in memory.
//!
//! Redb writes when it opens a file, and more when the last process did not close it, so opening for reading
//! alone would not do after a crash. Here its writes go into pages in memory, which are gone with the process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::StorageBackend;

/// Bytes of a page of changes.
const PAGE: u64 = 4096;

/// Most pages of changes, 64 MiB of them: far more than a start ever writes.
const PAGES: usize = 16_384;

/// A file under changes.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    changes: RwLock<Changes>,
}

#[derive(Debug)]
struct Changes {
    len: u64,
    /// How much of the file still shows: what was cut off comes back as zeros.
    shown: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let changes = Changes {
            len,
            shown: len,
            pages: BTreeMap::new(),
        };
        Ok(Self {
            file,
            changes: RwLock::new(changes),
        })
    }

    // A panic between two changes is redb's own, and ends its use of this.
    fn changes(&self) -> RwLockReadGuard<'_, Changes> {
        self.changes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes_mut(&self) -> RwLockWriteGuard<'_, Changes> {
        self.changes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// What the file shows from `offset` on, and zeros behind it.
    fn read_file(&self, file: &File, offset: u64, out: &mut [u8]) -> Result<()> {
        let shown = self.shown.saturating_sub(offset).min(out.len() as u64) as usize;
        let (there, behind) = out.split_at_mut(shown);
        behind.fill(0);
        file.read_exact_at(there, offset)
    }

    /// A page that may be changed.
    fn page(&mut self, file: &File, number: u64) -> Result<&mut [u8]> {
        if !self.pages.contains_key(&number) {
            if self.pages.len() >= PAGES {
                let text = "too much to change in memory, on a volume that takes no writes";
                return Err(Error::new(ErrorKind::StorageFull, text));
            }
            let mut page = vec![0; PAGE as usize];
            self.read_file(file, number * PAGE, &mut page)?;
            self.pages.insert(number, page.into());
        }
        Ok(self.pages.entry(number).or_default())
    }
}

/// The parts of `len` bytes at `offset`, one for each page: its number, where in it, and where in the bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % PAGE) as usize;
        let begin = done;
        done = len.min(begin + PAGE as usize - within);
        (begin < len).then_some((at / PAGE, within, begin..done))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> Result<u64> {
        Ok(self.changes().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let changes = self.changes();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > changes.len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        changes.read_file(&self.file, offset, out)?;
        for (number, within, range) in parts(offset, out.len()) {
            if let Some(page) = changes.pages.get(&number) {
                let part = &page[within..within + range.len()];
                out[range].copy_from_slice(part);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut changes = self.changes_mut();
        if len < changes.len {
            changes.pages.split_off(&len.div_ceil(PAGE));
            if let Some(page) = changes.pages.get_mut(&(len / PAGE)) {
                page[(len % PAGE) as usize..].fill(0);
            }
        }
        changes.shown = changes.shown.min(len);
        changes.len = len;
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut changes = self.changes_mut();
        for (number, within, range) in parts(offset, data.len()) {
            let page = changes.page(&self.file, number)?;
            page[within..within + range.len()].copy_from_slice(&data[range]);
        }
        let end = offset + data.len() as u64;
        changes.len = changes.len.max(end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(bytes: &[u8]) -> (Overlay, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        (Overlay::open(file.path()).unwrap(), file)
    }

    fn read(overlay: &Overlay, offset: u64, len: usize) -> Vec<u8> {
        let mut out = vec![9; len];
        overlay.read(offset, &mut out).unwrap();
        out
    }

    #[test]
    fn changes_are_seen_and_the_file_stays() {
        let before = vec![1; 10_000];
        let (overlay, file) = overlay(&before);
        overlay.write(4_000, &[2; 200]).unwrap();
        overlay.write(9_990, &[3; 20]).unwrap();
        assert_eq!(overlay.len().unwrap(), 10_010);
        let now = read(&overlay, 0, 10_010);
        let expected = [&[1; 4_000][..], &[2; 200], &[1; 5_790], &[3; 20]];
        assert_eq!(now, expected.concat());
        assert_eq!(read(&overlay, 4_090, 20), [2; 20]);
        assert_eq!(std::fs::read(file.path()).unwrap(), before);
        overlay.read(10_000, &mut [0; 11]).unwrap_err();
    }

    #[test]
    fn what_was_cut_off_comes_back_as_zeros() {
        let (overlay, _file) = overlay(&[1; 10_000]);
        overlay.write(5_000, &[2; 100]).unwrap();
        overlay.set_len(5_050).unwrap();
        overlay.read(5_050, &mut [0]).unwrap_err();
        overlay.set_len(12_000).unwrap();
        assert_eq!(read(&overlay, 4_990, 10), [1; 10]);
        assert_eq!(read(&overlay, 5_000, 50), [2; 50]);
        assert_eq!(read(&overlay, 5_050, 6_950), vec![0; 6_950]);
    }

    #[test]
    fn memory_is_bounded() {
        let (overlay, _file) = overlay(&[]);
        let page = [1; PAGE as usize];
        for number in 0..PAGES as u64 {
            overlay.write(number * PAGE, &page).unwrap();
        }
        let refused = overlay.write(PAGES as u64 * PAGE, &page).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StorageFull);
    }
}
