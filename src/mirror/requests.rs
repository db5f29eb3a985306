//! Runs wanted now, and runs ended, by somebody.
//!
//! Called by the doors of `api`. Each is one transition of the mirror's status, with its line of the usage log; a
//! run under way notices by the generation that it is over.

use super::Mirror;
use super::fault::SettingsError;
use super::settings::Place;
use super::state::{cancelled, wanted};
use crate::model::{MirrorStatus, Performer, RepositoryId, SyncState};
use crate::store::WriteTx;

/// What somebody wants of a mirror's runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    Now,
    Ended,
}

impl Wanted {
    /// As the usage log tells it (Quay).
    const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "SYNC_NOW",
            Self::Ended => "SYNC_CANCEL",
        }
    }

    /// The status behind it; `None` if there is no way from the one before.
    fn of(self, status: MirrorStatus) -> Option<MirrorStatus> {
        match self {
            Self::Now => sync_now(status),
            Self::Ended => cancel(status),
        }
    }
}

/// Quay: not while it runs; one retry at least, and the schedule stays.
pub(super) fn sync_now(status: MirrorStatus) -> Option<MirrorStatus> {
    (status.state != SyncState::Syncing).then(|| wanted(status))
}

/// Quay: only what runs or is about to; nothing runs by itself until somebody wants it to.
fn cancel(status: MirrorStatus) -> Option<MirrorStatus> {
    matches!(status.state, SyncState::Syncing | SyncState::SyncNow).then(|| cancelled(status))
}

impl Mirror {
    /// Has a mirror run as soon as there is a lane, whether it is enabled or not (Quay).
    ///
    /// # Errors
    /// [`SettingsError::Absent`] if it is no mirror, or runs.
    pub async fn sync_now(
        &self,
        repository: RepositoryId,
        by: &Performer,
    ) -> Result<(), SettingsError> {
        self.step(repository, Wanted::Now, by).await
    }

    /// Ends the run under way or wanted; what it has copied stays.
    ///
    /// # Errors
    /// [`SettingsError::Absent`] if it is no mirror, or there is no run to be ended.
    pub async fn sync_cancel(
        &self,
        repository: RepositoryId,
        by: &Performer,
    ) -> Result<(), SettingsError> {
        self.step(repository, Wanted::Ended, by).await
    }

    async fn step(
        &self,
        id: RepositoryId,
        wanted: Wanted,
        by: &Performer,
    ) -> Result<(), SettingsError> {
        let (mirror, by, now) = (self.clone(), by.clone(), self.now());
        let want = move |tx: &mut WriteTx<'_>| {
            let place = Place::of(tx, id)?;
            let status = tx.mirrors().status(id)?.and_then(|it| wanted.of(it));
            let status = status.ok_or(SettingsError::Absent)?;
            tx.mirrors().put_status(id, &status)?;
            let told = ("sync_status", wanted.as_str().into());
            tx.logs().append(&place.line((now, &by), told))?;
            let mirror = mirror.clone();
            tx.after_commit(move || mirror.wake());
            Ok(())
        };
        self.store().write(want).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MIRROR_RETRIES, Timestamp};

    fn status(state: SyncState) -> MirrorStatus {
        MirrorStatus {
            state,
            ..MirrorStatus::new(Some(Timestamp::from_millis(5)))
        }
    }

    /// SC-402, SC-403.
    #[test]
    fn runs_are_wanted_and_ended_as_quay_has_it() {
        for state in SyncState::ALL {
            let wanted = sync_now(status(state));
            assert_eq!(wanted.is_none(), state == SyncState::Syncing, "{state:?}");
            let runs = matches!(state, SyncState::Syncing | SyncState::SyncNow);
            assert_eq!(cancel(status(state)).is_some(), runs, "{state:?}");
        }
        let ended = cancel(status(SyncState::Syncing)).unwrap();
        assert_eq!(
            (ended.next, ended.retries_left, ended.generation),
            (None, 0, 1)
        );
        let again = sync_now(ended).unwrap();
        assert_eq!(
            (again.next, again.retries_left, again.generation),
            (None, 1, 2)
        );
        let fresh = sync_now(status(SyncState::NeverRun)).unwrap();
        assert_eq!(fresh.retries_left, MIRROR_RETRIES);
        assert_eq!(fresh.next, Some(Timestamp::from_millis(5)));
    }
}
