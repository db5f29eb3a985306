//! What a new connection speaks, by its first bytes, and the answer to those who came to the wrong door.
//!
//! Clients try TLS on a plain port first (crane, skopeo, podman with `insecure`); what keeps them waiting
//! stalls every pull by their handshake timeout, so they are answered at their first byte
//! (oci-registry 7.3). The answer is HTTP on purpose: Go's TLS client knows it, and containerd falls back
//! to plain HTTP on it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The content type of a TLS handshake record (RFC 8446 §5.1); no HTTP method begins with it.
const HANDSHAKE: u8 = 0x16;

/// How long the peer is given to read an answer and close, before we do.
const LINGER: Duration = Duration::from_secs(1);

/// Sent to a client that speaks TLS to a plain port.
pub(super) const TLS_ON_PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 60\r\nConnection: close\r\n\r\n\
    This port speaks plain HTTP; the client sent a TLS request.\n";

/// Sent to a client that speaks plain HTTP to a TLS port.
pub(super) const PLAIN_ON_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 57\r\nConnection: close\r\n\r\n\
    This port speaks HTTPS; the client sent a plain request.\n";

/// Sent where there is no place for another connection.
pub(super) const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 31\r\nRetry-After: 1\r\n\
    Connection: close\r\n\r\nToo many connections are open.\n";

/// What the first bytes say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Speech {
    /// A TLS handshake.
    Tls,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Anything else, HTTP/1 for instance.
    Http1,
}

/// Reads until the first bytes say what is spoken; returns them too. `None` if the peer closed.
pub(super) async fn listen(stream: &mut TcpStream) -> io::Result<Option<(Speech, Bytes)>> {
    let mut early = BytesMut::with_capacity(2048);
    loop {
        if stream.read_buf(&mut early).await? == 0 {
            return Ok(None);
        }
        if let Some(speech) = judge(&early) {
            return Ok(Some((speech, early.freeze())));
        }
    }
}

/// What `early` begins; `None` if it could still be either.
fn judge(early: &[u8]) -> Option<Speech> {
    let length = early.len().min(PREFACE.len());
    match early.first()? {
        &HANDSHAKE => Some(Speech::Tls),
        _ if early[..length] != PREFACE[..length] => Some(Speech::Http1),
        _ => (length == PREFACE.len()).then_some(Speech::Http2),
    }
}

/// Sends `answer` and closes, so that the peer can read it.
pub(super) async fn refuse(mut stream: TcpStream, answer: &[u8]) {
    // A peer that is gone already needs no answer.
    if stream.write_all(answer).await.is_ok() && stream.shutdown().await.is_ok() {
        linger(&stream).await;
    }
}

/// Reads away what the peer still sends, for a short while: closing before that would reset the
/// connection, and the peer could lose the answer (RFC 9112 §9.6).
pub(super) async fn linger(stream: &TcpStream) {
    let drain = async {
        let mut scrap = [0; 4096];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut scrap) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    };
    // Whoever has not closed by now is closed.
    let _ = timeout(LINGER, drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_distinguishing_byte_decides() {
        assert_eq!(judge(b"\x16"), Some(Speech::Tls));
        assert_eq!(judge(b""), None);
        for undecided in 1..PREFACE.len() {
            assert_eq!(judge(&PREFACE[..undecided]), None);
        }
        assert_eq!(judge(PREFACE), Some(Speech::Http2));
        assert_eq!(
            judge(&[PREFACE, b"\0\0\0\x04"].concat()),
            Some(Speech::Http2)
        );
        for http1 in [
            "G",
            "PU",
            "PRI /",
            "PRI * HTTP/2.0\r\n\r\nGET",
            "\r\n",
            "\x15\x03\x01",
        ] {
            assert_eq!(judge(http1.as_bytes()), Some(Speech::Http1), "{http1:?}");
        }
    }

    #[test]
    fn ready_answers_are_sound() {
        for answer in [TLS_ON_PLAIN, PLAIN_ON_TLS, TOO_MANY] {
            let text = std::str::from_utf8(answer).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length = format!("Content-Length: {}", body.len());
            assert!(
                head.lines().any(|line| line == length),
                "{} in {text}",
                body.len()
            );
            assert!(head.contains("Connection: close"));
        }
    }
}
