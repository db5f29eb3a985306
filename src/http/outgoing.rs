//! The body as hyper sees it: chunks that know their file, their request, and when they are gone.
//!
//! hyper drops a body when it has taken its last chunk, not when that is written. So what must last
//! until then - the registration of a mapping, the request's end in the log - hangs on the chunk.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};

use super::access_log::Transfer;
use super::body::Body;
use super::mappings::{Lease, Mappings};
use super::pieces::{Piece, Pieces};

/// Piece of a file that is probed, and sent by sendfile, at a time.
const SENDFILE_PIECE: usize = 4 << 20;

/// Piece of a mapping that is copied into TLS records or HTTP/2 frames at a time.
const COPIED_PIECE: usize = 256 << 10;

/// A body on its way through hyper.
pub(super) struct Outgoing {
    pieces: Pieces,
    mappings: Option<Mappings>,
    transfer: Arc<Transfer>,
}

/// Bytes that hyper writes.
pub(super) struct Chunk {
    /// Held while the bytes can be written, for a piece of a file.
    _lease: Option<Lease>,
    bytes: Bytes,
    transfer: Arc<Transfer>,
}

impl Outgoing {
    /// Sends `body`; with `mappings`, pieces of files go by sendfile.
    pub(super) fn new(body: Body, mappings: Option<Mappings>, transfer: Transfer) -> Self {
        let longest = match mappings {
            Some(_) => SENDFILE_PIECE,
            None => COPIED_PIECE,
        };
        let pieces = Pieces::new(body, longest);
        if pieces.is_done() {
            transfer.ended();
        }
        Self {
            pieces,
            mappings,
            transfer: Arc::new(transfer),
        }
    }

    fn chunk(&self, piece: Piece) -> Chunk {
        let Piece { bytes, file } = piece;
        let lease = self.mappings.as_ref().zip(file);
        let lease = lease.map(|(mappings, (file, at))| mappings.register(bytes.clone(), file, at));
        self.transfer.given(bytes.len());
        self.transfer.pulse().chunk_offered();
        Chunk {
            _lease: lease,
            bytes,
            transfer: self.transfer.clone(),
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Chunk;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, Broken>>> {
        let this = self.get_mut();
        let frame = match ready!(this.pieces.poll_next(cx)) {
            Some(Ok(piece)) => Some(Ok(Frame::data(this.chunk(piece)))),
            Some(Err(error)) => {
                this.transfer.broke(error);
                return Poll::Ready(Some(Err(Broken)));
            }
            None => None,
        };
        if this.pieces.is_done() {
            this.transfer.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.pieces
            .left()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.transfer.taken(count);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.transfer.pulse().chunk_gone();
    }
}

/// Tells hyper that a body broke; why is in the access log.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body of the answer broke off")]
pub(super) struct Broken;
