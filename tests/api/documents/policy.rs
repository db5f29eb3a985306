//! Policies by which tags end, as the guide makes, changes and removes them.

use entrepot::model::Visibility;
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::not_found;

/// Any id: all that matters is its form.
const ID: &str = "73d64f05-d587-42d9-af6d-e726a4a80d6e";

fn policy(method: &str, value: Value, pattern: Option<&str>, matches: bool) -> Value {
    json!({
        "uuid": ID,
        "method": method,
        "value": value,
        "tagPattern": pattern,
        "tagPatternMatches": matches,
    })
}

/// quay-api section 26; SC-441, SC-442, SC-443, SC-444, SC-445, SC-446, SC-447, SC-448, SC-449, SC-450, SC-451,
/// SC-452: the guide's own bodies, at each of its bases.
#[tokio::test]
async fn policies_answer_as_documented() {
    let guide = Guide::new().await;
    guide.site.repository("acme/app", Visibility::Private).await;
    for base in [
        "/organization/acme/autoprunepolicy/",
        "/repository/acme/app/autoprunepolicy/",
        "/user/autoprunepolicy/",
    ] {
        of_one_base(&guide, base).await;
    }
    all_are_shown(&[&guide], &["policy"], &[]);
}

async fn of_one_base(guide: &Guide, base: &str) {
    let ann = guide.ann.as_str();
    let post = format!("POST {base}");
    let none = json!({"policies": []});
    guide.get(ann, base).await.is(200, &none);
    let made = json!({"uuid": ID});
    for body in [
        json!({"method": "number_of_tags", "value": 10}),
        json!({"method": "creation_date", "value": "7d"}),
        json!({"method": "creation_date", "value": "7d", "tagPattern": "^v*", "tagPatternMatches": true}),
        json!({"method": "creation_date", "value": "7d", "tagPattern": "^test.*", "tagPatternMatches": false}),
    ] {
        guide.ask(ann, &post, body).await.is(201, &made);
    }
    // They are listed in the order of their ids.
    let listed = guide.get(ann, base).await.succeeds(200).json();
    let listed = listed["policies"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    let is =
        |wanted: &Value, found: &Value| crate::harness::form::differences(found, wanted).is_empty();
    for wanted in [
        policy("number_of_tags", json!(10), None, true),
        policy("creation_date", json!("7d"), None, true),
        policy("creation_date", json!("7d"), Some("^v*"), true),
        policy("creation_date", json!("7d"), Some("^test.*"), false),
    ] {
        let alike = listed.iter().filter(|found| is(&wanted, found));
        assert_eq!(alike.count(), 1, "{wanted}");
    }
    for found in &listed[1..] {
        let delete = format!("DELETE {base}{}", found["uuid"].as_str().unwrap());
        guide.ask(ann, &delete, Value::Null).await.is(200, &made);
    }
    let uuid = listed[0]["uuid"].as_str().unwrap();
    let one = format!("{base}{uuid}");
    let body = json!({"uuid": uuid, "method": "number_of_tags", "value": "5"});
    let put = format!("PUT {one}");
    guide.ask(ann, &put, body).await.says(204, "");
    let changed = policy("number_of_tags", json!(5), None, true);
    guide.get(ann, &one).await.is(200, &changed);
    let list = json!({"policies": [changed]});
    guide.get(ann, base).await.is(200, &list);
    let preview = json!({"examined": 0, "complete": true, "tags": []});
    guide
        .ask(ann, &format!("POST {base}preview"), Value::Null)
        .await
        .is(200, &preview);
    let delete = format!("DELETE {one}");
    let gone = json!({"uuid": uuid});
    guide.ask(ann, &delete, Value::Null).await.is(200, &gone);
    let refusal = not_found(&guide.site);
    guide.get(ann, &one).await.refuses(404, &refusal);
}
