//! Whether the source of a mirrored organisation answers, knows the namespace and takes the account.
//!
//! Called by a door of `api`. One request, or two, and nothing is kept; what the source says goes to whoever asked
//! as one of a few sentences.

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::timeout;
use url::Url;

use super::fault::OrgSettingsError;
use super::{Half, Mirror, Whose};
use crate::model::{MirrorSource, NamespaceId, OrgMirrorKind, OrgMirrorRecord, Secret};
use crate::outbound::{self, AddressPolicy, Client, ClientSpec};

/// How long a source may take (Quay).
const PATIENCE: Duration = Duration::from_secs(10);

/// What a source said, if it did; else why it is no source, in a sentence fit for whoever asked.
pub(super) type Verified = Result<(), String>;

impl Mirror {
    /// Asks the source of an organisation whether it can be copied from.
    ///
    /// # Errors
    /// [`OrgSettingsError::Absent`] if the organisation is no mirror; the store's.
    pub async fn verify(
        &self,
        namespace: NamespaceId,
    ) -> Result<Result<(), String>, OrgSettingsError> {
        let record = self
            .store()
            .read(|tx| tx.mirrors().of_organization(namespace));
        let record = record.await?.ok_or(OrgSettingsError::Absent)?;
        if self.is_offline() {
            return Ok(Err("no upstream is asked (OFFLINE)".to_owned()));
        }
        let Some(account) = self.account_of(namespace, &record.source) else {
            let text = "Failed to decrypt source registry credentials";
            return Ok(Err(text.to_owned()));
        };
        if self.judge_registry(&record.source).await.is_err() {
            return Ok(Err(OrgSettingsError::Forbidden.to_string()));
        }
        let asked = timeout(PATIENCE, self.ask_source(&record, &account)).await;
        Ok(asked.unwrap_or_else(|_| Err("Connection timed out".to_owned())))
    }

    async fn ask_source(&self, record: &OrgMirrorRecord, account: &Account) -> Verified {
        let client = self.registry_client(&record.source)?;
        let unknown = || Err(format!("Namespace '{}' not found", record.namespace));
        for path in paths(record.kind) {
            let url = url_of(&record.source.reference, path, &record.namespace);
            let url = url.ok_or_else(|| "The provided URL is not allowed".to_owned())?;
            let headers = account.headers(record.kind);
            let answer = client.send(Method::GET, &url, headers).await;
            match answer.map_err(|error| told(&error))?.status() {
                StatusCode::OK => return Ok(()),
                StatusCode::UNAUTHORIZED => return Err("Authentication failed".to_owned()),
                StatusCode::NOT_FOUND => {}
                other => return Err(format!("Unexpected response: {}", other.as_u16())),
            }
        }
        unknown()
    }

    fn registry_client(&self, source: &MirrorSource) -> Result<Client, String> {
        let spec = ClientSpec {
            ca_file: None,
            proxy: super::source::proxy(source).map_err(|error| error.to_string())?,
            trust: AddressPolicy::PublicOrAllowed,
            idle_connections: 1,
            any_certificate: !source.verify_tls,
        };
        let client = self.inner.outbound.client(&spec);
        client.map_err(|error| told(&error))
    }

    /// The account of an organisation's source; `None` if it does not open.
    fn account_of(&self, namespace: NamespaceId, source: &MirrorSource) -> Option<Account> {
        let whose = Whose::Organization(namespace);
        let open = |half, sealed: &Option<_>| match sealed {
            None => Some(None),
            Some(sealed) => self.unseal(whose, half, sealed).map(Some),
        };
        Some(Account {
            username: open(Half::Username, &source.username)?,
            password: open(Half::Password, &source.password)?,
        })
    }
}

struct Account {
    username: Option<Secret>,
    password: Option<Secret>,
}

impl Account {
    /// Quay's API takes a token, Harbor's a name and a password.
    fn headers(&self, kind: OrgMirrorKind) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = match (kind, &self.username, &self.password) {
            (OrgMirrorKind::Quay, _, Some(token)) => format!("Bearer {}", token.expose()),
            (OrgMirrorKind::Harbor, Some(name), password) => {
                let password = password.as_ref().map_or("", Secret::expose);
                let pair = STANDARD.encode(format!("{}:{password}", name.expose()));
                format!("Basic {pair}")
            }
            _ => return headers,
        };
        if let Ok(mut value) = HeaderValue::from_str(&value) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        headers
    }
}

/// Where a kind of registry shows a namespace.
const fn paths(kind: OrgMirrorKind) -> &'static [&'static str] {
    match kind {
        OrgMirrorKind::Quay => &["api/v1/organization", "api/v1/users"],
        OrgMirrorKind::Harbor => &["api/v2.0/projects"],
    }
}

fn url_of(registry: &str, path: &str, namespace: &str) -> Option<Url> {
    let mut url: Url = registry.parse().ok()?;
    let mut segments = url.path_segments_mut().ok()?;
    segments
        .pop_if_empty()
        .extend(path.split('/'))
        .push(namespace);
    drop(segments);
    Some(url)
}

/// What a failure says of the source, without addresses.
fn told(error: &outbound::Error) -> String {
    match error {
        outbound::Error::Refused { .. } => OrgSettingsError::Forbidden.to_string(),
        error => format!("Connection error: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_asked_for_below_the_registrys_url() {
        let shown = |registry: &str, kind| {
            let urls = paths(kind).iter();
            let urls = urls.map(|path| url_of(registry, path, "a b/../c").unwrap().to_string());
            urls.collect::<Vec<_>>()
        };
        assert_eq!(
            shown("https://h.example", OrgMirrorKind::Harbor),
            ["https://h.example/api/v2.0/projects/a%20b%2F..%2Fc"]
        );
        assert_eq!(
            shown("https://q.example/sub/", OrgMirrorKind::Quay)[1],
            "https://q.example/sub/api/v1/users/a%20b%2F..%2Fc"
        );
    }
}
