//! Which organisation a request is for.

use entrepot::config::RegistryMirror;
use reqwest::Method;

use super::{assert_is, stage};
use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::site::{Site, rule};

/// The seed of the image is the number of the upstream.
async fn upstream(number: u64, repositories: &[&str]) -> Origin {
    let origin = Origin::start().await;
    for repository in repositories {
        origin.push_image(repository, "v1", &Image::small(number));
    }
    origin
}

fn digest_of(number: u64) -> String {
    Image::small(number).digest().to_string()
}

/// SC-239: a whole registry, or one namespace of it: the others are not to be reached.
/// SC-254: the namespace is then left out of the path.
#[tokio::test]
async fn a_cache_of_a_namespace_reaches_nothing_else() {
    let origin = upstream(1, &["team/app", "other/app", "app", "team/deep/app"]).await;
    let rules = vec![
        rule("team", "quay.io/team", &origin),
        rule("all", "quay.io", &origin),
    ];
    let site = Site::caching(rules).await;
    for (name, remote) in [
        ("team/app", "team/app"),
        ("team/deep/app", "team/deep/app"),
        ("all/team/app", "team/app"),
        ("all/other/app", "other/app"),
        ("all/app", "app"),
    ] {
        site.pull(name, "v1").await;
        assert_eq!(origin.count("GET", &format!("/v2/{remote}/manifests/")), {
            // `team/app` is pulled as two repositories, which share no rights.
            usize::from(remote == "team/app" && name.starts_with("all")) + 1
        });
    }
    for name in ["team/other/app", "team/team/app"] {
        let answer = site.get(&format!("/v2/{name}/manifests/v1")).await;
        assert_is(&answer, 404, "MANIFEST_UNKNOWN");
        assert_eq!(origin.count("GET", &format!("/v2/team/{name}/")), 0);
    }
    let asked = origin.requests();
    let below = asked
        .iter()
        .filter(|request| request.path.contains("/team/other/app/"));
    assert_eq!(below.count(), 1, "it was looked for inside the namespace");
    let only_team = Site::caching(vec![rule("team", "quay.io/team", &origin)]).await;
    let before = origin.requests().len();
    for path in [
        "/v2/other/app/manifests/v1?ns=quay.io",
        "/v2/app/manifests/v1?ns=quay.io",
    ] {
        assert_is(&only_team.get(path).await, 404, "NAME_UNKNOWN");
    }
    assert_eq!(origin.requests().len(), before);
    let inside = only_team.get("/v2/team/app/manifests/v1?ns=quay.io").await;
    assert_eq!(inside.header("docker-content-digest"), digest_of(1));
}

/// Docker Hub's short names mean `library/`; other upstreams' short names mean themselves.
#[tokio::test]
async fn one_component_of_docker_io_is_below_library() {
    let hub = upstream(1, &["library/alpine"]).await;
    let other = upstream(2, &["alpine"]).await;
    let rules = vec![
        rule("docker.io", "docker.io", &hub),
        rule("ghcr.io", "ghcr.io", &other),
    ];
    let site = Site::caching(rules).await;
    for name in ["docker.io/alpine", "docker.io/library/alpine"] {
        site.pull(name, "v1").await;
    }
    assert_eq!(
        hub.count("GET", "/v2/library/alpine/manifests/"),
        1,
        "one repository, not two"
    );
    assert_eq!(site.mirror_get("/v2/alpine/manifests/v1").await.status, 200);
    let answer = site.get("/v2/alpine/manifests/v1?ns=docker.io").await;
    assert_eq!(answer.header("docker-content-digest"), digest_of(1));
    let answer = site.get("/v2/ghcr.io/alpine/manifests/v1").await;
    assert_eq!(answer.header("docker-content-digest"), digest_of(2));
    assert_eq!(other.count("GET", "/v2/library/"), 0);
    assert_eq!(hub.count("GET", "/v2/library/alpine/manifests/"), 1);
}

/// Listener before `?ns=`, `?ns=` before the first component.
#[tokio::test]
async fn the_ways_of_naming_an_organisation_have_an_order() {
    let hub = upstream(1, &["library/app", "ghcr.io/app"]).await;
    let github = upstream(2, &["library/app", "docker.io/app", "app"]).await;
    let rules = vec![
        rule("docker.io", "docker.io", &hub),
        rule("ghcr.io", "ghcr.io", &github),
    ];
    let site = Site::caching(rules).await;
    let digest = async |path: &str| {
        let answer = site.get(path).await;
        answer.header("docker-content-digest").to_owned()
    };
    let hub_image = digest_of(1);
    let github_image = digest_of(2);
    assert_eq!(
        digest("/v2/docker.io/library/app/manifests/v1").await,
        hub_image
    );
    assert_eq!(
        digest("/v2/library/app/manifests/v1?ns=ghcr.io").await,
        github_image
    );
    assert_eq!(
        digest("/v2/ghcr.io/app/manifests/v1?ns=ghcr.io").await,
        github_image
    );
    // The first component is an organisation, but of another upstream: then it is a name there.
    assert_eq!(
        digest("/v2/docker.io/app/manifests/v1?ns=ghcr.io").await,
        github_image
    );
    assert_eq!(github.count("GET", "/v2/docker.io/app/"), 1);
    for path in [
        "/v2/library/app/manifests/v1?ns=ghcr.io",
        "/v2/app/manifests/v1?ns=nobody",
    ] {
        let answer = site.mirror_get(path).await;
        assert_eq!(answer.header("docker-content-digest"), hub_image, "{path}");
    }
    // At a mirror a name that begins like an organisation is still a name of the mirrored one.
    let answer = site.mirror_get("/v2/ghcr.io/app/manifests/v1").await;
    assert_eq!(answer.header("docker-content-digest"), hub_image);
    assert_eq!(hub.count("GET", "/v2/ghcr.io/app/manifests/"), 1);
}

#[tokio::test]
async fn a_hostname_serves_an_organisation_at_the_root() {
    let origin = upstream(1, &["library/app"]).await;
    let site = Site::start(|config| {
        config.upstreams = vec![rule("docker.io", "docker.io", &origin)];
        config.registry_mirrors = vec![RegistryMirror {
            organization: "docker.io".parse().unwrap(),
            listen: None,
            hostname: Some("mirror.example".to_owned()),
        }];
    })
    .await;
    for host in ["mirror.example", "MIRROR.example:8080"] {
        let answer = site
            .get_with("/v2/library/app/manifests/v1", &[("host", host)])
            .await;
        assert_eq!(
            answer.header("docker-content-digest"),
            digest_of(1),
            "{host}"
        );
        let answer = site
            .get_with("/v2/app/tags/list?ns=quay.io", &[("host", host)])
            .await;
        assert_eq!(answer.json()["tags"], serde_json::json!(["v1"]));
    }
    let answer = site
        .get_with("/v2/library/app/manifests/v1", &[("host", "other")])
        .await;
    assert_is(&answer, 404, "NAME_UNKNOWN");
}

/// The names that Docker Hub has, and what nobody serves: 404 at once, so that the client falls back.
#[tokio::test]
async fn ns_is_normalised_and_only_ever_what_is_configured() {
    let (origin, site, image) = stage(&[10]).await;
    for ns in [
        "docker.io",
        "DOCKER.IO",
        "index.docker.io",
        "registry-1.docker.io",
        "registry.hub.docker.com",
        "https://docker.io",
        "docker%2Eio",
        "",
    ] {
        let name = if ns.is_empty() {
            "docker.io/library/app"
        } else {
            "library/app"
        };
        let answer = site.get(&format!("/v2/{name}/manifests/v1?ns={ns}")).await;
        let digest = answer.header("docker-content-digest");
        assert_eq!(digest, image.digest().to_string(), "{ns}");
    }
    let asked = origin.requests().len();
    let own = site.address().to_string();
    for ns in [
        "nobody.example",
        "docker.io:5000",
        "169.254.169.254",
        "http://127.0.0.1:1",
        "user@docker.io",
        "docker.io%00",
        "docker.io%0d%0a",
        "docker.io%23x",
        "%2e%2e",
        "..",
        &own,
    ] {
        for rest in ["manifests/v1", "tags/list"] {
            let answer = site.get(&format!("/v2/library/app/{rest}?ns={ns}")).await;
            assert_is(&answer, 404, "NAME_UNKNOWN");
        }
    }
    assert_eq!(origin.requests().len(), asked);
    assert_eq!(origin.connections(), 1);
}

/// What nobody configured is never fetched, whoever asks and however.
#[tokio::test]
async fn an_unknown_organisation_is_not_found_and_nobody_is_asked() {
    let (origin, site, _) = stage(&[10]).await;
    for name in [
        "quay.io/app/app",
        "app",
        "localhost/app",
        "docker.iox/app",
        "library/app",
    ] {
        for rest in ["manifests/v1", "tags/list"] {
            assert_is(
                &site.get(&format!("/v2/{name}/{rest}")).await,
                404,
                "NAME_UNKNOWN",
            );
        }
    }
    assert_eq!(origin.requests().len(), 0);
}

/// A cache is read, by whatever way it is reached.
#[tokio::test]
async fn writes_are_refused_at_every_entrance() {
    let (origin, site, _) = stage(&[10]).await;
    for url in [
        site.url("/v2/docker.io/library/app/blobs/uploads/"),
        site.url("/v2/library/app/blobs/uploads/?ns=docker.io"),
        site.mirror_url("/v2/library/app/blobs/uploads/"),
        site.mirror_url("/v2/library/app/blobs/uploads/?mount=sha256:00&from=library/b"),
    ] {
        let answer = site
            .ask(Method::POST, &url, &[("content-length", "0")])
            .await;
        assert_is(&answer, 405, "UNSUPPORTED");
        assert!(
            answer.text().contains("docker.io is a cache"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(origin.requests().len(), 0);
}

/// CA-17: the same names of two upstreams are different things.
#[tokio::test]
async fn two_caches_with_the_same_names_never_cross() {
    let (one, two) = (
        upstream(1, &["library/app"]).await,
        upstream(2, &["library/app"]).await,
    );
    let rules = vec![
        rule("one.example", "one.example", &one),
        rule("two.example", "two.example", &two),
    ];
    let site = Site::caching(rules).await;
    for _ in 0..2 {
        for (ns, number) in [("one.example", 1), ("two.example", 2)] {
            for path in [
                format!("/v2/{ns}/library/app/manifests/v1"),
                format!("/v2/library/app/manifests/v1?ns={ns}"),
            ] {
                let answer = site.get(&path).await;
                assert_eq!(
                    answer.header("docker-content-digest"),
                    digest_of(number),
                    "{path}"
                );
            }
        }
    }
    // What one has and the other has not is not there.
    one.push_image("library/only", "v1", &Image::small(3));
    site.pull("one.example/library/only", "v1").await;
    for rest in ["manifests/v1", &format!("manifests/{}", digest_of(3))] {
        let answer = site
            .get(&format!("/v2/two.example/library/only/{rest}"))
            .await;
        assert_is(&answer, 404, "MANIFEST_UNKNOWN");
    }
    two.push_image("library/only", "v2", &Image::small(4));
    let tags = async |organization: &str| {
        let path = format!("/v2/{organization}/library/only/tags/list");
        site.get(&path).await.json()["tags"].clone()
    };
    assert_eq!(tags("one.example").await, serde_json::json!(["v1"]));
    assert_eq!(tags("two.example").await, serde_json::json!(["v2"]));
}
