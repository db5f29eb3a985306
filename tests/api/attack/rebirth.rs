//! Names that are used again: whoever gets one gets nothing of who had it before (AZ-16).

use std::time::Duration;

use entrepot::model::{Grantee, NoticeKind, NoticeRecord, Performer, Role, Visibility};
use reqwest::Method;
use serde_json::{Value, json};

use super::EVERYTHING;
use super::tenants::Tenants;
use crate::harness::api::fields;
use crate::harness::browser::Browser;
use crate::harness::people::Who;
use crate::harness::site::Site;

/// Removes what is left of everything that was deleted.
async fn purge(site: &Site) {
    site.clock.advance(Duration::from_secs(60));
    for namespace in site.accounts().deleted_namespaces(None).await.unwrap() {
        let deleted = site.registry().delete_repositories(namespace).await;
        deleted.unwrap();
    }
    site.registry().purge().await.unwrap();
    site.accounts().purge_some(100_000).await.unwrap();
}

/// AZ-16: an organisation under the name of a deleted one begins with nothing, and nothing that opened the
/// old one opens it.
#[tokio::test]
async fn an_organisation_inherits_nothing_by_its_name() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let (ann, bob) = (site.api(&tenants.ann), site.api(&tenants.bob));
    let digest = tenants.image.digest();
    assert_eq!(bob.delete("/organization/umbra").await.status, 204);
    let body = json!({"name": "umbra", "email": "new@example.org"});
    let early = ann.post("/organization/", body.clone()).await;
    assert_eq!(early.status, 400, "something of the old one is left");
    purge(site).await;
    let made = ann.post("/organization/", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let public = json!({"namespace": "umbra", "repository": "zqvault", "visibility": "public", "description": ""});
    assert_eq!(ann.post("/repository", public).await.status, 201);
    for (path, field) in [
        ("/organization/umbra/robots", "robots"),
        ("/organization/umbra/prototypes", "prototypes"),
        ("/organization/umbra/applications", "applications"),
        ("/organization/umbra/immutabilitypolicy/", "policies"),
        ("/organization/umbra/collaborators", "collaborators"),
        ("/repository/umbra/zqvault/tag/", "tags"),
        ("/repository/umbra/zqvault/immutabilitypolicy/", "policies"),
    ] {
        let list = ann.get(path).await.json();
        assert_eq!(list[field], json!([]), "{path}");
    }
    for (path, own) in [("user/", vec!["ann"]), ("team/", vec![])] {
        let path = format!("/repository/umbra/zqvault/permissions/{path}");
        let granted = ann.get(&path).await.json();
        assert_eq!(fields(&granted["permissions"]), own, "{path}");
    }
    let view = ann.get("/organization/umbra").await.json();
    assert_eq!(view["ordered_teams"], json!(["owners"]));
    let usage = ann
        .get("/find/repositories?query=zqvault&includeUsage=true")
        .await
        .json();
    assert_eq!(usage["results"][0]["stars"], 0);
    let logs = ann.get("/organization/umbra/logs").await;
    assert!(
        !logs.text().contains("\"name\": \"bob\""),
        "{}",
        logs.text()
    );
    for path in [
        format!("/repository/umbra/zqvault/manifest/{digest}"),
        format!("/app/{}", tenants.ids["client_id"]),
    ] {
        assert_eq!(ann.get(&path).await.status, 404, "{path}");
    }
    // Bob, who ruled the old one, is a stranger, and so is all that he made.
    for path in ["/organization/umbra/robots", "/organization/umbra/logs"] {
        assert_eq!(bob.get(path).await.status, 403, "{path}");
    }
    assert_eq!(
        bob.get("/user/starred").await.json(),
        json!({"repositories": []})
    );
    assert_eq!(
        bob.get("/repository/umbra/zqvault").await.json()["is_starred"],
        false
    );
    let robot = Who::Basic {
        user: "umbra+zqdeep".to_owned(),
        password: tenants.secrets[0].clone(),
    };
    assert_eq!(
        site.get_as(&robot, "/v2/auth?service=entrepot")
            .await
            .status,
        401
    );
    let again = ann
        .put("/organization/umbra/robots/zqdeep", json!({}))
        .await;
    assert_eq!(again.status, 201);
    assert_eq!(
        site.get_as(&robot, "/v2/auth?service=entrepot")
            .await
            .status,
        401
    );
    // Of somebody, it would be refused as too little; nobody is asked to log in.
    let named = site.api(&tenants.secrets[2]);
    assert_eq!(named.get("/organization/umbra/robots").await.status, 401);
}

/// AZ-16, AZ-12: a user under the name of a deleted one has nothing of the old one's, and the old one's
/// credentials, all of them, are nobody's.
#[tokio::test]
async fn a_user_inherits_nothing_by_the_name() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let (bob, _) = site.accounts().user_by_name("bob").await.unwrap().unwrap();
    site.grant("acme/app", Grantee::User(bob), Role::Admin)
        .await;
    let browser = Browser::signed_in(site, "bob").await;
    let path = format!("/user/apptoken/{}", tenants.ids["app token"]);
    let app = site.api(&tenants.bob).get(&path).await.json();
    let code = app["token"]["token_code"].as_str().unwrap().to_owned();
    let robot = site
        .api(&tenants.bob)
        .get("/user/robots/zqown")
        .await
        .json();
    let robot = robot["token"].as_str().unwrap().to_owned();
    site.accounts()
        .delete_user(bob, &Performer::SYSTEM)
        .await
        .unwrap();
    purge(site).await;
    let again = site.user("bob").await;
    assert_ne!(again, bob);
    let who = |user: &str, password: &str| Who::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    };
    for old in [
        who("$app", &code),
        who("bob+zqown", &robot),
        who("$oauthtoken", &tenants.bob),
    ] {
        let login = site.get_as(&old, "/v2/auth?service=entrepot").await;
        assert_eq!(login.status, 401, "{old:?}");
    }
    assert_eq!(
        browser.get("/api/v1/user/").await.status,
        401,
        "the old session"
    );
    assert_eq!(
        site.api(&tenants.bob).get("/user/").await.status,
        401,
        "the old token"
    );
    let token = site.oauth_token(again, EVERYTHING).await;
    let api = site.api(&token);
    for (path, field) in [
        ("/user/robots", "robots"),
        ("/user/apptoken", "tokens"),
        ("/user/starred", "repositories"),
        ("/user/notifications", "notifications"),
        ("/user/assignedauthorization", "authorizations"),
        ("/repository?namespace=bob", "repositories"),
    ] {
        assert_eq!(api.get(path).await.json()[field], json!([]), "{path}");
    }
    let given = api.get("/user/authorizations").await.json();
    assert_eq!(
        given["authorizations"].as_array().unwrap().len(),
        1,
        "the one of this test"
    );
    assert_eq!(api.get("/user/").await.json()["organizations"], json!([]));
    for path in [
        "/organization/umbra/robots",
        "/repository/acme/app",
        "/repository/umbra/zqvault",
    ] {
        assert_eq!(api.get(path).await.status, 403, "{path}");
    }
    let code = &tenants.ids["code"];
    let taken = api.put(&format!("/teaminvite/{code}"), Value::Null).await;
    assert_eq!(taken.status, 400, "the invitation was somebody else's");
}

/// AZ-16: what a deleted organisation was told is told nobody, before its rows are gone as well.
#[tokio::test]
async fn notices_of_a_deleted_organisation_are_gone_with_it() {
    let site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    let acme = site.organization("acme", Some(ann)).await;
    let token = site.oauth_token(ann, EVERYTHING).await;
    let (kind, now) = (NoticeKind::OrgTeamInvite, site.clock.now());
    let notice = NoticeRecord::new("told".to_owned(), acme, kind, now, &json!({"team": "devs"}));
    let put = move |tx: &mut entrepot::store::WriteTx<'_>| tx.notices().put(&notice);
    let put: Result<(), entrepot::store::Error> = site.registry().store().write(put).await;
    put.unwrap();
    let api = site.api(&token);
    let list = api.get("/user/notifications").await.json();
    assert_eq!(list["notifications"][0]["organization"], "acme");
    assert_eq!(api.delete("/organization/acme").await.status, 204);
    let list = api.get("/user/notifications").await.json();
    assert_eq!(list["notifications"], json!([]));
    for method in [Method::GET, Method::PUT] {
        let one = api
            .send(method, "/user/notifications/told", Some(json!({})))
            .await;
        assert_eq!(one.status, 404);
    }
}

/// AZ-16: a repository that is deleted, or made private, is in no list of anybody's at once.
#[tokio::test]
async fn a_repository_that_is_gone_is_in_no_list() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let dora = site.api(&tenants.dora);
    let lists = [
        "/user/starred",
        "/repository?starred=true",
        "/repository?public=true",
        "/repository?namespace=acme&public=true",
        "/find/repositories?query=shown",
        "/find/repositories?query=acme/shown",
        "/find/all?query=shown",
    ];
    let seen = async || {
        let mut seen = 0;
        for path in lists {
            seen += usize::from(dora.get(path).await.text().contains("\"shown\""));
        }
        let catalogue = site.get_as(&Who::user("dora"), "/v2/_catalog").await;
        seen + usize::from(catalogue.text().contains("acme/shown"))
    };
    let star = json!({"namespace": "acme", "repository": "shown"});
    for deleted in [false, true] {
        if site.find_repository("acme/shown").await.is_none() {
            site.repository("acme/shown", Visibility::Public).await;
        }
        site.set_visibility("acme/shown", Visibility::Public).await;
        assert_eq!(dora.post("/user/starred", star.clone()).await.status, 201);
        assert_eq!(seen().await, lists.len() + 1);
        let ann = site.api(&tenants.ann);
        let answer = match deleted {
            true => ann.delete("/repository/acme/shown").await,
            false => {
                let path = "/repository/acme/shown/changevisibility";
                ann.post(path, json!({"visibility": "private"})).await
            }
        };
        assert!(answer.status.is_success(), "{}", answer.text());
        assert_eq!(seen().await, 0, "deleted: {deleted}");
    }
}
