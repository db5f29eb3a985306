//! Which memory of a connection's answers is mapped from which file.
//!
//! Pieces of files are registered when they are given to hyper, and looked up when hyper writes them.
//!
//! Invariant: a registration holds the mapping's bytes, so while it stands no other memory can have that
//! address; it goes when hyper drops the piece. Only complete files that are never changed are mapped.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The mapped pieces that hyper holds for one connection.
#[derive(Clone, Default)]
pub(super) struct Mappings(Arc<Mutex<Vec<Mapped>>>);

struct Mapped {
    bytes: Bytes,
    file: Arc<OwnedFd>,
    offset: u64,
}

/// A registration; dropped, it ends.
pub(super) struct Lease {
    mappings: Mappings,
    place: Range<usize>,
}

impl Mappings {
    /// Registers `bytes` as what `file` holds at `offset`.
    pub(super) fn register(&self, bytes: Bytes, file: Arc<OwnedFd>, offset: u64) -> Lease {
        let lease = Lease {
            mappings: self.clone(),
            place: addresses(&bytes),
        };
        self.entries().push(Mapped {
            bytes,
            file,
            offset,
        });
        lease
    }

    /// The file, and the place in it, of which `slice` is the mapped memory.
    pub(super) fn locate(&self, slice: &[u8]) -> Option<(Arc<OwnedFd>, u64)> {
        let wanted = addresses(slice);
        self.entries().iter().find_map(|mapped| {
            let held = addresses(&mapped.bytes);
            let within = held.start <= wanted.start && wanted.end <= held.end;
            within.then(|| {
                let skipped = (wanted.start - held.start) as u64;
                (mapped.file.clone(), mapped.offset + skipped)
            })
        })
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Mapped>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut entries = self.mappings.entries();
        let ours = |mapped: &Mapped| addresses(&mapped.bytes) == self.place;
        // Of two registrations of the same memory it does not matter which goes first.
        if let Some(index) = entries.iter().position(ours) {
            entries.swap_remove(index);
        }
    }
}

fn addresses(slice: &[u8]) -> Range<usize> {
    let range = slice.as_ptr_range();
    range.start.addr()..range.end.addr()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn some_file() -> Arc<OwnedFd> {
        Arc::new(File::open("/dev/null").unwrap().into())
    }

    /// A lease that ends leaves the others, even those of the same memory.
    #[test]
    fn leases_end_one_by_one() {
        let mappings = Mappings::default();
        let (memory, file) = (Bytes::from(vec![7; 4]), some_file());
        let whole = mappings.register(memory.clone(), file.clone(), 0);
        let again = mappings.register(memory.clone(), file.clone(), 0);
        let front = mappings.register(memory.slice(0..2), file, 0);
        drop(whole);
        assert!(mappings.locate(&memory).is_some());
        drop(again);
        assert!(mappings.locate(&memory).is_none());
        assert_eq!(mappings.locate(&memory[1..2]).unwrap().1, 1);
        drop(front);
        assert!(mappings.entries().is_empty());
    }

    /// A mapping is held while it is registered, so its address cannot become other memory.
    #[test]
    fn a_registration_holds_the_mapping() {
        struct Mapping(Arc<AtomicUsize>);
        impl AsRef<[u8]> for Mapping {
            fn as_ref(&self) -> &[u8] {
                b"mapped"
            }
        }
        impl Drop for Mapping {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let unmapped = Arc::new(AtomicUsize::new(0));
        let bytes = Bytes::from_owner(Mapping(unmapped.clone()));
        let mappings = Mappings::default();
        let lease = mappings.register(bytes, some_file(), 0);
        assert_eq!(unmapped.load(Ordering::Relaxed), 0);
        drop(lease);
        assert_eq!(unmapped.load(Ordering::Relaxed), 1);
    }
}
