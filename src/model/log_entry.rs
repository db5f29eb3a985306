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

impl Performer {
    /// The server by itself, or an operator at its console.
    pub const SYSTEM: Self = Self {
        actor: Actor::System,
        address: None,
        oauth: None,
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
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LogScope {
    Namespace(NamespaceId),
    Repository(RepositoryId),
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

    /// What the kind tells, in the order it was told.
    pub fn metadata(&self) -> Map<String, Value> {
        serde_json::from_str(&self.metadata).unwrap_or_default()
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
}
