//! A server of ours on a free port, and clients that say exactly what a test wants said.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use entrepot::http::{
    Closer, Ended, Finished, Handler, Listener, Metrics, Options, Region, Server, Tls, shutdown,
};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No wait of a test is longer; only a failing one is as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a wait came to; a test whose event does not come fails.
pub(super) async fn soon<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("it happens in time")
}

/// A running server.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) closer: Closer,
    registry: Registry,
    log: Arc<Log>,
    running: JoinHandle<Ended>,
}

/// The requests that are over, as lines.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Notify,
}

/// Serves `handler` as a server would by default.
pub(super) fn serve<H: Handler>(handler: H) -> Site {
    serve_with(handler, None, |_| {})
}

/// Serves `handler`, over TLS if given, with changed options.
pub(super) fn serve_with<H: Handler>(
    handler: H,
    tls: Option<Tls>,
    change: impl FnOnce(&mut Options),
) -> Site {
    let registry = Registry::new();
    let log = Arc::new(Log::default());
    let kept = log.clone();
    let mut options = Options::new(Metrics::new(&registry).unwrap());
    options.on_finished = Some(Arc::new(move |finished: &Finished<'_>| {
        kept.lines.lock().unwrap().push(finished.to_string());
        kept.grown.notify_waiters();
    }));
    change(&mut options);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    let listener = match tls {
        Some(tls) => listener.with_tls(tls),
        None => listener,
    };
    let (closer, until) = shutdown();
    let server = Server::new(options).serve(vec![listener], Arc::new(handler), until);
    Site {
        address,
        closer,
        registry,
        log,
        running: tokio::spawn(server),
    }
}

impl Site {
    /// A connection to it.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` on a connection of their own; returns what comes until the server closes.
    pub(super) async fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        rest(&mut stream).await
    }

    /// Waits until a request whose log line holds `text` is over; returns the line.
    pub(super) async fn logged(&self, text: &str) -> String {
        soon(async {
            loop {
                let grown = self.log.grown.notified();
                let lines = self.log.lines.lock().unwrap().clone();
                if let Some(line) = lines.into_iter().find(|line| line.contains(text)) {
                    return line;
                }
                grown.await;
            }
        })
        .await
    }

    /// The value of a metric without labels, or of the first with labels.
    pub(super) fn metric(&self, name: &str) -> u64 {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until the server has ended.
    pub(super) async fn ended(self) -> Ended {
        soon(self.running).await.unwrap()
    }
}

/// All that still comes, lossily as text; an error of the connection ends it as a close does.
pub(super) async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset after the answer is no failure of the answer.
    let _ = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads one head from a connection.
pub(super) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Reads one answer with a `Content-Length` from a connection: its head and its body.
pub(super) async fn answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let head = head(stream).await;
    let length = header(&head, "content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    soon(stream.read_exact(&mut body)).await.unwrap();
    (head, body)
}

/// The value of a header in a head.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Bytes of some pattern: the same seed, the same bytes.
pub(super) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A "mapping" whose memory differs from its file, so that a test sees which of the two was sent.
pub(super) fn region(memory: Vec<u8>, file: &[u8]) -> Region {
    assert_eq!(memory.len(), file.len());
    let mut temporary: File = tempfile::tempfile().unwrap();
    temporary.write_all(file).unwrap();
    Region {
        bytes: Bytes::from(memory),
        file: Arc::new(OwnedFd::from(temporary)),
        offset: 0,
        residency: None,
    }
}

/// The piece of a region from `start` to before `end`.
pub(super) fn piece(region: &Region, start: usize, end: usize) -> Region {
    Region {
        bytes: region.bytes.slice(start..end),
        offset: region.offset + start as u64,
        ..region.clone()
    }
}
