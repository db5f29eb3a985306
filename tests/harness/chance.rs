//! Chance that can be had again: the same seed gives the same choices.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::ops::Range;

use super::clients::variable;

/// The seed of a test: that of `ENTREPOT_SEED`, or a new one. It stands in the output.
pub(crate) fn seed() -> u64 {
    let given = variable("ENTREPOT_SEED").map(|text| text.to_string_lossy().parse().unwrap());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one("a seed"));
    say(&format!("ENTREPOT_SEED={seed}"));
    seed
}

/// Writes a line that the output of a test that passes has as well.
pub(crate) fn say(line: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Numbers that look random (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another one, whose choices have nothing to do with those of this one.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of a range that is not empty.
    pub(crate) fn of(&mut self, range: Range<usize>) -> usize {
        let len = (range.end - range.start) as u64;
        range.start + usize::try_from(self.next() % len).unwrap()
    }

    /// One of these, `None` if there are none.
    pub(crate) fn one<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        match all.len() {
            0 => None,
            len => Some(&all[self.of(0..len)]),
        }
    }
}
