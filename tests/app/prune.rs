//! `entrepot prune`, with and without a server, on what clients pushed.

use super::accounts::json;
use super::tags::{REPO, Stage};
use crate::harness::content::Image;
use crate::harness::soon;

/// The daily run of the configuration must not come before the command.
const CONFIG: &str = "AUTO_PRUNING_POLL_PERIOD: 1d\nDEFAULT_NAMESPACE_AUTOPRUNE_POLICY:\n  \
                      method: number_of_tags\n  value: 1\n  tag_pattern: ^v\n";

#[tokio::test]
async fn what_would_end_is_listed_and_then_ends() {
    let stage = Stage::with(CONFIG).await;
    for (seed, tag) in (1..).zip(["v1", "v2", "dev", "v3"]) {
        stage.push(&Image::small(seed), tag).await;
    }
    let place = &stage.place;
    let rows = json(place, &["prune", "--dry-run", "--json"]).await;
    let tags: Vec<_> = rows.iter().map(|row| row["tag"].clone()).collect();
    assert_eq!(tags, ["v2", "v1"], "{rows:?}");
    assert_eq!(rows[0]["repository"], "local/team/app");
    assert_eq!(
        rows[0]["reason"],
        "not the newest: policy of the configuration"
    );
    let table = place
        .run_well(&["prune", "--dry-run", "local/team/app"])
        .await;
    assert!(
        table.starts_with("REPOSITORY") && table.contains("v1"),
        "{table}"
    );
    for (scope, text) in [
        ("nobody", "there is no nobody"),
        ("local/none", "there is no local/none"),
        ("local/team/app:v1", "a namespace or a repository"),
        ("hub", "hub is a cache"),
    ] {
        let refused = place.run_badly(&["prune", scope]).await;
        assert!(refused.contains(text), "{refused}");
    }
    let ended = json(place, &["prune", "local", "--json"]).await;
    assert_eq!(ended.len(), 2, "{ended:?}");
    let place = stage.stop().await;
    assert_eq!(
        place.run_well(&["prune"]).await,
        "",
        "nothing is left to do"
    );
    place
        .run_well(&["tag", "restore", "local/team/app:v1"])
        .await;
    let rows = json(&place, &["prune", "--dry-run", "--json"]).await;
    assert_eq!(rows.len(), 1, "what was restored is the newest: {rows:?}");
    assert_eq!(rows[0]["tag"], "v3");
}

/// Prunes all but the newest, over and over.
const RESTLESS: &str = "AUTO_PRUNING_POLL_PERIOD: 1\nAUTO_PRUNING_DEFAULT_POLICY_POLL_PERIOD: 1\n\
                        DEFAULT_NAMESPACE_AUTOPRUNE_POLICY: {method: number_of_tags, value: 1}\n";

/// CR-01, GC-08: killed at any moment, the runs go on with the next process; each tag ends once and whole.
#[tokio::test]
async fn a_killed_server_goes_on_with_its_runs() {
    let mut stage = Stage::with(RESTLESS).await;
    let mut seed = 0;
    for round in 0..4 {
        for count in 0..8 {
            seed += 1;
            let tag = format!("v{round}-{count}");
            stage.push(&Image::small(seed), &tag).await;
        }
        stage = stage.killed().await;
    }
    soon("all but one to end", async {
        while json(&stage.place, &["tag", "ls", REPO, "--json"])
            .await
            .len()
            > 1
        {}
    })
    .await;
    let place = stage.stop().await;
    let left = json(&place, &["tag", "ls", REPO, "--json"]).await;
    assert_eq!(left[0]["tag"], "v3-7", "{left:?}");
    let history = json(&place, &["tag", "history", REPO, "--json"]).await;
    assert!(history.iter().all(|row| row["ended_by"] == "(system)"));
    let mut ended: Vec<_> = history.iter().map(|row| row["tag"].to_string()).collect();
    ended.sort();
    ended.dedup();
    assert_eq!((ended.len(), history.len()), (31, 31), "{history:?}");
    assert_eq!(place.run_well(&["check"]).await, "");
}
