//! PR-11: requests on whose extent two servers could disagree are refused, and the connection with them.

use std::time::Duration;

use entrepot::http::{ReadLimits, Request, Response, read_all, response};
use http::StatusCode;
use tokio::io::AsyncWriteExt;

use super::site::{Site, answer, head, rest, serve};

const LIMITS: ReadLimits = ReadLimits {
    bytes: 1 << 20,
    wait: Duration::from_secs(30),
};

/// Answers with what it read.
fn echo() -> Site {
    serve(|request: Request| async move {
        let path = request.uri().path().to_owned();
        match read_all(request.into_body(), LIMITS).await {
            Ok(body) => text(StatusCode::OK, format!("{path} {}", body.escape_ascii())),
            Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
        }
    })
}

fn text(status: StatusCode, body: String) -> Response {
    response::text(status, body)
}

/// Each is followed by a request that a desynchronised server would answer.
const HOSTILE: [&str; 44] = [
    // Two lengths.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:0\r\nTRANSFER-ENCODING:chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nContent-Length: 0\r\n\r\nabcdef",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nabcde",
    // Lengths that are none.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\nabcde",
    // Codings that are none, or not only chunked.
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Names and lines that are none.
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nabcde",
    "POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\nabcde",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: folded\r\n onto this\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    // Request lines and hosts that are none.
    "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "\0\r\n\r\n",
    "G\x16T / HTTP/1.1\r\nHost: a\r\n\r\n",
];

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Refused heads are answered 400, and what follows them is not answered at all.
#[tokio::test]
async fn ambiguous_heads_are_refused_and_the_connection_closed() {
    let site = echo();
    for hostile in HOSTILE {
        let seen = site.say(format!("{hostile}{SMUGGLED}")).await;
        // A length beyond all measure is "too large" to hyper: 431.
        let statuses = ["HTTP/1.1 400 ", "HTTP/1.0 400 ", "HTTP/1.1 431 "];
        let refused = statuses.iter().any(|status| seen.starts_with(status));
        assert!(
            refused && seen.matches("HTTP/1.").count() == 1,
            "{hostile:?} got {seen:?}"
        );
    }
}

/// The same, in as many packets as there are bytes.
#[tokio::test]
async fn ambiguous_heads_are_refused_byte_by_byte() {
    let site = echo();
    for hostile in &HOSTILE[..3] {
        let mut stream = site.connect().await;
        stream.set_nodelay(true).unwrap();
        for byte in hostile.as_bytes() {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let seen = rest(&mut stream).await;
        assert!(
            seen.starts_with("HTTP/1.1 400 "),
            "{hostile:?} got {seen:?}"
        );
    }
}

/// Bodies whose chunks are broken reach no handler as whole ones, and end the connection.
#[tokio::test]
async fn broken_chunks_are_refused_and_the_connection_closed() {
    let site = echo();
    for chunks in [
        "5\r\nabcdeX0\r\n\r\n",
        "5\nabcde\r\n0\r\n\r\n",
        "5;\nabcde\r\n0\r\n\r\n",
        "5 5\r\nabcde\r\n0\r\n\r\n",
        "-1\r\nabcde\r\n0\r\n\r\n",
        "+5\r\nabcde\r\n0\r\n\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
        "\r\nabcde\r\n0\r\n\r\n",
        "5\r\nabcde\n0\r\n\r\n",
        "g\r\nabcde\r\n0\r\n\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let seen = site.say(format!("{head}{chunks}{SMUGGLED}")).await;
        assert!(seen.starts_with("HTTP/1.1 400 "), "{chunks:?} got {seen:?}");
        assert!(!seen.contains("smuggled"), "{chunks:?} got {seen:?}");
    }
}

/// A body cut short by the client is an error to the handler.
#[tokio::test]
async fn a_body_cut_short_is_no_body() {
    let site = echo();
    let mut stream = site.connect().await;
    let cut = b"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    stream.write_all(cut).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(!rest(&mut stream).await.contains("200 OK"));
}

/// What is sound is understood, one request after the other on one connection.
#[tokio::test]
async fn sound_requests_are_told_apart() {
    let site = echo();
    let mut stream = site.connect().await;
    let requests = [
        ("\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "/1 "),
        (
            "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nb",
            "/2 a\\nb",
        ),
        (
            "POST /3 HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nT: x\r\n\r\n",
            "/3 a\\nb",
        ),
        (
            "POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            "/4 ok",
        ),
        ("GET http://b/5 HTTP/1.1\r\nHost: b\r\n\r\n", "/5 "),
        ("GET /6 HTTP/1.1\r\nHOST: [::1]:80\r\n\r\n", "/6 "),
    ];
    // Each alone, then all at once.
    for (request, expected) in requests {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(
            answer(&mut stream).await.1,
            expected.as_bytes(),
            "{request:?}"
        );
    }
    let all: String = requests.iter().map(|(request, _)| *request).collect();
    stream.write_all(all.as_bytes()).await.unwrap();
    for (request, expected) in requests {
        assert_eq!(
            answer(&mut stream).await.1,
            expected.as_bytes(),
            "{request:?}"
        );
    }
}

/// DO-01: heads have a size, and say so when it is passed; a long list of ranges fits.
#[tokio::test]
async fn heads_are_bounded() {
    let site = echo();
    let ranges = (0..2500)
        .map(|n| format!("{}-{}", n * 10_000, n * 10_000 + 5))
        .collect::<Vec<_>>();
    let ranges = ranges.join(",");
    assert!(ranges.len() > 30_000);
    let with = |extra: &str, path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{extra}\r\n")
    };
    let many = (0..120)
        .map(|n| format!("X-{n}: y\r\n"))
        .collect::<String>();
    for (request, status) in [
        (with(&format!("Range: bytes={ranges}\r\n"), "/"), "200"),
        (with(&format!("X: {}\r\n", "y".repeat(70_000)), "/"), "431"),
        (with(&many, "/"), "431"),
        (with("", &format!("/{}", "z".repeat(8_000))), "200"),
        (with("", &format!("/{}", "z".repeat(8_200))), "414"),
    ] {
        let seen = site.say(&request).await;
        assert!(
            seen.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {seen:.80}"
        );
    }
}

#[tokio::test]
async fn expectations_are_met_before_the_body() {
    let site = echo();
    let mut stream = site.connect().await;
    let expecting =
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(expecting).await.unwrap();
    assert_eq!(head(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").await.unwrap();
    assert_eq!(answer(&mut stream).await.1, b"/ ok");
}
