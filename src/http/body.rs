//! Bodies of answers: nothing, memory, a piece of a file, a stream, or several of these in a row.
//!
//! A handler says what the body is; how it travels is decided here, by connection: pieces of files
//! go by sendfile over plain HTTP/1.1 and from the mapping elsewhere. The size is known wherever it
//! can be, so answers carry `Content-Length`. A body that fails or ends early breaks its connection or
//! stream: a short body is never ended as if it were whole (oci-registry 4.5).

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::future::BoxFuture;

use super::pieces::Pieces;

/// Bytes as they come, or why they stopped coming.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The body of an answer.
#[derive(Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// Bytes in memory.
    Full(Bytes),
    /// A piece of a mapped file.
    File(Region),
    /// Bytes that come over time.
    Stream {
        /// How many there will be, if that is known. More or fewer are an error.
        size: Option<u64>,
        /// Where they come from.
        stream: ByteStream,
    },
    /// Bodies one behind the other.
    Parts(VecDeque<Self>),
}

/// A piece of an immutable, mapped file, which can be sent without being touched.
#[derive(Clone)]
pub struct Region {
    /// The mapped bytes; they hold the mapping.
    pub bytes: Bytes,
    /// The file they are mapped from.
    pub file: Arc<OwnedFd>,
    /// Where in the file the first of `bytes` is.
    pub offset: u64,
    /// How to keep a worker from waiting for the disk; `None` where that does not matter.
    pub residency: Option<Arc<dyn Residency>>,
}

/// Knows whether pieces of one file are in memory, and brings them there.
pub trait Residency: Send + Sync {
    /// Whether reading this piece would not wait for the disk. Must not wait itself.
    fn is_resident(&self, offset: u64, len: u64) -> bool;

    /// Brings the piece into memory, away from the async workers. Done when it is there, or when that
    /// failed: then sending it will tell.
    fn make_resident(&self, offset: u64, len: u64) -> BoxFuture<'static, ()>;
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The stream ended early.
    #[error("the body ended {missing} bytes short")]
    Short {
        /// What is missing.
        missing: u64,
    },
    /// The stream had more than it said.
    #[error("the body has {surplus} bytes too many")]
    Long {
        /// How much too many.
        surplus: u64,
    },
    /// Where the bytes come from failed.
    #[error("{0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl BodyError {
    /// A failure of the place the bytes come from.
    pub fn source(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Source(error.into())
    }
}

impl Body {
    /// A stream of exactly `size` bytes.
    pub fn stream<S>(size: u64, stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    {
        Self::Stream {
            size: Some(size),
            stream: Box::pin(stream),
        }
    }

    /// A stream whose end is known only when it comes.
    pub fn endless<S>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    {
        Self::Stream {
            size: None,
            stream: Box::pin(stream),
        }
    }

    /// How many bytes are left, if that is known.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::File(region) => Some(region.bytes.len() as u64),
            Self::Stream { size, .. } => *size,
            Self::Parts(parts) => parts
                .iter()
                .try_fold(0_u64, |sum, part| sum.checked_add(part.size()?)),
        }
    }

    /// Reads the whole body into memory: for tests and small answers.
    ///
    /// # Errors
    /// Whatever breaks the body would break it on the wire.
    pub async fn collect(self) -> Result<Bytes, BodyError> {
        let mut pieces = Pieces::new(self, usize::MAX);
        let mut all = BytesMut::new();
        while let Some(piece) = poll_fn(|cx| pieces.poll_next(cx)).await {
            all.extend_from_slice(&piece?.bytes);
        }
        Ok(all.freeze())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Region> for Body {
    fn from(region: Region) -> Self {
        Self::File(region)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::File(_) => "File",
            Self::Stream { .. } => "Stream",
            Self::Parts(_) => "Parts",
        };
        write!(f, "{kind}({:?} bytes)", self.size())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} bytes at {})", self.bytes.len(), self.offset)
    }
}
