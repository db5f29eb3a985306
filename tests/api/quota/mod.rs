//! Quotas: set by superusers, shown to members, kept by pushes.

use std::time::Duration;

use bytes::Bytes;
use entrepot::model::LogKind;
use entrepot::oci::Digest;
use entrepot::registry::Budget;
use reqwest::Method;
use serde_json::{Value, json};

mod doors;
mod pushes;

use super::repository::SCOPES;
use crate::harness::api::{Api, fields};
use crate::harness::content::{self, Image};
use crate::harness::files::{self, Watcher};
use crate::harness::local::streamed;
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
            assert_eq!((made.status.as_u16(), made.text()), (201, "\"Created\"\n"));
        }
        self.quota().await
    }

    async fn quota(&self) -> Value {
        self.ann().get(ALL).await.json()[0].clone()
    }

    /// What acme's details tell of its quota.
    async fn report(&self) -> Value {
        let shown = self.ann().get("/organization/acme").await.json();
        shown["quota_report"].clone()
    }

    /// Bytes that acme is told to hold.
    async fn held(&self) -> u64 {
        self.report().await["quota_bytes"].as_u64().unwrap()
    }

    /// Bytes that acme is told it may hold.
    async fn configured(&self) -> u64 {
        self.report().await["configured_quota"].as_u64().unwrap()
    }

    /// What the list of the guide tells of a repository of it.
    async fn report_of(&self, repository: &str) -> Value {
        let path =
            "/repository?last_modified=true&namespace=acme&popularity=true&public=true&quota=true";
        let list = self.ann().get(path).await.json();
        let mut list = list["repositories"].as_array().unwrap().iter();
        let of = list.find(|one| one["name"] == repository).unwrap();
        of["quota_report"].clone()
    }

    /// Bytes that a repository is told to hold.
    async fn held_by(&self, repository: &str) -> u64 {
        let report = self.report_of(repository).await;
        report["quota_bytes"].as_u64().unwrap()
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

    /// Deletes a tag of acme's, which succeeds.
    async fn delete_tag(&self, repository: &str, tag: &str) {
        let path = format!("/repository/acme/{repository}/tag/{tag}");
        let deleted = self.ann().delete(&path).await;
        assert_eq!(deleted.status, 204, "{}", deleted.text());
    }

    /// Deletes a tag of acme's for good, as the guide does.
    async fn forget_tag(&self, repository: &str, tag: &str) {
        let path = format!("/repository/acme/{repository}/tag/{tag}/expire");
        let body = json!({"is_alive": true, "include_submanifests": true});
        let forgotten = self.ann().post(&path, body).await;
        assert_eq!(forgotten.status, 200, "{}", forgotten.text());
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
