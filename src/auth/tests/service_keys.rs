//! Keys of services: made, submitted, approved, replaced, over.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::Site;
use crate::auth::{
    MadeServiceKey, NewServiceKey, ServiceKeyChange, ServiceKeyError, Submission, Submitted,
};
use crate::model::{Actor, ApprovalKind, LogFilter, LogKind, Performer, Timestamp, UserId};

const AUDIENCE: &str = "https://registry.example.org";

/// A service's own key, which signs what the test likes.
struct Service {
    pair: RsaKeyPair,
    jwk: Value,
    key_id: String,
}

impl Service {
    /// A key is made with the server's own means; only that it is a key matters.
    async fn new(site: &Site) -> Self {
        let made = make(site, "maker", None).await.unwrap();
        let record = site.auth.service_keys().key(&made.key_id).await.unwrap();
        let jwk = serde_json::from_str(&record.unwrap().jwk).unwrap();
        site.auth
            .service_keys()
            .delete(&made.key_id, &by())
            .await
            .unwrap();
        Self {
            pair: pair(&made),
            jwk,
            key_id: made.key_id,
        }
    }

    fn claims(site: &Site) -> Value {
        let now = site.clock.now().as_secs();
        json!({"iss": "builder", "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn proof(&self, site: &Site) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        self.sign(&header, &Self::claims(site))
    }

    /// This key, shown by itself.
    fn submission(&self, site: &Site) -> Submission {
        Submission {
            service: "builder".to_owned(),
            key_id: self.key_id.clone(),
            jwk: self.jwk.clone(),
            proof: self.proof(site),
            audience: AUDIENCE.to_owned(),
            expires: None,
            rotation_duration_s: None,
            user_agent: "builder/1".to_owned(),
        }
    }
}

fn by() -> Performer {
    from("192.0.2.7")
}

fn from(address: &str) -> Performer {
    Performer {
        address: Some(address.parse().unwrap()),
        ..Performer::from(Actor::Anonymous)
    }
}

fn pair(made: &MadeServiceKey) -> RsaKeyPair {
    let pem: String = made
        .private_key
        .expose()
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap()
}

async fn make(
    site: &Site,
    service: &str,
    expires: Option<Timestamp>,
) -> Result<MadeServiceKey, ServiceKeyError> {
    let new = NewServiceKey {
        service: service.to_owned(),
        name: "the key".to_owned(),
        metadata: Map::new(),
        expires,
        notes: "made".to_owned(),
    };
    site.auth.service_keys().make(new, UserId(1), &by()).await
}

async fn approve(site: &Site, key_id: &str) {
    let keys = site.auth.service_keys();
    let who = by();
    let approved = keys.approve(key_id, String::new(), UserId(1), &who);
    approved.await.unwrap();
}

async fn logged(site: &Site) -> Vec<(LogKind, Map<String, Value>)> {
    let filter = LogFilter {
        scope: None,
        performer: None,
        since: Timestamp::from_millis(0),
        until: Timestamp::from_millis(i64::MAX),
    };
    let list = move |tx: &crate::store::ReadTx| tx.logs().list(&filter, None, 1000);
    let lines = site.store.scan(list);
    let lines: Result<Vec<_>, crate::store::Error> = lines.await;
    let lines = lines.unwrap().into_iter();
    lines
        .map(|(_, entry)| (entry.kind, entry.metadata()))
        .collect()
}

/// AU-04: a key that is made is its service's at once; its private half is told once and kept nowhere.
#[tokio::test]
async fn a_key_that_is_made_is_believed_and_its_private_half_is_not_kept() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let made = make(&site, "builder", None).await.unwrap();
    assert!(made.public_key.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(
        made.private_key
            .expose()
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );

    let believed = keys.believed_key("builder", &made.key_id).await.unwrap();
    let jwk: Value = serde_json::from_str(&believed.jwk).unwrap();
    assert_eq!(
        (&jwk["kty"], &jwk["kid"]),
        (&json!("RSA"), &json!(made.key_id))
    );
    let approval = believed.approval.unwrap();
    assert_eq!(
        (approval.kind, approval.approver, approval.notes.as_str()),
        (ApprovalKind::Superuser, Some(UserId(1)), "made")
    );
    let kinds: Vec<LogKind> = logged(&site)
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(
        kinds,
        [LogKind::ServiceKeyApprove, LogKind::ServiceKeyCreate]
    );
    let (_, told) = &logged(&site).await[1];
    assert_eq!(told["auto_approved"], true);
    assert_eq!(told["preshared"], true);

    let other = keys.believed_key("scanner", &made.key_id).await;
    assert!(matches!(other, Err(ServiceKeyError::Unknown)), "AZ-06");
    assert!(keys.believed("scanner").await.unwrap().is_empty());
    assert_eq!(keys.believed("builder").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_submitted_waits_until_a_superuser_approves_it() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let service = Service::new(&site).await;
    let submitted = keys.submit(service.submission(&site), &by()).await;
    assert_eq!(submitted.unwrap(), Submitted::Waits);
    let read = keys.believed_key("builder", &service.key_id).await;
    assert!(matches!(read, Err(ServiceKeyError::Unapproved)));
    assert!(keys.believed("builder").await.unwrap().is_empty());

    approve(&site, &service.key_id).await;
    keys.believed_key("builder", &service.key_id).await.unwrap();
    let lines = logged(&site).await.len();
    approve(&site, &service.key_id).await;
    assert_eq!(logged(&site).await.len(), lines, "approved already");

    // Sent again, it stays what it is.
    keys.submit(service.submission(&site), &by()).await.unwrap();
    keys.believed_key("builder", &service.key_id).await.unwrap();
}

#[tokio::test]
async fn an_approved_key_signs_for_its_successor() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let (old, new) = (Service::new(&site).await, Service::new(&site).await);
    let successor = Submission {
        proof: old.proof(&site),
        ..new.submission(&site)
    };
    let unknown = keys.submit(successor.clone(), &by()).await;
    assert!(matches!(unknown, Err(ServiceKeyError::Refused)));
    keys.submit(old.submission(&site), &by()).await.unwrap();
    let unapproved = keys.submit(successor.clone(), &by()).await;
    assert!(matches!(unapproved, Err(ServiceKeyError::Refused)));

    approve(&site, &old.key_id).await;
    let foreign = Submission {
        service: "scanner".to_owned(),
        ..successor.clone()
    };
    let foreign = keys.submit(foreign, &by()).await;
    assert!(matches!(foreign, Err(ServiceKeyError::Refused)), "AZ-06");
    let replaced = keys.submit(successor, &by()).await.unwrap();
    assert_eq!(replaced, Submitted::Replaced);
    keys.believed_key("builder", &new.key_id).await.unwrap();
    assert!(keys.key(&old.key_id).await.unwrap().is_none());
    let (kind, told) = logged(&site).await.remove(0);
    assert_eq!(kind, LogKind::ServiceKeyRotate);
    assert_eq!(told["signer_kid"], old.key_id.as_str());
}

#[tokio::test]
async fn an_approved_key_withdraws_itself_and_its_like() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let (one, other) = (Service::new(&site).await, Service::new(&site).await);
    keys.submit(one.submission(&site), &by()).await.unwrap();
    let waiting = keys.withdraw(one.submission(&site), &by()).await;
    assert!(matches!(waiting, Err(ServiceKeyError::Refused)));
    approve(&site, &one.key_id).await;
    keys.submit(other.submission(&site), &by()).await.unwrap();

    let by_one = |key_id: &str| Submission {
        key_id: key_id.to_owned(),
        ..one.submission(&site)
    };
    let absent = keys.withdraw(by_one("nobody"), &by()).await;
    assert!(matches!(absent, Err(ServiceKeyError::Unknown)));
    let foreign = make(&site, "scanner", None).await.unwrap();
    let foreign = keys.withdraw(by_one(&foreign.key_id), &by()).await;
    assert!(matches!(foreign, Err(ServiceKeyError::Unknown)), "AZ-06");
    keys.withdraw(by_one(&other.key_id), &by()).await.unwrap();
    keys.withdraw(by_one(&one.key_id), &by()).await.unwrap();
    assert!(keys.believed("builder").await.unwrap().is_empty());
}

/// AU-01, AU-02: the algorithm is the key's, every claim is there and right, and nothing else convinces.
#[tokio::test]
async fn a_proof_that_is_not_right_in_everything_is_none() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let service = Service::new(&site).await;
    let stranger = Service::new(&site).await;
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": service.key_id});
    let good = Service::claims(&site);
    let now = site.clock.now().as_secs();
    let mut proofs = vec![
        String::new(),
        "a.b.c".to_owned(),
        "x".repeat(100_000),
        stranger.sign(&header, &good),
        service.sign(&json!({"alg": "none", "kid": service.key_id}), &good),
        service.sign(&json!({"alg": "HS256", "kid": service.key_id}), &good),
        service.sign(&json!({"alg": "RS512", "kid": service.key_id}), &good),
        service.sign(
            &json!({"alg": "RS256", "kid": service.key_id, "crit": ["b64"]}),
            &good,
        ),
    ];
    let claims = ["iss", "aud", "exp", "nbf", "iat"];
    let changes = claims
        .iter()
        .flat_map(|name| [(*name, Value::Null), (*name, json!("other"))])
        .chain([
            ("exp", json!(now - 60)),
            ("nbf", json!(now + 60)),
            ("iat", json!(now + 60)),
            ("exp", json!(now + 86_400)),
            ("exp", json!(-1)),
            ("exp", json!(1.5)),
        ]);
    for (name, value) in changes {
        let mut changed = good.clone();
        changed[name] = value;
        proofs.push(service.sign(&header, &changed));
        changed.as_object_mut().unwrap().remove(name);
        proofs.push(service.sign(&header, &changed));
    }
    for proof in proofs {
        let submission = Submission {
            proof: proof.clone(),
            ..service.submission(&site)
        };
        let answer = keys.submit(submission, &by()).await;
        let refused = matches!(
            answer,
            Err(ServiceKeyError::Malformed | ServiceKeyError::Refused)
        );
        assert!(refused, "{}: {answer:?}", proof.get(..60).unwrap_or(&proof));
    }
    assert!(keys.list().await.unwrap().is_empty());
    let several =
        json!({"iss": "builder", "aud": ["x", AUDIENCE], "iat": now, "nbf": now, "exp": now + 9});
    let proved = Submission {
        proof: service.sign(&header, &several),
        ..service.submission(&site)
    };
    keys.submit(proved, &by()).await.unwrap();
}

/// Strangers fill nothing: not from one address, not together, not for long.
#[tokio::test]
async fn keys_that_nobody_vouches_for_are_few_and_go() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let service = Service::new(&site).await;
    let named = |key_id: &str| {
        let header = json!({"alg": "RS256", "kid": key_id});
        Submission {
            key_id: key_id.to_owned(),
            proof: service.sign(&header, &Service::claims(&site)),
            ..service.submission(&site)
        }
    };
    for number in 0..100 {
        let source = from(&format!("192.0.2.{}", number / 10));
        let submission = named(&format!("k{number}"));
        keys.submit(submission, &source).await.unwrap();
        if number == 9 {
            let eleventh = keys.submit(named("more"), &source).await;
            assert!(matches!(eleventh, Err(ServiceKeyError::TooMany)));
        }
    }
    let full = keys.submit(named("more"), &from("192.0.2.99")).await;
    assert!(matches!(full, Err(ServiceKeyError::TooMany)));
    approve(&site, "k5").await;

    site.advance(23 * 3600);
    assert_eq!(keys.sweep().await.unwrap(), 0);
    site.advance(2 * 3600);
    assert_eq!(keys.sweep().await.unwrap(), 99);
    let left = keys.list().await.unwrap();
    assert_eq!(left.len(), 1, "that which was approved");
    keys.submit(named("more"), &by()).await.unwrap();

    let long = "k".repeat(300);
    for (service_name, key_id) in [
        ("a b", "k"),
        ("../x", "k"),
        ("builder", ""),
        ("builder", &long),
    ] {
        let submission = Submission {
            service: service_name.to_owned(),
            key_id: key_id.to_owned(),
            ..named("other")
        };
        let answer = keys.submit(submission, &by()).await;
        assert!(
            matches!(answer, Err(ServiceKeyError::Malformed)),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_key_that_has_expired_is_believed_no_more_and_goes_later() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let soon = site.clock.now() + std::time::Duration::from_secs(60);
    let made = make(&site, "builder", Some(soon)).await.unwrap();
    keys.believed_key("builder", &made.key_id).await.unwrap();
    site.advance(61);
    let over = keys.believed_key("builder", &made.key_id).await;
    assert!(matches!(over, Err(ServiceKeyError::Expired)));
    assert!(keys.believed("builder").await.unwrap().is_empty());
    assert_eq!(keys.sweep().await.unwrap(), 0);
    site.advance(8 * 86_400);
    assert_eq!(keys.sweep().await.unwrap(), 1);
    assert!(keys.key(&made.key_id).await.unwrap().is_none());
}

/// SC-486: what is changed is told in the log by its own kinds; metadata are added.
#[tokio::test]
async fn a_key_is_changed_and_deleted() {
    let site = Site::new().await;
    let keys = site.auth.service_keys();
    let made = make(&site, "builder", None).await.unwrap();
    let expires = site.clock.now() + std::time::Duration::from_secs(60);
    let metadata = |text: Value| text.as_object().cloned();
    let who = by();
    let change = |change: ServiceKeyChange| keys.change(&made.key_id, change, &who);
    let changed = change(ServiceKeyChange {
        name: Some("new name".to_owned()),
        metadata: metadata(json!({"a": 1})),
        expires: Some(Some(expires)),
    });
    let changed = changed.await.unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.expires),
        ("new name", Some(expires))
    );
    let kinds: Vec<LogKind> = logged(&site)
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(
        kinds[..2],
        [LogKind::ServiceKeyModify, LogKind::ServiceKeyExtend]
    );
    let more = change(ServiceKeyChange {
        metadata: metadata(json!({"b": 2})),
        expires: Some(None),
        ..ServiceKeyChange::default()
    });
    let more = more.await.unwrap();
    assert_eq!(
        (more.metadata.as_str(), more.expires),
        (r#"{"a":1,"b":2}"#, None)
    );

    let bad = |name: &str, expires| ServiceKeyChange {
        name: Some(name.to_owned()),
        expires,
        ..ServiceKeyChange::default()
    };
    let past = site.clock.now();
    assert!(matches!(
        change(bad("<b>", None)).await,
        Err(ServiceKeyError::Name(_))
    ));
    let past = change(bad("x", Some(Some(past)))).await;
    assert!(matches!(past, Err(ServiceKeyError::Past)));
    let far = change(bad("x", Some(Some(Timestamp::from_millis(i64::MAX))))).await;
    assert!(matches!(far, Err(ServiceKeyError::TooLate)));

    keys.delete(&made.key_id, &by()).await.unwrap();
    let (kind, told) = logged(&site).await.remove(0);
    assert_eq!(kind, LogKind::ServiceKeyDelete);
    assert!(told["created_date"].as_str().unwrap().ends_with(" GMT"));
    let gone = keys.delete(&made.key_id, &by()).await;
    assert!(matches!(gone, Err(ServiceKeyError::Unknown)));
}
