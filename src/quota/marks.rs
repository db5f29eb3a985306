//! Where room is made ahead of need, so that who pulls rarely waits for it.
//!
//! A bound has two marks below it: past the high one content begins to go in the background, and it
//! goes on until the low one. The bound itself holds at every moment, marks or not.

/// Most that is kept free ahead of need, in bytes, however large the bound is.
const MOST_AHEAD: u64 = 1 << 30;

/// What part of a quota is kept free ahead of need.
const PART_AHEAD: u64 = 20;

/// How near what is taken has come to its bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pressure {
    /// Whether it is past the high mark, so that room is to be made ahead of need.
    pub is_high: bool,
    /// Bytes above the low mark.
    pub surplus: u64,
}

impl Pressure {
    /// Under a quota: the low mark is a twentieth below it, at most 1 GiB, and the high one half as far.
    pub(super) fn under_quota(limit: u64, taken: u64) -> Self {
        Self::of(limit, taken, (limit / PART_AHEAD).min(MOST_AHEAD))
    }

    /// On the disk: the low mark leaves the reserve free once more, at most 1 GiB of it, and the high
    /// one half as much.
    pub(super) fn of_disk(free: u64, spoken_for: u64, reserve: u64) -> Self {
        Self::of(free, spoken_for + reserve, reserve.min(MOST_AHEAD))
    }

    fn of(bound: u64, taken: u64, ahead: u64) -> Self {
        Self {
            is_high: taken > bound.saturating_sub(ahead / 2) && ahead > 0,
            surplus: taken.saturating_sub(bound.saturating_sub(ahead)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn room_is_made_past_a_fortieth_below_a_quota_until_a_twentieth_below_it() {
        assert!(!Pressure::under_quota(4000, 3900).is_high);
        let past = Pressure::under_quota(4000, 3901);
        assert_eq!((past.is_high, past.surplus), (true, 101));
        assert_eq!(Pressure::under_quota(4000, 3800).surplus, 0);
        let over = Pressure::under_quota(4000, 4100);
        assert_eq!((over.is_high, over.surplus), (true, 300));
    }

    #[test]
    fn of_a_large_quota_no_more_than_a_gibibyte_is_kept_free() {
        let limit = 1000 * GIB;
        assert!(!Pressure::under_quota(limit, limit - GIB / 2).is_high);
        let past = Pressure::under_quota(limit, limit - GIB / 2 + 1);
        assert_eq!((past.is_high, past.surplus), (true, GIB / 2 + 1));
    }

    #[test]
    fn bounds_too_small_for_marks_have_none() {
        assert!(!Pressure::under_quota(19, 19).is_high);
        assert!(!Pressure::of_disk(0, 0, 0).is_high, "no reserve is wanted");
    }

    /// DK-04: before the reserve is touched.
    #[test]
    fn on_a_disk_room_is_made_before_its_reserve_is_reached() {
        assert!(!Pressure::of_disk(150, 0, 100).is_high);
        let past = Pressure::of_disk(149, 0, 100);
        assert_eq!((past.is_high, past.surplus), (true, 51));
        assert!(
            Pressure::of_disk(160, 11, 100).is_high,
            "what fills will write counts"
        );
        assert_eq!(Pressure::of_disk(200, 0, 100).surplus, 0);
        assert_eq!(Pressure::of_disk(20 * GIB, 0, 20 * GIB).surplus, GIB);
    }
}
