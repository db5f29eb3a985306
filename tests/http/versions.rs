//! HTTP/2 with prior knowledge and over TLS, beside HTTP/1.1.

use entrepot::http::{Request, Response, response};
use http::{StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::site::{pattern, region, serve, soon};

async fn version(request: Request) -> Response {
    response::text(
        StatusCode::OK,
        format!("{:?} {}", request.version(), request.uri().path()),
    )
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge() {
    let site = serve(version);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = format!("http://{}/a", site.address);
    let answers = (0..10).map(|_| client.get(&url).send());
    for answer in futures_util::future::join_all(answers).await {
        let answer = answer.unwrap();
        assert_eq!(answer.version(), Version::HTTP_2);
        assert_eq!(answer.text().await.unwrap(), "HTTP/2.0 /a");
    }
    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "11");
    assert_eq!(head.bytes().await.unwrap(), "");
    let old = reqwest::get(&url).await.unwrap();
    assert_eq!(old.text().await.unwrap(), "HTTP/1.1 /a");
}

/// What is not sent by sendfile is sent from the mapping.
#[tokio::test]
async fn a_region_over_http2_comes_from_memory() {
    let memory = pattern(5, 3 << 20);
    let region = region(memory.clone(), &vec![0; memory.len()]);
    let site = serve(move |_: Request| {
        let region = region.clone();
        async move { Response::new(region.into()) }
    });
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let answer = client
        .get(format!("http://{}/", site.address))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.content_length(), Some(3 << 20));
    assert!(answer.bytes().await.unwrap() == memory);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method GET`, `:scheme http`, `:path /`, `:authority a` in HPACK.
const HEADERS: &[u8] = b"\x82\x86\x84\x41\x01a";

/// DO-09: streams opened and reset as fast as they can be end the connection, not the server.
#[tokio::test]
async fn a_rapid_reset_is_cut_off() {
    let site = serve(version);
    let mut stream = site.connect().await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(4, 0, 0, &[]));
    for number in 0..5_000 {
        let id = number * 2 + 1;
        flood.extend(frame(1, 5, id, HEADERS));
        flood.extend(frame(3, 0, id, &[0, 0, 0, 8]));
    }
    // The server may close before it has taken everything.
    let _ = soon(stream.write_all(&flood)).await;
    let mut seen = Vec::new();
    let _ = soon(stream.read_to_end(&mut seen)).await;
    let goaway = seen
        .windows(5)
        .any(|bytes| bytes[3..] == [7, 0] && bytes[..3] != [0, 0, 0]);
    assert!(goaway || seen.is_empty(), "{seen:?}");
    assert_eq!(
        reqwest::get(format!("http://{}/", site.address))
            .await
            .unwrap()
            .status(),
        200
    );
}

/// DO-09: more streams than allowed are refused, those allowed are served.
#[tokio::test]
async fn streams_are_capped() {
    let site = serve(|_: Request| std::future::pending::<Response>());
    let mut stream = site.connect().await;
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(4, 0, 0, &[]));
    opening.extend(frame(4, 1, 0, &[]));
    for number in 0..129 {
        opening.extend(frame(1, 5, number * 2 + 1, HEADERS));
    }
    stream.write_all(&opening).await.unwrap();
    let refused = soon(async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == 3 {
                return (u32::from_be_bytes(head[5..].try_into().unwrap()), payload);
            }
        }
    });
    let (id, reason) = refused.await;
    assert_eq!(
        (id, reason.as_slice()),
        (257, [0, 0, 0, 7].as_slice()),
        "REFUSED_STREAM"
    );
}
