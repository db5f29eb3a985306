//! One HTTP client: its connections, its proxy, its trust, its address policy.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use url::{Host, Url};

use super::any_certificate::believing;
use super::resolver::Resolver;
use super::time::{CertificateTime, told};
use super::{AddressPolicy, AllowedHosts, Error, Shared, trust};
use crate::config::ProxyEnvironment;
use crate::model::{Clock, ProxyChoice};

/// Sent with every request, so that an upstream's operator knows who calls.
const USER_AGENT: &str = concat!("entrepot/", env!("CARGO_PKG_VERSION"));

/// How long an unused connection is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// What a client is made for.
#[derive(Clone, Debug)]
pub struct ClientSpec {
    /// PEM file of the only authorities trusted.
    pub ca_file: Option<PathBuf>,
    pub proxy: ProxyChoice,
    pub trust: AddressPolicy,
    /// Whatever certificate is shown is taken. For an upstream of which somebody said so, and no other.
    pub any_certificate: bool,
    /// Unused connections kept to a host.
    pub idle_connections: usize,
}

/// Sends requests over connections that it keeps. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    guard: Arc<Guard>,
}

/// What is decided about a URL before any name is resolved.
struct Guard {
    policy: AddressPolicy,
    allowed: Arc<AllowedHosts>,
    /// Hosts that the resolver lets pass because they are proxies; nobody may name them as a target.
    proxies: Arc<[String]>,
    can_speak_tls: bool,
}

impl Client {
    pub(super) fn new(shared: &Shared, spec: &ClientSpec) -> Result<Self, Error> {
        let roots = match &spec.ca_file {
            Some(path) => Arc::new(trust::from_file(path)?),
            None => shared.roots(),
        };
        let (proxies, trusted) = proxies(&spec.proxy, &shared.config.proxies, spec.trust)?;
        let guard = Guard {
            policy: spec.trust,
            allowed: Arc::clone(&shared.allowed),
            proxies: trusted,
            can_speak_tls: spec.any_certificate || !roots.is_empty(),
        };
        if spec.trust == AddressPolicy::PublicOrAllowed {
            for proxy in named_proxies(&spec.proxy) {
                guard.check_host(proxy)?;
            }
        }
        let resolver = Resolver {
            policy: spec.trust,
            allowed: Arc::clone(&shared.allowed),
            proxies: Arc::clone(&guard.proxies),
            last_good: Arc::clone(&shared.last_good),
            names: shared.names.clone(),
            // What is left is for connecting, also when the name service is silent.
            deadline: shared.connect / 2,
        };
        let verified = tls(roots, &shared.clock)?;
        let tls = match spec.any_certificate {
            true => believing(verified),
            false => verified,
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .dns_resolver(resolver)
            .user_agent(USER_AGENT)
            .connect_timeout(shared.connect)
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(spec.idle_connections)
            .tcp_keepalive(IDLE_CONNECTION)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10));
        for proxy in proxies {
            builder = builder.proxy(proxy);
        }
        let http = builder.build().map_err(|error| Error::Connect {
            reason: error.to_string().into(),
        })?;
        Ok(Self {
            http,
            guard: Arc::new(guard),
        })
    }

    /// Sends a request without a body and waits for the answer's head. No deadline of its own beyond
    /// that of connecting; redirects come back as they are.
    ///
    /// # Errors
    /// [`Error::Refused`] before any connection if the policy forbids the host, else what went wrong.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Response, Error> {
        self.guard.check(url)?;
        let request = self.http.request(method, url.clone()).headers(headers);
        // A body's bytes must arrive as they are: digests and offsets are over them.
        let identity = HeaderValue::from_static("identity");
        let request = request.header(::http::header::ACCEPT_ENCODING, identity);
        match request.send().await {
            Ok(response) => Ok(Response { response }),
            Err(error) => Err(Error::of_request(error)),
        }
    }
}

impl Guard {
    fn check(&self, url: &Url) -> Result<(), Error> {
        match url.scheme() {
            "http" => {}
            "https" if self.can_speak_tls => {}
            "https" => return Err(Error::NoAuthorities),
            scheme => {
                return Err(Error::Url {
                    url_part: scheme.into(),
                });
            }
        }
        match self.policy {
            AddressPolicy::Any => Ok(()),
            AddressPolicy::PublicOrAllowed => self.check_host(url),
        }
    }

    /// Judges a literal address; a name is judged when it is resolved.
    fn check_host(&self, url: &Url) -> Result<(), Error> {
        let refused = |host: String| Err(Error::Refused { host: host.into() });
        match url.host() {
            // The resolver would not be asked: the connector takes literals as they are.
            Some(Host::Ipv4(address)) if !self.allowed.allows_address(IpAddr::V4(address)) => {
                refused(address.to_string())
            }
            Some(Host::Ipv6(address)) if !self.allowed.allows_address(IpAddr::V6(address)) => {
                refused(address.to_string())
            }
            Some(Host::Domain(name)) if self.names_a_proxy(name) => refused(name.to_owned()),
            Some(_) => Ok(()),
            None => Err(Error::Url {
                url_part: "a URL without a host".into(),
            }),
        }
    }

    fn names_a_proxy(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        let is_proxy = self
            .proxies
            .iter()
            .any(|proxy| proxy.eq_ignore_ascii_case(name));
        is_proxy && !self.allowed.allows_name(name)
    }
}

/// Verified TLS 1.2 and 1.3 with `roots`, by the time of `clock`; HTTP/2 where the other side has it (SE-03: no
/// custom verifier).
fn tls(roots: Arc<rustls::RootCertStore>, clock: &Clock) -> Result<ClientConfig, Error> {
    // Whoever comes first installs the process's default; the others find it there.
    let _ = aws_lc_rs::default_provider().install_default();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let time = Arc::new(CertificateTime(clock.clone()));
    let config = ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&error))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The proxies of a choice, and the hosts among them whose address need not be public.
type Proxies = (Vec<reqwest::Proxy>, Arc<[String]>);

fn proxies(
    choice: &ProxyChoice,
    environment: &ProxyEnvironment,
    trust: AddressPolicy,
) -> Result<Proxies, Error> {
    let fail = |error: reqwest::Error| Error::Proxy {
        reason: format!("not the URL of an HTTP proxy: {}", error.without_url()),
    };
    match choice {
        ProxyChoice::None => Ok((Vec::new(), Arc::default())),
        ProxyChoice::Url(url) => {
            let proxy = reqwest::Proxy::all(url.clone()).map_err(fail)?;
            let trusted = (trust == AddressPolicy::Any).then(|| url.host_str().map(str::to_owned));
            Ok((vec![proxy], trusted.flatten().into_iter().collect()))
        }
        ProxyChoice::Given {
            http,
            https,
            except,
        } => {
            let except = except.as_deref().and_then(reqwest::NoProxy::from_string);
            let mut proxies = Vec::new();
            if let Some(url) = http {
                let proxy = reqwest::Proxy::http(url.clone()).map_err(fail)?;
                proxies.push(proxy.no_proxy(except.clone()));
            }
            if let Some(url) = https {
                let proxy = reqwest::Proxy::https(url.clone()).map_err(fail)?;
                proxies.push(proxy.no_proxy(except));
            }
            let hosts = http.iter().chain(https).filter_map(Url::host_str);
            let trusted = hosts.filter(|_| trust == AddressPolicy::Any);
            Ok((proxies, trusted.map(str::to_owned).collect()))
        }
        ProxyChoice::Environment => {
            let except = environment.no_proxy.as_deref();
            let except = except.and_then(reqwest::NoProxy::from_string);
            let mut proxies = Vec::new();
            if let Some(text) = &environment.http {
                let proxy = reqwest::Proxy::http(text.as_str()).map_err(fail)?;
                proxies.push(proxy.no_proxy(except.clone()));
            }
            if let Some(text) = &environment.https {
                let proxy = reqwest::Proxy::https(text.as_str()).map_err(fail)?;
                proxies.push(proxy.no_proxy(except));
            }
            let hosts = environment.http.iter().chain(&environment.https);
            Ok((proxies, hosts.filter_map(|text| proxy_host(text)).collect()))
        }
    }
}

/// The proxies that somebody named for one upstream.
fn named_proxies(choice: &ProxyChoice) -> impl Iterator<Item = &Url> {
    let named = match choice {
        ProxyChoice::None | ProxyChoice::Environment => [None, None],
        ProxyChoice::Url(url) => [Some(url), None],
        ProxyChoice::Given { http, https, .. } => [http.as_ref(), https.as_ref()],
    };
    named.into_iter().flatten()
}

/// The host of a proxy as the environment names it, with or without a scheme.
fn proxy_host(text: &str) -> Option<String> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    Url::parse(&with_scheme).ok()?.host_str().map(str::to_owned)
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Response {
    response: reqwest::Response,
}

impl Response {
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What was asked: base of relative references in the answer.
    pub fn url(&self) -> &Url {
        self.response.url()
    }

    /// Who answered, the proxy if there was one.
    pub fn peer(&self) -> Option<IpAddr> {
        self.response.remote_addr().map(|address| address.ip())
    }

    /// The next piece of the body, `None` at its end.
    ///
    /// # Errors
    /// [`Error::Body`] if the connection broke or the body is shorter than announced.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        self.response.chunk().await.map_err(Error::of_body)
    }
}

#[cfg(test)]
mod tests;
