//! Ending in order: stop accepting, let requests finish, then cut what is left (LC-01).

use tokio::sync::watch;

/// How far the end has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Phase {
    /// Serving.
    Serving,
    /// No new connections or requests; running requests may finish.
    Draining,
    /// Everything is dropped.
    Cutting,
}

/// Ends the servers that hold its [`Shutdown`]. Dropped, it cuts them at once.
#[derive(Debug)]
pub struct Closer(watch::Sender<Phase>);

/// Tells a server when to end.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Phase>);

/// A closer and what it closes.
pub fn shutdown() -> (Closer, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Closer(sender), Shutdown(receiver))
}

impl Closer {
    /// No new connections; what runs may finish.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Waits no longer for what still runs: for a second SIGTERM.
    pub fn cut(&self) {
        self.advance(Phase::Cutting);
    }

    /// There is no way back.
    pub(super) fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = to > *phase;
            *phase = to.max(*phase);
            later
        });
    }
}

impl Shutdown {
    /// The next phase, once it begins.
    pub(super) async fn next(&mut self) -> Phase {
        match self.0.changed().await {
            Ok(()) => *self.0.borrow_and_update(),
            Err(_) => Phase::Cutting,
        }
    }

    /// Returns when `phase` or a later one has begun.
    pub(super) async fn reached(&mut self, phase: Phase) {
        // An error means that the closer is gone, which cuts.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_advance() {
        let (closer, mut shutdown) = shutdown();
        closer.drain();
        assert_eq!(shutdown.next().await, Phase::Draining);
        shutdown.reached(Phase::Draining).await;
        closer.cut();
        closer.drain();
        assert_eq!(shutdown.next().await, Phase::Cutting);
    }

    #[tokio::test]
    async fn a_lost_closer_cuts() {
        let (closer, mut shutdown) = shutdown();
        drop(closer);
        shutdown.reached(Phase::Cutting).await;
        assert_eq!(shutdown.next().await, Phase::Cutting);
    }
}
