//! Bodies that are read whole: manifests, token answers, pages. All bounded (DO-02).

use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use url::Url;

use super::Error;
use super::exchange::Answer;
use crate::outbound::Response;

/// How many idle deadlines a whole document may take.
const IDLES: u32 = 4;
/// What is read of a body nobody wants, so that its connection can be used again.
const DRAINED_BYTES: usize = 64 * 1024;
/// How long that may take.
const DRAINING: Duration = Duration::from_secs(1);

/// A body with what came before it.
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) headers: HeaderMap,
    /// Who it came from: links in it are relative to this.
    pub(super) url: Url,
}

impl Answer<'_> {
    /// Reads the body, at most `limit_bytes` of it, and gives the place back.
    pub(super) async fn document(
        self,
        what: &'static str,
        limit_bytes: usize,
    ) -> Result<Document, Error> {
        let document = read(self.response, what, limit_bytes, self.remote.deadlines.idle).await?;
        self.remote
            .metrics
            .received
            .inc_by(document.bytes.len() as u64);
        Ok(document)
    }
}

/// Reads a body whole.
///
/// # Errors
/// [`Error::TooLarge`] as soon as it is known to be, by announcement or by count; dropping the body then
/// closes the connection.
pub(super) async fn read(
    mut response: Response,
    what: &'static str,
    limit_bytes: usize,
    idle: Duration,
) -> Result<Document, Error> {
    check_plain(response.headers())?;
    let too_large = || Error::TooLarge { what, limit_bytes };
    let announced = content_length(response.headers());
    if announced.is_some_and(|length| length > limit_bytes as u64) {
        return Err(too_large());
    }
    let whole = async {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = next_chunk(&mut response, idle).await? {
            if bytes.len() + chunk.len() > limit_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    };
    let bytes = timeout(idle * IDLES, whole)
        .await
        .map_err(|_| Error::Timeout(idle * IDLES))??;
    Ok(Document {
        bytes,
        headers: response.headers().clone(),
        url: response.url().clone(),
    })
}

/// The next piece of a body, within the idle deadline.
pub(super) async fn next_chunk(
    response: &mut Response,
    idle: Duration,
) -> Result<Option<Bytes>, Error> {
    match timeout(idle, response.chunk()).await {
        Ok(chunk) => Ok(chunk?),
        Err(_) => Err(Error::Stalled(idle)),
    }
}

/// Reads away a short body that nobody wants; a long or slow one costs the connection.
pub(super) async fn drain(mut response: Response) {
    let rest = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > DRAINED_BYTES {
                break;
            }
        }
    };
    let _ = timeout(DRAINING, rest).await;
}

/// Refuses what cannot be the content itself: an encoded body, a web page (CA-05).
pub(super) fn check_plain(headers: &HeaderMap) -> Result<(), Error> {
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("unreadable").trim())
    };
    if let Some(encoding) = text(CONTENT_ENCODING).filter(|text| !is_identity(text)) {
        return Err(Error::Encoded(encoding.escape_default().to_string()));
    }
    let essence = text(CONTENT_TYPE).and_then(|text| text.split(';').next());
    let is_page = essence.is_some_and(|text| {
        let text = text.trim();
        text.eq_ignore_ascii_case("text/html") || text.eq_ignore_ascii_case("application/xhtml+xml")
    });
    if is_page {
        return Err(Error::unexpected("a web page, not a registry's answer"));
    }
    Ok(())
}

fn is_identity(encoding: &str) -> bool {
    encoding.is_empty() || encoding.eq_ignore_ascii_case("identity")
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
