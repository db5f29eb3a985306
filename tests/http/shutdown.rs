//! LC-01: running answers are finished, new ones are not begun, and nothing waits for ever.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use entrepot::http::{Body, Ended, Request, Response};
use futures_util::stream;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::site::{Site, answer, head, header, rest, serve_with, soon};

/// A server whose bodies go on once the gate opens.
fn gated(drain: Duration) -> (Site, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let opening = gate.clone();
    let handler = move |_: Request| {
        let gate = opening.clone();
        async move {
            let second = async move {
                gate.acquire().await.unwrap().forget();
                Ok(Bytes::from(" second"))
            };
            let pieces =
                stream::unfold(Some(second), |second| async { Some((second?.await, None)) });
            let first = stream::iter([Ok(Bytes::from("first"))]);
            Response::new(Body::stream(
                12,
                futures_util::StreamExt::chain(first, pieces),
            ))
        }
    };
    (
        serve_with(handler, None, |options| options.drain = drain),
        gate,
    )
}

async fn begin(site: &Site) -> TcpStream {
    let mut stream = site.connect().await;
    let request = b"GET /running HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

#[tokio::test]
async fn running_answers_are_finished_and_new_ones_refused() {
    let (site, gate) = gated(Duration::from_secs(20));
    let mut idle = begin(&site).await;
    gate.add_permits(1);
    assert_eq!(answer(&mut idle).await.1, b"first second");
    let mut running = begin(&site).await;
    let started = head(&mut running).await;
    assert_eq!(header(&started, "content-length"), Some("12"));
    let fresh = site.connect().await;

    site.closer.drain();
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    let mut fresh = fresh;
    assert_eq!(rest(&mut fresh).await, "", "so is one that never asked");
    soon(async { while TcpStream::connect(site.address).await.is_ok() {} }).await;

    gate.add_permits(1);
    assert_eq!(rest(&mut running).await, "first second");
    assert_eq!(site.ended().await, Ended { cut: 0 });
}

/// LC-09: who connected in time is answered, even if the first request, or the rest of it, comes after the end
/// has begun.
#[tokio::test]
async fn first_requests_on_their_way_are_answered() {
    let (site, gate) = gated(Duration::from_secs(20));
    gate.add_permits(2);
    let mut silent = site.connect().await;
    let mut begun = site.connect().await;
    begun.write_all(b"GET /running HT").await.unwrap();
    soon(async {
        while site.metric("entrepot_http_connections ") < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    site.closer.drain();
    let request = b"GET /running HTTP/1.1\r\nHost: a\r\n\r\n";
    silent.write_all(request).await.unwrap();
    begun.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    for mut stream in [silent, begun] {
        assert_eq!(answer(&mut stream).await.1, b"first second");
        assert_eq!(rest(&mut stream).await, "");
    }
    assert_eq!(site.ended().await, Ended { cut: 0 });
}

#[tokio::test]
async fn what_does_not_end_is_cut() {
    let (site, _gate) = gated(Duration::from_millis(50));
    let mut running = begin(&site).await;
    head(&mut running).await;
    site.closer.drain();
    assert_eq!(rest(&mut running).await, "first");
    let line = site.logged("/running").await;
    assert!(
        line.contains("5 bytes") && line.contains("client left"),
        "{line}"
    );
    assert_eq!(site.ended().await, Ended { cut: 1 });
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let (site, _gate) = gated(Duration::from_secs(3600));
    let mut running = begin(&site).await;
    head(&mut running).await;
    site.closer.drain();
    site.closer.cut();
    assert_eq!(rest(&mut running).await, "first");
    assert_eq!(site.ended().await, Ended { cut: 1 });
}

#[tokio::test]
async fn an_http2_answer_is_finished() {
    let (site, gate) = gated(Duration::from_secs(20));
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let mut answer = client
        .get(format!("http://{}/", site.address))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "first");
    site.closer.drain();
    gate.add_permits(1);
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), " second");
    drop((answer, client));
    assert_eq!(site.ended().await, Ended { cut: 0 });
}
