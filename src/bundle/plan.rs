//! How the content of a bundle is laid out: which member stands where in which volume. No I/O.
//!
//! A plan is a function of the description and the options: the same export gives the same bytes
//! (AG-11), and one that broke off goes on at any byte. Each volume is an image layout by itself, with
//! the description and all manifests, so that volumes can be taken in any order and a lost one costs
//! its own blobs only (AG-07).

use bytes::Bytes;

use super::archive::{INDEX, INVENTORY, LAYOUT, SIGNATURE, VOLUME, blob_path, piece_path};
use super::inventory::{Content, Inventory, Piece, Volume};
use super::keys::SigningKey;
use super::layout::LAYOUT_BYTES;
use super::{Error, tar};
use crate::model::ByteSize;
use crate::oci::Digest;

/// Room that is left in each volume for what is not known when it is filled: numbers of volumes.
const SLACK: u64 = 4096;

/// A volume with less room than this for blobs is not worth its description.
const LEAST_ROOM: u64 = 64 * 1024;

/// A member to be written.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) bytes: Bytes_,
}

/// Where the bytes of a member come from.
#[derive(Clone, Debug)]
pub(super) enum Bytes_ {
    Here(Bytes),
    Manifest(Digest),
    /// From this offset of the blob.
    Blob(Digest, u64),
}

/// All volumes.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) inventory: Inventory,
    pub(super) id: Digest,
    pub(super) volumes: Vec<Vec<Planned>>,
}

impl Planned {
    fn new(path: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            path: path.into(),
            size: bytes.len() as u64,
            bytes: Bytes_::Here(bytes),
        }
    }

    pub(super) fn total(&self) -> u64 {
        tar::member_bytes(&self.path, self.size)
    }
}

/// How many bytes a volume has.
pub(super) fn volume_bytes(members: &[Planned]) -> u64 {
    members.iter().map(Planned::total).sum::<u64>() + tar::END_BYTES
}

/// Lays out a description whose content says nothing yet of volumes; `carried` are the blobs to be taken
/// along. `split` is the most that a volume may have, in bytes.
///
/// # Errors
/// If the volumes are too small for the description.
pub(super) fn lay_out(
    mut inventory: Inventory,
    index: Vec<u8>,
    carried: impl Fn(&Content) -> bool,
    split: Option<u64>,
    key: Option<&SigningKey>,
) -> Result<Layout, Error> {
    let is_blob = |content: &Content| content.media_type.is_none();
    let wanted: Vec<usize> = (0..inventory.content.len())
        .filter(|at| is_blob(&inventory.content[*at]) && carried(&inventory.content[*at]))
        .collect();
    match split {
        None => {
            inventory.volumes = 1;
            wanted
                .iter()
                .for_each(|at| inventory.content[*at].volume = Some(1));
        }
        Some(split) => fill(&mut inventory, &wanted, &index, split)?,
    }
    let description = inventory.bytes();
    let id = Digest::of(&description);
    let comment = format!("entrepot bundle {id} sequence {}", inventory.sequence);
    let signature = key.map(|key| key.sign(&description, &comment));
    let volumes = (1..=inventory.volumes)
        .map(|number| {
            volume(
                &inventory,
                number,
                &description,
                signature.as_deref(),
                &index,
            )
        })
        .collect();
    Ok(Layout {
        inventory,
        id,
        volumes,
    })
}

/// Members of a volume, in their order: what describes it, manifests, blobs, pieces, each by digest.
fn volume(
    inventory: &Inventory,
    number: u32,
    description: &[u8],
    signature: Option<&str>,
    index: &[u8],
) -> Vec<Planned> {
    let own = Volume {
        bundle: Digest::of(description),
        volume: number,
        volumes: inventory.volumes,
    };
    let own = serde_json::to_vec(&own).expect("numbers and digests are always JSON");
    let mut members = vec![
        Planned::new(LAYOUT, LAYOUT_BYTES.to_vec()),
        Planned::new(VOLUME, own),
        Planned::new(INVENTORY, description.to_vec()),
    ];
    members.extend(signature.map(|text| Planned::new(SIGNATURE, text.as_bytes().to_vec())));
    members.push(Planned::new(INDEX, index.to_vec()));
    for content in inventory
        .content
        .iter()
        .filter(|content| content.media_type.is_some())
    {
        members.push(Planned {
            path: blob_path(&content.digest),
            size: content.size,
            bytes: Bytes_::Manifest(content.digest),
        });
    }
    for content in &inventory.content {
        if content.volume == Some(number) {
            members.push(Planned {
                path: blob_path(&content.digest),
                size: content.size,
                bytes: Bytes_::Blob(content.digest, 0),
            });
        }
        for (at, piece) in (1..).zip(&content.pieces) {
            if piece.volume == number {
                members.push(Planned {
                    path: piece_path(&content.digest, at),
                    size: piece.length,
                    bytes: Bytes_::Blob(content.digest, piece.offset),
                });
            }
        }
    }
    members
}

/// Gives each blob a volume, the large ones first; what no volume can hold is cut into pieces.
fn fill(
    inventory: &mut Inventory,
    wanted: &[usize],
    index: &[u8],
    split: u64,
) -> Result<(), Error> {
    let room = room(inventory, wanted, index, split)?;
    let mut order = wanted.to_vec();
    order.sort_by_key(|at| {
        let content = &inventory.content[*at];
        (std::cmp::Reverse(content.size), content.digest)
    });
    // Free bytes of each volume. The first that has room is taken; those that are nearly full are left
    // behind, so that a million small blobs do not look at each of them.
    let mut free: Vec<u64> = Vec::new();
    let mut first = 0;
    for at in order {
        let content = &mut inventory.content[at];
        let path = blob_path(&content.digest);
        let bytes = tar::member_bytes(&path, content.size);
        if bytes > room {
            cut(content, room, &mut free);
            continue;
        }
        while free
            .get(first)
            .is_some_and(|free| *free < 2 * tar::BLOCK as u64)
        {
            first += 1;
        }
        let found = (first..free.len()).find(|volume| free[*volume] >= bytes);
        let volume = found.unwrap_or_else(|| {
            free.push(room);
            free.len() - 1
        });
        free[volume] -= bytes;
        content.volume = u32::try_from(volume + 1).ok();
    }
    inventory.volumes = u32::try_from(free.len().max(1)).unwrap_or(u32::MAX);
    Ok(())
}

/// Cuts a blob into pieces, each but the last of a whole volume.
fn cut(content: &mut Content, room: u64, free: &mut Vec<u64>) {
    let head = tar::member_bytes(&piece_path(&content.digest, u32::MAX), 0);
    let most = (room - head) / tar::BLOCK as u64 * tar::BLOCK as u64;
    let mut offset = 0;
    while offset < content.size {
        let length = most.min(content.size - offset);
        free.push(room - head - tar::padded(length));
        content.pieces.push(Piece {
            volume: u32::try_from(free.len()).unwrap_or(u32::MAX),
            offset,
            length,
        });
        offset += length;
    }
}

/// How many bytes of blobs a volume can hold beside what all of them have.
fn room(inventory: &Inventory, wanted: &[usize], index: &[u8], split: u64) -> Result<u64, Error> {
    let mut guess = inventory.clone();
    guess.volumes = 99_999;
    let total: u64 = wanted.iter().map(|at| guess.content[*at].size).sum();
    wanted
        .iter()
        .for_each(|at| guess.content[*at].volume = Some(99_999));
    let description = guess.bytes();
    let signature = SIGNATURE.repeat(12);
    let fixed = volume(
        &inventory_of(&guess),
        0,
        &description,
        Some(&signature),
        index,
    );
    let fixed = volume_bytes(&fixed) + SLACK;
    // Pieces are described one by one; there are at most as many as volumes, and large blobs.
    let pieces = |room: u64| tar::padded((total / room.max(1) + wanted.len().min(64) as u64) * 80);
    let room = split.saturating_sub(fixed);
    let room = room.saturating_sub(pieces(room));
    if room < LEAST_ROOM {
        let least = ByteSize(fixed + SLACK + 4 * LEAST_ROOM);
        return Err(Error::refused(format!(
            "volumes of {} cannot hold the description and the manifests; take {least} at least",
            ByteSize(split)
        )));
    }
    Ok(room)
}

/// The same without blobs, which are counted by themselves.
fn inventory_of(guess: &Inventory) -> Inventory {
    let manifests = guess
        .content
        .iter()
        .filter(|content| content.media_type.is_some());
    Inventory {
        content: manifests.cloned().collect(),
        ..guess.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(sizes: &[u64]) -> Inventory {
        let blob = |(at, size): (usize, &u64)| Content {
            digest: Digest::of(&at.to_be_bytes()),
            size: *size,
            media_type: None,
            volume: None,
            pieces: Vec::new(),
        };
        Inventory {
            format: Inventory::format(),
            sequence: 1,
            created: "2026-01-01T00:00:00Z".to_owned(),
            by: "test".to_owned(),
            index: Digest::of(b"{}"),
            volumes: 1,
            repositories: Vec::new(),
            content: sizes.iter().enumerate().map(blob).collect(),
        }
    }

    /// AG-07: the size of a volume is a bound that holds, and everything is in some volume once.
    #[test]
    fn no_volume_is_larger_than_asked() {
        let sizes: Vec<u64> = (0..500_u64)
            .map(|n| n * n * 37 % 900_000)
            .chain([0, 9_000_000])
            .collect();
        for split in [600_000, 1 << 20, 3_000_001, 1 << 40] {
            let laid = lay_out(
                described(&sizes),
                b"{}".to_vec(),
                |_| true,
                Some(split),
                None,
            )
            .unwrap();
            assert_eq!(laid.volumes.len(), laid.inventory.volumes as usize);
            for members in &laid.volumes {
                assert!(
                    volume_bytes(members) <= split,
                    "{} of {split}",
                    volume_bytes(members)
                );
            }
            let blobs = laid.volumes.iter().flatten();
            let carried: u64 = blobs
                .filter(|it| matches!(it.bytes, Bytes_::Blob(..)))
                .map(|it| it.size)
                .sum();
            assert_eq!(carried, sizes.iter().sum::<u64>());
            assert_eq!(
                Inventory::read(&laid.inventory.bytes()).unwrap(),
                laid.inventory
            );
        }
        let small = lay_out(
            described(&sizes),
            b"{}".to_vec(),
            |_| true,
            Some(100_000),
            None,
        );
        assert!(small.unwrap_err().to_string().contains("at least"));
    }

    /// AG-11.
    #[test]
    fn a_plan_is_the_same_every_time() {
        let key = SigningKey::make().unwrap();
        let plan = || {
            let laid = lay_out(
                described(&[5, 7]),
                b"{}".to_vec(),
                |_| true,
                None,
                Some(&key),
            );
            format!("{:?}", laid.unwrap())
        };
        assert_eq!(plan(), plan());
    }
}
