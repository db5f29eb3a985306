//! Reading what a client sends: never more than allowed, never slower than allowed.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes that must come within the wait for it to begin anew (RS-02).
const STEP: usize = 1 << 10;

/// The longest that throwing a body away takes.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// What of a request's body is read into memory.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// The longest body taken.
    pub bytes: usize,
    /// The longest wait for the next KiB, or for the end.
    pub wait: Duration,
}

/// What of a request's body is read piece by piece. There is no limit on the whole time: a layer of many
/// GiB over a thin line takes its hours.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// The longest body taken, if there is a limit.
    pub bytes: Option<u64>,
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
        limit: u64,
    },
    /// The client sent next to nothing for too long: 408.
    #[error("the request's body comes too slowly")]
    TooSlow,
    /// The client broke off, or broke the framing: 400, if anybody is left to hear it.
    #[error("the request's body is broken: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What came of throwing a body away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Drained {
    /// Its end was reached: the connection can go on.
    Whole,
    /// More of it comes, or it broke: an HTTP/1 connection has to be closed.
    Cut,
}

/// Reads a large body as it comes.
#[derive(Debug)]
pub struct BodyReader<B> {
    body: B,
    limits: StreamLimits,
    declared: Option<u64>,
    /// Bytes given out.
    given: u64,
    /// Bytes since the wait last began anew.
    step: usize,
    /// What is left of the wait. Time that the caller takes with a piece does not count.
    patience: Duration,
    /// Nothing more is read: it ended, or broke.
    is_over: bool,
}

impl<B> BodyReader<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A reader from the first byte of `body`; nothing is read yet, nor is the client told to go on.
    pub fn new(body: B, limits: StreamLimits) -> Self {
        Self {
            declared: body.size_hint().exact(),
            body,
            limits,
            given: 0,
            step: 0,
            patience: limits.wait,
            is_over: false,
        }
    }

    /// The length that the client declared (`Content-Length`); 0 where there is no body.
    pub const fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next bytes, never none of them; `None` behind the last.
    ///
    /// # Errors
    /// If the body is too long (said before reading where the client declared it), too slow, or broken.
    /// A body shorter than declared is broken. After an error comes `None`, which is no end then.
    pub async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        if self.is_over {
            return None;
        }
        let piece = self.piece().await;
        self.is_over = !matches!(piece, Ok(Some(_)));
        piece.transpose()
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        self.check(self.declared.unwrap_or(0))?;
        loop {
            // hyper says nothing more of a body that ends behind its answer, but knows that it ended.
            if self.body.is_end_stream() {
                return self.end().map(|()| None);
            }
            let began = Instant::now();
            let frame = timeout_at(began + self.patience, self.body.frame()).await;
            self.patience = self.patience.saturating_sub(began.elapsed());
            let Some(frame) = frame.map_err(|_| ReadError::TooSlow)? else {
                return self.end().map(|()| None);
            };
            let frame = frame.map_err(|error| ReadError::Broken(error.into()))?;
            let Some(data) = frame.into_data().ok().filter(|data| !data.is_empty()) else {
                continue;
            };
            self.given = self.given.saturating_add(data.len() as u64);
            self.check(self.given)?;
            self.step = self.step.saturating_add(data.len());
            if self.step >= STEP {
                self.step = 0;
                self.patience = self.limits.wait;
            }
            return Ok(Some(data));
        }
    }

    /// Whether `bytes` may come.
    fn check(&self, bytes: u64) -> Result<(), ReadError> {
        match self.limits.bytes {
            Some(limit) if bytes > limit => Err(ReadError::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// Whether this may be the end.
    fn end(&self) -> Result<(), ReadError> {
        match self.declared {
            Some(declared) if declared != self.given => {
                let text = format!("{} bytes came of {declared}", self.given);
                Err(ReadError::Broken(text.into()))
            }
            _ => Ok(()),
        }
    }

    /// Reads on and throws away, so that a client that is refused reads the answer and not a reset.
    ///
    /// Takes no more than `at_most` bytes and a few seconds; where the client declared more than that,
    /// nothing is read at all. Before anything was read, dropping the body is better for a client that
    /// waits for `100 Continue`: this would tell it to go on.
    pub async fn drain(mut self, at_most: u64) -> Drained {
        let most = self.given.saturating_add(at_most);
        self.limits.bytes = Some(most);
        if self.declared.is_some_and(|declared| declared > most) {
            return Drained::Cut;
        }
        let whole = async {
            while let Some(piece) = self.next().await {
                if piece.is_err() {
                    return Drained::Cut;
                }
            }
            Drained::Whole
        };
        timeout(DRAIN_WITHIN, whole).await.unwrap_or(Drained::Cut)
    }
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
    let limits = StreamLimits {
        bytes: Some(limits.bytes as u64),
        wait: limits.wait,
    };
    let body = pin!(body);
    let mut reader = BodyReader::new(body, limits);
    // Most bodies come in one piece, which is not copied.
    let first = reader.next().await.transpose()?.unwrap_or_default();
    let Some(second) = reader.next().await.transpose()? else {
        return Ok(first);
    };
    let mut all = BytesMut::from(first);
    all.extend_from_slice(&second);
    while let Some(piece) = reader.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all.freeze())
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

    const STREAM: StreamLimits = StreamLimits {
        bytes: None,
        wait: Duration::from_secs(30),
    };

    /// RS-02: as long as a KiB comes within each wait, an upload takes whatever time it takes, and what
    /// the disk takes is not the client's fault.
    #[tokio::test(start_paused = true)]
    async fn a_slow_but_moving_body_is_read_to_its_end() {
        let moving = stream::iter(0..1000).then(|_| async {
            tokio::time::sleep(Duration::from_secs(29)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; STEP])))
        });
        let mut reader = BodyReader::new(StreamBody::new(Box::pin(moving)), STREAM);
        let began = Instant::now();
        let mut total = 0;
        while let Some(piece) = reader.next().await {
            total += piece.unwrap().len();
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        assert_eq!(total, 1000 * STEP);
        assert!(began.elapsed() > Duration::from_secs(600_000));
    }

    /// RS-02: bytes here and there do not prolong the wait, and an error ends the reading.
    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_given_up() {
        let trickle = stream::iter(0..100).then(|_| async {
            tokio::time::sleep(Duration::from_secs(11)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; STEP / 4])))
        });
        let mut reader = BodyReader::new(StreamBody::new(Box::pin(trickle)), STREAM);
        let mut pieces = 0;
        let error = loop {
            match reader.next().await.expect("no end before the error") {
                Ok(_) => pieces += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ReadError::TooSlow), "{error}");
        assert_eq!(pieces, 2);
        assert!(reader.next().await.is_none());
    }

    /// A body that ends before its declared length is broken, whatever its transport thinks.
    #[tokio::test]
    async fn a_body_shorter_than_declared_is_broken() {
        struct Short(Option<Bytes>);
        impl Body for Short {
            type Data = Bytes;
            type Error = Infallible;
            fn poll_frame(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                std::task::Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            fn size_hint(&self) -> http_body::SizeHint {
                http_body::SizeHint::with_exact(10)
            }
        }
        let mut reader = BodyReader::new(Short(Some(Bytes::from("12345"))), STREAM);
        assert_eq!(reader.declared(), Some(10));
        assert_eq!(reader.next().await.unwrap().unwrap(), "12345");
        let error = reader.next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("5 bytes came of 10"), "{error}");
        assert!(reader.next().await.is_none());
    }

    /// What is thrown away is bounded in bytes and in time.
    #[tokio::test(start_paused = true)]
    async fn draining_is_bounded() {
        let drain = async |body: &'static [&'static str], at_most| {
            BodyReader::new(chunked(body), STREAM).drain(at_most).await
        };
        assert_eq!(drain(&["12", "34"], 4).await, Drained::Whole);
        assert_eq!(drain(&["12", "34"], 3).await, Drained::Cut);
        assert_eq!(drain(&[], 0).await, Drained::Whole);
        let declared = BodyReader::new(Full::new(Bytes::from("12345")), STREAM);
        assert_eq!(declared.drain(4).await, Drained::Cut);
        let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let began = Instant::now();
        assert_eq!(BodyReader::new(silent, STREAM).drain(4).await, Drained::Cut);
        assert_eq!(began.elapsed(), DRAIN_WITHIN);
        let mut begun = BodyReader::new(chunked(&["12", "34"]), STREAM);
        begun.next().await.unwrap().unwrap();
        assert_eq!(begun.drain(2).await, Drained::Whole);
    }

    #[tokio::test]
    async fn a_broken_body_is_no_short_one() {
        let broken = stream::iter([Ok(Frame::data(Bytes::from("1"))), Err("cut off")]);
        let error = read_all(StreamBody::new(broken), LIMITS).await.unwrap_err();
        assert_eq!(error.to_string(), "the request's body is broken: cut off");
    }
}
