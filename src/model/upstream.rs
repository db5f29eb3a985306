//! What an operator says of an upstream registry and how it is cached.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::{ByteSize, NamespaceName, Secret};
use crate::oci::{ParseError, Platform, RepositoryName};

/// An organisation that is the cache of an upstream registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamRule {
    pub organization: NamespaceName,
    pub upstream: UpstreamName,
    /// Where it is reached, instead of `https://` and its name.
    pub endpoint: Option<Url>,
    pub credentials: Option<Credentials>,
    /// Plain http.
    pub insecure: bool,
    /// PEM file of the only authorities trusted for it.
    pub ca_file: Option<PathBuf>,
    pub proxy: ProxyChoice,
    /// How long after its last validation a tag may be served without asking, `None` for ever.
    pub expiration: Option<Duration>,
    /// How long a validated tag is served without asking; zero validates at every pull.
    pub fresh: Duration,
    /// Quay's rule: an expired tag that cannot be validated is refused.
    pub strict_expiration: bool,
    /// Whether anyone who reaches the port may pull.
    pub anonymous_pull: bool,
    /// Cap on bytes held, being fetched, and unlinked but open.
    pub quota: Option<ByteSize>,
    pub platforms: PlatformPolicy,
    /// Globs of tags that are never evicted: `tag` or `repository:tag`.
    pub pin: Vec<String>,
    /// Connections open to it at one time.
    pub max_connections: usize,
    /// Most bytes a second that fills take from it.
    pub bandwidth: Option<ByteSize>,
}

/// What an upstream is called: `host[:port]`, and the one namespace of it that is offered.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UpstreamName {
    /// Host with port if one was given, in lower case; `docker.io` for all of Docker Hub's names.
    pub host: String,
    pub namespace: Option<RepositoryName>,
}

impl UpstreamName {
    /// The name of `repository` there: below the namespace if there is one, and below `library/` for
    /// one component of docker.io.
    ///
    /// # Errors
    /// If the whole name grows too long.
    pub fn remote_name(&self, repository: &RepositoryName) -> Result<RepositoryName, ParseError> {
        match &self.namespace {
            Some(namespace) => repository.below(namespace.as_str()),
            None if self.host == "docker.io" && repository.components().count() == 1 => {
                repository.below("library")
            }
            None => Ok(repository.clone()),
        }
    }

    /// The host that answers for it when no endpoint is given.
    pub fn api_host(&self) -> &str {
        if self.host == "docker.io" {
            "registry-1.docker.io"
        } else {
            &self.host
        }
    }

    /// Lower case, and one name for Docker Hub's many.
    pub fn normalise_host(host: &str) -> String {
        let host = host.to_ascii_lowercase();
        match host.as_str() {
            "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => {
                "docker.io".to_owned()
            }
            _ => host,
        }
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.namespace
            .iter()
            .try_for_each(|namespace| write!(f, "/{namespace}"))
    }
}

impl FromStr for UpstreamName {
    type Err = ParseError;

    /// Accepts `host`, `host:port` and either with `/namespace[/...]`; no scheme, no user, no query.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("upstream", format!("{text:?}: {reason}"));
        if text.contains("://") {
            return Err(fail("leave the scheme out; `endpoint` takes a URL"));
        }
        let (host, namespace) = match text.split_once('/') {
            Some((host, namespace)) => (host, Some(namespace.trim_end_matches('/'))),
            None => (text, None),
        };
        let url = Url::parse(&format!("https://{host}/")).map_err(|_| fail("no such host name"))?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain || host.is_empty() || host.chars().any(char::is_whitespace) {
            return Err(fail("it is host, host:port or host/namespace"));
        }
        let namespace = match namespace {
            None | Some("") => None,
            Some(namespace) => Some(namespace.parse()?),
        };
        Ok(Self {
            host: Self::normalise_host(host),
            namespace,
        })
    }
}

/// An account at an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    pub username: String,
    pub password: PasswordSource,
}

/// Where a password comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PasswordSource {
    Value(Secret),
    /// Read again when the file changes.
    File(PathBuf),
}

/// Which HTTP proxy stands in front of an upstream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ProxyChoice {
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the environment.
    #[default]
    Environment,
    None,
    Url(Url),
    /// Those that somebody gave for one upstream, by the scheme of what is asked for.
    Given {
        http: Option<Url>,
        https: Option<Url>,
        /// Hosts that are reached without, as `NO_PROXY` names them.
        except: Option<String>,
    },
}

/// Which children of an index are fetched before anyone asks for them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum PlatformPolicy {
    /// None: what clients ask for is fetched when they ask.
    #[default]
    Requested,
    All,
    Listed(Vec<Platform>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_names_are_hosts_with_an_optional_namespace() {
        let name = |text: &str| text.parse::<UpstreamName>().unwrap();
        assert_eq!(name("registry-1.Docker.io").host, "docker.io");
        assert_eq!(name("quay.io/org/team/").to_string(), "quay.io/org/team");
        assert_eq!(name("[::1]:5000").host, "[::1]:5000");
        for bad in [
            "",
            "https://quay.io",
            "a b",
            "user@host",
            "host?x",
            "host/UPPER",
            "host#x",
        ] {
            assert!(bad.parse::<UpstreamName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn remote_names_follow_the_upstream() {
        let remote = |upstream: &str, repository: &str| {
            let upstream: UpstreamName = upstream.parse().unwrap();
            upstream
                .remote_name(&repository.parse().unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(remote("docker.io", "alpine"), "library/alpine");
        assert_eq!(remote("docker.io", "library/alpine"), "library/alpine");
        assert_eq!(remote("docker.io/bitnami", "redis"), "bitnami/redis");
        assert_eq!(remote("quay.io", "org/app"), "org/app");
        assert_eq!(remote("ghcr.io", "app"), "app");
    }
}
