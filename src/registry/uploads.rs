//! Uploads of clients: begun, appended to in any number of requests, and made a blob of a repository.
//!
//! Called by the `/v2/` doors. A session belongs to one repository and one person, and is known by its
//! id alone ([`session`](super::session)); its bytes lie in `blob`, whose file length is the offset.
//! Promises: an answered request is durable; nothing is held in memory but a few pieces; a digest that
//! does not match leaves nothing; a finished or cancelled session is gone at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use moka::sync::Cache;

use super::commit::{Origin, Room};
use super::metrics::Changed;
use super::session::{Owner, Session, Sessions};
use super::{Error, Placed, Registry};
use crate::blob::{self, UploadKey, UploadWriter};
use crate::model::{Actor, Timestamp};
use crate::oci::{Algorithm, Digest};
use crate::quota::Reservation;

/// Sessions remembered as ended. One that falls out looks like a session without a byte, which costs
/// nothing and expires.
const ENDED: u64 = 65_536;

/// Room is reserved in steps, so that not every piece asks the ledger.
const RESERVED_AT_ONCE: u64 = 8 << 20;

/// What is known of uploads beside their ids and files.
pub(super) struct Uploads {
    sessions: Sessions,
    ended: Cache<UploadKey, ()>,
    /// Room of uploads that nobody appends to right now: their bytes are in an account all the same.
    paused: Mutex<HashMap<UploadKey, Reservation>>,
}

impl Uploads {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self {
            sessions: Sessions::new(secret),
            ended: Cache::new(ENDED),
            paused: Mutex::default(),
        }
    }

    fn pause(&self, key: UploadKey, reservation: Reservation) {
        self.lock().insert(key, reservation);
    }

    /// Gives up the room of an upload, or hands it to whoever goes on with it.
    pub(super) fn resume(&self, key: &UploadKey) -> Option<Reservation> {
        self.lock().remove(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UploadKey, Reservation>> {
        // Every change is one insertion or removal: a panic elsewhere leaves the map whole.
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of an upload session, opaque to clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UploadId {
    text: String,
    key: UploadKey,
}

impl UploadId {
    /// The id as it stands in a path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `Docker-Upload-UUID`: tells sessions apart, and gives no access to any.
    pub const fn key(&self) -> UploadKey {
        self.key
    }
}

/// An upload that is being appended to; nobody else can be.
pub struct Upload {
    registry: Registry,
    placed: Placed,
    id: UploadId,
    owner: Owner,
    writer: UploadWriter,
    room: Taken,
}

/// The room of an upload while somebody appends to it. However that ends, what was written stays in the
/// account until the upload is finished or given up.
struct Taken {
    registry: Registry,
    key: UploadKey,
    reservation: Option<Reservation>,
}

impl Taken {
    /// `None` once the upload has ended.
    const fn get(&mut self) -> Option<&mut Reservation> {
        self.reservation.as_mut()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(mut reservation) = self.reservation.take()
            && reservation.keep_written() > 0
        {
            self.registry.inner.uploads.pause(self.key, reservation);
        }
    }
}

impl Registry {
    /// Begins an upload session, which costs nothing until its first byte.
    ///
    /// `algorithm` is what the client says it will name the blob by; another is found out at the end
    /// by reading the bytes again.
    ///
    /// # Errors
    /// [`Error::NoRandomness`] if the system has none to give; [`Error::QuotaExceeded`].
    pub async fn begin_upload(
        &self,
        placed: &Placed,
        owner: &Actor,
        algorithm: Algorithm,
    ) -> Result<UploadId, Error> {
        self.admit_push(placed.namespace).await?;
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|_| Error::NoRandomness)?;
        let session = Session {
            key: UploadKey::from_bytes(key),
            started: self.inner.clock.now(),
            repository: placed.repository,
            owner: Owner::of(owner),
            algorithm,
        };
        Ok(UploadId {
            text: self.inner.uploads.sessions.print(&session),
            key: session.key,
        })
    }

    /// Tells how many bytes of an upload have come.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] if this repository and person have no such session, or it has ended.
    pub async fn upload_len(
        &self,
        placed: &Placed,
        owner: &Actor,
        id: &str,
    ) -> Result<(UploadId, u64), Error> {
        let session = self.session(placed, owner, id)?;
        let len = self.arrived(&session).await?;
        Ok((self.id_of(&session), len))
    }

    /// Opens an upload to append to it.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`]; [`Error::Blob`] with [`blob::Error::UploadBusy`] while another
    /// request appends to it.
    ///
    /// [`blob::Error::UploadBusy`]: crate::blob::Error::UploadBusy
    pub async fn open_upload(
        &self,
        placed: &Placed,
        owner: &Actor,
        id: &str,
    ) -> Result<Upload, Error> {
        let session = self.session(placed, owner, id)?;
        self.arrived(&session).await?;
        self.open_session(placed, &session).await
    }

    /// Opens the upload of a session that has just begun.
    ///
    /// # Errors
    /// The disk's.
    pub async fn open_new_upload(
        &self,
        placed: &Placed,
        owner: &Actor,
        algorithm: Algorithm,
    ) -> Result<Upload, Error> {
        let id = self.begin_upload(placed, owner, algorithm).await?;
        let session = self.session(placed, owner, id.as_str())?;
        self.open_session(placed, &session).await
    }

    /// Ends an upload and drops its bytes.
    ///
    /// # Errors
    /// As [`Registry::open_upload`].
    pub async fn cancel_upload(
        &self,
        placed: &Placed,
        owner: &Actor,
        id: &str,
    ) -> Result<(), Error> {
        let session = self.session(placed, owner, id)?;
        self.arrived(&session).await?;
        self.inner.blobs.discard_upload(&session.key).await?;
        drop(self.inner.uploads.resume(&session.key));
        self.inner.uploads.ended.insert(session.key, ());
        Ok(())
    }

    async fn open_session(&self, placed: &Placed, session: &Session) -> Result<Upload, Error> {
        let writer = self
            .inner
            .blobs
            .open_upload(&session.key, session.algorithm)
            .await?;
        // Whoever had it before may have ended it meanwhile.
        if self.inner.uploads.ended.contains_key(&session.key) {
            return Err(Error::UploadUnknown);
        }
        // What lies on the disk counts, whether it fits or not: it is there. After a restart it counts
        // as soon as somebody goes on with it.
        let paused = self.inner.uploads.resume(&session.key);
        let adopt = || self.inner.ledger.adopt(placed.namespace, writer.len());
        let reservation = paused.unwrap_or_else(adopt);
        Ok(Upload {
            registry: self.clone(),
            placed: placed.clone(),
            id: self.id_of(session),
            owner: session.owner,
            writer,
            room: Taken {
                registry: self.clone(),
                key: session.key,
                reservation: Some(reservation),
            },
        })
    }

    /// The session of an id, if it is this person's in this repository (AZ-03).
    fn session(&self, placed: &Placed, owner: &Actor, id: &str) -> Result<Session, Error> {
        let uploads = &self.inner.uploads;
        let session = uploads.sessions.parse(id).ok_or(Error::UploadUnknown)?;
        let is_theirs = session.repository == placed.repository
            && session.owner == Owner::of(owner)
            && !uploads.ended.contains_key(&session.key);
        is_theirs.then_some(session).ok_or(Error::UploadUnknown)
    }

    /// Bytes that have come; an old session without any has expired with its file.
    async fn arrived(&self, session: &Session) -> Result<u64, Error> {
        match self.inner.blobs.upload_len(&session.key).await? {
            Some(len) => Ok(len),
            None if self.is_expired(session.started) => Err(Error::UploadUnknown),
            None => Ok(0),
        }
    }

    fn is_expired(&self, started: Timestamp) -> bool {
        let expiry = self.inner.rules.load().upload_expiry;
        self.inner.clock.now().since(started) > expiry
    }

    fn id_of(&self, session: &Session) -> UploadId {
        UploadId {
            text: self.inner.uploads.sessions.print(session),
            key: session.key,
        }
    }
}

impl Upload {
    pub const fn id(&self) -> &UploadId {
        &self.id
    }

    /// How many bytes have come: the offset that the next one has.
    pub fn len(&self) -> u64 {
        self.writer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Takes the room for `more` bytes at once, where the client says how many come.
    ///
    /// # Errors
    /// [`Error::NoRoom`], before any of them is read (GC-07).
    pub async fn expect(&mut self, more: u64) -> Result<(), Error> {
        self.cover(more).await
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`Error::NoRoom`], then what came before stays; the disk's, then the upload is gone.
    ///
    /// # Cancel safety
    /// As [`UploadWriter::append`].
    pub async fn append(&mut self, piece: Bytes) -> Result<(), Error> {
        self.cover(piece.len() as u64).await?;
        let appended = self.writer.append(piece).await;
        self.note_lost(&appended);
        appended?;
        if let Some(room) = self.room.get() {
            room.written(self.writer.len());
        }
        Ok(())
    }

    /// Makes what has come durable and leaves the session for later requests; returns its length.
    ///
    /// # Errors
    /// The disk's; the upload is gone then.
    pub async fn pause(self) -> Result<u64, Error> {
        let mut room = self.room;
        let paused = self.writer.pause().await;
        if paused.is_err() {
            room.reservation = None;
            let ended = &self.registry.inner.uploads.ended;
            ended.insert(self.id.key, ());
        }
        Ok(paused?)
    }

    /// Gives up what has come, and ends the session: nothing of it counts any more.
    pub async fn discard(mut self) {
        self.registry.inner.uploads.ended.insert(self.id.key, ());
        self.writer.discard().await;
        self.room.reservation = None;
    }

    /// After a failed write all bytes are gone, and so is the session.
    fn note_lost(&mut self, outcome: &Result<(), blob::Error>) {
        if outcome.is_err() {
            self.room.reservation = None;
            self.registry.inner.uploads.ended.insert(self.id.key, ());
        }
    }

    /// Makes a blob of what has come, and gives it to the repository.
    ///
    /// The blob is kept for a grace period in which a manifest is to name it.
    ///
    /// # Errors
    /// The blob's wrong digest, with which the session ends too; the store's or the disk's.
    pub async fn finish(mut self, digest: Digest) -> Result<(), Error> {
        let len = self.writer.len();
        let uploads = &self.registry.inner.uploads;
        let (now, blob) = (
            self.registry.inner.clock.now(),
            (self.placed.repository, digest),
        );
        let touches = &self.registry.inner.touches;
        touches.touch(blob, self.owner, now).await;
        let _guard = self.registry.content_lock(&digest).await;
        // Whatever comes of it, its bytes are no upload's any more.
        let reservation = self.room.reservation.take();
        let finished = self.writer.finish(&digest).await;
        uploads.ended.insert(self.id.key, ());
        finished?;
        let nothing = || self.registry.inner.ledger.nothing(self.placed.namespace);
        let room = Room::new(reservation.unwrap_or_else(nothing));
        self.registry
            .link(&self.placed, digest, Some(len), room, Origin::Pushed)
            .await?;
        self.registry.inner.metrics.count(Changed::PushedBlob);
        Ok(())
    }

    /// Makes the reservation cover `more` bytes behind those that have come.
    async fn cover(&mut self, more: u64) -> Result<(), Error> {
        let total = self.writer.len() + more;
        let Some(room) = self.room.get() else {
            return Err(Error::UploadUnknown);
        };
        if room.bytes() >= total {
            return Ok(());
        }
        let ahead = total.max(self.writer.len() + RESERVED_AT_ONCE);
        if room.cover(ahead).is_ok() {
            return Ok(());
        }
        self.registry.cover(room, total, &[]).await
    }
}
