//! kill -9 in the middle of a PATCH: the upload goes on at a right offset (CR-06).

use bytes::Bytes;
use entrepot::oci::Digest;
use reqwest::{Body, Method};
use rustix::process::Signal;
use tokio::sync::mpsc;

use super::crash::is_long;
use super::push_crash::yaml;
use crate::harness::chance::{Chance, seed};
use crate::harness::process::{Place, Process};
use crate::harness::pusher::{Pusher, Reply};
use crate::harness::{content, soon};

const UPLOADS: &str = "/v2/local/app/blobs/uploads/";

/// A PATCH whose body is fed by hand.
struct Feed {
    pieces: mpsc::UnboundedSender<Bytes>,
    answer: tokio::task::JoinHandle<Option<Reply>>,
}

impl Feed {
    fn begin(pusher: &Pusher, location: &str, range: (usize, usize)) -> Self {
        let (pieces, fed) = mpsc::unbounded_channel::<Bytes>();
        let body = futures_util::stream::unfold(fed, |mut fed| async {
            let piece = fed.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), fed))
        });
        let request = pusher
            .request(Method::PATCH, location)
            .header("content-range", format!("{}-{}", range.0, range.1 - 1))
            .body(Body::wrap_stream(body));
        let pusher = pusher.clone();
        let answer = tokio::spawn(async move { pusher.send(request).await.ok() });
        Self { pieces, answer }
    }
}

/// What lies in the folder of uploads, in bytes.
fn arrived(place: &Place) -> u64 {
    let entries = std::fs::read_dir(place.path("data/uploads"));
    let files = entries.into_iter().flatten().flatten();
    files
        .map(|file| file.metadata().map_or(0, |m| m.len()))
        .sum()
}

async fn kill(mut process: Process) {
    process.signal(Signal::KILL);
    assert!(!process.ended().await.success());
}

/// One blob, cut in its second PATCH after `sent` bytes of it; returns whether any of these were kept.
async fn cut_and_resume(place: &Place, blob: &Bytes, acknowledged: usize, sent: usize) -> bool {
    let process = place.serve().await;
    let pusher = Pusher::new(process.address);
    let begun = pusher.request(Method::POST, UPLOADS);
    let location = pusher.send(begun).await.unwrap().location();
    let first = blob.slice(..acknowledged);
    let reply = pusher.append(&location, first).await.unwrap();
    assert_eq!((reply.status, reply.offset()), (202, acknowledged as u64));
    let feed = Feed::begin(&pusher, &location, (acknowledged, blob.len()));
    for piece in blob[acknowledged..acknowledged + sent].chunks(7_001) {
        let piece = Bytes::copy_from_slice(piece);
        feed.pieces.send(piece).unwrap();
    }
    // Some of the pieces are written when the kill comes, and some of them are on their way.
    let least = (acknowledged + sent / 3) as u64;
    soon("a third of the pieces", async {
        while arrived(place) < least {
            tokio::task::yield_now().await;
        }
    })
    .await;
    kill(process).await;
    let answer = soon("the end of the PATCH", feed.answer).await.unwrap();
    assert!(answer.is_none(), "it was not acknowledged: {answer:?}");

    let process = place.serve().await;
    let pusher = Pusher::new(process.address);
    let status = pusher.get(&location).await.unwrap();
    assert_eq!(status.status, 204, "what was acknowledged is there");
    let offset = usize::try_from(status.offset()).unwrap();
    let possible = acknowledged..=acknowledged + sent;
    assert!(possible.contains(&offset), "{offset} of {possible:?}");
    // Whoever believes another offset is told the right one.
    let wrong = pusher
        .request(Method::PATCH, &location)
        .header("content-range", format!("{}-{}", offset + 1, offset + 4))
        .body("oops");
    let refused = pusher.send(wrong).await.unwrap();
    assert_eq!((refused.status, refused.offset()), (416, offset as u64));
    let (digest, rest) = (Digest::of(blob), blob.slice(offset..));
    let reply = pusher.finish(&location, &digest, rest).await.unwrap();
    assert_eq!(reply.status, 201, "{reply:?}");
    let path = format!("/v2/local/app/blobs/{digest}");
    let reply = pusher.get(&path).await.unwrap();
    assert!(reply.status == 200 && reply.body == *blob, "{path}");
    kill(process).await;
    offset > acknowledged
}

/// CR-06: 20 uploads, `ENTREPOT_LONG=1`: 200, each killed somewhere in a PATCH.
#[tokio::test]
async fn an_upload_cut_by_a_kill_goes_on_at_a_right_offset() {
    let uploads = if is_long() { 200 } else { 20 };
    let mut chance = Chance::new(seed());
    let place = Place::new(&yaml());
    let mut kept = 0;
    for number in 0..uploads {
        let blob = content::bytes(chance.next(), chance.of(200_000..3_000_000));
        let acknowledged = chance.of(2..blob.len() / 2);
        let sent = chance.of(30_000..blob.len() - acknowledged);
        kept += usize::from(cut_and_resume(&place, &blob, acknowledged, sent).await);
        assert_eq!(
            arrived(&place),
            0,
            "{number}: a finished upload leaves nothing"
        );
    }
    assert!(
        kept * 2 > uploads,
        "{kept} kills came while bytes were kept"
    );
}
