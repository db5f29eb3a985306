//! What stands in front of a volume's content: its number, the description, the signature. It is judged
//! before anything behind it is believed.

use bytes::Bytes;

use super::Error;
use super::archive::{Archive, INVENTORY, Member, Name};
use super::import::{Known, Reading};
use super::inventory::{INVENTORY_BYTES, Inventory, Volume};
use super::keys::{FILE_BYTES, KeyId};
use super::stage::Whereabouts;
use crate::oci::Digest;

/// What stands in front of the content of one volume.
#[derive(Default)]
pub(super) struct Front {
    pub(super) layout: bool,
    pub(super) volume: Option<Volume>,
    pub(super) description: Option<Bytes>,
    pub(super) signature: Option<Bytes>,
    pub(super) is_settled: bool,
}

impl Reading<'_> {
    /// A member that describes the bundle; these stand in front of everything.
    pub(super) async fn front(
        &self,
        archive: &mut Archive<'_>,
        member: &Member,
        front: &mut Front,
    ) -> Result<(), Error> {
        if front.is_settled {
            let reason = "its description stands behind what it describes";
            return Err(Error::hostile(archive.file(), reason));
        }
        match member.name {
            Name::Volume => {
                let bytes = archive.whole(FILE_BYTES).await?;
                let volume = serde_json::from_slice(&bytes);
                let volume = volume.map_err(|error| {
                    Error::hostile(archive.file(), format!("its number: {error}"))
                })?;
                front.volume = Some(volume);
            }
            Name::Inventory => front.description = Some(archive.whole(INVENTORY_BYTES).await?),
            _ => front.signature = Some(archive.whole(FILE_BYTES).await?),
        }
        Ok(())
    }

    /// Judges what stood in front, before anything behind it is believed.
    pub(super) async fn settle(&mut self, file: &str, front: &mut Front) -> Result<(), Error> {
        if front.is_settled {
            return Ok(());
        }
        front.is_settled = true;
        let id = front.description.as_ref().map(|bytes| Digest::of(bytes));
        if let Some(volume) = &front.volume {
            if Some(volume.bundle) != id {
                return Err(Error::hostile(
                    file,
                    "it says that it belongs to another bundle",
                ));
            }
            self.volumes.insert(volume.volume);
        }
        match (&self.known, id) {
            (Some(known), Some(id)) if known.id == id => return Ok(()),
            (Some(_), _) => {
                return Err(Error::hostile(
                    file,
                    "it belongs to another bundle than those before it",
                ));
            }
            (None, None) if self.is_foreign => {
                return Err(Error::hostile(file, "give image layouts one by one"));
            }
            (None, Some(_)) if self.is_foreign => {
                return Err(Error::hostile(
                    file,
                    "give bundles and image layouts one by one",
                ));
            }
            (None, _) => {}
        }
        let (description, signature) = (front.description.as_deref(), front.signature.as_deref());
        let asked = self.options.signatures;
        let judged = self
            .bundles
            .judge(asked, file, description, signature)
            .await?;
        self.summary.warnings.extend(judged.warning);
        let (Some(description), Some(id)) = (description, id) else {
            self.is_foreign = true;
            return Ok(());
        };
        let inventory = Inventory::read(description)
            .map_err(|reason| Error::hostile(file, format!("{INVENTORY}: {reason}")))?;
        self.refuse_older(file, judged.signer, inventory.sequence)
            .await?;
        let known = Known::new(inventory, id, judged.signer);
        self.refuse_too_large(&known).await?;
        self.known = Some(known);
        Ok(())
    }

    /// AG-08: what is older than what was taken could bring back what was mended since.
    async fn refuse_older(
        &self,
        file: &str,
        signer: Option<KeyId>,
        sequence: u64,
    ) -> Result<(), Error> {
        let (Some(signer), false) = (signer, self.options.allow_older) else {
            return Ok(());
        };
        let folder = self.bundles.folder.clone();
        let received = self.bundles.blocking(move || folder.received()).await?;
        match received.get(&signer.to_string()) {
            Some(newest) if *newest > sequence => Err(Error::hostile(
                file,
                format!(
                    "it is number {sequence} of the key {signer}, of which number {newest} was imported \
                 already; --allow-older takes it all the same"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the disk has room for what is to come, before the first byte of it.
    async fn refuse_too_large(&mut self, known: &Known) -> Result<(), Error> {
        let (mut blobs, mut bytes) = (0, 0);
        let carried = known.inventory.content.iter();
        for content in carried.filter(|it| it.media_type.is_none() && it.is_carried()) {
            if let Whereabouts::Missing(have) = self
                .bundles
                .whereabouts(&content.digest, content.size)
                .await?
            {
                blobs += 1;
                bytes += content.size.saturating_sub(have);
            }
        }
        (self.summary.blobs, self.summary.blob_bytes) = (blobs, bytes);
        match self.bundles.registry.ledger().disk_lacks(bytes) {
            0 => Ok(()),
            missing => Err(Error::NoRoom { missing }),
        }
    }

    pub(super) fn index(&mut self, file: &str, bytes: Bytes) -> Result<(), Error> {
        match &self.known {
            Some(known) if known.inventory.index != Digest::of(&bytes) => Err(Error::hostile(
                file,
                "index.json is not the one that is described",
            )),
            Some(_) => Ok(()),
            None => {
                self.index = Some(bytes);
                Ok(())
            }
        }
    }
}
