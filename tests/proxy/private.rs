//! Who may read what others brought here, and whose account upstream is asked with.

use entrepot::model::{Credentials, PasswordSource, Secret, UpstreamRule};
use entrepot::oci::Digest;
use reqwest::Method;

use super::{assert_is, way};
use crate::harness::content::{Image, bytes};
use crate::harness::origin::{Auth, Bearer, Fault, Origin};
use crate::harness::site::{Site, rule};

/// A private cache and a public one of different upstreams; the private one is warm.
async fn two_caches() -> (Origin, Origin, Site, Image) {
    let (inner, outer) = (Origin::start().await, Origin::start().await);
    let image = Image::small(1);
    inner.push_image("app", "v1", &image);
    outer.push_image("app", "v1", &Image::small(2));
    let rules = vec![
        rule("private", "private.example", &inner),
        rule("public", "public.example", &outer),
    ];
    let mut site = Site::caching(rules).await;
    site.pull("private/app", "v1").await;
    site.settled().await;
    site.change_rule(|rule| rule.anonymous_pull = false).await;
    (inner, outer, site, image)
}

fn paths(organization: &str, image: &Image) -> Vec<String> {
    let mut rest = vec![
        "manifests/v1".to_owned(),
        format!("manifests/{}", image.digest()),
        "tags/list".to_owned(),
        format!("referrers/{}", image.digest()),
    ];
    rest.extend(
        image
            .blobs()
            .map(|blob| format!("blobs/{}", Digest::of(blob))),
    );
    rest.iter()
        .map(|rest| format!("/v2/{organization}/app/{rest}"))
        .collect()
}

/// AZ-04, SC-250: what a private cache holds is denied to those without a right, hit or not. (There are
/// no accounts yet, so nobody has one.)
#[tokio::test]
async fn a_private_cache_is_denied_even_for_what_it_holds() {
    let (inner, _outer, site, image) = two_caches().await;
    let asked = inner.requests().len();
    for path in paths("private", &image) {
        for headers in [
            &[][..],
            &[("range", "bytes=0-1")],
            &[("if-none-match", "*")],
        ] {
            let answer = site.get_with(&path, headers).await;
            assert_is(&answer, 403, "DENIED");
            assert!(
                !answer.headers.contains_key("docker-content-digest"),
                "{path}"
            );
        }
        assert_eq!(site.head(&path).await.status, 403);
        let by_ns = format!("{}?ns=private.example", path.replace("/private/", "/"));
        assert_is(&site.get(&by_ns).await, 403, "DENIED");
        let mirror = site.mirror_url(&path.replace("/private/", "/"));
        assert_is(&site.ask(Method::GET, &mirror, &[]).await, 403, "DENIED");
    }
    assert_eq!(inner.requests().len(), asked);
}

/// AZ-01, AZ-04: a digest is no right to what another repository brought here.
#[tokio::test]
async fn a_digest_alone_opens_nothing() {
    let (_inner, outer, site, image) = two_caches().await;
    let unknown = Digest::of(b"nobody has this");
    for blob in image.blobs() {
        let digest = Digest::of(blob);
        for (method, headers) in [
            (Method::HEAD, &[][..]),
            (Method::GET, &[][..]),
            (Method::GET, &[("range", "bytes=0-0")]),
            (Method::GET, &[("if-none-match", "*")]),
        ] {
            for repository in ["app", "other"] {
                let at = |digest| site.url(&format!("/v2/public/{repository}/blobs/{digest}"));
                let known = site.ask(method.clone(), &at(digest), headers).await;
                let absent = site.ask(method.clone(), &at(unknown), headers).await;
                assert_eq!(known.status, 404, "{method} {headers:?}");
                assert_eq!(known.status, absent.status);
                assert_eq!(
                    known.headers.len(),
                    absent.headers.len(),
                    "told apart by nothing"
                );
            }
        }
    }
    let by_digest = format!("/v2/public/app/manifests/{}", image.digest());
    assert_is(&site.get(&by_digest).await, 404, "MANIFEST_UNKNOWN");
    // Offline nothing can be proved: then it is not there.
    outer.stop().await;
    let digest = Digest::of(&image.layers[0]);
    let unproved = site.get(&format!("/v2/public/app/blobs/{digest}")).await;
    assert_ne!(unproved.status, 200, "{}", way(&unproved));
}

/// AZ-04: whoever can have upstream hold a manifest could name any digest in it; bytes that only a
/// private organisation holds are given to those whose upstream has them.
#[tokio::test]
async fn a_manifest_that_names_private_bytes_does_not_open_them() {
    let (inner, outer, site, image) = two_caches().await;
    outer.push_manifest("app", Some("bait"), &image.manifest);
    assert_eq!(site.get("/v2/public/app/manifests/bait").await.status, 200);
    let digest = Digest::of(&image.layers[0]);
    let path = format!("/v2/public/app/blobs/{digest}");
    assert_is(&site.get(&path).await, 404, "BLOB_UNKNOWN");
    outer.stop().await;
    let unproved = site.get(&path).await;
    assert_ne!(unproved.status, 200, "{}", way(&unproved));

    outer.restart().await;
    outer.push_blob("app", &image.layers[0]);
    let no_cache = [("cache-control", "no-cache")];
    site.get_with("/v2/public/app/manifests/bait", &no_cache)
        .await;
    site.clock.advance(std::time::Duration::from_secs(60));
    crate::harness::pass_time(std::time::Duration::from_secs(120)).await;
    let proved = site.get(&path).await;
    assert_eq!(proved.body, image.layers[0], "{}", way(&proved));
    assert_eq!(inner.count("GET", &format!("/v2/app/blobs/{digest}")), 1);
}

/// AZ-01, AZ-04: neither do bytes that are on their way for another.
#[tokio::test]
async fn a_fill_for_one_repository_opens_nothing_to_another() {
    let (inner, outer) = (Origin::start().await, Origin::start().await);
    let content = bytes(3, 1_000_000);
    inner.push_blob("app", &content);
    outer.push_blob("app", &bytes(4, 10));
    let rules = vec![
        rule("inner", "inner.example", &inner),
        rule("outer", "outer.example", &outer),
    ];
    let site = Site::caching_with(rules, super::patient).await;
    inner.once("GET", "/v2/app/blobs/", Fault::StallAt(500_000));
    let digest = Digest::of(&content);
    let rightful = site
        .begin(&format!("/v2/inner/app/blobs/{digest}"), &[])
        .await;
    let other = site.get(&format!("/v2/outer/app/blobs/{digest}")).await;
    assert_is(&other, 404, "BLOB_UNKNOWN");
    inner.release();
    assert!(rightful.bytes().await.unwrap() == content);
}

/// What upstream says a repository has is linked, not fetched again.
#[tokio::test]
async fn held_bytes_are_linked_where_upstream_vouches_for_them() {
    let (one, two) = (Origin::start().await, Origin::start().await);
    let content = bytes(3, 1_000_000);
    let digest = one.push_blob("app", &content);
    two.push_blob("app", &content);
    let rules = vec![
        rule("one", "one.example", &one),
        rule("two", "two.example", &two),
    ];
    let site = Site::caching(rules).await;
    let at = |organization: &str| format!("/v2/{organization}/app/blobs/{digest}");
    assert!(site.get(&at("one")).await.body == content);
    site.settled().await;
    let linked = site.get(&at("two")).await;
    assert!(linked.body == content);
    assert!(way(&linked).contains("validated"), "{}", way(&linked));
    let fetched = [("organization", "two")];
    assert_eq!(
        site.metric("entrepot_proxy_fetched_bytes_total", &fetched)
            .await,
        0.0
    );
    two.stop().await;
    assert_eq!(way(&site.get(&at("two")).await), "entrepot; hit");
    // Where a manifest of the repository names it, that is the proof.
    let image = Image::small(9);
    one.push_image("app", "v1", &image);
    site.pull("one/app", "v1").await;
    site.settled().await;
    two.restart().await;
    crate::harness::pass_time(std::time::Duration::from_secs(120)).await;
    two.push_image("other", "v1", &image);
    site.get("/v2/two/other/manifests/v1").await;
    let path = format!("/v2/two/other/blobs/{}", Digest::of(&image.layers[0]));
    assert_eq!(site.get(&path).await.body, image.layers[0]);
    assert_eq!(two.count("GET", "/v2/other/blobs/"), 0);
}

fn with_account(rule: &mut UpstreamRule, password: &str) {
    rule.credentials = Some(Credentials {
        username: "puller".to_owned(),
        password: PasswordSource::Value(Secret::new(password)),
    });
}

/// SC-236: with the account upstream asks for a pull works, without it there is nothing; a wrong one is
/// the operator's trouble and is said so.
#[tokio::test]
async fn an_upstream_with_accounts_is_pulled_from_with_the_configured_one() {
    let bearer = Bearer {
        account: Some(("puller", "right")),
        ..Bearer::default()
    };
    for auth in [
        Auth::Basic {
            user: "puller",
            password: "right",
        },
        Auth::Bearer(bearer),
    ] {
        let origin = Origin::start().await;
        let image = Image::small(1);
        origin.push_image("app", "v1", &image);
        origin.require(auth);
        let mut rules = vec![
            rule("without", "registry.example", &origin),
            rule("wrong", "registry.example", &origin),
            rule("right", "registry.example", &origin),
        ];
        with_account(&mut rules[1], "wrong");
        with_account(&mut rules[2], "right");
        let site = Site::caching(rules).await;
        for path in [
            "manifests/v1",
            &format!("blobs/{}", Digest::of(&image.layers[0])),
        ] {
            let without = site.get(&format!("/v2/without/app/{path}")).await;
            assert_is(&without, 404, "NAME_UNKNOWN");
            let wrong = site.get(&format!("/v2/wrong/app/{path}")).await;
            assert_is(&wrong, 502, "UNAVAILABLE");
            assert!(
                wrong.text().contains("account configured for wrong"),
                "{}",
                wrong.text()
            );
            assert!(!wrong.text().contains("puller"));
        }
        let pulled = site.pull("right/app", "v1").await;
        assert_eq!(pulled.body, image.manifest.bytes);
        // What the right one brought is not for the others.
        for organization in ["without", "wrong"] {
            for path in paths(organization, &image) {
                let answer = site.get(&path).await;
                // A list of referrers is never refused, only empty.
                let is_empty = answer.text().contains("\"manifests\":[]");
                assert!(
                    answer.status != 200 || is_empty,
                    "{path}: {}",
                    answer.text()
                );
            }
        }
    }
}

/// UP-02, UP-01: a client's own credentials are nobody else's business.
#[tokio::test]
async fn credentials_of_clients_stay_here() {
    let origin = Origin::start().await;
    origin.push_image("library/app", "v1", &Image::small(1));
    origin.require(Auth::Bearer(Bearer::default()));
    let site = Site::cache_of(&origin).await;
    let login = [("authorization", "Basic aHViOnNlY3JldA==")];
    let path = "/v2/library/app/manifests/v1";
    let answer = site.ask(Method::GET, &site.mirror_url(path), &login).await;
    assert_eq!(answer.status, 200);
    for request in origin.requests() {
        let sent = request.header("authorization");
        assert!(
            sent.is_none_or(|sent| !sent.contains("aHViOnNlY3JldA==")),
            "{request:?}"
        );
    }
}
