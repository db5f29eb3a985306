//! One line of the usage log, and who caused it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Actor, LogKind, NamespaceId, OauthTokenId, RepositoryId, Timestamp};

/// Who asks for a change, and from where: what every service that changes something is told, so that the
/// usage log can tell it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Performer {
    pub actor: Actor,
    /// Where the request came from; `None` for what the server does by itself, and for commands.
    pub address: Option<IpAddr>,
    /// The OAuth token that was shown, if one was.
    pub oauth: Option<OauthUse>,
    /// The app token that was shown, if one was.
    pub app_token: Option<AppTokenUse>,
    /// What the client calls itself (RFC 9110 §10.1.5).
    pub user_agent: Option<Box<str>>,
}

/// More of what a client calls itself is not kept.
const USER_AGENT_BYTES: usize = 256;

impl Performer {
    /// The same, by a client that calls itself so.
    #[must_use]
    pub fn by_client(mut self, user_agent: &str) -> Self {
        let end = user_agent.floor_char_boundary(USER_AGENT_BYTES);
        let text = user_agent[..end].replace(char::is_control, " ");
        self.user_agent = Some(text.into());
        self
    }
}

/// An OAuth token as the usage log tells of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OauthUse {
    pub token: OauthTokenId,
    /// Of the application that the token belongs to.
    pub client_id: String,
    /// The name of that application.
    pub application: String,
}

/// A token that a user made for a program, as the usage log tells of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppTokenUse {
    pub uuid: String,
    pub title: String,
}

impl Performer {
    /// The server by itself, or an operator at its console.
    pub const SYSTEM: Self = Self {
        actor: Actor::System,
        address: None,
        oauth: None,
        app_token: None,
        user_agent: None,
    };
}

impl From<Actor> for Performer {
    fn from(actor: Actor) -> Self {
        Self {
            actor,
            ..Self::default()
        }
    }
}

impl From<&Actor> for Performer {
    fn from(actor: &Actor) -> Self {
        actor.clone().into()
    }
}

impl std::fmt::Display for Performer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.actor.fmt(f)
    }
}

/// What a line of the log is filed under.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LogScope {
    Namespace(NamespaceId),
    Repository(RepositoryId),
}

/// A place in the log: the time and the sequence of a line.
pub type LogPlace = (Timestamp, u64);

/// Which lines of the log.
#[derive(Clone, Debug)]
pub struct LogFilter {
    /// What they are filed under; `None` for all there are.
    pub scope: Option<LogScope>,
    /// Who did it, by the name of that time. Lists without a scope do not look at it.
    pub performer: Option<String>,
    /// Not before this.
    pub since: Timestamp,
    /// Before this.
    pub until: Timestamp,
}

/// One line of the usage log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogEntry {
    pub kind: LogKind,
    pub at: Timestamp,
    pub performer: Actor,
    pub address: Option<IpAddr>,
    pub namespace: Option<NamespaceId>,
    pub repository: Option<RepositoryId>,
    /// A JSON object, as text.
    metadata: String,
    /// How many equal acts this line stands for; 1 but for pulls beyond the bounded rate.
    pub count: u32,
}

impl LogEntry {
    /// A line that is filed nowhere and tells nothing more, until [`LogEntry::within`],
    /// [`LogEntry::of_repository`] and [`LogEntry::with`] say it.
    pub fn new(kind: LogKind, at: Timestamp, by: &Performer) -> Self {
        let mut metadata = Map::new();
        if let Some(oauth) = &by.oauth {
            // Quay: metadata of every entry of a request with an OAuth token.
            metadata.insert("oauth_token_id".to_owned(), oauth.token.0.into());
            let client_id = oauth.client_id.clone();
            metadata.insert("oauth_token_application_id".to_owned(), client_id.into());
            let application = oauth.application.clone();
            metadata.insert("oauth_token_application".to_owned(), application.into());
        }
        Self {
            kind,
            at,
            performer: by.actor.clone(),
            address: by.address,
            namespace: None,
            repository: None,
            metadata: Value::Object(metadata).to_string(),
            count: 1,
        }
    }

    /// Files the line under a namespace.
    #[must_use]
    pub const fn within(mut self, namespace: NamespaceId) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Files the line under a repository and its namespace.
    #[must_use]
    pub const fn of_repository(mut self, namespace: NamespaceId, repository: RepositoryId) -> Self {
        self.namespace = Some(namespace);
        self.repository = Some(repository);
        self
    }

    /// Adds what the kind tells (`quay-log-kinds`: metadata); `more` is a JSON object.
    #[must_use]
    pub fn with(mut self, more: Value) -> Self {
        let mut metadata = self.metadata();
        if let Value::Object(more) = more {
            metadata.extend(more);
        }
        self.metadata = Value::Object(metadata).to_string();
        self
    }

    /// A line of what a client did at the registry's own doors (`quay-log-kinds`, rows marked T):
    /// where, by which program, `more`, by whom.
    #[must_use]
    pub fn tracked(
        kind: LogKind,
        at: Timestamp,
        by: &Performer,
        (namespace, repository): (&str, &str),
        more: Value,
    ) -> Self {
        let mut metadata = Map::new();
        metadata.insert("repo".to_owned(), repository.into());
        metadata.insert("namespace".to_owned(), namespace.into());
        let agent = by.user_agent.as_deref().unwrap_or_default();
        metadata.insert("user-agent".to_owned(), agent.into());
        match &by.actor {
            Actor::System | Actor::Anonymous => {}
            Actor::User { name, .. } => {
                metadata.insert("username".to_owned(), name.as_str().into());
            }
            Actor::Robot { name, .. } => {
                metadata.insert("username".to_owned(), name.to_string().into());
                metadata.insert("is_robot".to_owned(), true.into());
            }
        }
        if let Some(token) = &by.app_token {
            let (uuid, title) = (token.uuid.as_str(), token.title.as_str());
            metadata.insert("app_specific_token".to_owned(), uuid.into());
            metadata.insert("app_specific_token_title".to_owned(), title.into());
        }
        Self::new(kind, at, by)
            .with(Value::Object(metadata))
            .with(more)
    }

    /// The same line for `count` equal acts.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// What the kind tells.
    pub fn metadata(&self) -> Map<String, Value> {
        serde_json::from_str(&self.metadata).unwrap_or_default()
    }

    /// What the kind tells, as it is stored.
    pub fn metadata_text(&self) -> &str {
        &self.metadata
    }

    /// Who did it, as the log is searched by; `None` for the server itself and for nobody.
    pub fn performer_name(&self) -> Option<String> {
        match &self.performer {
            Actor::System | Actor::Anonymous => None,
            Actor::User { .. } | Actor::Robot { .. } => Some(self.performer.to_string()),
        }
    }

    /// Where it is filed.
    pub fn scopes(&self) -> impl Iterator<Item = LogScope> {
        let namespace = self.namespace.map(LogScope::Namespace);
        let repository = self.repository.map(LogScope::Repository);
        [namespace, repository].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_of_the_token_that_was_used() {
        let by = Performer {
            oauth: Some(OauthUse {
                token: OauthTokenId(7),
                client_id: "ID".to_owned(),
                application: "app".to_owned(),
            }),
            ..Performer::default()
        };
        let at = Timestamp::from_millis(1);
        let entry = LogEntry::new(LogKind::OrgCreateTeam, at, &by)
            .within(NamespaceId(1))
            .with(json!({"team": "ci"}));
        let expected = json!({
            "oauth_token_id": 7,
            "oauth_token_application_id": "ID",
            "oauth_token_application": "app",
            "team": "ci",
        });
        assert_eq!(Value::Object(entry.metadata()), expected);
        assert_eq!(entry.scopes().count(), 1);
    }

    #[test]
    fn a_tracked_line_tells_where_by_what_and_by_whom() {
        let robot = Actor::Robot {
            id: crate::model::RobotId(1),
            name: "acme+ci".parse().unwrap(),
        };
        let by = Performer::from(robot).by_client("podman/5\n");
        let at = Timestamp::from_millis(1);
        let place = ("acme", "app");
        let entry = LogEntry::tracked(LogKind::PushRepo, at, &by, place, json!({"tag": "v1"}));
        let expected = json!({
            "repo": "app",
            "namespace": "acme",
            "user-agent": "podman/5 ",
            "tag": "v1",
            "username": "acme+ci",
            "is_robot": true,
        });
        assert_eq!(Value::Object(entry.metadata()), expected);
        assert_eq!(entry.performer_name().as_deref(), Some("acme+ci"));
    }

    #[test]
    fn of_a_long_name_of_a_client_only_the_beginning_is_kept() {
        let by = Performer::default().by_client(&"é".repeat(1000));
        let kept = by.user_agent.unwrap();
        assert_eq!(&*kept, "é".repeat(USER_AGENT_BYTES / 2));
    }
}
