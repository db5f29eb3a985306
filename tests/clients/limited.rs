//! A cache of limited size, as the guide of the product walks through it: made by API, with a real upstream and
//! skopeo as the client.

use std::path::Path;
use std::time::Duration;

use entrepot::model::{Member, TeamRole};
use serde_json::{Value, json};

use crate::harness::clients::cli::Cli;
use crate::harness::clients::{Client, require};
use crate::harness::distribution::Distribution;
use crate::harness::images::{Dialect, Image, Index};
use crate::harness::people::password;
use crate::harness::site::Site;

const REPOSITORY: &str = "projectquay/clair";
/// The versions of the guide, in the order in which they are pulled.
const VERSIONS: [&str; 3] = ["3.7.9", "3.6.2", "3.5.1"];
/// The guide has images of 60 to 70 MB; a hundredth of that is enough.
const LAYERS: [usize; 2] = [200_000, 430_000];

fn images() -> [Image; 3] {
    VERSIONS.map(|version| Image::for_this_machine(version, Dialect::Oci, &LAYERS))
}

/// What two and a half images take, as the guide has 150 MB.
fn quota(images: &[Image; 3]) -> u64 {
    let size = |image: &Image| {
        let blobs = image.blobs().iter().chain([image.manifest()]);
        blobs.map(|blob| blob.bytes.len() as u64).sum::<u64>()
    };
    images.iter().map(size).sum::<u64>() * 5 / 6
}

/// The organisation `acme`, a cache of a real registry, owned by `ann` and with the member `mia`.
struct Walk {
    // Before `upstream`, which it asks.
    site: Site,
    upstream: Distribution,
    skopeo: Cli,
    token: String,
}

impl Walk {
    async fn begin(registry: &Path, skopeo: &Path, quota: Option<u64>) -> Self {
        let upstream = Distribution::start(registry)
            .await
            .expect("upstream starts");
        let site = Site::start(|_| {}).await;
        let (root, ann) = (site.superuser("root").await, site.user("ann").await);
        let mia = site.user("mia").await;
        let acme = site.organization("acme", Some(ann)).await;
        site.team(acme, "readers", TeamRole::Member, &[Member::User(mia)])
            .await;
        if let Some(limit_bytes) = quota {
            let root = site.oauth_token(root, "super:user org:admin").await;
            let body = json!({"limit_bytes": limit_bytes});
            let made = site.api(&root).post("/organization/acme/quota", body).await;
            assert_eq!(made.status, 201, "{}", made.text());
        }
        let token = site.oauth_token(ann, "org:admin repo:admin").await;
        let upstream_registry = upstream.address().to_string();
        let body = json!({"upstream_registry": upstream_registry, "insecure": true});
        let made = site
            .api(&token)
            .post("/organization/acme/proxycache", body)
            .await;
        assert_eq!(made.status, 201, "{}", made.text());
        let skopeo = Cli::new(Client::Skopeo, skopeo);
        Self {
            site,
            upstream,
            skopeo,
            token,
        }
    }

    /// Has upstream hold the three versions.
    async fn publish(&self, images: &[Image; 3]) {
        for (version, image) in VERSIONS.iter().zip(images) {
            self.upstream.push_image(REPOSITORY, version, image).await;
        }
    }

    /// Copies a version to a new folder, as the member, and gives its manifest.
    async fn pull(&self, tag: &str, folder: &str) -> Vec<u8> {
        self.skopeo.does(self.copying(tag, folder)).await;
        self.site.settled().await;
        self.site.clock.advance(Duration::from_secs(1));
        self.skopeo.read(&format!("{folder}/manifest.json"))
    }

    fn copying(&self, tag: &str, folder: &str) -> String {
        let (address, password) = (self.site.address(), password("mia"));
        format!(
            "copy --all --src-tls-verify=false --src-creds mia:{password} \
             docker://{address}/acme/{REPOSITORY}:{tag} dir:{folder}"
        )
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = self.site.api(&self.token).get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The tags that the list of a repository's page has: without what has ended, which is history.
    async fn listed(&self) -> Vec<String> {
        let path = format!("/repository/acme/{REPOSITORY}/tag/?onlyActiveTags=true");
        let listed = self.ask(&path).await;
        let tags = listed["tags"].as_array().expect("a list of tags").iter();
        tags.map(|tag| tag["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Bytes that count for the organisation, as the API tells.
    async fn counted(&self) -> u64 {
        let shown = self.ask("/organization/acme").await;
        shown["quota_report"]["quota_bytes"].as_u64().unwrap()
    }
}

/// SC-260, SC-247, SC-259: under a quota that two images fit into, the third pull has the one go that was
/// used least recently; the API lists the other two, and they are pulled when upstream is gone.
#[tokio::test]
async fn of_three_images_the_least_recently_used_leaves_a_cache_that_holds_two() {
    let Some([registry, skopeo]) = require([Client::DockerRegistry, Client::Skopeo]) else {
        return;
    };
    let images = images();
    let quota = quota(&images);
    let mut walk = Walk::begin(&registry, &skopeo, Some(quota)).await;
    walk.publish(&images).await;
    for (version, image) in VERSIONS.iter().zip(&images) {
        let pulled = walk.pull(version, version).await;
        assert_eq!(pulled, image.manifest().bytes, "{version}");
        assert!(walk.counted().await <= quota);
    }
    let mut listed = walk.listed().await;
    listed.sort_unstable();
    assert_eq!(listed, ["3.5.1", "3.6.2"]);
    walk.upstream.stop().await;
    for (version, image) in VERSIONS.iter().zip(&images).skip(1) {
        let pulled = walk.pull(version, &format!("again-{version}")).await;
        assert_eq!(pulled, image.manifest().bytes, "{version}");
    }
    walk.skopeo.fails_to(walk.copying("3.7.9", "gone")).await;
}

/// SC-252, SC-259: a quota is optional. Without one nothing goes.
#[tokio::test]
async fn a_cache_without_a_quota_keeps_all_that_was_pulled() {
    let Some([registry, skopeo]) = require([Client::DockerRegistry, Client::Skopeo]) else {
        return;
    };
    let walk = Walk::begin(&registry, &skopeo, None).await;
    walk.publish(&images()).await;
    for version in VERSIONS {
        walk.pull(version, version).await;
    }
    assert_eq!(walk.listed().await.len(), 3);
    let evictions = walk
        .site
        .metric("entrepot_registry_evictions_total", &[])
        .await;
    assert_eq!(evictions, 0.0);
}

/// SC-262: what counts of a list in a cache is its children's blobs, beside the documents themselves.
#[tokio::test]
async fn the_children_of_a_list_count_in_a_cache() {
    let Some([registry, skopeo]) = require([Client::DockerRegistry, Client::Skopeo]) else {
        return;
    };
    let walk = Walk::begin(&registry, &skopeo, Some(1 << 30)).await;
    let index = Index::new("platforms", Dialect::Oci, &[300_000]);
    walk.upstream.push_index(REPOSITORY, "v1", &index).await;
    assert_eq!(walk.pull("v1", "v1").await, index.manifest().bytes);
    let children = index.children().iter();
    let blobs = children.clone().flat_map(Image::blobs);
    let documents = children.map(Image::manifest).chain([index.manifest()]);
    let bytes = blobs.chain(documents).map(|blob| blob.bytes.len() as u64);
    assert_eq!(walk.counted().await, bytes.sum::<u64>());
}
