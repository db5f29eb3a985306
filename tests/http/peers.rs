//! Peers that are slow, many, mistaken or unlucky harm nobody but themselves.

use std::sync::Arc;
use std::time::Duration;

use entrepot::http::{Exchange, Listener, Options, Request, Response, Tls, TlsPaths, response};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::site::{Site, answer, head, header, pattern, region, rest, serve, serve_with, soon};

/// A handshake's first record, as far as the client's random.
const CLIENT_HELLO: &[u8] =
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more than is ever read";

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

async fn hello(_: Request) -> Response {
    response::text(StatusCode::OK, "hello")
}

/// Limits so short that their end is worth waiting for.
fn short(options: &mut Options) {
    options.limits.head = Duration::from_millis(200);
    options.limits.stall = Duration::from_millis(200);
    options.limits.idle = Duration::from_millis(300);
}

/// oci-registry 7.3: TLS on a plain port is answered without waiting for the rest of the hello.
#[tokio::test]
async fn tls_on_a_plain_port_is_answered_at_once() {
    let site = serve(hello);
    for length in [1, 5, CLIENT_HELLO.len()] {
        let seen = site.say(&CLIENT_HELLO[..length]).await;
        assert!(seen.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{seen}");
        assert!(seen.contains("plain HTTP"), "{seen}");
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_answered_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let paths = TlsPaths {
        certificate: directory.path().join("tls.crt"),
        key: directory.path().join("tls.key"),
        clients: None,
    };
    std::fs::write(&paths.certificate, made.cert.pem()).unwrap();
    std::fs::write(&paths.key, made.signing_key.serialize_pem()).unwrap();
    let site = serve_with(hello, Some(Tls::load(&paths).unwrap()), |_| {});
    let seen = site.say(HELLO).await;
    assert!(
        seen.starts_with("HTTP/1.1 400 Bad Request\r\n") && seen.contains("HTTPS"),
        "{seen}"
    );
}

/// RS-02: a head that does not end is not waited for; others are served meanwhile.
#[tokio::test]
async fn a_slow_head_is_closed() {
    let site = serve_with(hello, None, |options| {
        options.limits.head = Duration::from_millis(200);
    });
    let mut silent = site.connect().await;
    let mut slow = site.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        .await
        .unwrap();
    let mut served = site.connect().await;
    served.write_all(HELLO.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut served).await.1, b"hello");
    served.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    for stream in [&mut silent, &mut slow, &mut served] {
        assert_eq!(rest(stream).await, "");
    }
    assert_eq!(site.metric("entrepot_http_slow_peers_total"), 3);
}

/// A connection without requests is kept for a while, and no longer.
#[tokio::test]
async fn an_idle_connection_is_closed() {
    let site = serve_with(hello, None, short);
    let mut stream = site.connect().await;
    for _ in 0..3 {
        stream.write_all(HELLO.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.1, b"hello");
    }
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(site.metric("entrepot_http_slow_peers_total"), 0);
}

/// RS-02: a client that asks for much and takes nothing is cut; the answer is seen as broken off.
#[tokio::test]
async fn a_reader_that_stalls_is_cut() {
    let file = pattern(3, 24 << 20);
    let region = region(file.clone(), &file);
    let handler = move |_: Request| {
        let region = region.clone();
        async move { Response::new(region.into()) }
    };
    let site = serve_with(handler, None, short);
    let mut stream = site.connect().await;
    stream.write_all(HELLO.as_bytes()).await.unwrap();
    let line = site.logged("/hello").await;
    assert!(line.contains("client left"), "{line}");
    let end = soon(stream.read_to_end(&mut Vec::new())).await;
    assert!(
        end.is_err(),
        "a cut connection must not look like an ended one"
    );
}

/// A handler that takes its time is no slow peer.
#[tokio::test]
async fn a_slow_handler_is_not_cut() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let handler = move |request: Request| {
        let gate = waiting.clone();
        async move {
            if request.uri().path() == "/slow" {
                gate.acquire().await.unwrap().forget();
            }
            response::text(StatusCode::OK, "done")
        }
    };
    let site = serve_with(handler, None, short);
    let mut slow = site.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    // By the time this one is closed for idling, the other has waited as long.
    let mut idle = site.connect().await;
    idle.write_all(HELLO.as_bytes()).await.unwrap();
    assert!(rest(&mut idle).await.ends_with("done"));
    gate.add_permits(1);
    assert_eq!(answer(&mut slow).await.1, b"done");
}

/// DO-08: a panic is one answer.
#[tokio::test]
async fn a_panic_is_one_answer_500() {
    let site = serve(|request: Request| async move {
        assert_ne!(request.uri().path(), "/panic", "as the test wants");
        response::text(StatusCode::OK, "hello")
    });
    let mut stream = site.connect().await;
    stream
        .write_all(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(answer(&mut stream).await.0.starts_with("HTTP/1.1 500 "));
    stream.write_all(HELLO.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, b"hello");
    assert_eq!(site.metric("entrepot_http_handler_panics_total"), 1);
}

/// RS-08: more connections than there are places are refused with an answer, and places come back.
#[tokio::test]
async fn connections_are_capped() {
    let site = serve_with(hello, None, |options| options.limits.connections = 2);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = site.connect().await;
        stream.write_all(HELLO.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.1, b"hello");
        held.push(stream);
    }
    let seen = site.say(HELLO).await;
    assert!(
        seen.starts_with("HTTP/1.1 503 ") && seen.contains("Retry-After: 1\r\n"),
        "{seen}"
    );
    assert_eq!(site.metric("entrepot_http_connections_refused_total"), 1);
    held.pop();
    soon(async {
        // The place is free when the server has noticed, not when the client has left.
        while !site
            .say(HELLO.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            .await
            .contains("200 OK")
        {}
    })
    .await;
}

fn exchange(listener: &str) -> Site {
    let trusted = listener.parse().unwrap();
    let handler = |request: Request| async move {
        let exchange = request.extensions().get::<Exchange>().unwrap();
        let client = exchange.client.ip();
        let host = exchange.host.as_ref().map_or("none", |host| host.as_str());
        let text = format!("{} {client} {} {host}", exchange.id, exchange.secure);
        response::text(StatusCode::OK, text)
    };
    serve_with(handler, None, |options| {
        options.trusted_proxies = vec![trusted]
    })
}

const FORWARDED: &str = "GET / HTTP/1.1\r\nHost: a:8080\r\nX-Request-Id: id-1\r\n\
    X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n\r\n";

#[tokio::test]
async fn only_trusted_proxies_speak_for_others() {
    for (trusted, expected) in [
        ("127.0.0.0/8", "id-1 203.0.113.9 true b"),
        ("10.0.0.0/8", "id-1 127.0.0.1 false a:8080"),
    ] {
        let site = exchange(trusted);
        let mut stream = site.connect().await;
        stream.write_all(FORWARDED.as_bytes()).await.unwrap();
        let (head, body) = answer(&mut stream).await;
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        assert_eq!(header(&head, "x-request-id"), Some("id-1"));
    }
}

/// RS-03: the loop outlives the failures of single connections.
#[tokio::test]
async fn connections_that_vanish_stop_nobody() {
    let site = serve(hello);
    for _ in 0..50 {
        let stream = site.connect().await;
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    let mut stream = site.connect().await;
    stream.write_all(HELLO.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_address_in_use_is_said_so() {
    let site = serve(hello);
    let error = Listener::bind(site.address).err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {}", site.address)),
        "{error}"
    );
}
