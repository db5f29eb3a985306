//! Logins, and what a refusal tells: the challenge, the status, how soon to come again.

use std::time::Duration;

use entrepot::config::{Config, RobotAccess};
use entrepot::model::{Grantee, Performer, Role, Secret};
use reqwest::Method;
use serde_json::json;

use super::tokens::stage;
use crate::harness::content::Image;
use crate::harness::people::{Asked, Who, password};
use crate::harness::site::Site;

const NOT_AUTHORIZED: &str = "access to the requested resource is not authorized";

/// oci-registry 7.2, SC-200: the challenge, to the letter; where it sends clients comes from the
/// configuration, from a proxy that is trusted, and else from the name they used (AU-16).
#[tokio::test]
async fn a_challenge_says_where_tokens_are_to_be_had() {
    let scope = ",service=\"entrepot\",scope=\"repository:acme/app:";
    let spoofed = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.9"),
    ];
    let trusting =
        |config: &mut Config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    for (hostname, trusts, headers, realm) in [
        (None, false, &[][..], "http://{}"),
        (None, false, &spoofed, "http://{}"),
        (None, true, &spoofed, "https://evil.example"),
        (
            Some("reg.example:8443"),
            false,
            &spoofed,
            "http://reg.example:8443",
        ),
        (Some("reg.example"), true, &spoofed, "https://reg.example"),
    ] {
        let site = Site::start(|config| {
            config.server_hostname = hostname.map(str::to_owned);
            if trusts {
                trusting(config);
            }
        })
        .await;
        site.user("ann").await;
        site.organization("acme", None).await;
        let realm = realm.replace("{}", &site.address().to_string());
        let bearer = format!("Bearer realm=\"{realm}/v2/auth\"");
        let ping = site.get_with("/v2/", headers).await;
        assert_eq!(
            ping.header("www-authenticate"),
            format!("{bearer},service=\"entrepot\"")
        );
        let pull = site.get_with("/v2/acme/app/manifests/v1", headers).await;
        assert_eq!(
            pull.header("www-authenticate"),
            format!("{bearer}{scope}pull\"")
        );
        let entry = &pull.json()["errors"][0];
        assert_eq!(
            (&entry["code"], &entry["message"]),
            (&json!("UNAUTHORIZED"), &json!(NOT_AUTHORIZED))
        );
        for (method, rest, actions) in [
            (Method::POST, "blobs/uploads/", "pull,push"),
            (Method::PUT, "manifests/v1", "pull,push"),
            (Method::DELETE, "manifests/v1", "delete"),
            (Method::HEAD, "manifests/v1", "pull"),
        ] {
            let url = site.url(&format!("/v2/acme/app/{rest}"));
            let answer = site.ask(method, &url, headers).await;
            assert_eq!(
                answer.header("www-authenticate"),
                format!("{bearer}{scope}{actions}\"")
            );
        }
    }
    let site = Site::start(|_| {}).await;
    site.user("ann").await;
    for host in ["evil\"x", "a@b", "a b", "a\\\"", "\u{e9}"] {
        let raw = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let (status, text) = site.send_raw(raw.as_bytes()).await;
        assert!([400, 401].contains(&status), "{host}: {text}");
        assert!(
            !text.contains(&format!("realm=\"http://{host}")),
            "{host}: {text}"
        );
    }
}

/// 401 for who did not say who he is, 403 for who may not, 404 for what is not there; SC-362.
#[tokio::test]
async fn refusals_say_what_would_help() {
    let site = stage(|_| {}).await;
    site.user("eve").await;
    let wrong = Who::Basic {
        user: "ann".to_owned(),
        password: "wrong-password".to_owned(),
    };
    let rows = [
        (Who::Nobody, "acme/app", 401, "UNAUTHORIZED"),
        (Who::Nobody, "acme/none", 401, "UNAUTHORIZED"),
        (Who::Nobody, "none/app", 401, "UNAUTHORIZED"),
        (wrong, "acme/app", 401, "UNAUTHORIZED"),
        (Who::user("eve"), "acme/app", 403, "DENIED"),
        (Who::user("eve"), "acme/none", 403, "DENIED"),
        (Who::user("eve"), "none/app", 404, "NAME_UNKNOWN"),
        (Who::user("ann"), "none/app", 404, "NAME_UNKNOWN"),
        (Who::user("ann"), "acme/app", 404, "MANIFEST_UNKNOWN"),
        (Who::user("eve"), "acme/open", 404, "MANIFEST_UNKNOWN"),
    ];
    for (who, name, status, code) in rows {
        let answer = site
            .get_as(&who, &format!("/v2/{name}/manifests/nosuch"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{who:?} {name}"
        );
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.is_empty(), status != 401, "{challenge}");
        site.clock.advance(Duration::from_secs(60));
    }
    let digest = Image::small(1).digest();
    for name in ["acme/app", "acme/open"] {
        let token = site
            .token_as(
                &Who::user("ann"),
                &[&format!("repository:{name}:pull,push")],
            )
            .await;
        let listed = site
            .get_as(&token, &format!("/v2/{name}/referrers/{digest}"))
            .await;
        assert_eq!(listed.status, 200);
        assert_eq!(
            listed.header("content-type"),
            "application/vnd.oci.image.index.v1+json"
        );
    }
    let without = stage(|config| config.access.referrers = false).await;
    let path = format!("/v2/acme/app/referrers/{digest}");
    assert_eq!(without.get_as(&Who::user("ann"), &path).await.status, 404);
}

/// AU-05, AU-07: guesses are slowed down for their source, as a trusted proxy tells it and not as the
/// guesser does; the owner, elsewhere, notices nothing, nor does a robot behind the same address.
#[tokio::test]
async fn guesses_are_slowed_down_where_they_come_from() {
    let site = stage(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let (robot_id, robot) = site.robot("acme+ci").await;
    site.grant("acme/app", Grantee::Robot(robot_id), Role::Read)
        .await;
    let from = |address: &str| Asked::get("/v2/").with("x-forwarded-for", address.to_owned());
    let mut looked_at = 0;
    for guess in 0..40 {
        let (user, password) = [
            ("admin", "admin"),
            ("admin", "password"),
            ("root", "root"),
            ("ann", "password"),
            ("quay", "password"),
        ][guess % 5];
        let who = Who::Basic {
            user: user.to_owned(),
            password: format!("{password}{}", guess / 5),
        };
        let answer = site.ask_as(&who, &from("192.0.2.1")).await;
        match answer.status.as_u16() {
            401 => looked_at += 1,
            429 => {
                assert_eq!(answer.code(), "TOOMANYREQUESTS");
                assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
            }
            other => panic!("{other}: {}", answer.text()),
        }
        site.clock.advance(Duration::from_secs(1));
    }
    assert!((1..=10).contains(&looked_at), "{looked_at} guesses in 40 s");
    let cold = Who::Basic {
        user: "ann@example.org".to_owned(),
        password: password("ann"),
    };
    assert_eq!(
        site.ask_as(&cold, &from("192.0.2.1")).await.status,
        429,
        "the right one, too"
    );
    assert_eq!(site.ask_as(&robot, &from("192.0.2.1")).await.status, 200);
    assert_eq!(site.ask_as(&cold, &from("192.0.2.2")).await.status, 200);
    let own_claim = "192.0.2.77, 192.0.2.1";
    let other = Who::Basic {
        user: "root".to_owned(),
        password: "toor-password".to_owned(),
    };
    assert_eq!(
        site.ask_as(&other, &from(own_claim)).await.status,
        429,
        "what it adds itself"
    );
    assert_eq!(
        site.ask_token_as(&Who::Nobody, &["repository:acme/open:pull"])
            .await
            .status,
        200
    );
}

/// AU-06: no password is cut: one that differs behind byte 72 is another.
#[tokio::test]
async fn a_long_password_counts_to_its_end() {
    let site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    let long = format!("{}A", "x".repeat(72));
    let secret = Secret::new(long.as_str());
    site.accounts()
        .set_password(ann, &secret, &Performer::SYSTEM)
        .await
        .unwrap();
    let with = |password: String| Who::Basic {
        user: "ann".to_owned(),
        password,
    };
    assert_eq!(site.get_as(&with(long.clone()), "/v2/").await.status, 200);
    let cut = format!("{}B", "x".repeat(72));
    assert_eq!(site.get_as(&with(cut), "/v2/").await.status, 401);
    assert_eq!(
        site.get_as(&with("x".repeat(72)), "/v2/").await.status,
        429,
        "at once again"
    );
}

/// `ROBOTS_DISALLOW` with its exceptions: the others are nobody, by token and by password.
#[tokio::test]
async fn robots_that_are_disallowed_are_nobody() {
    let mut site = stage(|_| {}).await;
    let mut robots = Vec::new();
    for name in ["acme+ci", "acme+deploy"] {
        let (id, who) = site.robot(name).await;
        site.grant("acme/app", Grantee::Robot(id), Role::Read).await;
        let token = site.token_as(&who, &["repository:acme/app:pull"]).await;
        robots.push([who, token]);
    }
    let only = ["acme+ci".parse().unwrap()].into_iter().collect();
    site.config.access.robots = RobotAccess::Only(only);
    site.restart().await;
    for (robot, expected) in robots.iter().zip([200, 401]) {
        for who in robot {
            let answer = site.get_as(who, "/v2/acme/app/manifests/v1").await;
            assert_eq!(answer.status, expected, "{}", answer.text());
        }
    }
}
