//! Runs of mirrors, as jobs. How it stands with a mirror is in rows of its own: a job only says that somebody
//! works on it now.

use tokio::sync::Notify;

use super::Rounds;
use super::lease::Outcome;
use crate::mirror::Error;
use crate::model::{NamespaceId, RepositoryId};

impl Rounds {
    /// Puts mirrors that are due on the queue, and has it looked at if there are any.
    pub(super) async fn queue_mirrors(&self, wake: &Notify) {
        if !self.may_write().await {
            return;
        }
        match self.mirror.queue_due().await {
            Ok(0) => {}
            Ok(_) => wake.notify_one(),
            Err(error) => tracing::warn!(%error, "it could not be looked at which mirrors are due"),
        }
    }

    /// Runs a mirror if it is still due.
    pub(super) async fn run_mirror(&self, repository: RepositoryId) -> Outcome {
        outcome(self.mirror.run(repository).await.map(drop))
    }

    /// Looks at what the source of a mirrored organisation has, if that is still due.
    pub(super) async fn discover(&self, namespace: NamespaceId) -> Outcome {
        outcome(self.mirror.discover(namespace).await.map(drop))
    }
}

/// What ended without its turn is put on the queue again when it is due.
fn outcome(ended: Result<(), Error>) -> Outcome {
    match ended {
        Ok(()) | Err(Error::NoMirror | Error::Busy | Error::Off(_)) => Outcome::Done,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}
