//! `/api/v1/superuser/keys` and `/keys/services/...`: keys of services, from both sides.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use entrepot::model::LogKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::people::{Asked, Who};
use crate::harness::site::{Answer, Site};

async fn stage() -> (Site, String) {
    let site = Site::start(|_| {}).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, "super:user").await;
    (site, token)
}

/// A pair of keys made by the server.
pub(super) struct Pair {
    pub(super) key_id: String,
    private: RsaKeyPair,
}

impl Pair {
    pub(super) async fn make(site: &Site, token: &str, service: &str) -> Self {
        let body = json!({"service": service, "expiration": null, "name": "x"});
        let made = site.api(token).post("/superuser/keys", body).await;
        assert_eq!(made.status, 200, "{}", made.text());
        let made = made.json();
        let pem = made["private_key"].as_str().unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Self {
            key_id: made["kid"].as_str().unwrap().to_owned(),
            private: RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap(),
        }
    }

    /// A JWT that shows that its sender has the private half.
    pub(super) fn proof(&self, site: &Site, service: &str) -> Who {
        let now = site.clock.now().as_secs();
        let audience = site.url("");
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let claims =
            json!({"iss": service, "aud": audience, "iat": now, "nbf": now, "exp": now + 60});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.private.public_modulus_len()];
        let random = SystemRandom::new();
        self.private
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .unwrap();
        Who::Bearer(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Asks a door of the key server.
pub(super) async fn ask(
    site: &Site,
    method: Method,
    path: &str,
    who: &Who,
    body: &Value,
) -> Answer {
    let asked = Asked::new(method, path).body(body.to_string());
    site.ask_as(who, &asked).await
}

/// SC-483, SC-485: made with both halves, shown without the private one, in the form of the guide.
#[tokio::test]
async fn a_key_is_made_listed_and_shown() {
    let (site, token) = stage().await;
    let api = site.api(&token);
    let expires = site.clock.now().as_secs() + 86_400;
    let body = json!({
        "service": "builder",
        "expiration": expires.to_string(),
        "name": "the key",
        "metadata": {"z": 1, "a": 2},
        "notes": "by hand",
        "approval": {"approver": "somebody else"},
    });
    let made = api.post("/superuser/keys", body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(
        fields(&made),
        ["kid", "name", "private_key", "public_key", "service"]
    );
    let private = made["private_key"].as_str().unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----"));
    let lines = site.newest_lines(2).await;
    let kinds: Vec<LogKind> = lines.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [LogKind::ServiceKeyApprove, LogKind::ServiceKeyCreate]
    );
    assert_eq!(
        lines[1].1["expiration_date"],
        "Fri, 02 Jan 2026 00:00:00 GMT"
    );

    let list = api.get("/superuser/keys").await;
    assert_eq!(list.status, 200);
    assert!(!list.text().contains(": "), "compact");
    assert!(!list.text().contains("PRIVATE"));
    let list = list.json();
    let key = &list["keys"][0];
    assert_eq!(
        fields(key),
        [
            "approval",
            "created_date",
            "expiration_date",
            "jwk",
            "kid",
            "metadata",
            "name",
            "rotation_duration",
            "service"
        ]
    );
    assert_eq!(
        fields(&key["approval"]),
        ["approval_type", "approved_date", "approver", "notes"]
    );
    assert_eq!(
        key["approval"]["approval_type"],
        "ServiceKeyApprovalType.SUPERUSER"
    );
    assert_eq!(key["approval"]["approver"]["username"], "root");
    assert_eq!(key["approval"]["notes"], "by hand");
    assert_eq!(key["created_date"], "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_eq!(key["expiration_date"], "Fri, 02 Jan 2026 00:00:00 GMT");
    assert_eq!(fields(&key["jwk"]), ["e", "kid", "kty", "n"]);
    assert_eq!(
        fields(&key["metadata"]),
        ["a", "created_by", "creator", "ip", "z"]
    );
    assert_eq!(key["metadata"]["created_by"], "Quay Superuser Panel");
    let one = api
        .get(&format!(
            "/superuser/keys/{}",
            made["kid"].as_str().unwrap()
        ))
        .await;
    assert_eq!(one.json(), *key);
    assert_eq!(api.get("/superuser/keys/nobody").await.status, 404);
}

/// SC-486, SC-487: changed and deleted, each with its line.
#[tokio::test]
async fn a_key_is_changed_and_deleted_by_a_superuser() {
    let (site, token) = stage().await;
    let api = site.api(&token);
    let pair = Pair::make(&site, &token, "builder").await;
    let path = format!("/superuser/keys/{}", pair.key_id);
    let expires = site.clock.now().as_secs() + 60;
    let change = json!({"name": "other", "metadata": {"b": 1}, "expiration": expires});
    let changed = api.put(&path, change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["name"], "other");
    assert_eq!(changed.json()["metadata"]["b"], 1);
    assert_eq!(changed.json()["metadata"]["creator"], "root", "kept");
    let kinds: Vec<LogKind> = site
        .newest_lines(2)
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(
        kinds,
        [LogKind::ServiceKeyModify, LogKind::ServiceKeyExtend]
    );
    let never = api.put(&path, json!({"expiration": null})).await;
    assert_eq!(never.json()["expiration_date"], Value::Null);

    for (body, text) in [
        (
            json!({"name": "<b>"}),
            "Invalid service key friendly name: <b>",
        ),
        (
            json!({"expiration": 5}),
            "Expiration date cannot be in the past",
        ),
        (
            json!({"expiration": "soon"}),
            "Invalid expiration date: \"soon\"",
        ),
    ] {
        let answer = api.put(&path, body).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["detail"], text);
    }
    let gone = api.delete(&path).await;
    assert_eq!((gone.status.as_u16(), gone.text()), (204, ""));
    assert_eq!(site.last_line().await.0, LogKind::ServiceKeyDelete);
    assert_eq!(api.delete(&path).await.status, 404);
    let missing = api
        .post("/superuser/keys", json!({"expiration": null}))
        .await;
    assert_eq!(missing.json()["detail"], "'service' is a required property");
}

/// SC-484: a service submits its key, a superuser approves it, everybody reads it, and it speaks for itself.
#[tokio::test]
async fn a_submitted_key_is_believed_once_it_is_approved() {
    let (site, token) = stage().await;
    let api = site.api(&token);
    let pair = Pair::make(&site, &token, "builder").await;
    let path = format!("/keys/services/builder/keys/{}", pair.key_id);
    let jwk = site.get(&path).await.json();
    assert_eq!(fields(&jwk), ["e", "kty", "n", "kid"]);
    api.delete(&format!("/superuser/keys/{}", pair.key_id))
        .await;
    assert_eq!(site.get(&path).await.status, 404);

    let proof = pair.proof(&site, "builder");
    let put = ask(&site, Method::PUT, &path, &proof, &jwk).await;
    assert_eq!((put.status.as_u16(), put.text()), (202, ""));
    let (kind, told) = site.last_line().await;
    assert_eq!(
        (kind, &told["preshared"]),
        (LogKind::ServiceKeyCreate, &json!(false))
    );
    let waiting = site.get(&path).await;
    assert_eq!(
        (waiting.status.as_u16(), waiting.text()),
        (409, "{\"error\":\"Conflict\"}\n")
    );
    let all = "/keys/services/builder/keys";
    assert_eq!(site.get(all).await.json(), json!({"keys": []}));

    let approval = format!("/superuser/approvedkeys/{}", pair.key_id);
    for _ in 0..2 {
        let approved = api.post(&approval, json!({"notes": "known"})).await;
        assert_eq!((approved.status.as_u16(), approved.text()), (201, ""));
    }
    assert_eq!(site.last_line().await.0, LogKind::ServiceKeyApprove);
    let shown = site.get(&path).await;
    assert_eq!(shown.header("cache-control"), "max-age=86400");
    assert_eq!(site.get(all).await.json(), json!({"keys": [jwk]}));
    assert_eq!(
        site.get("/keys/services/other/keys").await.json(),
        json!({"keys": []})
    );
    assert_eq!(
        site.get(&path.replace("builder", "other")).await.status,
        404,
        "AZ-06"
    );

    let withdrawn = ask(&site, Method::DELETE, &path, &proof, &json!(null)).await;
    assert_eq!(withdrawn.status, 204, "{}", withdrawn.text());
    assert_eq!(site.get(&path).await.status, 404);
    let unknown = api.post("/superuser/approvedkeys/nobody", json!({})).await;
    assert_eq!(unknown.status, 404);
}

/// Signed by an approved key, a new one takes its place; an expired one is told as such.
#[tokio::test]
async fn an_approved_key_is_replaced_and_an_expired_one_is_refused() {
    let (site, token) = stage().await;
    let old = Pair::make(&site, &token, "builder").await;
    let new = Pair::make(&site, &token, "builder").await;
    let path = format!("/keys/services/builder/keys/{}", new.key_id);
    let jwk = site.get(&path).await.json();
    let api = site.api(&token);
    api.delete(&format!("/superuser/keys/{}", new.key_id)).await;
    let expires = site.clock.now().as_secs() + 60;
    let with = format!("{path}?expiration={expires}.5&rotation=3600");
    let proof = old.proof(&site, "builder");
    let replaced = ask(&site, Method::PUT, &with, &proof, &jwk).await;
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    assert_eq!(site.last_line().await.0, LogKind::ServiceKeyRotate);
    assert_eq!(site.get(&path).await.header("cache-control"), "max-age=60");
    let gone = format!("/keys/services/builder/keys/{}", old.key_id);
    assert_eq!(site.get(&gone).await.status, 404);
    site.clock.advance(Duration::from_secs(61));
    assert_eq!(site.get(&path).await.status, 403);
}

/// AU-01, AU-15: nobody changes a key without a proof; a password, a session or a stranger's key is none.
#[tokio::test]
async fn a_change_without_a_proof_is_refused() {
    let (site, token) = stage().await;
    let pair = Pair::make(&site, &token, "builder").await;
    let stranger = Pair::make(&site, &token, "other").await;
    let path = format!("/keys/services/builder/keys/{}", pair.key_id);
    let jwk = site.get(&path).await.json();
    let rows = [
        (Who::Nobody, 400),
        (Who::user("root"), 400),
        (Who::Bearer(token.clone()), 400),
        (stranger.proof(&site, "builder"), 403),
        (pair.proof(&site, "other"), 400),
    ];
    for (who, status) in rows {
        for method in [Method::PUT, Method::DELETE] {
            let answer = ask(&site, method.clone(), &path, &who, &jwk).await;
            assert_eq!(answer.status, status, "{method} {who:?} {}", answer.text());
        }
    }
    let odd = ask(
        &site,
        Method::PUT,
        &path,
        &pair.proof(&site, "builder"),
        &json!({}),
    )
    .await;
    assert_eq!(
        (odd.status.as_u16(), odd.text()),
        (400, "{\"error\":\"Invalid Request\"}\n")
    );
    assert_eq!(site.get(&path).await.status, 200);
}

#[tokio::test]
async fn only_superusers_see_and_keep_keys() {
    let (site, _) = stage().await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "super:user").await;
    for (method, path) in [
        (Method::GET, "/superuser/keys"),
        (Method::POST, "/superuser/keys"),
        (Method::GET, "/superuser/keys/x"),
        (Method::PUT, "/superuser/keys/x"),
        (Method::DELETE, "/superuser/keys/x"),
        (Method::POST, "/superuser/approvedkeys/x"),
    ] {
        let body = json!({"service": "x", "expiration": null});
        let answer = site
            .api(&token)
            .send(method.clone(), path, Some(body))
            .await;
        assert_eq!(answer.status, 403, "{method} {path}");
    }
}

/// quay-log-kinds 5: every superuser is told of a key that waits, and of one that no longer does nobody is.
#[tokio::test]
async fn superusers_are_told_of_a_key_while_it_waits() {
    let (site, token) = stage().await;
    let other = site.superuser("other").await;
    let ann = site.user("ann").await;
    let mut inboxes = Vec::new();
    let root = site
        .accounts()
        .user_by_name("root")
        .await
        .unwrap()
        .unwrap()
        .0;
    for user in [root, other, ann] {
        inboxes.push(site.oauth_token(user, "user:admin").await);
    }
    let told = async |inbox: &str| {
        let answer = site.api(inbox).get("/user/notifications").await;
        answer.json()["notifications"].as_array().unwrap().clone()
    };
    for settled in ["approve", "delete", "withdraw"] {
        let pair = Pair::make(&site, &token, "builder").await;
        let key = format!("/superuser/keys/{}", pair.key_id);
        let jwk = site.api(&token).get(&key).await.json()["jwk"].clone();
        site.api(&token).delete(&key).await;
        let path = format!("/keys/services/builder/keys/{}", pair.key_id);
        let proof = pair.proof(&site, "builder");
        for _ in 0..2 {
            let sent = ask(&site, Method::PUT, &path, &proof, &jwk).await;
            assert_eq!(sent.status, 202, "{}", sent.text());
        }
        for inbox in &inboxes[..2] {
            let notices = told(inbox).await;
            assert_eq!(notices.len(), 1, "once, however often it is sent");
            assert_eq!(notices[0]["kind"], "service_key_submitted");
            let metadata = &notices[0]["metadata"];
            assert_eq!(metadata["kid"], pair.key_id.as_str());
            assert_eq!(metadata["service"], "builder");
            assert_eq!(metadata["jwk"], jwk);
            assert_eq!(metadata["created_date"], site.clock.now().as_secs());
        }
        assert!(told(&inboxes[2]).await.is_empty(), "ann is no superuser");
        let approve = format!("/superuser/approvedkeys/{}", pair.key_id);
        match settled {
            "delete" => assert_eq!(site.api(&token).delete(&key).await.status, 204),
            _ => {
                let approved = site.api(&token).post(&approve, json!({})).await;
                assert_eq!(approved.status, 201, "{}", approved.text());
            }
        }
        for inbox in &inboxes[..2] {
            assert!(told(inbox).await.is_empty(), "{settled}");
        }
        if settled == "withdraw" {
            let gone = ask(&site, Method::DELETE, &path, &proof, &Value::Null).await;
            assert_eq!(gone.status, 204, "{}", gone.text());
        }
    }
}
