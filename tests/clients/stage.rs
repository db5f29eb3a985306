//! The stage of every test here: an upstream with two images, a cache before it, clients before that.
//!
//! One image has several layers and Docker's media types, the other is an OCI index of two platforms.
//! The upstream's own request log is what the assertions read; time plays no part.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use entrepot::config::Deadlines;
use entrepot::oci::Digest;
use futures_util::future::join_all;

use crate::harness::child::Failure;
use crate::harness::clients::{ImageName, Puller, SiteUnderTest};
use crate::harness::distribution::Distribution;
use crate::harness::images::{Dialect, Image, Index};
use crate::harness::site::{Site, rule_at};

const IMAGE: ImageName = ImageName {
    repository: "library/layered",
    tag: "v1",
};
const INDEX: ImageName = ImageName {
    repository: "library/platforms",
    tag: "v1",
};

/// Compressing takes longest of all: once a run, not once a test.
static CONTENT: LazyLock<(Image, Index)> = LazyLock::new(|| {
    let layers = [40_000, 700_000, 3 << 20];
    (
        Image::for_this_machine("layered", Dialect::Docker, &layers),
        Index::new("platforms", Dialect::Oci, &[1 << 20, 20_000]),
    )
});

/// Upstream, cache and content.
pub struct Stage {
    // Before `upstream`, which it asks.
    _server: Site,
    site: SiteUnderTest,
    upstream: Distribution,
    image: &'static Image,
    index: &'static Index,
}

impl Stage {
    /// Starts an upstream, fills it, and puts an empty cache before it.
    pub async fn set(registry: &Path) -> Self {
        let upstream = Distribution::start(registry)
            .await
            .expect("upstream starts");
        let (image, index) = &*CONTENT;
        upstream
            .push_image(IMAGE.repository, IMAGE.tag, image)
            .await;
        upstream
            .push_index(INDEX.repository, INDEX.tag, index)
            .await;
        let endpoint = format!("http://{}/", upstream.address());
        let rules = vec![rule_at("docker.io", "docker.io", &endpoint)];
        // Clients are slow together: nobody is to run into the short deadlines of other tests.
        let patient = Deadlines::default();
        let server = Site::caching_with(rules, |config| config.deadlines = patient).await;
        let site = SiteUnderTest {
            address: server.address(),
            mirror_address: server.mirror_address(),
            organization: "docker.io".to_owned(),
        };
        Self {
            _server: server,
            site,
            upstream,
            image,
            index,
        }
    }

    pub fn site(&self) -> &SiteUnderTest {
        &self.site
    }

    /// The whole play of one client: cold, then again with upstream gone.
    pub async fn pulls_cold_and_offline(mut self, client: &dyn Puller) {
        self.pulls(client).await;
        self.stop_upstream().await;
        self.forgets(client).await;
        self.pulls(client).await;
        self.each_blob_crossed_once();
    }

    /// Both images arrive, and they are the ones that were pushed.
    pub async fn pulls(&self, client: &dyn Puller) {
        self.pulls_one(client, &IMAGE, self.image.manifest().digest)
            .await;
        self.pulls_one(client, &INDEX, self.index.manifest().digest)
            .await;
    }

    /// The same by all `clients` at the same time.
    pub async fn all_pull_at_once(&self, clients: &[Box<dyn Puller>]) {
        join_all(clients.iter().map(|client| self.pulls(client.as_ref()))).await;
    }

    /// The client's own copies go, so that its next pull is a whole one.
    pub async fn forgets(&self, client: &dyn Puller) {
        done(client, client.remove(&IMAGE).await);
        done(client, client.remove(&INDEX).await);
    }

    pub async fn stop_upstream(&mut self) {
        self.upstream.stop().await;
    }

    pub async fn restart_upstream(&mut self) {
        self.upstream
            .restart()
            .await
            .expect("upstream starts again");
    }

    /// Upstream sent every blob that an engine of this machine needs, and none of any kind twice.
    ///
    /// Upstream must be stopped: only then is its log complete.
    pub fn each_blob_crossed_once(&self) {
        let sent = self.upstream.blobs_sent();
        let again: Vec<_> = sent.iter().filter(|(_, times)| **times > 1).collect();
        assert!(again.is_empty(), "upstream sent again: {again:?}");
        let missing: Vec<Digest> = self
            .needed()
            .into_iter()
            .filter(|d| !sent.contains_key(d))
            .collect();
        assert!(missing.is_empty(), "upstream never sent: {missing:?}");
    }

    fn needed(&self) -> BTreeSet<Digest> {
        let child = self.index.child_for_this_machine();
        let blobs = self.image.blobs().iter().chain(child.blobs());
        blobs.map(|blob| blob.digest).collect()
    }

    async fn pulls_one(&self, client: &dyn Puller, image: &ImageName, expected: Digest) {
        let known = done(client, client.pull(image).await);
        assert!(
            known.contains(&expected),
            "{}: {image:?} is {expected}, it knows {known:?}",
            client.name()
        );
    }
}

fn done<T>(client: &dyn Puller, outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{}: {failure}", client.name()))
}
