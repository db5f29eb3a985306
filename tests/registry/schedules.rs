//! Uploads that meet others, or are cut: whatever happens in whatever order, what was acknowledged counts.

use entrepot::oci::{Algorithm, Digest};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::uploads::{blob_path, namespace, unfinished};
use crate::harness::content::{self, Image};
use crate::harness::files;
use crate::harness::local::{Dice, REPOSITORY, Way, with_digest};
use crate::harness::site::Site;
use crate::harness::soon;

/// PR-17: 20 connections are cut, each at another byte; the bytes that came are there, and the upload
/// goes on where they end, also after a restart (CR-06).
#[tokio::test]
async fn a_cut_upload_goes_on_where_it_was_cut() {
    let mut site = Site::local().await;
    let bytes = content::bytes(17, 400_000);
    let digest = Digest::of(&bytes);
    let mut dice = Dice::new(17);
    for round in 0..20 {
        let session = site.begin_upload(REPOSITORY).await;
        let cut = 2 + dice.below(bytes.len() - 2);
        let stream = site.begin_patch(&session, bytes.len(), &bytes[..cut]).await;
        if round % 2 == 0 {
            // All that was sent arrives, then the client is gone in order.
            soon("the bytes", async {
                while site.upload_len(&session).await != Some(cut) {}
            })
            .await;
            drop(stream);
        } else {
            // It is gone without a word: what was on its way may be lost.
            stream.set_zero_linger().unwrap();
            drop(stream);
        }
        if round % 4 == 0 {
            site.restart().await;
            assert_eq!(site.upload_len(&session).await, Some(cut));
        }
        let len = resume(&site, &session, &bytes).await;
        assert!(len <= cut);
        assert!(round % 2 == 1 || len == cut, "{len} of {cut}");
        let ended = site.finish(&session, digest, b"").await;
        assert_eq!(ended.status, 201, "{}", ended.text());
        let pulled = site.get(&blob_path(&digest)).await;
        assert_eq!(pulled.body, bytes);
    }
    assert_eq!(files::bytes(&site.config.data_dir), 400_000);
    assert_eq!(unfinished(&site), 0);
}

/// Sends the rest of an upload as soon as whoever began it is known to be gone; tells where it began.
async fn resume(site: &Site, session: &str, bytes: &[u8]) -> usize {
    soon("the end of the cut request", async {
        loop {
            let len = site.upload_len(session).await.unwrap();
            let answer = site.patch_at(session, len, &bytes[len..]).await;
            match answer.status.as_u16() {
                202 => return len,
                // The request that was cut has not noticed yet, or has just written.
                409 | 416 => {}
                other => panic!("{other}: {}", answer.text()),
            }
        }
    })
    .await
}

#[tokio::test]
async fn of_two_pieces_at_once_one_wins() {
    let site = Site::local().await;
    let piece = content::bytes(5, 100_000);
    let other = content::bytes(6, 100_000);
    let session = site.begin_upload(REPOSITORY).await;
    let begun = site.begin_patch(&session, piece.len(), &piece[..50_000]);
    let mut stream = begun.await;
    soon("the first half", async {
        while site.upload_len(&session).await != Some(50_000) {}
    })
    .await;
    for method in [Method::PATCH, Method::PUT] {
        let path = with_digest(&session, Digest::of(&other));
        let second = site.send(method, &path, &[], other.clone()).await;
        assert_eq!(second.status, 409, "{}", second.text());
        assert_eq!(second.code(), "BLOB_UPLOAD_INVALID");
    }
    stream.write_all(&piece[50_000..]).await.unwrap();
    let mut answer = [0; 12];
    soon("the answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 202");
    let ended = site.finish(&session, Digest::of(&piece), b"").await;
    assert_eq!(ended.status, 201);
}

/// What an upload should hold, played beside the real one.
#[derive(Default)]
struct Model {
    held: Vec<u8>,
}

impl Model {
    /// One step of a schedule; false when the session has ended.
    async fn step(&mut self, site: &Site, session: &str, dice: &mut Dice) -> bool {
        let len = 1 + dice.below(3000);
        let piece = content::bytes(dice.below(1 << 30) as u64, len);
        let at = self.held.len();
        match dice.below(9) {
            0 | 1 => {
                assert_eq!(site.patch_at(session, at, &piece).await.status, 202);
                self.held.extend_from_slice(&piece);
            }
            2 => {
                assert_eq!(site.patch_stream(session, &piece).await.status, 202);
                self.held.extend_from_slice(&piece);
            }
            3 => {
                let wrong = at + 1 + dice.below(5000);
                assert_eq!(site.patch_at(session, wrong, &piece).await.status, 416);
            }
            4 if at > 0 => {
                let wrong = dice.below(at);
                assert_eq!(site.patch_at(session, wrong, &piece).await.status, 416);
            }
            5 => {
                let other = content::bytes(dice.below(1 << 30) as u64, len);
                let (one, two) = tokio::join!(
                    site.patch_at(session, at, &piece),
                    site.patch_at(session, at, &other)
                );
                let statuses = [one.status.as_u16(), two.status.as_u16()];
                match statuses {
                    [202, 409 | 416] => self.held.extend_from_slice(&piece),
                    [409 | 416, 202] => self.held.extend_from_slice(&other),
                    _ => panic!("one of two wins: {statuses:?}"),
                }
            }
            6 => {
                let range = format!("{at}-{}", at + len);
                let headers = [("content-range", &*range)];
                let answer = site
                    .send(Method::PATCH, session, &headers, piece.clone())
                    .await;
                assert_eq!(answer.code(), "SIZE_INVALID");
            }
            7 if dice.below(4) == 0 => {
                let answer = match dice.below(2) {
                    0 => site.delete(session).await,
                    _ => site.finish(session, Digest::of(b"no"), b"").await,
                };
                assert!([204, 400].contains(&answer.status.as_u16()));
                assert_eq!(site.upload_len(session).await, None);
                return false;
            }
            _ => {}
        }
        // One byte and none are told alike.
        let expected = Some(self.held.len()).map(|len| if len == 1 { 0 } else { len });
        assert_eq!(site.upload_len(session).await, expected);
        true
    }
}

/// PR-12: 200 schedules of pieces right and wrong, alone and in twos, against a model of the bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_schedule_of_pieces_makes_what_was_acknowledged() {
    let site = Site::local().await;
    for seed in 0..200 {
        let mut dice = Dice::new(1000 + seed);
        let session = site.begin_upload(REPOSITORY).await;
        let mut model = Model::default();
        let mut goes_on = true;
        for _ in 0..1 + dice.below(8) {
            goes_on = model.step(&site, &session, &mut dice).await;
            if !goes_on {
                break;
            }
        }
        if goes_on {
            let digest = Digest::with(Algorithm::ALL[dice.below(2)], &model.held);
            let ended = site.finish(&session, digest, b"").await;
            assert_eq!(ended.status, 201, "schedule {seed}: {}", ended.text());
            assert_eq!(site.get(&blob_path(&digest)).await.body, model.held);
        }
    }
    assert_eq!(unfinished(&site), 0);
}

/// PR-12: one image, 64 clients: everybody hears 201, and each blob is one file.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_clients_push_one_image_into_one_place() {
    let site = Site::local().await;
    let image = Image::with_layers(64, &[200_000, 50_000]);
    let push = |client: usize| {
        let (site, image) = (&site, &image);
        async move {
            let way = Way::ALL[client % Way::ALL.len()];
            for blob in image.blobs() {
                let digest = Digest::of(blob);
                let answer = site.push_blob_by(way, REPOSITORY, blob, &digest).await;
                assert_eq!(answer.status, 201, "{}", answer.text());
            }
            let tag = format!("t{}", client % 4);
            site.push_manifest(REPOSITORY, tag, &image.manifest).await;
            site.pull(REPOSITORY, &format!("t{}", client % 4)).await;
        }
    };
    futures_util::future::join_all((0..64).map(push)).await;
    assert_eq!(files::contents(&site.config.data_dir).len(), 3);
    assert_eq!(unfinished(&site), 0);
    assert_eq!(site.tags(REPOSITORY).await, ["t0", "t1", "t2", "t3"]);
    let held = site.registry().ledger().used(namespace(&site).await);
    let blobs: usize = image.blobs().map(bytes::Bytes::len).sum();
    assert_eq!(
        held, blobs as u64,
        "each blob is counted once, the manifest not"
    );
}
