//! What a client that pushes says to a registry, one request a verb.
//!
//! A verb gives the whole answer, or [`Cut`] where the connection broke: then nobody knows what became
//! of the request. Every 200 that carries content of a known digest is hashed by whoever asked for it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use entrepot::oci::Digest;
use reqwest::{Method, RequestBuilder};

use super::content::Document;

/// No whole answer came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cut;

/// An answer that came whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    location: Option<String>,
    range: Option<String>,
}

impl Reply {
    /// Where the session that it speaks of goes on.
    pub(crate) fn location(&self) -> String {
        self.location.clone().expect("a session has a Location")
    }

    /// How many bytes a session has: distribution-spec, end-13, where `0-0` is said of none and of one.
    pub(crate) fn offset(&self) -> u64 {
        let range = self.range.as_deref().expect("a session has a Range");
        let last = range.strip_prefix("0-").expect("it begins at 0");
        match last.parse().unwrap() {
            0 => 0,
            last => last + 1,
        }
    }
}

/// How the bytes of a blob travel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// One POST with everything.
    Single,
    /// POST, then PUT with everything.
    Whole,
    /// POST, a PATCH for each piece of so many bytes, then PUT with nothing.
    Pieces(usize),
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Pusher {
    client: reqwest::Client,
    address: SocketAddr,
}

impl Pusher {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20));
        let client = client.build().unwrap();
        Self { client, address }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url)
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Reply, Cut> {
        let answer = request.send().await.map_err(cut)?;
        let header = |name| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Ok(Reply {
            status: answer.status().as_u16(),
            location: header("location"),
            range: header("range"),
            body: answer.bytes().await.map_err(cut)?,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Cut> {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn head(&self, path: &str) -> Result<Reply, Cut> {
        self.send(self.request(Method::HEAD, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Reply, Cut> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Puts a manifest under a tag or its digest.
    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Document,
    ) -> Result<Reply, Cut> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let request = self
            .request(Method::PUT, &path)
            .header("content-type", manifest.media_type)
            .body(manifest.bytes.clone());
        self.send(request).await
    }

    /// Sends a blob; the answer is that of the last request, or of the first that was refused.
    pub(crate) async fn push_blob(
        &self,
        repository: &str,
        blob: &Bytes,
        way: Way,
    ) -> Result<Reply, Cut> {
        let digest = Digest::of(blob);
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        if let Way::Single = way {
            let path = format!("{uploads}?digest={digest}");
            let request = self.request(Method::POST, &path).body(blob.clone());
            return self.send(request).await;
        }
        let begun = self.send(self.request(Method::POST, &uploads)).await?;
        if begun.status != 202 {
            return Ok(begun);
        }
        let location = begun.location();
        let Way::Pieces(size) = way else {
            return self.finish(&location, &digest, blob.clone()).await;
        };
        let mut offset = 0;
        while offset < blob.len() {
            let piece = blob.slice(offset..blob.len().min(offset + size));
            offset += piece.len();
            let reply = self.append(&location, piece).await?;
            if reply.status != 202 {
                return Ok(reply);
            }
        }
        self.finish(&location, &digest, Bytes::new()).await
    }

    /// Sends the next piece of a session.
    pub(crate) async fn append(&self, location: &str, piece: Bytes) -> Result<Reply, Cut> {
        let request = self.request(Method::PATCH, location).body(piece);
        self.send(request).await
    }

    /// Ends a session with its last bytes.
    pub(crate) async fn finish(
        &self,
        location: &str,
        digest: &Digest,
        rest: Bytes,
    ) -> Result<Reply, Cut> {
        let path = format!("{location}?digest={digest}");
        let request = self.request(Method::PUT, &path).body(rest);
        self.send(request).await
    }
}

/// That nothing comes at all is another matter than a connection that breaks.
fn cut(error: reqwest::Error) -> Cut {
    assert!(!error.is_timeout(), "no answer came: {error}");
    Cut
}
