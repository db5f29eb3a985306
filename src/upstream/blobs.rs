//! Blobs: one GET, from an offset if part of it is held. HEAD only where another answer than 200 does no harm:
//! public.ecr.aws answers it with 401.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::CONTENT_RANGE;
use ::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::document::{self, content_length, next_chunk};
use super::exchange::{Answer, Ask};
use super::limit::{Bandwidth, Place};
use super::metrics::{Operation, OrganizationMetrics};
use super::{Error, Upstream};
use crate::oci::{Digest, RepositoryName};
use crate::outbound::Response;

impl Upstream {
    /// Whether upstream says that the repository has a blob. `false` is no proof of the contrary.
    pub async fn confirms_blob(&self, name: &RepositoryName, digest: &Digest) -> bool {
        let work = async {
            let name = self.remote.remote_name(name)?;
            let url = self.remote.url(&format!("{name}/blobs/{digest}"));
            let mut ask = Ask::get(Operation::HeadBlob, url, Some(&name));
            ask.method = Method::HEAD;
            self.remote.ask(&ask).await.map(drop)
        };
        self.remote
            .measured(Operation::HeadBlob, work)
            .await
            .is_ok()
    }

    /// Opens a blob from offset `from` on, or from its beginning if upstream does not do ranges: see
    /// [`BlobBody::start`]. Waits for a place among the connections to upstream.
    ///
    /// The bytes are not verified: whoever collects them hashes them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if upstream has no such blob, [`Error::Unexpected`] for a range that was not
    /// asked for, else what kept it from answering.
    pub async fn open_blob(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        from: u64,
    ) -> Result<BlobBody, Error> {
        let name = self.remote.remote_name(name)?;
        let url = self.remote.url(&format!("{name}/blobs/{digest}"));
        let mut ask = Ask::get(Operation::Blob, url, Some(&name));
        ask.from = from;
        let work = async { BlobBody::new(self.remote.ask(&ask).await?, from) };
        self.remote.measured(Operation::Blob, work).await
    }
}

/// A blob on its way. Holds a place among the connections to its upstream until it is dropped.
pub struct BlobBody {
    response: Response,
    start: u64,
    total: Option<u64>,
    received: u64,
    idle: Duration,
    bandwidth: Option<Arc<Bandwidth>>,
    /// When the bandwidth allows the next piece.
    next_at: Option<Instant>,
    ended: bool,
    metrics: Arc<OrganizationMetrics>,
    _place: Place,
}

impl BlobBody {
    fn new(answer: Answer<'_>, from: u64) -> Result<Self, Error> {
        let Answer {
            remote,
            response,
            place,
        } = answer;
        document::check_plain(response.headers())?;
        let (start, total) = span(response.status(), response.headers(), from)?;
        Ok(Self {
            response,
            start,
            total,
            received: 0,
            idle: remote.deadlines.idle,
            bandwidth: remote.bandwidth.clone(),
            next_at: None,
            ended: false,
            metrics: Arc::clone(&remote.metrics),
            _place: place,
        })
    }

    /// The offset that the first byte has in the blob: what was asked for, or 0.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The size of the whole blob, if upstream said it.
    pub const fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next piece; `None` when the last byte was there. After an error, `None`.
    ///
    /// # Errors
    /// [`Error::Stalled`] without progress for the idle deadline; [`Error::Short`] or a broken connection
    /// if the body ends early; [`Error::TooLarge`] if it goes on past the size upstream said.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if self.ended {
            return None;
        }
        if let Some(at) = self.next_at {
            sleep_until(at).await;
            self.next_at = None;
        }
        let piece = next_chunk(&mut self.response, self.idle).await;
        let piece = piece.and_then(|piece| self.accept(piece));
        if let Err(error) = &piece {
            self.metrics.count_broken_body(error.kind().as_str());
        }
        self.ended = !matches!(piece, Ok(Some(_)));
        piece.transpose()
    }

    fn accept(&mut self, piece: Option<Bytes>) -> Result<Option<Bytes>, Error> {
        let expected = self.total.map(|total| total - self.start);
        let Some(piece) = piece else {
            return match expected {
                Some(expected) if self.received < expected => Err(Error::Short {
                    expected,
                    received: self.received,
                }),
                _ => Ok(None),
            };
        };
        self.received += piece.len() as u64;
        if let Some(expected) = expected.filter(|expected| self.received > *expected) {
            let limit_bytes = usize::try_from(expected).unwrap_or(usize::MAX);
            return Err(Error::TooLarge {
                what: "a blob",
                limit_bytes,
            });
        }
        self.metrics.received.inc_by(piece.len() as u64);
        self.next_at = self
            .bandwidth
            .as_ref()
            .map(|bandwidth| bandwidth.book(piece.len()));
        Ok(Some(piece))
    }
}

impl fmt::Debug for BlobBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobBody")
            .field("start", &self.start)
            .field("total", &self.total)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Where an answer's bytes begin in the blob, and how long the blob is (CA-05).
fn span(status: StatusCode, headers: &HeaderMap, from: u64) -> Result<(u64, Option<u64>), Error> {
    match status {
        // RFC 9110 §14.2: a server may ignore Range.
        StatusCode::OK => Ok((0, content_length(headers))),
        StatusCode::PARTIAL_CONTENT if from > 0 => {
            let value = headers
                .get(CONTENT_RANGE)
                .and_then(|value| value.to_str().ok());
            let (first, total) = value.and_then(content_range).ok_or_else(|| {
                Error::unexpected("a partial answer without a usable Content-Range")
            })?;
            if first != from {
                let reason = format!("bytes from {first} where {from} was asked for");
                return Err(Error::Unexpected(reason));
            }
            Ok((first, total))
        }
        status => Err(Error::Status {
            status: status.as_u16(),
        }),
    }
}

/// `bytes 5-9/10` or `bytes 5-9/*` (RFC 9110 §14.4) as first offset and total.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (unit, range) = value.trim().split_once(' ')?;
    let (range, total) = range.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    let total = match total {
        "*" => None,
        total => Some(total.parse::<u64>().ok()?),
    };
    let holds = first <= last && total.is_none_or(|total| last < total);
    (unit.eq_ignore_ascii_case("bytes") && holds).then_some((first, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CA-05: only a range that makes sense is one.
    #[test]
    fn content_ranges_are_read_strictly() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("Bytes 5-9/*"), Some((5, None)));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "items 5-9/10",
            "5-9/10",
            "bytes 5-9",
            "bytes -9/10",
            "bytes 5-9/x",
        ] {
            assert_eq!(content_range(bad), None, "{bad:?}");
        }
    }
}
