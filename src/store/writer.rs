//! The one writer thread: takes what waits, runs it, and makes it durable in one commit.
//!
//! A commit is two syncs of the disk, whatever it holds, so writes that wait together share one.
//! Each closure sees what those before it in its batch have changed. One that fails or panics has its
//! changes taken back before the next runs, so it costs its neighbours nothing. Callers are answered
//! after the commit and after the hooks of their own closure.
//!
//! Two-phase commit, because what clients push is in the file; quick-repair, so that opening after a
//! crash does not walk it (CR-10). An error of redb fails the batch and the store for good (DK-05).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Error;
use super::changes::Changes;
use super::health::Health;
use super::metrics::Metrics;
use super::room::Room;
use super::txn::{Hook, ReadTx, WriteTx};
use super::volume::Volume;

/// Most writes that share a commit.
const BATCH_WRITES: usize = 256;

/// A batch that has grown to this many bytes is committed before its next write runs.
const BATCH_BYTES: usize = 16 << 20;

/// Writes that may wait; whoever brings more waits before the queue, for a while.
pub(super) const QUEUE: usize = 1024;

/// How long somebody waits before the queue: a disk on which that is not enough is far behind (DK-11).
const PATIENCE: Duration = Duration::from_secs(10);

type Queued = Box<dyn Work>;

/// The queue and its thread. Dropping it finishes what is queued.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
    metrics: Metrics,
}

impl Writer {
    /// # Errors
    /// If the system has no thread to give.
    pub(super) fn start(batches: Batches) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let metrics = batches.metrics.clone();
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || batches.serve(receiver))?;
        Ok(Self {
            queue: Some(sender),
            thread: Some(thread),
            metrics,
        })
    }

    /// Queues a closure, waiting for room, and returns where its outcome will arrive.
    ///
    /// # Errors
    /// [`Error::Busy`] if there was no room in time, [`Error::Closed`].
    pub(super) async fn submit<T, E, F>(
        &self,
        f: F,
    ) -> Result<oneshot::Receiver<Result<T, E>>, Error>
    where
        F: Fn(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let queue = self.queue.as_ref().ok_or(Error::Closed)?;
        let place = place_in(queue).await?;
        let (reply, answer) = oneshot::channel();
        self.metrics.queued_writes.inc();
        place.send(Box::new(Closure {
            f,
            outcome: None,
            reply,
        }));
        Ok(answer)
    }
}

/// A place in the queue.
async fn place_in(queue: &mpsc::Sender<Queued>) -> Result<mpsc::Permit<'_, Queued>, Error> {
    if let Ok(place) = queue.try_reserve() {
        return Ok(place);
    }
    match timeout(PATIENCE, queue.reserve()).await {
        Ok(place) => place.map_err(|_| Error::Closed),
        Err(_) => Err(Error::Busy),
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        // The last handle may be dropped by a hook, on the very thread that would be waited for.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

/// A queued closure, whatever it returns.
trait Work: Send {
    /// Runs it; whether its changes shall be kept.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;

    /// Tells its caller how it ended. Callers that went away miss nothing.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Closure<T, E, F> {
    f: F,
    /// `None` before it ran, and if it panicked.
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Work for Closure<T, E, F>
where
    F: Fn(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        self.outcome.insert((self.f)(tx)).is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or_else(|| Err(Error::Panicked.into())),
            Err(error) => Err(error.into()),
        };
        // A caller that is gone does not want to know.
        let _ = self.reply.send(outcome);
    }
}

/// The thread's side.
pub(super) struct Batches {
    pub(super) database: Arc<Database>,
    pub(super) health: Arc<Health>,
    pub(super) volume: Arc<Volume>,
    pub(super) metrics: Metrics,
    pub(super) room: Room,
}

impl Batches {
    fn serve(mut self, mut queue: mpsc::Receiver<Queued>) {
        let mut waiting = Vec::with_capacity(BATCH_WRITES);
        while queue.blocking_recv_many(&mut waiting, BATCH_WRITES) > 0 {
            self.metrics.queued_writes.sub(waiting.len() as i64);
            let mut batch = waiting.drain(..).peekable();
            while batch.peek().is_some() {
                self.run_batch(&mut batch);
                self.room.renew();
            }
        }
    }

    /// Runs closures up to the size of a batch, commits them and answers their callers.
    fn run_batch(&self, waiting: &mut impl Iterator<Item = Queued>) {
        let tx = self.health.check();
        let mut tx = match tx.and_then(|()| ReadTx::begin(&*self.database, &self.health)) {
            Ok(tx) => tx,
            Err(error) => return waiting.for_each(|work| work.answer(Err(error.clone()))),
        };
        let (mut ran, mut hooks) = (Vec::new(), Vec::new());
        for mut work in waiting {
            hooks.extend(self.run_one(&mut *work, &mut tx));
            ran.push(work);
            if tx.changes_mut().bytes() >= BATCH_BYTES {
                break;
            }
        }
        self.metrics.batch_writes.observe(ran.len() as f64);
        let committed = self.commit(&tx.into_changes());
        if committed.is_ok() {
            hooks.into_iter().for_each(|hook| self.run_hook(hook));
        }
        for work in ran {
            work.answer(committed.clone());
        }
    }

    /// Runs one closure; its hooks, if its changes are kept.
    fn run_one(&self, work: &mut dyn Work, tx: &mut ReadTx) -> Vec<Hook> {
        let run = || {
            let mut tx = WriteTx::new(tx);
            let keep = work.run(&mut tx);
            keep.then(|| tx.into_hooks())
        };
        // Unwind safety: what a panicking closure changed is taken back below, its outcome stays
        // `None`, and nothing else is shared with it.
        let hooks = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            self.metrics.panics.inc();
            tracing::error!(panic = text_of(&*panic), "a write closure panicked");
            None
        });
        match hooks {
            Some(hooks) => {
                tx.changes_mut().keep();
                hooks
            }
            None => {
                tx.changes_mut().take_back();
                Vec::new()
            }
        }
    }

    fn run_hook(&self, hook: Hook) {
        // Unwind safety: a hook is consumed; what it shares with others is its author's to keep.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
            self.metrics.panics.inc();
            tracing::error!(panic = text_of(&*panic), "an after-commit hook panicked");
        }
    }

    fn commit(&self, changes: &Changes) -> Result<(), Error> {
        // A closure may have met a disk error and swallowed it: nothing of such a batch is kept.
        self.health.check()?;
        if changes.is_empty() {
            return Ok(());
        }
        // Redb must not hear of it: what it is refused it takes for a failure.
        self.volume.check()?;
        let _timer = self.metrics.commit_seconds.start_timer();
        // Unwind safety: after a panic nothing of this database is written any more.
        match catch_unwind(AssertUnwindSafe(|| apply(&self.database, changes))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.health.fail("committing", error)),
            Err(panic) => Err(self.health.fail("committing", text_of(&*panic))),
        }
    }
}

/// Writes `changes` in one durable transaction.
fn apply(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    for (table, rows) in changes.tables() {
        let mut stored = transaction.open_table(table.definition())?;
        for (key, change) in rows {
            match change {
                Some(value) => stored.insert(key.as_slice(), value.as_slice())?,
                None => stored.remove(key.as_slice())?,
            };
        }
    }
    Ok(transaction.commit()?)
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}
