//! `/api/v1/superuser`: what superusers see of the whole site, and do for it.

use entrepot::model::LogKind;
use entrepot::store;
use futures_util::FutureExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::people::Who;
use crate::harness::site::{Site, rule};
use crate::harness::soon;

const USER_FIELDS: [&str; 11] = [
    "kind",
    "name",
    "username",
    "email",
    "verified",
    "avatar",
    "super_user",
    "global_readonly_super_user",
    "enabled",
    "quotas",
    "quota_report",
];

async fn stage() -> (Site, String) {
    let site = Site::start(|_| {}).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, "super:user").await;
    (site, token)
}

fn names(list: &Value, of: &str) -> Vec<String> {
    let list = list[of].as_array().unwrap().iter();
    list.map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

/// SC-005, SC-320, SC-321: everybody, with and without the slash; for superusers only.
#[tokio::test]
async fn users_are_listed_for_superusers() {
    let (site, token) = stage().await;
    let ann = site.user("ann").await;
    for path in ["/superuser/users/", "/superuser/users"] {
        let list = site.api(&token).get(path).await;
        assert_eq!(list.status, 200, "{}", list.text());
        let list = list.json();
        assert_eq!(fields(&list), ["users"]);
        assert_eq!(names(&list, "users"), ["root", "ann"]);
        let root = &list["users"][0];
        assert_eq!(fields(root), USER_FIELDS);
        assert_eq!(root["kind"], "user");
        assert_eq!(
            (&root["super_user"], &list["users"][1]["super_user"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(root["email"], "root@example.org");
    }
    let token = site.oauth_token(ann, "super:user").await;
    let refused = site.api(&token).get("/superuser/users/").await;
    assert_eq!(
        refused.status, 403,
        "SC-352: a scope alone makes nobody a superuser"
    );
    let nobody = site.api_of_nobody().get("/superuser/users/").await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn users_come_in_pages_that_show_each_once() {
    let (site, token) = stage().await;
    for name in ["ann", "bob", "cleo", "dan"] {
        site.user(name).await;
    }
    let api = site.api(&token);
    let (mut seen, mut next) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = api
            .get(&format!("/superuser/users/?limit=2{next}"))
            .await
            .json();
        seen.extend(names(&page, "users"));
        next = match page.get("next_page") {
            Some(token) => format!("&next_page={}", token.as_str().unwrap()),
            None => break,
        };
    }
    assert_eq!(seen, ["root", "ann", "bob", "cleo", "dan"]);
    let large = api.get("/superuser/users/?limit=101").await;
    assert_eq!(large.status, 400);
    assert_eq!(large.json()["detail"], "Page limit cannot be above 100");
}

/// SC-322, SC-472: the password that is made up works, encrypted too; the name and address are checked.
#[tokio::test]
async fn a_superuser_makes_a_user_whose_passwords_work() {
    let (site, token) = stage().await;
    let api = site.api(&token);
    let body = json!({"username": "newuser", "email": "newuser@example.com", "superuser": true});
    let made = api.post("/superuser/users/", body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!(
        fields(&made),
        ["username", "email", "password", "encrypted_password"]
    );
    let password = made["password"].as_str().unwrap();
    assert_eq!(password.len(), 32);
    for password in [password, made["encrypted_password"].as_str().unwrap()] {
        let who = Who::Basic {
            user: "newuser".to_owned(),
            password: password.to_owned(),
        };
        assert_eq!(site.get_as(&who, "/v2/").await.status, 200);
    }
    let (kind, told) = site.last_line().await;
    assert_eq!(kind, LogKind::UserCreate);
    assert_eq!(told["username"], "newuser");
    let shown = api.get("/superuser/users/newuser").await.json();
    assert_eq!(fields(&shown), USER_FIELDS);
    assert_eq!(shown["super_user"], false, "AZ-13");
    for body in [
        json!({"username": "newuser"}),
        json!({"username": "Bad Name"}),
        json!({"username": "other", "email": "newuser@example.com"}),
        json!({"username": "other", "email": "no address"}),
        json!({}),
    ] {
        let refused = api.post("/superuser/users/", body.clone()).await;
        assert_eq!(refused.status, 400, "{body}");
    }
}

/// SC-011: disabled, given a new password and address, deleted; each counts at once.
#[tokio::test]
async fn a_user_is_changed_and_deleted() {
    let (site, token) = stage().await;
    let ann = site.user("ann").await;
    let api = site.api(&token);
    let path = "/superuser/users/ann";
    let change = json!({"email": "new@example.org", "password": "another-horse"});
    let changed = api.put(path, change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let changed = changed.json();
    assert_eq!(changed["email"], "new@example.org");
    assert!(changed["encrypted_password"].is_string());
    let who = Who::Basic {
        user: "ann".to_owned(),
        password: "another-horse".to_owned(),
    };
    assert_eq!(site.get_as(&who, "/v2/").await.status, 200);
    assert_eq!(site.get_as(&Who::user("ann"), "/v2/").await.status, 401);

    // A wrong password makes the next attempt wait.
    site.clock.advance(std::time::Duration::from_secs(60));
    api.put(path, json!({"enabled": "false"})).await;
    assert_eq!(site.last_line().await.0, LogKind::UserDisable);
    assert_eq!(site.get_as(&who, "/v2/").await.status, 401);
    let hidden = api.get("/superuser/users/?disabled=false").await.json();
    assert_eq!(names(&hidden, "users"), ["root"]);
    assert_eq!(api.get(path).await.json()["enabled"], false);

    let deleted = api.delete(path).await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    assert_eq!(site.last_line().await.0, LogKind::UserDelete);
    assert_eq!(api.get(path).await.status, 404);
    assert_eq!(api.delete(path).await.status, 404);
    assert!(site.accounts().user(ann).await.unwrap().is_none());
    for (method, text) in [
        (Method::PUT, "Cannot update a superuser"),
        (Method::DELETE, "Cannot delete a superuser"),
    ] {
        let refused = api
            .send(method, "/superuser/users/root", Some(json!({})))
            .await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["detail"]),
            (400, &json!(text))
        );
    }
}

/// SC-474, SC-475, SC-476: listed, renamed by the one field that counts, deleted.
#[tokio::test]
async fn organisations_are_listed_renamed_and_deleted() {
    let (site, token) = stage().await;
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    let api = site.api(&token);
    let list = api.get("/superuser/organizations/?name=acme").await;
    assert_eq!(list.status, 200, "{}", list.text());
    let list = list.json();
    assert_eq!(names(&list, "organizations"), ["acme"]);
    let acme = &list["organizations"][0];
    assert_eq!(
        fields(acme),
        ["name", "email", "avatar", "quotas", "quota_report"]
    );
    assert_eq!(acme["avatar"]["kind"], "org");

    let path = "/superuser/organizations/acme";
    let body = json!({"email": "x@example.org", "invoice_email": true, "tag_expiration_s": 5});
    let same = api.put(path, body).await;
    assert_eq!(
        (same.status.as_u16(), &same.json()["name"]),
        (200, &json!("acme"))
    );
    let renamed = api.put(path, json!({"name": "apex"})).await;
    assert_eq!(renamed.json()["name"], "apex");
    assert_eq!(site.last_line().await.0, LogKind::OrgChangeName);
    assert_eq!(api.put(path, json!({"name": "x"})).await.status, 404);
    let taken = api
        .put("/superuser/organizations/apex", json!({"name": "ann"}))
        .await;
    assert_eq!(taken.status, 400);
    let deleted = api.delete("/superuser/organizations/apex").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(site.last_line().await.0, LogKind::OrgDelete);
    assert_eq!(
        api.delete("/superuser/organizations/ann").await.status,
        404,
        "a user"
    );
}

/// A cache made by the API goes on under another name, and ends with its organisation.
#[tokio::test]
async fn a_cache_follows_the_name_of_its_organisation() {
    let (site, token) = stage().await;
    let origin = Origin::start().await;
    origin.push_image("app", "v1", &Image::small(1));
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    let own = site.oauth_token(ann, "org:admin").await;
    let body = json!({"upstream_registry": origin.address().to_string(), "insecure": true});
    let made = site
        .api(&own)
        .post("/organization/acme/proxycache", body)
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let api = site.api(&token);
    let pull = async |name: &str| {
        let path = format!("/v2/{name}/app/manifests/v1");
        site.get_as(&Who::user("ann"), &path).await.status.as_u16()
    };
    assert_eq!(pull("acme").await, 200);
    api.put("/superuser/organizations/acme", json!({"name": "apex"}))
        .await;
    let asked = origin.requests().len();
    assert_eq!((pull("acme").await, pull("apex").await), (404, 200));
    assert!(origin.requests().len() > asked, "it is a cache still");
    api.delete("/superuser/organizations/apex").await;
    let asked = origin.requests().len();
    assert_eq!(pull("apex").await, 404);
    assert_eq!(origin.requests().len(), asked);
}

#[tokio::test]
async fn a_cache_of_the_configuration_is_not_renamed_or_deleted() {
    let origin = Origin::start().await;
    let site = Site::caching(vec![rule("docker.io", "docker.io", &origin)]).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, "super:user").await;
    let path = "/superuser/organizations/docker.io";
    let refused = site.api(&token).put(path, json!({"name": "other"})).await;
    assert!(
        refused.text().contains("PROXY_CACHES"),
        "{}",
        refused.text()
    );
    assert_eq!(site.api(&token).delete(path).await.status, 400);
}

/// Quay: of an organisation its team of administrators is joined, a user becomes an organisation.
#[tokio::test]
async fn ownership_of_organisations_and_of_users_is_taken() {
    let (site, token) = stage().await;
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    let api = site.api(&token);
    for namespace in ["acme", "ann"] {
        let path = format!("/superuser/takeownership/{namespace}");
        let taken = api.post(&path, json!({})).await;
        let expected = format!("{{\"namespace\":\"{namespace}\"}}\n");
        assert_eq!(
            (taken.status.as_u16(), taken.text()),
            (200, expected.as_str())
        );
        let (kind, told) = site.last_line().await;
        assert_eq!(kind, LogKind::TakeOwnership);
        assert_eq!(told["was_user"], namespace == "ann");
    }
    assert_eq!(api.get("/superuser/users/ann").await.status, 404);
    let own = api.post("/superuser/takeownership/root", json!({})).await;
    assert_eq!(own.json()["detail"], "Cannot take ownership of a superuser");
    assert_eq!(
        api.post("/superuser/takeownership/none", json!({}))
            .await
            .status,
        404
    );
}

/// SC-478, SC-479: the size is counted when asked for, every blob once; whoever asks meanwhile is told so.
#[tokio::test]
async fn the_size_of_the_registry_is_counted_when_asked_for() {
    let (site, token) = stage().await;
    site.user("ann").await;
    let image = Image::small(1);
    for repository in ["ann/one", "ann/two"] {
        site.push_as(&Who::user("ann"), repository, "v1", &image)
            .await;
    }
    let api = site.api(&token);
    let path = "/superuser/registrysize/";
    let before = api.get(path).await;
    let expected = r#"{"size_bytes": 0, "last_ran": null, "queued": false, "running": false}"#;
    assert_eq!(before.text().trim_end(), expected);
    // As long as the writer waits the count cannot end.
    let (release, waiting) = std::sync::mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(waiting);
    let hold = site.registry().store().write(move |_| {
        let released = waiting.lock().unwrap().recv();
        assert!(released.is_err(), "nothing is ever sent");
        Ok::<_, store::Error>(())
    });
    let mut hold = std::pin::pin!(hold);
    assert!(hold.as_mut().now_or_never().is_none());
    for status in [201, 202] {
        let body = json!({"namespace": "x", "last_ran": 1});
        let queued = api.post(path, body).await;
        assert_eq!((queued.status.as_u16(), queued.text()), (status, "\"\"\n"));
    }
    let during = api.get(path).await.json();
    assert_eq!(
        (&during["queued"], &during["running"], &during["size_bytes"]),
        (&json!(true), &json!(true), &json!(0))
    );
    drop(release);
    hold.await.unwrap();
    let bytes: u64 = image.blobs().map(|blob| blob.len() as u64).sum();
    let expected = json!({
        "size_bytes": bytes,
        "last_ran": site.clock.now().as_millis(),
        "queued": false,
        "running": false,
    });
    soon("the count", async {
        while api.get(path).await.json() != expected {}
    })
    .await;
}

#[tokio::test]
async fn the_site_tells_superusers_of_itself() {
    let (site, token) = stage().await;
    let api = site.api(&token);
    let log = api.get("/superuser/changelog/").await.json();
    assert!(log["log"].as_str().unwrap().starts_with("# Changes"));
    let status = site.api_of_nobody().get("/superuser/registrystatus").await;
    assert_eq!(
        status.json(),
        json!({"provider_id": "file", "status": "ready"})
    );
    assert_eq!(api.get("/superuser/config").await.status, 403);
    assert_eq!(api.get("/superuser/none/build").await.status, 404);
    for part in ["status", "logs", "logs/archive"] {
        let answer = api.get(&format!("/superuser/none/{part}")).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error_type"], "invalid_response");
    }
    assert_eq!(api.get("/superuser/apptokens").await.status, 403);

    let open = Site::start(|config| {
        config.features.superuser_configdump = true;
        config.features.superusers_full_access = true;
        config.access.superusers_full_access = true;
        config.given = vec![("OFFLINE".to_owned(), json!(true))];
    })
    .await;
    let root = open.superuser("root").await;
    let token = open.oauth_token(root, "super:user").await;
    let dump = open.api(&token).get("/superuser/config").await.json();
    assert_eq!(fields(&dump), ["config", "warning", "env", "schema"]);
    assert_eq!(dump["config"], json!({"OFFLINE": true}));
    let tokens = open.api(&token).get("/superuser/apptokens").await;
    assert_eq!(tokens.json(), json!({"tokens": [], "only_expiring": null}));
}

/// quay-api 35: nobody else ends the server, and whoever does is answered.
#[tokio::test]
async fn a_superuser_ends_the_server() {
    let (site, token) = stage().await;
    let ann = site.user("ann").await;
    let own = site.oauth_token(ann, "user:admin").await;
    let path = "/superuser/shutdown";
    assert_eq!(site.api(&own).post(path, json!({})).await.status, 403);
    let nobody = site.api_of_nobody().post(path, json!({})).await;
    assert!([401, 403].contains(&nobody.status.as_u16()));
    let asked = site.app().end_asked();
    let mut asked = std::pin::pin!(asked);
    let before = std::future::poll_fn(|context| {
        std::task::Poll::Ready(asked.as_mut().poll(context).is_pending())
    });
    assert!(before.await, "nobody has asked who may");
    let answer = site.api(&token).post(path, json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    soon("the end is asked for", asked).await;
}
