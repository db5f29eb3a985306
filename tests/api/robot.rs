//! Robots through the API, of organisations and of users.

use std::collections::BTreeSet;

use entrepot::config::RobotAccess;
use entrepot::model::{Grantee, LogKind, Member, Role, TeamRole, Visibility};
use serde_json::{Value, json};

use super::people::{lines, stage};
use crate::harness::api::fields;
use crate::harness::people::Who;
use crate::harness::site::Site;

/// SC-334, SC-359, SC-465, SC-466, SC-467: both forms have the same life.
#[tokio::test]
async fn a_robot_lives_in_both_forms() {
    let stage = stage().await;
    let site = &stage.site;
    let api = site.api(&stage.ann);
    for (home, namespace) in [("/organization/acme", "acme"), ("/user", "ann")] {
        let path = format!("{home}/robots/ci");
        let made = api.put(&path, Value::Null).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let view = made.json();
        let mut shape = vec!["name", "created", "last_accessed", "description", "token"];
        assert_eq!(fields(&view)[..5], shape);
        assert_eq!(fields(&view)[5..], ["unstructured_metadata"]);
        assert_eq!(view["name"], format!("{namespace}+ci"));
        assert_eq!(view["unstructured_metadata"], Value::Null);
        assert_eq!(view["last_accessed"], Value::Null);
        assert!(view["created"].as_str().unwrap().ends_with(" -0000"));
        let token = view["token"].as_str().unwrap();
        assert_eq!(token.len(), 64);
        let shown = api.get(&path).await.json();
        assert_eq!(shown["unstructured_metadata"], json!({}));
        assert_eq!(shown["token"], token);

        let again = api.put(&path, json!({})).await;
        assert_eq!(again.status, 400);
        let detail = format!("Existing robot with name: {namespace}+ci");
        assert_eq!(again.json()["detail"], detail, "SC-291");

        let regenerated = api.post(&format!("{path}/regenerate"), Value::Null).await;
        assert_eq!(regenerated.status, 200);
        let view = regenerated.json();
        assert_eq!(fields(&view), shape);
        assert_ne!(view["token"], token);
        let login = |password: &str| {
            let user = format!("{namespace}+ci");
            let password = password.to_owned();
            async move {
                let who = Who::Basic { user, password };
                site.get_as(&who, "/v2/auth?service=entrepot").await.status
            }
        };
        assert_eq!(login(token).await, 401, "SC-040");
        assert_eq!(login(view["token"].as_str().unwrap()).await, 200);

        shape.retain(|field| *field != "token");
        let listed = api.get(&format!("{home}/robots?token=false")).await.json();
        assert_eq!(fields(&listed["robots"][0]), shape);
        let removed = api.delete(&path).await;
        assert_eq!((removed.status.as_u16(), removed.text()), (204, ""));
        let listed = api.get(&format!("{home}/robots")).await.json();
        assert_eq!(listed, json!({"robots": []}));
        let unknown = json!({"message": "Could not find robot with specified username"});
        for answer in [api.get(&path).await, api.delete(&path).await] {
            assert_eq!(
                (answer.status.as_u16(), answer.json()),
                (400, unknown.clone())
            );
        }
        let told = lines(site, namespace).await;
        let kinds: Vec<_> = told.iter().take(3).map(|(kind, _)| *kind).collect();
        let expected = [
            LogKind::DeleteRobot,
            LogKind::RegenerateRobotToken,
            LogKind::CreateRobot,
        ];
        assert_eq!(kinds, expected);
        assert_eq!(told[0].1, json!({"robot": "ci"}));
    }
}

/// SC-036: a description, and an object that is kept.
#[tokio::test]
async fn what_is_said_of_a_robot_is_kept() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let body = json!({"description": "d", "unstructured_metadata": {"a": [1, {"b": null}]}});
    let made = api.put("/user/robots/robot", body.clone()).await;
    let view = made.json();
    assert_eq!(
        (made.status.as_u16(), &view["name"]),
        (201, &json!("ann+robot"))
    );
    assert_eq!(view["unstructured_metadata"], body["unstructured_metadata"]);
    let shown = api.get("/user/robots/robot").await.json();
    assert_eq!(shown["description"], "d");
    assert_eq!(
        shown["unstructured_metadata"],
        body["unstructured_metadata"]
    );
    for body in [
        json!({"description": "x".repeat(256)}),
        json!({"unstructured_metadata": [1]}),
        json!({"unstructured_metadata": {"a": "x".repeat(70_000)}}),
    ] {
        let refused = api.put("/user/robots/other", body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    let refused = api.put("/user/robots/Bad", Value::Null).await;
    let rule = "Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$";
    let detail = format!("The name for the robot 'Bad' is invalid: {rule}");
    assert_eq!(refused.json()["detail"], detail);
}

#[tokio::test]
async fn a_robot_is_listed_with_its_teams_and_repositories() {
    let stage = stage().await;
    let site = &stage.site;
    let (ci, _) = site.robot("acme+ci").await;
    site.repository("acme/app", Visibility::Private).await;
    site.grant("acme/app", Grantee::Robot(ci), Role::Write)
        .await;
    site.team(stage.acme, "bots", TeamRole::Member, &[Member::Robot(ci)])
        .await;
    let api = site.api(&stage.ann);
    let listed = api
        .get("/organization/acme/robots?permissions=true&limit=5")
        .await
        .json();
    let robot = &listed["robots"][0];
    let shape = [
        "name",
        "created",
        "last_accessed",
        "teams",
        "repositories",
        "description",
        "token",
    ];
    assert_eq!(fields(robot), shape);
    assert_eq!(robot["teams"][0]["name"], "bots");
    assert_eq!(robot["repositories"], json!(["app"]));
    let none = api.get("/organization/acme/robots?limit=0").await.json();
    assert_eq!(none, json!({"robots": []}));
    let path = "/organization/acme/robots/ci/permissions";
    let repository = json!({"name": "app", "is_public": false});
    let expected = json!({"permissions": [{"repository": repository, "role": "write"}]});
    assert_eq!(api.get(path).await.json(), expected);

    // A member sees that they are there, and nothing of their secrets.
    let member = site.api(&stage.bob);
    let listed = member
        .get("/organization/acme/robots?permissions=true")
        .await
        .json();
    let shape = ["name", "created", "last_accessed", "description"];
    assert_eq!(fields(&listed["robots"][0]), shape);
    for path in ["/organization/acme/robots/ci", path] {
        assert_eq!(member.get(path).await.status, 403, "{path}");
    }
    let outsider = site
        .api(&stage.outsider)
        .get("/organization/acme/robots")
        .await;
    assert_eq!(outsider.status, 403);
}

/// AZ-06: a robot of one namespace is nobody in another.
#[tokio::test]
async fn a_robot_of_another_namespace_is_not_found() {
    let stage = stage().await;
    let site = &stage.site;
    let (_, ci) = site.robot("bob+ci").await;
    let api = site.api(&stage.ann);
    for path in ["/organization/acme/robots/ci", "/user/robots/ci"] {
        let regenerate = api.post(&format!("{path}/regenerate"), Value::Null).await;
        for refused in [api.get(path).await, api.delete(path).await, regenerate] {
            assert_eq!(refused.status, 400);
        }
    }
    let login = site.get_as(&ci, "/v2/auth?service=entrepot").await;
    assert_eq!(login.status, 200, "it is as it was");
}

/// SC-065.
#[tokio::test]
async fn no_robot_is_made_where_they_are_off() {
    let site = Site::start(|config| {
        config.access.robots = RobotAccess::Only(BTreeSet::new());
    })
    .await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:admin").await;
    let refused = site.api(&token).put("/user/robots/ci", Value::Null).await;
    assert_eq!(refused.status, 400);
    let detail = "Robot accounts have been disabled. Please contact your administrator.";
    assert_eq!(refused.json()["detail"], detail);
}

/// Stored and checked; tokens of other providers are not exchanged.
#[tokio::test]
async fn a_federation_is_kept_with_its_robot() {
    let stage = stage().await;
    let site = &stage.site;
    let api = site.api(&stage.ann);
    for home in ["/organization/acme/robots/ci", "/user/robots/ci"] {
        api.put(home, Value::Null).await;
        let path = format!("{home}/federation");
        assert_eq!(api.get(&path).await.json(), json!([]));
        let rules = json!([{"issuer": "https://idp.example.org", "subject": "repo:a"}]);
        let set = api.post(&path, rules.clone()).await;
        assert_eq!((set.status.as_u16(), set.json()), (200, rules.clone()));
        assert_eq!(api.get(&path).await.json(), rules);
        for (body, detail) in [
            (
                json!([{"issuer": "https://a"}]),
                "Missing one or more required fields (issuer, subject)",
            ),
            (
                json!([{"issuer": "idp", "subject": "a"}]),
                "Issuer must be a URL (http:// or https://)",
            ),
            (
                json!([rules[0], rules[0]]),
                "Duplicate federation config entry",
            ),
        ] {
            let refused = api.post(&path, body).await;
            assert_eq!(refused.json()["detail"], detail);
        }
        assert_eq!(
            api.get(&path).await.json(),
            rules,
            "what is refused changes nothing"
        );
        assert_eq!(api.delete(&path).await.status, 204);
        assert_eq!(api.get(&path).await.json(), json!([]));
    }
    let told = lines(site, "acme").await;
    assert_eq!(
        told[0],
        (LogKind::DeleteRobotFederation, json!({"robot": "ci"}))
    );
    assert_eq!(told[1].0, LogKind::CreateRobotFederation);
    assert_eq!(told[1].1["config"][0]["subject"], "repo:a");
}

/// Restricted users own nothing, robots included.
#[tokio::test]
async fn a_restricted_user_makes_no_robot_of_its_own() {
    let site = Site::start(|config| {
        config.features.restricted_users = true;
        config.people.restricted_but = Some(Vec::new());
    })
    .await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:admin").await;
    let api = site.api(&token);
    let refused = api.put("/user/robots/ci", Value::Null).await;
    assert_eq!(refused.status, 403);
    let message = "Operation not allowed on restricted user owned namespace";
    assert_eq!(refused.json(), json!({"message": message}));
    let refused = api.post("/organization/", json!({"name": "acme"})).await;
    assert_eq!(refused.status, 403);
    assert_eq!(api.get("/user/robots").await.json(), json!({"robots": []}));
}
