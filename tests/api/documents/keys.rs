//! Keys of services, as superusers and as services have them.

use reqwest::Method;
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::superuser::user_view;
use super::{invalid, not_found};
use crate::api::service_keys::{Pair, ask};
use crate::harness::people::Who;

/// quay-api section 35: a key, compact and with its names sorted.
fn key_view() -> Value {
    let mut approver = user_view("root", true);
    let fields = approver.as_object_mut().unwrap();
    fields.sort_keys();
    fields["avatar"].as_object_mut().unwrap().sort_keys();
    fields["quota_report"].as_object_mut().unwrap().sort_keys();
    json!({
        "approval": {
            "approval_type": "ServiceKeyApprovalType.SUPERUSER",
            "approved_date": "Mon, 20 Jan 2025 14:46:01 GMT",
            "approver": approver,
            "notes": "",
        },
        "created_date": "Mon, 20 Jan 2025 14:46:01 GMT",
        "expiration_date": "Fri, 02 Jan 2026 00:00:00 GMT",
        "jwk": {"e": "AQAB", "kid": "<text>", "kty": "RSA", "n": "<text>"},
        "kid": "<text>",
        "metadata": {
            "created_by": "Quay Superuser Panel", "creator": "root", "ip": "127.0.0.1",
        },
        "name": "",
        "rotation_duration": null,
        "service": "test",
    })
}

/// The documents' own bodies. What they print of the making is the body of an error (section 41); who makes
/// a key is told both halves.
pub(super) async fn of_superusers(guide: &Guide) {
    let (root, all) = (&guide.root, "/superuser/keys");
    let expires = guide.site.clock.now().as_secs() + 86_400;
    let body = json!({"service": "test", "expiration": expires});
    let made = json!({
        "kid": "<text>",
        "name": "",
        "private_key": "<text>",
        "public_key": "<text>",
        "service": "test",
    });
    let made = guide
        .ask(root, "POST /superuser/keys", body)
        .await
        .is(200, &made);
    let missing = invalid(&guide.site, "'service' is a required property");
    guide
        .ask(root, "POST /superuser/keys", json!({"expiration": null}))
        .await
        .refuses(400, &missing);
    guide
        .get(root, all)
        .await
        .is(200, &json!({"keys": [key_view()]}));
    let one = format!("{all}/{}", made.json()["kid"].as_str().unwrap());
    guide.get(root, &one).await.is(200, &key_view());
    let mut changed = key_view();
    changed["name"] = json!("newname");
    changed["metadata"]["environment"] = json!("production");
    changed["metadata"].as_object_mut().unwrap().sort_keys();
    let body = json!({
        "name": "newname", "metadata": {"environment": "production"}, "expiration": expires,
    });
    guide
        .ask(root, &format!("PUT {one}"), body)
        .await
        .is(200, &changed);
    let approve = one.replace("/keys/", "/approvedkeys/");
    guide
        .ask(root, &format!("POST {approve}"), json!({"notes": "known"}))
        .await
        .says(201, "");
    let delete = format!("DELETE {one}");
    guide.ask(root, &delete, Value::Null).await.says(204, "");
    let refusal = not_found(&guide.site);
    guide.get(root, &one).await.refuses(404, &refusal);
    guide
        .ask(root, &delete, Value::Null)
        .await
        .refuses(404, &refusal);
    guide
        .ask(root, &format!("POST {approve}"), Value::Null)
        .await
        .refuses(404, &refusal);
}

/// quay-api section 38.
#[tokio::test]
async fn the_doors_of_the_key_server_answer_as_documented() {
    let guide = Guide::new().await;
    let site = &guide.site;
    let pair = Pair::make(site, &guide.root, "builder").await;
    let signer = Pair::make(site, &guide.root, "builder").await;
    let (all, path) = (
        "/keys/services/builder/keys",
        format!("/keys/services/builder/keys/{}", pair.key_id),
    );
    let jwk = json!({"e": "AQAB", "kty": "RSA", "n": "<text>", "kid": "<text>"});
    let keys = json!({"keys": [jwk, jwk]});
    guide.read(all).await.is(200, &keys);
    let shown = guide.read(&path).await.is(200, &jwk).json();

    let asked = async |method: Method, who: &Who, body: &Value| {
        let answer = ask(site, method.clone(), &path, who, body).await;
        guide.answered(&format!("{method} {path}"), answer)
    };
    let malformed = json!({"error": "Invalid Request"});
    asked(Method::DELETE, &Who::Nobody, &Value::Null)
        .await
        .refuses(400, &malformed);
    let proof = pair.proof(site, "builder");
    asked(Method::DELETE, &proof, &Value::Null)
        .await
        .says(204, "");
    let absent = json!({"error": "Not Found"});
    guide.read(&path).await.refuses(404, &absent);
    asked(Method::PUT, &proof, &shown).await.says(202, "");
    let waiting = json!({"error": "Conflict"});
    guide.read(&path).await.refuses(409, &waiting);
    let approve = format!("POST /superuser/approvedkeys/{}", pair.key_id);
    guide
        .ask(&guide.root, &approve, json!({}))
        .await
        .says(201, "");
    asked(Method::DELETE, &proof, &Value::Null)
        .await
        .says(204, "");
    // Signed by another approved key, it takes the place of that one.
    let by_other = signer.proof(site, "builder");
    asked(Method::PUT, &by_other, &shown).await.says(200, "");
    all_are_shown(&[&guide], &["keyserver"], &[]);
}
