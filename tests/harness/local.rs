//! Pushes to a local repository over plain requests, in every way that clients have (oci-registry 5.2).
//!
//! The verbs are methods of [`Site`]; the site itself is one into whose organisation `local` anyone may
//! push.

use entrepot::config::Config;
use entrepot::oci::Digest;
use reqwest::{Body, Method};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::content::{Document, Image};
use super::site::{Answer, Site};
use super::soon;

/// Where these tests push to.
pub(crate) const REPOSITORY: &str = "local/app";

/// How a client sends a blob.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// One `POST` with the digest and the bytes.
    Post,
    /// `POST`, then all bytes in the `PUT`.
    Put,
    /// `POST`, one `PATCH` of no known length, an empty `PUT`.
    Stream,
    /// `POST`, `PATCH` by `PATCH` with `Content-Range`, an empty `PUT`.
    Pieces,
    /// The same, with the last piece in the `PUT`.
    PiecesAndPut,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [
        Self::Post,
        Self::Put,
        Self::Stream,
        Self::Pieces,
        Self::PiecesAndPut,
    ];
}

impl Site {
    /// A site into which anyone may push.
    pub(crate) async fn local() -> Self {
        Self::local_with(|_| {}).await
    }

    /// The same with a configuration that `adjust` has finished.
    pub(crate) async fn local_with(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::start(|config| {
            config.pushes.anonymous = vec!["local".parse().unwrap()];
            adjust(config);
        })
        .await
    }

    /// Sends a request with a body to a path of the site.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        soon(path, async {
            let request = self.request(method, &self.url(path), headers);
            let response = request.body(body).send().await.unwrap();
            Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await.unwrap(),
            }
        })
        .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    /// Begins an upload; returns where it goes on.
    pub(crate) async fn begin_upload(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.send(Method::POST, &path, &[], "").await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.header("location").to_owned()
    }

    /// Sends a piece that says where it begins.
    pub(crate) async fn patch_at(&self, session: &str, start: usize, piece: &[u8]) -> Answer {
        let range = range_of(start, piece);
        let headers = [("content-range", &*range)];
        self.send(Method::PATCH, session, &headers, piece.to_vec())
            .await
    }

    /// Sends a piece of which only its end tells how long it is.
    pub(crate) async fn patch_stream(&self, session: &str, piece: &[u8]) -> Answer {
        self.send(Method::PATCH, session, &[], streamed(piece))
            .await
    }

    /// Ends an upload with these last bytes.
    pub(crate) async fn finish(
        &self,
        session: &str,
        digest: impl std::fmt::Display,
        last: &[u8],
    ) -> Answer {
        let path = with_digest(session, digest);
        self.send(Method::PUT, &path, &[], last.to_vec()).await
    }

    /// How many bytes of an upload have come; `None` if there is no such upload.
    pub(crate) async fn upload_len(&self, session: &str) -> Option<usize> {
        let answer = self.get(session).await;
        if answer.status == 404 {
            assert_eq!(answer.code(), "BLOB_UPLOAD_UNKNOWN");
            return None;
        }
        assert_eq!(answer.status, 204, "{}", answer.text());
        let last = answer.header("range").strip_prefix("0-").unwrap();
        let last: usize = last.parse().unwrap();
        // "0-0" is said of no byte and of one.
        Some(if last == 0 { 0 } else { last + 1 })
    }

    /// Pushes a blob and returns the last answer, whatever it is.
    pub(crate) async fn push_blob_by(
        &self,
        way: Way,
        repository: &str,
        bytes: &[u8],
        digest: &Digest,
    ) -> Answer {
        if way == Way::Post {
            let path = with_digest(&format!("/v2/{repository}/blobs/uploads/"), digest);
            return self.send(Method::POST, &path, &[], bytes.to_vec()).await;
        }
        let mut session = self.begin_upload(repository).await;
        let step = (bytes.len() / 3).max(1);
        let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
        let (patched, last): (&[&[u8]], &[u8]) = match way {
            Way::Post | Way::Put => (&[], bytes),
            Way::Stream => {
                let answer = self.patch_stream(&session, bytes).await;
                assert_eq!(answer.status, 202, "{}", answer.text());
                (&[], &[])
            }
            Way::Pieces => (&pieces, &[]),
            Way::PiecesAndPut => match pieces.split_last() {
                Some((last, rest)) => (rest, last),
                None => (&[], &[]),
            },
        };
        let mut at = 0;
        for piece in patched {
            let answer = self.patch_at(&session, at, piece).await;
            assert_eq!(answer.status, 202, "{}", answer.text());
            at += piece.len();
            assert_eq!(answer.header("range"), format!("0-{}", at - 1));
            answer.header("location").clone_into(&mut session);
        }
        let path = with_digest(&session, digest);
        let range = range_of(at, last);
        let with_range = way == Way::PiecesAndPut && !last.is_empty();
        let headers = [("content-range", &*range)];
        let headers = if with_range { &headers[..] } else { &[] };
        self.send(Method::PUT, &path, headers, last.to_vec()).await
    }

    /// Pushes a blob, which must be taken.
    pub(crate) async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let answer = self
            .push_blob_by(Way::Post, repository, bytes, &digest)
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        digest
    }

    /// Puts a manifest, whatever the answer is.
    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: impl std::fmt::Display,
        document: &Document,
    ) -> Answer {
        let headers = [("content-type", document.media_type)];
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.send(Method::PUT, &path, &headers, document.bytes.clone())
            .await
    }

    /// Puts a manifest, which must be taken.
    pub(crate) async fn push_manifest(
        &self,
        repository: &str,
        reference: impl std::fmt::Display,
        document: &Document,
    ) -> Answer {
        let answer = self.put_manifest(repository, reference, document).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer
    }

    /// Pushes an image as an engine does, which must be taken.
    pub(crate) async fn push_image(
        &self,
        repository: &str,
        reference: impl std::fmt::Display,
        image: &Image,
    ) -> Answer {
        for blob in image.blobs() {
            self.push_blob(repository, blob).await;
        }
        self.push_manifest(repository, reference, &image.manifest)
            .await
    }

    /// The tags of a repository.
    pub(crate) async fn tags(&self, repository: &str) -> Vec<String> {
        let answer = self.get(&format!("/v2/{repository}/tags/list")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let tags = answer.json()["tags"].as_array().unwrap().clone();
        tags.iter()
            .map(|tag| tag.as_str().unwrap().to_owned())
            .collect()
    }

    /// The status that a path answers `HEAD` with.
    pub(crate) async fn head_status(&self, path: &str) -> u16 {
        self.head(path).await.status.as_u16()
    }

    /// Begins a `PATCH` of `declared` bytes and sends the first of them; the connection is the
    /// caller's to go on with, or to cut.
    pub(crate) async fn begin_patch(
        &self,
        session: &str,
        declared: usize,
        sent: &[u8],
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let head = format!(
            "PATCH {session} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {declared}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream
    }
}

/// The path of the request that ends an upload.
pub(crate) fn with_digest(session: &str, digest: impl std::fmt::Display) -> String {
    let sign = if session.contains('?') { '&' } else { '?' };
    format!("{session}{sign}digest={digest}")
}

/// `Content-Range` of a piece, which must not be empty.
fn range_of(start: usize, piece: &[u8]) -> String {
    format!("{start}-{}", (start + piece.len()).saturating_sub(1))
}

/// A body of no known length.
pub(crate) fn streamed(bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes
        .chunks(8000)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect();
    Body::wrap_stream(futures_util::stream::iter(pieces))
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) const fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        number as usize % bound
    }
}
