//! Credentials and tokens at the doors: who is believed, what a token is for, what a refusal says.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entrepot::config::Config;
use entrepot::model::{Grantee, Member, Performer, Role, TeamRole, Visibility};
use entrepot::oci::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::content::{Image, OCI_MANIFEST, bytes};
use crate::harness::origin::Origin;
use crate::harness::people::{Asked, Who, granted, password};
use crate::harness::site::{Answer, Site};

/// `acme/app` is private, `acme/open` public; both hold an image of ann's.
pub(super) async fn stage(adjust: impl FnOnce(&mut Config)) -> Site {
    let site = Site::start(adjust).await;
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    for name in ["acme/app", "acme/open"] {
        site.push_as(&Who::user("ann"), name, "v1", &Image::small(1))
            .await;
    }
    site.set_visibility("acme/open", Visibility::Public).await;
    site
}

/// Every door behind which content lies, with what is needed to do it there.
fn doors(name: &str, upload: &str) -> Vec<(Asked<'static>, &'static str)> {
    let image = Image::small(1);
    let (digest, blob) = (image.digest(), Digest::of(&image.layers[0]));
    let at = |rest: &str| format!("/v2/{name}/{rest}");
    let put = Asked::new(Method::PUT, at("manifests/v2")).with("content-type", OCI_MANIFEST);
    let more = bytes(44, 44);
    let posted = at(&format!("blobs/uploads/?digest={}", Digest::of(&more)));
    vec![
        (Asked::get(at("manifests/v1")), "pull"),
        (
            Asked::new(Method::HEAD, at(&format!("manifests/{digest}"))),
            "pull",
        ),
        (Asked::get(at(&format!("blobs/{blob}"))), "pull"),
        (
            Asked::get(at(&format!("blobs/{blob}"))).with("range", "bytes=0-3"),
            "pull",
        ),
        (Asked::get(at("tags/list")), "pull"),
        (Asked::get(at(&format!("referrers/{digest}"))), "pull"),
        (Asked::new(Method::POST, at("blobs/uploads/")), "push"),
        (Asked::new(Method::POST, posted).body(more), "push"),
        (put.body(image.manifest.bytes), "push"),
        (Asked::get(upload), "push"),
        (Asked::new(Method::PATCH, upload).body("abc"), "push"),
        (
            Asked::new(
                Method::PUT,
                format!("{upload}?digest={}", Digest::of(b"abc")),
            ),
            "push",
        ),
        (Asked::new(Method::DELETE, at("manifests/v2")), "delete"),
    ]
}

/// Basic and bearer open every door alike, for users, robots and programs.
#[tokio::test]
async fn every_door_takes_passwords_and_tokens() {
    let site = stage(|_| {}).await;
    let ann = site
        .accounts()
        .user_by_name("ann")
        .await
        .unwrap()
        .unwrap()
        .0;
    let (robot_id, robot) = site.robot("acme+ci").await;
    site.grant("acme/app", Grantee::Robot(robot_id), Role::Write)
        .await;
    let (_, code) = site
        .accounts()
        .create_app_token(ann, "laptop", None, &Performer::default())
        .await
        .unwrap();
    let app = Who::Basic {
        user: "$app".to_owned(),
        password: code.expose().to_owned(),
    };
    let by_mail = Who::Basic {
        user: "ann@example.org".to_owned(),
        password: password("ann"),
    };
    let mut everybody = vec![Who::user("ann"), by_mail, robot, app];
    for who in everybody.clone() {
        everybody.push(
            site.token_as(&who, &["repository:acme/app:pull,push,delete"])
                .await,
        );
        everybody.push(token_by_form(&site, &who, "repository:acme/app:pull,push,delete").await);
    }
    for who in &everybody {
        assert_eq!(site.get_as(who, "/v2/").await.status, 200);
        let upload = site.begin_upload_as(who, "acme/app").await;
        for (asked, _) in doors("acme/app", &upload) {
            let answer = site.ask_as(who, &asked).await;
            assert!(
                answer.status.is_success(),
                "{} {}: {} {}",
                asked.method,
                asked.path,
                answer.status,
                answer.text()
            );
        }
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    let encoded = pairs.iter().map(|(name, value)| {
        let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("{name}={value}")
    });
    encoded.collect::<Vec<_>>().join("&")
}

async fn post_form(site: &Site, pairs: &[(&str, &str)]) -> Answer {
    let asked = Asked::new(Method::POST, "/v2/auth")
        .with("content-type", "application/x-www-form-urlencoded")
        .body(form(pairs));
    site.ask_as(&Who::Nobody, &asked).await
}

/// A token as OAuth 2 clients ask for it.
async fn token_by_form(site: &Site, who: &Who, scope: &str) -> Who {
    let Who::Basic { user, password } = who else {
        panic!("a form holds a password")
    };
    let answer = post_form(
        site,
        &[
            ("grant_type", "password"),
            ("service", "entrepot"),
            ("client_id", "test"),
            ("username", user),
            ("password", password),
            ("scope", scope),
        ],
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Who::Bearer(answer.json()["access_token"].as_str().unwrap().to_owned())
}

/// The two ways to a token say the same; SC-361.
#[tokio::test]
async fn a_token_is_given_to_a_query_and_to_a_form() {
    let site = stage(|_| {}).await;
    let ann = Who::user("ann");
    let answer = site
        .ask_token_as(&ann, &["repository:acme/app:pull,push"])
        .await;
    let json = answer.json();
    assert_eq!(json["token"], json["access_token"]);
    assert_eq!(json["expires_in"], 3600);
    assert!(
        json["issued_at"]
            .as_str()
            .unwrap()
            .starts_with("2026-01-01T")
    );
    assert_eq!(
        (
            answer.header("cache-control"),
            answer.header("content-type")
        ),
        ("no-store", "application/json")
    );
    let token = token_by_form(
        &site,
        &ann,
        "repository:acme/app:pull repository:acme/open:pull",
    )
    .await;
    assert_eq!(granted(&token), ["acme/app:pull", "acme/open:pull"]);
    let password = password("ann");
    for (pairs, status) in [
        (
            vec![
                ("grant_type", "password"),
                ("username", "ann"),
                ("password", "wrong-password"),
            ],
            401,
        ),
        (vec![("grant_type", "password"), ("username", "ann")], 401),
        (
            vec![("grant_type", "refresh_token"), ("refresh_token", "x")],
            405,
        ),
        (vec![("username", "ann"), ("password", &password)], 405),
    ] {
        assert_eq!(post_form(&site, &pairs).await.status, status, "{pairs:?}");
        site.clock.advance(Duration::from_secs(3600));
    }
    let nothing = site.get("/v2/auth?service=entrepot").await;
    assert_eq!(nothing.status, 401);
    let own = site
        .get_as(&ann, "/v2/auth?service=entrepot&account=ann")
        .await;
    assert_eq!(own.status, 200, "docker login asks for no scope");
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        assert_eq!(
            site.ask_as(&ann, &Asked::new(method, "/v2/auth"))
                .await
                .status,
            405
        );
    }
}

/// AU-03: a token says at most what its holder may do when it is issued, whatever is asked for.
#[tokio::test]
async fn a_token_is_the_intersection_of_what_is_asked_and_what_is_allowed() {
    let site = stage(|_| {}).await;
    site.user("eve").await;
    site.superuser("root").await;
    let (acme, _) = site
        .registry()
        .namespace(&"acme".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let mut people = vec![
        ("nobody", Who::Nobody),
        ("stranger", Who::user("eve")),
        ("root", Who::user("root")),
        ("owner", Who::user("ann")),
    ];
    for (name, role) in [
        ("reader", Role::Read),
        ("writer", Role::Write),
        ("admin", Role::Admin),
    ] {
        let (id, who) = site.robot(&format!("acme+{name}")).await;
        site.grant("acme/app", Grantee::Robot(id), role).await;
        people.push((name, who));
    }
    let (maker_id, maker) = site.robot("acme+maker").await;
    site.team(
        acme,
        "makers",
        TeamRole::Creator,
        &[Member::Robot(maker_id)],
    )
    .await;
    people.push(("maker", maker));
    let repositories = ["acme/app", "acme/open", "acme/new", "eve/new", "nosuch/app"];
    let may = |role: &str, name: &str| match (role, name) {
        ("owner", "acme/app" | "acme/open" | "acme/new") => "pull,push,delete,*",
        ("admin", "acme/app") => "pull,push,delete,*",
        ("writer", "acme/app") => "pull,push,delete",
        ("reader", "acme/app") => "pull",
        ("stranger", "eve/new") => "pull,push,delete,*",
        ("maker", "acme/new") => "pull,push",
        (_, "acme/open") => "pull",
        _ => "",
    };
    let mut cells = 0;
    for (role, who) in &people {
        for name in repositories {
            for asked in [
                "pull",
                "push",
                "delete",
                "*",
                "pull,push",
                "pull,push,delete,*",
                "push,push",
                "",
                "admin",
            ] {
                let scope = format!("repository:{name}:{asked}");
                let token = site.token_as(who, &[&scope, &scope]).await;
                let allowed: Vec<&str> = may(role, name).split(',').collect();
                let wanted: Vec<&str> = asked.split(',').collect();
                let expected: Vec<&str> = ["pull", "push", "delete", "*"]
                    .into_iter()
                    .filter(|action| {
                        wanted.contains(action) || (wanted.contains(&"*") && *action != "*")
                    })
                    .filter(|action| allowed.contains(action))
                    .collect();
                let expected = format!("{name}:{}", expected.join(","));
                assert_eq!(granted(&token), [expected], "{role} asks for {scope}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 8 * 5 * 9);
    let ann = Who::user("ann");
    for hostile in [
        "repository:*:pull",
        "repository:acme/*:pull",
        "repository:ACME/app:pull",
        "repository:acme/../app:pull",
        "repository",
        "repository:acme%252Fapp:pull",
    ] {
        assert_eq!(
            site.ask_token_as(&ann, &[hostile]).await.status,
            400,
            "{hostile}"
        );
    }
    let many: Vec<String> = (0..101)
        .map(|at| format!("repository:acme/a{at}:pull"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(site.ask_token_as(&ann, &many[..100]).await.status, 200);
    assert_eq!(site.ask_token_as(&ann, &many).await.status, 400);
}

/// AU-03, AZ-14, SC-363: a token opens the doors that it is for and no other, whatever its holder may.
#[tokio::test]
async fn a_token_opens_only_what_it_is_for() {
    let site = stage(|_| {}).await;
    let ann = Who::user("ann");
    let scopes = [
        "",
        "repository:acme/app:pull",
        "repository:acme/app:push",
        "repository:acme/app:pull,push",
        "repository:acme/app:delete",
        "repository:acme/other:pull,push,delete",
        "registry:catalog:*",
    ];
    for scope in scopes {
        let token = match scope {
            "" => {
                let answer = site.get_as(&ann, "/v2/auth?service=entrepot").await;
                Who::Bearer(answer.json()["token"].as_str().unwrap().to_owned())
            }
            scope => site.token_as(&ann, &[scope]).await,
        };
        let actions = scope.strip_prefix("repository:acme/app:").unwrap_or("");
        // By password, since the token may not be for it.
        let upload = site.begin_upload_as(&ann, "acme/app").await;
        site.put_manifest_as(&ann, "acme/app", "v2", &Image::small(1).manifest)
            .await;
        for (asked, needed) in doors("acme/app", &upload) {
            let answer = site.ask_as(&token, &asked).await;
            let is_for = actions
                .split(',')
                .any(|it| it == needed || (needed == "delete" && it == "push"));
            let cell = format!("{scope:?}: {} {}", asked.method, asked.path);
            if is_for {
                assert!(
                    answer.status.is_success(),
                    "{cell}: {} {}",
                    answer.status,
                    answer.text()
                );
                continue;
            }
            assert_eq!(answer.status, 401, "{cell}: {}", answer.text());
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.ends_with(",error=\"insufficient_scope\""),
                "{cell}: {challenge}"
            );
        }
        assert_eq!(site.get_as(&token, "/v2/").await.status, 200);
        assert_eq!(
            site.get_as(&token, "/v2/acme/open/manifests/v1")
                .await
                .status,
            200,
            "needs no token"
        );
    }
}

fn with(object: &Value, name: &str, value: &Value) -> Value {
    let mut object = object.clone();
    object[name] = value.clone();
    object
}

/// AU-01, AU-02: forged tokens open no door, and are asked of nobody: no call goes out.
#[tokio::test]
async fn a_forged_token_opens_no_door() {
    let origin = Origin::start().await;
    let site = stage(|_| {}).await;
    let good = site
        .token_as(&Who::user("ann"), &["repository:acme/app:pull,push,delete"])
        .await;
    let Who::Bearer(text) = &good else {
        panic!("a token")
    };
    let parts: Vec<&str> = text.split('.').collect();
    let part = |at: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[at]).unwrap()).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    let build = |header: &Value, claims: &Value, signature: &str| {
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        format!("{header}.{claims}.{signature}")
    };
    let mut forged = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "x".to_owned(),
        format!("{text}."),
        format!("{text}.x"),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        text[..text.len() - 4].to_owned(),
        "a".repeat(9000),
    ];
    for alg in [
        "none", "None", "HS256", "HS384", "RS256", "ES384", "EdDSA", "",
    ] {
        for signature in ["", parts[2]] {
            forged.push(build(
                &with(&header, "alg", &json!(alg)),
                &claims,
                signature,
            ));
        }
    }
    for (name, value) in [
        ("jku", json!(origin.url("/keys.json"))),
        ("x5u", json!(origin.url("/key.pem"))),
        ("jwk", json!({"kty": "EC"})),
        ("kid", json!("../../x")),
        ("kid", json!(origin.url("/x"))),
        ("kid", Value::Null),
        ("crit", json!(["exp"])),
    ] {
        forged.push(build(&with(&header, name, &value), &claims, parts[2]));
    }
    let access = json!([{"type": "repository", "name": "acme/app", "actions": ["*"]}]);
    for (name, value) in [
        ("sub", json!("root")),
        ("exp", json!(9_999_999_999_u64)),
        ("exp", Value::Null),
        ("nbf", json!("0")),
        ("iat", json!(0)),
        ("aud", json!("other")),
        ("iss", json!("other")),
        ("access", access),
        ("aud", json!(["entrepot"])),
    ] {
        forged.push(build(&header, &with(&claims, name, &value), parts[2]));
    }
    assert!(forged.len() >= 40, "{}", forged.len());
    let upload = site.begin_upload_as(&good, "acme/app").await;
    for (number, token) in forged.iter().enumerate() {
        let who = Who::Bearer(token.clone());
        let all = doors("acme/app", &upload);
        // Each on a few doors, all doors by all together.
        let some = all
            .iter()
            .enumerate()
            .filter(|(at, _)| (at + number) % 4 == 0);
        for asked in some
            .map(|(_, (asked, _))| asked.clone())
            .chain([Asked::get("/v2/")])
        {
            let answer = site.ask_as(&who, &asked).await;
            assert_eq!(
                answer.status, 401,
                "{number} {token}: {} {}",
                asked.method, asked.path
            );
            if asked.path == "/v2/" && !token.is_empty() {
                let challenge = answer.header("www-authenticate");
                assert!(
                    challenge.ends_with("error=\"invalid_token\""),
                    "{token}: {challenge}"
                );
            }
        }
    }
    assert_eq!(
        site.get_as(&good, "/v2/acme/app/manifests/v1").await.status,
        200
    );
    assert_eq!(origin.requests().len(), 0);
    site.clock.advance(Duration::from_secs(3600 + 31));
    assert_eq!(
        site.get_as(&good, "/v2/acme/app/manifests/v1").await.status,
        401,
        "it has ended"
    );
    for other in [
        "Negotiate abc",
        "Digest username=\"ann\"",
        "Bearer",
        "Basic",
        "Basic !",
        "Token x",
        "basic YW5u",
    ] {
        let answer = site.get_with("/v2/", &[("authorization", other)]).await;
        assert_eq!(answer.status, 401, "{other}");
    }
}

/// AU-04: no two installations sign with one key, nor believe each other.
#[tokio::test]
async fn a_token_of_another_installation_is_worth_nothing() {
    let (one, other) = (stage(|_| {}).await, stage(|_| {}).await);
    let token = one
        .token_as(&Who::user("ann"), &["repository:acme/app:pull"])
        .await;
    assert_eq!(
        one.get_as(&token, "/v2/acme/app/manifests/v1").await.status,
        200
    );
    assert_eq!(
        other
            .get_as(&token, "/v2/acme/app/manifests/v1")
            .await
            .status,
        401
    );
    let upload = one.begin_upload_as(&Who::user("ann"), "acme/app").await;
    assert_eq!(other.get_as(&Who::user("ann"), &upload).await.status, 404);
}
