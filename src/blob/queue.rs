//! Where appended bytes wait: a queue, and a job on the blocking pool that empties it.
//!
//! There is at most one job for a file. It takes all that waits, has it written, and ends when
//! nothing waits: so a byte is on its way to disk as soon as it came, and many small pieces cost one
//! hop. The queue is bounded by those who append: they wait while more than [`LIMIT_BYTES`] wait.
//! What writing means is the owner's ([`Drain`]).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;

use super::{Error, lock};

/// Appending waits while more than this is unwritten.
pub(super) const LIMIT_BYTES: u64 = 1024 * 1024;

/// The owner of a queue, which writes what the job takes out of it.
pub(super) trait Drain: Send + Sync + 'static {
    /// Its queue, always the same.
    fn queue(&self) -> &Queue;

    /// Writes a batch and tells how many bytes that were; what is not wholly written stays in it.
    ///
    /// Runs on the blocking pool, never twice at once. After a failure it is not called again.
    fn write(&self, batch: &mut VecDeque<Bytes>) -> Result<u64, Error>;
}

/// Bytes on their way to one file.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Ticks whenever the queue has become shorter or has ended.
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Bytes accepted and not yet written.
    waiting: u64,
    accepted: u64,
    draining: bool,
    ended: Option<Error>,
}

impl Queue {
    /// An empty queue before a file that has `len` bytes.
    pub(super) fn new(len: u64) -> Self {
        Self {
            state: Mutex::new(State {
                accepted: len,
                ..State::default()
            }),
            moved: watch::Sender::new(()),
        }
    }

    /// How many bytes were accepted, those that the file had included.
    pub(super) fn accepted(&self) -> u64 {
        lock(&self.state).accepted
    }

    /// Queues a piece and sees to it that somebody writes it.
    ///
    /// `check` is given the length that the piece would lead to, and may refuse it.
    pub(super) fn accept<T: Drain>(
        owner: &Arc<T>,
        piece: Bytes,
        check: impl FnOnce(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut state = lock(&owner.queue().state);
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        let accepted = state.accepted + piece.len() as u64;
        check(accepted)?;
        state.accepted = accepted;
        state.waiting += piece.len() as u64;
        state.pieces.push_back(piece);
        let runs = std::mem::replace(&mut state.draining, true);
        // A runtime that is stopping drops the job at once, and its guard locks the queue.
        drop(state);
        if !runs {
            let draining = Draining {
                owner: owner.clone(),
                is_done: false,
            };
            tokio::task::spawn_blocking(move || draining.run());
        }
        Ok(())
    }

    /// Waits until at most `limit` accepted bytes are unwritten.
    pub(super) async fn settle(&self, limit: u64) -> Result<(), Error> {
        self.wait_for(|state| state.ended.is_some() || state.waiting <= limit)
            .await;
        lock(&self.state).ended.clone().map_or(Ok(()), Err)
    }

    /// Refuses further bytes and drops those that wait; the batch being written is the last.
    pub(super) fn stop(&self) {
        let mut state = lock(&self.state);
        state.pieces.clear();
        state.ended.get_or_insert(Error::Stopped);
    }

    /// Waits until nothing is being written.
    pub(super) async fn idle(&self) {
        self.wait_for(|state| !state.draining).await;
    }

    /// The pieces that a failed write left over, in order, the first at the end of what was written.
    pub(super) fn take_unwritten(&self) -> Vec<Bytes> {
        std::mem::take(&mut lock(&self.state).pieces).into()
    }

    async fn wait_for(&self, is_reached: impl Fn(&State) -> bool) {
        let mut moved = self.moved.subscribe();
        while !is_reached(&lock(&self.state)) {
            // Its sender is `self`, so it cannot close.
            moved.changed().await.ok();
        }
    }

    // === the job ===

    fn drain(&self, owner: &impl Drain) {
        while let Some(mut batch) = self.next_batch() {
            let written = owner.write(&mut batch);
            let mut state = lock(&self.state);
            match written {
                Ok(len) => state.waiting -= len,
                Err(error) => {
                    batch.append(&mut state.pieces);
                    state.pieces = batch;
                    state.ended.get_or_insert(error);
                }
            }
            drop(state);
            self.moved.send_replace(());
        }
    }

    /// All that waits; once nothing does, the job counts as ended.
    fn next_batch(&self) -> Option<VecDeque<Bytes>> {
        let mut state = lock(&self.state);
        if state.pieces.is_empty() || state.ended.is_some() {
            state.draining = false;
            return None;
        }
        Some(std::mem::take(&mut state.pieces))
    }
}

/// The job, which ends the queue if it panics or is never run, so that nobody waits for it.
struct Draining<T: Drain> {
    owner: Arc<T>,
    // Not told from `State::draining`: the next job may have begun when this one is dropped.
    is_done: bool,
}

impl<T: Drain> Draining<T> {
    fn run(mut self) {
        self.owner.queue().drain(&*self.owner);
        self.is_done = true;
    }
}

impl<T: Drain> Drop for Draining<T> {
    fn drop(&mut self) {
        let queue = self.owner.queue();
        if !self.is_done {
            let mut state = lock(&queue.state);
            state.draining = false;
            state.ended.get_or_insert(Error::Stopped);
        }
        queue.moved.send_replace(());
    }
}
