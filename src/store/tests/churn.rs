//! The size of the file while rows come and go.

use super::*;

/// Manifests that are there at any time.
const LIVE: u64 = 2_000;

/// Those that come and go in one write.
const STEP: u64 = 500;

fn name(number: u64) -> Digest {
    digest(&number.to_string())
}

/// A document of one to four kilobytes.
fn body(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(128 + number as usize % 384)
}

/// Has manifests of these numbers come, and as many go that came `LIVE` before them.
async fn come_and_go(store: &Store, first: u64) {
    let write = move |tx: &mut WriteTx<'_>| {
        for number in first..first + STEP {
            let record = manifest(&[], &[name(number % 50), name(number % 7)]);
            let mut manifests = tx.manifests();
            manifests.put(REPOSITORY, &name(number), &record, &body(number))?;
            if let Some(gone) = number.checked_sub(LIVE) {
                manifests.remove(REPOSITORY, &name(gone))?;
            }
        }
        Ok::<_, Error>(())
    };
    store.write(write).await.unwrap();
}

fn file_bytes(site: &Site) -> u64 {
    std::fs::metadata(site.path()).unwrap().len()
}

/// How many come in all.
#[expect(
    clippy::disallowed_methods,
    reason = "it is the switch of tests, and no setting"
)]
fn total() -> u64 {
    match std::env::var("ENTREPOT_LONG").is_ok_and(|value| value == "1") {
        true => 1_000_000,
        false => 20_000,
    }
}

/// GC-09: pages of what went are used again. After 20,000 manifests (a million with `ENTREPOT_LONG=1`) the file is
/// at most twice as large as one that only ever had those that are left.
#[tokio::test]
async fn the_file_does_not_grow_with_what_goes() {
    let churned = Site::new();
    for first in (0..total()).step_by(STEP as usize) {
        come_and_go(&churned.store, first).await;
    }
    let fresh = Site::new();
    for first in (0..LIVE).step_by(STEP as usize) {
        come_and_go(&fresh.store, first).await;
    }
    let (churned, fresh) = (file_bytes(&churned), file_bytes(&fresh));
    assert!(churned <= 2 * fresh, "{churned} bytes, {fresh} if fresh");
}
