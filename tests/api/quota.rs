//! Quotas: set by superusers, shown to members, kept by pushes.

use std::time::Duration;

use bytes::Bytes;
use entrepot::model::LogKind;
use entrepot::oci::Digest;
use entrepot::registry::Budget;
use reqwest::Method;
use serde_json::{Value, json};

use super::repository::SCOPES;
use crate::harness::api::{Api, fields};
use crate::harness::content::{self, Image};
use crate::harness::origin::Origin;
use crate::harness::people::{Asked, Who};
use crate::harness::site::{Answer, Site, rule};

const QUOTA: [&str; 6] = [
    "id",
    "limit_bytes",
    "limit",
    "default_config",
    "limits",
    "default_config_exists",
];

const ALL: &str = "/organization/acme/quota";

/// root is a superuser, ann owns acme, bob has nothing to do with it.
struct Stage {
    site: Site,
    root: String,
    ann: String,
    bob: String,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut entrepot::config::Config)) -> Self {
        let site = Site::start(|config| {
            config.retention.time_machine = Duration::ZERO;
            adjust(config);
        })
        .await;
        let root = site.superuser("root").await;
        let (ann, bob) = (site.user("ann").await, site.user("bob").await);
        site.organization("acme", Some(ann)).await;
        Self {
            root: site.oauth_token(root, "super:user").await,
            ann: site.oauth_token(ann, SCOPES).await,
            bob: site.oauth_token(bob, SCOPES).await,
            site,
        }
    }

    fn root(&self) -> Api<'_> {
        self.site.api(&self.root)
    }

    fn ann(&self) -> Api<'_> {
        self.site.api(&self.ann)
    }

    /// Gives acme a quota with a limit; returns the quota.
    async fn limited(&self, bytes: u64, limits: &[(&str, u64)]) -> Value {
        let made = self.root().post(ALL, json!({"limit_bytes": bytes})).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let id = self.quota().await["id"].as_u64().unwrap();
        for (kind, percent) in limits {
            let body = json!({"type": kind, "threshold_percent": percent});
            let made = self.root().post(&format!("{ALL}/{id}/limit"), body).await;
            assert_eq!(made.status, 201, "{}", made.text());
        }
        self.quota().await
    }

    async fn quota(&self) -> Value {
        self.ann().get(ALL).await.json()[0].clone()
    }

    /// Bytes that acme is told to hold.
    async fn held(&self) -> u64 {
        let shown = self.ann().get("/organization/acme").await.json();
        shown["quota_report"]["quota_bytes"].as_u64().unwrap()
    }

    /// The same of a repository of it.
    async fn held_by(&self, repository: &str) -> u64 {
        let list = self.ann().get("/repository?namespace=acme").await.json();
        let list = list["repositories"].as_array().unwrap().iter();
        let of = list.clone().find(|one| one["name"] == repository).unwrap();
        of["quota_report"]["quota_bytes"].as_u64().unwrap()
    }

    async fn push(&self, repository: &str, tag: &str, image: &Image) {
        self.site
            .push_as(&Who::user("ann"), repository, tag, image)
            .await;
    }

    async fn push_blob(&self, repository: &str, blob: &Bytes) -> Answer {
        self.site
            .push_blob_as(&Who::user("ann"), repository, blob)
            .await
    }

    async fn collect(&self) {
        let collected = self.site.registry().collect(Budget::UNBOUNDED).await;
        collected.unwrap();
    }

    async fn purge(&self) {
        let purged = self.site.registry().purge().await;
        purged.unwrap();
    }

    /// The kinds of what somebody is told, the newest first.
    async fn notices(&self, token: &str) -> Vec<String> {
        let told = self.site.api(token).get("/user/notifications").await.json();
        let told = told["notifications"].as_array().unwrap().iter();
        told.map(|one| one["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn last(&self, kind: LogKind) -> Value {
        let lines = self.site.newest_lines(50).await;
        let line = lines.into_iter().find(|(of, _)| *of == kind);
        line.expect("there is such a line").1
    }
}

/// Bytes of the blobs of an image.
fn blobs(image: &Image) -> u64 {
    image.blobs().map(|blob| blob.len() as u64).sum()
}

/// What a client is told that may push no more (SC-232).
fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    let error = &answer.json()["errors"][0];
    assert_eq!(error["code"], "DENIED");
    assert_eq!(error["message"], "Quota has been exceeded on namespace");
}

/// SC-221, SC-223 to SC-226, SC-405 to SC-409: the walk of the product documents.
#[tokio::test]
async fn a_quota_is_made_shown_changed_and_removed() {
    let stage = Stage::new().await;
    assert_eq!(stage.ann().get(ALL).await.json(), json!([]));
    let wanted = json!({"limit_bytes": 10_485_760});
    let made = stage.root().post(ALL, wanted.clone()).await;
    assert_eq!((made.status.as_u16(), made.json()), (201, json!("Created")));
    let shown = stage.ann().get(ALL).await.json();
    let quota = &shown[0];
    assert_eq!(fields(quota), QUOTA);
    let expected = json!([{"id": quota["id"], "limit_bytes": 10_485_760, "limit": "10.0 MiB",
        "default_config": false, "limits": [], "default_config_exists": false}]);
    assert_eq!(shown, expected);
    let one = format!("{ALL}/{}", quota["id"]);
    assert_eq!(stage.ann().get(&one).await.json(), *quota);
    let again = stage.root().post(ALL, wanted).await;
    let text = "Organization quota for 'acme' already exists";
    assert_eq!(
        (again.status.as_u16(), &again.json()["detail"]),
        (400, &json!(text))
    );
    let changed = stage
        .root()
        .put(&one, json!({"limit_bytes": 104_857_600}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["limit"], "100.0 MiB");
    let told = stage.last(LogKind::OrgChangeQuota).await;
    assert_eq!(
        (&told["previous_limit_bytes"], &told["limit"]),
        (&json!(10_485_760), &json!("100.0 MiB"))
    );
    let same = stage.root().put(&one, json!({})).await;
    assert_eq!(same.json()["limit_bytes"], 104_857_600);
    let further = json!({"limit_bytes": 1, "more": 1});
    assert_eq!(stage.root().put(&one, further).await.status, 400);
    for (who, status) in [(&stage.ann, 403), (&stage.bob, 403)] {
        let api = stage.site.api(who);
        assert_eq!(
            api.put(&one, json!({"limit_bytes": 1})).await.status,
            status
        );
        assert_eq!(api.delete(&one).await.status, status);
    }
    assert_eq!(stage.site.api(&stage.bob).get(ALL).await.status, 403);
    let gone = stage.root().delete(&one).await;
    assert_eq!((gone.status.as_u16(), gone.text()), (204, ""));
    assert_eq!(stage.ann().get(ALL).await.json(), json!([]));
    for path in [&one, &format!("{ALL}/nonsense")] {
        assert_eq!(stage.ann().get(path).await.status, 404);
        assert_eq!(stage.root().delete(path).await.status, 404);
    }
}

/// SC-213, SC-405: sizes in every form, and up to what a signed number holds.
#[tokio::test]
async fn a_quota_is_given_as_number_or_text() {
    let stage = Stage::new().await;
    let most = 8_388_608_000_000_000_000_u64;
    for (body, bytes) in [
        (json!({"limit_bytes": most}), most),
        (json!({"limit_bytes": "10737418240"}), 10_737_418_240),
        (json!({"limit": "10 Gi"}), 10_737_418_240),
        (
            json!({"limit_bytes": 10_737_418_240_u64, "limits": "10 Gi"}),
            10_737_418_240,
        ),
    ] {
        let made = stage.root().post(ALL, body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let quota = stage.quota().await;
        assert_eq!(quota["limit_bytes"], bytes);
        let one = format!("{ALL}/{}", quota["id"]);
        assert_eq!(stage.root().delete(&one).await.status, 204);
    }
    let format = "Invalid limit format, use a number followed by a unit (e.g. 1GiB)";
    for (body, text) in [
        (json!({"limit": "much"}), format),
        (
            json!({"limit_bytes": 0}),
            "Invalid quota size limit value: '0'",
        ),
        (
            json!({"limit_bytes": u64::MAX}),
            "Invalid quota size limit value: '18446744073709551615'",
        ),
    ] {
        let refused = stage.root().post(ALL, body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["detail"]),
            (400, &json!(text))
        );
    }
    for body in [
        json!({}),
        json!({"limit_bytes": 1, "limit": "1 GiB"}),
        json!({"limit_bytes": -1}),
    ] {
        assert_eq!(stage.root().post(ALL, body).await.status, 400);
    }
    let one = json!({"limit_bytes": 1});
    let missing = stage
        .root()
        .post("/organization/none/quota", one.clone())
        .await;
    assert_eq!(missing.status, 404);
    let person = stage.root().post("/organization/ann/quota", one).await;
    assert_eq!(person.status, 404, "that is no organization");
}

/// SC-230, SC-231, SC-410 to SC-413.
#[tokio::test]
async fn limits_are_made_listed_changed_and_removed() {
    let stage = Stage::new().await;
    let quota = stage
        .limited(1000, &[("Reject", 80), ("warning", 50)])
        .await;
    let limits = quota["limits"].clone();
    assert_eq!(fields(&limits[0]), ["id", "type", "limit_percent"]);
    let told = |limit: &Value| (limit["type"].clone(), limit["limit_percent"].clone());
    assert_eq!(told(&limits[0]), (json!("Warning"), json!(50)));
    assert_eq!(told(&limits[1]), (json!("Reject"), json!(80)));
    let all = format!("{ALL}/{}/limit", quota["id"]);
    assert_eq!(stage.ann().get(&all).await.json(), limits);
    let one = format!("{all}/{}", limits[1]["id"]);
    assert_eq!(stage.ann().get(&one).await.json(), limits[1]);
    for (body, text) in [
        (
            json!({"type": "Warning", "threshold_percent": 50}),
            "Quota limit already exists",
        ),
        (
            json!({"type": "Reject", "threshold_percent": 90}),
            "Only one quota limit of type 'Reject' allowed.",
        ),
        (
            json!({"type": "Block", "threshold_percent": 90}),
            "Quota type must be one of [Warning, Reject]",
        ),
        (
            json!({"type": "Warning", "threshold_percent": 101}),
            "Quota limit threshold must be between 1 and 100",
        ),
    ] {
        let refused = stage.root().post(&all, body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["detail"]),
            (400, &json!(text))
        );
    }
    let changed = stage
        .root()
        .put(&one, json!({"threshold_percent": "90"}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(fields(&changed.json()), QUOTA, "the whole quota");
    assert_eq!(changed.json()["limits"][1]["limit_percent"], 90);
    let line = stage.last(LogKind::OrgChangeQuotaLimit).await;
    assert_eq!(line["previous_threshold_percent"], 80);
    assert_eq!(stage.ann().delete(&one).await.status, 403);
    assert_eq!(stage.root().delete(&one).await.status, 204);
    assert_eq!(stage.ann().get(&one).await.status, 404);
}

/// SC-480, SC-481, SC-414, SC-415: the superusers' own doors, and what a user sees of his own.
#[tokio::test]
async fn superusers_set_the_quota_of_anybody() {
    let stage = Stage::new().await;
    for base in [
        "/superuser/organization/acme/quota",
        "/superuser/users/ann/quota",
    ] {
        let made = stage
            .root()
            .post(base, json!({"limit_bytes": 2_199_023_255_552_u64}))
            .await;
        assert_eq!((made.status.as_u16(), made.json()), (201, json!("Created")));
        let again = stage.root().post(base, json!({"limit_bytes": 1})).await;
        assert_eq!(again.status, 400);
        let list = stage.root().get(base).await.json();
        assert_eq!(list[0]["limit"], "2.0 TiB");
        assert_eq!(fields(&list[0]), QUOTA);
        let one = format!("{base}/{}", list[0]["id"]);
        let changed = stage.root().put(&one, json!({"limit": "1 TiB"})).await;
        assert_eq!(
            (changed.status.as_u16(), &changed.json()["limit"]),
            (200, &json!("1.0 TiB"))
        );
        assert_eq!(stage.ann().get(base).await.status, 403);
    }
    let own = stage.ann().get("/user/quota").await.json();
    let id = &own[0]["id"];
    assert_eq!(own[0]["limit"], "1.0 TiB");
    assert_eq!(
        stage.ann().get(&format!("/user/quota/{id}")).await.json(),
        own[0]
    );
    assert_eq!(
        stage
            .ann()
            .get(&format!("/user/quota/{id}/limit"))
            .await
            .json(),
        json!([])
    );
    let foreign = stage.quota().await["id"].clone();
    let path = format!("/user/quota/{foreign}");
    assert_eq!(
        stage.ann().get(&path).await.status,
        404,
        "AZ-06: acme's is not hers"
    );
    let seen = stage.ann().get("/user/").await.json();
    assert_eq!(seen["quotas"], own);
    assert_eq!(
        seen["quota_report"]["configured_quota"],
        1_099_511_627_776_u64
    );
    let users = stage.root().get("/superuser/users/ann").await.json();
    assert_eq!(users["quotas"], own, "SC-205");
    let one = format!("/superuser/users/ann/quota/{id}");
    assert_eq!(stage.root().delete(&one).await.status, 204);
    assert_eq!(stage.ann().get("/user/quota").await.json(), json!([]));
    let organization = "/superuser/organization/ann/quota";
    assert_eq!(stage.root().get(organization).await.status, 404);
}

/// SC-207, SC-208, SC-211, SC-227, SC-229: each blob once in a repository and once in a namespace.
#[tokio::test]
async fn every_blob_counts_once_in_each_scope() {
    let stage = Stage::new().await;
    let layer = content::bytes(9, 5000);
    let one = Image::of_layers(1, &[layer.clone(), content::bytes(10, 700)]);
    let two = Image::of_layers(2, &[layer.clone(), content::bytes(11, 900)]);
    stage.push("acme/app", "v1", &one).await;
    assert_eq!(
        (stage.held_by("app").await, stage.held().await),
        (blobs(&one), blobs(&one))
    );
    stage.push("acme/app", "v2", &two).await;
    let both = blobs(&one) + blobs(&two) - layer.len() as u64;
    assert_eq!(
        (stage.held_by("app").await, stage.held().await),
        (both, both)
    );
    stage.push("acme/other", "v1", &one).await;
    assert_eq!(
        (stage.held_by("other").await, stage.held().await),
        (blobs(&one), both)
    );
    let index = content::index(&[(&one, "amd64"), (&two, "arm64")]);
    let ann = Who::user("ann");
    let put = stage
        .site
        .put_manifest_as(&ann, "acme/app", "all", &index)
        .await;
    assert_eq!(put.status, 201);
    assert_eq!(
        (stage.held_by("app").await, stage.held().await),
        (both, both)
    );
    let list = stage.root().get("/superuser/organizations/").await.json();
    assert_eq!(
        list["organizations"][0]["quota_report"]["quota_bytes"], both,
        "SC-205"
    );
}

/// SC-210, SC-078: what no tag and no time machine holds stops to count, however lately it came.
#[tokio::test]
async fn deleting_frees_what_nothing_holds() {
    let stage = Stage::with(|config| config.retention.permanently_delete = true).await;
    let (one, two) = (
        Image::with_layers(1, &[5000]),
        Image::with_layers(2, &[300]),
    );
    stage.push("acme/app", "v1", &one).await;
    stage.push("acme/app", "v2", &two).await;
    let gone = stage.ann().delete("/repository/acme/app/tag/v1").await;
    assert_eq!(gone.status, 204);
    stage.collect().await;
    assert_eq!(
        (stage.held().await, stage.held_by("app").await),
        (blobs(&two), blobs(&two))
    );
    let keep = json!({"tag_expiration_s": 86_400});
    assert_eq!(
        stage.ann().put("/organization/acme", keep).await.status,
        200
    );
    stage.push("acme/app", "v3", &one).await;
    assert_eq!(
        stage
            .ann()
            .delete("/repository/acme/app/tag/v3")
            .await
            .status,
        204
    );
    stage.collect().await;
    assert_eq!(
        stage.held().await,
        blobs(&one) + blobs(&two),
        "it can be restored"
    );
    let forget = json!({"is_alive": false, "manifest_digest": one.digest().to_string(),
        "include_submanifests": true});
    let forgotten = stage
        .ann()
        .post("/repository/acme/app/tag/v3/expire", forget)
        .await;
    assert_eq!(forgotten.status, 200, "{}", forgotten.text());
    stage.collect().await;
    assert_eq!(stage.held().await, blobs(&two));
    assert_eq!(stage.ann().delete("/repository/acme/app").await.status, 204);
    stage.purge().await;
    assert_eq!(stage.held().await, 0);
}

/// SC-219: with the switch, what an index named goes with it.
#[tokio::test]
async fn children_of_an_index_go_with_it_if_the_site_says_so() {
    for resets in [false, true] {
        let stage = Stage::with(|config| config.retention.reset_children = resets).await;
        let child = Image::with_layers(1, &[5000]);
        let ann = Who::user("ann");
        for blob in child.blobs() {
            assert_eq!(stage.push_blob("acme/app", blob).await.status, 201);
        }
        let digest = child.digest().to_string();
        let put = stage
            .site
            .put_manifest_as(&ann, "acme/app", &digest, &child.manifest);
        assert_eq!(put.await.status, 201);
        let index = content::index(&[(&child, "amd64")]);
        let put = stage.site.put_manifest_as(&ann, "acme/app", "all", &index);
        assert_eq!(put.await.status, 201);
        assert_eq!(
            stage
                .ann()
                .delete("/repository/acme/app/tag/all")
                .await
                .status,
            204
        );
        stage.collect().await;
        let kept = if resets { 0 } else { blobs(&child) };
        assert_eq!(stage.held().await, kept, "resets: {resets}");
        stage
            .site
            .clock
            .advance(stage.site.config.retention.grace * 2);
        stage.collect().await;
        // Two hours are more than a token lives.
        let registry = stage.site.registry();
        let acme = registry.namespace(&"acme".parse().unwrap()).await;
        let (acme, _) = acme.unwrap().unwrap();
        assert_eq!(registry.ledger().held(acme), 0);
    }
}

/// SC-206, SC-212, SC-232, GC-07: refused before the bytes come, wherever their number is known.
#[tokio::test]
async fn a_push_over_the_limit_is_refused() {
    let stage = Stage::new().await;
    stage.limited(10_000, &[("Reject", 80)]).await;
    let image = Image::with_layers(1, &[7000]);
    stage.push("acme/app", "v1", &image).await;
    let held = stage.held().await;
    let (small, large) = (content::bytes(5, 100), content::bytes(6, 2000));
    assert_refused(&stage.push_blob("acme/app", &large).await);
    let ann = Who::user("ann");
    let session = stage.site.begin_upload_as(&ann, "acme/app").await;
    let patch = Asked::new(Method::PATCH, session.clone()).body(large.clone());
    assert_refused(&stage.site.ask_as(&ann, &patch).await);
    let status = stage.site.get_as(&ann, &session).await;
    assert_eq!(
        (status.status.as_u16(), status.header("range")),
        (204, "0-0"),
        "nothing was taken"
    );
    let put = format!("{session}?digest={}", Digest::of(&large));
    assert_refused(
        &stage
            .site
            .ask_as(&ann, &Asked::new(Method::PUT, put).body(large))
            .await,
    );
    assert_eq!(
        stage.push_blob("acme/app", &small).await.status,
        201,
        "it fits"
    );
    assert_eq!(stage.held().await, held + 100);
    let rest = content::bytes(7, usize::try_from(8000 - held - 100).unwrap());
    assert_eq!(
        stage.push_blob("acme/app", &rest).await.status,
        201,
        "to the last byte"
    );
    let begin = Asked::new(Method::POST, "/v2/acme/app/blobs/uploads/");
    assert_refused(&stage.site.ask_as(&ann, &begin).await);
    assert_refused(&stage.push_blob("acme/other", &content::bytes(8, 1)).await);
    let other = stage.push_blob("ann/own", &content::bytes(8, 5000)).await;
    assert_eq!(other.status, 201, "another namespace is another account");
    assert_eq!(
        stage
            .site
            .get_as(&ann, "/v2/acme/app/manifests/v1")
            .await
            .status,
        200
    );
}

/// Uploads in progress are in the account, between their requests too, and leave it when given up.
#[tokio::test]
async fn uploads_in_progress_count() {
    let stage = Stage::new().await;
    stage.limited(10_000, &[("Reject", 100)]).await;
    let ann = Who::user("ann");
    let session = stage.site.begin_upload_as(&ann, "acme/app").await;
    let patch = Asked::new(Method::PATCH, session.clone()).body(content::bytes(1, 6000));
    let began = stage.site.ask_as(&ann, &patch).await;
    assert_eq!(began.status, 202, "{}", began.text());
    let session = began.header("location").to_owned();
    let blob = content::bytes(2, 5000);
    assert_refused(&stage.push_blob("acme/other", &blob).await);
    let cancelled = stage
        .site
        .ask_as(&ann, &Asked::new(Method::DELETE, session))
        .await;
    assert_eq!(cancelled.status, 204);
    assert_eq!(stage.push_blob("acme/other", &blob).await.status, 201);
}

/// A mount of what the namespace has costs nothing; one of what it has not is refused over the limit.
#[tokio::test]
async fn mounting_is_counted_once() {
    let stage = Stage::new().await;
    let (one, foreign) = (content::bytes(1, 6000), content::bytes(2, 6000));
    stage.limited(10_000, &[("Reject", 100)]).await;
    assert_eq!(stage.push_blob("acme/app", &one).await.status, 201);
    assert_eq!(stage.push_blob("ann/own", &foreign).await.status, 201);
    let mount = |blob: &Bytes, from: &str| {
        let digest = Digest::of(blob);
        let path = format!("/v2/acme/new/blobs/uploads/?mount={digest}&from={from}");
        Asked::new(Method::POST, path)
    };
    let ann = Who::user("ann");
    let own = stage.site.ask_as(&ann, &mount(&one, "acme/app")).await;
    assert_eq!((own.status.as_u16(), stage.held().await), (201, 6000));
    assert_refused(&stage.site.ask_as(&ann, &mount(&foreign, "ann/own")).await);
    assert_eq!(stage.held().await, 6000);
}

/// SC-206, SC-233: the owners are told once for each crossing, and no longer when it is over.
#[tokio::test]
async fn owners_are_told_of_limits() {
    let stage = Stage::new().await;
    stage
        .limited(10_000, &[("Warning", 50), ("Reject", 90)])
        .await;
    assert!(stage.notices(&stage.ann).await.is_empty());
    let (one, two) = (
        Image::with_layers(1, &[5200]),
        Image::with_layers(2, &[2000]),
    );
    stage.push("acme/app", "v1", &one).await;
    stage.push("acme/app", "v2", &two).await;
    assert_eq!(stage.notices(&stage.ann).await, ["quota_warning"], "once");
    assert!(stage.notices(&stage.bob).await.is_empty());
    for _ in 0..2 {
        assert_refused(&stage.push_blob("acme/app", &content::bytes(3, 4000)).await);
    }
    assert_eq!(
        stage.notices(&stage.ann).await,
        ["quota_error", "quota_warning"]
    );
    let told = stage.ann().get("/user/notifications").await.json();
    assert_eq!(told["notifications"][0]["metadata"]["namespace"], "acme");
    assert_eq!(
        stage
            .ann()
            .delete("/repository/acme/app/tag/v1")
            .await
            .status,
        204
    );
    stage.collect().await;
    assert!(
        stage.notices(&stage.ann).await.is_empty(),
        "there is room again"
    );
    stage.push("acme/app", "v3", &one).await;
    assert_eq!(
        stage.notices(&stage.ann).await,
        ["quota_warning"],
        "crossed again"
    );
}

/// SC-215, SC-216: the default of the site counts where there is no quota, and again when one is gone.
#[tokio::test]
async fn the_default_quota_is_that_of_all_who_have_none() {
    let stage = Stage::with(|config| config.retention.default_quota = Some(10_000)).await;
    let shown = stage.quota().await;
    let expected = json!({"id": null, "limit_bytes": 10_000, "limit": "9.8 KiB",
        "default_config": true, "limits": [], "default_config_exists": true});
    assert_eq!(shown, expected);
    let blob = content::bytes(1, 10_001);
    assert_refused(&stage.push_blob("acme/app", &blob).await);
    assert_refused(&stage.push_blob("ann/app", &blob).await);
    let own = stage.limited(20_000, &[("Reject", 100)]).await;
    assert_eq!(
        (&own["default_config"], &own["default_config_exists"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(stage.push_blob("acme/app", &blob).await.status, 201);
    let one = format!("{ALL}/{}", own["id"]);
    assert_eq!(stage.root().delete(&one).await.status, 204);
    assert_eq!(stage.quota().await["default_config"], true);
    assert_refused(&stage.push_blob("acme/app", &content::bytes(2, 1)).await);
}

/// SC-214: without the feature there are no quotas; without verification they are shown and not kept.
#[tokio::test]
async fn features_switch_quotas_off() {
    let stage = Stage::with(|config| config.features.quota_management = false).await;
    assert_eq!(stage.ann().get(ALL).await.status, 404);
    assert_eq!(
        stage
            .root()
            .post(ALL, json!({"limit_bytes": 1}))
            .await
            .status,
        404
    );
    let shown = stage.ann().get("/organization/acme").await.json();
    assert!(shown.get("quotas").is_none() && shown.get("quota_report").is_none());
    let stage = Stage::with(|config| config.features.verify_quota = false).await;
    stage.limited(1000, &[("Reject", 100)]).await;
    let pushed = stage.push_blob("acme/app", &content::bytes(1, 5000)).await;
    assert_eq!(pushed.status, 201);
}

/// DESIGN 4: the quota of a cache is one setting, of the file or of the API.
#[tokio::test]
async fn the_quota_of_a_cache_is_its_cap() {
    let origin = Origin::start().await;
    let site = Site::caching(vec![{
        let mut rule = rule("hub", "up", &origin);
        rule.quota = Some(entrepot::model::ByteSize(50_000));
        rule
    }])
    .await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, "super:user org:admin").await;
    let all = "/superuser/organization/hub/quota";
    let shown = site.api(&token).get(all).await.json();
    assert_eq!(
        (&shown[0]["id"], &shown[0]["limit_bytes"]),
        (&Value::Null, &json!(50_000))
    );
    let refused = site.api(&token).post(all, json!({"limit_bytes": 1})).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("PROXY_CACHES"),
        "{}",
        refused.text()
    );
}
