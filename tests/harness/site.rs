//! A site under test: the whole server inside the test's own process, on free ports, with a directory
//! and a clock of its own.
//!
//! It listens on three sockets: the site's own, a mirror of the first cache, and that for metrics.
//! Deadlines are short and time is moved, so no test waits for the clock.

use std::net::SocketAddr;
use std::time::Duration;

use entrepot::app::{App, Surroundings};
use entrepot::config::{Config, RegistryMirror};
use entrepot::jobs::Intervals;
use entrepot::model::{Clock, PlatformPolicy, ProxyChoice, Timestamp, UpstreamRule};
use entrepot::proxy::Proxy;
use entrepot::registry::Registry;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::origin::Origin;
use super::soon;

/// 2026-01-01T00:00:00Z, when every test begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A running site; it ends when it is dropped.
pub(crate) struct Site {
    app: Option<App>,
    pub(crate) config: Config,
    pub(crate) intervals: Intervals,
    pub(crate) clock: Clock,
    client: reqwest::Client,
    _directory: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: bytes::Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The code of an error of the registry protocol.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The cache `organization` of the upstream of that name, which `origin` stands for.
pub(crate) fn rule(organization: &str, upstream: &str, origin: &Origin) -> UpstreamRule {
    rule_at(organization, upstream, &origin.url(""))
}

/// The cache `organization` of the upstream of that name, which is reached at `endpoint`.
pub(crate) fn rule_at(organization: &str, upstream: &str, endpoint: &str) -> UpstreamRule {
    UpstreamRule {
        organization: organization.parse().unwrap(),
        upstream: upstream.parse().unwrap(),
        endpoint: Some(endpoint.parse().unwrap()),
        credentials: None,
        insecure: false,
        ca_file: None,
        proxy: ProxyChoice::None,
        expiration: Some(Duration::from_secs(86_400)),
        fresh: Duration::ZERO,
        strict_expiration: false,
        anonymous_pull: true,
        quota: None,
        platforms: PlatformPolicy::Requested,
        pin: Vec::new(),
        max_connections: 8,
        bandwidth: None,
    }
}

impl Site {
    /// A site whose configuration `adjust` has finished.
    pub(crate) async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let never = Duration::from_secs(30 * 86_400);
        // Tests say when what is written; only the gauges turn by themselves.
        let intervals = Intervals {
            flush: never,
            first_sweep: never,
            queue: never,
            mirrors: never,
            ..Intervals::default()
        };
        Self::start_turning(intervals, adjust).await
    }

    /// The same with loops that turn at these intervals.
    pub(crate) async fn start_turning(
        intervals: Intervals,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("entrepot-")
            .tempdir()
            .unwrap();
        let mut config = Config::for_testing(directory.path().join("data"));
        adjust(&mut config);
        let mut site = Self {
            app: None,
            config,
            intervals,
            clock: Clock::manual(BEGINNING),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            _directory: directory,
        };
        site.open().await;
        site
    }

    /// A site with one cache, `docker.io`, of what `origin` holds, and a mirror of it.
    pub(crate) async fn cache_of(origin: &Origin) -> Self {
        Self::caching(vec![rule("docker.io", "docker.io", origin)]).await
    }

    /// A site with these caches, and a mirror of the first.
    pub(crate) async fn caching(rules: Vec<UpstreamRule>) -> Self {
        Self::caching_with(rules, |_| {}).await
    }

    /// The same with a configuration that `adjust` has finished.
    pub(crate) async fn caching_with(
        rules: Vec<UpstreamRule>,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        Self::start(|config| {
            adjust(config);
            config.registry_mirrors = vec![RegistryMirror {
                organization: rules[0].organization.clone(),
                listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
                hostname: None,
            }];
            config.upstreams = rules;
        })
        .await
    }

    async fn open(&mut self) {
        let surroundings = Surroundings {
            clock: self.clock.clone(),
            intervals: self.intervals.clone(),
            ..Surroundings::default()
        };
        let starting = App::start(self.config.clone(), surroundings);
        self.app = Some(soon("the start", starting).await.unwrap());
    }

    /// Starts a site that was stopped, over the same data.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.app.is_none(), "it was stopped");
        self.open().await;
    }

    /// Ends the site in order and starts it again over the same data.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.open().await;
    }

    /// Ends the site in order.
    pub(crate) async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            soon("the end", app.stop()).await;
        }
    }

    pub(crate) fn app(&self) -> &App {
        self.app.as_ref().expect("the site runs")
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.app().registry()
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        self.app().proxy()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.app().addresses().listen[0]
    }

    pub(crate) fn mirror_address(&self) -> SocketAddr {
        self.app().addresses().mirrors[0].1
    }

    /// A path at the site's own listener.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A path at the mirror of the first cache.
    pub(crate) fn mirror_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.mirror_address())
    }

    pub(crate) fn metrics_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app().addresses().metrics.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, &self.url(path), headers).await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.ask(Method::HEAD, &self.url(path), &[]).await
    }

    pub(crate) async fn mirror_get(&self, path: &str) -> Answer {
        self.ask(Method::GET, &self.mirror_url(path), &[]).await
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn ask(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
        soon(url, async {
            let request = self.request(method, url, headers);
            let response = request.send().await.unwrap();
            Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await.unwrap(),
            }
        })
        .await
    }

    /// Sends a request and reads the head of its answer; the body waits to be read.
    pub(crate) async fn begin(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let request = self.request(Method::GET, &self.url(path), headers);
        soon(path, request.send()).await.unwrap()
    }

    /// Asks for what must break off: what came of its body before it did. A refusal is an empty one.
    pub(crate) async fn get_broken(&self, path: &str) -> bytes::Bytes {
        let mut body = bytes::BytesMut::new();
        let request = self.request(Method::GET, &self.url(path), &[]);
        // An answer that is broken off early may not even show its head.
        let Ok(mut response) = soon(path, request.send()).await else {
            return body.freeze();
        };
        if !response.status().is_success() {
            return body.freeze();
        }
        soon("the break", async {
            while let Ok(piece) = response.chunk().await {
                body.extend_from_slice(&piece.expect("a body that ends in order is no broken one"));
            }
        })
        .await;
        body.freeze()
    }

    /// The body of an answer, if there is one and it comes to its end.
    pub(crate) async fn get_piece(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Option<bytes::Bytes> {
        let request = self.request(Method::GET, &self.url(path), headers);
        let response = soon(path, request.send()).await.ok()?;
        let is_content = response.status().is_success();
        let body = soon(path, response.bytes()).await.ok();
        body.filter(|_| is_content)
    }

    pub(super) fn request(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url);
        headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        })
    }

    /// Sends bytes that no client would; the status of the answer, and all of its text.
    pub(crate) async fn send_raw(&self, request: &[u8]) -> (u16, String) {
        soon("an answer to raw bytes", async {
            let mut stream = TcpStream::connect(self.address()).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer).into_owned();
            let status = text
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            (status.expect("a status line"), text)
        })
        .await
    }

    /// Takes a changed rule of the first cache over, as a changed configuration is.
    pub(crate) async fn change_rule(&mut self, change: impl FnOnce(&mut UpstreamRule)) {
        change(&mut self.config.upstreams[0]);
        let Config {
            upstreams,
            deadlines,
            offline,
            ..
        } = self.config.clone();
        let changed = self
            .proxy()
            .reconfigure(upstreams, deadlines, offline, true);
        changed.await.unwrap();
    }

    /// Pulls an image as an engine does: manifest by tag, then every blob of it.
    pub(crate) async fn pull(&self, repository: &str, reference: &str) -> Answer {
        let manifest = self
            .get(&format!("/v2/{repository}/manifests/{reference}"))
            .await;
        assert_eq!(manifest.status, 200, "{}", manifest.text());
        let document = manifest.json();
        let layers = document["layers"].as_array().into_iter().flatten();
        // Engines fetch foreign layers from elsewhere.
        let blobs = layers.chain(document.get("config"));
        for blob in blobs.filter(|blob| blob.get("urls").is_none()) {
            let digest = blob["digest"].as_str().unwrap();
            let answer = self.get(&format!("/v2/{repository}/blobs/{digest}")).await;
            assert_eq!(answer.status, 200, "{digest}");
            assert_eq!(entrepot::oci::Digest::of(&answer.body).to_string(), digest);
        }
        manifest
    }

    /// Waits until a metric has this value.
    pub(crate) async fn until(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        soon(&format!("{name} {labels:?} to be {value}"), async {
            while self.metric(name, labels).await != value {}
        })
        .await;
    }

    /// Waits until no fill runs: what was pulled is held then.
    pub(crate) async fn settled(&self) {
        soon("the end of every fill", async {
            while self.metric("entrepot_proxy_fills", &[]).await > 0.0 {}
        })
        .await;
    }

    /// The sum of a metric over all its children that have these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let answer = self
            .ask(Method::GET, &self.metrics_url("/metrics"), &[])
            .await;
        let wanted = |line: &&str| {
            let family = line.split(['{', ' ']).next() == Some(name);
            let has =
                |(label, value): &(&str, &str)| line.contains(&format!("{label}=\"{value}\""));
            family && labels.iter().all(has)
        };
        let values = answer.text().lines().filter(wanted);
        values
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}
