//! Room on the disk for the store's own file, taken before it is needed (DK-03).
//!
//! On a full disk content must still be let go, and every letting go is a write here; one that meets
//! the end of the disk fails the store for good. So the whole file is backed by blocks, also where redb
//! has written nothing yet, and some more behind its end, into which it can grow. Where the file system
//! cannot do that, or the disk is short already, the store works as well and is only less safe.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

/// Room behind the end of the file: some hundred small transactions.
const SPARE_BYTES: u64 = 4 << 20;

/// At most this part of the disk's free space is taken at once.
const PART_OF_FREE: u64 = 4;

/// The size that [`std::os::unix::fs::MetadataExt::blocks`] counts in, whatever the file system has.
const BLOCK_BYTES: u64 = 512;

/// A handle on the file, for its blocks only.
#[derive(Debug)]
pub(super) struct Room {
    /// Without it the file is as it comes.
    file: Option<File>,
    /// The length for which there is room, or was none.
    seen: u64,
}

impl Room {
    /// Takes room for the file at `path`.
    pub(super) fn take(path: &Path) -> Self {
        let file = OpenOptions::new().write(true).open(path).ok();
        let mut room = Self { file, seen: 0 };
        room.renew();
        room
    }

    /// Takes more if the file has grown.
    pub(super) fn renew(&mut self) {
        let Some(file) = &self.file else { return };
        let Ok(metadata) = file.metadata() else {
            return;
        };
        if metadata.len() == self.seen {
            return;
        }
        self.seen = metadata.len();
        let wanted = metadata.len() + SPARE_BYTES;
        let missing = wanted.saturating_sub(metadata.blocks() * BLOCK_BYTES);
        let free = fstatvfs(file).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        if missing == 0 || missing > free / PART_OF_FREE {
            return;
        }
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, wanted) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.file = None,
            Err(error) => tracing::warn!(%error, "no room could be taken for the store to grow"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_blocks_for_all_of_it_and_some_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        let blocks = || file.metadata().unwrap().blocks() * BLOCK_BYTES;
        let mut room = Room::take(&path);
        if room.file.is_none() {
            // A file system without fallocate(2).
            assert_eq!(file.metadata().unwrap().len(), 1 << 20);
            return;
        }
        assert!(blocks() >= (1 << 20) + SPARE_BYTES);
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
        file.set_len(3 << 20).unwrap();
        room.renew();
        assert!(blocks() >= (3 << 20) + SPARE_BYTES);
    }
}
