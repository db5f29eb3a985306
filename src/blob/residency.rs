//! What of a blob the page cache was seen to have a moment ago.
//!
//! Looking costs a system call for each 64 KiB, which is dear beside sending a hot blob by sendfile;
//! so a look is remembered, by the MiB, for about two seconds. Pages that go within them make one
//! send wait for the disk, which is what would happen without looking at all.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::oci::ByteRange;

/// What is remembered as one.
const UNIT_BYTES: u64 = 1024 * 1024;

/// How long a look is trusted, in seconds of [`now`]: at least this less one, at most this.
const TRUSTED: u32 = 2;

/// When each unit was last seen to be cached; zero for never.
pub(super) struct Seen {
    units: Box<[AtomicU32]>,
    len: u64,
}

impl Seen {
    /// Nothing has been seen of a blob of `len` bytes.
    pub(super) fn nothing(len: u64) -> Self {
        let units = len.div_ceil(UNIT_BYTES);
        Self {
            units: (0..units).map(|_| AtomicU32::new(0)).collect(),
            len,
        }
    }

    /// Whether all of `range`, which lies within the blob, is cached: by memory, or by `look`, which is
    /// given what has not been seen lately.
    pub(super) fn all(&self, range: ByteRange, mut look: impl FnMut(ByteRange) -> bool) -> bool {
        let now = now();
        let first = range.start / UNIT_BYTES;
        (first..)
            .zip(&self.units[at(first)..])
            .take_while(|(unit, _)| unit * UNIT_BYTES < range.end)
            .all(|(unit, seen)| {
                let then = seen.load(Ordering::Relaxed);
                if then != 0 && now.wrapping_sub(then) < TRUSTED {
                    return true;
                }
                let whole = ByteRange {
                    start: unit * UNIT_BYTES,
                    end: ((unit + 1) * UNIT_BYTES).min(self.len),
                };
                let part = ByteRange {
                    start: whole.start.max(range.start),
                    end: whole.end.min(range.end),
                };
                let is_cached = look(part);
                if is_cached && part == whole {
                    seen.store(now, Ordering::Relaxed);
                }
                is_cached
            })
    }
}

fn at(unit: u64) -> usize {
    usize::try_from(unit).expect("units are counted by the slice that holds them")
}

/// Seconds since the process first looked, from one on.
fn now() -> u32 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u32::try_from(START.elapsed().as_secs()).unwrap_or(u32::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange { start, end }
    }

    #[test]
    fn a_whole_unit_that_was_seen_is_not_looked_at_again() {
        let seen = Seen::nothing(2 * UNIT_BYTES + 10);
        let mut looked = Vec::new();
        let mut look = |part| {
            looked.push(part);
            true
        };
        assert!(seen.all(range(5, 2 * UNIT_BYTES + 10), &mut look));
        assert!(seen.all(range(0, 2 * UNIT_BYTES + 10), &mut look));
        assert!(seen.all(range(0, UNIT_BYTES), &mut look));
        let parts = [
            range(5, UNIT_BYTES),
            range(UNIT_BYTES, 2 * UNIT_BYTES),
            range(2 * UNIT_BYTES, 2 * UNIT_BYTES + 10),
            range(0, UNIT_BYTES),
        ];
        assert_eq!(looked, parts, "a part is looked at each time, a whole once");
    }

    #[test]
    fn what_is_not_cached_is_looked_at_until_it_is() {
        let seen = Seen::nothing(UNIT_BYTES);
        assert!(!seen.all(range(0, UNIT_BYTES), |_| false));
        assert!(seen.all(range(0, UNIT_BYTES), |_| true));
        assert!(seen.all(range(3, 4), |_| false), "it was seen");
        assert!(Seen::nothing(0).all(range(0, 0), |_| false));
    }
}
