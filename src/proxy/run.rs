//! The task of one fill: room, bytes over as many connections as it takes, publication.
//!
//! It resumes by range where upstream broke off and gives up when upstream keeps failing without
//! giving bytes. How it ends is told to askers through [`Fill`]; what is left of it to go on with stays
//! accounted for in `room`.

use std::sync::Arc;

use super::error::Asked;
use super::fill::{Fill, Order, Stage};
use super::{Error, Proxy, Source};
use crate::blob::{self, Keep, PartialWriter};
use crate::oci::{Digest, RepositoryName};
use crate::quota::Reservation;
use crate::registry::Placed;
use crate::upstream::{self, BlobBody};

/// Upstream connections that may break one after the other without giving [`PROGRESS`] bytes.
const FRUITLESS: u32 = 5;

/// Bytes that count as progress.
const PROGRESS: u64 = 64 * 1024;

/// Most bytes of a blob whose size neither a manifest nor upstream tells: an endless body must not
/// flush the cache.
const UNSAID: u64 = 64 * 1024 * 1024;

/// The task of one fill.
pub(super) struct Run {
    pub(super) proxy: Proxy,
    pub(super) fill: Arc<Fill>,
    pub(super) order: Order,
}

/// Takes the fill out of the list when its task ends, in whatever way.
struct Listed {
    proxy: Proxy,
    fill: Arc<Fill>,
    digest: Digest,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.proxy.inner.fills.remove(&self.digest);
        self.proxy.inner.metrics.fills.dec();
        if std::thread::panicking() {
            self.fill.tell(Stage::Failed(Error::Abandoned));
        }
        self.fill.end();
    }
}

/// Why a fill ended without its blob.
pub(super) enum Ended {
    Unkept,
    Upstream(upstream::Error),
    Failed(Error),
    /// Its bytes are kept; another pull goes on with them.
    Paused(&'static str),
}

impl From<blob::Error> for Ended {
    fn from(error: blob::Error) -> Self {
        if error.is_unkept() {
            Self::Unkept
        } else {
            Self::Failed(error.into())
        }
    }
}

impl From<crate::registry::Error> for Ended {
    fn from(error: crate::registry::Error) -> Self {
        if error.is_unkept() {
            Self::Unkept
        } else {
            Self::Failed(error.into())
        }
    }
}

impl Run {
    pub(super) async fn conclude(self) {
        let listed = Listed {
            proxy: self.proxy.clone(),
            fill: self.fill.clone(),
            digest: self.order.digest,
        };
        let result = self.fetch().await;
        // Out of the list first: who asks from here on finds the blob, or begins anew.
        drop(listed);
        let stage = match result {
            Ok(()) => return,
            Err(Ended::Unkept) => Stage::Uncached,
            Err(Ended::Upstream(error)) => Stage::Failed(self.refused(&error)),
            Err(Ended::Failed(error)) => Stage::Failed(error),
            Err(Ended::Paused(_)) => Stage::Failed(Error::Abandoned),
        };
        if let Stage::Failed(error) = &stage {
            tracing::warn!(
                organization.name = %self.order.source.organization(),
                repository.name = %self.order.source.name(),
                blob.digest = %self.order.digest,
                "a fill failed: {error}"
            );
        }
        // Readers of the growing file have heard from the file; this is for those who still wait.
        self.fill.tell(stage);
    }

    fn refused(&self, error: &upstream::Error) -> Error {
        let source = &self.order.source;
        if error.is_absent() {
            self.proxy.note_absent_blob(source, &self.order.digest);
        }
        let has_account = self.order.cache.rule.credentials.is_some();
        Error::from_upstream(error, Asked::Blob, source.organization(), has_account)
    }

    async fn fetch(&self) -> Result<(), Ended> {
        let registry = self.proxy.registry();
        let _protected = registry.protect(self.order.units.clone());
        let Order {
            digest, expected, ..
        } = &self.order;
        // Whoever looked before another fill ended, and asked after, need not have it fetched again.
        if let Some(file) = self
            .proxy
            .filled(&self.order)
            .await
            .map_err(Ended::Failed)?
        {
            self.fill.tell(Stage::Held(file));
            return Ok(());
        }
        let (mut writer, _) = registry.blobs().begin(digest).await?;
        if expected.is_some_and(|expected| writer.len() > expected) {
            writer.restart().await?;
        }
        let mut room = None;
        let pumped = self.pump(&mut writer, &mut room).await;
        match (pumped, room) {
            (Ok(()), Some(room)) => self.publish(writer, room).await,
            (pumped, room) => {
                // Bytes are written into room only: without it there is nothing that could be whole.
                let ended = pumped.err().unwrap_or(Ended::Failed(Error::Abandoned));
                self.give_up(&ended, writer, room).await;
                Err(ended)
            }
        }
    }

    /// Ends the file for its readers; bytes that can be gone on with are kept, and stay accounted for.
    async fn give_up(&self, ended: &Ended, writer: PartialWriter, room: Option<Reservation>) {
        let (keep, reason) = match ended {
            Ended::Unkept => (Keep::Nothing, "it cannot be kept".to_owned()),
            Ended::Upstream(error) => (Keep::Bytes, error.to_string()),
            Ended::Failed(error) => (Keep::Nothing, error.to_string()),
            Ended::Paused(reason) => (Keep::Bytes, (*reason).to_owned()),
        };
        if matches!(ended, Ended::Unkept) {
            self.fill.lose_room();
        }
        let len = writer.len();
        writer.fail(keep, reason).await;
        let parked = &self.proxy.inner.fills.parked;
        // Without room of this fill, that of an earlier one which left the bytes is theirs still.
        let room = room.or_else(|| parked.take(&self.order.digest));
        if let Some(mut room) = room
            && keep == Keep::Bytes
            && len > 0
        {
            room.shrink(len);
            parked.put(self.order.digest, room, self.proxy.now());
        }
    }

    /// Fetches until all bytes are written, over as many connections as it takes.
    async fn pump(
        &self,
        writer: &mut PartialWriter,
        room: &mut Option<Reservation>,
    ) -> Result<(), Ended> {
        let Order {
            cache,
            source,
            digest,
            expected,
            ..
        } = &self.order;
        let mut fruitless = 0;
        let mut may_begin_anew = !writer.is_empty();
        if let Some(expected) = *expected
            && !writer.is_empty()
        {
            // Bytes from before are served while upstream is asked for the rest.
            self.announce(writer, expected);
        }
        loop {
            if *expected == Some(writer.len()) && !writer.is_empty() {
                self.take_room(room, writer).await?;
                return Ok(());
            }
            let begun_at = writer.len();
            let error = match cache
                .upstream
                .open_blob(&source.name, digest, begun_at)
                .await
            {
                Ok(body) => match self.drain(body, writer, room).await? {
                    None => return Ok(()),
                    Some(error) => error,
                },
                Err(error) => error,
            };
            let is_wrong = !error.is_outage() && !error.is_absent();
            if is_wrong && std::mem::take(&mut may_begin_anew) {
                // Upstream does not know the bytes from before: 416, another length.
                writer.restart().await?;
                continue;
            }
            fruitless = if writer.len() >= begun_at + PROGRESS {
                0
            } else {
                fruitless + 1
            };
            if fruitless >= FRUITLESS || !error.is_outage() {
                return Err(Ended::Upstream(error));
            }
            // A first connection that fails outright is the client's to hear about at once.
            if writer.is_empty() && fruitless > 1 {
                return Err(Ended::Upstream(error));
            }
            tracing::info!(
                blob.digest = %digest,
                offset_bytes = writer.len(),
                "upstream broke off, resuming: {error}"
            );
            self.pause(fruitless).await?;
        }
    }

    async fn pause(&self, fruitless: u32) -> Result<(), Ended> {
        if fruitless == 0 {
            return Ok(());
        }
        let first = self.proxy.inner.settings.load().deadlines.retry_pause;
        let pause = first * 2_u32.pow(fruitless.min(6) - 1);
        let mut stopping = self.proxy.inner.fills.stopping.subscribe();
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            _ = stopping.wait_for(|stopping| *stopping) => Err(Ended::Paused("the process stops")),
        }
    }

    /// Writes one connection's bytes; `None` when the blob is complete, else why it broke off.
    async fn drain(
        &self,
        mut body: BlobBody,
        writer: &mut PartialWriter,
        room: &mut Option<Reservation>,
    ) -> Result<Option<upstream::Error>, Ended> {
        let (reservation, total) = match self.prepare(&body, writer, room).await {
            Ok(prepared) => prepared,
            Err(ended) => {
                if matches!(ended, Ended::Unkept) {
                    // What does not fit is not asked for twice.
                    self.fill.leave_open(body);
                }
                return Err(ended);
            }
        };
        if let Some(total) = total {
            self.announce(writer, total);
        }
        let organization = self.order.source.organization();
        let metrics = self.proxy.inner.metrics.of(organization);
        // A 200 to a Range request begins at the beginning.
        let mut skip = writer.len().saturating_sub(body.start());
        let mut stopping = self.proxy.inner.fills.stopping.subscribe();
        loop {
            let piece = tokio::select! {
                piece = body.next() => piece,
                _ = stopping.wait_for(|stopping| *stopping) => {
                    return Err(Ended::Paused("the process stops"));
                }
            };
            let mut piece = match piece {
                None => break,
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Ok(Some(error)),
            };
            if let Some(metrics) = &metrics {
                metrics.fetched.inc_by(piece.len() as u64);
            }
            let skipped = skip.min(piece.len() as u64);
            skip -= skipped;
            piece = piece.split_off(usize::try_from(skipped).expect("no more than the piece"));
            let len = writer.len() + piece.len() as u64;
            if len > total.unwrap_or(UNSAID) {
                let reason = "more bytes than it announced, or may send unannounced".to_owned();
                return Err(Ended::Failed(Error::BadGateway { reason }));
            }
            self.cover(reservation, len).await?;
            writer.append(piece).await?;
            reservation.written(len);
            if self
                .fill
                .is_unread(total.unwrap_or(u64::MAX).saturating_sub(len))
            {
                return Err(Ended::Paused("nobody reads it"));
            }
        }
        match total {
            Some(total) if writer.len() < total => Ok(Some(upstream::Error::Short {
                expected: total,
                received: writer.len(),
            })),
            _ => Ok(None),
        }
    }

    /// The blob's size, which upstream and manifest must agree on, and room for it.
    async fn prepare<'r>(
        &self,
        body: &BlobBody,
        writer: &PartialWriter,
        room: &'r mut Option<Reservation>,
    ) -> Result<(&'r mut Reservation, Option<u64>), Ended> {
        let total = match (self.order.expected, body.total()) {
            (Some(expected), Some(total)) if expected != total => {
                let reason =
                    format!("{total} bytes for a blob that its manifest says has {expected}");
                return Err(Ended::Failed(Error::BadGateway { reason }));
            }
            (expected, total) => expected.or(total),
        };
        let reservation = self.take_room(room, writer).await?;
        self.cover(reservation, total.unwrap_or(0)).await?;
        Ok((reservation, total))
    }

    /// Room for the blob, taken once upstream answers: nothing held goes for what does not come, and an outage
    /// does not empty the cache (CA-07).
    async fn take_room<'r>(
        &self,
        room: &'r mut Option<Reservation>,
        writer: &PartialWriter,
    ) -> Result<&'r mut Reservation, Ended> {
        let reservation = match room.take() {
            Some(reservation) => reservation,
            None => {
                let mut reservation = self.reserve().await?;
                reservation.written(writer.len());
                reservation
            }
        };
        Ok(room.insert(reservation))
    }

    fn announce(&self, writer: &mut PartialWriter, total: u64) {
        writer.set_total(total);
        self.fill.tell(Stage::Growing(writer.partial()));
    }

    /// Verifies and names the bytes, then links them to everyone who asked.
    async fn publish(&self, writer: PartialWriter, reservation: Reservation) -> Result<(), Ended> {
        let registry = self.proxy.registry();
        let partial = writer.partial();
        let Order { source, digest, .. } = &self.order;
        let placed = self.place(source).await?;
        let published = registry
            .ingest_blob(&placed, writer, *digest, reservation)
            .await;
        if let Err(crate::registry::Error::Blob(error)) = &published
            && error.is_mismatch()
        {
            self.proxy.inner.metrics.mismatches.inc();
            let reason = error.to_string();
            return Err(Ended::Failed(Error::BadGateway { reason }));
        }
        published?;
        // A blob whose size nobody knew is announced by being there.
        self.fill.tell(Stage::Growing(partial));
        for other in self.fill.other_places() {
            let placed = self.place(&other).await?;
            if let Err(error) = registry.link_held_blob(&placed, *digest).await {
                // They were served; they only have to ask again another time.
                tracing::info!(blob.digest = %digest, "not kept for a second place: {error}");
            }
        }
        Ok(())
    }

    async fn place(&self, source: &Source) -> Result<Placed, Ended> {
        let registry = self.proxy.registry();
        let name: &RepositoryName = source.name();
        let repository = registry
            .ensure_repository(source.organization, name)
            .await?;
        Ok(Placed {
            namespace: source.organization,
            repository,
        })
    }
}
