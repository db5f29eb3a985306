//! Blobs of one run: each fetched once, however many of its tags are made of it, a few side by side.
//!
//! Bytes go to the disk as they come, are verified, and are given to the repository. What broke off goes on by
//! Range, also in a later run and in another process: `blob` keeps what came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Error;
use super::survey::Need;
use super::throttle::Patience;
use super::work::Work;
use crate::blob::{self, Keep, PartialWriter};
use crate::oci::{Descriptor, Digest};
use crate::quota::Reservation;
use crate::upstream::{self, BlobBody};

/// Blobs of one run that come side by side.
const SIDE_BY_SIDE: usize = 6;

/// Connections that may break one after the other without giving [`PROGRESS`] bytes.
const FRUITLESS: u32 = 4;

/// Bytes that count as progress.
const PROGRESS: u64 = 64 * 1024;

/// How often it is looked whether somebody else has brought a blob that he is bringing.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes that came to be of another digest are fetched once more if some of them are of an earlier connection.
const RESTARTS: u32 = 1;

type Outcome = Option<Result<(), Error>>;

/// The blobs of a run that are on their way, or have come.
pub(super) struct Blobs {
    work: Arc<Work>,
    places: Arc<Semaphore>,
    known: Mutex<HashMap<Digest, watch::Receiver<Outcome>>>,
    /// The run's own: what it began ends with it.
    tasks: Weak<Tasks>,
}

/// What a run has going beside itself; dropped, it ends where it is.
#[derive(Default)]
pub(super) struct Tasks(Mutex<JoinSet<()>>);

impl Blobs {
    pub(super) fn new(work: Arc<Work>, tasks: &Arc<Tasks>) -> Self {
        Self {
            work,
            places: Arc::new(Semaphore::new(SIDE_BY_SIDE)),
            known: Mutex::default(),
            tasks: Arc::downgrade(tasks),
        }
    }

    /// Has the repository have all of these blobs.
    ///
    /// # Errors
    /// The first that could not come.
    pub(super) async fn bring(
        &self,
        blobs: &[Descriptor],
        deadline: Duration,
    ) -> Result<(), Error> {
        let flights: Vec<_> = blobs
            .iter()
            .map(|blob| self.flight(blob, deadline))
            .collect();
        for mut flight in flights {
            let ended = flight.wait_for(Option::is_some).await;
            // The sender goes without a word only with the run.
            let outcome = ended.map_err(|_| Error::Cancelled)?;
            outcome.clone().unwrap_or(Err(Error::Cancelled))?;
        }
        Ok(())
    }

    /// The flight of a blob, begun if there is none that may succeed.
    fn flight(&self, blob: &Descriptor, deadline: Duration) -> watch::Receiver<Outcome> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = known.get(&blob.digest)
            && !matches!(&*flight.borrow(), Some(Err(_)))
        {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        known.insert(blob.digest, receiver.clone());
        drop(known);
        let (work, places, blob) = (
            Arc::clone(&self.work),
            Arc::clone(&self.places),
            blob.clone(),
        );
        let task = async move {
            let outcome = match places.acquire().await {
                Ok(_place) => work.bring(&blob, &Patience::of(deadline)).await,
                Err(_) => Err(Error::Cancelled),
            };
            sender.send_replace(Some(outcome));
        };
        if let Some(tasks) = self.tasks.upgrade() {
            let mut tasks = tasks.0.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
        receiver
    }

    /// Forgets that blobs have come: one of them is gone again.
    pub(super) fn forget(&self, blobs: &[Descriptor]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in blobs {
            known.remove(&blob.digest);
        }
    }
}

/// Why the bytes of one connection did not complete a blob.
enum Broke {
    /// Another connection may go on.
    Off(upstream::Error),
    For(Error),
}

impl From<Error> for Broke {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}

impl From<blob::Error> for Broke {
    fn from(error: blob::Error) -> Self {
        Self::For(error.into())
    }
}

impl Work {
    /// Has the repository have a blob.
    async fn bring(&self, blob: &Descriptor, patience: &Patience) -> Result<(), Error> {
        let mut restarts = 0;
        loop {
            let registry = self.registry();
            match self.need(blob).await? {
                Need::Held => return Ok(()),
                Need::Adopt => {
                    let digest = blob.digest;
                    if registry
                        .adopt_blob(&self.placed, digest, self.actor())
                        .await?
                    {
                        return Ok(());
                    }
                }
                Need::Fetch => {}
            }
            registry.admit_push(self.placed.namespace).await?;
            let namespace = self.placed.namespace;
            let reservation = registry.reserve(namespace, blob.size, &[]).await?;
            let writer = match registry.blobs().begin(&blob.digest).await {
                Ok((writer, _)) => writer,
                // Somebody else is bringing it.
                Err(blob::Error::Busy { .. }) => {
                    drop(reservation);
                    patience.suspended(sleep(LOOK)).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let was_begun = !writer.is_empty();
            match self.fetch(blob, writer, reservation, patience).await {
                // An earlier writer's bytes may be what is wrong.
                Err(Error::Registry(crate::registry::Error::Blob(error)))
                    if error.is_mismatch() && was_begun && restarts < RESTARTS =>
                {
                    restarts += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn fetch(
        &self,
        blob: &Descriptor,
        mut writer: PartialWriter,
        mut reservation: Reservation,
        patience: &Patience,
    ) -> Result<(), Error> {
        if writer.len() > blob.size {
            writer.restart().await?;
        }
        reservation.written(writer.len());
        match self
            .pump(blob, &mut writer, &mut reservation, patience)
            .await
        {
            Ok(()) => {
                let by = (blob.digest, self.actor());
                let registry = self.registry();
                Ok(registry
                    .land_blob(&self.placed, writer, by, reservation)
                    .await?)
            }
            Err(error) => {
                writer.fail(Keep::Bytes, error.to_string()).await;
                Err(error)
            }
        }
    }

    /// Writes until all bytes are there, over as many connections as it takes.
    async fn pump(
        &self,
        blob: &Descriptor,
        writer: &mut PartialWriter,
        reservation: &mut Reservation,
        patience: &Patience,
    ) -> Result<(), Error> {
        let (upstream, name) = (&self.source.upstream, self.source.name());
        let mut fruitless = 0;
        let mut may_begin_anew = !writer.is_empty();
        while writer.len() < blob.size {
            let begun_at = writer.len();
            let opened = upstream.open_blob(name, &blob.digest, begun_at).await;
            let drained = match opened {
                Ok(body) => self.drain(blob, body, writer, reservation, patience).await,
                Err(error) => Err(Broke::Off(error)),
            };
            let error = match drained {
                Ok(()) => continue,
                Err(Broke::For(error)) => return Err(error),
                Err(Broke::Off(error)) => error,
            };
            let is_wrong = !error.is_outage() && !error.is_absent();
            if is_wrong && std::mem::take(&mut may_begin_anew) {
                // The source does not know the bytes from before: 416, another length.
                writer.restart().await?;
                continue;
            }
            fruitless = match writer.len() >= begun_at + PROGRESS {
                true => 1,
                false => fruitless + 1,
            };
            if fruitless >= FRUITLESS {
                return Err(error.into());
            }
            self.source.pause(patience, fruitless, error).await?;
        }
        Ok(())
    }

    /// Writes the bytes of one connection.
    async fn drain(
        &self,
        blob: &Descriptor,
        mut body: BlobBody,
        writer: &mut PartialWriter,
        reservation: &mut Reservation,
        patience: &Patience,
    ) -> Result<(), Broke> {
        if body.total().is_some_and(|total| total != blob.size) {
            let reason = format!(
                "a blob of another size than its manifest says: {}",
                blob.digest
            );
            return Err(Broke::Off(upstream::Error::Unexpected(reason)));
        }
        // A 200 to a Range request begins at the beginning.
        let mut skip = writer.len().saturating_sub(body.start());
        loop {
            let piece = tokio::select! {
                piece = body.next() => piece,
                () = patience.ended() => {
                    return Err(Broke::For(upstream::Error::Timeout(patience.whole()).into()));
                }
            };
            let mut piece = match piece {
                None => break,
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Err(Broke::Off(error)),
            };
            let came = piece.len();
            self.took(came as u64);
            let skipped = skip.min(came as u64);
            skip -= skipped;
            piece = piece.split_off(usize::try_from(skipped).expect("no more than the piece"));
            let len = writer.len() + piece.len() as u64;
            if len > blob.size {
                let limit_bytes = usize::try_from(blob.size).unwrap_or(usize::MAX);
                let what = "a blob";
                return Err(Broke::For(
                    upstream::Error::TooLarge { what, limit_bytes }.into(),
                ));
            }
            writer.append(piece).await?;
            reservation.written(len);
            patience.suspended(self.throttle.pass(came)).await;
        }
        match writer.len() < blob.size {
            true => Err(Broke::Off(upstream::Error::Short {
                expected: blob.size,
                received: writer.len(),
            })),
            false => Ok(()),
        }
    }
}
