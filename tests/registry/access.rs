//! Who may read and change what, tried by everybody on everything through the doors.
//!
//! The tests stand outside: they know accounts, names and digests, and compare answers. "Told apart" is
//! meant by [`Answer::told`]: status, headers and body, without what names the request itself.

use std::time::Duration;

use entrepot::accounts::NewOrganization;
use entrepot::model::Grantee;
use entrepot::model::{Credentials, Member, PasswordSource, Role, Secret, TeamRole, Visibility};
use entrepot::oci::Digest;
use reqwest::Method;

use crate::harness::content::{Image, OCI_MANIFEST, bytes};
use crate::harness::origin::Origin;
use crate::harness::people::{Asked, Who};
use crate::harness::site::{Site, rule};

/// A private repository with an image, and everybody who may not read it.
pub(super) struct Stage {
    _origin: Origin,
    pub(super) site: Site,
    pub(super) image: Image,
    pub(super) owner: Who,
    pub(super) reader: Who,
    pub(super) outsiders: Vec<(&'static str, Who)>,
}

/// `acme/secret` is private and holds the image; `acme/open`, `acme/sealed`, `eve/mine` and the public
/// cache `public` do not.
pub(super) async fn stage() -> Stage {
    let origin = Origin::start().await;
    origin.push_image("app", "v1", &Image::small(9));
    let rules = vec![rule("public", "public.example", &origin)];
    let site = Site::start(|config| config.upstreams = rules).await;
    let ann = site.user("ann").await;
    let eve = site.user("eve").await;
    site.superuser("root").await;
    let acme = site.organization("acme", Some(ann)).await;
    let image = Image::small(1);
    site.repository("acme/open", Visibility::Public).await;
    site.repository("acme/sealed", Visibility::Private).await;
    let owner = Who::user("ann");
    site.push_as(&owner, "acme/secret", "v1", &image).await;
    let (mate_id, mate) = site.robot("acme+mate").await;
    site.team(acme, "all", TeamRole::Member, &[Member::Robot(mate_id)])
        .await;
    let (reader_id, reader) = site.robot("acme+reader").await;
    site.grant("acme/secret", Grantee::Robot(reader_id), Role::Read)
        .await;
    let (_, stranger) = site.robot("eve+ci").await;
    let user = Who::user("eve");
    site.repository("eve/mine", Visibility::Private).await;
    assert_eq!(
        site.accounts()
            .user(eve)
            .await
            .unwrap()
            .unwrap()
            .name
            .as_str(),
        "eve"
    );
    let token = site.token_as(&user, &["repository:acme/secret:pull,push,delete,*"]);
    let token = token.await;
    let outsiders = vec![
        ("nobody", Who::Nobody),
        ("a user", user),
        ("a user's token", token),
        ("a robot of another namespace", stranger),
        ("a member to whom nothing is granted", mate),
        ("a superuser", Who::user("root")),
    ];
    Stage {
        _origin: origin,
        site,
        image,
        owner,
        reader,
        outsiders,
    }
}

/// HEAD, GET, a range, and a condition: every way to ask for bytes.
pub(super) fn ways(path: &str) -> Vec<Asked<'static>> {
    vec![
        Asked::new(Method::HEAD, path),
        Asked::get(path),
        Asked::get(path).with("range", "bytes=0-1"),
        Asked::get(path).with("if-none-match", "*"),
    ]
}

/// AZ-01: six roles, four repositories, four ways to ask, for each of an image's digests: a digest that
/// only a private repository has is answered as one that nobody has.
#[tokio::test]
async fn a_private_digest_is_read_through_no_repository() {
    let stage = stage().await;
    let unknown = Digest::of(b"nobody has this");
    let mut cells = 0;
    let digests = stage.image.blobs().map(|blob| ("blobs", Digest::of(blob)));
    let digests: Vec<_> = digests
        .chain([("manifests", stage.image.digest())])
        .collect();
    for (role, who) in &stage.outsiders {
        for repository in ["acme/open", "acme/sealed", "eve/mine", "public/app"] {
            for (kind, digest) in &digests {
                let at = |digest: &Digest| format!("/v2/{repository}/{kind}/{digest}");
                for (known, absent) in ways(&at(digest)).iter().zip(&ways(&at(&unknown))) {
                    let known = stage.site.ask_as(who, known).await;
                    let absent = stage.site.ask_as(who, absent).await;
                    let cell = format!("{role}, {repository}, {kind}");
                    assert!(known.status.is_client_error(), "{cell}: {}", known.status);
                    assert_eq!(
                        known.told(&[&digest.to_string()]),
                        absent.told(&[&unknown.to_string()]),
                        "{cell}"
                    );
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 6 * 4 * 4 * 3);
    let path = format!("/v2/acme/secret/manifests/{}", stage.image.digest());
    for who in [&stage.owner, &stage.reader] {
        assert_eq!(stage.site.get_as(who, &path).await.status, 200);
    }
}

/// AZ-11, AZ-01: on every door, a private repository and one that does not exist are one and the same to
/// who may read neither.
#[tokio::test]
async fn what_is_private_is_not_told_from_what_is_missing() {
    let stage = stage().await;
    let digest = stage.image.digest();
    let blob = Digest::of(&stage.image.layers[0]);
    let doors = |name: &str| {
        let at = |rest: &str| format!("/v2/{name}/{rest}");
        let mut asked: Vec<Asked<'static>> = Vec::new();
        for rest in [
            "manifests/v1".to_owned(),
            format!("manifests/{digest}"),
            format!("blobs/{blob}"),
        ] {
            asked.extend(ways(&at(&rest)));
            asked.push(Asked::new(Method::DELETE, at(&rest)));
        }
        asked.push(Asked::get(at("tags/list")));
        asked.push(Asked::get(at("tags/list?n=1&last=a")));
        asked.push(Asked::get(at(&format!("referrers/{digest}"))));
        asked.push(Asked::new(Method::POST, at("blobs/uploads/")));
        let mount = format!("blobs/uploads/?mount={blob}&from=acme/open");
        asked.push(Asked::new(Method::POST, at(&mount)));
        let put = Asked::new(Method::PUT, at("manifests/v1"));
        asked.push(put.with("content-type", OCI_MANIFEST).body("{}"));
        for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
            asked.push(Asked::new(method, at("blobs/uploads/abc")));
        }
        asked
    };
    for (role, who) in &stage.outsiders {
        for (private, missing) in doors("acme/secret").iter().zip(&doors("acme/nosuch")) {
            let there = stage.site.ask_as(who, private).await;
            let absent = stage.site.ask_as(who, missing).await;
            let cell = format!("{role}: {} {}", private.method, private.path);
            // The token names the private one, and is still worth nothing there.
            if *role != "a user's token" {
                assert_eq!(
                    there.told(&["acme/secret"]),
                    absent.told(&["acme/nosuch"]),
                    "{cell}"
                );
            }
            let expected: &[u16] = match who {
                Who::Nobody => &[401],
                Who::Basic { .. } => &[403],
                Who::Bearer(_) => &[401, 403],
            };
            assert!(
                expected.contains(&there.status.as_u16()),
                "{cell}: {}",
                there.status
            );
            assert!(
                !there.headers.contains_key("docker-content-digest"),
                "{cell}"
            );
        }
    }
    for rest in ["manifests/v1", "tags/list"] {
        let [unknown, known] = ["nosuch", "acme"].map(|it| format!("/v2/{it}/secret/{rest}"));
        let nobody = stage.site.get_as(&Who::Nobody, &unknown).await;
        let of_known = stage.site.get_as(&Who::Nobody, &known).await;
        assert_eq!(
            nobody.told(&["nosuch"]),
            of_known.told(&["acme"]),
            "namespaces, too"
        );
        let user = stage.site.get_as(&stage.owner, &unknown).await;
        assert_eq!(
            (user.status.as_u16(), user.code().as_str()),
            (404, "NAME_UNKNOWN")
        );
    }
    let post = |name: &str| Asked::new(Method::POST, format!("/v2/{name}/x/blobs/uploads/"));
    let unknown = stage.site.ask_as(&Who::Nobody, &post("nosuch")).await;
    let known = stage.site.ask_as(&Who::Nobody, &post("acme")).await;
    assert_eq!(
        unknown.told(&["nosuch"]),
        known.told(&["acme"]),
        "nor by a push"
    );
}

/// AZ-04, AZ-05: a private cache is read by its members and readers, hit or not, and a pull gives nobody
/// more; nobody pushes into a cache.
#[tokio::test]
async fn a_cache_is_read_by_its_own_and_written_by_nobody() {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("app", "v1", &image);
    let mut private = rule("inner", "inner.example", &origin);
    private.anonymous_pull = false;
    private.credentials = Some(Credentials {
        username: "account".to_owned(),
        password: PasswordSource::Value(Secret::new("canary")),
    });
    let public = rule("public", "public.example", &origin);
    let site = Site::start(|config| config.upstreams = vec![private, public]).await;
    site.user("eve").await;
    site.superuser("root").await;
    let (inner, _) = site
        .registry()
        .namespace(&"inner".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let (member_id, member) = site.robot("inner+member").await;
    site.team(inner, "all", TeamRole::Member, &[Member::Robot(member_id)])
        .await;
    let (_, other) = site.robot("inner+other").await;
    let denied = [
        ("nobody", Who::Nobody, 401),
        ("a user", Who::user("eve"), 403),
        ("another robot", other, 403),
    ];
    let digest = Digest::of(&image.layers[0]);
    let paths = [
        "manifests/v1".to_owned(),
        format!("manifests/{}", image.digest()),
        format!("blobs/{digest}"),
        "tags/list".to_owned(),
    ];
    for is_held in [false, true] {
        for (role, who, expected) in &denied {
            for path in &paths {
                for asked in ways(&format!("/v2/inner/app/{path}")) {
                    let answer = site.ask_as(who, &asked).await;
                    assert_eq!(answer.status, *expected, "{role}, held: {is_held}, {path}");
                }
                let through = site
                    .get_as(who, &format!("/v2/app/{path}?ns=inner.example"))
                    .await;
                assert_eq!(through.status, *expected, "{role}, held: {is_held}, {path}");
            }
        }
        for path in &paths {
            let answer = site.get_as(&member, &format!("/v2/inner/app/{path}")).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let caching = answer.header("cache-control");
            assert!(caching.starts_with("private"), "AZ-16: {path}: {caching}");
        }
    }
    let repository = site.repository_id("inner/app").await;
    let grants = site
        .accounts()
        .list_grants(repository, None, 100)
        .await
        .unwrap();
    assert_eq!(grants, [], "who pulls first gains nothing");
    let mut everybody: Vec<Who> = denied.into_iter().map(|(_, who, _)| who).collect();
    everybody.extend([member, Who::user("root")]);
    for who in &everybody {
        for organization in ["inner", "public"] {
            for repository in ["app", "new"] {
                let name = format!("{organization}/{repository}");
                let blob = site.push_blob_as(who, &name, &bytes(7, 64)).await;
                assert_eq!(
                    (blob.status.as_u16(), blob.code().as_str()),
                    (405, "UNSUPPORTED")
                );
                let tag = site
                    .put_manifest_as(who, &name, "v2", &image.manifest)
                    .await;
                assert_eq!(
                    (tag.status.as_u16(), tag.code().as_str()),
                    (405, "UNSUPPORTED")
                );
                let path = format!("/v2/{name}/manifests/v1");
                let deleted = site.ask_as(who, &Asked::new(Method::DELETE, path)).await;
                assert_eq!(deleted.status, 405);
                assert!(deleted.text().contains("cache"), "{}", deleted.text());
            }
            assert_eq!(
                site.find_repository(&format!("{organization}/new")).await,
                None
            );
        }
    }
    let pushed = Digest::of(&bytes(7, 64));
    assert!(
        site.registry()
            .repositories_showing(&pushed)
            .await
            .unwrap()
            .is_empty()
    );
}

/// AZ-17: a name is what it is: no other case, form or encoding of it leads there.
#[tokio::test]
async fn names_have_one_form() {
    let stage = stage().await;
    let site = &stage.site;
    for name in [
        "Acme/secret",
        "acme/Secret",
        "ACME/SECRET",
        "acme/secret%20",
        "acme//secret",
        "acme/./secret",
        "acme/x/../secret",
        "%EF%BD%81cme/secret",
        "acme/secret.",
        "acme/secret%00",
    ] {
        let raw = format!(
            "GET /v2/{name}/manifests/v1 HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
            stage.owner.header().unwrap()
        );
        let (status, text) = site.send_raw(raw.as_bytes()).await;
        assert!([400, 403, 404].contains(&status), "{name}: {text}");
        assert!(!text.contains(&stage.image.digest().to_string()), "{name}");
    }
    // An encoding of the very name is that name, for everybody.
    for name in ["%61cme/secret", "acme%2Fsecret", "acme/secret"] {
        let path = format!("/v2/{name}/manifests/v1");
        assert_eq!(site.get_as(&stage.owner, &path).await.status, 200, "{name}");
        for (role, who) in &stage.outsiders {
            let refused = site.get_as(who, &path).await.status.as_u16();
            assert!([401, 403].contains(&refused), "{role}, {name}: {refused}");
        }
    }
    for user in ["ANN", "Ann", "ann ", " ann", "\u{ff41}nn", "ann\0", "acme"] {
        let who = Who::Basic {
            user: user.to_owned(),
            password: crate::harness::people::password("ann"),
        };
        let answer = site.get_as(&who, "/v2/").await;
        assert!(
            [401, 429].contains(&answer.status.as_u16()),
            "{user:?}: {}",
            answer.status
        );
        site.clock.advance(Duration::from_secs(3600));
    }
    for name in [
        "Admin",
        "\u{ff41}dmin",
        "admin ",
        "a..b",
        "admin%20",
        "-admin",
        "a/b",
        "a+b",
        "",
    ] {
        let is_taken = match name.parse() {
            Err(_) => true,
            Ok(name) => site
                .accounts()
                .create_organization(NewOrganization::named(&name, None))
                .await
                .is_err(),
        };
        assert!(is_taken, "{name:?} names nobody");
    }
}
