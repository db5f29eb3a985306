//! Reading what a client sends: never more than allowed, never slower than allowed.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

/// Bytes that must come within the wait for it to begin anew (RS-02).
const STEP: usize = 1 << 10;

/// What of a request's body is read into memory.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// The longest body taken.
    pub bytes: usize,
    /// The longest wait for the next KiB, or for the end.
    pub wait: Duration,
}

/// Why a request's body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is longer than allowed: 413.
    #[error("the request's body is longer than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// The client sent next to nothing for too long: 408.
    #[error("the request's body comes too slowly")]
    TooSlow,
    /// The client broke off, or broke the framing: 400, if anybody is left to hear it.
    #[error("the request's body is broken: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads a whole body (DO-01).
///
/// # Errors
/// If it is too long (said before reading where the client declared it), too slow, or broken.
pub async fn read_all<B>(body: B, limits: ReadLimits) -> Result<Bytes, ReadError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit = limits.bytes;
    if body.size_hint().lower() > limit as u64 {
        return Err(ReadError::TooLarge { limit });
    }
    let mut body = pin!(body);
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    let (mut total, mut step) = (0, 0);
    let mut deadline = Instant::now() + limits.wait;
    loop {
        let frame = timeout_at(deadline, body.frame()).await;
        let Some(frame) = frame.map_err(|_| ReadError::TooSlow)? else {
            break;
        };
        let frame = frame.map_err(|error| ReadError::Broken(error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total += data.len();
        step += data.len();
        if total > limit {
            return Err(ReadError::TooLarge { limit });
        }
        if step >= STEP {
            step = 0;
            deadline = Instant::now() + limits.wait;
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        // Most bodies come in one piece, which is not copied.
        if !first.is_empty() {
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const LIMITS: ReadLimits = ReadLimits {
        bytes: 8,
        wait: Duration::from_secs(30),
    };

    fn chunked<'a>(chunks: &'a [&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + 'a {
        let chunks = chunks
            .iter()
            .map(|chunk| Ok(Frame::data(Bytes::from(*chunk))));
        StreamBody::new(stream::iter(chunks))
    }

    /// DO-01: the cap is on what arrives, declared or not.
    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let whole = read_all(Full::new(Bytes::from("12345678")), LIMITS).await;
        assert_eq!(whole.unwrap(), "12345678");
        assert_eq!(
            read_all(chunked(&["1", "", "23", "4"]), LIMITS)
                .await
                .unwrap(),
            "1234"
        );
        assert_eq!(read_all(chunked(&[]), LIMITS).await.unwrap(), "");
        let declared = read_all(Full::new(Bytes::from("123456789")), LIMITS).await;
        assert!(matches!(declared, Err(ReadError::TooLarge { limit: 8 })));
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from("123"))));
        let endless = read_all(StreamBody::new(endless), LIMITS).await;
        assert!(matches!(endless, Err(ReadError::TooLarge { limit: 8 })));
    }

    /// RS-02: neither silence nor a trickle holds a handler.
    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up() {
        let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert!(matches!(
            read_all(silent, LIMITS).await,
            Err(ReadError::TooSlow)
        ));
        let trickle = stream::repeat(()).then(|()| async {
            tokio::time::advance(Duration::from_secs(5)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from("1")))
        });
        let trickle = StreamBody::new(Box::pin(trickle));
        assert!(matches!(
            read_all(trickle, LIMITS).await,
            Err(ReadError::TooSlow)
        ));
    }

    #[tokio::test]
    async fn a_broken_body_is_no_short_one() {
        let broken = stream::iter([Ok(Frame::data(Bytes::from("1"))), Err("cut off")]);
        let error = read_all(StreamBody::new(broken), LIMITS).await.unwrap_err();
        assert_eq!(error.to_string(), "the request's body is broken: cut off");
    }
}
