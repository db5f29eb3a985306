//! A registry with and without accounts: what is open, what asks for credentials, what a push makes.

use entrepot::config::Closed;
use entrepot::model::{Role, Visibility};
use reqwest::Method;

use crate::harness::content::{Image, bytes};
use crate::harness::origin::Origin;
use crate::harness::people::{Asked, Who, granted};
use crate::harness::site::{Site, rule};

fn names(list: &[&str]) -> Vec<entrepot::model::NamespaceName> {
    list.iter().map(|name| name.parse().unwrap()).collect()
}

/// DESIGN: without any user `/v2/` answers 200 and nothing asks for credentials; the first user closes
/// the door, and what is public stays open to a token that anybody gets.
#[tokio::test]
async fn the_first_user_closes_the_door() {
    let origin = Origin::start().await;
    origin.push_image("app", "v1", &Image::small(9));
    let site = Site::caching_with(vec![rule("public", "public.example", &origin)], |config| {
        config.pushes.anonymous = names(&["guests"]);
    })
    .await;
    let image = Image::small(1);
    site.push_as(&Who::Nobody, "guests/app", "v1", &image).await;
    site.organization("acme", None).await;
    site.repository("acme/app", Visibility::Private).await;
    assert_eq!(site.get("/v2/").await.status, 200);
    let closed = site.get("/v2/acme/app/tags/list").await;
    assert_eq!(
        (closed.status.as_u16(), closed.header("www-authenticate")),
        (403, "")
    );
    let unknown = site.get("/v2/nosuch/app/tags/list").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code().as_str()),
        (404, "NAME_UNKNOWN")
    );
    site.user("ann").await;
    for path in ["/v2/", "/v2/acme/app/tags/list", "/v2/nosuch/app/tags/list"] {
        let asked = site.get(path).await;
        assert_eq!(
            (asked.status.as_u16(), asked.code().as_str()),
            (401, "UNAUTHORIZED"),
            "{path}"
        );
        assert!(
            asked
                .header("www-authenticate")
                .starts_with("Bearer realm=\"http://")
        );
        assert_eq!(
            asked.header("docker-distribution-api-version"),
            "registry/2.0"
        );
    }
    for who in [Who::Nobody, Who::user("ann")] {
        let token = site
            .token_as(
                &who,
                &["repository:guests/app:pull", "repository:public/app:pull"],
            )
            .await;
        assert_eq!(granted(&token), ["guests/app:pull", "public/app:pull"]);
        for who in [&who, &token] {
            for name in ["guests/app", "public/app"] {
                let pulled = site.get_as(who, &format!("/v2/{name}/manifests/v1")).await;
                assert_eq!(pulled.status, 200, "{name}: {}", pulled.text());
            }
        }
    }
    // A mirror of what everyone may pull asks nobody, and minds no credentials of elsewhere.
    let stranger = Who::Basic {
        user: "hubuser".to_owned(),
        password: "hub-password".to_owned(),
    };
    for who in [
        Who::Nobody,
        stranger,
        Who::Bearer("of.another.registry".to_owned()),
    ] {
        for path in ["/v2/", "/v2/app/manifests/v1"] {
            let at = site.mirror_url(path);
            let answer = site.ask_at(&at, &who, &Asked::get(path)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        let by_ns = site
            .get_as(&who, "/v2/app/manifests/v1?ns=public.example")
            .await;
        assert_eq!(by_ns.status, 200, "{}", by_ns.text());
    }
}

/// `FEATURE_ANONYMOUS_ACCESS: false`: nothing is public, by no entrance.
#[tokio::test]
async fn without_anonymous_access_everything_asks_for_credentials() {
    let origin = Origin::start().await;
    origin.push_image("app", "v1", &Image::small(9));
    let site = Site::caching_with(vec![rule("public", "public.example", &origin)], |config| {
        config.access.anonymous = false;
        config.features.public_catalog = true;
    })
    .await;
    site.user("ann").await;
    site.user("eve").await;
    site.push_as(&Who::user("ann"), "ann/app", "v1", &Image::small(1))
        .await;
    site.set_visibility("ann/app", Visibility::Public).await;
    let nobodys = site
        .token_as(&Who::Nobody, &["repository:ann/app:pull"])
        .await;
    assert_eq!(granted(&nobodys), ["ann/app:"]);
    for who in [Who::Nobody, nobodys] {
        for path in [
            "/v2/ann/app/manifests/v1",
            "/v2/ann/app/tags/list",
            "/v2/public/app/manifests/v1",
            "/v2/app/manifests/v1?ns=public.example",
        ] {
            let refused = site.get_as(&who, path).await;
            assert_eq!(refused.status, 401, "{path}");
        }
        let at = site.mirror_url("/v2/app/manifests/v1");
        let refused = site.ask_at(&at, &who, &Asked::get("/")).await;
        assert_eq!(refused.status, 401, "by the mirror");
        let listed = site.get_as(&who, "/v2/_catalog").await;
        assert_eq!(listed.text(), "{\"repositories\":[]}");
    }
    for path in ["/v2/ann/app/manifests/v1", "/v2/public/app/manifests/v1"] {
        assert_eq!(
            site.get_as(&Who::user("eve"), path).await.status,
            200,
            "{path}"
        );
    }
}

/// `ANONYMOUS_PUSH`: there anyone creates, pushes and deletes, before and after there are accounts; and
/// nowhere else.
#[tokio::test]
async fn anyone_pushes_where_that_is_configured() {
    let mut site =
        Site::start(|config| config.pushes.anonymous = names(&["guests", "other"])).await;
    for turn in 0..2 {
        let image = Image::small(turn);
        let token = match turn {
            0 => Who::Nobody,
            _ => {
                site.token_as(&Who::Nobody, &["repository:guests/app:pull,push,delete"])
                    .await
            }
        };
        for who in [Who::Nobody, token] {
            site.push_as(&who, "guests/app", "v1", &image).await;
            site.push_as(&who, "other/deep/app", "v1", &image).await;
            assert_eq!(site.get("/v2/guests/app/manifests/v1").await.status, 200);
            let path = "/v2/guests/app/manifests/v1";
            assert_eq!(
                site.ask_as(&who, &Asked::new(Method::DELETE, path))
                    .await
                    .status,
                202
            );
        }
        if turn == 0 {
            site.user("ann").await;
            site.restart().await;
        }
        let elsewhere = site
            .push_blob_as(&Who::Nobody, "ann/app", &bytes(1, 9))
            .await;
        assert_eq!(elsewhere.status, 401);
    }
    let repository = site.repository_id("guests/app").await;
    let record = site
        .registry()
        .repository_record(repository)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.visibility, Visibility::Public);
    assert_eq!(
        site.accounts()
            .list_grants(repository, None, 10)
            .await
            .unwrap(),
        []
    );
    // Wrong credentials are not taken for none.
    let wrong = Who::Basic {
        user: "ann".to_owned(),
        password: "wrong-password".to_owned(),
    };
    assert_eq!(
        site.push_blob_as(&wrong, "guests/app", &bytes(1, 9))
            .await
            .status,
        401
    );
}

/// SC-027, `CREATE_PRIVATE_REPO_ON_PUSH`: a push makes the repository, its maker administers it.
#[tokio::test]
async fn a_push_makes_its_repository() {
    for create_private in [true, false] {
        let site = Site::start(|config| config.pushes.create_private = create_private).await;
        let ann = site.user("ann").await;
        let acme = site.organization("acme", Some(ann)).await;
        let (maker_id, maker) = site.robot("acme+maker").await;
        let maker_id = entrepot::model::Member::Robot(maker_id);
        site.team(
            acme,
            "makers",
            entrepot::model::TeamRole::Creator,
            &[maker_id],
        )
        .await;
        let makers = [("ann/own", Who::user("ann"), 0), ("acme/made", maker, 1)];
        for (name, who, grants) in &makers {
            site.push_as(who, name, "v1", &Image::small(1)).await;
            let id = site.repository_id(name).await;
            let record = site
                .registry()
                .repository_record(id)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(
                record.visibility == Visibility::Private,
                create_private,
                "{name}"
            );
            let granted = site.accounts().list_grants(id, None, 10).await.unwrap();
            assert_eq!(granted.len(), *grants, "{name}");
            assert!(granted.iter().all(|(_, role)| *role == Role::Admin));
            let public = site.get(&format!("/v2/{name}/manifests/v1")).await;
            assert_eq!(public.status, if create_private { 401 } else { 200 });
        }
        let (_, other) = site.robot("acme+other").await;
        for name in ["acme/new", "ann/new"] {
            for who in [&Who::Nobody, &other] {
                let refused = site.push_blob_as(who, name, &bytes(1, 9)).await;
                assert!([401, 403].contains(&refused.status.as_u16()));
            }
            let made = site.find_repository(name).await;
            assert_eq!(made, None, "a refused push makes nothing");
        }
    }
}

/// `CREATE_NAMESPACE_ON_PUSH`: a user's push makes the organisation; nobody's, a robot's, a token's that
/// is not for it, and a read make none (AZ-14).
#[tokio::test]
async fn a_push_makes_its_namespace_only_where_that_is_configured() {
    for creates in [false, true] {
        let site = Site::start(|config| config.pushes.create_namespace = creates).await;
        site.user("ann").await;
        let ann = Who::user("ann");
        let (_, robot) = site.robot("ann+ci").await;
        let nobodys = site
            .token_as(&Who::Nobody, &["repository:fresh/app:pull,push"])
            .await;
        let narrow = site.token_as(&ann, &["repository:fresh/app:pull"]).await;
        let elsewhere = site.token_as(&ann, &["repository:ann/app:pull,push"]).await;
        for who in [Who::Nobody, robot, nobodys, narrow, elsewhere] {
            let pushed = site.push_blob_as(&who, "fresh/app", &bytes(1, 9)).await;
            assert!(
                [401, 403, 404].contains(&pushed.status.as_u16()),
                "{}",
                pushed.status
            );
            assert_eq!(site.find_repository("fresh/app").await, None);
            assert!(
                site.registry()
                    .namespace(&names(&["fresh"])[0])
                    .await
                    .unwrap()
                    .is_none()
            );
        }
        for path in ["/v2/fresh/app/tags/list", "/v2/fresh/app/manifests/v1"] {
            assert_eq!(site.get_as(&ann, path).await.status, 404);
        }
        let token = site
            .token_as(&ann, &["repository:fresh/app:pull,push"])
            .await;
        let expected = if creates {
            ["fresh/app:pull,push"]
        } else {
            ["fresh/app:"]
        };
        assert_eq!(granted(&token), expected);
        let pushed = site.push_blob_as(&token, "fresh/app", &bytes(1, 9)).await;
        if creates {
            assert_eq!(pushed.status, 201, "{}", pushed.text());
            site.push_as(&ann, "fresh/app", "v1", &Image::small(1))
                .await;
            assert_eq!(site.get("/v2/fresh/app/manifests/v1").await.status, 401);
        } else {
            assert!(
                [401, 404].contains(&pushed.status.as_u16()),
                "{}",
                pushed.status
            );
        }
    }
}

/// `LIBRARY_NAMESPACE`: a name without a namespace is in it, and the rights are those of it.
#[tokio::test]
async fn a_short_name_is_in_the_library() {
    let site = Site::start(|config| config.access.library = Some("base".parse().unwrap())).await;
    let ann = site.user("ann").await;
    site.user("eve").await;
    site.organization("base", Some(ann)).await;
    let image = Image::small(1);
    site.push_as(&Who::user("ann"), "base/busybox", "v1", &image)
        .await;
    for name in ["busybox", "base/busybox"] {
        let scope = format!("repository:{name}:pull");
        let path = format!("/v2/{name}/manifests/v1");
        for (who, expected) in [("ann", 200), ("eve", 403)] {
            let who = Who::user(who);
            assert_eq!(site.get_as(&who, &path).await.status, expected, "{name}");
            let token = site.token_as(&who, &[&scope]).await;
            let by_token = site.get_as(&token, &path).await.status.as_u16();
            assert_eq!(by_token == 200, expected == 200, "{name}: {by_token}");
        }
        assert_eq!(site.get(&path).await.status, 401);
    }
    site.push_as(&Who::user("ann"), "tools", "v1", &image).await;
    assert_eq!(
        site.get_as(&Who::user("ann"), "/v2/base/tools/manifests/v1")
            .await
            .status,
        200
    );
    let without = Site::start(|config| config.access.library = None).await;
    without.user("ann").await;
    let refused = without
        .get_as(&Who::user("ann"), "/v2/busybox/tags/list")
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (404, "NAME_UNKNOWN")
    );
}

/// `DISABLE_PUSHES`, `REGISTRY_STATE: readonly`, AZ-08: neither pushes nor deletions, by anybody, with or
/// without a namespace; reads go on.
#[tokio::test]
async fn a_closed_registry_takes_nothing_and_gives_all() {
    for closed in [Closed::PushesDisabled, Closed::ReadOnly] {
        let mut site = Site::start(|config| {
            config.pushes.anonymous = names(&["guests"]);
            config.pushes.create_namespace = true;
        })
        .await;
        site.user("ann").await;
        let image = Image::small(1);
        let ann = Who::user("ann");
        site.push_as(&ann, "ann/app", "v1", &image).await;
        site.push_as(&Who::Nobody, "guests/app", "v1", &image).await;
        let upload = site.begin_upload_as(&ann, "ann/app").await;
        site.config.pushes.closed = Some(closed);
        site.restart().await;
        let digest = image.digest();
        let blob = entrepot::oci::Digest::of(&image.layers[0]);
        for who in [&ann, &Who::Nobody] {
            for name in ["ann/app", "guests/app", "ann/new", "fresh/app"] {
                let at = |rest: String| format!("/v2/{name}/{rest}");
                let mut asked = vec![
                    Asked::new(Method::POST, at("blobs/uploads/".to_owned())),
                    Asked::new(Method::POST, at(format!("blobs/uploads/?digest={blob}"))),
                    Asked::new(
                        Method::POST,
                        at(format!("blobs/uploads/?mount={blob}&from=guests/app")),
                    ),
                    Asked::new(Method::PUT, at("manifests/v2".to_owned()))
                        .body(image.manifest.bytes.clone()),
                    Asked::new(Method::DELETE, at("manifests/v1".to_owned())),
                    Asked::new(Method::DELETE, at(format!("manifests/{digest}"))),
                    Asked::new(Method::DELETE, at(format!("blobs/{blob}"))),
                ];
                let session = upload.replace("/ann/app/", &format!("/{name}/"));
                for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
                    asked.push(Asked::new(method, session.clone()));
                }
                for asked in asked {
                    let refused = site.ask_as(who, &asked).await;
                    let told = (refused.status.as_u16(), refused.code());
                    assert_eq!(
                        told,
                        (405, "UNSUPPORTED".to_owned()),
                        "{} {}",
                        asked.method,
                        asked.path
                    );
                }
            }
        }
        assert!(
            site.registry()
                .namespace(&names(&["fresh"])[0])
                .await
                .unwrap()
                .is_none()
        );
        for name in ["ann/app", "guests/app"] {
            let read = site.get_as(&ann, &format!("/v2/{name}/manifests/v1")).await;
            assert_eq!(read.status, 200);
        }
    }
}
