//! Tags and referrers: all pages, bounded, from registries of every kind.

use entrepot::oci::{Descriptor, Digest};
use entrepot::upstream::FailureKind;

use super::{Setup, name};
use crate::harness::content::{Image, referrer, referrers_index};
use crate::harness::origin::{Auth, Bearer, Fault, Origin};

const TAGS: &str = "/v2/org/app/tags/list";

async fn with_tags(tags: &[&str]) -> Origin {
    let origin = Origin::start().await;
    tags.iter()
        .for_each(|tag| origin.push_image("org/app", tag, &Image::small(1)));
    origin
}

async fn list(origin: &Origin) -> Result<Vec<String>, entrepot::upstream::Error> {
    let tags = Setup::of(origin)
        .build()
        .list_tags(&name("org/app"))
        .await?;
    Ok(tags.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn tags_of_all_pages_are_one_list() {
    let origin = with_tags(&["a", "b", "c", "d", "e"]).await;
    origin.page_by(2);
    origin.require(Auth::Bearer(Bearer::default()));
    assert_eq!(list(&origin).await.unwrap(), ["a", "b", "c", "d", "e"]);
    assert_eq!(origin.count("GET", TAGS), 4);
    assert_eq!(origin.last("GET", TAGS).query, "next_page=4");
}

#[tokio::test]
async fn what_is_no_tag_is_left_out_and_nothing_comes_twice() {
    let origin = Origin::start().await;
    let body = r#"{"name":"org/app","tags":["b","a","","a b","-x","a"],"child":[],"manifest":{}}"#;
    origin.once("GET", TAGS, Fault::Status(200, vec![], body));
    assert_eq!(list(&origin).await.unwrap(), ["a", "b"]);
    origin.once(
        "GET",
        TAGS,
        Fault::Status(200, vec![], r#"{"name":"org/app","tags":null}"#),
    );
    assert!(list(&origin).await.unwrap().is_empty());
}

#[tokio::test]
async fn pages_that_lead_away_or_round_fail_the_whole_list() {
    let elsewhere = Origin::start().await;
    for link in [
        elsewhere.url(TAGS),
        TAGS.to_owned(),
        "?next_page=0".to_owned(),
    ] {
        let origin = with_tags(&["a"]).await;
        let header = vec![("Link", Some(format!("<{link}>; rel=\"next\"")))];
        origin.always("GET", TAGS, Fault::Headers(header));
        let error = list(&origin).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Invalid, "{link}: {error}");
    }
    assert!(elsewhere.requests().is_empty());
}

/// DO-02: pages without end, lists without sense.
#[tokio::test]
async fn endless_pages_and_other_answers_are_refused() {
    let origin = with_tags(&["a"]).await;
    for (fault, kind) in [
        (Fault::Endless, FailureKind::TooLarge),
        (Fault::Html, FailureKind::Invalid),
        (Fault::Gzip, FailureKind::Encoded),
        (Fault::Status(200, vec![], "[]"), FailureKind::Invalid),
    ] {
        origin.once("GET", TAGS, fault);
        let error = list(&origin).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(list(&Origin::start().await).await.unwrap_err().is_absent());
}

/// An image with three signatures.
async fn with_referrers() -> (Origin, Digest, Vec<Digest>) {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("org/app", "latest", &image);
    let referrers = ["a", "b", "c"].map(|kind| referrer(&image.manifest, &format!("test/{kind}")));
    for referrer in &referrers {
        origin.push_manifest("org/app", None, referrer);
    }
    let digests = referrers.iter().map(|referrer| referrer.digest()).collect();
    (origin, image.digest(), digests)
}

async fn referrers(origin: &Origin, subject: &Digest) -> Vec<Digest> {
    let upstream = Setup::of(origin).build();
    let found = upstream
        .list_referrers(&name("org/app"), subject)
        .await
        .unwrap();
    found
        .iter()
        .map(|Descriptor { digest, .. }| *digest)
        .collect()
}

#[tokio::test]
async fn referrers_of_all_pages_are_one_list() {
    let (origin, subject, digests) = with_referrers().await;
    assert_eq!(referrers(&origin, &subject).await, digests);
    origin.page_by(1);
    assert_eq!(referrers(&origin, &subject).await, digests);
    assert!(referrers(&origin, &Digest::of(b"lonely")).await.is_empty());
    assert_eq!(origin.count("GET", "/v2/org/app/manifests/"), 0);
}

#[tokio::test]
async fn without_the_api_the_fallback_tag_is_read() {
    let (origin, subject, digests) = with_referrers().await;
    origin.without_referrers_api();
    assert!(referrers(&origin, &subject).await.is_empty());
    let manifest = Image::small(1).manifest;
    let signatures = ["a", "b", "c"].map(|kind| referrer(&manifest, &format!("test/{kind}")));
    let tag = format!("sha256-{}", subject.hex());
    origin.push_manifest("org/app", Some(&tag), &referrers_index(&signatures));
    assert_eq!(referrers(&origin, &subject).await, digests);
}

/// Routers say in their own ways that there is no such endpoint.
#[tokio::test]
async fn odd_refusals_of_the_api_lead_to_the_tag_too() {
    let (origin, subject, _) = with_referrers().await;
    let path = "/v2/org/app/referrers/";
    for status in [400, 405, 406, 501, 200] {
        origin.once("GET", path, Fault::Status(status, vec![], "{}"));
        assert!(referrers(&origin, &subject).await.is_empty(), "{status}");
    }
    assert_eq!(origin.count("GET", "/v2/org/app/manifests/sha256-"), 5);
    let upstream = Setup::of(&origin).build();
    origin.once("GET", path, Fault::Status(403, vec![], ""));
    let error = upstream
        .list_referrers(&name("org/app"), &subject)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Denied);
}
