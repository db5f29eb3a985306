//! What one repository gives another, and whose an upload is.

use entrepot::model::{Grantee, Role};
use entrepot::oci::Digest;
use reqwest::Method;

use crate::harness::content::{Image, bytes};
use crate::harness::origin::Origin;
use crate::harness::people::{Asked, Who};
use crate::harness::site::{Answer, Site, rule};

/// An answer to the begin of an upload, without the session's id.
fn begun(answer: &Answer, words: &[&str]) -> (u16, Vec<(String, String)>, String) {
    let location = answer.header("location");
    let id = location
        .rsplit('/')
        .next()
        .unwrap()
        .split('?')
        .next()
        .unwrap();
    let words: Vec<&str> = words.iter().copied().chain([id]).collect();
    answer.told(&words)
}

fn mount(to: &str, digest: &Digest, from: Option<&str>) -> Asked<'static> {
    let from = from.map_or_else(String::new, |from| format!("&from={from}"));
    let path = format!("/v2/{to}/blobs/uploads/?mount={digest}{from}");
    Asked::new(Method::POST, path)
}

/// A site where eve may push into `eve/mine` and read nothing of what others have.
async fn stage() -> (Origin, Site, Image, Who) {
    let origin = Origin::start().await;
    let cached = Image::small(5);
    origin.push_image("app", "v1", &cached);
    let mut inner = rule("inner", "inner.example", &origin);
    inner.anonymous_pull = false;
    let site = Site::start(|config| config.upstreams = vec![inner]).await;
    let ann = site.user("ann").await;
    site.user("eve").await;
    let (namespace, _) = site
        .registry()
        .namespace(&"inner".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let (member_id, member) = site.robot("inner+puller").await;
    let member_id = entrepot::model::Member::Robot(member_id);
    site.team(
        namespace,
        "all",
        entrepot::model::TeamRole::Member,
        &[member_id],
    )
    .await;
    for rest in [
        format!("manifests/{}", cached.digest()),
        format!("blobs/{}", Digest::of(&cached.layers[0])),
    ] {
        let pulled = site.get_as(&member, &format!("/v2/inner/app/{rest}")).await;
        assert_eq!(pulled.status, 200, "{}", pulled.text());
    }
    site.settled().await;
    site.organization("acme", Some(ann)).await;
    let image = Image::small(1);
    site.push_as(&Who::user("ann"), "acme/secret", "v1", &image)
        .await;
    let scopes = [
        "repository:eve/mine:pull,push",
        "repository:eve/gone:pull,push,delete",
        "repository:acme/secret:pull",
    ];
    let eve = site.token_as(&Who::user("eve"), &scopes).await;
    (origin, site, image, eve)
}

/// AZ-02: a mount of what may not be read is an upload like that of a digest that nobody has; with and
/// without `from`, from private repositories, private caches, and repositories it was deleted in.
#[tokio::test]
async fn a_mount_tells_nothing_and_gives_nothing() {
    let (_origin, site, image, eve) = stage().await;
    let private = Digest::of(&image.layers[0]);
    let cached = Digest::of(&Image::small(5).layers[0]);
    let deleted = bytes(77, 500);
    assert_eq!(
        site.push_blob_as(&eve, "eve/gone", &deleted).await.status,
        201
    );
    let deleted = Digest::of(&deleted);
    let path = format!("/v2/eve/gone/blobs/{deleted}");
    assert_eq!(
        site.ask_as(&eve, &Asked::new(Method::DELETE, path))
            .await
            .status,
        202
    );
    let unknown = Digest::of(b"nobody has this");
    let basic = Who::user("eve");
    let mut compared = 0;
    for who in [&eve, &basic] {
        for (digest, place) in [
            (private, "acme/secret"),
            (cached, "inner/app"),
            (deleted, "eve/gone"),
        ] {
            let places = [
                None,
                Some(place),
                Some("acme/nosuch"),
                Some("nosuch/x"),
                Some("eve/mine"),
                Some("Bad//name"),
                Some(""),
            ];
            for from in places {
                let known = site.ask_as(who, &mount("eve/mine", &digest, from)).await;
                let absent = site.ask_as(who, &mount("eve/mine", &unknown, from)).await;
                assert_eq!(known.status, 202, "{from:?}: {}", known.text());
                assert_eq!(
                    begun(&known, &[&digest.to_string()]),
                    begun(&absent, &[&unknown.to_string()]),
                    "{place} {from:?}"
                );
                compared += 1;
            }
            let path = format!("/v2/eve/mine/blobs/{digest}");
            let head = site.ask_as(who, &Asked::new(Method::HEAD, path)).await;
            assert_eq!(head.status, 404, "{place}");
        }
    }
    assert_eq!(compared, 2 * 3 * 7);
    // Naming it in a manifest is no way either.
    let put = site
        .put_manifest_as(&eve, "eve/mine", "v1", &image.manifest)
        .await;
    assert_eq!(
        (put.status.as_u16(), put.code().as_str()),
        (400, "MANIFEST_BLOB_UNKNOWN")
    );
}

/// AZ-02, AZ-14: who may read the source mounts from it, and by a token only if it is for that, too.
#[tokio::test]
async fn a_mount_takes_the_right_to_read_the_source() {
    let (_origin, site, image, _) = stage().await;
    let digest = Digest::of(&image.layers[0]);
    let eve_id = site
        .accounts()
        .user_by_name("eve")
        .await
        .unwrap()
        .unwrap()
        .0;
    site.grant("acme/secret", Grantee::User(eve_id), Role::Read)
        .await;
    let basic = Who::user("eve");
    let narrow = site
        .token_as(
            &basic,
            &["repository:eve/a:pull,push", "repository:eve/b:pull,push"],
        )
        .await;
    let wide = site
        .token_as(
            &basic,
            &[
                "repository:eve/c:push",
                "repository:eve/d:push",
                "repository:acme/secret:pull",
            ],
        )
        .await;
    let rows = [
        // Who may, and comes with a token for less, is told what to ask for.
        (&narrow, "eve/a", Some("acme/secret"), 401),
        (&narrow, "eve/b", None, 401),
        (&wide, "eve/c", Some("acme/secret"), 201),
        (&wide, "eve/d", None, 201),
        (&basic, "eve/e", Some("acme/secret"), 201),
        (&basic, "eve/f", None, 201),
    ];
    for (who, to, from, expected) in rows {
        let mounted = site.ask_as(who, &mount(to, &digest, from)).await;
        assert_eq!(
            mounted.status,
            expected,
            "{to} {from:?}: {}",
            mounted.text()
        );
        let asked_for = mounted.header("www-authenticate");
        let wider = format!("scope=\"repository:{to}:pull,push repository:acme/secret:pull\"");
        assert_eq!(asked_for.contains(&wider), expected == 401, "{asked_for}");
        let path = format!("/v2/{to}/blobs/{digest}");
        let read = site.get_as(&basic, &path).await;
        assert_eq!(read.status == 200, expected == 201, "{to}");
    }
    // A right that was taken back mounts nothing any more.
    site.revoke("acme/secret", Grantee::User(eve_id)).await;
    let mounted = site
        .ask_as(
            &wide,
            &mount("eve/c", &Digest::of(&image.config), Some("acme/secret")),
        )
        .await;
    assert_eq!(mounted.status, 202);
}

/// AZ-03: an upload is its beginner's in its repository; what anybody else sends under its id, by
/// whatever method, does not find it and does it no harm.
#[tokio::test]
async fn an_upload_is_its_owners_alone() {
    let mut site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    let bob = site.user("bob").await;
    site.user("eve").await;
    site.organization("acme", Some(ann)).await;
    let owner = Who::user("ann");
    let content = bytes(1, 6000);
    let upload = site.begin_upload_as(&owner, "acme/one").await;
    site.begin_upload_as(&owner, "acme/two").await;
    let (robot_id, robot) = site.robot("acme+ci").await;
    for repository in ["acme/one", "acme/two"] {
        site.grant(repository, Grantee::User(bob), Role::Admin)
            .await;
        site.grant(repository, Grantee::Robot(robot_id), Role::Write)
            .await;
    }
    let piece = |path: &str, range: std::ops::Range<usize>| {
        Asked::new(Method::PATCH, path)
            .with(
                "content-range",
                format!("{}-{}", range.start, range.end - 1),
            )
            .body(content.slice(range))
    };
    let sent = site.ask_as(&owner, &piece(&upload, 0..2000)).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    let elsewhere = upload.replace("/acme/one/", "/acme/two/");
    let last = if upload.ends_with('A') { 'B' } else { 'A' };
    let forged = format!("{}{last}", &upload[..upload.len() - 1]);
    let own = site.begin_upload_as(&Who::user("eve"), "eve/x").await;
    assert_ne!(own, upload);
    let token = site
        .token_as(&Who::user("bob"), &["repository:acme/one:pull,push"])
        .await;
    let others = [
        ("another user", Who::user("bob"), &upload, 404),
        ("another user's token", token, &upload, 404),
        ("a robot", robot, &upload, 404),
        ("the owner, elsewhere", owner.clone(), &elsewhere, 404),
        ("the owner, with another id", owner.clone(), &forged, 404),
        ("a stranger", Who::user("eve"), &upload, 403),
        ("nobody", Who::Nobody, &upload, 401),
    ];
    let blob = Digest::of(&content);
    for is_restarted in [false, true] {
        for (who_is, who, path, expected) in &others {
            let finish = format!("{path}?digest={blob}");
            for asked in [
                Asked::get(path.as_str()),
                Asked::new(Method::HEAD, path.as_str()),
                piece(path, 2000..3000),
                Asked::new(Method::PATCH, path.as_str()).body("x"),
                Asked::new(Method::PUT, finish.as_str()).body(content.slice(2000..)),
                Asked::new(Method::DELETE, path.as_str()),
            ] {
                let answer = site.ask_as(who, &asked).await;
                assert_eq!(
                    answer.status,
                    *expected,
                    "{who_is}, {}: {}",
                    asked.method,
                    answer.text()
                );
                if *expected == 404 && asked.method != Method::HEAD {
                    assert_eq!(answer.code(), "BLOB_UPLOAD_UNKNOWN");
                }
            }
        }
        let status = site.get_as(&owner, &upload).await;
        assert_eq!(
            (status.status.as_u16(), status.header("range")),
            (204, "0-1999")
        );
        if !is_restarted {
            site.restart().await;
        }
    }
    let same_person = site
        .token_as(&owner, &["repository:acme/one:pull,push"])
        .await;
    let sent = site.ask_as(&same_person, &piece(&upload, 2000..4000)).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    let finish =
        Asked::new(Method::PUT, format!("{upload}?digest={blob}")).body(content.slice(4000..));
    let finished = site.ask_as(&owner, &finish).await;
    assert_eq!(finished.status, 201, "{}", finished.text());
    let read = site
        .get_as(&owner, &format!("/v2/acme/one/blobs/{blob}"))
        .await;
    assert_eq!(read.body, content);
    assert_eq!(
        site.get_as(&owner, &upload).await.status,
        404,
        "it has ended"
    );
}
