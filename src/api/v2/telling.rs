//! What the usage log is told of these doors beside pushes and deletions, which tell it in their own
//! transactions: pulls, logins, and failures where the operator wants them.
//!
//! Nothing here can fail a request.

use ::http::{Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::Visit;
use super::access::Admitted;
use super::error::Failure;
use crate::auth::Identity;
use crate::model::{Actor, LogEntry, LogKind, NamespaceId, NamespaceName, Performer};
use crate::notify::Pull;
use crate::oci::{Endpoint, Reference};
use crate::proxy::{Door, ManifestAnswer, Route, Source};

impl Visit<'_> {
    /// Who does something, as the usage log tells it.
    pub(super) async fn performer(&self, identity: &Identity) -> Performer {
        let by = Performer {
            address: Some(self.exchange.client.ip()),
            ..self.api.auth.performer(identity).await
        };
        match self.user_agent() {
            Some(agent) => by.by_client(agent),
            None => by,
        }
    }

    /// SC-240: every pull is told, also out of a cache.
    pub(super) async fn note_pull(
        &self,
        source: &Source,
        reference: &Reference,
        answer: &ManifestAnswer,
        admitted: &Admitted,
    ) {
        let manifest = &answer.manifest;
        let by = self.puller(source, admitted).await;
        self.api.audit.pulled(&Pull {
            namespace: (source.organization_id(), source.organization()),
            repository: (manifest.unit.repository, source.name()),
            reference,
            media_type: &manifest.raw.media_type,
            actor: &by.actor,
            oauth: by.oauth.as_ref(),
            app_token: by.app_token.as_ref(),
            address: self.exchange.client.ip(),
            user_agent: self.user_agent(),
        });
    }

    /// What everyone may pull is pulled by nobody in particular, unless who pulls it says his name.
    /// What mirrors are sent belongs to the registry they stand for.
    async fn puller(&self, source: &Source, admitted: &Admitted) -> Performer {
        let auth = &self.api.auth;
        let is_named = !admitted.identity.is_anonymous();
        if is_named || source.door() == Door::Mirror {
            return auth.performer(&admitted.identity).await;
        }
        match self.bearer_identity().await {
            Some(identity) => auth.performer(&identity).await,
            None => Actor::Anonymous.into(),
        }
    }

    /// A login that asks for nothing, as `docker login` does (`ACTION_LOG_AUDIT_LOGINS`).
    pub(super) async fn note_login(&self, identity: &Identity) {
        if !self.api.audit.config().logins {
            return;
        }
        let (namespace, robot) = match identity {
            Identity::Anonymous => return,
            Identity::User { name, .. } => (self.namespace(name).await, None),
            Identity::Robot {
                name, namespace, ..
            } => (Some(*namespace), Some(name.to_string())),
        };
        let mut more = self.login_metadata();
        more.extend(robot.map(|robot| ("robot".to_owned(), robot.into())));
        let (now, by) = (
            self.api.registry.clock().now(),
            self.performer(identity).await,
        );
        let title = by.app_token.as_ref().map(|token| token.title.as_str());
        more.extend(title.map(|title| ("app_specific_token_title".to_owned(), title.into())));
        let entry = LogEntry::new(LogKind::LoginSuccess, now, &by).with(Value::Object(more));
        self.api.audit.note(filed(entry, namespace));
    }

    /// A login that was refused (`ACTION_LOG_AUDIT_LOGIN_FAILURES`).
    async fn note_refused_login(&self, failure: &Failure) {
        let Some(username) = self.username().filter(|name| name.len() <= 512) else {
            return;
        };
        let owner = username.split('+').next().unwrap_or_default();
        let namespace = match owner.parse::<NamespaceName>() {
            Ok(name) => self.namespace(&name).await,
            Err(_) => None,
        };
        let mut more = self.login_metadata();
        let key = if username.contains('+') {
            "robot"
        } else {
            "username"
        };
        more.insert(key.to_owned(), username.into());
        more.insert("message".to_owned(), failure.message.as_ref().into());
        let now = self.api.registry.clock().now();
        let by = self.performer(&Identity::Anonymous).await;
        let entry = LogEntry::new(LogKind::LoginFailure, now, &by).with(Value::Object(more));
        self.api.audit.note(filed(entry, namespace));
    }

    /// A request that failed, if the operator wants to be told of such (`ACTION_LOG_AUDIT_*_FAILURES`).
    ///
    /// A client that has shown no credentials and is asked for some has not failed: every pull of what is
    /// private begins so.
    pub(super) async fn note_failure(&self, endpoint: &Endpoint, failure: &Failure) {
        let config = self.api.audit.config();
        let is_asked = failure.status == StatusCode::UNAUTHORIZED
            && !self.headers.contains_key(header::AUTHORIZATION);
        if is_asked {
            return;
        }
        let (kind, reference) = match endpoint {
            Endpoint::Token if config.login_failures => {
                return self.note_refused_login(failure).await;
            }
            Endpoint::Manifest { reference, .. } => match *self.method {
                Method::PUT if config.push_failures => (LogKind::PushRepoFailed, reference),
                Method::DELETE if config.delete_failures => (LogKind::DeleteTagFailed, reference),
                Method::GET | Method::HEAD if config.pull_failures => {
                    (LogKind::PullRepoFailed, reference)
                }
                _ => return,
            },
            _ => return,
        };
        let Some(name) = endpoint.name() else { return };
        let Ok(Route::Source(source)) = self.route(name).await else {
            return self
                .note_failed(kind, None, name.as_str(), reference, failure)
                .await;
        };
        let name = source.name().as_str();
        self.note_failed(kind, Some(&source), name, reference, failure)
            .await;
    }

    async fn note_failed(
        &self,
        kind: LogKind,
        source: Option<&Source>,
        name: &str,
        reference: &Reference,
        failure: &Failure,
    ) {
        // A wrong password would be tried once more.
        let identity = match failure.status {
            StatusCode::UNAUTHORIZED => self.bearer_identity().await,
            _ => self.caller().await.ok().map(|caller| caller.identity),
        };
        let by = self
            .performer(&identity.unwrap_or(Identity::Anonymous))
            .await;
        let (key, value) = match reference {
            Reference::Tag(tag) => ("tag", tag.to_string()),
            Reference::Digest(digest) => ("manifest_digest", digest.to_string()),
        };
        let (namespace, repository) = match source {
            Some(source) => (source.organization().as_str(), name),
            None => name.split_once('/').unwrap_or(("", name)),
        };
        let more = json!({
            "namespace": namespace,
            "repo": repository,
            key: value,
            "message": failure.message,
        });
        let now = self.api.registry.clock().now();
        let entry = LogEntry::new(kind, now, &by).with(more);
        let entry = match source {
            None => entry,
            Some(source) => {
                let namespace = source.organization_id();
                let registry = &self.api.registry;
                match registry.repository(namespace, source.name()).await {
                    Ok(Some(repository)) => entry.of_repository(namespace, repository),
                    _ => entry.within(namespace),
                }
            }
        };
        self.api.audit.note(entry);
    }

    fn login_metadata(&self) -> Map<String, Value> {
        let kind = match self.username() {
            Some(name) if name == "$app" => "app_specific_token",
            Some(name) if name == "$oauthtoken" => "oauth",
            Some(name) if name.contains('+') => "robot",
            _ => "user",
        };
        let agent = self.user_agent().unwrap_or_default();
        let agent = Performer::default().by_client(agent).user_agent;
        let told = [
            ("type", "v2auth".into()),
            ("useragent", agent.as_deref().into()),
            ("kind", kind.into()),
        ];
        told.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    async fn namespace(&self, name: &NamespaceName) -> Option<NamespaceId> {
        let found = self.api.registry.namespace(name).await.ok()?;
        found.map(|(id, _)| id)
    }

    fn user_agent(&self) -> Option<&str> {
        self.headers.get(header::USER_AGENT)?.to_str().ok()
    }
}

fn filed(entry: LogEntry, namespace: Option<NamespaceId>) -> LogEntry {
    match namespace {
        Some(namespace) => entry.within(namespace),
        None => entry,
    }
}
