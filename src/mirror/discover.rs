//! Organisations that are mirrors as a whole: what their source has is listed, and a repository made here for each.
//!
//! The list comes from the source's own API: Quay's `/api/v1/repository`, Harbor's `/api/v2.0/projects`. What is
//! new gets a repository in the state `ORG_MIRROR`, which is then run like any mirror; what vanished is skipped and
//! stays as it is; an empty list skips nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use super::account::Whose;
use super::seat::robot;
use super::state::{self, Due, Ending, Times};
use super::{Error, Glob, Mirror};
use crate::model::{
    Credentials, DiscoveredRecord, Job, LogEntry, LogKind, MirrorStatus, NamespaceId,
    OrgMirrorKind, OrgMirrorRecord, PasswordSource, Performer, SyncState, Timestamp,
};
use crate::oci::RepositoryName;
use crate::outbound::{AddressPolicy, Client, ClientSpec};
use crate::registry;
use crate::store::{ReadTx, WriteTx};
use crate::upstream;

/// Most pages of a list, and most bytes of one.
const PAGES: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;

/// Repositories on a page of Harbor's.
const HARBOR_PAGE: usize = 100;

/// Rows read in one go.
const ROWS: usize = 500;

/// The name that stands for a token in place of a user (Quay).
const TOKEN_USER: &str = "$oauthtoken";

/// Where a repository of a mirrored organisation is copied from; `None` for a source that is no URL.
pub(super) fn reference(organization: &OrgMirrorRecord, name: &RepositoryName) -> Option<String> {
    let base = base(organization).ok()?;
    let host = base.host_str()?;
    let port = base
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let scheme = match base.scheme() {
        "http" => "http://",
        _ => "",
    };
    Some(format!(
        "{scheme}{host}{port}/{}/{name}",
        organization.namespace
    ))
}

fn base(organization: &OrgMirrorRecord) -> Result<Url, Error> {
    let given = organization.source.reference.trim().trim_end_matches('/');
    let with_scheme = match given.contains("://") {
        true => given.to_owned(),
        false => format!("https://{given}"),
    };
    let url = Url::parse(&with_scheme).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| Error::Setting("the registry's URL is none".to_owned()))
}

/// A mirrored organisation as a look at its source begins.
struct Look {
    namespace: NamespaceId,
    record: OrgMirrorRecord,
    generation: u64,
    by: Performer,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Discovery {
    /// Repositories of the source that are chosen.
    pub found: u64,
    /// Of these, made here now.
    pub made: u64,
    /// Those that vanished there.
    pub skipped: u64,
}

impl Mirror {
    pub(super) async fn queue_discovery(&self, namespace: NamespaceId) -> Result<usize, Error> {
        let (now, job) = (self.now(), Job::MirrorDiscovery(namespace));
        let look = move |tx: &ReadTx| {
            let is_queued = tx.jobs().record(job)?.is_some();
            let record = tx.mirrors().of_organization(namespace)?;
            let status = tx.mirrors().discovery(namespace)?;
            let is_due = record.zip(status).is_some_and(|(record, status)| {
                state::due(&status, &Times::of_organization(&record), now) != Due::Nothing
            });
            Ok::<_, Error>(is_due && !is_queued)
        };
        match self.registry().store().read(look).await? {
            true => self.enqueue(vec![job]).await,
            false => Ok(0),
        }
    }

    /// Looks at what the source of a mirrored organisation has, if that is due; `None` if it is not. Repositories
    /// that are new run soon after.
    ///
    /// # Errors
    /// [`Error::NoMirror`], [`Error::Off`]; the store's. A look that failed is none.
    pub async fn discover(&self, namespace: NamespaceId) -> Result<Option<Discovery>, Error> {
        self.check_on()?;
        if !self.inner.organizations {
            return Err(Error::Off("FEATURE_ORG_MIRROR is off"));
        }
        let Some(look) = self.begin_look(namespace).await? else {
            return Ok(None);
        };
        let found = self.look(&look).await;
        if let Err(error) = &found {
            tracing::warn!(namespace.id = namespace.0, %error, "a source could not be looked at");
        }
        self.end_look(&look, &found).await?;
        self.wake();
        Ok(found.ok())
    }

    async fn begin_look(&self, namespace: NamespaceId) -> Result<Option<Look>, Error> {
        let now = self.now();
        let begin = move |tx: &mut WriteTx<'_>| {
            let owner = tx.namespaces().record(namespace)?;
            let owner = owner.filter(|owner| owner.deleted.is_none());
            let record = tx.mirrors().of_organization(namespace)?;
            let status = tx.mirrors().discovery(namespace)?;
            let (Some(_), Some(record), Some(status)) = (owner, record, status) else {
                return Err(Error::NoMirror);
            };
            let status = match state::due(&status, &Times::of_organization(&record), now) {
                Due::Nothing => return Ok(None),
                Due::Begin => state::begun(status, now),
                Due::Resume => state::resumed(status, now),
            };
            tx.mirrors().put_discovery(namespace, &status)?;
            let by = robot(tx, record.robot)?.unwrap_or_default();
            let line = told(
                (namespace, &record),
                LogKind::OrgMirrorSyncStarted,
                now,
                &by,
                "started",
            );
            tx.logs().append(&line)?;
            Ok(Some(Look {
                namespace,
                record,
                generation: status.generation,
                by,
            }))
        };
        self.registry().store().write(begin).await
    }

    async fn look(&self, look: &Look) -> Result<Discovery, Error> {
        let record = &look.record;
        if record.robot.is_none() || look.by == Performer::default() {
            return Err(Error::NoRobot);
        }
        let deadline = Duration::from_secs(record.deadline_s);
        let listed = timeout(deadline, self.list_source(look)).await;
        let listed = listed.map_err(|_| upstream::Error::Timeout(deadline))??;
        if listed.is_empty() {
            return Ok(Discovery::default());
        }
        let globs: Vec<Glob> = record
            .repositories
            .iter()
            .map(|text| Glob::new(text))
            .collect();
        let is_chosen = |name: &RepositoryName| {
            globs.is_empty() || globs.iter().any(|glob| glob.matches(name.as_str()))
        };
        let chosen: BTreeSet<RepositoryName> = listed.into_iter().filter(is_chosen).collect();
        let mut discovery = Discovery {
            found: chosen.len() as u64,
            ..Discovery::default()
        };
        for name in &chosen {
            discovery.made += u64::from(self.make(look, name).await?);
        }
        discovery.skipped = self.skip_vanished(look, &chosen).await?;
        Ok(discovery)
    }

    /// Makes a repository of the source one here, or has one that was skipped be there again; whether it was made.
    async fn make(&self, look: &Look, name: &RepositoryName) -> Result<bool, Error> {
        let known = |tx: &ReadTx| tx.mirrors().discovered(look.namespace, name);
        let known: Option<DiscoveredRecord> = self.registry().store().read(known).await?;
        let is_settled = known.as_ref().is_some_and(|known| {
            known.repository.is_some() && known.status.state != SyncState::Skip
        });
        if is_settled {
            return Ok(false);
        }
        let visibility = look.record.visibility;
        let made = self
            .registry()
            .create_mirrored(look.namespace, name, visibility, &look.by);
        let (repository, is_new, failure) = match made.await {
            Ok((placed, is_new)) => (Some(placed.repository), is_new, None),
            Err(registry::Error::Exists) => (
                None,
                false,
                Some("there is another repository of that name"),
            ),
            Err(error) => return Err(error.into()),
        };
        let (now, namespace, name) = (self.now(), look.namespace, name.clone());
        let (record, by) = (look.record.clone(), look.by.clone());
        let put = move |tx: &mut WriteTx<'_>| {
            let before = tx.mirrors().discovered(namespace, &name)?;
            let status = before.as_ref().map(|before| before.status.clone());
            let status = MirrorStatus {
                state: match failure {
                    None => SyncState::NeverRun,
                    Some(_) => SyncState::Fail,
                },
                next: failure.is_none().then_some(now),
                ..status.unwrap_or_else(|| MirrorStatus::new(None))
            };
            let mut found = DiscoveredRecord {
                namespace,
                discovered: before.map_or(now, |before| before.discovered),
                repository,
                status,
            };
            failure
                .unwrap_or_default()
                .clone_into(&mut found.status.report.message);
            tx.mirrors().put_discovered(namespace, &name, &found)?;
            if is_new {
                let said = json!({
                    "external_reference": reference(&record, &name),
                    "visibility": record.visibility.as_str(),
                    "via_org_mirror": true,
                });
                let line = LogEntry::new(LogKind::OrgMirrorRepoCreated, now, &by);
                let line = match repository {
                    Some(repository) => line.of_repository(namespace, repository),
                    None => line.within(namespace),
                };
                tx.logs().append(&line.with(said))?;
            }
            Ok::<_, Error>(())
        };
        self.registry().store().write(put).await?;
        Ok(is_new)
    }

    /// Skips what is chosen no more; returns how many.
    async fn skip_vanished(
        &self,
        look: &Look,
        chosen: &BTreeSet<RepositoryName>,
    ) -> Result<u64, Error> {
        let (namespace, mut after, mut skipped) = (look.namespace, None::<RepositoryName>, 0);
        loop {
            let behind = after.clone();
            let read = move |tx: &ReadTx| {
                tx.mirrors()
                    .all_discovered(namespace, behind.as_ref(), ROWS)
            };
            let page: Vec<(RepositoryName, DiscoveredRecord)> =
                self.registry().store().scan(read).await?;
            let Some((last, _)) = page.last() else {
                return Ok(skipped);
            };
            after = Some(last.clone());
            for (name, found) in page {
                if chosen.contains(&name) || found.status.state == SyncState::Skip {
                    continue;
                }
                let skip = move |tx: &mut WriteTx<'_>| {
                    let Some(mut found) = tx.mirrors().discovered(namespace, &name)? else {
                        return Ok::<_, Error>(());
                    };
                    found.status = MirrorStatus {
                        state: SyncState::Skip,
                        ..state::cancelled(found.status)
                    };
                    Ok(tx.mirrors().put_discovered(namespace, &name, &found)?)
                };
                self.registry().store().write(skip).await?;
                skipped += 1;
            }
        }
    }

    async fn end_look(&self, look: &Look, found: &Result<Discovery, Error>) -> Result<(), Error> {
        let message = match found {
            Ok(found) => format!(
                "{} repositories found, {} made, {} skipped",
                found.found, found.made, found.skipped
            ),
            Err(error) => error.to_string(),
        };
        let mut chance = [0; 8];
        let _ = getrandom::fill(&mut chance);
        let ending = Ending {
            is_success: found.is_ok(),
            message,
            wait: match found {
                Err(Error::Upstream(error)) => error.retry_after(),
                _ => None,
            },
            chance: u64::from_le_bytes(chance),
        };
        let (now, namespace, generation) = (self.now(), look.namespace, look.generation);
        let by = look.by.clone();
        let end = move |tx: &mut WriteTx<'_>| {
            let record = tx.mirrors().of_organization(namespace)?;
            let status = tx.mirrors().discovery(namespace)?;
            let Some((record, status)) = record.zip(status) else {
                return Ok::<_, Error>(());
            };
            if status.generation != generation {
                return Ok(());
            }
            let times = Times::of_organization(&record);
            let status = state::ended(status, &ending, &times, now);
            tx.mirrors().put_discovery(namespace, &status)?;
            let kind = match ending.is_success {
                true => LogKind::OrgMirrorSyncSuccess,
                false => LogKind::OrgMirrorSyncFailed,
            };
            let line = told((namespace, &record), kind, now, &by, &ending.message);
            tx.logs().append(&line)?;
            Ok(())
        };
        self.registry().store().write(end).await
    }

    /// The names of the source's repositories, below its namespace. Part of a list is none.
    async fn list_source(&self, look: &Look) -> Result<Vec<RepositoryName>, Error> {
        let record = &look.record;
        let client = self.inner.outbound.client(&ClientSpec {
            ca_file: None,
            proxy: super::source::proxy(&record.source)?,
            trust: AddressPolicy::PublicOrAllowed,
            any_certificate: !record.source.verify_tls,
            idle_connections: 1,
        });
        let client = client.map_err(upstream::Error::from)?;
        let whose = Whose::Organization(look.namespace);
        let account = self.credentials(whose, &record.source)?;
        let headers = headers(record.kind, account)?;
        let base = base(record)?;
        let names = match record.kind {
            OrgMirrorKind::Quay => quay(&client, &base, &record.namespace, &headers).await?,
            OrgMirrorKind::Harbor => harbor(&client, &base, &record.namespace, &headers).await?,
        };
        // What is no name of the registry protocol cannot be copied.
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// A line of the usage log of a look (`quay-log-kinds` 2.8).
fn told(
    (namespace, record): (NamespaceId, &OrgMirrorRecord),
    kind: LogKind,
    now: Timestamp,
    by: &Performer,
    message: &str,
) -> LogEntry {
    let said = json!({
        "message": message,
        "org_mirror_config_id": namespace.0,
        "external_registry_url": record.source.reference,
        "external_namespace": record.namespace,
    });
    LogEntry::new(kind, now, by).within(namespace).with(said)
}

/// How a source's API is shown who asks: Quay by a token, Harbor by name and password.
fn headers(kind: OrgMirrorKind, account: Option<Credentials>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let Some(Credentials { username, password }) = account else {
        return Ok(headers);
    };
    let PasswordSource::Value(password) = password else {
        return Ok(headers);
    };
    let text = match (kind, username.as_str()) {
        (OrgMirrorKind::Quay, "" | TOKEN_USER) => format!("Bearer {}", password.expose()),
        _ => {
            let pair = format!("{username}:{}", password.expose());
            format!("Basic {}", STANDARD.encode(pair))
        }
    };
    let value = HeaderValue::from_str(&text);
    let mut value = value.map_err(|_| Error::Setting("the account is no text".to_owned()))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(headers)
}

#[derive(Deserialize)]
struct QuayPage {
    repositories: Vec<Named>,
    next_page: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn quay(
    client: &Client,
    base: &Url,
    namespace: &str,
    headers: &HeaderMap,
) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..PAGES {
        let mut url = below(base, "api/v1/repository");
        url.query_pairs_mut().append_pair("namespace", namespace);
        if let Some(next) = &next {
            url.query_pairs_mut().append_pair("next_page", next);
        }
        let page: QuayPage = serde_json::from_value(page(client, &url, headers).await?)
            .map_err(|error| upstream::Error::Unexpected(format!("a list: {error}")))?;
        names.extend(page.repositories.into_iter().map(|it| it.name));
        match page.next_page.filter(|token| Some(token) != next.as_ref()) {
            Some(token) => next = Some(token),
            None => return Ok(names),
        }
    }
    Err(endless())
}

async fn harbor(
    client: &Client,
    base: &Url,
    project: &str,
    headers: &HeaderMap,
) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let prefix = format!("{project}/");
    for number in 1..=PAGES {
        let mut url = below(base, &format!("api/v2.0/projects/{project}/repositories"));
        url.query_pairs_mut()
            .append_pair("page", &number.to_string())
            .append_pair("page_size", &HARBOR_PAGE.to_string());
        let page: Vec<Named> = serde_json::from_value(page(client, &url, headers).await?)
            .map_err(|error| upstream::Error::Unexpected(format!("a list: {error}")))?;
        let is_last = page.len() < HARBOR_PAGE;
        let below = |it: Named| it.name.strip_prefix(&prefix).map(str::to_owned);
        names.extend(page.into_iter().filter_map(below));
        if is_last {
            return Ok(names);
        }
    }
    Err(endless())
}

fn endless() -> Error {
    upstream::Error::Unexpected(format!("a list of more than {PAGES} pages")).into()
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url
}

/// A page of a list.
async fn page(client: &Client, url: &Url, headers: &HeaderMap) -> Result<Value, Error> {
    let sent = client.send(Method::GET, url, headers.clone()).await;
    let mut response = sent.map_err(upstream::Error::from)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(upstream::Error::Denied.into());
        }
        StatusCode::NOT_FOUND => return Err(upstream::Error::NotFound.into()),
        status => {
            let status = status.as_u16();
            return Err(upstream::Error::Status { status }.into());
        }
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(upstream::Error::from)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > PAGE_BYTES {
            let (what, limit_bytes) = ("a page of a list", PAGE_BYTES);
            return Err(upstream::Error::TooLarge { what, limit_bytes }.into());
        }
    }
    let read = serde_json::from_slice(&bytes);
    Ok(read.map_err(|error| upstream::Error::Unexpected(format!("a list: {error}")))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MirrorSource, Visibility};

    fn organization(reference: &str) -> OrgMirrorRecord {
        OrgMirrorRecord {
            enabled: true,
            kind: OrgMirrorKind::Quay,
            source: MirrorSource {
                reference: reference.to_owned(),
                username: None,
                password: None,
                verify_tls: true,
                unsigned_images: false,
                http_proxy: None,
                https_proxy: None,
                no_proxy: None,
            },
            namespace: "theirs".to_owned(),
            repositories: Vec::new(),
            architectures: Vec::new(),
            visibility: Visibility::Private,
            delete_stale: false,
            interval_s: 60,
            robot: None,
            deadline_s: 300,
            created: Timestamp::default(),
        }
    }

    #[test]
    fn repositories_are_copied_from_below_the_sources_namespace() {
        let name = "app/one".parse().unwrap();
        for (given, expected) in [
            ("https://quay.io", Some("quay.io/theirs/app/one")),
            ("quay.io/", Some("quay.io/theirs/app/one")),
            (
                "http://10.0.0.1:8080",
                Some("http://10.0.0.1:8080/theirs/app/one"),
            ),
            ("ftp://quay.io", None),
        ] {
            let found = reference(&organization(given), &name);
            assert_eq!(found.as_deref(), expected, "{given}");
        }
    }
}
