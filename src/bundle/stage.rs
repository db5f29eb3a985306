//! Blobs of an import, kept where uploads lie until all of them are here.
//!
//! A staged blob is an upload whose name follows from its digest: no row names it, nobody can read it,
//! and it expires as uploads do that nobody goes on with. So an import that broke off finds what it had
//! verified, down to the byte (AG-04), and nothing of a failed one is visible (AG-03).

use bytes::Bytes;

use super::archive::{Archive, blob_path};
use super::inventory::Inventory;
use super::{Bundles, Error};
use crate::blob::UploadKey;
use crate::oci::Digest;

/// The upload that a blob is staged in.
pub(super) fn key_of(digest: &Digest) -> UploadKey {
    let mut key = [0; 16];
    let name = format!("import of {digest}");
    key.copy_from_slice(&Digest::of(name.as_bytes()).hash()[..16]);
    UploadKey::from_bytes(key)
}

/// Where a blob is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whereabouts {
    /// Some repository has it.
    Held,
    /// It came with an import that has not ended yet, all of it.
    Staged,
    /// As many of its bytes have come.
    Missing(u64),
}

/// The bytes of a member, of which some may have been looked at already.
pub(super) struct Feed<'a, 'b> {
    pub(super) archive: &'a mut Archive<'b>,
    pub(super) first: Option<Bytes>,
}

impl Feed<'_, '_> {
    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        match self.first.take() {
            Some(bytes) => Ok(Some(bytes)),
            None => self.archive.piece().await,
        }
    }
}

impl Bundles {
    /// Where a blob of that size is.
    pub(super) async fn whereabouts(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<Whereabouts, Error> {
        if let Some(file) = self.registry.unlinked_blob(digest).await? {
            return match file.len() == size {
                true => Ok(Whereabouts::Held),
                false => Err(Error::refused(format!(
                    "{digest} has {} bytes, not {size} as it is described",
                    file.len()
                ))),
            };
        }
        let staged = self.registry.blobs().upload_len(&key_of(digest)).await?;
        let is_empty = size == 0 && *digest == Digest::with(digest.algorithm(), b"");
        Ok(match staged {
            Some(length) if length == size => Whereabouts::Staged,
            None if is_empty => Whereabouts::Staged,
            length => Whereabouts::Missing(length.unwrap_or(0)),
        })
    }

    /// The members of a bundle with this description that need not be sent: their blobs are here.
    ///
    /// # Errors
    /// If it is no description.
    pub async fn present(&self, description: &[u8]) -> Result<Vec<String>, Error> {
        let inventory = Inventory::read(description).map_err(Error::Refused)?;
        let mut present = Vec::new();
        for content in inventory
            .content
            .iter()
            .filter(|content| content.volume.is_some())
        {
            let at = self.whereabouts(&content.digest, content.size).await?;
            if !matches!(at, Whereabouts::Missing(_)) {
                present.push(blob_path(&content.digest));
            }
        }
        Ok(present)
    }

    /// Whether all bytes of a staged blob are those of its digest; wrong ones are thrown away. They were
    /// compared when they came; this is for those of an earlier process.
    pub(super) async fn is_sound(&self, digest: &Digest) -> Result<bool, Error> {
        let blobs = self.registry.blobs();
        let writer = blobs
            .open_upload(&key_of(digest), digest.algorithm())
            .await?;
        let is_sound = writer.is(digest).await?;
        writer.pause().await?;
        if !is_sound {
            blobs.discard_upload(&key_of(digest)).await?;
        }
        Ok(is_sound)
    }

    /// Takes the bytes of a member as those of a blob from `offset` on; the blob has
    /// `size`. Bytes that are here already are passed over.
    ///
    /// # Errors
    /// [`Error::Tampered`] if the blob is complete and not that of its digest; then none of it is kept.
    pub(super) async fn stage(
        &self,
        mut feed: Feed<'_, '_>,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<(), Error> {
        let blobs = self.registry.blobs();
        let key = key_of(digest);
        let mut writer = blobs.open_upload(&key, digest.algorithm()).await?;
        if writer.len() > size {
            drop(writer);
            blobs.discard_upload(&key).await?;
            writer = blobs.open_upload(&key, digest.algorithm()).await?;
        }
        if writer.len() < offset {
            let (file, have) = (feed.archive.file(), writer.len());
            return Err(Error::hostile(
                file,
                format!(
                    "it goes on with {digest} at byte {offset}, of which only {have} are here; give the \
                 volume in front of it first, or all volumes together"
                ),
            ));
        }
        let missing = self.registry.ledger().disk_lacks(size - writer.len());
        if missing > 0 {
            writer.pause().await?;
            return Err(Error::NoRoom { missing });
        }
        let mut skip = writer.len() - offset;
        loop {
            let mut piece = match feed.piece().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    // What has come stays, for the next try to go on with.
                    writer.pause().await?;
                    return Err(error);
                }
            };
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= known as u64;
            let piece = piece.split_off(known);
            writer.append(piece).await?;
        }
        let is_complete = writer.len() == size;
        let is_sound = !is_complete || writer.is(digest).await?;
        writer.pause().await?;
        if !is_sound {
            blobs.discard_upload(&key).await?;
            let (file, digest) = (feed.archive.file().to_owned(), *digest);
            return Err(Error::Tampered { file, digest });
        }
        Ok(())
    }
}
