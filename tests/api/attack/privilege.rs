//! More than one is: robots at the doors of people, fields that nobody may set, names and codes that make
//! somebody of nobody, and tokens at doors that are open to everyone.

use entrepot::model::{Performer, TeamRole};
use reqwest::Method;
use serde_json::{Value, json};

use super::tenants::Tenants;
use super::{doors, send, send_as};
use crate::harness::browser::Browser;
use crate::harness::people::Who;
use crate::harness::site::Site;

/// AZ-13: at every door of the API and of the web a robot is nobody, by its token or by one made of it.
#[tokio::test]
async fn a_robot_is_nobody_at_every_door() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let (_, robot) = site.robot("umbra+worker").await;
    let bearer = site.token_as(&robot, &[]).await;
    let robot = [robot.header().unwrap(), bearer.header().unwrap()];
    let mut doors = doors(site).await;
    // Tokens of nobody are made up; keys of services are proven by themselves.
    doors.retain(|door| door.path != "/csrf_token" && !door.path.starts_with("/keys/"));
    for door in &doors {
        let path = door.at(|name| tenants.value(door, name, "umbra"));
        let nobody = send(site, &door.method, &path, &[], "{}").await.told(&[]);
        for authorization in &robot {
            let headers = [("authorization", authorization.as_str())];
            let answer = send(site, &door.method, &path, &headers, "{}").await;
            let what = format!("{} {path}: {}", door.method, answer.status);
            // Three doors take a person's password, and say that this is none.
            let searches = door.path == "/v1/search" && authorization.starts_with("Basic");
            if searches || door.path.starts_with("/oauth/authorize") {
                assert!(answer.status.is_client_error(), "{what}");
                continue;
            }
            assert_eq!(answer.told(&[]), nobody, "{what}");
        }
    }
}

/// Everything that somebody might hope is looked at.
fn hopes() -> Value {
    json!({
        "superuser": true, "super_user": true, "admin": true, "is_admin": true, "is_superuser": true,
        "global_readonly_super_user": true, "verified": true, "enabled": true, "is_me": true,
        "can_create_repo": true, "owner": "bob", "user": "bob", "user_id": 1, "id": 1, "uuid": "chosen",
        "client_id": "chosen", "client_secret": "chosen", "token": "chosen", "token_code": "chosen",
        "namespace": "umbra", "namespace_id": 2, "orgname": "umbra", "organizations": ["umbra"],
        "teams": ["owners"], "permissions": {"admin": true}, "role": "admin", "repository": "taken",
        "visibility": "private", "description": "", "name": "taken", "title": "taken",
        "redirect_uri": "", "application_uri": "", "email": "dora2@example.org",
        "contact_email": "dora3@example.org", "prompts": [], "has_password_set": false,
        "quota": 1, "quotas": [{"limit_bytes": 1}], "created": "Thu, 01 Jan 1970", "expires": 0,
    })
}

/// AZ-13: every field of privilege in the body of every door that is for users and for everyone: nobody is
/// more than before, nowhere, and what the server makes up is not what was sent.
#[tokio::test]
async fn fields_of_privilege_are_not_looked_at() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let root = site.superuser("root").await;
    let root = site.oauth_token(root, "super:user").await;
    let people = async || {
        let users = site.api(&root).get("/superuser/users/").await.json();
        let users = users["users"].as_array().unwrap().iter();
        let told = users.map(|user| {
            [
                "username",
                "super_user",
                "global_readonly_super_user",
                "verified",
                "enabled",
            ]
            .map(|field| user[field].clone())
        });
        told.collect::<Vec<_>>()
    };
    let (before, belongings) = (people().await, tenants.belongings().await);
    let mut doors = doors(site).await;
    doors.retain(|door| {
        let open = ["user", "anyone"].contains(&door.need.as_str());
        let makes = [Method::POST, Method::PUT].contains(&door.method);
        door.is_api() && open && makes && !door.path.ends_with("/signout")
    });
    assert!(doors.len() > 15, "{}", doors.len());
    let mut done = 0;
    for door in &doors {
        let path = door.at(|name| match name {
            "robot_shortname" => "helper".to_owned(),
            name => tenants.value(door, name, "umbra"),
        });
        let answer = send_as(site, &tenants.dora, &door.method, &path, &hopes()).await;
        let text = String::from_utf8_lossy(&answer.body);
        let what = format!("{} {path}: {} {text}", door.method, answer.status);
        assert!(!answer.status.is_server_error(), "{what}");
        assert!(
            !answer.status.is_success() || !text.contains("\"chosen\""),
            "{what}"
        );
        done += usize::from(answer.status.is_success());
    }
    assert!(done >= 4, "{done} did something");
    assert_eq!(people().await, before);
    assert_eq!(tenants.belongings().await, belongings);
    let dora = site.api(&tenants.dora);
    let made = dora.get("/organization/taken/members").await.json();
    let members = made["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0]["name"]), (1, &json!("dora")));
    for (path, field) in [
        ("/organization/taken/robots/rr", "token"),
        ("/organization/taken/applications", "client_secret"),
        ("/organization/taken/applications", "client_id"),
    ] {
        let method = if path.ends_with("/rr") {
            Method::PUT
        } else {
            Method::POST
        };
        let made = dora.send(method, path, Some(hopes())).await;
        assert!(made.status.is_success(), "{path}: {}", made.text());
        assert_ne!(made.json()[field], "chosen", "{path}");
        let delete = dora.delete("/organization/taken/robots/rr").await;
        assert!([204, 400].contains(&delete.status.as_u16()));
    }
}

/// AZ-13: nobody becomes a superuser by taking a name that the configuration lists; the first user may, by
/// whom the site is set up.
#[tokio::test]
async fn nobody_takes_a_name_that_the_configuration_favours() {
    let open = |config: &mut entrepot::config::Config| {
        config.super_users = vec!["root".parse().unwrap(), "ops".parse().unwrap()];
        config.people.global_readonly = vec!["auditor".parse().unwrap()];
        config.features.user_rename = true;
        config.features.user_creation = true;
    };
    let site = Site::start(open).await;
    let sign_up = async |site: &Site, name: &str| {
        let browser = Browser::new(site);
        browser.fetch_csrf().await;
        let body = json!({"username": name, "password": "correct-horse"});
        browser.post("/api/v1/user/", body).await
    };
    let first = sign_up(&site, "root").await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.json()["super_user"], true);
    let ann = site.user("ann").await;
    let ann = site.oauth_token(ann, "user:admin super:user").await;
    let api = site.api(&ann);
    for name in ["ops", "auditor"] {
        let signed = sign_up(&site, name).await;
        assert_eq!(signed.status, 400, "{name}: {}", signed.text());
        let renamed = api.put("/user/", json!({ "username": name })).await;
        assert_eq!(renamed.status, 400, "{name}: {}", renamed.text());
        assert_eq!(
            site.api_of_nobody()
                .get(&format!("/users/{name}"))
                .await
                .status,
            404
        );
    }
    assert_eq!(api.get("/superuser/users/").await.status, 403);
    let renamed = api.put("/user/", json!({"username": "anna"})).await;
    assert_eq!(renamed.status, 200, "any other name: {}", renamed.text());
    assert_eq!(sign_up(&site, "newcomer").await.status, 200);
}

/// AZ-13: where sign-up needs an invitation, a made-up code and one for another address are none.
#[tokio::test]
async fn nobody_invites_himself() {
    let site = Site::start(|config| {
        let features = &mut config.features;
        features.user_creation = true;
        features.invite_only_user_creation = true;
        features.mailing = true;
    })
    .await;
    let ann = site.user("ann").await;
    let acme = site.organization("acme", Some(ann)).await;
    let team = site.team(acme, "devs", TeamRole::Member, &[]).await;
    let (accounts, by) = (site.accounts(), &Performer::SYSTEM);
    let invitation = accounts
        .invite_email(team, "guest@example.org", by)
        .await
        .unwrap();
    let browser = Browser::new(&site);
    browser.fetch_csrf().await;
    let sign_up = async |code: Value, email: &str| {
        let body = json!({
            "username": "guest", "password": "correct-horse", "email": email, "invite_code": code,
        });
        browser.post("/api/v1/user/", body).await
    };
    let code = json!(invitation.code);
    for (code, email) in [
        (Value::Null, "guest@example.org"),
        (json!(""), "guest@example.org"),
        (json!("x"), "guest@example.org"),
        (json!("x\0"), "guest@example.org"),
        (code.clone(), "evil@example.org"),
        (code.clone(), ""),
    ] {
        let answer = sign_up(code.clone(), email).await;
        assert_eq!(answer.status, 400, "{code} {email}: {}", answer.text());
        assert_eq!(answer.json()["detail"], "Cannot create non-invited user");
    }
    let answer = sign_up(code, "Guest@example.org").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let me = browser.get("/api/v1/user/").await.json();
    assert_eq!(me["organizations"][0]["name"], "acme");
    assert_eq!(me["verified"], true);
}

/// AZ-14: at doors that everyone may open a token shows what its scopes are for, and nothing of its owner's
/// beside.
#[tokio::test]
async fn a_token_for_less_sees_less_at_open_doors() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let (bob, _) = site.accounts().user_by_name("bob").await.unwrap().unwrap();
    for (scope, path, word) in [
        (
            "user:admin org:admin",
            "/repository?namespace=umbra",
            "zqvault",
        ),
        ("user:admin org:admin", "/repository?public=true", "zqvault"),
        (
            "user:admin org:admin",
            "/find/repositories?query=zq",
            "zqvault",
        ),
        ("user:admin org:admin", "/find/all?query=zqd", "zqdeep"),
        ("user:admin org:admin", "/find/all?query=zqi", "zqinner"),
        (
            "user:admin repo:admin",
            "/entities/zqi?namespace=umbra&includeTeams=true",
            "zqinner",
        ),
        (
            "user:admin repo:admin",
            "/entities/zqd?namespace=umbra",
            "zqdeep",
        ),
        ("user:admin repo:admin", "/organization/umbra", "owners"),
        ("repo:admin org:admin", "/users/bob", "example.org"),
        ("user:admin org:admin", "/user/starred", "zqvault"),
    ] {
        let narrow = site.oauth_token(bob, scope).await;
        let (little, all) = (
            site.api(&narrow).get(path).await,
            site.api(&tenants.bob).get(path).await,
        );
        assert_eq!(little.status, 200, "{path}: {}", little.text());
        assert!(
            !little.text().contains(word),
            "{scope}: {path}: {}",
            little.text()
        );
        assert!(all.text().contains(word), "{path}: {}", all.text());
    }
    let reader = site.oauth_token(bob, "repo:admin user:admin").await;
    let body = json!({"namespace": "umbra", "repository": "new", "visibility": "private", "description": ""});
    let made = site.api(&reader).post("/repository", body).await;
    assert_eq!(made.status, 403, "repo:create is a scope of its own");
}

/// AZ-12: whoever is disabled, or out of the team, is so at the next request, by every means there is.
#[tokio::test]
async fn an_account_that_is_disabled_opens_no_door() {
    let tenants = Tenants::new().await;
    let (site, by) = (&tenants.site, &Performer::SYSTEM);
    let browser = Browser::signed_in(site, "bob").await;
    let app = site
        .api(&tenants.bob)
        .post("/user/apptoken", json!({"title": "t"}))
        .await
        .json();
    let code = app["token"]["token_code"].as_str().unwrap().to_owned();
    let basic = |user: &str, password: &str| Who::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    };
    let means = [
        basic("$oauthtoken", &tenants.bob),
        basic("$app", &code),
        Who::user("bob"),
    ];
    let open = async || {
        let cookie = browser.get("/api/v1/user/").await.status.as_u16();
        let token = site.api(&tenants.bob).get("/user/").await.status.as_u16();
        let mut all = vec![cookie, token];
        for who in &means {
            all.push(
                site.get_as(who, "/v2/auth?service=entrepot")
                    .await
                    .status
                    .as_u16(),
            );
        }
        all
    };
    assert_eq!(open().await, [200; 5]);
    let (bob, _) = site.accounts().user_by_name("bob").await.unwrap().unwrap();
    site.accounts().set_enabled(bob, false, by).await.unwrap();
    assert_eq!(open().await, [401; 5]);
    let change = browser
        .post("/api/v1/user/apptoken", json!({"title": "t"}))
        .await;
    assert_eq!(change.status, 403, "nobody's session has no CSRF token");
    site.accounts().set_enabled(bob, true, by).await.unwrap();
    assert_eq!(open().await, [200; 5], "nothing was lost");
}
