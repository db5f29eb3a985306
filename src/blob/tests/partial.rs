//! Writing, resuming, and reading what is being written.

use std::fs;

use futures_util::{FutureExt, StreamExt};

use crate::blob::{Keep, PartialFailureKind, Progress};
use crate::oci::{Digest, Hasher};

use super::*;

async fn append(writer: &mut PartialWriter, bytes: &[u8]) {
    writer.append(Bytes::copy_from_slice(bytes)).await.unwrap();
}

/// CA-08, CR-06: what does not verify leaves nothing behind, and its readers fail.
#[tokio::test]
async fn wrong_bytes_leave_nothing_behind() {
    let site = Site::new();
    let digest = Digest::of(b"right");
    let (mut writer, partial) = site.blobs.begin(&digest).await.unwrap();
    append(&mut writer, b"wrong").await;
    let finished = writer.finish().await;
    assert!(matches!(finished, Err(Error::DigestMismatch { .. })));
    assert!(!site.blob_path(&digest).exists() && !site.partial_path(&digest).exists());
    let (error, read) = collect(partial.stream(range(0, 5))).await.unwrap_err();
    let Error::PartialFailed {
        offset: 0, failure, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (failure.kind, read.len()),
        (PartialFailureKind::Mismatch, 0)
    );
    assert!(partial.finished().await.is_err());
    // The name is free for a second try.
    let (mut writer, _) = site.blobs.begin(&digest).await.unwrap();
    append(&mut writer, b"right").await;
    writer.finish().await.unwrap();
}

#[tokio::test]
async fn more_or_fewer_bytes_than_announced_are_refused() {
    let site = Site::new();
    let bytes = noise(1_000, 1);
    let mut writer = site.begun(&bytes, 600).await;
    writer.set_total(999);
    let refused = writer.append(Bytes::copy_from_slice(&bytes[600..])).await;
    assert!(matches!(
        refused,
        Err(Error::LengthMismatch { found: 1_000, .. })
    ));
    assert_eq!(writer.len(), 600);
    let finished = writer.finish().await;
    assert!(matches!(
        finished,
        Err(Error::LengthMismatch { found: 600, .. })
    ));
    assert!(!site.partial_path(&Digest::of(&bytes)).exists());
}

#[tokio::test]
async fn one_blob_has_one_writer() {
    let site = Site::new();
    let writer = site.begun(b"bytes", 2).await;
    let digest = Digest::of(b"bytes");
    let second = site.blobs.begin(&digest).await;
    assert!(matches!(second, Err(Error::Busy { .. })));
    site.blobs.begin(&Digest::of(b"others")).await.unwrap();
    drop(writer);
    soon(site.blobs.begin(&digest)).await.unwrap();
}

/// CA-04: bytes held are not fetched again, whether their writer gave up or was dropped.
#[tokio::test]
async fn a_writer_goes_on_where_the_last_one_stopped() {
    let mut site = Site::new();
    let bytes = noise(900_000, 2);
    site.begun(&bytes, 100_000)
        .await
        .fail(Keep::Bytes, "cut")
        .await;
    let (mut writer, _) = site.blobs.begin(&Digest::of(&bytes)).await.unwrap();
    assert_eq!(writer.len(), 100_000);
    append(&mut writer, &bytes[100_000..500_000]).await;
    writer.flush().await.unwrap();
    drop(writer);
    site.reopen();
    let (mut writer, partial) = site.blobs.begin(&Digest::of(&bytes)).await.unwrap();
    assert_eq!(writer.len(), 500_000);
    assert_eq!(
        collect(partial.stream(range(0, 9))).await.unwrap(),
        bytes[..9]
    );
    append(&mut writer, &bytes[500_000..]).await;
    assert_eq!(content(&writer.finish().await.unwrap()).await, bytes);
}

/// CR-06: a power cut may cut the tail off; what is left is hashed anew, never assumed.
#[tokio::test]
async fn a_partial_with_its_tail_cut_ends_in_the_right_digest() {
    let mut site = Site::new();
    let bytes = noise(600_000, 3);
    let digest = Digest::of(&bytes);
    drop(site.begun(&bytes, 400_000).await);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(site.partial_path(&digest))
        .unwrap();
    file.set_len(123_456).unwrap();
    site.reopen();
    let (mut writer, _) = site.blobs.begin(&digest).await.unwrap();
    assert_eq!(writer.len(), 123_456);
    append(&mut writer, &bytes[123_456..]).await;
    assert_eq!(writer.finish().await.unwrap().len(), 600_000);
}

/// CR-06: a tail of zeros, as a power cut may leave it, never becomes part of a blob.
#[tokio::test]
async fn a_partial_with_a_damaged_tail_is_refused_and_begun_anew() {
    let mut site = Site::new();
    let bytes = noise(600_000, 4);
    let digest = Digest::of(&bytes);
    drop(site.begun(&bytes, 300_000).await);
    let mut left = fs::read(site.partial_path(&digest)).unwrap();
    left[250_000..].fill(0);
    fs::write(site.partial_path(&digest), left).unwrap();
    site.reopen();
    let (mut writer, _) = site.blobs.begin(&digest).await.unwrap();
    append(&mut writer, &bytes[300_000..]).await;
    assert!(writer.finish().await.unwrap_err().is_mismatch());
    let (mut writer, _) = site.blobs.begin(&digest).await.unwrap();
    assert!(writer.is_empty());
    append(&mut writer, &bytes).await;
    writer.finish().await.unwrap();
}

#[tokio::test]
async fn a_restart_fails_old_readers_and_serves_new_ones() {
    let site = Site::new();
    let bytes = noise(50_000, 5);
    let (mut writer, old) = site.blobs.begin(&Digest::of(&bytes)).await.unwrap();
    append(&mut writer, &noise(20_000, 6)).await;
    let new = writer.restart().await.unwrap();
    assert!(writer.is_empty());
    let (error, _) = collect(old.stream(range(0, 50_000))).await.unwrap_err();
    assert!(matches!(error, Error::PartialFailed { .. }));
    // Still the same claim: nobody else may write.
    let second = site.blobs.begin(&Digest::of(&bytes)).await;
    assert!(matches!(second, Err(Error::Busy { .. })));
    append(&mut writer, &bytes).await;
    writer.finish().await.unwrap();
    assert_eq!(collect(new.stream(range(0, 50_000))).await.unwrap(), bytes);
}

/// 13.1 of the protocol reference: no body is complete before its digest is verified.
#[tokio::test]
async fn the_last_byte_waits_for_the_end() {
    let site = Site::new();
    let bytes = noise(300_000, 7);
    let (mut writer, partial) = site.blobs.begin(&Digest::of(&bytes)).await.unwrap();
    for total in [None, Some(300_000)] {
        if let Some(total) = total {
            writer.set_total(total);
        } else {
            append(&mut writer, &bytes).await;
            writer.flush().await.unwrap();
        }
        let mut stream = partial.stream(range(0, 300_000));
        let mut read = Vec::new();
        while read.len() < 299_999 {
            read.extend_from_slice(&soon(stream.next()).await.unwrap().unwrap());
        }
        assert_eq!(read, bytes[..299_999]);
        assert!(stream.next().now_or_never().is_none());
    }
    let mut last = partial.stream(range(299_999, 300_000));
    assert!(last.next().now_or_never().is_none());
    let inner = collect(partial.stream(range(1_000, 299_999)))
        .await
        .unwrap();
    assert_eq!(inner, bytes[1_000..299_999]);
    writer.finish().await.unwrap();
    assert_eq!(collect(last).await.unwrap(), bytes[299_999..]);
}

/// CA-03: any number of readers, one file, the same bytes, at their own pace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_readers_follow_one_writer() {
    let site = Site::new();
    let bytes = noise(3_000_000, 8);
    let len = bytes.len() as u64;
    let (mut writer, partial) = site.blobs.begin(&Digest::of(&bytes)).await.unwrap();
    let mut random = Random(8);
    let mut readers = Vec::new();
    for number in 0..50 {
        let start = if number % 2 == 0 {
            0
        } else {
            random.below(bytes.len() - 1) as u64
        };
        let end = match number % 3 {
            0 => len,
            1 => u64::MAX,
            _ => start + 1 + random.below((len - start) as usize) as u64,
        };
        let stream = partial.stream(range(start, end));
        let want = start as usize..end.min(len) as usize;
        readers.push((want, tokio::spawn(collect(stream))));
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + random.below(40_000)));
        append(&mut writer, piece).await;
        if random.below(10) == 0 {
            tokio::task::yield_now().await;
        }
        rest = after;
    }
    writer.set_total(len);
    writer.finish().await.unwrap();
    for (want, reader) in readers {
        let read = soon(reader).await.unwrap().unwrap();
        assert!(read == bytes[want.clone()], "{want:?}");
    }
    let late = collect(partial.stream(range(17, len))).await.unwrap();
    assert!(late == bytes[17..]);
}

/// CA-06: first bytes stream through at once; a byte needs no successor to be seen.
#[tokio::test]
async fn a_byte_is_readable_as_soon_as_it_came() {
    let site = Site::new();
    let bytes = noise(100, 9);
    let (mut writer, partial) = site.blobs.begin(&Digest::of(&bytes)).await.unwrap();
    writer.set_total(100);
    let mut stream = partial.stream(range(0, 100));
    for number in 0..99 {
        append(&mut writer, &bytes[number..=number]).await;
        // No flush: the job on the blocking pool is enough.
        let piece = soon(stream.next()).await.unwrap().unwrap();
        assert_eq!(piece, bytes[number..=number]);
    }
}

#[tokio::test]
async fn a_large_blob_is_sent_to_the_disk_on_the_way() {
    let site = Site::new();
    let bytes = Bytes::from(vec![7; 70 << 20]);
    let (mut writer, _) = site.blobs.begin(&Digest::of(&bytes)).await.unwrap();
    for start in (0..bytes.len()).step_by(1 << 20) {
        writer
            .append(bytes.slice(start..start + (1 << 20)))
            .await
            .unwrap();
    }
    let file = writer.finish().await.unwrap();
    assert!(file.region(file.whole()).unwrap().bytes == bytes);
}

/// A caller that is gone while a begun partial is hashed does not keep the next one out.
#[tokio::test]
async fn a_dropped_begin_lets_the_next_one_in() {
    let site = Site::new();
    let bytes = noise(4_000_000, 12);
    let digest = Digest::of(&bytes);
    drop(site.begun(&bytes, 3_000_000).await);
    // Polled once, it has its claim or waits for the dropped writer's; either way it goes unheard.
    assert!(site.blobs.begin(&digest).now_or_never().is_none());
    let (writer, _) = soon(site.blobs.begin(&digest)).await.unwrap();
    assert_eq!(writer.len(), 3_000_000);
}

#[tokio::test]
async fn the_total_is_waited_for() {
    let site = Site::new();
    let (mut writer, partial) = site.blobs.begin(&Digest::of(b"abc")).await.unwrap();
    assert!(partial.total().now_or_never().is_none());
    append(&mut writer, b"abc").await;
    let waiting = tokio::spawn({
        let partial = partial.clone();
        async move { partial.total().await }
    });
    writer.finish().await.unwrap();
    assert_eq!(soon(waiting).await.unwrap(), Some(3));
    let (mut writer, partial) = site.blobs.begin(&Digest::of(b"abcd")).await.unwrap();
    writer.set_total(4);
    assert_eq!(partial.total().await, Some(4));
    let (writer, partial) = site.blobs.begin(&Digest::of(b"abcde")).await.unwrap();
    drop(writer);
    assert_eq!(partial.total().await, None);
}

/// A reader whose writer fails learns how far it came, so that it can go on elsewhere.
#[tokio::test]
async fn a_failed_writer_tells_each_reader_its_offset() {
    let site = Site::new();
    let bytes = noise(200_000, 10);
    let writer = site.begun(&bytes, 150_000).await;
    let partial = writer.partial();
    let mut streams: Vec<_> = [0, 100_000]
        .map(|start| (start, partial.stream(range(start, 200_000))))
        .into();
    for (position, stream) in &mut streams {
        while *position < 149_999 {
            *position += soon(stream.next()).await.unwrap().unwrap().len() as u64;
        }
    }
    streams.push((7, partial.stream(range(7, 200_000))));
    writer.fail(Keep::Nothing, "upstream is gone").await;
    assert!(!site.partial_path(&Digest::of(&bytes)).exists());
    for (position, mut stream) in streams {
        let error = soon(stream.next()).await.unwrap().unwrap_err();
        let Error::PartialFailed {
            offset, failure, ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((offset, failure.len), (position, 150_000));
        assert_eq!(failure.kind, PartialFailureKind::GivenUp);
        assert_eq!(&*failure.reason, "upstream is gone");
        assert!(stream.next().await.is_none());
    }
    // What was written can still be completed elsewhere.
    let prefix = collect(partial.read_prefix(150_000).unwrap())
        .await
        .unwrap();
    assert_eq!(prefix, bytes[..150_000]);
    let mut hasher: Hasher = partial.hash_prefix(150_000).await.unwrap();
    hasher.update(&bytes[150_000..]);
    assert_eq!(hasher.finish(), Digest::of(&bytes));
    assert!(partial.read_prefix(150_001).is_err());
}

#[tokio::test]
async fn a_dropped_writer_fails_its_readers() {
    let site = Site::new();
    let writer = site.begun(b"bytes", 3).await;
    let partial = writer.partial();
    drop(writer);
    assert!(soon(collect(partial.stream(range(0, 5)))).await.is_err());
    assert!(matches!(partial.progress(), Progress::Failed(_)));
}

#[tokio::test]
async fn a_blob_that_is_there_already_wins() {
    let site = Site::new();
    let bytes = noise(90_000, 11);
    let digest = Digest::of(&bytes);
    let mut writer = site.begun(&bytes, 90_000).await;
    writer.set_total(90_000);
    let reader = writer.partial().stream(range(0, 90_000));
    let first = site.blobs.insert(&digest, &bytes).await.unwrap();
    let second = writer.finish().await.unwrap();
    let file = |file: &BlobFile| std::sync::Arc::as_ptr(&file.region(file.whole()).unwrap().file);
    assert_eq!(file(&first), file(&second));
    assert!(!site.partial_path(&digest).exists());
    assert_eq!(collect(reader).await.unwrap(), bytes);
}

/// DK-05: a publication that fails is final: the bytes go, readers fail, the store says so.
#[tokio::test]
async fn a_failed_rename_discards_the_bytes() {
    let site = Site::new();
    let digest = Digest::of(b"bytes");
    let shard = site.blob_path(&digest).parent().unwrap().to_owned();
    fs::write(&shard, b"in the way").unwrap();
    let writer = site.begun(b"bytes", 5).await;
    let partial = writer.partial();
    assert!(matches!(writer.finish().await, Err(Error::Io { .. })));
    assert!(site.blobs.is_degraded());
    assert!(!site.partial_path(&digest).exists());
    let (error, read) = collect(partial.stream(range(0, 5))).await.unwrap_err();
    assert!(matches!(error, Error::PartialFailed { .. }) && read.is_empty());
    fs::remove_file(&shard).unwrap();
    let writer = site.begun(b"bytes", 5).await;
    assert_eq!(content(&writer.finish().await.unwrap()).await, b"bytes");
}
