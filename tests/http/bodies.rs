//! Bodies on the wire: whole, in pieces, by sendfile or from memory, and broken off.

use std::sync::Arc;

use bytes::Bytes;
use entrepot::http::{Body, BodyError, Exchange, Multipart, Region, Request, Response, response};
use futures_util::stream;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::site::{Site, answer, head, header, pattern, piece, region, rest, serve, soon};

const MIB: usize = 1 << 20;

/// Two files whose memory says something else than they do.
struct Files {
    first: Region,
    second: Region,
}

fn files() -> (Arc<Files>, [Vec<u8>; 2]) {
    let sent = [pattern(1, 9 * MIB + 7), pattern(2, 9 * MIB + 7)];
    let [first, second] = [0, 1].map(|i| region(vec![i; sent[0].len()], &sent[usize::from(i)]));
    (Arc::new(Files { first, second }), sent)
}

/// `/first`, `/second`, `/first/<start>-<end>`, `/parts`, and anything else as text.
fn site(files: &Arc<Files>) -> Site {
    let files = files.clone();
    serve(move |request: Request| {
        let files = files.clone();
        async move { Response::new(body(&files, request.uri().path())) }
    })
}

fn body(files: &Files, path: &str) -> Body {
    match path.split('/').nth(1) {
        Some("first") => match path
            .split('/')
            .nth(2)
            .and_then(|range| range.split_once('-'))
        {
            Some((start, end)) => {
                piece(&files.first, start.parse().unwrap(), end.parse().unwrap()).into()
            }
            None => files.first.clone().into(),
        },
        Some("second") => files.second.clone().into(),
        Some("parts") => {
            let multipart = Multipart::new("text/plain", files.first.bytes.len() as u64)
                .part(5, 3_000_000, piece(&files.first, 5, 3_000_000).into())
                .part(
                    4_000_000,
                    4_000_001,
                    piece(&files.first, 4_000_000, 4_000_001).into(),
                );
            multipart.finish().1
        }
        _ => Body::Full(Bytes::from(path.to_owned())),
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_whole_and_from_the_file() {
    let (files, sent) = files();
    let site = site(&files);
    let mut stream = site.connect().await;
    stream.write_all(get("/first").as_bytes()).await.unwrap();
    let (head, body) = answer(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body == sent[0]);
    let line = site.logged("/first").await;
    assert!(
        line.contains(&format!(" 200 {} bytes", sent[0].len())),
        "{line}"
    );
}

/// One connection, many requests at once, files of two kinds, pieces and memory in turn: an address that
/// served one file never sends it for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_answers_do_not_mix() {
    let (files, sent) = files();
    let site = site(&files);
    let (mut reads, mut writes) = site.connect().await.into_split();
    let turns = [
        ("/first/0-70000".to_owned(), sent[0][..70_000].to_vec()),
        ("/hello".to_owned(), b"/hello".to_vec()),
        ("/second".to_owned(), sent[1].clone()),
        (
            "/first/4194000-4195000".to_owned(),
            sent[0][4_194_000..4_195_000].to_vec(),
        ),
        ("/first".to_owned(), sent[0].clone()),
    ];
    let asked: String = turns.iter().map(|(path, _)| get(path)).collect();
    let asking = tokio::spawn(async move {
        for _ in 0..3 {
            writes.write_all(asked.as_bytes()).await.unwrap();
        }
        writes
    });
    for _ in 0..3 {
        for (path, expected) in &turns {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(soon(reads.read_u8()).await.unwrap());
            }
            let mut body = vec![0; expected.len()];
            soon(reads.read_exact(&mut body)).await.unwrap();
            assert!(body == *expected, "{path}");
        }
    }
    soon(asking).await.unwrap();
}

/// Memory that was a mapping and is then reused for something else is sent as what it is now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_address_is_only_memory() {
    let site = serve(|request: Request| async move {
        let seed = request.uri().path()[1..].parse().unwrap();
        let file = pattern(seed, 300_000);
        // The allocator gives the same address again as soon as the last answer is gone.
        let memory = vec![7; file.len()];
        Response::new(match seed % 2 {
            0 => region(memory, &file).into(),
            _ => Body::Full(memory.into()),
        })
    });
    let mut stream = site.connect().await;
    for seed in 0..40 {
        stream
            .write_all(get(&format!("/{seed}")).as_bytes())
            .await
            .unwrap();
        let (_, body) = answer(&mut stream).await;
        let expected = match seed % 2 {
            0 => pattern(seed, 300_000),
            _ => vec![7; 300_000],
        };
        assert!(body == expected, "{seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_get_their_own_bytes() {
    let (files, sent) = files();
    let site = site(&files);
    let pulls = (0..16_usize).map(|index| {
        let (start, end) = (index * 400_000, index * 400_000 + 3_000_000);
        let request = get(&format!("/first/{start}-{end}"));
        let expected = sent[0][start..end].to_vec();
        let connection = tokio::net::TcpStream::connect(site.address);
        tokio::spawn(async move {
            let mut stream = connection.await.unwrap();
            for _ in 0..3 {
                stream.write_all(request.as_bytes()).await.unwrap();
                assert!(answer(&mut stream).await.1 == expected);
            }
        })
    });
    for pull in pulls.collect::<Vec<_>>() {
        soon(pull).await.unwrap();
    }
}

/// PR-13: several ranges in one answer, of the exact length it declares.
#[tokio::test]
async fn several_ranges_come_in_order_from_the_file() {
    let (files, sent) = files();
    let site = site(&files);
    let mut stream = site.connect().await;
    stream.write_all(get("/parts").as_bytes()).await.unwrap();
    let (_, body) = answer(&mut stream).await;
    let boundary = body[2..34].to_vec();
    let total = sent[0].len();
    let part = |range: &str| {
        let boundary = String::from_utf8(boundary.clone()).unwrap();
        format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/{total}\r\n\r\n"
        )
    };
    let expected = [
        part("5-2999999").as_bytes(),
        &sent[0][5..3_000_000],
        b"\r\n",
        part("4000000-4000000").as_bytes(),
        &sent[0][4_000_000..=4_000_000],
        b"\r\n--",
        &boundary,
        b"--\r\n",
    ]
    .concat();
    assert!(body == expected);
}

/// PR-14: HEAD has the head of GET.
#[tokio::test]
async fn head_carries_the_length_and_no_body() {
    let (files, _) = files();
    let site = site(&files);
    let mut stream = site.connect().await;
    let both = format!("HEAD /first HTTP/1.1\r\nHost: a\r\n\r\n{}", get("/after"));
    stream.write_all(both.as_bytes()).await.unwrap();
    let first = head(&mut stream).await;
    assert_eq!(header(&first, "content-length"), Some("9437191"));
    assert_eq!(answer(&mut stream).await.1, b"/after");
}

#[tokio::test]
async fn a_bare_status_has_no_body() {
    let site = serve(|_: Request| async {
        let mut response = response::text(StatusCode::NOT_MODIFIED, "none of this");
        response
            .headers_mut()
            .insert("etag", "\"x\"".parse().unwrap());
        response
    });
    let mut stream = site.connect().await;
    stream
        .write_all(get("/").repeat(2).as_bytes())
        .await
        .unwrap();
    for _ in 0..2 {
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 304 "), "{head}");
        assert_eq!(header(&head, "content-length"), None);
        assert_eq!(header(&head, "etag"), Some("\"x\""));
    }
}

fn breaking(size: Option<u64>) -> Body {
    let bytes = [
        Ok(Bytes::from("some")),
        Err(BodyError::source("upstream broke off")),
    ];
    let stream = Box::pin(stream::iter(bytes));
    Body::Stream { size, stream }
}

/// CR: a body that fails is seen as failed, whatever tells its length (oci-registry 4.5).
#[tokio::test]
async fn a_broken_body_never_looks_whole() {
    let site = serve(|request: Request| async move {
        Response::new(match request.uri().path() {
            "/sized" => breaking(Some(10)),
            "/short" => Body::stream(10, stream::iter([Ok(Bytes::from("some"))])),
            _ => breaking(None),
        })
    });
    let client = reqwest::Client::new();
    for path in ["sized", "short", "chunked"] {
        let url = format!("http://{}/{path}", site.address);
        let answer = soon(client.get(url).send()).await;
        let body = match answer {
            Ok(answer) => soon(answer.bytes()).await,
            Err(error) => Err(error),
        };
        assert!(body.is_err(), "{path}: {body:?}");
        let line = site.logged(path).await;
        assert!(line.contains("broken off"), "{line}");
    }
    // HTTP/1.0 knows the end of such a body only by the close, so the close must be an error.
    let mut stream = site.connect().await;
    stream
        .write_all(b"GET /chunked HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let end = soon(stream.read_to_end(&mut Vec::new())).await;
    assert!(end.is_err(), "{end:?}");
}

#[tokio::test]
async fn a_body_of_unknown_length_arrives_whole() {
    let site = serve(|_: Request| async {
        let pieces = ["a", "", "bc"].map(|piece| Ok(Bytes::from(piece)));
        Response::new(Body::endless(stream::iter(pieces)))
    });
    let answer = reqwest::get(format!("http://{}/", site.address))
        .await
        .unwrap();
    assert_eq!(answer.bytes().await.unwrap(), "abc");
    let old = site.say("GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.ends_with("\r\n\r\nabc"), "{old}");
}

/// The handler is told where a region is welcome: on plain HTTP/1.1 only.
#[tokio::test]
async fn regions_are_welcome_where_sendfile_works() {
    let site = serve(|request: Request| async move {
        let exchange = request.extensions().get::<Exchange>().unwrap();
        response::text(StatusCode::OK, exchange.sendfile.to_string())
    });
    let url = format!("http://{}/", site.address);
    assert_eq!(
        reqwest::get(&url).await.unwrap().text().await.unwrap(),
        "true"
    );
    let http2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    assert_eq!(
        http2.get(&url).send().await.unwrap().text().await.unwrap(),
        "false"
    );
}

/// A client that leaves in the middle ends its request, and is logged as one that left.
#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let (files, _) = files();
    let site = site(&files);
    let mut stream = site.connect().await;
    stream.write_all(get("/second").as_bytes()).await.unwrap();
    head(&mut stream).await;
    drop(stream);
    let line = site.logged("/second").await;
    assert!(line.contains("client left"), "{line}");
    let again = site
        .say("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(again.ends_with("/x"));
    let mut quiet = site.connect().await;
    quiet.shutdown().await.unwrap();
    assert_eq!(rest(&mut quiet).await, "");
}
