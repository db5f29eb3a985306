//! The read path through real sockets: what a pull gets, and what upstream is asked for it.
//!
//! Upstream's request log is what is counted; time is the site's clock, moved by hand.

mod addressing;
mod cold_pull;
mod concurrent_pull;
mod hostile;
mod listings;
mod made;
mod offline;
mod prefetch;
mod private;
mod ranges;
mod revalidate;
mod upstream_faults;
mod warm_pull;

use std::time::Duration;

use bytes::Bytes;
use entrepot::config::Config;
use entrepot::model::UpstreamRule;
use entrepot::oci::Digest;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::site::{Answer, Site, rule};

/// The manifest of `library/app:v1`, here and upstream.
const BY_TAG: &str = "/v2/docker.io/library/app/manifests/v1";
const MANIFESTS: &str = "/v2/library/app/manifests/";
const BLOBS: &str = "/v2/library/app/blobs/";

/// A layer of many pieces.
const LARGE: usize = 1_000_000;

/// An upstream with one image, `library/app:v1`, and a site that caches it as docker.io.
async fn stage(layers: &[usize]) -> (Origin, Site, Image) {
    stage_with(layers, |_| {}, |_| {}).await
}

/// The same, with the cache and the site set up differently.
async fn stage_with(
    layers: &[usize],
    adjust_rule: impl FnOnce(&mut UpstreamRule),
    adjust: impl FnOnce(&mut Config),
) -> (Origin, Site, Image) {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, layers);
    origin.push_image("library/app", "v1", &image);
    let mut rule = rule("docker.io", "docker.io", &origin);
    adjust_rule(&mut rule);
    let site = Site::caching_with(vec![rule], adjust).await;
    (origin, site, image)
}

/// Upstream may stall for as long as the test likes.
fn patient(config: &mut Config) {
    config.deadlines.headers = Duration::from_secs(60);
    config.deadlines.idle = Duration::from_secs(60);
}

fn fresh_for_a_minute(rule: &mut UpstreamRule) {
    rule.fresh = Duration::from_secs(60);
}

fn manifest(reference: impl std::fmt::Display) -> String {
    format!("/v2/docker.io/library/app/manifests/{reference}")
}

/// Where a blob is, by its bytes.
fn blob(bytes: &Bytes) -> String {
    format!("/v2/docker.io/library/app/blobs/{}", Digest::of(bytes))
}

/// How the answer came about.
fn way(answer: &Answer) -> &str {
    answer.header("cache-status")
}

#[track_caller]
fn assert_is(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (status, code),
        "{}",
        answer.text()
    );
    assert!(
        !answer.headers.contains_key("www-authenticate"),
        "never upstream's challenge"
    );
    // The whole answer is the specification's document, nothing of upstream's.
    assert_eq!(answer.header("content-type"), "application/json");
}

/// A minute, and a little.
const LATER: Duration = Duration::from_secs(61);
