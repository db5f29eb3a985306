//! Repositories, what is granted on them, and the policies by which their tags become immutable.

use entrepot::model::{Grantee, Role, Visibility};
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{avatar, invalid, not_found};
use crate::harness::content::Image;
use crate::harness::people::Who;

const APP: &str = "/repository/acme/app";

/// quay-api section 18, SEED.
#[tokio::test]
async fn the_doors_of_repositories_answer_as_documented() {
    let guide = Guide::with(|config| config.features.signing = true).await;
    of_making(&guide).await;
    of_lists(&guide).await;
    of_one(&guide).await;
    of_changes(&guide).await;
    all_are_shown(&[&guide], &["repository"], &[]);
}

async fn of_making(guide: &Guide) {
    let line = "POST /repository";
    let body = json!({
        "namespace": "acme", "repository": "app", "visibility": "private",
        "description": "My repository",
    });
    let made = json!({"namespace": "acme", "name": "app", "kind": "image"});
    guide
        .ask(&guide.ann, line, body.clone())
        .await
        .is(201, &made);
    let exists = invalid(&guide.site, "Repository already exists");
    guide
        .ask(&guide.ann, line, body)
        .await
        .refuses(400, &exists);
    let body = json!({"repository": "own", "visibility": "public", "description": ""});
    let made = json!({"namespace": "ann", "name": "own", "kind": "image"});
    guide.ask(&guide.ann, line, body).await.is(201, &made);
    let missing = invalid(&guide.site, "'visibility' is a required property");
    let body = json!({"repository": "own", "description": ""});
    guide
        .ask(&guide.ann, line, body)
        .await
        .refuses(400, &missing);
}

/// The documents' own query, then what more may be asked for.
async fn of_lists(guide: &Guide) {
    let item = |last: &[(&str, Value)]| {
        let mut item = json!({
            "namespace": "acme",
            "name": "app",
            "description": "My repository",
            "is_public": false,
            "kind": "image",
            "state": "NORMAL",
        });
        for (field, value) in last {
            item[field] = value.clone();
        }
        json!({ "repositories": [item] })
    };
    let starred = ("is_starred", json!(false));
    let quota = (
        "quota_report",
        json!({"quota_bytes": 0, "configured_quota": null}),
    );
    let path = "/repository?public=true&starred=false&namespace=acme";
    let expected = item(&[starred.clone(), quota.clone()]);
    guide.get(&guide.ann, path).await.is(200, &expected);
    let path = "/repository?last_modified=true&popularity=true&namespace=acme";
    let modified = ("last_modified", Value::Null);
    // A whole number, also where Quay's source has 1.0: section 41.
    let popularity = ("popularity", json!(1));
    let expected = item(&[modified, popularity, starred, quota]);
    guide.get(&guide.ann, path).await.is(200, &expected);
    let text = "namespace, starred or public are required for this API call";
    guide
        .get(&guide.ann, "/repository")
        .await
        .refuses(400, &invalid(&guide.site, text));
}

async fn of_one(guide: &Guide) {
    let view = json!({
        "namespace": "acme",
        "name": "app",
        "kind": "image",
        "description": "My repository",
        "is_public": false,
        "is_organization": true,
        "is_starred": false,
        "status_token": "",
        "trust_enabled": false,
        "tag_expiration_s": 1_209_600,
        "is_free_account": true,
        "state": "NORMAL",
        "tags": {},
        "can_write": true,
        "can_admin": true,
    });
    guide.get(&guide.ann, APP).await.is(200, &view);
    let who = Who::user("ann");
    let image = Image::with_layers(1, &[100]);
    guide.site.push_as(&who, "acme/app", "v1", &image).await;
    let mut with_tag = view.clone();
    with_tag["tags"] = json!({"v1": {
        "name": "v1",
        "size": 100,
        "last_modified": "Thu, 01 Jan 2026 00:00:00 -0000",
        "manifest_digest": image.digest(),
    }});
    guide.get(&guide.ann, APP).await.is(200, &with_tag);
    let mut with_days = view;
    let fields = with_days.as_object_mut().unwrap();
    fields.shift_remove("tags");
    fields.insert(
        "stats".to_owned(),
        json!([{"date": "<text>", "count": "<number>"}]),
    );
    let path = format!("{APP}?includeStats=true&includeTags=false");
    let shown = guide
        .get(&guide.ann, &path)
        .await
        .is(200, &with_days)
        .json();
    let days = shown["stats"].as_array().unwrap();
    assert_eq!((days.len(), &days[0]["date"]), (91, &json!("2026-01-01")));
}

async fn of_changes(guide: &Guide) {
    let done = "{\"success\": true}";
    for (line, body) in [
        (format!("PUT {APP}"), json!({"description": "other"})),
        (
            format!("POST {APP}/changevisibility"),
            json!({"visibility": "public"}),
        ),
        (
            format!("POST {APP}/changetrust"),
            json!({"trust_enabled": false}),
        ),
        (
            format!("PUT {APP}/changestate"),
            json!({"state": "READ_ONLY"}),
        ),
        (format!("PUT {APP}/changestate"), json!({"state": "NORMAL"})),
    ] {
        guide.ask(&guide.ann, &line, body).await.says(200, done);
    }
    let line = format!("PUT {APP}/changestate");
    let refusal = json!({"detail": "ODD is not a valid Repository state."});
    guide
        .ask(&guide.ann, &line, json!({"state": "ODD"}))
        .await
        .refuses(400, &refusal);
    guide.removes(&guide.ann, APP).await;
    // The one body that the documents print of a repository.
    guide
        .get(&guide.ann, APP)
        .await
        .refuses(404, &not_found(&guide.site));
}

fn person(name: &str, role: &str, is_robot: bool, is_member: bool) -> Value {
    json!({
        "role": role,
        "name": name,
        "is_robot": is_robot,
        "avatar": avatar(name, if is_robot { "robot" } else { "user" }),
        "is_org_member": is_member,
    })
}

/// quay-api section 19, SEED, and section 36: tokens of repositories, which are gone for good.
#[tokio::test]
async fn the_doors_of_permissions_answer_as_documented() {
    let guide = Guide::new().await;
    guide.site.repository("acme/app", Visibility::Private).await;
    guide.site.robot("acme+ci").await;
    of_people(&guide).await;
    of_teams(&guide).await;
    of_tokens(&guide).await;
    all_are_shown(&[&guide], &["permission", "repotoken"], &[]);
}

async fn of_people(guide: &Guide) {
    let all = format!("{APP}/permissions/user/");
    let one = format!("{all}bob");
    let put = format!("PUT {one}");
    let bob = person("bob", "admin", false, true);
    guide
        .ask(&guide.ann, &put, json!({"role": "admin"}))
        .await
        .is(200, &bob);
    guide.get(&guide.ann, &one).await.is(200, &bob);
    let robot = format!("PUT {all}acme+ci");
    let ci = person("acme+ci", "read", true, true);
    guide
        .ask(&guide.ann, &robot, json!({"role": "read"}))
        .await
        .is(200, &ci);
    let list = json!({"permissions": {"bob": bob, "acme+ci": ci}});
    guide.get(&guide.ann, &all).await.is(200, &list);
    let roles = json!({"permissions": [{"role": "admin"}]});
    let transitive = format!("{one}/transitive");
    guide.get(&guide.ann, &transitive).await.is(200, &roles);
    let delete = format!("DELETE {one}");
    guide
        .ask(&guide.ann, &delete, Value::Null)
        .await
        .says(204, "");
    let text = "User does not have permission for repo.";
    guide
        .get(&guide.ann, &one)
        .await
        .refuses(400, &json!({ "message": text }));
    guide
        .ask(&guide.ann, &delete, Value::Null)
        .await
        .refuses(400, &invalid(&guide.site, text));
    guide
        .get(&guide.ann, &transitive)
        .await
        .refuses(404, &not_found(&guide.site));
}

async fn of_teams(guide: &Guide) {
    let all = format!("{APP}/permissions/team/");
    let one = format!("{all}devs");
    let devs = json!({"role": "write", "name": "devs", "avatar": avatar("devs", "team")});
    guide
        .ask(&guide.ann, &format!("PUT {one}"), json!({"role": "write"}))
        .await
        .is(200, &devs);
    guide
        .get(&guide.ann, &one)
        .await
        .is(200, &json!({"role": "write"}));
    let list = json!({"permissions": {"devs": devs}});
    guide.get(&guide.ann, &all).await.is(200, &list);
    guide.removes(&guide.ann, &one).await;
    let text = "Team does not have permission for repo.";
    guide
        .get(&guide.ann, &one)
        .await
        .refuses(400, &json!({ "message": text }));
}

async fn of_tokens(guide: &Guide) {
    let handling = json!({"message": "Handling of access tokens is no longer supported"});
    let creation = json!({"message": "Creation of access tokens is no longer supported"});
    for (line, body, refusal) in [
        ("GET tokens/", Value::Null, &handling),
        ("POST tokens/", json!({"friendlyName": "x"}), &creation),
        ("GET tokens/abc", Value::Null, &handling),
        ("PUT tokens/abc", json!({"role": "read"}), &handling),
        ("DELETE tokens/abc", Value::Null, &handling),
    ] {
        let line = line.replace(' ', &format!(" {APP}/"));
        guide
            .ask(&guide.ann, &line, body)
            .await
            .only_refuses(410, refusal);
    }
}

/// quay-api section 27.
#[tokio::test]
async fn the_doors_of_immutability_answer_as_documented() {
    let guide = Guide::new().await;
    guide.site.repository("acme/app", Visibility::Private).await;
    let (bob, _) = guide
        .site
        .accounts()
        .user_by_name("bob")
        .await
        .unwrap()
        .unwrap();
    guide
        .site
        .grant("acme/app", Grantee::User(bob), Role::Write)
        .await;
    for base in ["/organization/acme", APP] {
        let all = format!("{base}/immutabilitypolicy/");
        let uuid = json!({"uuid": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a"});
        let mut policy = uuid.clone();
        policy["tagPattern"] = json!("v[0-9]+");
        policy["tagPatternMatches"] = json!(true);
        let body = json!({"tagPattern": "v[0-9]+"});
        let line = format!("POST {all}");
        let made = guide.ask(&guide.ann, &line, body.clone()).await;
        let made = made.is(201, &uuid).json();
        let twice = "A policy with the same tag_pattern already exists";
        guide
            .ask(&guide.ann, &line, body.clone())
            .await
            .refuses(400, &invalid(&guide.site, twice));
        let list = json!({"policies": [policy]});
        guide.get(&guide.ann, &all).await.is(200, &list);
        let one = format!("{all}{}", made["uuid"].as_str().unwrap());
        guide.get(&guide.ann, &one).await.is(200, &policy);
        guide
            .ask(
                &guide.ann,
                &format!("PUT {one}"),
                json!({"tagPattern": "rel"}),
            )
            .await
            .says(204, "");
        let delete = format!("DELETE {one}");
        guide
            .ask(&guide.ann, &delete, Value::Null)
            .await
            .is(200, &uuid);
        let refusal = not_found(&guide.site);
        guide
            .ask(&guide.ann, &delete, Value::Null)
            .await
            .refuses(404, &refusal);
    }
    all_are_shown(&[&guide], &["immutability_policy"], &[]);
}
