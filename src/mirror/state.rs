//! How a mirror goes from one state to the next (Quay's states, `quay-semantics` 4.2). Pure.
//!
//! Two things are not as in Quay: a run that was cut off is taken up again instead of staying SYNCING for ever, and
//! runs that fail wait before they are tried again.

use std::time::Duration;

use super::schedule::{Calendar, back_off, by_interval};
use crate::model::{
    MIRROR_RETRIES, MirrorRecord, MirrorReport, MirrorStatus, OrgMirrorRecord, SyncState, Timestamp,
};

/// How long a run is believed to live (Quay); it is taken up again much earlier if its process died.
const BELIEVED: Duration = Duration::from_secs(12 * 3_600);

/// When runs of a mirror are due.
pub(super) struct Times<'a> {
    pub(super) enabled: bool,
    interval: Duration,
    cron: Option<&'a str>,
}

impl<'a> Times<'a> {
    pub(super) fn of(record: &'a MirrorRecord) -> Self {
        Self {
            enabled: record.enabled,
            interval: Duration::from_secs(record.interval_s),
            cron: record.options.cron.as_deref(),
        }
    }

    pub(super) const fn of_organization(record: &OrgMirrorRecord) -> Self {
        Self {
            enabled: record.enabled,
            interval: Duration::from_secs(record.interval_s),
            cron: None,
        }
    }

    /// The time behind `now`; what the calendar cannot tell, the interval does.
    fn next(&self, start: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let calendar = self.cron.and_then(|cron| Calendar::new(cron).ok());
        let next = calendar.and_then(|calendar| calendar.next(now));
        next.unwrap_or_else(|| by_interval(start, self.interval, now))
    }
}

/// What is to be done with a mirror now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    Nothing,
    /// A run begins.
    Begin,
    /// A run that was cut off goes on.
    Resume,
}

/// Whether a run is due. One that is SYNCING was cut off: who asks knows that nobody runs it.
pub(super) fn due(status: &MirrorStatus, times: &Times<'_>, now: Timestamp) -> Due {
    match status.state {
        SyncState::Syncing => Due::Resume,
        SyncState::SyncNow => Due::Begin,
        SyncState::Cancel | SyncState::Skip => Due::Nothing,
        SyncState::NeverRun | SyncState::Success | SyncState::Fail => {
            let is_time = status.next.is_some_and(|next| next <= now);
            let may_be = status.not_before.is_none_or(|until| until <= now);
            match times.enabled && is_time && may_be && status.retries_left > 0 {
                true => Due::Begin,
                false => Due::Nothing,
            }
        }
    }
}

/// The run begins.
pub(super) fn begun(status: MirrorStatus, now: Timestamp) -> MirrorStatus {
    MirrorStatus {
        state: SyncState::Syncing,
        expires: Some(now + BELIEVED),
        not_before: None,
        generation: status.generation + 1,
        run: status.run + 1,
        report: MirrorReport {
            started: Some(now),
            ..MirrorReport::default()
        },
        ..status
    }
}

/// The run goes on in another process, under its number.
pub(super) fn resumed(status: MirrorStatus, now: Timestamp) -> MirrorStatus {
    MirrorStatus {
        expires: Some(now + BELIEVED),
        generation: status.generation + 1,
        report: MirrorReport {
            // What failed is tried again.
            failed: 0,
            ..status.report.clone()
        },
        ..status
    }
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ending {
    pub(super) is_success: bool,
    pub(super) message: String,
    /// How long the source asked to be left alone.
    pub(super) wait: Option<Duration>,
    pub(super) chance: u64,
}

/// The run has ended.
pub(super) fn ended(
    status: MirrorStatus,
    ending: &Ending,
    times: &Times<'_>,
    now: Timestamp,
) -> MirrorStatus {
    let report = MirrorReport {
        ended: Some(now),
        message: ending.message.clone(),
        ..status.report
    };
    let ended = MirrorStatus {
        expires: None,
        generation: status.generation + 1,
        report,
        ..status
    };
    if ending.is_success {
        return MirrorStatus {
            state: SyncState::Success,
            next: Some(times.next(ended.next, now)),
            retries_left: MIRROR_RETRIES,
            not_before: None,
            last_success: Some(now),
            ..ended
        };
    }
    let left = ended.retries_left.saturating_sub(1);
    if left == 0 {
        return MirrorStatus {
            state: SyncState::Fail,
            next: Some(times.next(ended.next, now)),
            retries_left: MIRROR_RETRIES,
            not_before: ending.wait.map(|wait| now + wait),
            ..ended
        };
    }
    let failures = u32::from(MIRROR_RETRIES.saturating_sub(left));
    MirrorStatus {
        state: SyncState::Fail,
        retries_left: left,
        not_before: Some(now + back_off(failures, ending.wait, ending.chance)),
        // One that was wanted by hand has no time of its own to be tried again at.
        next: ended.next.or(Some(now)),
        ..ended
    }
}

/// Somebody wants a run now.
pub fn wanted(status: MirrorStatus) -> MirrorStatus {
    MirrorStatus {
        state: SyncState::SyncNow,
        expires: None,
        retries_left: status.retries_left.max(1),
        generation: status.generation + 1,
        ..status
    }
}

/// Somebody ends it: nothing runs until somebody wants it to (Quay).
pub fn cancelled(status: MirrorStatus) -> MirrorStatus {
    MirrorStatus {
        state: SyncState::Cancel,
        next: None,
        expires: None,
        not_before: None,
        retries_left: 0,
        generation: status.generation + 1,
        ..status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000) + Duration::from_secs(seconds)
    }

    fn times(enabled: bool) -> Times<'static> {
        Times {
            enabled,
            interval: Duration::from_secs(DAY),
            cron: None,
        }
    }

    fn ending(is_success: bool, wait: Option<u64>) -> Ending {
        Ending {
            is_success,
            message: "said".to_owned(),
            wait: wait.map(Duration::from_secs),
            chance: 0,
        }
    }

    #[test]
    fn a_run_begins_when_it_is_due_and_may_be() {
        let status = MirrorStatus::new(Some(at(10)));
        assert_eq!(due(&status, &times(true), at(9)), Due::Nothing);
        assert_eq!(due(&status, &times(true), at(10)), Due::Begin);
        assert_eq!(due(&status, &times(false), at(10)), Due::Nothing);
        let now = wanted(status.clone());
        assert_eq!(
            due(&now, &times(false), at(0)),
            Due::Begin,
            "by hand it runs all the same"
        );
        let spent = MirrorStatus {
            retries_left: 0,
            ..status
        };
        assert_eq!(due(&spent, &times(true), at(10)), Due::Nothing);
        assert_eq!(wanted(spent).retries_left, 1);
    }

    #[test]
    fn a_success_keeps_the_phase() {
        let begun = begun(MirrorStatus::new(Some(at(10))), at(100));
        assert_eq!(
            (begun.state, begun.run, begun.generation),
            (SyncState::Syncing, 1, 1)
        );
        let done = ended(begun, &ending(true, None), &times(true), at(200));
        assert_eq!(
            (done.state, done.retries_left),
            (SyncState::Success, MIRROR_RETRIES)
        );
        assert_eq!(done.next, Some(at(10 + DAY)));
        assert_eq!((done.last_success, done.expires), (Some(at(200)), None));
        assert_eq!(due(&done, &times(true), at(DAY)), Due::Nothing);
        assert_eq!(due(&done, &times(true), at(10 + DAY)), Due::Begin);
    }

    #[test]
    fn failures_wait_between_three_tries_and_then_for_the_next_interval() {
        let mut status = MirrorStatus::new(Some(at(10)));
        let mut now = at(10);
        for (left, wait) in [(2, 60), (1, 300)] {
            status = ended(begun(status, now), &ending(false, None), &times(true), now);
            assert_eq!((status.state, status.retries_left), (SyncState::Fail, left));
            assert_eq!(
                (status.next, status.not_before),
                (Some(at(10)), Some(now + Duration::from_secs(wait)))
            );
            assert_eq!(due(&status, &times(true), now), Due::Nothing);
            now = now + Duration::from_secs(wait);
            assert_eq!(due(&status, &times(true), now), Due::Begin);
        }
        status = ended(begun(status, now), &ending(false, None), &times(true), now);
        assert_eq!((status.retries_left, status.run), (MIRROR_RETRIES, 3));
        assert_eq!((status.next, status.not_before), (Some(at(10 + DAY)), None));
    }

    #[test]
    fn a_source_that_asks_to_be_left_alone_is() {
        let begun = begun(MirrorStatus::new(Some(at(10))), at(10));
        let failed = ended(begun, &ending(false, Some(7_200)), &times(true), at(10));
        assert_eq!(failed.not_before, Some(at(7_210)));
    }

    /// Unlike in Quay: SYNCING is never the end.
    #[test]
    fn a_run_that_was_cut_off_goes_on_under_its_number() {
        let cut = begun(MirrorStatus::new(Some(at(10))), at(10));
        assert_eq!(due(&cut, &times(true), at(11)), Due::Resume);
        let taken_up = resumed(cut, at(50));
        assert_eq!((taken_up.run, taken_up.generation), (1, 2));
        assert_eq!(taken_up.report.started, Some(at(10)));
    }

    #[test]
    fn a_cancelled_mirror_rests_until_it_is_wanted() {
        let off = cancelled(begun(MirrorStatus::new(Some(at(10))), at(10)));
        assert_eq!(
            (off.state, off.next, off.retries_left),
            (SyncState::Cancel, None, 0)
        );
        assert_eq!(due(&off, &times(true), at(10 * DAY)), Due::Nothing);
        let on = begun(wanted(off), at(20));
        let done = ended(on, &ending(true, None), &times(true), at(30));
        assert_eq!(done.next, Some(at(30 + DAY)));
    }
}
