//! `/api/v1/repository`: listed, made, shown, changed, deleted.

use std::time::Duration;

use entrepot::model::{LogFilter, LogKind, Role, Timestamp, Visibility};
use entrepot::store;
use serde_json::{Value, json};

use crate::harness::api::{Api, fields};
use crate::harness::content::Image;
use crate::harness::people::Who;
use crate::harness::site::Site;

/// Every scope that these doors ask for.
pub(super) const SCOPES: &str = "repo:admin repo:create user:admin user:read org:admin";

/// ann owns acme, whose repository `app` holds an image under `v1`; bob has nothing to do with either.
pub(super) struct Stage {
    pub(super) site: Site,
    pub(super) ann: String,
    pub(super) bob: String,
    pub(super) image: Image,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(adjust: impl FnOnce(&mut entrepot::config::Config)) -> Self {
        let site = Site::start(adjust).await;
        let (ann, bob) = (site.user("ann").await, site.user("bob").await);
        site.organization("acme", Some(ann)).await;
        let image = Image::with_layers(1, &[100, 200]);
        site.push_as(&Who::user("ann"), "acme/app", "v1", &image)
            .await;
        Self {
            ann: site.oauth_token(ann, SCOPES).await,
            bob: site.oauth_token(bob, SCOPES).await,
            site,
            image,
        }
    }

    /// Moves the clock, and gives both the tokens that theirs have run out of.
    pub(super) async fn advance(&mut self, by: Duration) {
        self.site.clock.advance(by);
        for (name, token) in [("ann", &mut self.ann), ("bob", &mut self.bob)] {
            let found = self.site.accounts().user_by_name(name).await.unwrap();
            *token = self.site.oauth_token(found.unwrap().0, SCOPES).await;
        }
    }

    pub(super) fn ann(&self) -> Api<'_> {
        self.site.api(&self.ann)
    }

    pub(super) fn bob(&self) -> Api<'_> {
        self.site.api(&self.bob)
    }

    /// The newest line of the usage log of that kind.
    pub(super) async fn told(&self, kind: LogKind) -> Value {
        let store = self.site.registry().store();
        let filter = LogFilter {
            scope: None,
            performer: None,
            since: Timestamp::default(),
            until: self.site.registry().clock().now() + Duration::from_millis(1),
        };
        let read = store.scan(move |tx| tx.logs().list(&filter, None, 50));
        let lines: Result<_, store::Error> = read.await;
        let mut lines = lines.unwrap().into_iter().map(|(_, line)| line);
        let line = lines.find(|line| line.kind == kind);
        Value::Object(line.expect("there is such a line").metadata())
    }
}

/// SC-337, SC-454: in a namespace that is named, or in the caller's own.
#[tokio::test]
async fn a_repository_is_made_by_who_may() {
    let stage = Stage::new().await;
    let wanted = |name: &str| json!({"namespace": "acme", "repository": name, "visibility": "private", "description": "d"});
    let made = stage.ann().post("/repository", wanted("new")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let expected = json!({"namespace": "acme", "name": "new", "kind": "image"});
    assert_eq!(made.json(), expected);
    let told = stage.told(LogKind::CreateRepo).await;
    assert_eq!(told["repo"], "new");
    let again = stage.ann().post("/repository", wanted("new")).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.json()["detail"], "Repository already exists");
    let bad = stage.ann().post("/repository", wanted("No Name")).await;
    assert_eq!(
        (bad.status.as_u16(), &bad.json()["detail"]),
        (400, &json!("Invalid repository name"))
    );
    let foreign = stage.bob().post("/repository", wanted("his")).await;
    assert_eq!(foreign.status, 403);
    let nobody = stage
        .site
        .api_of_nobody()
        .post("/repository", wanted("x"))
        .await;
    assert!([401, 403].contains(&nobody.status.as_u16()));
    let own = json!({"repository": "mine", "visibility": "public", "description": ""});
    let own = stage.bob().post("/repository", own).await;
    assert_eq!(
        (own.status.as_u16(), &own.json()["namespace"]),
        (201, &json!("bob"))
    );
    let odd = json!({"repository": "x", "visibility": "shared", "description": ""});
    assert_eq!(stage.bob().post("/repository", odd).await.status, 400);
}

/// SC-228, SC-455: the fields of the guide; AZ-10: nobody is told of what he may not see.
#[tokio::test]
async fn lists_show_what_the_caller_may_see() {
    let stage = Stage::new().await;
    stage.site.repository("acme/open", Visibility::Public).await;
    let list = "/repository?namespace=acme&public=true&last_modified=true&popularity=true";
    let answer = stage.ann().get(list).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = answer.json()["repositories"].clone();
    let names: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["app", "open"]);
    let mut told = fields(&found[0]);
    told.sort_unstable();
    let expected = [
        "description",
        "is_public",
        "is_starred",
        "kind",
        "last_modified",
        "name",
        "namespace",
        "popularity",
        "quota_report",
        "state",
    ];
    assert_eq!(told, expected);
    assert!(found[0]["last_modified"].is_i64() && found[1]["last_modified"].is_null());
    assert!(found[0]["quota_report"]["quota_bytes"].as_u64().unwrap() >= 300);
    assert!(answer.text().contains("\"state\": \"NORMAL\""));
    for api in [stage.bob(), stage.site.api_of_nobody()] {
        let seen = api
            .get("/repository?namespace=acme&public=true")
            .await
            .json();
        assert_eq!(seen["repositories"].as_array().unwrap().len(), 1, "{seen}");
        assert_eq!(seen["repositories"][0]["name"], "open");
        let by_name = api.get("/repository?namespace=acme").await.json();
        assert_eq!(by_name["repositories"], json!([]));
    }
    let all = stage
        .site
        .api_of_nobody()
        .get("/repository?public=true")
        .await
        .json();
    assert_eq!(all["repositories"].as_array().unwrap().len(), 1);
    let nothing = stage.ann().get("/repository").await;
    assert_eq!(nothing.status, 400);
    let text = "namespace, starred or public are required for this API call";
    assert_eq!(nothing.json()["detail"], text);
    let starred = stage
        .site
        .api_of_nobody()
        .get("/repository?starred=true")
        .await;
    assert_eq!(starred.status, 400);
}

/// The token of a page is resent with the same query.
#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let stage = Stage::new().await;
    for number in 0..120 {
        let name = format!("acme/many{number:03}");
        stage.site.repository(&name, Visibility::Private).await;
    }
    let first = stage.ann().get("/repository?namespace=acme").await.json();
    assert_eq!(first["repositories"].as_array().unwrap().len(), 100);
    let token = first["next_page"].as_str().unwrap();
    let next = format!("/repository?namespace=acme&next_page={token}");
    let second = stage.ann().get(&next).await.json();
    assert_eq!(second["repositories"].as_array().unwrap().len(), 21);
    assert_eq!(second["repositories"][0]["name"], "many099");
    assert!(second.get("next_page").is_none());
}

/// SC-457.
#[tokio::test]
async fn a_repository_is_shown_with_its_tags() {
    let stage = Stage::new().await;
    let shown = stage
        .ann()
        .get("/repository/acme/app?includeStats=true")
        .await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let shown = shown.json();
    let mut told = fields(&shown);
    told.sort_unstable();
    let expected = [
        "can_admin",
        "can_write",
        "description",
        "is_free_account",
        "is_organization",
        "is_public",
        "is_starred",
        "kind",
        "name",
        "namespace",
        "state",
        "stats",
        "status_token",
        "tag_expiration_s",
        "tags",
        "trust_enabled",
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (&shown["can_write"], &shown["is_organization"]),
        (&json!(true), &json!(true))
    );
    let tag = &shown["tags"]["v1"];
    assert_eq!(tag["manifest_digest"], stage.image.digest().to_string());
    assert_eq!((&tag["name"], &tag["size"]), (&json!("v1"), &json!(300)));
    assert_eq!(shown["stats"].as_array().unwrap().len(), 91);
    assert_eq!(stage.bob().get("/repository/acme/app").await.status, 403);
    assert_eq!(
        stage
            .site
            .api_of_nobody()
            .get("/repository/acme/app")
            .await
            .status,
        401
    );
    assert_eq!(stage.ann().get("/repository/acme/none").await.status, 404);
}

/// SC-456, SC-458, SC-459, AZ-16.
#[tokio::test]
async fn a_repository_is_changed_and_deleted() {
    let stage = Stage::new().await;
    let path = "/repository/acme/app";
    let yes = json!({"success": true});
    let described = stage.ann().put(path, json!({"description": "more"})).await;
    assert_eq!(
        (described.status.as_u16(), described.json()),
        (200, yes.clone())
    );
    assert_eq!(
        stage.told(LogKind::SetRepoDescription).await["description"],
        "more"
    );
    let public = json!({"visibility": "public"});
    let opened = stage
        .ann()
        .post(&format!("{path}/changevisibility"), public)
        .await;
    assert_eq!((opened.status.as_u16(), opened.json()), (200, yes.clone()));
    assert_eq!(
        stage.told(LogKind::ChangeRepoVisibility).await["visibility"],
        "public"
    );
    assert_eq!(stage.bob().get(path).await.json()["description"], "more");
    let state = format!("{path}/changestate");
    let frozen = stage.ann().put(&state, json!({"state": "READ_ONLY"})).await;
    assert_eq!((frozen.status.as_u16(), frozen.json()), (200, yes));
    assert_eq!(stage.ann().get(path).await.json()["can_write"], false);
    let odd = stage
        .ann()
        .put(&state, json!({"state": "ORG_MIRROR"}))
        .await;
    assert_eq!(odd.status, 400);
    assert!(odd.json()["detail"].is_string());
    assert_eq!(stage.bob().delete(path).await.status, 403);
    let deleted = stage.ann().delete(path).await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    let told = stage.told(LogKind::DeleteRepo).await;
    assert_eq!(
        (&told["repo"], &told["namespace"]),
        (&json!("app"), &json!("acme"))
    );
    let gone = stage.ann().get(path).await;
    assert_eq!(gone.status, 404);
    assert_eq!(gone.json()["error_type"], "not_found");
    let pulled = stage
        .site
        .get_as(&Who::user("ann"), "/v2/acme/app/manifests/v1")
        .await;
    assert_eq!(pulled.status, 404);
}

/// SC-026: names that are also words of the API; and names of several components.
#[tokio::test]
async fn repositories_may_be_named_like_doors() {
    let stage = Stage::new().await;
    for name in ["build", "trigger", "tag", "manifest", "deep/er/app"] {
        let wanted = json!({
            "namespace": "acme", "repository": name, "visibility": "public", "description": "",
        });
        assert_eq!(
            stage.ann().post("/repository", wanted).await.status,
            201,
            "{name}"
        );
        let path = format!("/repository/acme/{name}");
        for path in [path.clone(), format!("{path}/")] {
            let shown = stage.ann().get(&path).await;
            assert_eq!(
                (shown.status.as_u16(), &shown.json()["name"]),
                (200, &json!(name))
            );
        }
        let tags = stage.ann().get(&format!("{path}/tag/")).await;
        assert_eq!(tags.json()["tags"], json!([]), "{name}");
        assert_eq!(stage.ann().delete(&path).await.status, 204, "{name}");
    }
}

/// Quay: every call answers 410.
#[tokio::test]
async fn access_tokens_of_repositories_are_gone() {
    let stage = Stage::new().await;
    let all = "/repository/acme/app/tokens/";
    let made = stage.ann().post(all, json!({"friendlyName": "x"})).await;
    assert_eq!(made.status, 410);
    let text = "Creation of access tokens is no longer supported";
    assert_eq!(made.json(), json!({ "message": text }));
    let one = format!("{all}code");
    for answer in [
        stage.ann().get(all).await,
        stage.ann().get(&one).await,
        stage.ann().put(&one, json!({"role": "read"})).await,
        stage.ann().delete(&one).await,
    ] {
        assert_eq!(answer.status, 410);
        let text = "Handling of access tokens is no longer supported";
        assert_eq!(answer.json(), json!({ "message": text }));
    }
}

/// SC-033: readers read, writers describe, admins do the rest; nobody by a token of less scope (SC-314).
#[tokio::test]
async fn roles_and_scopes_bound_what_is_changed() {
    let stage = Stage::new().await;
    let (site, path) = (&stage.site, "/repository/acme/app");
    let (bob, _) = site.accounts().user_by_name("bob").await.unwrap().unwrap();
    let describe = async |api: Api<'_>| api.put(path, json!({"description": "x"})).await.status;
    site.grant("acme/app", entrepot::model::Grantee::User(bob), Role::Read)
        .await;
    assert_eq!(stage.bob().get(path).await.status, 200);
    assert_eq!(describe(stage.bob()).await, 403);
    site.grant("acme/app", entrepot::model::Grantee::User(bob), Role::Write)
        .await;
    assert_eq!(describe(stage.bob()).await, 200);
    assert_eq!(stage.bob().delete(path).await.status, 403);
    let reader = site.oauth_token(bob, "repo:read").await;
    assert_eq!(describe(site.api(&reader)).await, 403);
}

/// Makes private repositories in one write, as many as no page holds.
async fn fill(site: &Site, namespace: &str, count: usize) {
    let name = namespace.parse().unwrap();
    let (id, _) = site.registry().namespace(&name).await.unwrap().unwrap();
    let now = site.clock.now();
    let fill = move |tx: &mut store::WriteTx<'_>| {
        (0..count).try_for_each(|number| {
            let name = format!("private{number:06}").parse().unwrap();
            let record = entrepot::model::RepositoryRecord::new(id, name, now);
            tx.repositories().create(&record).map(drop)
        })
    };
    let filled: Result<(), store::Error> = site.registry().store().write(fill).await;
    filled.unwrap();
}

/// AZ-10, RL: however much there is that an outsider may not see, his list is what is granted to him, at once;
/// who asks for everything public gets to its end, and no page is followed by nothing.
#[tokio::test]
async fn an_outsider_of_a_huge_namespace_gets_his_list_at_once() {
    let stage = Stage::new().await;
    fill(&stage.site, "acme", 10_300).await;
    let bob = stage.site.accounts().user_by_name("bob").await;
    let bob = entrepot::model::Grantee::User(bob.unwrap().unwrap().0);
    let nothing = stage.bob().get("/repository?namespace=acme").await.json();
    assert_eq!(nothing, json!({"repositories": []}));
    for name in ["acme/private010299", "acme/private000007"] {
        stage.site.grant(name, bob, Role::Read).await;
    }
    let list = stage.bob().get("/repository?namespace=acme").await.json();
    let names = |list: &Value| {
        let entries = list["repositories"].as_array().unwrap().iter();
        let names = entries.map(|entry| entry["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&list), ["private000007", "private010299"]);
    assert!(list.get("next_page").is_none());
    let nobody = stage.site.api_of_nobody();
    let list = nobody.get("/repository?namespace=acme").await.json();
    assert_eq!(list, json!({"repositories": []}));

    stage.site.organization("zoo", None).await;
    stage.site.repository("zoo/open", Visibility::Public).await;
    let (mut path, mut found, mut pages) = ("/repository?public=true".to_owned(), Vec::new(), 0);
    loop {
        let list = nobody.get(&path).await.json();
        pages += 1;
        found.extend(names(&list));
        let Some(next) = list["next_page"].as_str() else {
            assert!(!names(&list).is_empty(), "a page is followed by something");
            break;
        };
        path = format!("/repository?public=true&next_page={next}");
    }
    assert_eq!((found, pages), (vec!["open".to_owned()], 2));
}

/// quay-api 18.2: a switch that is stored, told and shown, while the feature is on.
#[tokio::test]
async fn content_trust_is_a_word_about_a_repository() {
    let stage = Stage::with(|config| config.features.signing = true).await;
    let (path, app) = ("/repository/acme/app/changetrust", "/repository/acme/app");
    for trusted in [true, false] {
        let body = json!({ "trust_enabled": trusted });
        let set = stage.ann().post(path, body).await;
        assert_eq!(set.status, 200, "{}", set.text());
        assert_eq!(set.json(), json!({"success": true}));
        let told = stage.told(LogKind::ChangeRepoTrust).await;
        assert_eq!(told["trust_enabled"], trusted);
        assert_eq!(told["repo"], "app");
        let shown = stage.ann().get(app).await.json();
        assert_eq!(shown["trust_enabled"], trusted);
    }
    let body = json!({"trust_enabled": true});
    assert_eq!(stage.bob().post(path, body.clone()).await.status, 403);
    let off = Stage::new().await;
    assert_eq!(off.ann().post(path, body).await.status, 404);
}
