//! Which cached content goes first: least recently used, with one second chance for what is used
//! again and again.

use crate::model::{RecencyRecord, Timestamp, Unit};

/// Length of a window of use, in milliseconds: an hour.
const WINDOW_MS: i64 = 60 * 60 * 1000;

/// How many windows back use is remembered, the newest included.
const WINDOWS: u32 = 3;

/// Fewer bytes than this are not worth a manifest that has to be fetched again, in bytes ...
const NEGLIGIBLE: u64 = 64 << 10;

/// ... if they are a smaller part of the unit than one in so many.
const PART: u64 = 16;

/// A unit that eviction looks at, with the facts that decide.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub unit: Unit,
    pub recency: RecencyRecord,
    /// A tag that is pinned leads to it.
    pub pinned: bool,
    /// A fill or an answer needs it now.
    pub in_flight: bool,
    /// For an index: when the most recent of its held children was used.
    pub newest_child: Option<Timestamp>,
    /// Its tags have outlived their expiry.
    pub expired: bool,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Evict,
    /// Not this time, and not before something else was used after it.
    Keep,
    /// Passed over once: it goes behind everything used so far.
    Spare,
    /// An index goes after its children: it is as recent as the most recent of them.
    Postpone(Timestamp),
}

/// What letting a unit go would give back, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Gain {
    /// Of what it names, what nothing that stays names too.
    pub freed: u64,
    /// All that it names and that is held.
    pub named: u64,
}

impl Gain {
    /// Whether it is next to nothing, since the layers would stay for others: such a unit goes when
    /// they go.
    pub const fn is_negligible(&self) -> bool {
        self.freed < NEGLIGIBLE && self.freed.saturating_mul(PART) < self.named
    }
}

/// Decides about one candidate.
pub fn verdict(candidate: &Candidate, now: Timestamp) -> Verdict {
    if candidate.pinned || candidate.in_flight {
        return Verdict::Keep;
    }
    match candidate.newest_child {
        Some(child) if child > candidate.recency.last_used => return Verdict::Postpone(child),
        _ => {}
    }
    let in_demand = recent_windows(&candidate.recency, now) >= 2;
    if in_demand && !candidate.recency.spared && !candidate.expired {
        Verdict::Spare
    } else {
        Verdict::Evict
    }
}

/// The order in which a page of candidates is tried: expired content first, then by age.
pub fn order(candidates: &mut [Candidate]) {
    candidates.sort_by_key(|candidate| (!candidate.expired, candidate.recency.last_used));
}

/// The record of a unit that is used `now`.
pub fn used(before: Option<RecencyRecord>, now: Timestamp) -> RecencyRecord {
    let window = window_of(now);
    let windows = match before {
        Some(before) => shift(before.windows, before.window, window) | 1,
        None => 1,
    };
    RecencyRecord {
        last_used: now,
        window,
        windows,
        spared: false,
    }
}

/// The record of a unit that eviction passes over: behind all that was used until `now`.
pub const fn spared(before: RecencyRecord, now: Timestamp) -> RecencyRecord {
    RecencyRecord {
        last_used: now,
        spared: true,
        ..before
    }
}

/// In how many of the newest windows it was used.
fn recent_windows(recency: &RecencyRecord, now: Timestamp) -> u32 {
    shift(recency.windows, recency.window, window_of(now)).count_ones()
}

fn shift(windows: u8, from: u64, to: u64) -> u8 {
    let age = u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX);
    let mask = (1_u8 << WINDOWS) - 1;
    windows.checked_shl(age).unwrap_or(0) & mask
}

fn window_of(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis().div_euclid(WINDOW_MS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{NamespaceId, RepositoryId};
    use crate::oci::Digest;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> Timestamp {
        Timestamp::default() + HOUR * (100 + hours)
    }

    fn used_at(hours: &[u32]) -> RecencyRecord {
        let record = hours
            .iter()
            .fold(None, |before, &hour| Some(used(before, at(hour))));
        record.expect("at least one use")
    }

    fn candidate(recency: RecencyRecord) -> Candidate {
        let unit = Unit {
            namespace: NamespaceId(1),
            repository: RepositoryId(1),
            digest: Digest::of(b""),
        };
        Candidate {
            unit,
            recency,
            pinned: false,
            in_flight: false,
            newest_child: None,
            expired: false,
        }
    }

    #[test]
    fn what_a_scan_touched_once_goes() {
        assert_eq!(verdict(&candidate(used_at(&[0])), at(0)), Verdict::Evict);
        assert_eq!(
            verdict(&candidate(used_at(&[0, 0, 0])), at(0)),
            Verdict::Evict
        );
    }

    #[test]
    fn what_is_in_demand_is_passed_over_once() {
        let recency = used_at(&[0, 1]);
        assert_eq!(verdict(&candidate(recency), at(2)), Verdict::Spare);
        let passed = spared(recency, at(2));
        assert_eq!(passed.last_used, at(2));
        assert_eq!(verdict(&candidate(passed), at(2)), Verdict::Evict);
        let again = used(Some(passed), at(2));
        assert_eq!(verdict(&candidate(again), at(2)), Verdict::Spare);
        assert_eq!(
            verdict(&candidate(recency), at(4)),
            Verdict::Evict,
            "demand ages"
        );
        assert_eq!(verdict(&candidate(recency), at(400)), Verdict::Evict);
    }

    #[test]
    fn pinned_and_in_flight_stay() {
        let base = candidate(used_at(&[0]));
        assert_eq!(
            verdict(
                &Candidate {
                    pinned: true,
                    ..base
                },
                at(9)
            ),
            Verdict::Keep
        );
        assert_eq!(
            verdict(
                &Candidate {
                    in_flight: true,
                    ..base
                },
                at(9)
            ),
            Verdict::Keep
        );
    }

    #[test]
    fn an_index_goes_after_its_children() {
        let index = Candidate {
            newest_child: Some(at(3)),
            ..candidate(used_at(&[0]))
        };
        assert_eq!(verdict(&index, at(4)), Verdict::Postpone(at(3)));
        let index = Candidate {
            newest_child: Some(at(0)),
            ..candidate(used_at(&[0]))
        };
        assert_eq!(verdict(&index, at(4)), Verdict::Evict);
    }

    #[test]
    fn expired_content_is_tried_first() {
        let fresh = candidate(used_at(&[0]));
        let expired = Candidate {
            expired: true,
            ..candidate(used_at(&[0, 1]))
        };
        let mut page = [fresh, expired];
        order(&mut page);
        assert!(page[0].expired);
        assert_eq!(
            verdict(&page[0], at(1)),
            Verdict::Evict,
            "expired content has no second chance"
        );
    }

    #[test]
    fn a_unit_whose_layers_others_name_gives_back_next_to_nothing() {
        let is_negligible = |freed, named| Gain { freed, named }.is_negligible();
        assert!(is_negligible(2000, 100 << 20), "a configuration of its own");
        assert!(!is_negligible(2000, 2000), "small, and all its own");
        assert!(!is_negligible(2000, 32_000));
        assert!(!is_negligible(64 << 10, 1 << 40));
        assert!(!is_negligible(0, 0), "an index names no blobs");
    }

    #[test]
    fn a_clock_set_back_does_not_break_the_windows() {
        let recency = used(Some(used_at(&[9])), at(3));
        assert_eq!((recency.window, recency.windows), (103, 1));
        assert_eq!(verdict(&candidate(recency), at(1)), Verdict::Evict);
    }
}
