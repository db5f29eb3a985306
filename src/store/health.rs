//! Whether the store can still be trusted with writes.
//!
//! The first error of redb at run time is final: after a failed sync the kernel may drop dirty pages
//! and report success the next time (DK-05), and redb itself refuses to go on. So nothing is ever
//! retried; the state only ever goes from sound to failed, and whoever waits for that is woken.

use std::sync::Arc;

use prometheus::IntGauge;
use tokio::sync::watch;

use super::Error;

/// The one-way switch from sound to failed, shared by every transaction.
pub(super) struct Health {
    reason: watch::Sender<Option<Arc<str>>>,
    gauge: IntGauge,
}

impl Health {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self {
            reason: watch::Sender::new(None),
            gauge,
        }
    }

    /// Records that redb failed while `doing`, and returns the error of the caller.
    ///
    /// The first reason stays: later failures follow from it.
    pub(super) fn fail(&self, doing: &str, error: impl std::fmt::Display) -> Error {
        self.reason.send_if_modified(|reason| {
            let first = reason.is_none();
            if first {
                tracing::error!(doing, %error, "the store failed");
                *reason = Some(format!("{doing}: {error}").into());
            }
            first
        });
        self.gauge.set(1);
        self.check()
            .expect_err("a reason was just recorded and none is ever taken back")
    }

    /// # Errors
    /// [`Error::Failed`] with the first reason, if there is one.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &*self.reason.borrow() {
            None => Ok(()),
            Some(reason) => Err(Error::Failed {
                reason: Arc::clone(reason),
            }),
        }
    }

    /// Returns once the store has failed; at once if it has.
    pub(super) async fn wait_failed(&self) {
        // The sender lives in `self`, so that the wait cannot end by its being dropped.
        let _ = self.reason.subscribe().wait_for(Option::is_some).await;
    }
}
