//! What the current user is told.

use entrepot::accounts::{ApplicationFields, Joined, NewAssignment};
use entrepot::model::{
    Actor, Member, NamespaceId, NoticeKind, NoticeRecord, Performer, TeamRole, UserId,
};
use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::site::Site;

/// Tells somebody something.
pub(super) async fn put(site: &Site, uuid: &str, target: NamespaceId) {
    let metadata = json!({"code": "abc", "inviter": "root", "org": "acme", "team": "ci"});
    let (kind, now) = (NoticeKind::OrgTeamInvite, site.clock.now());
    let notice = NoticeRecord::new(uuid.to_owned(), target, kind, now, &metadata);
    let store = site.registry().store();
    let put = move |tx: &mut entrepot::store::WriteTx<'_>| tx.notices().put(&notice);
    let told: Result<(), entrepot::store::Error> = store.write(put).await;
    told.unwrap();
}

/// A site with ann, who owns acme; her token, her namespace and acme.
async fn site() -> (Site, String, NamespaceId, NamespaceId) {
    let site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:admin").await;
    let acme = site.organization("acme", Some(ann)).await;
    let (own, _) = site
        .registry()
        .namespace(&"ann".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    (site, token, own, acme)
}

/// quay-api 10.2: the fields of a notice, and of a page of them.
#[tokio::test]
async fn a_user_is_told_of_himself_and_of_his_organisations() {
    let (site, token, own, acme) = site().await;
    put(&site, "first", own).await;
    put(&site, "second", acme).await;
    let answer = site.api(&token).get("/user/notifications").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = |id: &str, organization: Value| {
        json!({
            "id": id,
            "organization": organization,
            "kind": "org_team_invite",
            "created": "Thu, 01 Jan 2026 00:00:00 -0000",
            "metadata": {"code": "abc", "inviter": "root", "org": "acme", "team": "ci"},
            "dismissed": false,
        })
    };
    let both = [
        expected("second", json!("acme")),
        expected("first", Value::Null),
    ];
    let page = json!({"notifications": both, "additional": false});
    assert_eq!(answer.json(), page);
    assert_eq!(fields(&answer.json()), ["notifications", "additional"]);
    let one = site.api(&token).get("/user/notifications/first").await;
    assert_eq!(one.json(), expected("first", Value::Null));
}

#[tokio::test]
async fn notices_come_five_a_page() {
    let (site, token, own, _) = site().await;
    for n in 0..7 {
        put(&site, &n.to_string(), own).await;
    }
    for (query, ids, more) in [
        ("", vec!["6", "5", "4", "3", "2"], true),
        ("?page=1", vec!["1", "0"], false),
        ("?page=2&limit=3", vec!["0"], false),
    ] {
        let path = format!("/user/notifications{query}");
        let page = site.api(&token).get(&path).await.json();
        let notices = page["notifications"].as_array().unwrap();
        let found: Vec<_> = notices
            .iter()
            .map(|it| it["id"].as_str().unwrap())
            .collect();
        assert_eq!((found, &page["additional"]), (ids, &json!(more)), "{query}");
    }
    let refused = site.api(&token).get("/user/notifications?limit=many").await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a_notice_is_dismissed_and_taken_back() {
    let (site, token, own, _) = site().await;
    put(&site, "a", own).await;
    let api = site.api(&token);
    for (body, dismissed, listed) in [(json!({"dismissed": true}), true, 0), (json!({}), false, 1)]
    {
        let changed = api.put("/user/notifications/a", body).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        assert_eq!(changed.json()["dismissed"], dismissed);
        let list = api.get("/user/notifications").await.json();
        assert_eq!(list["notifications"].as_array().unwrap().len(), listed);
        let one = api.get("/user/notifications/a").await;
        assert_eq!(one.json()["dismissed"], dismissed);
    }
}

/// AZ-06: what others are told is not there.
#[tokio::test]
async fn nobody_sees_what_others_are_told() {
    let (site, _, own, acme) = site().await;
    put(&site, "a", own).await;
    put(&site, "b", acme).await;
    let bob = site.user("bob").await;
    let token = site.oauth_token(bob, "user:admin").await;
    let api = site.api(&token);
    for uuid in ["a", "b", "none"] {
        let path = format!("/user/notifications/{uuid}");
        assert_eq!(api.get(&path).await.status, 404);
        let refused = api.put(&path, json!({"dismissed": true})).await;
        assert_eq!(refused.status, 404);
        assert_eq!(refused.json()["error_type"], "not_found");
    }
    let list = api.get("/user/notifications").await.json();
    assert_eq!(list["notifications"], json!([]));
    let nobody = site.api_of_nobody().get("/user/notifications").await;
    assert_eq!(nobody.status, 401);
    let narrow = site.oauth_token(bob, "user:read").await;
    let refused = site.api(&narrow).get("/user/notifications").await;
    assert_eq!(refused.status, 403);
}

/// `quay-api` 29.2: telling of quotas outside of the inbox is not built. Whatever the switch says, the doors answer
/// as Quay's do without the feature, and pages are told that it is off.
#[tokio::test]
async fn quotas_are_told_in_the_inbox_only() {
    for is_on in [false, true] {
        let site = Site::start(|config| config.features.quota_notifications = is_on).await;
        let ann = site.user("ann").await;
        site.organization("acme", Some(ann)).await;
        let token = site.oauth_token(ann, "user:admin org:admin").await;
        let api = site.api(&token);
        let body =
            json!({"event": "quota_warning", "method": "webhook", "config": {}, "eventConfig": {}});
        for base in [
            "/organization/acme/notifications",
            "/user/namespacenotifications",
        ] {
            let one = format!("{base}/0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a");
            for answer in [
                api.get(base).await,
                api.post(base, body.clone()).await,
                api.get(&one).await,
                api.post(&one, json!({})).await,
                api.delete(&one).await,
                api.post(&format!("{one}/test"), json!({})).await,
            ] {
                assert_eq!(answer.status, 404, "{base}: {}", answer.text());
            }
        }
        let told = site.get("/config").await.json();
        assert_eq!(told["config"]["FEATURE_QUOTA_NOTIFICATIONS"], false);
        assert_eq!(told["features"]["QUOTA_NOTIFICATIONS"], false);
    }
}

/// The metadata of what a token's owner is told, by kind.
async fn told(site: &Site, token: &str) -> Vec<(String, Value)> {
    let list = site.api(token).get("/user/notifications").await.json();
    let notices = list["notifications"].as_array().unwrap().iter();
    let told = notices.map(|it| {
        (
            it["kind"].as_str().unwrap().to_owned(),
            it["metadata"].clone(),
        )
    });
    told.collect()
}

/// `quay-log-kinds` 5: `org_team_invite`, until it is answered or withdrawn.
#[tokio::test]
async fn an_invitation_is_told_until_it_is_settled() {
    let (site, _, _, acme) = site().await;
    let bob = site.user("bob").await;
    let token = site.oauth_token(bob, "user:admin").await;
    let by = Performer::from(Actor::User {
        id: UserId(1),
        name: "ann".parse().unwrap(),
    });
    let accounts = site.accounts();
    for (team, accepts) in [("ci", false), ("docs", true)] {
        let id = site.team(acme, team, TeamRole::Member, &[]).await;
        // The second invitation takes the place of the first.
        accounts
            .join_team(id, Member::User(bob), true, &by)
            .await
            .unwrap();
        let joined = accounts.join_team(id, Member::User(bob), true, &by).await;
        let Ok(Joined::Invited(invitation)) = joined else {
            panic!("{joined:?}")
        };
        let metadata = json!({
            "code": invitation.code,
            "inviter": "ann",
            "org": "acme",
            "team": team,
        });
        let expected = ("org_team_invite".to_owned(), metadata);
        assert_eq!(told(&site, &token).await, [expected]);
        let code = &invitation.code;
        match accepts {
            true => accounts
                .accept_invitation(code, bob, &by)
                .await
                .map(drop)
                .unwrap(),
            false => accounts
                .decline_invitation(code, bob, &by)
                .await
                .map(drop)
                .unwrap(),
        }
        assert!(told(&site, &token).await.is_empty());
    }
}

/// `quay-log-kinds` 5: `assigned_authorization`, until the list is looked at.
#[tokio::test]
async fn an_assigned_token_is_told_until_it_is_seen() {
    let (site, _, _, acme) = site().await;
    let bob = site.user("bob").await;
    let token = site.oauth_token(bob, "user:admin").await;
    let accounts = site.accounts();
    let fields = ApplicationFields {
        name: "ci".to_owned(),
        ..ApplicationFields::default()
    };
    let by = &Performer::SYSTEM;
    let (application, _) = accounts
        .create_application(acme, &fields, by)
        .await
        .unwrap();
    let new = NewAssignment {
        application,
        user: bob,
        redirect_uri: String::new(),
        scope: "repo:read".to_owned(),
        response_type: "token".to_owned(),
    };
    accounts.assign_token(new, by).await.unwrap();
    let expected = (
        "assigned_authorization".to_owned(),
        json!({"username": "bob"}),
    );
    assert_eq!(told(&site, &token).await, [expected]);
    let seen = site.api(&token).get("/user/assignedauthorization").await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert!(told(&site, &token).await.is_empty());
}
