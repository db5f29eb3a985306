//! Pushing: visits, pauses, restarts, and the blob in the end.

use std::fs;
use std::sync::Arc;

use crate::blob::LeftUpload;

use super::*;

const BOTH: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// Opens `key` and appends `bytes` in pieces of random sizes.
async fn begun(site: &Site, key: &UploadKey, bytes: &[u8], random: &mut Random) -> UploadWriter {
    let mut writer = site.upload(key).await;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, next) = rest.split_at(rest.len().min(random.below(40_000)));
        writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
        rest = next;
    }
    writer
}

/// PR-01: both algorithms, whichever of them was hashed on the way.
#[tokio::test]
async fn pieces_of_any_size_become_a_blob_under_both_algorithms() {
    let site = Site::new();
    let mut random = Random(1);
    for (number, opened) in (0..).zip(BOTH) {
        for algorithm in BOTH {
            let bytes = noise(3_000_000 + random.below(1000), random.next());
            let digest = Digest::with(algorithm, &bytes);
            let mut writer = site.blobs.open_upload(&key(number), opened).await.unwrap();
            let mut rest = Bytes::from(bytes.clone());
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(random.below(90_000)));
                writer.append(piece).await.unwrap();
            }
            assert_eq!(writer.len(), bytes.len() as u64);
            let file = writer.finish(&digest).await.unwrap();
            assert_eq!((file.digest(), file.len()), (digest, bytes.len() as u64));
            assert!(content(&file).await == bytes);
            assert!(fs::read(site.blob_path(&digest)).unwrap() == bytes);
        }
    }
    assert_eq!(site.upload_files(), 0);
    assert_eq!(site.blobs.0.metrics.published.get(), 4);
    assert!(site.blobs.0.metrics.written_bytes.get() >= 12_000_000);
}

/// CR-06: a paused upload goes on at the length that was told, in this process or the next.
#[tokio::test]
async fn a_paused_upload_goes_on_at_its_length() {
    let mut site = Site::new();
    let mut random = Random(2);
    let bytes = noise(900_000, 2);
    for (start, end) in [(0, 1), (1, 300_000), (300_000, 600_000), (600_000, 900_000)] {
        let writer = begun(&site, &key(1), &bytes[start..end], &mut random).await;
        assert_eq!(writer.pause().await.unwrap(), end as u64);
        if end == 300_000 {
            site.reopen();
        }
        let len = site.blobs.upload_len(&key(1)).await.unwrap();
        assert_eq!(len, Some(end as u64));
    }
    let writer = site.upload(&key(1)).await;
    assert_eq!(writer.len(), 900_000);
    let file = writer.finish(&Digest::of(&bytes)).await.unwrap();
    assert!(content(&file).await == bytes);
    assert_eq!(site.blobs.upload_len(&key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn an_upload_without_a_byte_has_no_file() {
    let site = Site::new();
    let mut writer = site.upload(&key(1)).await;
    writer.append(Bytes::new()).await.unwrap();
    assert!(writer.is_empty());
    assert_eq!(writer.pause().await.unwrap(), 0);
    drop(site.upload(&key(1)).await);
    drop(site.upload(&key(1)).await);
    assert_eq!(site.upload_files(), 0);
    assert_eq!(site.blobs.upload_len(&key(1)).await.unwrap(), None);
    assert_eq!(site.blobs.discard_upload(&key(1)).await.unwrap(), 0);
    assert!(site.blobs.uploads().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_empty_upload_is_the_empty_blob() {
    let site = Site::new();
    for algorithm in BOTH {
        let digest = Digest::with(algorithm, b"");
        let file = site.upload(&key(1)).await.finish(&digest).await.unwrap();
        assert!(file.is_empty() && site.blob_path(&digest).exists());
    }
    let refused = site.upload(&key(1)).await.finish(&Digest::of(b"x")).await;
    assert!(refused.unwrap_err().is_mismatch());
    // As a crash between making the file and the first write leaves it.
    fs::write(site.upload_path(&key(2)), b"").unwrap();
    let file = site.upload(&key(2)).await.finish(&Digest::of(b"")).await;
    assert!(file.unwrap().is_empty() && site.upload_files() == 0);
}

/// PR-12: of two writers of one upload one is refused, until the first has left.
#[tokio::test]
async fn one_upload_has_one_writer() {
    let site = Site::new();
    let mut writer = site.upload(&key(1)).await;
    writer.append(b"by"[..].into()).await.unwrap();
    let second = site.blobs.open_upload(&key(1), Algorithm::Sha256).await;
    assert!(matches!(second, Err(Error::UploadBusy { upload }) if upload == key(1)));
    let discarded = site.blobs.discard_upload(&key(1)).await;
    assert!(matches!(discarded, Err(Error::UploadBusy { .. })));
    assert!(site.blobs.uploads().await.unwrap().is_empty());
    site.upload(&key(2)).await;
    writer.pause().await.unwrap();
    let mut writer = site.upload(&key(1)).await;
    writer.append(b"tes"[..].into()).await.unwrap();
    writer.finish(&Digest::of(b"bytes")).await.unwrap();
}

/// PR-17: what a cut connection leaves is resumable until its expiry, then it is zero bytes.
#[tokio::test]
async fn a_dropped_writer_leaves_a_prefix_that_can_be_resumed() {
    let site = Site::new();
    let mut random = Random(3);
    let bytes = noise(2_000_000, 3);
    for number in 0..20 {
        let cut = random.below(bytes.len());
        drop(begun(&site, &key(number), &bytes[..cut], &mut random).await);
        let mut writer = site.upload(&key(number)).await;
        let len = writer.len() as usize;
        // At most what append does not wait for is lost.
        assert!(len <= cut && cut - len <= (1 << 20) + 40_000);
        let kept = fs::read(site.upload_path(&key(number))).unwrap_or_default();
        assert!(kept == bytes[..len]);
        if number % 2 == 0 {
            let rest = Bytes::copy_from_slice(&bytes[len..]);
            writer.append(rest).await.unwrap();
            writer.finish(&Digest::of(&bytes)).await.unwrap();
        } else {
            drop(writer);
            let freed = soon(site.blobs.discard_upload(&key(number))).await;
            assert_eq!(freed.unwrap(), len as u64);
        }
    }
    assert_eq!(site.upload_files(), 0);
}

/// CR-07: what is left is found with its length and age; what is being written is left alone.
#[tokio::test]
async fn left_uploads_are_found_and_discarded() {
    let mut site = Site::new();
    site.visit(&key(1), b"left").await;
    site.visit(&key(2), b"active").await;
    site.reopen();
    let active = site.upload(&key(2)).await;
    fs::write(site.upload_path(&key(1)).with_file_name("stray"), b"x").unwrap();
    let left = site.blobs.uploads().await.unwrap();
    let [
        LeftUpload {
            key: found,
            len: 4,
            written,
        },
    ] = left[..]
    else {
        panic!("{left:?}")
    };
    assert!(found == key(1) && written.as_secs() > 1_600_000_000);
    assert_eq!(site.blobs.discard_upload(&key(1)).await.unwrap(), 4);
    assert_eq!(site.blobs.discard_upload(&key(1)).await.unwrap(), 0);
    assert!(site.blobs.uploads().await.unwrap().is_empty());
    drop(active);
}

#[tokio::test]
async fn a_discarded_upload_begins_anew_with_other_bytes() {
    let site = Site::new();
    site.visit(&key(1), b"old").await;
    assert_eq!(site.blobs.discard_upload(&key(1)).await.unwrap(), 3);
    assert_eq!(site.visit(&key(1), b"new").await, 3);
    let file = site.upload(&key(1)).await.finish(&Digest::of(b"new")).await;
    assert_eq!(content(&file.unwrap()).await, b"new");
}

/// PR-01, CA-08: what does not verify is gone, whichever algorithm says so.
#[tokio::test]
async fn wrong_bytes_leave_nothing_behind() {
    let site = Site::new();
    for algorithm in BOTH {
        let digest = Digest::with(algorithm, b"right");
        site.visit(&key(1), b"wrong").await;
        let refused = site.upload(&key(1)).await.finish(&digest).await;
        assert!(matches!(refused, Err(Error::DigestMismatch { .. })));
        assert!(!site.blob_path(&digest).exists() && site.upload_files() == 0);
        site.visit(&key(1), b"right").await;
        site.upload(&key(1)).await.finish(&digest).await.unwrap();
    }
    assert_eq!(site.blobs.0.metrics.failed_mismatch.get(), 2);
}

/// Each visit may ask for another algorithm; the state of the other one is of no use to it.
#[tokio::test]
async fn a_hash_state_of_another_algorithm_is_made_anew() {
    let site = Site::new();
    site.visit(&key(1), b"by").await;
    let opened = site.blobs.open_upload(&key(1), Algorithm::Sha512).await;
    let mut writer = opened.unwrap();
    writer.append(b"tes"[..].into()).await.unwrap();
    let digest = Digest::with(Algorithm::Sha512, b"bytes");
    assert_eq!(writer.finish(&digest).await.unwrap().digest(), digest);
}

/// CR-06: the hash state is kept, but believed only if it ends where the file does.
#[tokio::test]
async fn a_hash_state_that_ends_elsewhere_is_not_believed() {
    let site = Site::new();
    let bytes = noise(50_000, 4);
    site.visit(&key(1), &bytes[..40_000]).await;
    let file = fs::OpenOptions::new()
        .write(true)
        .open(site.upload_path(&key(1)))
        .unwrap();
    file.set_len(30_000).unwrap();
    assert_eq!(site.upload(&key(1)).await.len(), 30_000);
    site.visit(&key(1), &bytes[30_000..]).await;
    let kept = site.blobs.0.uploads.take_hashed(&key(1)).unwrap();
    assert_eq!(
        (kept.len, kept.hasher.finish()),
        (50_000, Digest::of(&bytes))
    );
    let file = site.upload(&key(1)).await.finish(&Digest::of(&bytes)).await;
    assert!(content(&file.unwrap()).await == bytes);
}

#[tokio::test]
async fn a_blob_that_is_there_already_wins() {
    let site = Site::new();
    let held = site.blobs.insert(&Digest::of(b"x"), b"x").await.unwrap();
    site.visit(&key(1), b"x").await;
    let file = site.upload(&key(1)).await.finish(&Digest::of(b"x")).await;
    let fd = |file: &BlobFile| Arc::as_ptr(&file.region(file.whole()).unwrap().file);
    assert_eq!(fd(&file.unwrap()), fd(&held));
    assert_eq!(
        (site.upload_files(), site.blobs.0.metrics.published.get()),
        (0, 1)
    );
}

/// PR-12: 64 clients push the same content at once; it ends in one file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_of_one_digest_end_in_one_file() {
    let site = Site::new();
    let bytes = Bytes::from(noise(200_000, 5));
    let digest = Digest::of(&bytes);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..64 {
        let (blobs, mut rest) = (site.blobs.clone(), bytes.clone());
        tasks.spawn(async move {
            let opened = blobs.open_upload(&key(number), Algorithm::Sha256).await;
            let mut writer = opened.unwrap();
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(30_000));
                writer.append(piece).await.unwrap();
            }
            writer.finish(&digest).await.unwrap()
        });
    }
    while let Some(file) = soon(tasks.join_next()).await {
        assert!(content(&file.unwrap()).await == bytes);
    }
    assert_eq!(
        (site.upload_files(), site.blobs.0.metrics.published.get()),
        (0, 1)
    );
    assert_eq!(site.blobs.0.metrics.open_files.get(), 1);
}

/// PR-12: many clients of one upload neither double nor drop a byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_take_turns_never_mix_their_bytes() {
    let site = Site::new();
    let bytes = Bytes::from(noise(600_000, 6));
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..8 {
        let (blobs, bytes, mut random) = (site.blobs.clone(), bytes.clone(), Random(seed));
        tasks.spawn(async move {
            loop {
                let mut writer = match blobs.open_upload(&key(1), Algorithm::Sha256).await {
                    Ok(writer) => writer,
                    Err(Error::UploadBusy { .. }) => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                let start = writer.len() as usize;
                let end = bytes.len().min(start + random.below(120_000));
                writer.append(bytes.slice(start..end)).await.unwrap();
                match random.below(2) {
                    _ if end == bytes.len() => return writer.finish(&Digest::of(&bytes)).await,
                    0 => drop(writer),
                    _ => assert_eq!(writer.pause().await.unwrap(), end as u64),
                }
            }
        });
    }
    while let Some(file) = soon(tasks.join_next()).await {
        assert!(content(&file.unwrap().unwrap()).await == bytes);
    }
    assert_eq!(site.blobs.0.metrics.failed_mismatch.get(), 0);
    assert_eq!(site.upload_files(), 0);
}
