//! A scripted real HTTP/1.1 server that stands for an upstream registry, a token endpoint or a CDN.
//!
//! It speaks raw TCP, so that it can cut bodies, stall and lie; it records every request, so that tests
//! count what upstream saw instead of measuring time; faults are rules on method and path.

mod answer;
mod auth;
mod content;
mod fault;
mod serve;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use entrepot::oci::Digest;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub(crate) use auth::{Auth, Bearer, TokenField};
pub(crate) use fault::Fault;
pub(crate) use tls::Identity;
pub(crate) use wire::Recorded;

use super::content::{Document, Image};
use content::Content;
use fault::Rule;

/// The server's handle. Clones are the same server; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Origin {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    identity: Option<Identity>,
    state: Mutex<State>,
    /// Number of requests seen.
    seen: watch::Sender<usize>,
    /// Number of answers that have stalled.
    stalled: watch::Sender<usize>,
    /// Number of times that stalled answers were let go.
    released: watch::Sender<usize>,
    connections: AtomicUsize,
    server: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct State {
    content: Content,
    auth: Auth,
    /// Tokens of an older generation are refused.
    generation: usize,
    issued: usize,
    rules: Vec<Rule>,
    requests: Vec<Recorded>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(identity: Identity) -> Self {
        Self::start_with(Some(identity)).await
    }

    async fn start_with(identity: Option<Identity>) -> Self {
        let listener = serve::bind("127.0.0.1:0".parse().unwrap());
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            identity,
            state: Mutex::default(),
            seen: watch::Sender::new(0),
            stalled: watch::Sender::new(0),
            released: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
            server: Mutex::default(),
        });
        serve::spawn(&shared, listener);
        Self { shared }
    }

    /// Closes the port and every connection.
    pub(crate) async fn stop(&self) {
        let server = self.shared.server.lock().unwrap().take();
        if let Some(server) = server {
            server.abort();
            while !server.is_finished() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Opens the same port again, with the same content.
    pub(crate) async fn restart(&self) {
        self.stop().await;
        serve::spawn(&self.shared, serve::bind(self.shared.address));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:PORT` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        self.shared.url("127.0.0.1", path)
    }

    /// The same under a name, for tests that fill a table of names.
    pub(crate) fn url_as(&self, host: &str, path: &str) -> String {
        self.shared.url(host, path)
    }

    // === content ===

    /// Everything of an image, and a tag on it.
    pub(crate) fn push_image(&self, repository: &str, tag: &str, image: &Image) {
        for blob in image.blobs() {
            self.push_blob(repository, blob);
        }
        self.push_manifest(repository, Some(tag), &image.manifest);
    }

    /// The same without a tag, as children of an index are.
    pub(crate) fn push_untagged(&self, repository: &str, image: &Image) {
        for blob in image.blobs() {
            self.push_blob(repository, blob);
        }
        self.push_manifest(repository, None, &image.manifest);
    }

    pub(crate) fn push_manifest(&self, repository: &str, tag: Option<&str>, document: &Document) {
        self.state().content.put_manifest(repository, tag, document);
    }

    pub(crate) fn push_blob(&self, repository: &str, bytes: &Bytes) -> Digest {
        self.state().content.put_blob(repository, bytes)
    }

    /// Takes a tag away; what it pointed to stays.
    pub(crate) fn untag(&self, repository: &str, tag: &str) {
        self.state().content.untag(repository, tag);
    }

    /// Bytes at a path of their own, as a CDN has them.
    pub(crate) fn push_file(&self, path: &str, bytes: &Bytes) {
        self.state().content.put_file(path, bytes);
    }

    /// Tags and referrers come in pages of this many.
    pub(crate) fn page_by(&self, size: usize) {
        self.state().content.page_size = Some(size);
    }

    /// Answers the referrers API with 404, as older registries do.
    pub(crate) fn without_referrers_api(&self) {
        self.state().content.has_referrers_api = false;
    }

    // === behaviour ===

    pub(crate) fn require(&self, auth: Auth) {
        self.state().auth = auth;
    }

    /// No token issued up to now is good any more.
    pub(crate) fn revoke_tokens(&self) {
        self.state().generation += 1;
    }

    /// From now on, requests of `method` below `prefix` suffer `fault`.
    pub(crate) fn always(&self, method: &'static str, prefix: &str, fault: Fault) {
        self.times(usize::MAX, method, prefix, fault);
    }

    /// The next such request suffers `fault`. Rules of one path come in the order they were made.
    pub(crate) fn once(&self, method: &'static str, prefix: &str, fault: Fault) {
        self.times(1, method, prefix, fault);
    }

    pub(crate) fn times(&self, times: usize, method: &'static str, prefix: &str, fault: Fault) {
        self.state()
            .rules
            .push(Rule::new(times, method, prefix, fault));
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        self.state().rules.clear();
    }

    /// Lets go of everything that stalls now.
    pub(crate) fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    // === what it saw ===

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    /// How many requests of `method` came for paths that begin with `prefix`.
    pub(crate) fn count(&self, method: &str, prefix: &str) -> usize {
        let is_counted = |request: &&Recorded| request.is(method, prefix);
        self.state().requests.iter().filter(is_counted).count()
    }

    /// The last such request.
    pub(crate) fn last(&self, method: &str, prefix: &str) -> Recorded {
        let requests = self.requests();
        let found = requests
            .into_iter()
            .rfind(|request| request.is(method, prefix));
        found.unwrap_or_else(|| panic!("no {method} {prefix} was seen"))
    }

    /// Waits until at least `count` such requests were seen.
    pub(crate) async fn wait_for(&self, count: usize, method: &str, prefix: &str) {
        let mut seen = self.shared.seen.subscribe();
        let arrived = seen.wait_for(|_| self.count(method, prefix) >= count);
        let what = format!("{count} requests {method} {prefix}");
        super::soon(&what, arrived).await.unwrap();
    }

    /// Waits until `count` answers have stalled since the start; then they can be released.
    pub(crate) async fn wait_stalled(&self, count: usize) {
        let mut stalled = self.shared.stalled.subscribe();
        let what = format!("{count} stalled answers");
        super::soon(&what, async {
            stalled.wait_for(|stalled| *stalled >= count).await.unwrap();
        })
        .await;
    }

    /// Connections accepted since the start.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Shared {
    fn url(&self, host: &str, path: &str) -> String {
        let scheme = if self.identity.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{host}:{}{path}", self.address.port())
    }
}
