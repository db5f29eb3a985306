//! Robots of organisations and of users.

use entrepot::model::Visibility;
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::invalid;

fn robot(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "created": "Fri, 10 May 2024 17:46:02 -0000",
        "last_accessed": null,
        "description": description,
    })
}

fn with(mut view: Value, field: &str, value: Value) -> Value {
    view[field] = value;
    view
}

/// quay-api section 17, SEED: with a token where it is made, shown and made anew; `unstructured_metadata`
/// is null where it is made without one, and an empty object where it is shown.
#[tokio::test]
async fn the_doors_of_robots_answer_as_documented() {
    let guide = Guide::new().await;
    guide.site.repository("acme/app", Visibility::Private).await;
    guide.site.repository("ann/app", Visibility::Public).await;
    for (home, namespace, is_public) in [
        ("/organization/acme", "acme", false),
        ("/user", "ann", true),
    ] {
        of_home(&guide, home, namespace, is_public).await;
    }
    all_are_shown(&[&guide], &["robot"], &[]);
}

async fn of_home(guide: &Guide, home: &str, namespace: &str, is_public: bool) {
    let (ann, name) = (&guide.ann, format!("{namespace}+ci"));
    let (all, one) = (format!("{home}/robots"), format!("{home}/robots/ci"));
    let token = json!("A0".repeat(32));
    let bare = robot(&name, "");
    let with_token = with(bare.clone(), "token", token);
    let made = with(with_token.clone(), "unstructured_metadata", Value::Null);
    let put = format!("PUT {one}");
    guide.ask(ann, &put, Value::Null).await.is(201, &made);
    let exists = format!("Existing robot with name: {name}");
    guide
        .ask(ann, &put, Value::Null)
        .await
        .refuses(400, &invalid(&guide.site, &exists));
    let shown = with(with_token.clone(), "unstructured_metadata", json!({}));
    guide.get(ann, &one).await.is(200, &shown);
    let regenerate = format!("POST {one}/regenerate");
    guide
        .ask(ann, &regenerate, Value::Null)
        .await
        .is(200, &with_token);
    let list = json!({"robots": [with_token]});
    guide.get(ann, &all).await.is(200, &list);
    let list = json!({"robots": [bare]});
    guide
        .get(ann, &format!("{all}?token=false"))
        .await
        .is(200, &list);

    of_rights(guide, home, namespace, is_public).await;
    of_federation(guide, &one).await;

    let delete = format!("DELETE {one}");
    guide.ask(ann, &delete, Value::Null).await.says(204, "");
    guide.get(ann, &all).await.is(200, &json!({"robots": []}));
    let unknown = json!({"message": "Could not find robot with specified username"});
    guide.get(ann, &one).await.refuses(400, &unknown);
    guide
        .ask(ann, &delete, Value::Null)
        .await
        .refuses(400, &unknown);
    guide
        .ask(ann, &regenerate, Value::Null)
        .await
        .refuses(400, &unknown);
    let body = json!({"description": "My bot", "unstructured_metadata": {"team": "ci"}});
    let made = with(robot(&name, "My bot"), "token", json!("A0".repeat(32)));
    let made = with(made, "unstructured_metadata", json!({"team": "ci"}));
    guide.ask(ann, &put, body).await.is(201, &made);
}

/// What a robot may, in the list and by itself.
async fn of_rights(guide: &Guide, home: &str, namespace: &str, is_public: bool) {
    let (ann, name) = (&guide.ann, format!("{namespace}+ci"));
    let (all, one) = (format!("{home}/robots"), format!("{home}/robots/ci"));
    let grant = format!("PUT /repository/{namespace}/app/permissions/user/{name}");
    let _ = guide
        .ask(ann, &grant, json!({"role": "read"}))
        .await
        .succeeds(200);
    let detailed = json!({
        "name": name,
        "created": "Fri, 10 May 2024 17:46:02 -0000",
        "last_accessed": null,
        "teams": [],
        "repositories": ["app"],
        "description": "",
        "token": "A0".repeat(32),
    });
    let list = json!({"robots": [detailed]});
    guide
        .get(ann, &format!("{all}?permissions=true&token=true"))
        .await
        .is(200, &list);
    let repository = json!({"name": "app", "is_public": is_public});
    let granted = json!({"permissions": [{"repository": repository, "role": "read"}]});
    guide
        .get(ann, &format!("{one}/permissions"))
        .await
        .is(200, &granted);
}

async fn of_federation(guide: &Guide, one: &str) {
    let (ann, path) = (&guide.ann, format!("{one}/federation"));
    let rules = json!([{"issuer": "https://idp.example.org", "subject": "repo:a"}]);
    guide
        .ask(ann, &format!("POST {path}"), rules.clone())
        .await
        .is(200, &rules);
    guide.get(ann, &path).await.is(200, &rules);
    let delete = format!("DELETE {path}");
    guide.ask(ann, &delete, Value::Null).await.says(204, "");
    let missing = "Missing one or more required fields (issuer, subject)";
    guide
        .ask(
            ann,
            &format!("POST {path}"),
            json!([{"issuer": "https://a"}]),
        )
        .await
        .refuses(400, &invalid(&guide.site, missing));
}
