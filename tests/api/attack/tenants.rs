//! Two tenants of one site: ann rules `acme`, bob rules `umbra` and has one of everything.

use std::collections::HashMap;

use entrepot::accounts::NewAssignment;
use entrepot::model::{LimitKind, Performer, TeamRole};
use entrepot::quota::Quota;
use entrepot::registry::QuotaEditor;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Door, EVERYTHING};
use crate::harness::content::Image;
use crate::harness::people::Who;
use crate::harness::site::Site;

/// In the name of everything of bob's that nobody else may hear of.
pub(super) const HIDDEN: &str = "zq";

pub(super) struct Tenants {
    pub(super) site: Site,
    pub(super) ann: String,
    pub(super) bob: String,
    /// Somebody who belongs nowhere.
    pub(super) dora: String,
    /// Bob's, by the name of the parameter.
    pub(super) ids: HashMap<&'static str, String>,
    /// What bob's doors show bob alone.
    pub(super) secrets: Vec<String>,
    pub(super) image: Image,
}

impl Tenants {
    pub(super) async fn new() -> Self {
        // With invitations, which mails carry.
        let site = Site::start(|config| config.features.mailing = true).await;
        let (ann, bob) = (site.user("ann").await, site.user("bob").await);
        let (carl, dora) = (site.user("carl").await, site.user("dora").await);
        site.organization("acme", Some(ann)).await;
        site.organization("umbra", Some(bob)).await;
        let third = site.organization("third", Some(carl)).await;
        site.team(third, "guests", TeamRole::Member, &[]).await;
        let image = Image::with_layers(7, &[100, 200]);
        let (own, hidden) = (Who::user("ann"), Who::user("bob"));
        site.push_as(&own, "acme/app", "v1", &Image::small(1)).await;
        site.push_as(&hidden, "umbra/zqvault", "zqsealed", &image)
            .await;
        let carls = site.oauth_token(carl, EVERYTHING).await;
        let invite = "/organization/third/team/guests/members/bob";
        let invited = site.api(&carls).put(invite, Value::Null).await;
        assert_eq!(invited.status, 200, "{}", invited.text());
        let mut tenants = Self {
            ann: site.oauth_token(ann, EVERYTHING).await,
            bob: site.oauth_token(bob, EVERYTHING).await,
            dora: site.oauth_token(dora, EVERYTHING).await,
            ids: HashMap::new(),
            secrets: Vec::new(),
            site,
            image,
        };
        tenants.fill_organization().await;
        tenants.fill_repository().await;
        tenants.fill_mirror().await;
        tenants.fill_bounds().await;
        tenants.fill_account(bob).await;
        tenants
    }

    /// What bob's request makes.
    async fn made(&self, method: Method, path: &str, body: Value) -> Value {
        let api = self.site.api(&self.bob);
        let answer = api.send(method, path, Some(body)).await;
        let text = answer.text();
        assert!(answer.status.is_success(), "{path}: {text}");
        answer.json()
    }

    async fn fill_organization(&mut self) {
        let (put, post) = (Method::PUT, Method::POST);
        let path = "/organization/umbra/robots/zqdeep";
        let robot = self.made(put.clone(), path, json!({})).await;
        self.keep(&robot["token"]);
        let path = "/organization/umbra/team/zqinner";
        self.made(put.clone(), path, json!({"role": "member"}))
            .await;
        let path = "/organization/umbra/team/zqinner/members/umbra+zqdeep";
        self.made(put, path, Value::Null).await;
        let body = json!({"role": "read", "delegate": {"name": "umbra+zqdeep", "kind": "user"}});
        let path = "/organization/umbra/prototypes";
        let made = self.made(post.clone(), path, body).await;
        self.note("prototypeid", &made["id"]);
        let body = json!({"name": "hush", "redirect_uri": "https://bob.example/cb"});
        let path = "/organization/umbra/applications";
        let made = self.made(post.clone(), path, body).await;
        self.note("client_id", &made["client_id"]);
        self.keep(&made["client_secret"]);
        let path = format!("{path}/{}/tokens", self.ids["client_id"]);
        let body = json!({"name": "zqtoken", "scope": "repo:read"});
        let made = self.made(post.clone(), &path, body).await;
        self.note("token_uuid", &made["uuid"]);
        self.keep(&made["token"]);
        let path = "/organization/umbra/immutabilitypolicy/";
        let made = self
            .made(post, path, json!({"tagPattern": "zqrel-.*"}))
            .await;
        self.note("policy_uuid", &made["uuid"]);
    }

    async fn fill_repository(&mut self) {
        let (put, post) = (Method::PUT, Method::POST);
        let digest = self.image.digest().to_string();
        let path = "/repository/umbra/zqvault/immutabilitypolicy/";
        let made = self
            .made(post.clone(), path, json!({"tagPattern": "zqold-.*"}))
            .await;
        self.note("repository policy", &made["uuid"]);
        let path = format!("/repository/umbra/zqvault/manifest/{digest}/labels");
        let made = self
            .made(post, &path, json!({"key": "zqkey", "value": "v"}))
            .await;
        self.note("labelid", &made["label"]["id"]);
        for (grantee, role) in [("user/umbra+zqdeep", "read"), ("team/zqinner", "write")] {
            let path = format!("/repository/umbra/zqvault/permissions/{grantee}");
            self.made(put.clone(), &path, json!({ "role": role })).await;
        }
        self.note("manifestref", &json!(digest));
        self.note("tag", &json!("zqsealed"));
    }

    /// A mirror of a source that wants an account; it does not run before the test has ended.
    async fn fill_mirror(&mut self) {
        let post = Method::POST;
        let body = json!({
            "namespace": "umbra", "repository": "zqcopy", "visibility": "private", "description": "",
        });
        self.made(post.clone(), "/repository", body).await;
        let password = json!("zq-of-the-source");
        let body = json!({
            "external_reference": "127.0.0.1:4/zqfar/app",
            "external_registry_username": "zqbuyer",
            "external_registry_password": password,
            "sync_interval": 86400,
            "sync_start_date": "2145-01-15T12:00:00Z",
            "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["zqrel-*"]},
            "robot_username": "umbra+zqdeep",
        });
        self.made(post, "/repository/umbra/zqcopy/mirror", body)
            .await;
        self.keep(&password);
    }

    /// Quotas with a limit, of the organisation and of bob, and policies by which tags end.
    async fn fill_bounds(&mut self) {
        for (name, quota_id, limit_id) in [
            ("umbra", "quota_id", "limit_id"),
            ("bob", "own quota", "own limit"),
        ] {
            let (registry, by) = (self.site.registry(), QuotaEditor::Silent);
            let found = registry.namespace(&name.parse().unwrap()).await.unwrap();
            let (namespace, _) = found.unwrap();
            registry.make_quota(namespace, 1 << 40, &by).await.unwrap();
            let id = match registry.quotas().of(namespace) {
                Some(Quota::Own(quota)) => quota.id,
                other => panic!("{other:?}"),
            };
            let made = registry.make_limit(namespace, id, LimitKind::Reject, 100, &by);
            made.await.unwrap();
            let limit = match registry.quotas().of(namespace) {
                Some(Quota::Own(quota)) => quota.limits[0].id,
                other => panic!("{other:?}"),
            };
            self.ids.insert(quota_id, id.to_string());
            self.ids.insert(limit_id, limit.to_string());
        }
        for (path, name) in [
            ("/organization/umbra/autoprunepolicy/", "prune policy"),
            (
                "/repository/umbra/zqvault/autoprunepolicy/",
                "repository prune policy",
            ),
            ("/user/autoprunepolicy/", "own prune policy"),
        ] {
            let body = json!({"method": "number_of_tags", "value": 99, "tagPattern": "zqprune"});
            let made = self.made(Method::POST, path, body).await;
            self.note(name, &made["uuid"]);
        }
    }

    async fn fill_account(&mut self, bob: entrepot::model::UserId) {
        let path = "/user/robots/zqown";
        let robot = self.made(Method::PUT, path, json!({})).await;
        self.keep(&robot["token"]);
        let post = Method::POST;
        let body = json!({"title": "zqtitle"});
        let made = self.made(post.clone(), "/user/apptoken", body).await;
        self.note("app token", &made["token"]["uuid"]);
        self.keep(&made["token"]["token_code"]);
        let body = json!({"namespace": "umbra", "repository": "zqvault"});
        self.made(post, "/user/starred", body).await;
        let given = self.site.api(&self.bob).get("/user/authorizations").await;
        self.note(
            "access_token_uuid",
            &given.json()["authorizations"][0]["uuid"],
        );
        let accounts = self.site.accounts();
        let client_id = &self.ids["client_id"];
        let found = accounts.application_by_client(client_id).await.unwrap();
        let new = NewAssignment {
            application: found.unwrap().0,
            user: bob,
            redirect_uri: "https://bob.example/cb".to_owned(),
            scope: "repo:read".to_owned(),
            response_type: "token".to_owned(),
        };
        let offer = accounts
            .assign_token(new, &Performer::SYSTEM)
            .await
            .unwrap();
        self.ids.insert("assigned_authorization_uuid", offer);
        let told = self.site.api(&self.bob).get("/user/notifications").await;
        let told = told.json();
        let mut told = told["notifications"].as_array().unwrap().iter();
        let invitation = told.find(|it| it["kind"] == "org_team_invite").unwrap();
        self.note("uuid", &invitation["id"]);
        self.note("code", &invitation["metadata"]["code"]);
    }

    fn note(&mut self, name: &'static str, id: &Value) {
        let id = id.as_str().unwrap_or_else(|| panic!("an id of {name}"));
        self.ids.insert(name, id.to_owned());
    }

    fn keep(&mut self, secret: &Value) {
        let secret = secret.as_str().expect("a secret");
        self.secrets.push(secret.to_owned());
    }

    /// Bob's value of a parameter of a door's path, where the organisation is `home`.
    ///
    /// # Panics
    /// For a parameter that this does not know: whoever adds one says what of another tenant's it could name.
    pub(super) fn value(&self, door: &Door, name: &str, home: &str) -> String {
        let of_repository = door.path.starts_with("/api/v1/repository/");
        let of_user = door.path.starts_with("/api/v1/user/");
        let is_pruning = door.path.contains("/autoprunepolicy/");
        let id = |name: &str| self.ids[name].clone();
        match name {
            "orgname" => home.to_owned(),
            "repository" if door.path.contains("/mirror") && home == "umbra" => {
                "umbra/zqcopy".to_owned()
            }
            "repository" if of_user || home == "umbra" => "umbra/zqvault".to_owned(),
            "repository" => "acme/app".to_owned(),
            "policy_uuid" if is_pruning && of_repository => id("repository prune policy"),
            "policy_uuid" if is_pruning && of_user => id("own prune policy"),
            "policy_uuid" if is_pruning => id("prune policy"),
            "quota_id" if of_user => id("own quota"),
            "limit_id" if of_user => id("own limit"),
            "policy_uuid" if of_repository => id("repository policy"),
            "token_uuid" if of_user => id("app token"),
            "robot_shortname" if of_user => "zqown".to_owned(),
            "robot_shortname" => "zqdeep".to_owned(),
            "teamname" => "zqinner".to_owned(),
            "membername" | "username" => "umbra+zqdeep".to_owned(),
            "email" => "guest@example.org".to_owned(),
            "prefix" => HIDDEN.to_owned(),
            "error_type" | "service_id" | "service" | "kid" | "build_uuid" => "nosuch".to_owned(),
            "name" | "namespace" => "umbra".to_owned(),
            name => match self.ids.get(name) {
                Some(id) => id.clone(),
                None => panic!("AZ-06: what could {{{name}}} of {} name?", door.path),
            },
        }
    }

    /// All that bob sees of what is his.
    pub(super) async fn belongings(&self) -> Vec<(String, String)> {
        let (client, digest) = (&self.ids["client_id"], self.image.digest());
        let mut belongings = Vec::new();
        for path in [
            "/organization/umbra".to_owned(),
            "/organization/umbra/robots?permissions=true".to_owned(),
            "/organization/umbra/robots/zqdeep/federation".to_owned(),
            "/organization/umbra/members".to_owned(),
            "/organization/umbra/team/zqinner/members?includePending=true".to_owned(),
            "/organization/umbra/prototypes".to_owned(),
            "/organization/umbra/applications".to_owned(),
            format!("/organization/umbra/applications/{client}/tokens"),
            "/organization/umbra/immutabilitypolicy/".to_owned(),
            "/organization/umbra/proxycache".to_owned(),
            "/organization/umbra/quota".to_owned(),
            "/organization/umbra/autoprunepolicy/".to_owned(),
            "/repository?namespace=umbra".to_owned(),
            "/repository/umbra/zqvault".to_owned(),
            "/repository/umbra/zqvault/tag/".to_owned(),
            format!("/repository/umbra/zqvault/manifest/{digest}/labels"),
            "/repository/umbra/zqvault/permissions/user/".to_owned(),
            "/repository/umbra/zqvault/permissions/team/".to_owned(),
            "/repository/umbra/zqvault/immutabilitypolicy/".to_owned(),
            "/repository/umbra/zqvault/autoprunepolicy/".to_owned(),
            "/repository/umbra/zqcopy/mirror".to_owned(),
            "/user/".to_owned(),
            "/user/quota".to_owned(),
            "/user/autoprunepolicy/".to_owned(),
            "/user/robots?permissions=true".to_owned(),
            "/user/apptoken".to_owned(),
            "/user/authorizations".to_owned(),
            "/user/notifications".to_owned(),
            "/user/starred".to_owned(),
        ] {
            let answer = self.site.api(&self.bob).get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            belongings.push((path, answer.text().to_owned()));
        }
        belongings
    }
}
