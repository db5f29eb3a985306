//! A full volume. These need a small one of their own, and so root and mount(8); without them they
//! say so and pass.

use std::path::Path;
use std::process::Command;

use crate::blob::Keep;

use super::*;

/// A small tmpfs, unmounted at the end.
struct Volume(tempfile::TempDir);

impl Volume {
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        println!("skipped: no tmpfs can be mounted here");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: files that a failed test holds open do not keep it.
        Command::new("umount")
            .arg("-l")
            .arg(self.path())
            .output()
            .ok();
    }
}

/// Waits until the last writer of `digest` has let go of its file: its job may outlive it for a moment.
async fn closed(blobs: &BlobStore, digest: &Digest) {
    let (writer, _) = soon(blobs.begin(digest)).await.unwrap();
    writer.fail(Keep::Nothing, "only to wait").await;
}

/// DK-01, DK-02: a full volume fails the write with its reason; every byte that came can still be
/// passed on; nothing stays behind, and what is held stays readable.
#[tokio::test]
async fn a_full_volume_loses_no_byte_and_keeps_none() {
    let Some(volume) = Volume::mount("size=4m") else {
        return;
    };
    let blobs = open(volume.path()).unwrap();
    let held = blobs.insert(&Digest::of(b"held"), b"held").await.unwrap();
    let free_before = blobs.disk().unwrap().free_bytes;
    let bytes = noise(8 << 20, 1);
    let (mut writer, partial) = blobs.begin(&Digest::of(&bytes)).await.unwrap();
    let mut sent = 0;
    let error = loop {
        let piece = Bytes::copy_from_slice(&bytes[sent..sent + 50_000]);
        sent += piece.len();
        if let Err(error) = writer.append(piece).await {
            break error;
        }
    };
    assert!(error.is_unkept(), "{error}");
    let rest = writer.take_unwritten().concat();
    let in_file = (writer.len() as usize) - rest.len();
    let prefix = partial.read_prefix(in_file as u64).unwrap();
    let mut whole = collect(prefix).await.unwrap();
    whole.extend_from_slice(&rest);
    // The piece that met the error may have been refused before it was taken.
    assert!(whole.len() >= sent - 50_000 && whole == bytes[..whole.len()]);
    writer.fail(Keep::Nothing, "full").await;
    drop(partial);
    closed(&blobs, &Digest::of(&bytes)).await;
    assert_eq!(blobs.disk().unwrap().free_bytes, free_before);
    assert_eq!(content(&held).await, b"held");
}

#[tokio::test]
async fn finishing_on_a_full_volume_says_so() {
    let Some(volume) = Volume::mount("size=1m") else {
        return;
    };
    let blobs = open(volume.path()).unwrap();
    let bytes = noise(1_100_000, 2);
    let (mut writer, partial) = blobs.begin(&Digest::of(&bytes)).await.unwrap();
    writer.append(bytes.clone().into()).await.ok();
    let error = writer.finish().await.unwrap_err();
    assert!(error.is_unkept(), "{error}");
    assert!(partial.finished().await.is_err());
    assert!(blobs.partials().await.unwrap().is_empty());
    let refused = blobs.insert(&Digest::of(&bytes), &bytes).await;
    assert!(refused.unwrap_err().is_unkept());
    drop(partial);
    closed(&blobs, &Digest::of(&bytes)).await;
    blobs.insert(&Digest::of(b"fits"), b"fits").await.unwrap();
    assert!(!blobs.is_degraded());
}

/// DK-01: an upload that meets a full volume is gone at once with all its bytes; what is held stays
/// readable, and what fits can be pushed.
#[tokio::test]
async fn a_push_to_a_full_volume_leaves_no_byte() {
    let Some(volume) = Volume::mount("size=4m") else {
        return;
    };
    let blobs = open(volume.path()).unwrap();
    let held = blobs.insert(&Digest::of(b"held"), b"held").await.unwrap();
    let free_before = blobs.disk().unwrap().free_bytes;
    let mut writer = blobs.open_upload(&key(1), Algorithm::Sha256).await.unwrap();
    writer.append(noise(1 << 20, 3).into()).await.unwrap();
    assert_eq!(writer.pause().await.unwrap(), 1 << 20);
    let mut writer = blobs.open_upload(&key(1), Algorithm::Sha256).await.unwrap();
    let error = loop {
        if let Err(error) = writer.append(noise(50_000, 4).into()).await {
            break error;
        }
    };
    assert!(error.is_unkept(), "{error}");
    assert_eq!(blobs.upload_len(&key(1)).await.unwrap(), None);
    assert!(writer.pause().await.unwrap_err().is_unkept());
    // A new writer waits for the last descriptor to be closed.
    let writer = soon(blobs.open_upload(&key(1), Algorithm::Sha256)).await;
    assert!(writer.unwrap().is_empty());
    assert_eq!(blobs.disk().unwrap().free_bytes, free_before);
    assert!(blobs.0.metrics.failed_no_space.get() == 1 && !blobs.is_degraded());
    assert_eq!(content(&held).await, b"held");
    let mut writer = blobs.open_upload(&key(2), Algorithm::Sha256).await.unwrap();
    writer.append(b"fits"[..].into()).await.unwrap();
    writer.finish(&Digest::of(b"fits")).await.unwrap();
}

/// DK-01: no inode left is no space left.
#[tokio::test]
async fn a_volume_without_inodes_is_full() {
    let Some(volume) = Volume::mount("size=1m,nr_inodes=11") else {
        return;
    };
    let blobs = open(volume.path()).unwrap();
    let mut number = 0_u32;
    let error = loop {
        number += 1;
        let bytes = number.to_le_bytes();
        if let Err(error) = blobs.insert(&Digest::of(&bytes), &bytes).await {
            break error;
        }
    };
    assert!(error.is_unkept() && number < 11, "{error}");
    // A partial needs one inode, so the one that the refused content gave back is used up first.
    let (first, _) = blobs.begin(&Digest::of(b"x")).await.unwrap();
    let second = blobs.begin(&Digest::of(b"y")).await;
    assert!(second.is_err_and(|error| error.is_unkept()));
    let mut upload = blobs.open_upload(&key(1), Algorithm::Sha256).await.unwrap();
    upload.append(b"y"[..].into()).await.ok();
    assert!(upload.pause().await.unwrap_err().is_unkept());
    first.fail(Keep::Nothing, "no room").await;
    blobs.begin(&Digest::of(b"y")).await.unwrap();
}
