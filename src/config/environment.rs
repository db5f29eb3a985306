//! The environment as a value: the only place of the program that reads variables.
//!
//! `main` takes [`Environment::of_process`] once and passes it on; tests make their own, so none of
//! them depends on the process it runs in. Which variable means what is decided in `settings`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::document::Place;
use super::report::Report;

/// What our own variables begin with.
pub(super) const PREFIX: &str = "ENTREPOT_";

/// Switches of the test suite, which are no settings.
pub(super) const TEST_SWITCHES: [&str; 3] = [
    "ENTREPOT_LONG",
    "ENTREPOT_PACKAGE",
    "ENTREPOT_REQUIRE_CLIENTS",
];

/// More sockets than this are a mistake of whoever counts them.
const MOST_SOCKETS: usize = 256;

/// Variables by name.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of ours whose value is not UTF-8.
    unreadable: Vec<String>,
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            environment.insert(name, value);
        }
        environment
    }

    fn insert(&mut self, name: OsString, value: OsString) {
        let Ok(name) = name.into_string() else {
            return;
        };
        match value.into_string() {
            Ok(value) => {
                self.variables.insert(name, value);
            }
            Err(_) if name.starts_with(PREFIX) => self.unreadable.push(name),
            Err(_) => {}
        }
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    /// Our own variables that are not empty, without the switches of tests, by name after the prefix.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .filter(|(name, value)| !TEST_SWITCHES.contains(&name.as_str()) && !value.is_empty())
            .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.as_str())))
    }

    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// Where systemd wants to be told of the state (`sd_notify(3)`).
    pub fn notify_socket(&self) -> Option<PathBuf> {
        self.get("NOTIFY_SOCKET").map(PathBuf::from)
    }

    /// Within which time systemd wants to hear that the process works, if it watches this process.
    pub fn watchdog(&self) -> Option<Duration> {
        let ours = self
            .get("WATCHDOG_PID")
            .is_none_or(|id| id == std::process::id().to_string());
        let micros: u64 = self.get("WATCHDOG_USEC").filter(|_| ours)?.parse().ok()?;
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// The names of the sockets that the service manager has opened for this process, in the order of
    /// their descriptors (`sd_listen_fds_with_names(3)`); empty where one has no name.
    pub fn inherited_sockets(&self) -> Vec<String> {
        let own = std::process::id().to_string();
        if self.get("LISTEN_PID") != Some(own.as_str()) {
            return Vec::new();
        }
        let count = self.get("LISTEN_FDS").and_then(|count| count.parse().ok());
        let mut names: Vec<String> = match self.get("LISTEN_FDNAMES") {
            Some(names) => names.split(':').map(str::to_owned).collect(),
            None => Vec::new(),
        };
        // What systemd says where nothing else was said.
        for name in names.iter_mut().filter(|name| *name == "unknown") {
            name.clear();
        }
        names.resize(count.unwrap_or(0).min(MOST_SOCKETS), String::new());
        names
    }

    /// The folder in which systemd puts credentials.
    pub(super) fn credentials(&self) -> Option<PathBuf> {
        self.get("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }
}

/// Shows names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables.into_iter();
        Self {
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            unreadable: Vec::new(),
        }
    }
}

/// The proxies that the environment names, as curl reads them.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct ProxyEnvironment {
    /// URL for `http://` targets; may hold an account.
    pub http: Option<String>,
    /// URL for `https://` targets; may hold an account.
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached directly, separated by commas.
    pub no_proxy: Option<String>,
}

impl ProxyEnvironment {
    pub(super) fn read(environment: &Environment, report: &mut Report<'_>) -> Self {
        // A CGI server turns the header `Proxy:` of a request into HTTP_PROXY (CVE-2016-5385); the
        // lower-case name cannot come from a header.
        let cgi = environment.get("REQUEST_METHOD").is_some();
        let http: &[&str] = if cgi {
            &["http_proxy"]
        } else {
            &["http_proxy", "HTTP_PROXY"]
        };
        let no_proxy = environment.get("no_proxy");
        Self {
            http: proxy(environment, http, report),
            https: proxy(environment, &["https_proxy", "HTTPS_PROXY"], report),
            no_proxy: no_proxy
                .or_else(|| environment.get("NO_PROXY"))
                .map(str::to_owned),
        }
    }
}

/// Shows hosts without the accounts.
impl fmt::Debug for ProxyEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |url: &Option<String>| {
            let url = url.as_deref().and_then(|url| Url::parse(url).ok());
            url.and_then(|url| url.host_str().map(str::to_owned))
        };
        f.debug_struct("ProxyEnvironment")
            .field("http", &host(&self.http))
            .field("https", &host(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// The first of these variables, as a URL; without a scheme it is `http://`.
fn proxy(
    environment: &Environment,
    names: &[&'static str],
    report: &mut Report<'_>,
) -> Option<String> {
    let (name, value) = names
        .iter()
        .find_map(|name| Some((*name, environment.get(name)?)))?;
    let url = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    let usable = Url::parse(&url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    if usable {
        return Some(url);
    }
    let reason = "is not the URL of an http proxy; write http://host:port";
    report.mistake(Place::Environment, name, reason);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(variables: &[(&str, &str)]) -> Vec<String> {
        let environment: Environment = variables.iter().copied().collect();
        environment.inherited_sockets()
    }

    /// LC-09: only what was meant for this process is taken, with a name for each.
    #[test]
    fn sockets_are_those_of_this_process() {
        let own = std::process::id().to_string();
        let other = (std::process::id() + 1).to_string();
        let two = ("LISTEN_FDS", "2");
        let named = ("LISTEN_FDNAMES", "registry:unknown:third");
        assert_eq!(
            sockets(&[("LISTEN_PID", &own), two, named]),
            ["registry", ""]
        );
        assert_eq!(sockets(&[("LISTEN_PID", &own), two]), ["", ""]);
        assert!(sockets(&[("LISTEN_PID", &other), two, named]).is_empty());
        assert!(sockets(&[two, named]).is_empty());
        assert!(sockets(&[("LISTEN_PID", &own), ("LISTEN_FDS", "-1")]).is_empty());
    }
}
