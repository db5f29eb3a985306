//! When things are done: what the calendar puts on the queue, how pauses are spread, how failures wait.
//!
//! The calendar is tokio-cron-scheduler's, with expressions in UTC that only put jobs on the queue: what is late,
//! or meets itself, is the queue's matter. That crate keeps the next time of each entry by the wall clock, so
//! that a clock set back by years would silence it for as long: whenever the clock is set it is made anew.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job as Entry, JobScheduler, JobSchedulerError};

use super::lease::{Queue, random};
use crate::model::{Clock, Job, Timestamp};

/// A cron expression with seconds, in UTC, and what it puts on the queue.
pub(super) type Line = (&'static str, Job);

/// What is done by the calendar.
pub(super) const CALENDAR: &[Line] = &[("0 25 0,12 * * *", Job::RotateLogs)];

/// Work of the calendar begins within this time.
const JITTER: Duration = Duration::from_secs(300);

/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How often the clock is looked at, and how far it may differ from the time that has passed.
const LOOK: Duration = Duration::from_secs(30);
const TOLERANCE: Duration = Duration::from_secs(60);

/// A pause, made up to a tenth longer, so that what began together does not stay together.
pub(super) fn spread(pause: Duration, chance: u64) -> Duration {
    let most = u64::try_from(pause.as_millis() / 10).unwrap_or(u64::MAX);
    pause + Duration::from_millis(chance.checked_rem(most.saturating_add(1)).unwrap_or(0))
}

/// How long something waits that has failed so often: half a minute, then twice as long each time.
pub(super) fn back_off(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    Duration::from_secs(30).saturating_mul(doubled).min(LONGEST)
}

/// Whether the clock was set: it went further than the time that has passed, or less far, or back.
fn was_set(before: (Instant, Timestamp), after: (Instant, Timestamp)) -> bool {
    let passed = after.0.saturating_duration_since(before.0).as_millis();
    let passed = i64::try_from(passed).unwrap_or(i64::MAX);
    let went = after.1.as_millis().saturating_sub(before.1.as_millis());
    Duration::from_millis(went.abs_diff(passed)) > TOLERANCE
}

/// Puts on the queue what the calendar says, until it is dropped.
pub(super) async fn keep(calendar: &'static [Line], queue: Queue) {
    let (sender, mut due) = mpsc::channel(calendar.len().max(1));
    loop {
        let begun = (Instant::now(), Clock::System.now());
        // The scheduler's own tasks hold the sender only: they end after us, and must not keep the store open.
        let scheduler = match Calendar::begin(calendar, &sender).await {
            Ok(scheduler) => scheduler,
            Err(error) => {
                tracing::error!(%error, "the calendar of jobs cannot be kept");
                return;
            }
        };
        let mut looked = begun;
        loop {
            tokio::select! {
                Some(job) = due.recv() => put_on(&queue, job).await,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = (Instant::now(), Clock::System.now());
            if was_set(looked, now) {
                break;
            }
            looked = now;
        }
        tracing::info!("the clock was set; the calendar of jobs begins anew");
        drop(scheduler);
    }
}

async fn put_on(queue: &Queue, job: Job) {
    let wait = Duration::from_millis(random() % 1_000 * JITTER.as_secs());
    if let Err(error) = queue.enqueue(job, wait).await {
        tracing::warn!(%error, ?job, "a job could not be put on the queue");
    }
}

/// A running scheduler; dropped, it stops.
struct Calendar(Option<JobScheduler>);

impl Calendar {
    async fn begin(lines: &[Line], sender: &mpsc::Sender<Job>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let calendar = Self(Some(scheduler.clone()));
        for (expression, job) in lines {
            let (sender, job) = (sender.clone(), *job);
            let entry = Entry::new_async(*expression, move |_, _| {
                let sender = sender.clone();
                // A full channel already holds what is to be done.
                Box::pin(async move {
                    let _ = sender.try_send(job);
                })
            })?;
            scheduler.add(entry).await?;
        }
        scheduler.start().await?;
        Ok(calendar)
    }
}

impl Drop for Calendar {
    fn drop(&mut self) {
        let scheduler = self.0.take();
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(mut scheduler), Ok(runtime)) = (scheduler, runtime) {
            runtime.spawn(async move {
                if let Err(error) = scheduler.shutdown().await {
                    tracing::debug!(%error, "a calendar of jobs did not end in order");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn failures_wait_longer_each_time_and_at_most_an_hour() {
        let seconds: Vec<u64> = (1..=9).map(|count| back_off(count).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        assert_eq!(back_off(u32::MAX), LONGEST);
        assert_eq!(back_off(0).as_secs(), 30);
    }

    /// RS-05: ten years either way, and the minutes of a wrong zone.
    #[test]
    fn a_clock_that_is_set_is_noticed() {
        let (then, wall) = (Instant::now(), Timestamp::from_millis(1_767_225_600_000));
        let after = |passed: u64, went: i64| {
            let later = then + Duration::from_secs(passed);
            let wall = Timestamp::from_millis(wall.as_millis() + went * 1_000);
            was_set(
                (then, Timestamp::from_millis(1_767_225_600_000)),
                (later, wall),
            )
        };
        assert!(!after(30, 30) && !after(30, 31) && !after(30, 0) && !after(30, 90));
        for went in [315_360_000, -315_360_000, 3_600, -100, 92] {
            assert!(after(30, went), "{went}");
        }
        assert!(after(3_600, 60), "it stood still");
    }

    proptest! {
        #[test]
        fn a_pause_is_spread_by_a_tenth_at_most(seconds in 0u64..1_000_000, chance: u64) {
            let pause = Duration::from_secs(seconds);
            let spread = spread(pause, chance);
            prop_assert!(spread >= pause && spread <= pause + pause / 10);
        }
    }

    /// Every expression is one, and the crate that follows it takes it.
    #[tokio::test]
    async fn the_calendar_can_be_kept() {
        let (sender, _due) = mpsc::channel(1);
        let begun = Calendar::begin(CALENDAR, &sender).await;
        assert!(begun.is_ok(), "{:?}", begun.err());
    }

    /// What is due comes, from a calendar that was begun anew too.
    #[tokio::test]
    async fn an_entry_that_is_due_arrives() {
        const EVERY_SECOND: &[Line] = &[("* * * * * *", Job::RotateLogs)];
        let (sender, mut due) = mpsc::channel(1);
        for _ in 0..2 {
            let calendar = Calendar::begin(EVERY_SECOND, &sender).await.unwrap();
            let arrived = tokio::time::timeout(Duration::from_secs(60), due.recv()).await;
            assert_eq!(arrived, Ok(Some(Job::RotateLogs)));
            drop(calendar);
        }
    }
}
