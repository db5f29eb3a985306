//! Tags, referrers and the catalogue.

use serde_json::json;

use super::stage;
use crate::harness::content::{Image, referrer};
use crate::harness::origin::Origin;
use crate::harness::site::{Answer, Site, rule};

/// Where the next page is.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link").strip_prefix('<')?;
    Some(
        link.strip_suffix(">; rel=\"next\"")
            .expect("a link to the next page")
            .to_owned(),
    )
}

/// Follows `Link` from page to page; what stands under `field`, a page an entry.
async fn pages(site: &Site, first: &str, field: &str) -> Vec<Vec<String>> {
    let (mut pages, mut path) = (Vec::new(), Some(first.to_owned()));
    while let Some(current) = path {
        let answer = site.get(&current).await;
        assert_eq!(answer.status, 200, "{current}: {}", answer.text());
        let json = answer.json();
        let entries = json[field]
            .as_array()
            .expect("a list, and never null")
            .iter();
        pages.push(
            entries
                .map(|entry| entry.as_str().unwrap().to_owned())
                .collect(),
        );
        assert!(pages.len() < 20, "the pages go round in circles");
        path = next(&answer);
    }
    pages
}

/// An upstream whose repository `library/app` has these tags.
async fn tagged(tags: &[&str]) -> (Origin, Site) {
    let origin = Origin::start().await;
    for tag in tags {
        origin.push_image("library/app", tag, &Image::small(1));
    }
    let site = Site::cache_of(&origin).await;
    (origin, site)
}

#[tokio::test]
async fn tags_come_in_byte_order_and_in_pages() {
    let (_origin, site) = tagged(&["b", "a", "B", "1.0", "_x", "a-1"]).await;
    let path = "/v2/docker.io/library/app/tags/list";
    let all = ["1.0", "B", "_x", "a", "a-1", "b"];
    assert_eq!(pages(&site, path, "tags").await, [all.to_vec()]);
    assert_eq!(site.get(path).await.json()["name"], "docker.io/library/app");
    let by_two = pages(&site, &format!("{path}?n=2"), "tags").await;
    assert_eq!(by_two, [&all[..2], &all[2..4], &all[4..]]);
    assert_eq!(pages(&site, &format!("{path}?n=6"), "tags").await.len(), 1);
    let after = pages(&site, &format!("{path}?last=C"), "tags").await;
    assert_eq!(
        after,
        [&all[2..]],
        "strictly after, whether it exists or not"
    );
    let none = site.get(&format!("{path}?n=0")).await;
    assert_eq!(
        (none.json()["tags"].clone(), none.header("link")),
        (json!([]), "")
    );
    for n in ["-1", "x", ""] {
        assert_eq!(site.get(&format!("{path}?n={n}")).await.status, 400, "{n}");
    }
}

/// A link keeps the way by which the client came.
#[tokio::test]
async fn a_link_keeps_name_and_ns() {
    let (_origin, site) = tagged(&["a", "b", "c"]).await;
    let path = "/v2/library/app/tags/list?ns=docker.io&n=1&more=1";
    let answer = site.get(path).await;
    assert_eq!(
        next(&answer).unwrap(),
        "/v2/library/app/tags/list?last=a&n=1&ns=docker.io"
    );
    assert_eq!(pages(&site, path, "tags").await.concat(), ["a", "b", "c"]);
    let answer = site.mirror_get("/v2/library/app/tags/list?n=1").await;
    assert_eq!(
        next(&answer).unwrap(),
        "/v2/library/app/tags/list?last=a&n=1"
    );
    assert_eq!(answer.json()["name"], "library/app");
}

#[tokio::test]
async fn referrers_are_an_index_whatever_is_asked() {
    let (origin, site, image) = stage(&[10]).await;
    let subject = image.digest();
    let (sbom, signature) = ("application/vnd.sbom+json", "application/vnd.sign+cbor");
    for artifact_type in [sbom, signature] {
        let artifact = referrer(&image.manifest, artifact_type);
        origin.push_manifest("library/app", None, &artifact);
    }
    let path = |query: &str| format!("/v2/docker.io/library/app/referrers/{subject}{query}");
    let types = |answer: &Answer| -> Vec<String> {
        let json = answer.json();
        assert_eq!(json["schemaVersion"], 2);
        assert_eq!(json["mediaType"], "application/vnd.oci.image.index.v1+json");
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.oci.image.index.v1+json"
        );
        let manifests = json["manifests"].as_array().expect("never null").iter();
        let mut types: Vec<_> = manifests
            .map(|entry| entry["artifactType"].as_str().unwrap().to_owned())
            .collect();
        types.sort();
        types
    };
    let all = site.get(&path("")).await;
    assert_eq!(types(&all), [sbom, signature]);
    assert_eq!(all.header("oci-filters-applied"), "");
    for query in [
        "?artifactType=application/vnd.sbom+json",
        "?artifactType=application%2Fvnd.sbom%2Bjson",
    ] {
        let some = site.get(&path(query)).await;
        assert_eq!(types(&some), [sbom], "{query}");
        assert_eq!(some.header("oci-filters-applied"), "artifactType");
    }
    let none = site.get(&path("?artifactType=none")).await;
    assert!(types(&none).is_empty());
    assert_eq!(none.header("oci-filters-applied"), "artifactType");
    let unknown = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for repository in ["library/app", "library/nosuch"] {
        let path = format!("/v2/docker.io/{repository}/referrers/{unknown}");
        assert!(types(&site.get(&path).await).is_empty(), "{repository}");
    }
    let bad = site
        .get("/v2/docker.io/library/app/referrers/sha256:x")
        .await;
    assert_eq!((bad.status.as_u16(), &*bad.code()), (400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn the_catalogue_is_empty_unless_it_is_public() {
    let (_origin, site, _) = stage(&[10]).await;
    site.pull("docker.io/library/app", "v1").await;
    assert_eq!(
        site.get("/v2/_catalog").await.json(),
        json!({"repositories": []})
    );
}

#[tokio::test]
async fn the_public_catalogue_shows_what_is_held_in_pages() {
    let origin = Origin::start().await;
    for repository in ["library/b", "library/a", "x/y"] {
        origin.push_image(repository, "v1", &Image::small(1));
    }
    let mut private = rule("private", "private.example", &origin);
    private.anonymous_pull = false;
    let rules = vec![
        rule("docker.io", "docker.io", &origin),
        rule("ghcr.io", "ghcr.io", &origin),
        private,
    ];
    let site = Site::start(|config| {
        config.upstreams = rules;
        config.features.public_catalog = true;
    })
    .await;
    for name in ["docker.io/library/b", "docker.io/library/a", "ghcr.io/x/y"] {
        site.pull(name, "v1").await;
    }
    let all = ["docker.io/library/a", "docker.io/library/b", "ghcr.io/x/y"];
    assert_eq!(
        pages(&site, "/v2/_catalog", "repositories").await,
        [all.to_vec()]
    );
    let by_one = pages(&site, "/v2/_catalog?n=1", "repositories").await;
    assert_eq!(by_one, [&all[..1], &all[1..2], &all[2..]]);
    let after = pages(
        &site,
        "/v2/_catalog?last=docker.io/library/aa",
        "repositories",
    )
    .await;
    assert_eq!(after, [&all[1..]]);
    assert_eq!(site.get("/v2/_catalog?n=x").await.status, 400);
}
