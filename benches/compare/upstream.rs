//! The upstream of every cache: a small registry in this process that counts what it is asked and is
//! as slow as it is told to be.
//!
//! It has a thread of its own, so that the load neither waits for it nor slows its pace. It speaks
//! HTTP/1.1, knows no Range and no credentials, and holds its content in memory.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

use crate::content::{Blob, Content, MEDIA_TYPE, TAG};
use crate::failure::{Doing as _, Outcome};

/// Most bytes that are sent at once when the pace is bounded.
const PIECE: usize = 64 * 1024;
/// The longest head of a request that is read.
const LONGEST_HEAD: usize = 16 * 1024;

/// How fast it answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Before the head of an answer.
    pub(crate) delay: Duration,
    /// Of one body, in bytes a second.
    pub(crate) bandwidth: Option<u64>,
}

/// What one path was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) heads: u64,
    pub(crate) gets: u64,
    /// Bytes of bodies that were sent.
    pub(crate) bytes: u64,
}

/// The handle; the server ends with the process.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    entities: HashMap<String, Entity>,
    pace: Pace,
    asked: HashMap<String, Asked>,
}

#[derive(Clone)]
struct Entity {
    media_type: &'static str,
    body: Blob,
}

impl Upstream {
    /// Starts it with `content` as its repository `image`.
    pub(crate) fn start(content: &Content) -> Outcome<Self> {
        let mut state = State::default();
        for blob in content.blobs() {
            state.add_blob("image", blob);
        }
        for reference in [TAG.to_owned(), content.manifest.digest.to_string()] {
            let entity = Entity {
                media_type: MEDIA_TYPE,
                body: content.manifest.clone(),
            };
            let path = format!("/v2/image/manifests/{reference}");
            state.entities.insert(path, entity);
        }
        let shared = Arc::new(Mutex::new(state));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.doing("bind the upstream")?;
        listener.set_nonblocking(true).doing("bind the upstream")?;
        let address = listener.local_addr().doing("bind the upstream")?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.doing("start the upstream")?;
        let server = Arc::clone(&shared);
        std::thread::spawn(move || runtime.block_on(accept(listener, server)));
        Ok(Self { address, shared })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a blob to the repository `name`.
    pub(crate) fn add_blob(&self, name: &str, blob: &Blob) {
        lock(&self.shared).add_blob(name, blob);
    }

    /// Adds a document at a path.
    pub(crate) fn add(&self, path: String, media_type: &'static str, body: &Blob) {
        let entity = Entity {
            media_type,
            body: body.clone(),
        };
        lock(&self.shared).entities.insert(path, entity);
    }

    /// The pace of the answers that begin from here on.
    pub(crate) fn set_pace(&self, pace: Pace) {
        lock(&self.shared).pace = pace;
    }

    /// What was asked for `path` since the start.
    pub(crate) fn asked(&self, path: &str) -> Asked {
        lock(&self.shared)
            .asked
            .get(path)
            .copied()
            .unwrap_or_default()
    }
}

impl State {
    fn add_blob(&mut self, name: &str, blob: &Blob) {
        let entity = Entity {
            media_type: "application/octet-stream",
            body: blob.clone(),
        };
        self.entities.insert(blob.path(name), entity);
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Mutex<State>>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // A client that hangs up ends its connection, as it may.
        tokio::spawn(async move { serve(stream, &shared).await });
    }
}

/// Answers one connection's requests; `None` when it is over.
async fn serve(mut stream: TcpStream, shared: &Mutex<State>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    loop {
        let (method, path) = request(&mut stream).await?;
        let (entity, pace) = {
            let mut state = lock(shared);
            let asked = state.asked.entry(path.clone()).or_default();
            match method.as_str() {
                "HEAD" => asked.heads += 1,
                _ => asked.gets += 1,
            }
            (state.entities.get(&path).cloned(), state.pace)
        };
        if path != "/v2/" {
            sleep(pace.delay).await;
        }
        let head = head(entity.as_ref(), &path);
        stream.write_all(head.as_bytes()).await.ok()?;
        if let Some(entity) = entity
            && method == "GET"
        {
            send(&mut stream, &entity.body.bytes, pace.bandwidth, |sent| {
                let mut state = lock(shared);
                state.asked.entry(path.clone()).or_default().bytes += sent;
            })
            .await?;
        }
    }
}

/// Reads a request without a body: its method and its path, without the query.
async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 || head.len() > LONGEST_HEAD {
            return None;
        }
        // A client that tries TLS first is told at once that there is none.
        if !head[0].is_ascii_uppercase() {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.split(' ');
    let method = words.next()?.to_owned();
    let path = words.next()?.split('?').next()?.to_owned();
    Some((method, path))
}

fn head(entity: Option<&Entity>, path: &str) -> String {
    match entity {
        Some(Entity { media_type, body }) => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
             Docker-Content-Digest: {}\r\n\r\n",
            body.len(),
            body.digest
        ),
        None if path == "/v2/" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
             Docker-Distribution-Api-Version: registry/2.0\r\n\r\n"
            .to_owned(),
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    }
}

/// Sends `body` at `bandwidth`, and tells how much is out.
async fn send(
    stream: &mut TcpStream,
    body: &Bytes,
    bandwidth: Option<u64>,
    sent: impl Fn(u64),
) -> Option<()> {
    let start = Instant::now();
    let mut out = 0;
    for piece in body.chunks(PIECE) {
        stream.write_all(piece).await.ok()?;
        out += piece.len() as u64;
        sent(piece.len() as u64);
        if let Some(bandwidth) = bandwidth {
            sleep_until(start + Duration::from_micros(out * 1_000_000 / bandwidth)).await;
        }
    }
    Some(())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
