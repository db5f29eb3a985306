//! A stage of people for the doors about them, and what the usage log tells.

use entrepot::model::{
    LogFilter, LogKind, LogScope, Member, NamespaceId, TeamId, TeamRole, Timestamp, UserId,
};
use entrepot::store::{self, ReadTx};
use serde_json::Value;

use crate::harness::site::Site;

/// What tokens of the stage are for.
pub(super) const ALL: &str = "user:admin org:admin repo:admin repo:create";

/// The organisation `acme` of `ann`, with `bob` in the team `devs`, and `carl` in none.
pub(super) struct Stage {
    pub(super) site: Site,
    pub(super) acme: NamespaceId,
    pub(super) devs: TeamId,
    pub(super) ann_id: UserId,
    pub(super) bob_id: UserId,
    pub(super) carl_id: UserId,
    /// Tokens for everything that these may do.
    pub(super) ann: String,
    pub(super) bob: String,
    pub(super) outsider: String,
}

pub(super) async fn stage() -> Stage {
    stage_of(Site::start(|_| {}).await).await
}

/// The same where invitations are needed and sent.
pub(super) async fn inviting_stage() -> Stage {
    let site = Site::start(|config| config.features.mailing = true);
    stage_of(site.await).await
}

async fn stage_of(site: Site) -> Stage {
    let (ann_id, bob_id) = (site.user("ann").await, site.user("bob").await);
    let carl_id = site.user("carl").await;
    let acme = site.organization("acme", Some(ann_id)).await;
    let members = [Member::User(bob_id)];
    let devs = site.team(acme, "devs", TeamRole::Member, &members).await;
    let ann = site.oauth_token(ann_id, ALL).await;
    let bob = site.oauth_token(bob_id, ALL).await;
    let outsider = site.oauth_token(carl_id, ALL).await;
    Stage {
        site,
        acme,
        devs,
        ann_id,
        bob_id,
        carl_id,
        ann,
        bob,
        outsider,
    }
}

/// The lines of the usage log of a namespace without what they tell of the token, the newest first.
pub(super) async fn lines(site: &Site, namespace: &str) -> Vec<(LogKind, Value)> {
    let name = namespace.parse().unwrap();
    let (id, _) = site.registry().namespace(&name).await.unwrap().unwrap();
    let filter = LogFilter {
        scope: Some(LogScope::Namespace(id)),
        since: Timestamp::from_millis(0),
        until: Timestamp::from_millis(i64::MAX),
        performer: None,
    };
    let list = move |tx: &ReadTx| tx.logs().list(&filter, None, 1_000);
    let found: Result<_, store::Error> = site.registry().store().scan(list).await;
    let lines = found.unwrap().into_iter().map(|(_, line)| {
        let mut metadata = line.metadata();
        metadata.retain(|key, _| !key.starts_with("oauth_"));
        (line.kind, Value::Object(metadata))
    });
    lines.collect()
}
