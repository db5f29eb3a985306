//! One keep-alive connection that speaks just enough HTTP/1.1 to ask and to throw the answer away.
//!
//! It is cheap on purpose, since it shares the machine with what it measures: bodies are read into
//! one buffer for all connections, and nobody looks at them unless a caller wants to.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::head::Head;
use crate::failure::{Doing as _, Failure, Outcome};

/// Most bytes that one read takes.
const PIECE: usize = 256 * 1024;
/// Most bytes that are read while the head is looked for: a head and a common manifest at once.
const FIRST_PIECE: usize = 4096;
/// What a blob is, to a server.
pub(super) const BYTES: &str = "application/octet-stream";

thread_local! {
    /// Where bodies go. Every connection is driven by one thread, and none keeps what it reads.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Where to ask.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// How TLS is spoken; plaintext without.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Target {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

/// A connection. After an error it is of no more use.
pub(crate) struct Connection {
    target: Target,
    stream: Box<dyn Stream>,
    /// Read after the head, not yet handed out.
    ahead: Vec<u8>,
    /// Bytes of the body that are still to come, `ahead` included.
    remaining: u64,
    /// The server wants a new connection for the next request.
    is_last: bool,
}

/// A request with a body, or with another method than GET.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// What the body is.
    pub(crate) media_type: &'a str,
    pub(crate) body: &'a [u8],
}

impl Request<'_> {
    /// Head and body at once: one segment for most of what is pushed.
    fn message(&self, host: SocketAddr) -> Vec<u8> {
        let Self {
            method,
            path,
            media_type,
            body,
        } = self;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: entrepot-bench\r\n\
             Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }
}

/// An answer that has been read to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) length: u64,
    /// When the first byte of the body was here.
    pub(crate) first_byte: Instant,
}

impl Connection {
    /// Connects, and shakes hands where TLS is spoken.
    pub(crate) async fn open(target: &Target) -> Outcome<Self> {
        Ok(Self {
            target: target.clone(),
            stream: connect(target).await?,
            ahead: Vec::new(),
            remaining: 0,
            is_last: false,
        })
    }

    /// Asks for `path` and reads the whole answer; `see` is shown every piece of the body.
    pub(crate) async fn get(&mut self, path: &str, mut see: impl FnMut(&[u8])) -> Outcome<Answer> {
        let head = self.begin(path).await?;
        let mut first_byte = None;
        while self.piece(PIECE, &mut see).await? > 0 {
            first_byte.get_or_insert_with(Instant::now);
        }
        Ok(Answer {
            status: head.status,
            length: head.length,
            first_byte: first_byte.unwrap_or_else(Instant::now),
        })
    }

    /// Asks for `path` and reads the head of the answer.
    pub(crate) async fn begin(&mut self, path: &str) -> Outcome<Head> {
        self.renew().await?;
        let request = request(path, self.target.address);
        self.write(request.as_bytes()).await?;
        self.head(false).await
    }

    /// Makes a request with a body that is at hand, reads the answer, and drops what it says.
    pub(crate) async fn send(&mut self, request: &Request<'_>) -> Outcome<Head> {
        self.renew().await?;
        let message = request.message(self.target.address);
        self.write(&message).await?;
        self.finish(request.method == "HEAD").await
    }

    /// Makes a request whose body is `piece`, `times` times over; `piece` is framed as chunks of
    /// HTTP/1.1 already, so that nothing is copied here.
    pub(crate) async fn send_chunked(
        &mut self,
        method: &str,
        path: &str,
        piece: &[u8],
        times: usize,
    ) -> Outcome<Head> {
        self.renew().await?;
        let host = self.target.address;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: entrepot-bench\r\n\
             Content-Type: {BYTES}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        self.write(head.as_bytes()).await?;
        for _ in 0..times {
            self.write(piece).await?;
        }
        self.write(b"0\r\n\r\n").await?;
        self.finish(false).await
    }

    /// Connects again if the server wanted that.
    async fn renew(&mut self) -> Outcome<()> {
        if self.is_last {
            *self = Self::open(&self.target.clone()).await?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        let sent = self.stream.write_all(bytes).await;
        sent.doing("send a request")?;
        // TLS holds bytes back until it is told.
        self.stream.flush().await.doing("send a request")
    }

    /// Reads an answer to its end.
    async fn finish(&mut self, is_bare: bool) -> Outcome<Head> {
        let head = self.head(is_bare).await?;
        while self.piece(PIECE, |_| ()).await? > 0 {}
        Ok(head)
    }

    /// Reads the head of an answer, behind which there is nothing if `is_bare`.
    async fn head(&mut self, is_bare: bool) -> Outcome<Head> {
        loop {
            let mut seen = std::mem::take(&mut self.ahead);
            let read = self
                .read(FIRST_PIECE, |bytes| seen.extend_from_slice(bytes))
                .await?;
            if let Some(head) = Head::parse(&seen, is_bare)? {
                seen.drain(..head.size);
                self.remaining = head.length;
                self.is_last = head.is_last;
                self.ahead = seen;
                return Ok(head);
            }
            self.ahead = seen;
            if read == 0 {
                return Err(Failure::new("the server hung up instead of answering"));
            }
        }
    }

    /// Reads at most `limit` bytes of the body, as they come; 0 at its end.
    pub(crate) async fn piece(
        &mut self,
        limit: usize,
        mut see: impl FnMut(&[u8]),
    ) -> Outcome<usize> {
        if self.remaining == 0 {
            return Ok(0);
        }
        let read = if self.ahead.is_empty() {
            let rest = usize::try_from(self.remaining).unwrap_or(usize::MAX);
            self.read(limit.min(rest), see).await?
        } else {
            see(&self.ahead);
            let read = self.ahead.len();
            self.ahead.clear();
            read
        };
        if read == 0 {
            let missing = self.remaining;
            return Err(Failure::new(format!("a body ended {missing} bytes early")));
        }
        let rest = self.remaining.checked_sub(read as u64);
        self.remaining = rest.ok_or_else(|| Failure::new("more came than was announced"))?;
        Ok(read)
    }

    /// One read of at most `limit` bytes, shown to `see`; 0 at the end of the connection.
    async fn read(&mut self, limit: usize, mut see: impl FnMut(&[u8])) -> Outcome<usize> {
        let read = poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let limit = limit.min(scratch.len());
                let mut into = ReadBuf::new(&mut scratch[..limit]);
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut into))?;
                see(into.filled());
                std::task::Poll::Ready(std::io::Result::Ok(into.filled().len()))
            })
        });
        read.await.doing("read an answer")
    }
}

async fn connect(target: &Target) -> Outcome<Box<dyn Stream>> {
    let stream = TcpStream::connect(target.address).await.doing("connect")?;
    stream.set_nodelay(true).doing("connect")?;
    let Some(config) = &target.tls else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::from(target.address.ip());
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name, stream).await.doing("shake hands")?;
    Ok(Box::new(stream))
}

/// What clients of a registry send: without these Accept values some answer in other forms.
fn request(path: &str, host: SocketAddr) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: entrepot-bench\r\n\
         Accept: application/vnd.oci.image.index.v1+json, \
         application/vnd.oci.image.manifest.v1+json, \
         application/vnd.docker.distribution.manifest.list.v2+json, \
         application/vnd.docker.distribution.manifest.v2+json, */*\r\n\r\n"
    )
}
