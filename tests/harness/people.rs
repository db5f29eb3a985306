//! People of a site: users, robots, organisations, teams and grants made by the services, and requests
//! as somebody, by password or by token.
//!
//! Everybody's password is made of the name. Who asks is a [`Who`]; what it means on the wire is said
//! once here, so that a test can go through all of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use entrepot::accounts::{Accounts, NewOrganization, NewUser};
use entrepot::model::{
    Grantee, Member, NamespaceId, Performer, RepositoryId, RobotId, Role, Secret, TeamId,
    TeamRecord, TeamRole, UserId, Visibility,
};
use entrepot::oci::Digest;
use reqwest::Method;

use super::content::{Document, Image};
use super::site::{Answer, Site};
use super::soon;

/// Who asks, and how he shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Nobody,
    Basic { user: String, password: String },
    Bearer(String),
}

impl Who {
    /// A user made by [`Site::user`].
    pub(crate) fn user(name: &str) -> Self {
        Self::Basic {
            user: name.to_owned(),
            password: password(name),
        }
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> Option<String> {
        match self {
            Self::Nobody => None,
            Self::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{password}"));
                Some(format!("Basic {pair}"))
            }
            Self::Bearer(token) => Some(format!("Bearer {token}")),
        }
    }
}

pub(crate) fn password(name: &str) -> String {
    format!("correct-horse-{name}")
}

/// A request under way to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: Bytes,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn with(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

impl Site {
    pub(crate) fn accounts(&self) -> &Accounts {
        self.app().accounts()
    }

    /// Makes a user.
    pub(crate) async fn user(&self, name: &str) -> UserId {
        self.make_user(name, false).await
    }

    /// Makes a user who is a superuser.
    pub(crate) async fn superuser(&self, name: &str) -> UserId {
        self.make_user(name, true).await
    }

    async fn make_user(&self, name: &str, superuser: bool) -> UserId {
        let new = NewUser {
            email: Some(format!("{name}@example.org")),
            password: Some(Secret::new(password(name))),
            superuser,
            ..NewUser::named(&name.parse().unwrap())
        };
        self.accounts().create_user(new).await.unwrap()
    }

    /// Makes an organisation whose team `owners` has this member.
    pub(crate) async fn organization(&self, name: &str, owner: Option<UserId>) -> NamespaceId {
        let name = name.parse().unwrap();
        let made = self
            .accounts()
            .create_organization(NewOrganization::named(&name, owner))
            .await;
        made.unwrap()
    }

    /// Makes a robot; who it is on the wire.
    pub(crate) async fn robot(&self, name: &str) -> (RobotId, Who) {
        let parsed = name.parse().unwrap();
        let made = self
            .accounts()
            .create_robot(&parsed, "", &Performer::SYSTEM);
        let (id, token) = made.await.unwrap();
        let who = Who::Basic {
            user: name.to_owned(),
            password: token.expose().to_owned(),
        };
        (id, who)
    }

    /// Makes a team of these members.
    pub(crate) async fn team(
        &self,
        namespace: NamespaceId,
        name: &str,
        role: TeamRole,
        members: &[Member],
    ) -> TeamId {
        let team = TeamRecord::new(namespace, name.to_owned(), role);
        let id = self
            .accounts()
            .create_team(&team, &Performer::SYSTEM)
            .await
            .unwrap();
        for member in members {
            self.accounts()
                .add_member(id, *member, &Performer::SYSTEM)
                .await
                .unwrap();
        }
        id
    }

    pub(crate) async fn grant(&self, repository: &str, grantee: Grantee, role: Role) {
        let repository = self.repository_id(repository).await;
        let granted = self
            .accounts()
            .grant(repository, grantee, role, &Performer::SYSTEM)
            .await;
        granted.unwrap();
    }

    pub(crate) async fn revoke(&self, repository: &str, grantee: Grantee) {
        let repository = self.repository_id(repository).await;
        let revoked = self
            .accounts()
            .revoke(repository, grantee, &Performer::SYSTEM)
            .await
            .unwrap();
        assert!(revoked.is_some(), "there was a grant to take back");
    }

    /// The repository of this full name, which exists.
    pub(crate) async fn repository_id(&self, name: &str) -> RepositoryId {
        let found = self.find_repository(name).await;
        found.unwrap_or_else(|| panic!("there is no repository {name}"))
    }

    /// The repository of this full name, if there is one.
    pub(crate) async fn find_repository(&self, name: &str) -> Option<RepositoryId> {
        let (namespace, repository) = name.split_once('/').unwrap();
        let namespace = namespace.parse().unwrap();
        let (namespace, _) = self.registry().namespace(&namespace).await.unwrap()?;
        let repository = repository.parse().unwrap();
        let found = self.registry().repository(namespace, &repository).await;
        found.unwrap()
    }

    /// Makes a repository of a local namespace, as an operator would.
    pub(crate) async fn repository(&self, name: &str, visibility: Visibility) -> RepositoryId {
        let (namespace, repository) = name.split_once('/').unwrap();
        let namespace = namespace.parse().unwrap();
        let found = self.registry().namespace(&namespace).await.unwrap();
        let (namespace, _) = found.expect("the namespace exists");
        let repository = repository.parse().unwrap();
        let registry = self.registry();
        let by = Performer::default();
        let made = registry.create_repository(namespace, &repository, visibility, &by);
        made.await.unwrap().repository
    }

    pub(crate) async fn set_visibility(&self, name: &str, visibility: Visibility) {
        let repository = self.repository_id(name).await;
        let (registry, by) = (self.registry(), Performer::default());
        let set = registry.set_visibility(repository, visibility, &by);
        set.await.unwrap();
    }

    /// Sends a request as somebody.
    pub(crate) async fn ask_as(&self, who: &Who, asked: &Asked<'_>) -> Answer {
        self.ask_at(&self.url(&asked.path), who, asked).await
    }

    /// Sends a request as somebody to any of the site's doors.
    pub(crate) async fn ask_at(&self, url: &str, who: &Who, asked: &Asked<'_>) -> Answer {
        let mut headers: Vec<(&str, &str)> = Vec::new();
        headers.extend(
            asked
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let authorization = who.header();
        headers.extend(
            authorization
                .as_deref()
                .map(|value| ("authorization", value)),
        );
        soon(url, async {
            let request = self.request(asked.method.clone(), url, &headers);
            let request = match asked.method {
                Method::GET | Method::HEAD => request,
                _ => request.body(asked.body.clone()),
            };
            let response = request.send().await.unwrap();
            Answer {
                status: response.status(),
                headers: response.headers().clone(),
                body: response.bytes().await.unwrap(),
            }
        })
        .await
    }

    pub(crate) async fn get_as(&self, who: &Who, path: &str) -> Answer {
        self.ask_as(who, &Asked::get(path)).await
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push_blob_as(&self, who: &Who, repository: &str, blob: &Bytes) -> Answer {
        let digest = Digest::of(blob);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let asked = Asked::new(Method::POST, path).body(blob.clone());
        self.ask_as(who, &asked).await
    }

    /// Puts a manifest under a tag or its digest.
    pub(crate) async fn put_manifest_as(
        &self,
        who: &Who,
        repository: &str,
        reference: &str,
        manifest: &Document,
    ) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let asked = Asked::new(Method::PUT, path)
            .with("content-type", manifest.media_type)
            .body(manifest.bytes.clone());
        self.ask_as(who, &asked).await
    }

    /// Pushes an image, which succeeds.
    pub(crate) async fn push_as(&self, who: &Who, repository: &str, tag: &str, image: &Image) {
        for blob in image.blobs() {
            let pushed = self.push_blob_as(who, repository, blob).await;
            assert_eq!(pushed.status, 201, "{repository}: {}", pushed.text());
        }
        let put = self
            .put_manifest_as(who, repository, tag, &image.manifest)
            .await;
        assert_eq!(put.status, 201, "{repository}:{tag}: {}", put.text());
    }

    /// Begins an upload; where it goes on.
    pub(crate) async fn begin_upload_as(&self, who: &Who, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = self.ask_as(who, &Asked::new(Method::POST, path)).await;
        assert_eq!(begun.status, 202, "{}", begun.text());
        begun.header("location").to_owned()
    }

    /// A token for these scopes, as `GET /v2/auth` gives it.
    pub(crate) async fn token_as(&self, who: &Who, scopes: &[&str]) -> Who {
        let answer = self.ask_token_as(who, scopes).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Who::Bearer(answer.json()["token"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn ask_token_as(&self, who: &Who, scopes: &[&str]) -> Answer {
        let scopes: String = scopes
            .iter()
            .map(|scope| format!("&scope={scope}"))
            .collect();
        let path = format!("/v2/auth?service=entrepot{scopes}");
        self.get_as(who, &path).await
    }
}

/// What a token says may be done, as `name:actions`, unverified.
pub(crate) fn granted(token: &Who) -> Vec<String> {
    let Who::Bearer(token) = token else {
        panic!("only tokens say what they are for");
    };
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
    let claims: serde_json::Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    let access = claims["access"].as_array().unwrap().iter();
    access
        .map(|entry| {
            let actions = entry["actions"].as_array().unwrap().iter();
            let actions: Vec<&str> = actions.map(|action| action.as_str().unwrap()).collect();
            format!("{}:{}", entry["name"].as_str().unwrap(), actions.join(","))
        })
        .collect()
}

impl Answer {
    /// All that an answer tells, without what names the request itself; in it, each of `words` reads `*`.
    pub(crate) fn told(&self, words: &[&str]) -> (u16, Vec<(String, String)>, String) {
        let hide = |text: &str| {
            let hidden = words.iter();
            hidden.fold(text.to_owned(), |text, word| text.replace(word, "*"))
        };
        let request = self.header("x-request-id");
        let own = ["date", "x-request-id", "docker-upload-uuid"];
        let text = String::from_utf8_lossy(&self.body);
        let holds_request = text.is_empty() || text.contains(request);
        let value = |name: &str| match name {
            // Most errors hold the request's id, which is a number that grows.
            "content-length" if self.status.is_client_error() && holds_request => {
                let length: usize = self.header(name).parse().unwrap();
                length.saturating_sub(request.len()).to_string()
            }
            name => hide(self.header(name)),
        };
        let names = self.headers.keys().map(|name| name.as_str());
        let names = names.filter(|name| !own.contains(name));
        let mut headers: Vec<_> = names.map(|name| (name.to_owned(), value(name))).collect();
        headers.sort();
        let body = text.replace(request, "*");
        (self.status.as_u16(), headers, hide(&body))
    }
}
