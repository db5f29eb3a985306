//! Identical warnings and errors are held back for a while, and counted (DO-10).
//!
//! Called by `sink` for each warning and error. An upstream that is away for a night fills no disk:
//! of the same line ten a minute are written, then one that says how many more there were.
//! Memory is fixed; when more different lines come than there are slots, the oldest is forgotten.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How long a line is remembered.
const WINDOW: Duration = Duration::from_secs(60);
/// How often it is written in that time.
const ALLOWED: u64 = 10;
/// Different lines remembered.
const SLOTS: usize = 64;

/// What was written lately.
#[derive(Default)]
pub(super) struct Repeats {
    hasher: RandomState,
    slots: Vec<Slot>,
}

struct Slot {
    hash: u64,
    since: Instant,
    seen: u64,
}

/// What to do with a line.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Write,
    /// Write it, and say that it came so many times more in the time before.
    WriteAfter(u64),
    HoldBack,
}

impl Repeats {
    /// Counts a line (without its time) and decides.
    pub(super) fn admit(&mut self, line: &str, now: Instant) -> Verdict {
        let hash = self.hasher.hash_one(line);
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.hash == hash) else {
            self.remember(hash, now);
            return Verdict::Write;
        };
        if now.saturating_duration_since(slot.since) >= WINDOW {
            let held_back = slot.seen.saturating_sub(ALLOWED);
            (slot.since, slot.seen) = (now, 1);
            return match held_back {
                0 => Verdict::Write,
                count => Verdict::WriteAfter(count),
            };
        }
        slot.seen += 1;
        match slot.seen <= ALLOWED {
            true => Verdict::Write,
            false => Verdict::HoldBack,
        }
    }

    fn remember(&mut self, hash: u64, now: Instant) {
        if self.slots.len() == SLOTS {
            let oldest = self.slots.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, slot)| slot.since);
            let index = oldest.map_or(0, |(index, _)| index);
            self.slots.swap_remove(index);
        }
        self.slots.push(Slot {
            hash,
            since: now,
            seen: 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_written_ten_times_then_counted() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let verdicts: Vec<_> = (0..25).map(|_| repeats.admit("down", start)).collect();
        let written = verdicts
            .iter()
            .filter(|verdict| **verdict == Verdict::Write);
        assert_eq!(written.count(), 10);
        assert_eq!(repeats.admit("other", start), Verdict::Write);
        assert_eq!(
            repeats.admit("down", start + WINDOW),
            Verdict::WriteAfter(15)
        );
        assert_eq!(repeats.admit("down", start + WINDOW), Verdict::Write);
    }

    #[test]
    fn memory_is_bounded_by_forgetting_the_oldest() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        for index in 0..1000 {
            let now = start + Duration::from_millis(index);
            assert_eq!(repeats.admit(&index.to_string(), now), Verdict::Write);
        }
        assert_eq!(repeats.slots.len(), SLOTS);
        assert!(repeats.slots.iter().all(|slot| slot.since > start));
    }
}
