//! The registry that a mirror copies from: the client for one run, and how patiently it is asked.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::account::Whose;
use super::throttle::Patience;
use super::{Error, Mirror, SourceReference};
use crate::model::{
    Credentials, MirrorSource, NamespaceName, PlatformPolicy, ProxyChoice, UpstreamName,
    UpstreamRule,
};
use crate::oci::RepositoryName;
use crate::outbound::AddressPolicy;
use crate::upstream::{self, FailureKind, Terms, Upstream};

/// Tries after the first, for what may help.
const MORE_TRIES: u32 = 3;

/// Connections that are kept to a source.
const CONNECTIONS: usize = 8;

/// Where a run copies from; cheap to clone.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) upstream: Upstream,
    pub(super) reference: SourceReference,
    retry_pause: Duration,
}

/// Who wants to ask, and whom.
pub(super) struct Asking<'a> {
    pub(super) whose: Whose,
    pub(super) source: &'a MirrorSource,
    pub(super) reference: SourceReference,
    /// The operator wrote it into the configuration.
    pub(super) configured: bool,
    pub(super) namespace: &'a NamespaceName,
}

impl Mirror {
    /// The client of a source; nothing is asked yet, unless any certificate is taken: then it is found out
    /// whether the source speaks TLS at all (as skopeo does with `--src-tls-verify=false`).
    ///
    /// # Errors
    /// [`Error::Sealed`], [`Error::Setting`], [`Error::Upstream`] for a proxy that may not be asked.
    pub(super) async fn open(&self, asking: Asking<'_>) -> Result<Source, Error> {
        let inner = &self.inner;
        if self.is_offline() {
            return Err(Error::Off("no upstream is asked (OFFLINE)"));
        }
        let any_certificate = !asking.source.verify_tls;
        let credentials = self.credentials(asking.whose, asking.source)?;
        let mut rule = rule(&asking, credentials)?;
        let trust = match asking.configured {
            true => AddressPolicy::Any,
            false => AddressPolicy::PublicOrAllowed,
        };
        let terms = Terms {
            trust,
            any_certificate,
            hosts: inner.hosts.clone(),
            is_background: true,
        };
        let open = |rule: &UpstreamRule| {
            let (outbound, metrics) = (&inner.outbound, &inner.upstream_metrics);
            Upstream::with_terms(rule, &terms, outbound, &inner.deadlines, metrics)
        };
        let mut upstream = open(&rule)?;
        if any_certificate && !rule.insecure && speaks_no_tls(&upstream).await {
            rule.insecure = true;
            upstream = open(&rule)?;
        }
        Ok(Source {
            upstream,
            reference: asking.reference,
            retry_pause: inner.deadlines.retry_pause,
        })
    }
}

async fn speaks_no_tls(upstream: &Upstream) -> bool {
    let kind = upstream.ping().await.err().map(|error| error.kind());
    matches!(
        kind,
        Some(FailureKind::Tls | FailureKind::Connect | FailureKind::Body | FailureKind::Timeout)
    )
}

fn rule(asking: &Asking<'_>, credentials: Option<Credentials>) -> Result<UpstreamRule, Error> {
    let upstream = UpstreamName {
        host: asking.reference.host.clone(),
        namespace: None,
    };
    Ok(UpstreamRule {
        organization: asking.namespace.clone(),
        upstream,
        endpoint: None,
        credentials,
        insecure: asking.reference.plain,
        ca_file: None,
        proxy: proxy(asking.source)?,
        expiration: None,
        fresh: Duration::ZERO,
        strict_expiration: false,
        anonymous_pull: false,
        quota: None,
        platforms: PlatformPolicy::Requested,
        pin: Vec::new(),
        max_connections: CONNECTIONS,
        bandwidth: None,
    })
}

/// The proxies that were given for a source; the environment's if none was.
pub(super) fn proxy(source: &MirrorSource) -> Result<ProxyChoice, Error> {
    let parse = |text: &Option<String>| {
        let text = text
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        let url = |text: &str| {
            let with_scheme = match text.contains("://") {
                true => text.to_owned(),
                false => format!("http://{text}"),
            };
            let url = Url::parse(&with_scheme).ok().filter(Url::has_host);
            url.ok_or_else(|| Error::Setting("a proxy is the URL of an HTTP proxy".to_owned()))
        };
        text.map(url).transpose()
    };
    let (http, https) = (parse(&source.http_proxy)?, parse(&source.https_proxy)?);
    if http.is_none() && https.is_none() {
        return Ok(ProxyChoice::Environment);
    }
    Ok(ProxyChoice::Given {
        http,
        https,
        except: source
            .no_proxy
            .clone()
            .filter(|text| !text.trim().is_empty()),
    })
}

impl Source {
    pub(super) const fn name(&self) -> &RepositoryName {
        &self.reference.repository
    }

    /// Asks, and again where that may help: with pauses that grow and differ, and as long as the source says it
    /// wants to be left alone, while the patience lasts.
    ///
    /// # Errors
    /// The last failure; [`upstream::Error::Timeout`] when the patience ended.
    pub(super) async fn patiently<T, F>(
        &self,
        patience: &Patience,
        ask: impl Fn() -> F,
    ) -> Result<T, upstream::Error>
    where
        F: Future<Output = Result<T, upstream::Error>>,
    {
        let mut failures = 0;
        loop {
            let error = match timeout_at(patience.until(), ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(upstream::Error::Timeout(patience.whole())),
            };
            failures += 1;
            self.pause(patience, failures, error).await?;
        }
    }

    /// Waits before another try.
    ///
    /// # Errors
    /// The failure, if no other try may help, or none is left.
    pub(super) async fn pause(
        &self,
        patience: &Patience,
        failures: u32,
        error: upstream::Error,
    ) -> Result<(), upstream::Error> {
        if !error.is_outage() || failures > MORE_TRIES {
            return Err(error);
        }
        let own = self.retry_pause * 5 * 2_u32.pow(failures.min(6));
        let pause = jittered(own.max(error.retry_after().unwrap_or_default()));
        if Instant::now() + pause >= patience.until() {
            return Err(error);
        }
        tracing::debug!(%error, upstream = %self.reference.host, "a mirror asks again");
        sleep(pause).await;
        Ok(())
    }
}

/// Up to a quarter longer, so that many do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
    pause + pause.mul_f64(random * 0.25)
}
