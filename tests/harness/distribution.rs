//! Debian's docker-registry (CNCF distribution) as a real upstream that counts what it is asked.
//!
//! It runs on loopback with its content in a directory of its own, and logs every request it has
//! answered. [`Distribution::stop`] lets running answers end before it leaves, so that afterwards
//! [`Distribution::requests`] is complete; a request that is still being answered is not in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use entrepot::oci::Digest;
use serde_json::Value;

use super::child::{Daemon, Failure};
use super::images::{Blob, Image, Index};
use super::sandbox::Sandbox;

/// One request that the registry has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub uri: String,
    pub status: u16,
    /// Bytes of the body sent.
    pub written: u64,
    pub user_agent: String,
}

impl Request {
    /// The digest, if it was a blob that was sent, whole or in part.
    pub fn blob_sent(&self) -> Option<Digest> {
        if self.method != "GET" || !matches!(self.status, 200 | 206) {
            return None;
        }
        let path = self.uri.split('?').next()?;
        let (_, digest) = path.rsplit_once("/blobs/")?;
        digest.parse().ok()
    }

    /// Reads a line of the registry's JSON log; lines about anything else give `None`.
    fn from_log(line: &str) -> Option<Self> {
        let entry: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let number = |key: &str| entry.get(key).and_then(Value::as_u64);
        // "response completed", or "response completed with error" for 4xx and 5xx.
        if !text("msg")?.starts_with("response completed") {
            return None;
        }
        Some(Self {
            method: text("http.request.method")?.to_owned(),
            uri: text("http.request.uri")?.to_owned(),
            status: u16::try_from(number("http.response.status")?).ok()?,
            written: number("http.response.written").unwrap_or(0),
            user_agent: text("http.request.useragent")
                .unwrap_or_default()
                .to_owned(),
        })
    }
}

/// A docker-registry process and its content; stopped and removed when dropped.
pub struct Distribution {
    program: PathBuf,
    // Before `sandbox`: the process ends before its directory goes.
    running: Option<Daemon>,
    sandbox: Sandbox,
    address: SocketAddr,
    earlier: Vec<Request>,
}

impl Distribution {
    /// Starts an empty registry on a free port of loopback.
    pub async fn start(program: &Path) -> Result<Self, Failure> {
        let mut registry = Self {
            program: program.to_owned(),
            running: None,
            sandbox: Sandbox::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            earlier: Vec::new(),
        };
        registry.restart().await?;
        Ok(registry)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the process once its running answers have ended. Its content and its log stay.
    pub async fn stop(&mut self) {
        if let Some(daemon) = self.running.take() {
            let log = daemon.stop().await;
            self.earlier.extend(read_log(&log));
        }
    }

    /// Starts the stopped registry again, on the same port and with the same content.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        self.stop().await;
        let config = self.sandbox.write("registry.yml", &self.config());
        let mut command = self.sandbox.command(&self.program);
        command.arg("serve").arg(config);
        let (daemon, address) = Daemon::start(command, listening_on).await?;
        self.running = Some(daemon);
        self.address = address;
        Ok(())
    }

    /// Every request answered since the registry was first started, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        let log = self.running.as_ref().map(Daemon::lines).unwrap_or_default();
        let mut requests = self.earlier.clone();
        requests.extend(read_log(&log));
        requests
    }

    /// How often each blob was sent.
    pub fn blobs_sent(&self) -> BTreeMap<Digest, usize> {
        let mut sent = BTreeMap::new();
        for digest in self.requests().iter().filter_map(Request::blob_sent) {
            *sent.entry(digest).or_insert(0) += 1;
        }
        sent
    }

    /// Pushes `image` as `repository:reference`; the reference may be its digest.
    pub async fn push_image(&self, repository: &str, reference: &str, image: &Image) {
        for blob in image.blobs() {
            self.push_blob(repository, blob).await;
        }
        self.push_manifest(repository, reference, image.manifest())
            .await;
    }

    /// Pushes every child of `index` by digest, then the index as `repository:tag`.
    pub async fn push_index(&self, repository: &str, tag: &str, index: &Index) {
        for child in index.children() {
            let digest = child.manifest().digest.to_string();
            self.push_image(repository, &digest, child).await;
        }
        self.push_manifest(repository, tag, index.manifest()).await;
    }

    /// Reads a blob as a client would, around any cache.
    pub async fn fetch_blob(&self, repository: &str, digest: &Digest) -> Vec<u8> {
        let url = self.url(&format!("/v2/{repository}/blobs/{digest}"));
        let answer = client()
            .get(url)
            .send()
            .await
            .expect("the registry answers");
        assert_eq!(answer.status(), 200);
        answer.bytes().await.expect("the blob arrives whole").into()
    }

    // distribution-spec 1.1, end-4a and end-6: open a session, then close it with the whole body.
    async fn push_blob(&self, repository: &str, blob: &Blob) {
        let client = client();
        let opened = client
            .post(self.url(&format!("/v2/{repository}/blobs/uploads/")))
            .send()
            .await
            .expect("the registry answers");
        let location = opened
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok())
            .expect("an upload session has a Location");
        let mut session = opened.url().join(location).expect("Location is a URL");
        session
            .query_pairs_mut()
            .append_pair("digest", &blob.digest.to_string());
        let closed = client.put(session).body(blob.bytes.clone()).send().await;
        assert_eq!(closed.expect("the registry answers").status(), 201);
    }

    async fn push_manifest(&self, repository: &str, reference: &str, manifest: &Blob) {
        let put = client()
            .put(self.url(&format!("/v2/{repository}/manifests/{reference}")))
            .header("content-type", manifest.media_type)
            .body(manifest.bytes.clone())
            .send()
            .await
            .expect("the registry answers");
        let status = put.status();
        let answer = put.text().await.unwrap_or_default();
        assert_eq!(status, 201, "{answer}");
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn config(&self) -> String {
        let root = self.sandbox.path("content");
        // Without draintimeout SIGTERM ends it in the middle of an answer, before that is logged.
        format!(
            "version: 0.1\n\
             log:\n  level: info\n  formatter: json\n  accesslog:\n    disabled: true\n\
             storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: {}\n  secret: not-a-secret\n  draintimeout: 10s\n",
            root.display(),
            self.address
        )
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client for loopback can be made")
}

fn read_log(lines: &[String]) -> Vec<Request> {
    lines
        .iter()
        .filter_map(|line| Request::from_log(line))
        .collect()
}

/// The registry logs the address it really listens on once it does, so port 0 works.
fn listening_on(line: &str) -> Option<SocketAddr> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let message = entry.get("msg")?.as_str()?;
    message.strip_prefix("listening on ")?.parse().ok()
}
