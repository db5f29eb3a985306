//! A pull as it is noted: on the hot path little more than a few numbers are kept of it.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::model::{
    Actor, AppTokenUse, LogEntry, LogKind, NamespaceId, NamespaceName, OauthUse, Performer,
    RepositoryId, Timestamp,
};
use crate::oci::{MediaType, Reference, RepositoryName};

/// A manifest that was sent to somebody.
#[derive(Clone, Copy, Debug)]
pub struct Pull<'a> {
    pub namespace: (NamespaceId, &'a NamespaceName),
    pub repository: (RepositoryId, &'a RepositoryName),
    pub reference: &'a Reference,
    pub media_type: &'a MediaType,
    pub actor: &'a Actor,
    /// The token that was shown for it, of either kind.
    pub oauth: Option<&'a OauthUse>,
    pub app_token: Option<&'a AppTokenUse>,
    pub address: IpAddr,
    pub user_agent: Option<&'a str>,
}

/// The same, kept until it is written.
#[derive(Clone, Debug)]
pub(super) struct Pulled {
    pub(super) at: Timestamp,
    namespace: (NamespaceId, NamespaceName),
    repository: (RepositoryId, RepositoryName),
    /// `None` where there was no memory to tell references apart.
    reference: Option<(Reference, MediaType)>,
    by: Performer,
    pub(super) count: u32,
}

impl Pulled {
    pub(super) fn new(pull: &Pull<'_>, at: Timestamp, in_detail: bool) -> Self {
        let by = Performer {
            address: Some(pull.address),
            oauth: pull.oauth.cloned(),
            app_token: pull.app_token.cloned(),
            ..Performer::from(pull.actor)
        };
        let reference = || (pull.reference.clone(), pull.media_type.clone());
        Self {
            at,
            namespace: (pull.namespace.0, pull.namespace.1.clone()),
            repository: (pull.repository.0, pull.repository.1.clone()),
            reference: in_detail.then(reference),
            by: match pull.user_agent {
                Some(agent) => by.by_client(agent),
                None => by,
            },
            count: 1,
        }
    }

    /// Its line (`quay-log-kinds` 2.3: `pull_repo`).
    pub(super) fn entry(&self) -> LogEntry {
        let mut more = Map::new();
        if let Some((reference, media_type)) = &self.reference {
            let (key, value) = match reference {
                Reference::Tag(tag) => ("tag", tag.to_string()),
                Reference::Digest(digest) => ("manifest_digest", digest.to_string()),
            };
            more.insert(key.to_owned(), value.into());
            more.insert("mediaType".to_owned(), media_type.as_str().into());
        }
        let (namespace, repository) = (&self.namespace, &self.repository);
        let place = (namespace.1.as_str(), repository.1.as_str());
        let (kind, more) = (LogKind::PullRepo, Value::Object(more));
        LogEntry::tracked(kind, self.at, &self.by, place, more)
            .of_repository(namespace.0, repository.0)
            .times(self.count)
    }
}
