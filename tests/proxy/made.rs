//! Organisations that make themselves caches while the site runs (Quay: proxy cache configurations).
//!
//! The doors are tested in `tests/api/proxycache.rs`; here, what a cache made in this way does with content.

use std::time::Duration;

use entrepot::config::AllowedHost;
use entrepot::model::{Actor, Grantee, Member, Performer, Role, Secret, TeamRole, Visibility};
use entrepot::proxy::{CacheError, NewCache, Trial};
use reqwest::Method;

use super::assert_is;
use crate::harness::content::Image;
use crate::harness::origin::{Auth, Bearer, Origin};
use crate::harness::people::{Asked, Who};
use crate::harness::site::{Site, rule};

/// What caches `origin`, without an account.
fn cache_of(origin: &Origin) -> NewCache {
    NewCache {
        upstream: origin.address().to_string(),
        username: None,
        password: None,
        expiration_s: 86_400,
        insecure: true,
    }
}

fn with_account(origin: &Origin, password: &str) -> NewCache {
    NewCache {
        username: Some(Secret::new("robot-at-upstream")),
        password: Some(Secret::new(password)),
        ..cache_of(origin)
    }
}

async fn make(site: &Site, organization: &str, new: &NewCache) -> Result<(), CacheError> {
    let name = organization.parse().unwrap();
    let by = Performer::from(Actor::System);
    site.proxy().make_cache(&name, new, &by).await
}

async fn unmake(site: &Site, organization: &str) -> Result<(), CacheError> {
    let name = organization.parse().unwrap();
    let by = Performer::from(Actor::System);
    site.proxy().unmake_cache(&name, &by).await
}

async fn attempt(site: &Site, organization: &str, new: &NewCache) -> Result<Trial, CacheError> {
    let name = organization.parse().unwrap();
    site.proxy().try_cache(&name, new).await
}

/// An upstream with `app:v1`, and a site with the organisation `acme`: owner `ann`, member `mia`; `max` is
/// in no team of it.
async fn stage() -> (Origin, Site, Image) {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("app", "v1", &image);
    let site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    let mia = site.user("mia").await;
    site.user("max").await;
    let acme = site.organization("acme", Some(ann)).await;
    site.team(acme, "readers", TeamRole::Member, &[Member::User(mia)])
        .await;
    (origin, site, image)
}

async fn pull_status(site: &Site, who: &Who, repository: &str, reference: &str) -> u16 {
    let path = format!("/v2/{repository}/manifests/{reference}");
    site.get_as(who, &path).await.status.as_u16()
}

/// Everything of an image as somebody, manifest and blobs.
async fn pull_as(site: &Site, who: &Who, repository: &str, image: &Image) {
    assert_eq!(pull_status(site, who, repository, "v1").await, 200);
    for blob in image.blobs() {
        let digest = entrepot::oci::Digest::of(blob);
        let path = format!("/v2/{repository}/blobs/{digest}");
        assert_eq!(site.get_as(who, &path).await.body, *blob);
    }
}

/// SC-250, AZ-04, AZ-05: from the answer on, without a restart, members pull what upstream has, once; others
/// are told nothing, and nobody writes.
#[tokio::test]
async fn an_organisation_that_becomes_a_cache_serves_its_members_at_once() {
    let (origin, site, image) = stage().await;
    let (ann, mia, max) = (Who::user("ann"), Who::user("mia"), Who::user("max"));
    assert_eq!(pull_status(&site, &mia, "acme/app", "v1").await, 403);
    make(&site, "acme", &cache_of(&origin)).await.unwrap();

    pull_as(&site, &mia, "acme/app", &image).await;
    site.settled().await;
    pull_as(&site, &ann, "acme/app", &image).await;
    assert_eq!(origin.count("GET", "/v2/app/blobs/"), 2, "each blob once");
    assert_eq!(origin.count("GET", "/v2/app/manifests/"), 1);

    for path in ["acme/app", "acme/other"] {
        assert_eq!(pull_status(&site, &max, path, "v1").await, 403);
        assert_eq!(pull_status(&site, &Who::Nobody, path, "v1").await, 401);
    }
    site.superuser("root").await;
    let root = pull_status(&site, &Who::user("root"), "acme/app", "v1").await;
    assert_eq!(root, 403, "its content is its members'");
    for repository in ["acme/app", "acme/new"] {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let asked = Asked::new(Method::POST, path);
        let answer = site.ask_as(&ann, &asked).await;
        assert_is(&answer, 405, "UNSUPPORTED");
    }
}

/// DESIGN, "Who may pull from a cache": holders of read on a repository pull it, and nothing else.
#[tokio::test]
async fn a_reader_of_one_repository_pulls_that_one() {
    let (origin, site, image) = stage().await;
    origin.push_image("other", "v1", &Image::small(2));
    make(&site, "acme", &cache_of(&origin)).await.unwrap();
    let (mia, max) = (Who::user("mia"), Who::user("max"));
    pull_as(&site, &mia, "acme/app", &image).await;
    let (id, _) = site.accounts().user_by_name("max").await.unwrap().unwrap();
    site.grant("acme/app", Grantee::User(id), Role::Read).await;
    pull_as(&site, &max, "acme/app", &image).await;
    assert_eq!(pull_status(&site, &max, "acme/other", "v1").await, 403);
}

/// The rule is in the store, its account too, sealed (AU-10).
#[tokio::test]
async fn a_cache_is_one_again_after_a_restart() {
    let (origin, mut site, image) = stage().await;
    origin.require(Auth::Bearer(Bearer {
        account: Some(("robot-at-upstream", "hunter2-hunter2")),
        ..Bearer::default()
    }));
    let new = with_account(&origin, "hunter2-hunter2");
    make(&site, "acme", &new).await.unwrap();
    site.restart().await;
    pull_as(&site, &Who::user("mia"), "acme/app", &image).await;

    site.stop().await;
    let file = site.config.data_dir.join("entrepot.redb");
    let bytes = std::fs::read(file).unwrap();
    for secret in ["robot-at-upstream", "hunter2-hunter2"] {
        let found = bytes
            .windows(secret.len())
            .any(|at| at == secret.as_bytes());
        assert!(!found, "{secret} lies in the store in clear text");
    }
}

/// Quay: repositories and content stay when the configuration goes, readable by who could read them; no
/// upstream is asked any more. SC-255: it can be made a cache again.
#[tokio::test]
async fn a_cache_that_is_none_any_more_keeps_what_it_fetched() {
    let (origin, site, image) = stage().await;
    let (ann, mia, max) = (Who::user("ann"), Who::user("mia"), Who::user("max"));
    make(&site, "acme", &cache_of(&origin)).await.unwrap();
    pull_as(&site, &mia, "acme/app", &image).await;
    site.settled().await;
    unmake(&site, "acme").await.unwrap();

    let asked = origin.requests().len();
    site.clock.advance(Duration::from_secs(7 * 86_400));
    site.registry().recall_forgotten().await.unwrap();
    let budget = entrepot::registry::Budget::UNBOUNDED;
    site.registry().collect(budget).await.unwrap();
    pull_as(&site, &mia, "acme/app", &image).await;
    assert_eq!(pull_status(&site, &mia, "acme/app", "v2").await, 404);
    assert_eq!(pull_status(&site, &max, "acme/app", "v1").await, 403);
    assert_eq!(origin.requests().len(), asked, "upstream is asked no more");

    site.push_as(&ann, "acme/own", "v1", &Image::small(3)).await;
    let upload = Asked::new(Method::POST, "/v2/acme/app/blobs/uploads/");
    assert_is(&site.ask_as(&ann, &upload).await, 405, "UNSUPPORTED");

    assert!(matches!(
        unmake(&site, "acme").await,
        Err(CacheError::Absent)
    ));
    make(&site, "acme", &cache_of(&origin)).await.unwrap();
    pull_as(&site, &mia, "acme/app", &image).await;
    assert!(origin.requests().len() > asked, "and is asked again");
}

/// Quay lets an organisation with pushed repositories become a cache. Here what was pushed stays what it
/// was: upstream is not asked about it, does not replace it, and its absence there takes nothing away.
#[tokio::test]
async fn pushed_repositories_stay_what_they_are_in_a_cache() {
    let (origin, site, image) = stage().await;
    let ours = Image::small(9);
    let (ann, mia) = (Who::user("ann"), Who::user("mia"));
    site.push_as(&ann, "acme/app", "v1", &ours).await;
    site.push_as(&ann, "acme/local", "v1", &ours).await;
    origin.push_image("more", "v1", &image);
    make(&site, "acme", &cache_of(&origin)).await.unwrap();

    for _ in 0..3 {
        pull_as(&site, &ann, "acme/app", &ours).await;
        pull_as(&site, &ann, "acme/local", &ours).await;
        site.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(
        pull_status(&site, &mia, "acme/app", "v1").await,
        403,
        "it was not granted"
    );
    let by_ns = format!("/v2/acme/app/manifests/v1?ns={}", origin.address());
    assert_eq!(site.get_as(&ann, &by_ns).await.body, ours.manifest.bytes);
    assert_eq!(origin.requests().len(), 0, "nobody asked upstream");
    pull_as(&site, &mia, "acme/more", &image).await;
    site.push_as(&ann, "acme/local", "v2", &Image::small(10))
        .await;

    // Whatever is evicted, it is not what was pushed (GC-05).
    site.settled().await;
    site.registry().ledger().set_disk_reserve(u64::MAX / 2);
    site.registry().relieve().await.unwrap();
    site.registry().ledger().set_disk_reserve(0);
    pull_as(&site, &ann, "acme/local", &ours).await;
    unmake(&site, "acme").await.unwrap();
    pull_as(&site, &ann, "acme/app", &ours).await;
}

/// AZ-01: a member who can have upstream name any digest gets no bytes that were pushed into a private
/// repository of the same organisation.
#[tokio::test]
async fn a_manifest_upstream_does_not_open_what_was_pushed() {
    let (origin, site, _) = stage().await;
    let secret = Image::small(9);
    site.push_as(&Who::user("ann"), "acme/secret", "v1", &secret)
        .await;
    origin.push_manifest("bait", Some("v1"), &secret.manifest);
    make(&site, "acme", &cache_of(&origin)).await.unwrap();
    let mia = Who::user("mia");
    assert_eq!(pull_status(&site, &mia, "acme/bait", "v1").await, 200);
    for blob in secret.blobs() {
        let digest = entrepot::oci::Digest::of(blob);
        let path = format!("/v2/acme/bait/blobs/{digest}");
        assert_eq!(site.get_as(&mia, &path).await.status, 404);
    }
}

/// Nobody makes a repository in a cache: upstream says which there are.
#[tokio::test]
async fn no_repository_is_made_in_a_cache() {
    let (origin, site, _) = stage().await;
    make(&site, "acme", &cache_of(&origin)).await.unwrap();
    let name = "acme".parse().unwrap();
    let (acme, _) = site.registry().namespace(&name).await.unwrap().unwrap();
    let new = "new".parse().unwrap();
    let registry = site.registry();
    let by = Performer::SYSTEM;
    let made = registry.create_repository(acme, &new, Visibility::Private, &by);
    assert!(matches!(
        made.await,
        Err(entrepot::registry::Error::ReadOnly)
    ));
}

/// DESIGN, section 3: what the file says is changed in the file.
#[tokio::test]
async fn a_configured_cache_is_changed_in_its_file_only() {
    let origin = Origin::start().await;
    let site = Site::cache_of(&origin).await;
    let new = cache_of(&origin);
    for refused in [
        make(&site, "docker.io", &new).await,
        unmake(&site, "docker.io").await,
        attempt(&site, "docker.io", &new).await.map(drop),
    ] {
        let text = refused.unwrap_err().to_string();
        assert!(
            text.contains("PROXY_CACHES in the built-in configuration"),
            "{text}"
        );
    }
    let name = "docker.io".parse().unwrap();
    let settings = site.proxy().cache_settings(&name).await.unwrap().unwrap();
    assert_eq!(
        (settings.upstream.as_str(), settings.expiration_s),
        ("docker.io", 86_400)
    );
}

/// The configuration wins over the API, and what it no longer names is the organisation's again.
#[tokio::test]
async fn the_configuration_stands_before_the_api() {
    let (origin, mut site, image) = stage().await;
    let elsewhere = Origin::start().await;
    let theirs = Image::small(2);
    elsewhere.push_image("app", "v1", &theirs);
    make(&site, "acme", &cache_of(&origin)).await.unwrap();
    site.config.upstreams = vec![rule("acme", "elsewhere.example", &elsewhere)];
    site.restart().await;
    pull_as(&site, &Who::Nobody, "acme/app", &theirs).await;
    site.config.upstreams.clear();
    site.restart().await;
    site.clock.advance(Duration::from_secs(1));
    pull_as(&site, &Who::user("mia"), "acme/app", &image).await;
    assert_eq!(
        pull_status(&site, &Who::Nobody, "acme/app", "v1").await,
        401
    );
}

/// A configuration cannot take a person's name for a cache.
#[tokio::test]
async fn a_cache_of_the_configuration_takes_no_name_of_a_user() {
    let (origin, site, _) = stage().await;
    let rules = vec![rule("ann", "elsewhere.example", &origin)];
    let deadlines = site.config.deadlines.clone();
    let refused = site
        .proxy()
        .reconfigure(rules, deadlines, false, true)
        .await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("name of a user"), "{text}");
}

/// UP-04, DESIGN section 3: what the API names is called only at public addresses and those allowed.
#[tokio::test]
async fn an_upstream_inside_is_refused_unless_it_is_allowed() {
    let origin = Origin::start().await;
    let site = Site::start(|config| config.outbound.ssrf_allowed_hosts.clear()).await;
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    let at = |upstream: &str| NewCache {
        upstream: upstream.to_owned(),
        ..cache_of(&origin)
    };
    let port = origin.address().port();
    for upstream in [
        origin.address().to_string(),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        "169.254.169.254".to_owned(),
        "10.0.0.1/library".to_owned(),
        "[::ffff:127.0.0.1]".to_owned(),
        "2130706433".to_owned(),
    ] {
        let new = at(&upstream);
        let made = make(&site, "acme", &new).await;
        assert!(
            matches!(made, Err(CacheError::Forbidden)),
            "{upstream}: {made:?}"
        );
        let tried = attempt(&site, "acme", &new).await;
        assert!(
            matches!(tried, Err(CacheError::Forbidden)),
            "{upstream}: {tried:?}"
        );
    }
    assert_eq!(origin.connections(), 0);

    let allowed = Site::start(|config| {
        let network = "127.0.0.0/8".parse::<AllowedHost>().unwrap();
        config.outbound.ssrf_allowed_hosts = vec![network];
    })
    .await;
    let ann = allowed.user("ann").await;
    allowed.organization("acme", Some(ann)).await;
    make(&allowed, "acme", &cache_of(&origin)).await.unwrap();
}

/// SC-430: what a trial says of an account, and of an upstream that is not there.
#[tokio::test]
async fn a_trial_tells_whether_the_account_is_taken() {
    let (origin, site, _) = stage().await;
    let tried = attempt(&site, "acme", &cache_of(&origin)).await;
    assert_eq!(tried.unwrap(), Trial::Valid);

    origin.require(Auth::Basic {
        user: "robot-at-upstream",
        password: "right",
    });
    let tried = attempt(&site, "acme", &cache_of(&origin)).await;
    assert_eq!(tried.unwrap(), Trial::Anonymous);
    let tried = attempt(&site, "acme", &with_account(&origin, "right")).await;
    assert_eq!(tried.unwrap(), Trial::Valid);
    let tried = attempt(&site, "acme", &with_account(&origin, "wrong")).await;
    assert!(matches!(tried, Err(CacheError::Login)), "{tried:?}");

    origin.require(Auth::Bearer(Bearer {
        account: Some(("robot-at-upstream", "right")),
        ..Bearer::default()
    }));
    let tried = attempt(&site, "acme", &with_account(&origin, "right")).await;
    assert_eq!(tried.unwrap(), Trial::Valid);
    let tried = attempt(&site, "acme", &with_account(&origin, "wrong")).await;
    assert!(matches!(tried, Err(CacheError::Login)), "{tried:?}");

    origin.stop().await;
    let tried = attempt(&site, "acme", &cache_of(&origin)).await;
    let Err(CacheError::Unreachable { reason }) = tried else {
        panic!("nothing listens there: {tried:?}");
    };
    assert!(!reason.is_empty());
}

/// What is asked for is bounded and well formed; nothing of a refusal stays.
#[tokio::test]
async fn what_is_no_cache_is_refused_with_the_reason() {
    let (origin, site, _) = stage().await;
    let good = cache_of(&origin);
    let bad = [
        NewCache {
            upstream: "https://quay.io".to_owned(),
            ..good.clone()
        },
        NewCache {
            upstream: "a".repeat(300),
            ..good.clone()
        },
        NewCache {
            upstream: String::new(),
            ..good.clone()
        },
        NewCache {
            username: Some(Secret::new("somebody")),
            ..good.clone()
        },
        NewCache {
            username: Some(Secret::new("u".repeat(5000))),
            password: Some(Secret::new("p")),
            ..good.clone()
        },
        NewCache {
            expiration_s: u64::MAX,
            ..good.clone()
        },
    ];
    for new in bad {
        let made = make(&site, "acme", &new).await;
        assert!(matches!(made, Err(CacheError::Invalid(_))), "{made:?}");
    }
    for absent in ["nobody", "ann"] {
        let made = make(&site, absent, &good).await;
        assert!(
            matches!(made, Err(CacheError::Absent)),
            "{absent}: {made:?}"
        );
    }
    make(&site, "acme", &good).await.unwrap();
    assert!(matches!(
        make(&site, "acme", &good).await,
        Err(CacheError::Exists)
    ));
    let tried = attempt(&site, "acme", &good).await;
    assert!(matches!(tried, Err(CacheError::Exists)));
}
