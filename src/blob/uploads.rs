//! All uploads: which are written to, which were left, and how far each one is hashed.
//!
//! `registry` opens, asks and discards by key; what a key stands for, who may use it and when it
//! expires is decided there. An upload without a byte has no file, so a session costs nothing here
//! before its first byte. A file's length is the offset; hash states are only a saving, kept for a
//! bounded number of uploads and believed only where they end at that offset.

use std::sync::Arc;

use moka::policy::EvictionPolicy;

use crate::model::Timestamp;
use crate::oci::{Algorithm, Hasher};

use super::claims::{Claim, Claims, LeaveUnlessKept};
use super::upload::{Upload, UploadWriter};
use super::upload_key::UploadKey;
use super::{BlobStore, Error, blocking, disk, written};

/// How many paused uploads have their hash state kept: about 2 MiB.
const HASHED: u64 = 4096;

/// What is known of uploads beside their files.
pub(super) struct Uploads {
    claims: Arc<Claims<UploadKey>>,
    hashed: moka::sync::Cache<UploadKey, Hashed>,
}

/// The hash state of an upload whose first `len` bytes, and whose name, are durable.
#[derive(Clone)]
pub(super) struct Hashed {
    pub(super) hasher: Hasher,
    pub(super) algorithm: Algorithm,
    pub(super) len: u64,
}

/// An upload that nobody is writing to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeftUpload {
    /// Its name.
    pub key: UploadKey,
    /// How many bytes it has.
    pub len: u64,
    /// When the last of them was written.
    pub written: Timestamp,
}

impl Uploads {
    pub(super) fn new() -> Self {
        Self {
            claims: Arc::default(),
            // The default policy would rather keep what was asked for often; each is asked for once.
            hashed: moka::sync::Cache::builder()
                .max_capacity(HASHED)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        }
    }

    /// Takes the hash state of an upload that is about to change.
    pub(super) fn take_hashed(&self, key: &UploadKey) -> Option<Hashed> {
        self.hashed.remove(key)
    }

    /// Keeps the hash state of an upload until it is opened again.
    pub(super) fn keep_hashed(&self, key: UploadKey, hashed: Hashed) {
        self.hashed.insert(key, hashed);
    }

    async fn claim(&self, key: &UploadKey) -> Result<Claim<UploadKey>, Error> {
        let claim = self.claims.claim(key).await;
        claim.ok_or(Error::UploadBusy { upload: *key })
    }
}

impl BlobStore {
    /// Tells how many bytes an upload has, or `None` if it has no file.
    ///
    /// While it is written to, that is a length of the past, durable or not; [`UploadWriter::len`] of
    /// an opened upload is what the next byte's offset is to be compared with.
    pub async fn upload_len(&self, key: &UploadKey) -> Result<Option<u64>, Error> {
        let path = self.0.layout.upload(key);
        blocking(move || disk::len_of(&path)).await
    }

    /// Opens an upload to append to what it has; makes no file before the first byte.
    ///
    /// Bytes whose hash state was lost, or made by another algorithm, are read and hashed first.
    ///
    /// # Errors
    /// [`Error::UploadBusy`] while somebody else writes to it; a writer that was dropped is waited
    /// for. If [`Error::is_damage`], its bytes were unreadable, and it is gone.
    ///
    /// # Cancel safety
    /// If the future is dropped, the next caller waits for the hashing to end and opens it then.
    pub async fn open_upload(
        &self,
        key: &UploadKey,
        algorithm: Algorithm,
    ) -> Result<UploadWriter, Error> {
        let claim = Arc::new(self.0.uploads.claim(key).await?);
        let leaving = LeaveUnlessKept::new(&claim);
        let (inner, key) = (self.0.clone(), *key);
        let upload = blocking(move || Upload::open(inner, claim, key, algorithm)).await?;
        leaving.keep();
        Ok(UploadWriter::new(upload))
    }

    /// Deletes an upload; returns how many bytes that were, zero if there was none.
    ///
    /// # Errors
    /// [`Error::UploadBusy`] while somebody writes to it.
    pub async fn discard_upload(&self, key: &UploadKey) -> Result<u64, Error> {
        let claim = self.0.uploads.claim(key).await?;
        claim.leave();
        let (inner, key) = (self.0.clone(), *key);
        blocking(move || {
            let _claim = claim;
            inner.uploads.take_hashed(&key);
            let path = inner.layout.upload(&key);
            let len = disk::len_of(&path)?.unwrap_or(0);
            disk::unlink(&path)?;
            Ok(len)
        })
        .await
    }

    /// Lists the uploads that nobody is writing to, in no order: for those who let them expire.
    pub async fn uploads(&self) -> Result<Vec<LeftUpload>, Error> {
        let inner = self.0.clone();
        blocking(move || {
            let mut left = Vec::new();
            for (key, path) in inner.layout.left_uploads()? {
                if inner.uploads.claims.is_claimed(&key) {
                    continue;
                }
                // Gone since it was listed: it was finished or discarded.
                let Ok(metadata) = std::fs::metadata(&path) else {
                    continue;
                };
                left.push(LeftUpload {
                    key,
                    len: metadata.len(),
                    written: written(&metadata),
                });
            }
            Ok(left)
        })
        .await
    }
}
