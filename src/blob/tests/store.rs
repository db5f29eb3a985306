//! Storing, finding, listing, deleting.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;

use crate::blob::{BlobFile, Keep, Shard};
use crate::oci::{Algorithm, Digest};

use super::*;

fn counted() -> (Arc<AtomicUsize>, impl FnOnce() + Send + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    (count, move || {
        counter.fetch_add(1, Ordering::SeqCst);
    })
}

async fn lookup(site: &Site, bytes: &[u8]) -> Option<BlobFile> {
    let size = bytes.len() as u64;
    let found = site.blobs.open_blob(&Digest::of(bytes), size).await;
    found.unwrap()
}

#[tokio::test]
async fn content_comes_back_under_both_algorithms() {
    let mut site = Site::new();
    let bytes = noise(300_000, 1);
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::with(algorithm, &bytes);
        let (mut writer, _) = site.blobs.begin(&digest).await.unwrap();
        for piece in bytes.chunks(70_001) {
            writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let file = writer.finish().await.unwrap();
        assert_eq!((file.digest(), file.len()), (digest, 300_000));
        assert_eq!(content(&file).await, bytes);
        site.reopen();
        let file = site.blobs.open_blob(&digest, 300_000).await.unwrap();
        assert_eq!(content(&file.unwrap()).await, bytes);
        assert_eq!(fs::read(site.blob_path(&digest)).unwrap(), bytes);
        assert!(!site.partial_path(&digest).exists());
    }
}

#[tokio::test]
async fn small_content_is_inserted_once() {
    let site = Site::new();
    let digest = Digest::of(b"{}");
    for _ in 0..2 {
        let file = site.blobs.insert(&digest, b"{}").await.unwrap();
        assert_eq!(content(&file).await, b"{}");
    }
    assert_eq!(site.blobs.0.metrics.published.get(), 1);
    assert_eq!(
        fs::read_dir(site.dir.path().join("tmp")).unwrap().count(),
        0
    );
    let empty = site.blobs.insert(&Digest::of(b""), b"").await.unwrap();
    assert!(empty.is_empty() && content(&empty).await.is_empty());
    assert!(empty.region(range(0, 0)).unwrap().bytes.is_empty());
}

#[tokio::test]
async fn wrong_content_is_not_inserted() {
    let site = Site::new();
    let refused = site.blobs.insert(&Digest::of(b"a"), b"b").await;
    assert!(matches!(refused, Err(Error::DigestMismatch { .. })));
    assert!(lookup(&site, b"a").await.is_none());
}

/// CR-05, CA-08: a zero-length or short file under a blob's name is no hit, and goes away.
#[tokio::test]
async fn a_short_file_at_a_final_name_is_absent_and_quarantined() {
    let bytes = noise(5_000, 2);
    let digest = Digest::of(&bytes);
    for left in [0, 4_999] {
        let mut site = Site::new();
        site.blobs.insert(&digest, &bytes).await.unwrap();
        fs::write(site.blob_path(&digest), &bytes[..left]).unwrap();
        site.reopen();
        assert!(lookup(&site, &bytes).await.is_none());
        assert!(!site.blob_path(&digest).exists());
        assert_eq!(site.blobs.0.metrics.quarantined.get(), 1);
        // Fetched again, it is whole again; what was damaged can be looked at until cleared.
        site.blobs.insert(&digest, &bytes).await.unwrap();
        assert_eq!(content(&lookup(&site, &bytes).await.unwrap()).await, bytes);
        let cleared = site.blobs.clear_quarantine().await.unwrap();
        assert_eq!(cleared, left as u64);
    }
}

#[tokio::test]
async fn a_wrong_size_does_not_cost_a_good_blob() {
    let mut site = Site::new();
    let digest = Digest::of(b"good");
    site.blobs.insert(&digest, b"good").await.unwrap();
    for _ in 0..2 {
        let refused = site.blobs.open_blob(&digest, 5).await;
        assert!(matches!(
            refused,
            Err(Error::LengthMismatch { found: 4, .. })
        ));
        site.reopen();
    }
    assert!(lookup(&site, b"good").await.is_some());
}

/// CR-08: a file that somebody deleted is absent, and the next fill brings it back.
#[tokio::test]
async fn a_deleted_file_heals_by_the_next_fill() {
    let mut site = Site::new();
    let digest = Digest::of(b"bytes");
    let held = site.blobs.insert(&digest, b"bytes").await.unwrap();
    fs::remove_file(site.blob_path(&digest)).unwrap();
    let again = site.blobs.insert(&digest, b"bytes").await.unwrap();
    assert_eq!(content(&held).await, content(&again).await);
    assert!(site.blob_path(&digest).exists());
    fs::remove_file(site.blob_path(&digest)).unwrap();
    site.reopen();
    assert!(lookup(&site, b"bytes").await.is_none());
}

/// DK-06: a file damaged at rest fails its reader, never with wrong bytes, and can be put away.
#[tokio::test]
async fn a_file_that_ends_early_breaks_the_stream() {
    let site = Site::new();
    let bytes = noise(400_000, 3);
    let digest = Digest::of(&bytes);
    let file = site.blobs.insert(&digest, &bytes).await.unwrap();
    let on_disk = fs::OpenOptions::new()
        .write(true)
        .open(site.blob_path(&digest))
        .unwrap();
    on_disk.set_len(200_000).unwrap();
    let (error, read) = collect(file.stream(file.whole())).await.unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert_eq!(read, bytes[..200_000]);
    assert!(file.make_resident(file.whole()).await.is_err());
    site.blobs.quarantine(&digest).await.unwrap();
    assert!(lookup(&site, &bytes).await.is_none());
}

/// GC-02: a blob being read is not truncated under its reader, and counts until he is done.
#[tokio::test]
async fn a_removed_blob_stays_readable_and_is_freed_with_its_last_reader() {
    let site = Site::new();
    let bytes = noise(500_000, 4);
    let digest = Digest::of(&bytes);
    let file = site.blobs.insert(&digest, &bytes).await.unwrap();
    let region = file.region(range(10, 400_000)).unwrap();
    let mut stream = file.stream(file.whole());
    let first = stream.next().await.unwrap().unwrap();
    let (freed, tell) = counted();
    site.blobs.remove(&digest, tell).await.unwrap();
    assert!(lookup(&site, &bytes).await.is_none());
    let rest = collect(&mut stream).await.unwrap();
    assert_eq!([&first[..], &rest].concat(), bytes);
    drop((file, stream));
    assert_eq!(freed.load(Ordering::SeqCst), 0);
    let memory = region.bytes.slice(100..200);
    drop(region);
    assert_eq!(
        (freed.load(Ordering::SeqCst), &memory[..]),
        (0, &bytes[110..210])
    );
    drop(memory);
    assert_eq!(freed.load(Ordering::SeqCst), 1);
    assert_eq!(site.blobs.0.metrics.open_files.get(), 0);
}

#[tokio::test]
async fn a_removed_blob_that_nobody_reads_is_free_at_once() {
    let site = Site::new();
    let digest = Digest::of(b"x");
    drop(site.blobs.insert(&digest, b"x").await.unwrap());
    // The store itself keeps the descriptor for the next reader.
    assert_eq!(site.blobs.0.metrics.open_files.get(), 1);
    for expected in [0, 0] {
        let (freed, tell) = counted();
        site.blobs.remove(&digest, tell).await.unwrap();
        assert_eq!(freed.load(Ordering::SeqCst), 1);
        assert_eq!(site.blobs.0.metrics.open_files.get(), expected);
    }
}

#[tokio::test]
async fn a_blob_made_again_is_another_file() {
    let site = Site::new();
    let digest = Digest::of(b"x");
    let old = site.blobs.insert(&digest, b"x").await.unwrap();
    let (old_freed, tell_old) = counted();
    site.blobs.remove(&digest, tell_old).await.unwrap();
    let new = site.blobs.insert(&digest, b"x").await.unwrap();
    let (new_freed, tell_new) = counted();
    site.blobs.remove(&digest, tell_new).await.unwrap();
    drop(new);
    assert_eq!(new_freed.load(Ordering::SeqCst), 1);
    assert_eq!(old_freed.load(Ordering::SeqCst), 0);
    assert_eq!(content(&old).await, b"x");
}

#[tokio::test]
async fn more_blobs_than_descriptors_are_all_readable() {
    let site = Site::new();
    for number in 0_u32..700 {
        let bytes = number.to_le_bytes();
        site.blobs
            .insert(&Digest::of(&bytes), &bytes)
            .await
            .unwrap();
    }
    for number in 0_u32..700 {
        let file = lookup(&site, &number.to_le_bytes()).await.unwrap();
        assert_eq!(content(&file).await, number.to_le_bytes());
    }
    site.blobs.0.shelf.settle();
    assert!(site.blobs.0.metrics.open_files.get() <= 512);
}

/// CR-07: a sweep finds every blob, with its size and age, and nothing else.
#[tokio::test]
async fn every_blob_is_listed_in_one_shard() {
    let site = Site::new();
    let mut want = Vec::new();
    for number in 0_u8..40 {
        let bytes = vec![number; usize::from(number)];
        let digest = match number % 2 {
            0 => Digest::of(&bytes),
            _ => Digest::with(Algorithm::Sha512, &bytes),
        };
        site.blobs.insert(&digest, &bytes).await.unwrap();
        want.push((digest, u64::from(number)));
    }
    fs::write(site.blob_path(&want[0].0).with_file_name("stray"), b"x").unwrap();
    let mut found = Vec::new();
    for shard in Shard::all() {
        for held in site.blobs.list(shard).await.unwrap() {
            assert_eq!(Shard::of(&held.digest), shard);
            assert!(held.written.as_secs() > 1_600_000_000);
            found.push((held.digest, held.size_bytes));
        }
    }
    want.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, want);
}

/// CR-07: what a crash left of fills is found and deleted, while those under way are left alone.
#[tokio::test]
async fn left_over_partials_are_found_and_discarded() {
    let mut site = Site::new();
    let (left, active) = (noise(9_000, 5), noise(9_000, 6));
    let writer = site.begun(&left, 4_000).await;
    writer.fail(Keep::Bytes, "stopped").await;
    site.reopen();
    let writer = site.begun(&active, 10).await;
    let digest = Digest::of(&left);
    assert_eq!(site.blobs.partials().await.unwrap(), [(digest, 4_000)]);
    let busy = site.blobs.discard_partial(&Digest::of(&active)).await;
    assert!(matches!(busy, Err(Error::Busy { .. })));
    assert_eq!(site.blobs.discard_partial(&digest).await.unwrap(), 4_000);
    assert_eq!(site.blobs.discard_partial(&digest).await.unwrap(), 0);
    assert!(site.blobs.partials().await.unwrap().is_empty());
    drop(writer);
}

#[test]
fn the_volume_has_a_size() {
    let disk = Site::new().blobs.disk().unwrap();
    assert!(0 < disk.free_bytes && disk.free_bytes <= disk.total_bytes);
}
