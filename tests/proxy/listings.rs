//! Tags and referrers: upstream's together with what is held.

use std::time::Duration;

use entrepot::oci::Digest;
use serde_json::json;

use super::{BY_TAG, LATER, assert_is, manifest, stage, way};
use crate::harness::content::{Image, referrer, referrers_index};
use crate::harness::origin::{Fault, Origin};
use crate::harness::pass_time;
use crate::harness::site::{Answer, Site};

const TAGS: &str = "/v2/docker.io/library/app/tags/list";
const UPSTREAM: &str = "/v2/library/app/tags/list";

async fn tags(site: &Site) -> Vec<String> {
    let answer = site.get(TAGS).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_value(answer.json()["tags"].clone()).unwrap()
}

/// Upstream's tags in all their pages, and the held ones that upstream has no more.
#[tokio::test]
async fn tags_are_upstreams_and_those_held() {
    let (origin, site, image) = stage(&[10]).await;
    site.get(BY_TAG).await;
    origin.untag("library/app", "v1");
    for tag in ["a", "b", "c", "Z", "9"] {
        origin.push_image("library/app", tag, &image);
    }
    origin.page_by(2);
    assert_eq!(tags(&site).await, ["9", "Z", "a", "b", "c", "v1"]);
    assert_eq!(origin.count("GET", UPSTREAM), 3, "its pages");
    let some = site.get(&format!("{TAGS}?n=2&last=Z")).await;
    assert_eq!(some.json()["tags"], json!(["a", "b"]));
    assert_eq!(
        origin.count("GET", UPSTREAM),
        3,
        "a page of ours is no question to upstream"
    );
}

/// A minute long upstream is not asked again; then it is, and what it says counts.
#[tokio::test]
async fn a_list_is_upstreams_of_a_minute_ago_at_most() {
    let (origin, site, image) = stage(&[10]).await;
    assert_eq!(tags(&site).await, ["v1"]);
    origin.push_image("library/app", "v2", &image);
    site.clock.advance(Duration::from_secs(59));
    assert_eq!(tags(&site).await, ["v1"]);
    assert_eq!(origin.count("GET", UPSTREAM), 1);
    site.clock.advance(Duration::from_secs(1));
    assert_eq!(tags(&site).await, ["v1", "v2"]);
    assert_eq!(origin.count("GET", UPSTREAM), 2);
}

/// Upstream fails: its last list, marked; without one, what is held, marked; with nothing, the failure.
#[tokio::test]
async fn a_list_without_upstream_is_the_last_one_known() {
    for fault in [
        Fault::Status(500, vec![], ""),
        Fault::Status(401, vec![], ""),
        Fault::Status(429, vec![], ""),
        Fault::Html,
        Fault::HangUp,
        Fault::Content("application/json", "{\"tags\": 7}".into()),
    ] {
        let (origin, mut site, image) = stage(&[10]).await;
        origin.push_image("library/app", "v2", &image);
        site.get(BY_TAG).await;
        assert_eq!(tags(&site).await, ["v1", "v2"]);
        origin.always("GET", "/v2/", fault.clone());
        site.clock.advance(LATER);
        let stale = site.get(TAGS).await;
        assert_eq!(stale.json()["tags"], json!(["v1", "v2"]), "{fault:?}");
        assert!(way(&stale).contains("stale"), "{}", way(&stale));
        assert_eq!(stale.header("warning"), "110 - \"Response is Stale\"");
        site.restart().await;
        let held = site.get(TAGS).await;
        assert_eq!(held.json()["tags"], json!(["v1"]), "{fault:?}");
        assert_eq!(held.header("warning"), "110 - \"Response is Stale\"");
        let nothing = site.get("/v2/docker.io/library/other/tags/list").await;
        assert!(
            nothing.status.as_u16() >= 400 && !nothing.code().is_empty(),
            "{fault:?}"
        );
        assert!(!nothing.headers.contains_key("www-authenticate"));
        origin.heal();
        pass_time(Duration::from_secs(120)).await;
        assert_eq!(tags(&site).await, ["v1", "v2"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_list_of_nothing_is_unknown() {
    let (_origin, site, _) = stage(&[10]).await;
    assert_is(
        &site.get("/v2/docker.io/library/no/tags/list").await,
        404,
        "NAME_UNKNOWN",
    );
}

/// A list whose last page is missing would read as if the rest had been deleted.
#[tokio::test]
async fn half_a_list_is_none() {
    let (origin, site, image) = stage(&[10]).await;
    for tag in ["a", "b", "c"] {
        origin.push_image("library/app", tag, &image);
    }
    origin.page_by(2);
    origin.once("GET", UPSTREAM, Fault::Headers(vec![]));
    origin.always("GET", UPSTREAM, Fault::Status(500, vec![], ""));
    assert_is(&site.get(TAGS).await, 503, "UNAVAILABLE");
}

fn referrers(image: &Image) -> String {
    format!("/v2/docker.io/library/app/referrers/{}", image.digest())
}

fn digests(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let manifests = answer.json()["manifests"].as_array().unwrap().clone();
    let digest = |entry: serde_json::Value| entry["digest"].as_str().unwrap().to_owned();
    let mut digests: Vec<_> = manifests.into_iter().map(digest).collect();
    digests.sort();
    digests
}

fn sorted(digests: &[Digest]) -> Vec<String> {
    let mut digests: Vec<_> = digests.iter().map(ToString::to_string).collect();
    digests.sort();
    digests
}

/// Two signatures, one of which is held.
async fn signed() -> (Origin, Site, Image, [Digest; 2]) {
    let (origin, site, image) = stage(&[10]).await;
    let signatures = ["a/sbom", "a/signature"].map(|kind| referrer(&image.manifest, kind));
    for signature in &signatures {
        origin.push_manifest("library/app", None, signature);
    }
    site.get(&manifest(signatures[0].digest())).await;
    (
        origin,
        site,
        image,
        [signatures[0].digest(), signatures[1].digest()],
    )
}

/// The API of referrers, in pages; each once, whether held or not.
#[tokio::test]
async fn referrers_are_upstreams_and_those_held() {
    let (origin, mut site, image, all) = signed().await;
    origin.page_by(1);
    assert_eq!(digests(&site.get(&referrers(&image)).await), sorted(&all));
    let asked = origin.requests().len();
    assert_eq!(digests(&site.get(&referrers(&image)).await), sorted(&all));
    assert_eq!(origin.requests().len(), asked, "for a minute");
    origin.stop().await;
    site.clock.advance(LATER);
    let stale = site.get(&referrers(&image)).await;
    assert_eq!(digests(&stale), sorted(&all));
    assert_eq!(stale.header("warning"), "110 - \"Response is Stale\"");
    site.restart().await;
    assert_eq!(
        digests(&site.get(&referrers(&image)).await),
        sorted(&all[..1]),
        "the held one"
    );
}

/// A registry without the API has a tag for it.
#[tokio::test]
async fn referrers_come_from_the_fallback_tag_too() {
    let (origin, site, image, all) = signed().await;
    origin.without_referrers_api();
    assert_eq!(
        digests(&site.get(&referrers(&image)).await),
        sorted(&all[..1]),
        "the held one"
    );
    site.clock.advance(LATER);
    let other = referrer(&image.manifest, "a/other");
    let tag = image.digest().to_string().replace(':', "-");
    let listed = referrers_index(std::slice::from_ref(&other));
    origin.push_manifest("library/app", Some(&tag), &listed);
    let answer = site.get(&referrers(&image)).await;
    assert_eq!(digests(&answer), sorted(&[all[0], other.digest()]));
}

/// Nothing known is an empty list, never a 404: not even if upstream hides what it has not got.
#[tokio::test]
async fn no_referrers_are_an_empty_list() {
    let (origin, site, image) = stage(&[10]).await;
    assert!(digests(&site.get(&referrers(&image)).await).is_empty());
    let elsewhere = format!("/v2/docker.io/library/nosuch/referrers/{}", image.digest());
    assert!(digests(&site.get(&elsewhere).await).is_empty());
    origin.always("GET", "/v2/library/hidden/", Fault::Status(401, vec![], ""));
    let hidden = format!("/v2/docker.io/library/hidden/referrers/{}", image.digest());
    assert!(digests(&site.get(&hidden).await).is_empty());
    origin.stop().await;
    site.clock.advance(LATER);
    let unknown = format!("/v2/docker.io/library/app/referrers/{}", Digest::of(b"x"));
    assert_is(&site.get(&unknown).await, 503, "UNAVAILABLE");
}
