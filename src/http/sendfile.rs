//! The plain TCP side of a connection, which sends mapped files without touching them.
//!
//! hyper writes slices of memory and knows no files. So a piece of a file goes to hyper as the memory
//! it is mapped to, and is registered as (memory, file, offset) while hyper holds it. When hyper
//! writes, a slice that lies in a registered mapping is sent by sendfile(2) from its file; the mapping's
//! pages are never read on this path. Everything else goes by sendmsg(2).
//!
//! See [`Mappings`] for why an address cannot mean another file.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::mappings::Mappings;

/// The most one sendfile call sends. Larger calls gain nothing and hold the worker longer.
const SENDFILE_BYTES: usize = 2 << 20;

/// After so much in a row the connection lets others run: hyper itself would go on as long as a fast
/// reader keeps up.
const BURST_BYTES: usize = 8 << 20;

/// A TCP stream with what was read of it to find out what it is, and the files mapped for it.
pub(super) struct Wire {
    stream: TcpStream,
    early: Bytes,
    mappings: Mappings,
    /// Bytes written since the last pause.
    burst: usize,
}

impl Wire {
    /// Wraps `stream`; reads begin with `early`.
    pub(super) fn new(stream: TcpStream, early: Bytes, mappings: Mappings) -> Self {
        Self {
            stream,
            early,
            mappings,
            burst: 0,
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes once, as much of `slices` as the socket takes.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut plain = 0;
        for slice in slices {
            let Some((file, offset)) = self.locate(slice) else {
                plain += 1;
                continue;
            };
            if plain > 0 {
                // The head of an answer; its file follows at once, in the same packet if it fits.
                return self.send(&slices[..plain], SendFlags::MORE);
            }
            return match self.sendfile(&file, offset, slice.len()) {
                // A file system without it: the mapping is real memory.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    self.send(&slices[..1], SendFlags::empty())
                }
                result => result.map_err(io::Error::from).and_then(|sent| match sent {
                    0 => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file is shorter than what was mapped of it",
                    )),
                    sent => Ok(sent),
                }),
            };
        }
        self.send(slices, SendFlags::empty())
    }

    fn locate(&self, slice: &[u8]) -> Option<(Arc<OwnedFd>, u64)> {
        (!slice.is_empty())
            .then(|| self.mappings.locate(slice))
            .flatten()
    }

    fn sendfile(&self, file: &OwnedFd, offset: u64, length: usize) -> Result<usize, Errno> {
        let mut offset = offset;
        rustix::io::retry_on_intr(|| {
            let length = length.min(SENDFILE_BYTES);
            rustix::fs::sendfile(&self.stream, file, Some(&mut offset), length)
        })
    }

    fn send(&self, slices: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
        let flags = flags | SendFlags::NOSIGNAL;
        let mut nothing = SendAncillaryBuffer::default();
        let sent = rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.stream, slices, &mut nothing, flags)
        });
        sent.map_err(io::Error::from)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let length = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..length]);
        this.early.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.burst >= BURST_BYTES {
            this.burst = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if this.stream.poll_write_ready(cx)?.is_pending() {
                this.burst = 0;
                return Poll::Pending;
            }
            let attempt = || this.write(slices);
            match this.stream.try_io(Interest::WRITABLE, attempt) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(sent) => {
                    this.burst += sent;
                    return Poll::Ready(Ok(sent));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Memory that says of itself where it is, and a file that holds other bytes: whichever of the two
    /// arrives tells which way was taken.
    fn differing(memory: &[u8], file: &[u8]) -> (Bytes, Arc<OwnedFd>) {
        let mut temporary = tempfile::tempfile().unwrap();
        temporary.write_all(file).unwrap();
        temporary.seek(SeekFrom::Start(0)).unwrap();
        (Bytes::copy_from_slice(memory), Arc::new(temporary.into()))
    }

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        (listener.accept().await.unwrap().0, client.unwrap())
    }

    async fn wire() -> (Wire, TcpStream, Mappings) {
        let (server, client) = connection().await;
        let mappings = Mappings::default();
        let wire = Wire::new(server, Bytes::new(), mappings.clone());
        (wire, client, mappings)
    }

    async fn write(wire: &mut Wire, slices: &[&[u8]]) -> io::Result<usize> {
        let slices: Vec<_> = slices.iter().map(|s| IoSlice::new(s)).collect();
        wire.write_vectored(&slices).await
    }

    #[tokio::test]
    async fn registered_memory_is_sent_from_its_file() {
        let (mut wire, mut client, mappings) = wire().await;
        let (memory, file) = differing(b"mmmmmmmm", b"..fffgghh");
        let lease = mappings.register(memory.slice(0..6), file, 2);
        let head = b"head".as_slice();
        assert_eq!(
            write(&mut wire, &[head, &memory[1..3], b"tail"])
                .await
                .unwrap(),
            4
        );
        assert_eq!(
            write(&mut wire, &[&memory[1..3], b"tail"]).await.unwrap(),
            2
        );
        assert_eq!(
            write(&mut wire, &[b"tail", &memory[6..8]]).await.unwrap(),
            6
        );
        assert_eq!(
            write(&mut wire, &[&memory[5..8]]).await.unwrap(),
            3,
            "not wholly inside"
        );
        drop(lease);
        assert_eq!(write(&mut wire, &[&memory[1..3]]).await.unwrap(), 2);
        let mut seen = [0; 17];
        client.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"headfftailmmmmmmm");
    }

    #[tokio::test]
    async fn a_file_cut_short_is_an_error_not_a_retry() {
        let (mut wire, _client, mappings) = wire().await;
        let (memory, file) = differing(b"mmmm", b"ff");
        let _lease = mappings.register(memory.clone(), file, 0);
        assert_eq!(write(&mut wire, &[&memory]).await.unwrap(), 2);
        let error = write(&mut wire, &[&memory[2..]]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A reader that keeps up does not hold the worker: after 8 MiB the writer pauses and wakes itself.
    #[tokio::test]
    async fn a_fast_reader_does_not_hold_a_worker() {
        let (mut wire, client, _) = wire().await;
        let block = vec![7_u8; 1 << 20];
        let wakes = Arc::new(Wakes::default());
        let waker = wakes.clone().into();
        let mut cx = Context::from_waker(&waker);
        let (mut total, mut sink) = (0, vec![0; 1 << 20]);
        loop {
            let slices = [IoSlice::new(&block)];
            match Pin::new(&mut wire).poll_write_vectored(&mut cx, &slices) {
                Poll::Ready(sent) => total += sent.unwrap(),
                Poll::Pending if wakes.0.load(Ordering::Relaxed) > 0 => break,
                // The socket was full, which would count as a pause.
                Poll::Pending => wire.burst = total,
            }
            while let Ok(read) = client.try_read(&mut sink) {
                assert!(read > 0);
            }
            tokio::task::yield_now().await;
        }
        assert!(
            (BURST_BYTES..BURST_BYTES + block.len()).contains(&total),
            "{total}"
        );
        let slices = [IoSlice::new(b"more")];
        wire.stream.writable().await.unwrap();
        let next = Pin::new(&mut wire).poll_write_vectored(&mut cx, &slices);
        assert!(matches!(next, Poll::Ready(Ok(4))), "{next:?}");
    }

    #[tokio::test]
    async fn what_was_read_early_is_read_first() {
        let (server, mut client) = connection().await;
        let mut wire = Wire::new(server, Bytes::from_static(b"early "), Mappings::default());
        client.write_all(b"and late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut seen = String::new();
        wire.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "early and late");
    }
}
