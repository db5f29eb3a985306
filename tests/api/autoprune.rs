//! Policies by which tags end by themselves: kept, told, refused, of organisations, repositories and users.

use std::time::Duration;

use entrepot::model::{Grantee, Job, LogKind, PolicyScope, Role};
use entrepot::store;
use serde_json::{Value, json};

use super::repository::Stage;
use crate::harness::people::Who;
use crate::harness::site::Answer;

const ORGANIZATION: &str = "/organization/acme/autoprunepolicy/";
const REPOSITORY: &str = "/repository/acme/app/autoprunepolicy/";
const USER: &str = "/user/autoprunepolicy/";

/// Adds a policy, which succeeds; its uuid.
pub(super) async fn add(stage: &Stage, base: &str, policy: Value) -> String {
    let made = stage.ann().post(base, policy.clone()).await;
    assert_eq!(made.status, 201, "{policy}: {}", made.text());
    let body = made.json();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["uuid"].as_str().unwrap().to_owned()
}

fn refusal(answer: &Answer) -> (u16, String) {
    let text = answer.json()["detail"].as_str().unwrap().to_owned();
    (answer.status.as_u16(), text)
}

/// SC-441, SC-442, SC-446, SC-447, SC-448, SC-449, SC-450, SC-451, SC-452: the requests of the guide, at each of
/// the three bases.
#[tokio::test]
async fn policies_are_kept_changed_and_removed_as_the_guide_shows() {
    let stage = Stage::new().await;
    for (base, creation, update, deletion) in [
        (
            ORGANIZATION,
            LogKind::CreateNamespaceAutoprunePolicy,
            LogKind::UpdateNamespaceAutoprunePolicy,
            LogKind::DeleteNamespaceAutoprunePolicy,
        ),
        (
            USER,
            LogKind::CreateNamespaceAutoprunePolicy,
            LogKind::UpdateNamespaceAutoprunePolicy,
            LogKind::DeleteNamespaceAutoprunePolicy,
        ),
        (
            REPOSITORY,
            LogKind::CreateRepositoryAutoprunePolicy,
            LogKind::UpdateRepositoryAutoprunePolicy,
            LogKind::DeleteRepositoryAutoprunePolicy,
        ),
    ] {
        let uuid = add(
            &stage,
            base,
            json!({"method": "number_of_tags", "value": 10}),
        )
        .await;
        let expected = json!({
            "uuid": uuid,
            "method": "number_of_tags",
            "value": 10,
            "tagPattern": null,
            "tagPatternMatches": true,
        });
        let listed = stage.ann().get(base).await;
        assert_eq!(listed.json(), json!({"policies": [expected]}), "{base}");
        let bare = stage.ann().get(base.trim_end_matches('/')).await;
        assert_eq!(bare.json(), listed.json());
        let one = format!("{base}{uuid}");
        assert_eq!(stage.ann().get(&one).await.json(), expected);
        let told = stage.told(creation).await;
        let namespace = if base == USER { "ann" } else { "acme" };
        assert_eq!(
            (&told["method"], &told["value"], &told["tag_pattern"]),
            (&json!("number_of_tags"), &json!(10), &Value::Null)
        );
        assert_eq!(
            (&told["tag_pattern_matches"], &told["namespace"]),
            (&json!(true), &json!(namespace))
        );
        let changed = json!({"method": "creation_date", "value": "7d", "tagPattern": "^v*",
                             "tagPatternMatches": false});
        let changed = stage.ann().put(&one, changed).await;
        assert_eq!((changed.status.as_u16(), changed.text()), (204, ""));
        let expected = json!({
            "uuid": uuid,
            "method": "creation_date",
            "value": "7d",
            "tagPattern": "^v*",
            "tagPatternMatches": false,
        });
        assert_eq!(stage.ann().get(&one).await.json(), expected);
        let told = stage.told(update).await;
        let repo = if base == REPOSITORY {
            json!("app")
        } else {
            Value::Null
        };
        assert_eq!((&told["value"], &told["repo"]), (&json!("7d"), &repo));
        // The guide writes the number as text once.
        let text = json!({"uuid": uuid, "method": "number_of_tags", "value": "5"});
        assert_eq!(stage.ann().put(&one, text).await.status, 204);
        assert_eq!(stage.ann().get(&one).await.json()["value"], 5);
        let gone = stage.ann().delete(&one).await;
        assert_eq!(
            (gone.status.as_u16(), gone.json()),
            (200, json!({"uuid": uuid}))
        );
        assert_eq!(stage.told(deletion).await["policy_uuid"], uuid);
        for answer in [
            stage.ann().get(&one).await,
            stage.ann().delete(&one).await,
            stage
                .ann()
                .put(&one, json!({"method": "number_of_tags", "value": 1}))
                .await,
            stage.ann().get(&format!("{base}not-a-uuid")).await,
        ] {
            assert_eq!(answer.status, 404, "{base}: {}", answer.text());
        }
        let empty = stage.ann().get(base).await;
        assert_eq!(empty.json(), json!({"policies": []}));
    }
}

/// SC-445: each is a row of its own, and none is there twice.
#[tokio::test]
async fn there_may_be_several_policies_and_no_two_alike() {
    let stage = Stage::new().await;
    for (base, noun) in [
        (ORGANIZATION, "namespace"),
        (USER, "namespace"),
        (REPOSITORY, "repository"),
    ] {
        let policies = [
            json!({"method": "number_of_tags", "value": 2}),
            json!({"method": "creation_date", "value": "1w"}),
            json!({"method": "creation_date", "value": "1w", "tagPattern": "^v"}),
            json!({"method": "last_pulled", "value": "90d"}),
        ];
        let mut uuids = Vec::new();
        for policy in &policies {
            uuids.push(add(&stage, base, policy.clone()).await);
        }
        let listed = stage.ann().get(base).await.json();
        assert_eq!(listed["policies"].as_array().unwrap().len(), 4);
        let text = format!(
            "Existing policy with same values for this {noun}, duplicate policies are not permitted"
        );
        let twice = stage.ann().post(base, policies[1].clone()).await;
        assert_eq!(refusal(&twice), (400, text.clone()));
        let one = format!("{base}{}", uuids[0]);
        let moved = stage.ann().put(&one, policies[1].clone()).await;
        assert_eq!(refusal(&moved), (400, text));
        // What it is already, it may be.
        let same = stage.ann().put(&one, policies[0].clone()).await;
        assert_eq!(same.status, 204);
    }
}

/// Section 26's refusals, and a pattern that is none, to the word.
#[tokio::test]
async fn what_is_no_policy_is_refused_with_the_reason() {
    let stage = Stage::new().await;
    let value = "Invalid value given for method type";
    for (policy, text) in [
        (
            json!({"method": "size", "value": 1}),
            "Invalid method provided",
        ),
        (json!({"method": "number_of_tags", "value": 0}), value),
        (json!({"method": "number_of_tags", "value": -3}), value),
        (json!({"method": "number_of_tags", "value": "many"}), value),
        (json!({"method": "number_of_tags", "value": 1.5}), value),
        (json!({"method": "creation_date", "value": 7}), value),
        (json!({"method": "creation_date", "value": "7"}), value),
        (json!({"method": "creation_date", "value": "7 days"}), value),
        (json!({"method": "last_pulled", "value": "0d"}), value),
        (
            json!({"method": "number_of_tags", "value": 1, "tagPattern": ""}),
            "tag_pattern cannot be empty",
        ),
        (
            json!({"method": "number_of_tags", "value": 1, "tagPattern": 5}),
            "tag_pattern must be string",
        ),
        (
            json!({"method": "number_of_tags", "value": 1, "tagPattern": "("}),
            "Invalid regex pattern: unclosed group",
        ),
        (
            json!({"method": "number_of_tags"}),
            "'value' is a required property",
        ),
        (json!({"value": 1}), "'method' is a required property"),
    ] {
        for base in [ORGANIZATION, REPOSITORY, USER] {
            let refused = stage.ann().post(base, policy.clone()).await;
            assert_eq!(refusal(&refused), (400, text.to_owned()), "{policy}");
        }
    }
    for base in [ORGANIZATION, REPOSITORY, USER] {
        let listed = stage.ann().get(base).await.json();
        assert_eq!(listed, json!({"policies": []}));
    }
    let most = async || {
        for count in 1..=50 {
            let policy = json!({"method": "number_of_tags", "value": count});
            add(&stage, USER, policy).await;
        }
        let more = json!({"method": "number_of_tags", "value": 51});
        stage.ann().post(USER, more).await
    };
    assert_eq!(
        refusal(&most().await),
        (400, "there are up to 50 policies".to_owned())
    );
}

/// SC-453: who administers a repository of a person manages its policies; who only writes does not.
#[tokio::test]
async fn policies_of_a_repository_are_its_administrators() {
    let stage = Stage::new().await;
    let site = &stage.site;
    site.push_as(&Who::user("ann"), "ann/tool", "v1", &stage.image)
        .await;
    let base = "/repository/ann/tool/autoprunepolicy/";
    let policy = json!({"method": "number_of_tags", "value": 3});
    assert_eq!(stage.bob().post(base, policy.clone()).await.status, 403);
    let (bob, _) = site.accounts().user_by_name("bob").await.unwrap().unwrap();
    site.grant("ann/tool", Grantee::User(bob), Role::Write)
        .await;
    assert_eq!(stage.bob().post(base, policy.clone()).await.status, 403);
    site.grant("ann/tool", Grantee::User(bob), Role::Admin)
        .await;
    assert_eq!(stage.bob().post(base, policy).await.status, 201);
    // The namespace is still its owner's, and what bob has is his own.
    let own = stage.bob().get(USER).await.json();
    assert_eq!(own, json!({"policies": []}));
    assert_eq!(stage.bob().get(ORGANIZATION).await.status, 403);
}

/// AZ-06: a policy is found in its own scope only.
#[tokio::test]
async fn a_policy_of_another_scope_is_not_there() {
    let stage = Stage::new().await;
    let uuid = add(
        &stage,
        ORGANIZATION,
        json!({"method": "number_of_tags", "value": 1}),
    )
    .await;
    for base in [REPOSITORY, USER] {
        let one = format!("{base}{uuid}");
        assert_eq!(stage.ann().get(&one).await.status, 404);
        assert_eq!(stage.ann().delete(&one).await.status, 404);
    }
    let person = stage.ann().get("/organization/ann/autoprunepolicy/").await;
    assert_eq!(person.status, 404, "a person is no organisation");
}

/// With the feature off there is no such door.
#[tokio::test]
async fn without_the_feature_there_are_no_doors() {
    let stage = Stage::with(|config| config.features.auto_prune = false).await;
    let policy = json!({"method": "number_of_tags", "value": 1});
    for base in [ORGANIZATION, REPOSITORY, USER] {
        assert_eq!(stage.ann().get(base).await.status, 404);
        assert_eq!(stage.ann().post(base, policy.clone()).await.status, 404);
    }
}

/// A repository of the name of one that was deleted inherits nothing, and no row of a policy is left behind.
#[tokio::test]
async fn policies_go_with_what_they_are_of() {
    let stage = Stage::new().await;
    let policy = json!({"method": "number_of_tags", "value": 1});
    for base in [ORGANIZATION, REPOSITORY] {
        add(&stage, base, policy.clone()).await;
    }
    let (registry, accounts) = (stage.site.registry(), stage.site.accounts());
    let (acme, _) = registry
        .namespace(&"acme".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let app = stage.site.repository_id("acme/app").await;
    let held = async |scope| registry.prune_policies(scope).await.unwrap().len();
    assert_eq!(stage.ann().delete("/repository/acme/app").await.status, 204);
    stage
        .site
        .push_as(&Who::user("ann"), "acme/app", "v1", &stage.image)
        .await;
    let listed = stage.ann().get(REPOSITORY).await.json();
    assert_eq!(listed, json!({"policies": []}));
    registry.purge().await.unwrap();
    assert_eq!(held(PolicyScope::Repository(app)).await, 0);
    assert_eq!(held(PolicyScope::Namespace(acme)).await, 1);
    assert_eq!(stage.ann().delete("/organization/acme").await.status, 204);
    registry.delete_repositories(acme).await.unwrap();
    registry.purge().await.unwrap();
    accounts.purge_some(1_000).await.unwrap();
    assert_eq!(held(PolicyScope::Namespace(acme)).await, 0);
    let job = registry
        .store()
        .read(|tx| tx.jobs().record(Job::Prune(acme)));
    let job: Result<_, store::Error> = job.await;
    assert_eq!(job.unwrap(), None, "nor a run that has nothing to do");
}

/// A preview tells what would go and why, and changes nothing; without a policy it is of what is in force.
#[tokio::test]
async fn a_preview_tells_what_would_go() {
    let mut stage = Stage::new().await;
    let day = Duration::from_secs(86_400);
    for tag in ["v2", "dev", "v3"] {
        stage.advance(day).await;
        let who = Who::user("ann");
        stage
            .site
            .push_as(&who, "acme/app", tag, &stage.image)
            .await;
    }
    let told = async |base: &str, policy: Value| {
        let path = format!("{base}preview");
        let answer = stage.ann().post(&path, policy).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["complete"], true, "{body}");
        let tags = body["tags"].as_array().unwrap().iter();
        let tags = tags.map(|it| (it["tag"].clone(), it["reason"].clone()));
        tags.collect::<Vec<_>>()
    };
    let newest = json!({"method": "number_of_tags", "value": "2", "tagPattern": "^v"});
    for base in [ORGANIZATION, REPOSITORY] {
        let expected = (json!("v1"), json!("not among the newest 2: this policy"));
        assert_eq!(told(base, newest.clone()).await, [expected]);
        assert_eq!(told(base, Value::Null).await, [], "nothing is in force");
    }
    assert_eq!(told(USER, newest.clone()).await, []);
    let uuid = add(
        &stage,
        ORGANIZATION,
        json!({"method": "creation_date", "value": "36h"}),
    )
    .await;
    let reason = json!(format!("older than 36h: policy {uuid} of the namespace"));
    let expected = [(json!("v2"), reason.clone()), (json!("v1"), reason)];
    assert_eq!(told(REPOSITORY, Value::Null).await, expected);
    let tags = stage.ann().get("/repository/acme/app/tag/").await.json();
    assert_eq!(tags["tags"].as_array().unwrap().len(), 4);
    for bad in [
        json!({"method": "number_of_tags", "value": 0}),
        json!({"method": "number_of_tags", "value": 1, "tagPattern": "("}),
    ] {
        let refused = stage
            .ann()
            .post(&format!("{ORGANIZATION}preview"), bad)
            .await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    assert_eq!(
        stage
            .bob()
            .post(&format!("{REPOSITORY}preview"), newest)
            .await
            .status,
        403
    );
}
