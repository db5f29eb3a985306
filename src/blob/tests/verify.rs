//! Reading back for scrubs.

use std::fs;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;

use crate::blob::Verified;
use crate::blob::open::OpenFile;

use super::*;

fn at_once(_: u64) -> Ready<()> {
    ready(())
}

async fn verified(site: &Site, digest: &Digest, size: u64) -> Verified {
    let verified = site.blobs.verify(digest, size, at_once).await;
    verified.unwrap()
}

#[tokio::test]
async fn a_good_blob_is_good_and_a_missing_one_absent() {
    let site = Site::new();
    for len in [0, 1, 1 << 20, 2_500_000] {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let bytes = noise(len, 1);
            let (digest, size) = (Digest::with(algorithm, &bytes), len as u64);
            assert_eq!(verified(&site, &digest, size).await, Verified::Absent);
            site.blobs.insert(&digest, &bytes).await.unwrap();
            assert_eq!(verified(&site, &digest, size).await, Verified::Good);
        }
    }
}

/// DK-07: one flipped bit anywhere is found; the file stays where it is until somebody decides.
#[tokio::test]
async fn a_flipped_bit_is_found_in_every_blob() {
    let mut site = Site::new();
    let mut random = Random(2);
    for number in 0..20 {
        let mut bytes = noise(1 + random.below(2_000_000), number);
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        site.blobs.insert(&digest, &bytes).await.unwrap();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        fs::write(site.blob_path(&digest), &bytes).unwrap();
        if number % 2 == 0 {
            site.reopen();
        }
        assert_eq!(verified(&site, &digest, size).await, Verified::Damaged);
        assert!(site.blob_path(&digest).exists());
    }
    assert_eq!(site.blobs.0.metrics.quarantined.get(), 0);
}

#[tokio::test]
async fn a_short_or_long_file_is_damaged_and_a_wrong_size_is_an_error() {
    let mut site = Site::new();
    let bytes = noise(5_000, 3);
    let digest = Digest::of(&bytes);
    site.blobs.insert(&digest, &bytes).await.unwrap();
    let refused = site.blobs.verify(&digest, 4_999, at_once).await;
    assert!(matches!(
        refused,
        Err(Error::LengthMismatch { found: 5_000, .. })
    ));
    assert_eq!(verified(&site, &digest, 5_000).await, Verified::Good);
    for left in [0, 4_999, 5_001] {
        fs::write(site.blob_path(&digest), vec![7; left]).unwrap();
        assert_eq!(verified(&site, &digest, 5_000).await, Verified::Damaged);
        // A verification leaves nothing that a reader could believe in.
        site.reopen();
        assert_eq!(verified(&site, &digest, 5_000).await, Verified::Damaged);
    }
    assert!(
        site.blobs
            .open_blob(&digest, 5_000)
            .await
            .unwrap()
            .is_none()
    );
}

/// DK-08: the caller sets the pace, and hears of every byte.
#[tokio::test]
async fn the_caller_is_waited_for_after_each_piece() {
    let site = Site::new();
    let bytes = noise(2_500_000, 4);
    let digest = Digest::of(&bytes);
    site.blobs.insert(&digest, &bytes).await.unwrap();
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let pace = |read| {
        let (pass, passed) = tokio::sync::oneshot::channel();
        ask.send((read, pass)).unwrap();
        async move { passed.await.unwrap() }
    };
    let mut verifying = Box::pin(site.blobs.verify(&digest, 2_500_000, pace));
    for piece in [1 << 20, 1 << 20, 2_500_000 - (2 << 20)] {
        let (read, pass) = tokio::select! {
            _ = &mut verifying => panic!("it does not wait"),
            asked = asked.recv() => asked.unwrap(),
        };
        assert_eq!(read, piece);
        assert!(verifying.as_mut().now_or_never().is_none());
        pass.send(()).unwrap();
    }
    assert_eq!(soon(verifying).await.unwrap(), Verified::Good);
}

/// GC-02: a blob unlinked while it is verified is read to its end, and counts until then.
#[tokio::test]
async fn a_blob_removed_meanwhile_is_free_when_the_verification_ends() {
    for is_held in [false, true] {
        let mut site = Site::new();
        let bytes = noise(1_500_000, 5);
        let digest = Digest::of(&bytes);
        let held = site.blobs.insert(&digest, &bytes).await.unwrap();
        let held = is_held.then_some(held);
        if !is_held {
            site.reopen();
        }
        let (blobs, is_free) = (site.blobs.clone(), Arc::new(AtomicBool::new(false)));
        let seen = is_free.clone();
        let pace = move |read| {
            let (blobs, freed, seen) = (blobs.clone(), seen.clone(), seen.clone());
            async move {
                if read == 1 << 20 {
                    let tell = move || freed.store(true, Ordering::SeqCst);
                    blobs.remove(&digest, tell).await.unwrap();
                }
                assert!(!seen.load(Ordering::SeqCst));
            }
        };
        let found = site.blobs.verify(&digest, 1_500_000, pace).await;
        assert_eq!(found.unwrap(), Verified::Good);
        assert_eq!(is_free.load(Ordering::SeqCst), !is_held);
        drop(held);
        assert!(is_free.load(Ordering::SeqCst));
        assert_eq!(site.blobs.0.metrics.open_files.get(), 0);
    }
}

/// DK-08: a scrub leaves the page cache as it was. Where the file system keeps everything in memory
/// there is nothing to see, and the test says so.
#[tokio::test]
async fn what_was_cold_is_cold_again_and_what_was_hot_stays() {
    let mut site = Site::new();
    let bytes = noise(3 << 20, 6);
    let digest = Digest::of(&bytes);
    site.blobs.insert(&digest, &bytes).await.unwrap();
    site.reopen();
    let file = fs::File::open(site.blob_path(&digest)).unwrap();
    let file = OpenFile::new(digest, file, &site.blobs.0.reads);
    let places = [5, (1 << 20) + 5, (2 << 20) + 5, (3 << 20) - 1];
    let hot = || places.map(|offset| file.is_cached(offset));
    file.read_nothing_ahead();
    file.will_not_need(0, 0);
    file.fill(1 << 20, &mut vec![0; 1 << 20]).unwrap();
    if hot() != [false, true, false, false] {
        println!("skipped: the file system forgets nothing");
        return;
    }
    // Looking may have had the kernel read what was looked at.
    file.will_not_need(0, 1 << 20);
    file.will_not_need(2 << 20, 1 << 20);
    assert_eq!(verified(&site, &digest, 3 << 20).await, Verified::Good);
    assert_eq!(hot(), [false, true, false, false]);
}
