//! Whose a mirror is: its owners', nobody's once it is deleted, or the configuration's.

use entrepot::model::{Member, TeamRole};
use reqwest::Method;
use serde_json::{Value, json};

use super::{MIRROR, create, refusal, shown, stage, wanted, with};
use crate::api::repository::Stage;

/// AZ-06, WB-04: of another tenant's mirror nothing is told, and it is not moved; its password is told to nobody.
#[tokio::test]
async fn a_mirror_is_its_owners() {
    let stage = stage().await;
    let account =
        json!({"external_registry_username": "zquser", "external_registry_password": "zqpass"});
    create(&stage, with(&account)).await;
    let before = shown(&stage).await;
    assert!(!before.to_string().contains("zqpass"));
    let missing = "/repository/acme/nosuch/mirror";
    for (method, path) in [
        (Method::GET, ""),
        (Method::POST, ""),
        (Method::PUT, ""),
        (Method::POST, "/sync-now"),
        (Method::POST, "/sync-cancel"),
        (Method::GET, "/tags"),
    ] {
        let body = (method != Method::GET).then(wanted);
        let there = stage
            .bob()
            .send(method.clone(), &format!("{MIRROR}{path}"), body.clone())
            .await;
        let not_there = stage
            .bob()
            .send(method, &format!("{missing}{path}"), body)
            .await;
        assert_eq!(there.status, 403, "{path}: {}", there.text());
        assert_eq!(there.json(), not_there.json(), "{path}");
    }
    assert_eq!(shown(&stage).await, before);
    let health = "/repository/mirror/health?namespace=";
    let there = stage.bob().get(&format!("{health}acme")).await;
    let not_there = stage.bob().get(&format!("{health}nosuch")).await;
    assert_eq!(
        (there.status.as_u16(), there.json()),
        (403, not_there.json())
    );
}

/// A deleted repository leaves nothing of its mirror, and neither does a deleted organisation.
#[tokio::test]
async fn what_is_deleted_leaves_no_mirror() {
    let stage = stage().await;
    create(&stage, wanted()).await;
    let id = stage.site.repository_id("acme/app").await;
    let deleted = stage.ann().delete("/repository/acme/app").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(stage.ann().get(MIRROR).await.status, 404);
    stage.site.registry().purge().await.unwrap();
    let left = stage.site.registry().store().read(|tx| {
        Ok::<_, entrepot::store::Error>((tx.mirrors().record(id)?, tx.mirrors().status(id)?))
    });
    assert_eq!(left.await.unwrap(), (None, None));
}

/// A mirror of the configuration is shown, and changed where it stands.
#[tokio::test]
async fn a_configured_mirror_is_made_shown_and_not_changed_by_the_api() {
    let mirrors = "MIRRORS:\n- repository: nightly/tools/jq\n  external_reference: 127.0.0.1:4/org/jq\n  \
                   root_rule: {rule_value: [\"1.*\"]}\n  external_registry_username: u\n  \
                   external_registry_password: zqpass\n  sync_start_date: 2045-01-15T12:00:00Z\n";
    let read = |text: &str| {
        let source = entrepot::config::ConfigSource::Text {
            name: "config.yaml".to_owned(),
            text: text.to_owned(),
        };
        let loaded =
            entrepot::config::Config::load(source, &Default::default(), &Default::default());
        loaded.unwrap().0.mirrors
    };
    let configured = read(mirrors);
    let stage = Stage::with(|config| {
        config.offline = true;
        config.mirrors.clone_from(&configured);
    })
    .await;
    let id = stage.site.repository_id("nightly/tools/jq").await;
    let grants = stage
        .site
        .accounts()
        .list_grants(id, None, 10)
        .await
        .unwrap();
    assert_eq!(grants.len(), 1, "the robot's");
    let (id, _) = stage
        .site
        .registry()
        .namespace(&"nightly".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let ann = stage
        .site
        .accounts()
        .user_by_name("ann")
        .await
        .unwrap()
        .unwrap()
        .0;
    let members = [Member::User(ann)];
    stage
        .site
        .team(id, "keepers", TeamRole::Admin, &members)
        .await;
    let path = "/repository/nightly/tools/jq/mirror";
    let view = stage.ann().get(path).await.json();
    assert_eq!(view["external_reference"], "127.0.0.1:4/org/jq", "{view}");
    assert_eq!(view["robot_username"], "nightly+mirror");
    assert_eq!(view["sync_start_date"], "2045-01-15T12:00:00Z");
    assert!(!view.to_string().contains("zqpass"));
    let refused = stage.ann().put(path, json!({"is_enabled": false})).await;
    let (status, said) = refusal(&refused);
    assert_eq!(status, 400);
    assert!(
        said.contains("nightly/tools/jq") && said.contains("MIRRORS"),
        "{said}"
    );
    let now = stage
        .ann()
        .post(&format!("{path}/sync-now"), Value::Null)
        .await;
    assert_eq!(now.status, 204, "runs are wanted as of any mirror");
    let mirror = stage.site.app().mirror();
    let same = mirror.configure(&configured).await.unwrap();
    assert!(
        same.changed.is_empty() && same.removed.is_empty(),
        "{same:?}"
    );
    let done = mirror.configure(&[]).await.unwrap();
    assert_eq!(done.removed, ["nightly/tools/jq"]);
    let view = stage.ann().get(path).await.json();
    assert_eq!(view["is_enabled"], false);
    let changed = stage.ann().put(path, json!({"sync_interval": 60})).await;
    assert_eq!(changed.status, 201, "{}", changed.text());
    let again = mirror.configure(&configured).await.unwrap();
    assert_eq!(again.changed, ["nightly/tools/jq"]);
    assert_eq!(stage.ann().get(path).await.json()["sync_interval"], 86400);
}
