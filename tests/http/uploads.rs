//! Large bodies on their way in: whole, cut off, refused before they came, slow, and read behind the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use entrepot::http::{
    Body, BodyReader, Drained, Options, ReadError, Request, Response, StreamLimits, response,
};
use entrepot::oci::{Algorithm, Digest, Hasher};
use futures_util::stream;
use http::{Method, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use super::site::{Site, answer, head, header, pattern, rest, serve, serve_with, soon};

const MIB: usize = 1 << 20;

const LIMITS: StreamLimits = StreamLimits {
    bytes: Some(64 << 20),
    wait: Duration::from_secs(30),
};

/// Reads what is sent to `/`, and refuses anything else without a look at the body.
async fn upload(request: Request) -> Response {
    match request.uri().path() {
        "/" => read(request, LIMITS).await,
        "/drained" => {
            let drained = BodyReader::new(request.into_body(), LIMITS).drain(1 << 20);
            let status = match drained.await {
                Drained::Whole => StatusCode::RANGE_NOT_SATISFIABLE,
                Drained::Cut => StatusCode::PAYLOAD_TOO_LARGE,
            };
            response::text(status, "drained")
        }
        "/405" => response::text(StatusCode::METHOD_NOT_ALLOWED, "no"),
        _ => response::text(StatusCode::RANGE_NOT_SATISFIABLE, "no"),
    }
}

/// Answers `<declared> <length> <digest>`, or what was wrong.
async fn read(request: Request, limits: StreamLimits) -> Response {
    let mut reader = BodyReader::new(request.into_body(), limits);
    let declared = reader.declared();
    let (mut length, mut hasher) = (0, Hasher::new(Algorithm::Sha256));
    while let Some(piece) = reader.next().await {
        match piece {
            Ok(piece) => {
                length += piece.len();
                hasher.update(&piece);
            }
            Err(error) => return response::text(status(&error), error.to_string()),
        }
    }
    let text = format!("{declared:?} {length} {}", hasher.finish());
    response::text(StatusCode::OK, text)
}

const fn status(error: &ReadError) -> StatusCode {
    match error {
        ReadError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ReadError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        ReadError::Broken(_) => StatusCode::BAD_REQUEST,
    }
}

fn patch(path: &str, headers: &str) -> String {
    format!("PATCH {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n")
}

fn pieces(bytes: &[u8], step: usize) -> reqwest::Body {
    let pieces: Vec<_> = bytes
        .chunks(step)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

fn client(version: Version) -> reqwest::Client {
    let builder = reqwest::Client::builder();
    match version {
        Version::HTTP_2 => builder.http2_prior_knowledge(),
        _ => builder.http1_only(),
    }
    .build()
    .unwrap()
}

/// The connection goes on: another request on it is answered.
async fn goes_on(stream: &mut TcpStream) {
    let more = patch("/", "Content-Length: 2") + "ok";
    stream.write_all(more.as_bytes()).await.unwrap();
    let (_, body) = answer(stream).await;
    let expected = format!("Some(2) 2 {}", Digest::of(b"ok"));
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

/// oci-registry 5.2: a stream of unknown length arrives whole, over both protocols; so does one of known length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_arrive_whole_with_and_without_a_length() {
    let site = serve(upload);
    let bytes = pattern(3, 5 * MIB + 11);
    let told = format!("{} {}", bytes.len(), Digest::of(&bytes));
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = client(version);
        let url = format!("http://{}/", site.address);
        let sent = client.patch(&url).body(pieces(&bytes, 70_001)).send();
        let seen = soon(sent).await.unwrap();
        assert_eq!(seen.version(), version);
        assert_eq!(seen.text().await.unwrap(), format!("None {told}"));
        let sent = client.put(&url).body(bytes.clone()).send();
        let seen = soon(sent).await.unwrap().text().await.unwrap();
        assert_eq!(seen, format!("Some({}) {told}", bytes.len()));
        let none = soon(client.patch(&url).send()).await.unwrap();
        let expected = format!("Some(0) 0 {}", Digest::of(b""));
        assert_eq!(none.text().await.unwrap(), expected);
    }
}

/// What a handler saw of a body, told when the handler is gone.
struct Seen {
    read: Vec<u8>,
    ended_well: bool,
    tell: mpsc::UnboundedSender<(Vec<u8>, bool)>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        let read = std::mem::take(&mut self.read);
        // A test that has failed listens no more.
        let _ = self.tell.send((read, self.ended_well));
    }
}

/// CR-05: what a client breaks off is an error, or the end of its handler, and never the end of the body,
/// however its length was told.
#[tokio::test]
async fn a_body_that_is_broken_off_has_no_end() {
    let (tell, mut seen) = mpsc::unbounded_channel();
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let site = serve(move |request: Request| {
        let (tell, begins) = (tell.clone(), begins.clone());
        async move {
            let mut told = Seen {
                read: Vec::new(),
                ended_well: false,
                tell,
            };
            let mut reader = BodyReader::new(request.into_body(), LIMITS);
            loop {
                match reader.next().await {
                    Some(Ok(piece)) => {
                        told.read.extend_from_slice(&piece);
                        begins.notify_one();
                    }
                    Some(Err(_)) => break,
                    None => {
                        told.ended_well = true;
                        break;
                    }
                }
            }
            Response::new(Body::Empty)
        }
    });
    let whole = site
        .say(patch("/", "Connection: close\r\nContent-Length: 5") + "12345")
        .await;
    assert!(whole.starts_with("HTTP/1.1 200 "), "{whole}");
    let (read, ended_well) = soon(seen.recv()).await.unwrap();
    assert!(read == b"12345" && ended_well);
    soon(begun.notified()).await;
    let length = patch("/", "Content-Length: 10") + "12345";
    let chunked = patch("/", "Transfer-Encoding: chunked") + "5\r\n12345\r\n";
    let in_chunk = patch("/", "Transfer-Encoding: chunked") + "a\r\n12345";
    for cut in [length, chunked, in_chunk] {
        let mut stream = site.connect().await;
        stream.write_all(cut.as_bytes()).await.unwrap();
        soon(begun.notified()).await;
        drop(stream);
        let (read, ended_well) = soon(seen.recv()).await.unwrap();
        assert!(!ended_well && read == b"12345", "{cut:?}");
    }
    // HTTP/2 has three ways of breaking off; `NO_ERROR` is the one that hyper takes for an end.
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    for reason in [Some(0), Some(8), None] {
        let mut stream = site.connect().await;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        // `:method POST`, `:scheme http`, `:path /`, `:authority a` in HPACK.
        bytes.extend(frame(1, 4, 1, b"\x83\x86\x84\x41\x01a"));
        bytes.extend(frame(0, 0, 1, b"12345"));
        stream.write_all(&bytes).await.unwrap();
        soon(begun.notified()).await;
        let reset = reason.map(|reason| frame(3, 0, 1, &[0, 0, 0, reason]));
        match reset {
            Some(reset) => stream.write_all(&reset).await.unwrap(),
            None => stream.shutdown().await.unwrap(),
        }
        let (read, ended_well) = soon(seen.recv()).await.unwrap();
        assert!(!ended_well && read == b"12345", "{reason:?}");
    }
}

/// DO-01: a body over the limit is refused, before it is read where its length is told.
#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let site = serve(|request: Request| {
        let limits = StreamLimits {
            bytes: Some(8),
            ..LIMITS
        };
        read(request, limits)
    });
    let mut stream = site.connect().await;
    let declared = patch("/", "Content-Length: 9\r\nExpect: 100-continue");
    stream.write_all(declared.as_bytes()).await.unwrap();
    let refused = head(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    let chunked = patch("/", "Transfer-Encoding: chunked\r\nConnection: close");
    let seen = site
        .say(chunked + "5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n")
        .await;
    assert!(seen.starts_with("HTTP/1.1 413 "), "{seen}");
}

/// oci-registry 5.3: a client that asks first is refused without its body, and reads why; the connection ends,
/// because nobody can know what it sends next.
#[tokio::test]
async fn an_expectation_is_refused_without_asking_for_the_body() {
    let site = serve(upload);
    for (path, status) in [("/405", "405"), ("/416", "416")] {
        let mut stream = site.connect().await;
        let asking = patch(path, "Content-Length: 5000000\r\nExpect: 100-Continue");
        stream.write_all(asking.as_bytes()).await.unwrap();
        let seen = rest(&mut stream).await;
        assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{seen}");
        assert!(seen.contains("connection: close"), "{seen}");
        assert!(!seen.contains("100 Continue"), "{seen}");
    }
    let mut stream = site.connect().await;
    let asking = patch("/", "Content-Length: 2\r\nExpect: 100-continue");
    stream.write_all(asking.as_bytes()).await.unwrap();
    assert_eq!(head(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").await.unwrap();
    assert!(answer(&mut stream).await.0.starts_with("HTTP/1.1 200 "));
    goes_on(&mut stream).await;
}

/// A small body that no handler wanted does not cost the connection, however it comes; what looks like
/// a broken head within it is read by nobody (PR-11).
#[tokio::test]
async fn a_small_body_that_was_not_wanted_is_read_away() {
    let site = serve(upload);
    let mut stream = site.connect().await;
    let odd = "GET /x HTTP/1.1\nContent-Length: 1\n\n";
    let sized = format!("Content-Length: {}", odd.len());
    let chunk = format!("{:x}\r\n{odd}\r\n0\r\n\r\n", odd.len());
    for (headers, body) in [
        (sized.as_str(), odd),
        ("Transfer-Encoding: chunked", chunk.as_str()),
    ] {
        for apart in [false, true] {
            stream
                .write_all(patch("/405", headers).as_bytes())
                .await
                .unwrap();
            if apart {
                tokio::task::yield_now().await;
            }
            stream.write_all(body.as_bytes()).await.unwrap();
            let (head, _) = answer(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
            assert_eq!(header(&head, "connection"), None, "{head}");
            goes_on(&mut stream).await;
        }
    }
}

/// oci-registry 5.2: a client that is refused while it sends reads the answer, not a reset. It sends
/// more than any socket holds, so it is still sending when the answer comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_full_flow_reads_its_refusal() {
    let site = serve(upload);
    let body = vec![b'\n'; 20 * MIB];
    for headers in ["Content-Length: 20971520", "Transfer-Encoding: chunked"] {
        let (mut reads, mut writes) = site.connect().await.into_split();
        let mut request = patch("/416", headers).into_bytes();
        if headers.contains("chunked") {
            request.extend_from_slice(b"1400000\r\n");
        }
        let body = body.clone();
        let sending = tokio::spawn(async move {
            writes.write_all(&request).await.unwrap();
            // It may be cut off: only the answer counts.
            let _ = writes.write_all(&body).await;
            writes
        });
        let mut seen = vec![0; 17];
        soon(reads.read_exact(&mut seen)).await.unwrap();
        assert!(seen.starts_with(b"HTTP/1.1 416 "), "{headers}");
        soon(sending).await.unwrap();
        // The rest of the answer outlives the sending.
        let mut all = Vec::new();
        let _ = soon(reads.read_to_end(&mut all)).await;
        assert!(
            all.ends_with(b"\r\n\r\nno"),
            "{headers}: {}",
            all.escape_ascii()
        );
    }
}

/// The same over HTTP/2, where other requests share the connection and go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_over_http2_costs_only_its_stream() {
    let site = serve(upload);
    let client = client(Version::HTTP_2);
    let url = |path: &str| format!("http://{}{path}", site.address);
    let bytes = pattern(4, 3 * MIB);
    let expected = format!(
        "Some({}) {} {}",
        bytes.len(),
        bytes.len(),
        Digest::of(&bytes)
    );
    let good = client.put(url("/")).body(bytes.clone()).send();
    let refused = client.patch(url("/416")).body(pieces(&bytes, 5000)).send();
    let (good, refused) = soon(async { tokio::join!(good, refused) }).await;
    assert_eq!(refused.unwrap().status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(good.unwrap().text().await.unwrap(), expected);
    let again = soon(client.put(url("/")).body(bytes).send()).await.unwrap();
    assert_eq!(again.text().await.unwrap(), expected);
}

/// A handler that throws a body away within bounds keeps the connection; beyond them it is closed.
#[tokio::test]
async fn a_drained_body_keeps_the_connection() {
    let site = serve(upload);
    let mut stream = site.connect().await;
    let mut request = patch("/drained", "Content-Length: 900000").into_bytes();
    request.extend(vec![b'\n'; 900_000]);
    stream.write_all(&request).await.unwrap();
    let (head, _) = answer(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 416 "), "{head}");
    goes_on(&mut stream).await;
    let request = patch("/drained", "Content-Length: 2000000");
    stream.write_all(request.as_bytes()).await.unwrap();
    let seen = rest(&mut stream).await;
    assert!(seen.starts_with("HTTP/1.1 413 "), "{seen}");
    assert!(seen.contains("connection: close"), "{seen}");
}

/// A body may be read on after the answer has gone: its connection is not at rest, its bytes are
/// no head, and the next request is served.
#[tokio::test]
async fn a_body_is_read_behind_its_answer() {
    let (told, mut read) = mpsc::unbounded_channel();
    let site = serve_with(
        move |request: Request| {
            let told = told.clone();
            async move {
                if request.method() != Method::PATCH || request.uri().path() == "/" {
                    return upload(request).await;
                }
                let reader = BodyReader::new(request.into_body(), LIMITS);
                tokio::spawn(async move { told.send(reader.drain(1 << 20).await).unwrap() });
                response::text(StatusCode::RANGE_NOT_SATISFIABLE, "early")
            }
        },
        None,
        short,
    );
    let mut stream = site.connect().await;
    let request = patch("/behind", "Content-Length: 40");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, b"early");
    site.logged("/behind").await;
    for _ in 0..9 {
        stream.write_all(b"\n\n\nX").await.unwrap();
        tokio::time::timeout(Duration::from_millis(40), read.recv())
            .await
            .expect_err("more of the body is awaited");
    }
    stream.write_all(b"\n\n\nX").await.unwrap();
    assert_eq!(soon(read.recv()).await, Some(Drained::Whole));
    goes_on(&mut stream).await;
}

/// Limits that end within the test what they should end.
fn short(options: &mut Options) {
    options.limits.head = Duration::from_millis(100);
    options.limits.stall = Duration::from_millis(100);
    options.limits.idle = Duration::from_millis(100);
}

/// RS-02: none of a connection's limits ends an upload that moves, however slowly: it is neither idle, nor
/// a slow head, nor stalled. The reader alone decides what is too slow.
#[tokio::test]
async fn a_slow_upload_outlives_the_limits_of_its_connection() {
    let got = Arc::new(Notify::new());
    let heard = got.clone();
    let site = serve_with(
        move |request: Request| {
            let got = got.clone();
            async move {
                let mut reader = BodyReader::new(request.into_body(), LIMITS);
                let mut length = 0;
                while let Some(Ok(piece)) = reader.next().await {
                    length += piece.len();
                    got.notify_one();
                }
                response::text(StatusCode::OK, length.to_string())
            }
        },
        None,
        short,
    );
    let mut idle = site.connect().await;
    let mut stream = site.connect().await;
    let request = patch("/", "Content-Length: 12");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"\n").await.unwrap();
    soon(heard.notified()).await;
    // The other connection ends of its limits; this one has seen as much time pass.
    for _ in 0..10 {
        assert_eq!(rest(&mut idle).await, "");
        idle = site.connect().await;
        stream.write_all(b"\n").await.unwrap();
        soon(heard.notified()).await;
    }
    stream.write_all(b"\n").await.unwrap();
    assert_eq!(answer(&mut stream).await.1, b"12");
}

/// RS-02: an upload that does not move is answered 408 and its connection closed.
#[tokio::test]
async fn a_standing_upload_is_given_up() {
    let site = serve(|request: Request| {
        let limits = StreamLimits {
            bytes: None,
            wait: Duration::from_millis(100),
        };
        read(request, limits)
    });
    let standing = patch("/", "Content-Length: 100") + "12345";
    let seen = site.say(standing).await;
    assert!(seen.starts_with("HTTP/1.1 408 "), "{seen}");
    assert!(seen.contains("connection: close"), "{seen}");
}

/// A handler that panics over a body leaves the connection as sound as any other refusal.
#[tokio::test]
async fn a_panic_over_a_body_is_one_answer() {
    let site: Site = serve(|request: Request| async move {
        let mut reader = BodyReader::new(request.into_body(), LIMITS);
        let first = reader.next().await.unwrap().unwrap();
        assert_ne!(first, "panic", "asked to");
        response::text(StatusCode::OK, first.escape_ascii().to_string())
    });
    let mut stream = site.connect().await;
    for (body, status) in [("panic", "500"), ("hello", "200")] {
        let request = patch("/", "Content-Length: 5") + body;
        stream.write_all(request.as_bytes()).await.unwrap();
        let (head, _) = answer(&mut stream).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}
