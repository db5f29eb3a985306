//! Reading complete blobs: streams, regions, residency.

use proptest::prelude::*;

use super::*;

const LEN: usize = 700_001;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// Any range of the blob, with ends near the borders of pieces more often than chance has them.
fn ranges() -> impl Strategy<Value = (usize, usize)> {
    let point = prop_oneof![
        0..=LEN,
        (0..=LEN / 65_536, 0_usize..3).prop_map(|(n, d)| (n * 65_536 + d).saturating_sub(1)),
    ];
    (point.clone(), point).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

#[test]
fn any_range_reads_like_the_bytes_themselves() {
    let (site, bytes, runtime) = (Site::new(), noise(LEN, 1), runtime());
    let digest = Digest::of(&bytes);
    let file = runtime
        .block_on(site.blobs.insert(&digest, &bytes))
        .unwrap();
    proptest!(ProptestConfig::with_cases(200), |((start, end) in ranges())| {
        let asked = range(start as u64, end as u64);
        let read = runtime.block_on(collect(file.stream(asked))).unwrap();
        prop_assert!(read == bytes[start..end]);
        let region = file.region(asked).unwrap();
        prop_assert!(region.bytes == bytes[start..end]);
        prop_assert_eq!(region.offset, start as u64);
    });
}

#[tokio::test]
async fn a_region_is_the_same_bytes_in_memory_and_in_the_file() {
    let site = Site::new();
    let bytes = noise(100_000, 2);
    let file = site
        .blobs
        .insert(&Digest::of(&bytes), &bytes)
        .await
        .unwrap();
    let region = file.region(range(5, 90_000)).unwrap();
    let mut read = vec![0; region.bytes.len()];
    let len = rustix::io::pread(&*region.file, &mut read, region.offset).unwrap();
    assert_eq!(len, read.len());
    assert!(read == region.bytes);
    // One mapping for all.
    let again = site.blobs.open_blob(&Digest::of(&bytes), 100_000).await;
    let again = again.unwrap().unwrap().region(range(5, 6)).unwrap();
    assert_eq!(again.bytes.as_ptr(), region.bytes.as_ptr());
}

#[tokio::test]
async fn a_range_past_the_end_is_refused() {
    let site = Site::new();
    let file = site
        .blobs
        .insert(&Digest::of(b"abc"), b"abc")
        .await
        .unwrap();
    for asked in [range(0, 4), range(3, 2), range(u64::MAX, u64::MAX)] {
        assert!(matches!(file.region(asked), Err(Error::OutOfRange { .. })));
        let (error, read) = collect(file.stream(asked)).await.unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }) && read.is_empty());
        assert!(!file.is_resident(asked));
        assert!(file.make_resident(asked).await.is_err());
    }
}

#[tokio::test]
async fn cold_bytes_are_read_and_become_resident() {
    let site = Site::new();
    let bytes = noise(2_000_000, 3);
    let file = site
        .blobs
        .insert(&Digest::of(&bytes), &bytes)
        .await
        .unwrap();
    let drop_cache = || {
        let region = file.region(file.whole()).unwrap();
        let advice = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(&*region.file, 0, None, advice).unwrap();
    };
    drop_cache();
    assert!(content(&file).await == bytes);
    drop_cache();
    file.make_resident(file.whole()).await.unwrap();
    assert!(file.is_resident(file.whole()));
}

#[tokio::test]
async fn a_piece_is_at_most_one_buffer() {
    let site = Site::new();
    let bytes = noise(1_000_000, 4);
    let file = site
        .blobs
        .insert(&Digest::of(&bytes), &bytes)
        .await
        .unwrap();
    let mut stream = file.stream(file.whole());
    while let Some(piece) = stream.next().await {
        assert!(piece.unwrap().len() <= 128 * 1024);
    }
}
