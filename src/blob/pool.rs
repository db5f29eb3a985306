//! Read buffers that are used again.
//!
//! A piece read from a file leaves as [`Bytes`] that own their buffer and give it back when the last
//! of them is gone. The pool keeps a bounded number; beyond it buffers are freed as usual.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::lock;

/// Size of a pooled buffer, and so of the largest piece a stream yields: 500 streams, one piece
/// each beside what TLS has of it encrypted, stay below 64 MiB.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// Pieces below this get an exact allocation; a pooled buffer would hold many times their size.
const SMALL_BYTES: usize = 16 * 1024;
/// How many unused buffers are kept: 4 MiB.
const KEPT: usize = 64;

/// Unused buffers; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Box<[u8]>>>>);

/// A buffer on loan.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
    home: Option<Pool>,
}

impl Pool {
    /// A buffer of `len` bytes, at most [`PIECE_BYTES`]; its content is whatever it was.
    pub(super) fn take(&self, len: usize) -> Buffer {
        if len < SMALL_BYTES {
            return Buffer {
                bytes: vec![0; len].into_boxed_slice(),
                len,
                home: None,
            };
        }
        let kept = lock(&self.0).pop();
        Buffer {
            bytes: kept.unwrap_or_else(|| vec![0; PIECE_BYTES].into_boxed_slice()),
            len: len.min(PIECE_BYTES),
            home: Some(self.clone()),
        }
    }
}

impl Buffer {
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// The first `len` bytes, given away.
    pub(super) fn freeze(mut self, len: usize) -> Bytes {
        self.len = len;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let mut kept = lock(&home.0);
        if kept.len() < KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_piece_is_gone() {
        let pool = Pool::default();
        let mut buffer = pool.take(PIECE_BYTES);
        buffer.as_mut()[..3].copy_from_slice(b"abc");
        let piece = buffer.freeze(3);
        let tail = piece.slice(1..);
        drop(piece);
        assert_eq!(lock(&pool.0).len(), 0);
        assert_eq!(&tail[..], b"bc");
        drop(tail);
        assert_eq!(lock(&pool.0).len(), 1);
    }

    #[test]
    fn small_pieces_hold_small_buffers() {
        assert_eq!(Pool::default().take(10).bytes.len(), 10);
    }
}
