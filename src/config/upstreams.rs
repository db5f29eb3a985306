//! `PROXY_CACHES`: organisations that are caches of upstream registries.
//!
//! Called by `Config::load`. Each entry is read key by key, so that all mistakes of all entries are
//! found; then the entries are checked against each other. Files named by an entry are opened here,
//! so that a missing one is told at start and not at the first pull.

use std::path::PathBuf;
use std::time::Duration;

use globset::Glob;
use url::Url;

use super::address;
use super::document::{Node, Place, Value};
use super::fields::Fields;
use super::report::Report;
use super::value::{self, Parsed};
use crate::model::{
    ByteSize, Credentials, NamespaceName, PasswordSource, PlatformPolicy, ProxyChoice, Secret,
    UpstreamName, UpstreamRule,
};
use crate::oci::Platform;

/// Keys of an entry.
pub(super) const KEYS: [&str; 18] = [
    "organization",
    "upstream",
    "endpoint",
    "username",
    "password",
    "password_file",
    "insecure",
    "ca_file",
    "proxy",
    "expiration_s",
    "fresh_s",
    "strict_expiration",
    "anonymous_pull",
    "quota",
    "platforms",
    "pin",
    "max_connections",
    "bandwidth",
];

/// Quay's default: a tag is stale a day after its last validation.
const EXPIRATION: Duration = Duration::from_secs(86_400);
/// Ten years: longer is `0`, never.
const MOST_SECONDS: Duration = Duration::from_secs(10 * 365 * 86_400);
const MAX_CONNECTIONS: u64 = 8;

/// Whether a word is a key of an entry of `PROXY_CACHES`, `REGISTRY_MIRRORS` or `MIRRORS`.
pub(super) fn is_entry_key(word: &str) -> bool {
    KEYS.contains(&word)
        || super::registry_mirrors::KEYS.contains(&word)
        || super::mirrors::is_entry_key(word)
}

/// A cache with the place of its entry.
pub(super) struct Placed {
    pub(super) rule: UpstreamRule,
    path: String,
    organization: Place,
    upstream: Place,
}

/// Reads the list; `None` if the key is absent.
pub(super) fn read(
    fields: &Fields,
    credentials: Option<PathBuf>,
    report: &mut Report<'_>,
) -> Option<Vec<UpstreamRule>> {
    let mut placed: Vec<Placed> = Vec::new();
    for (path, node) in fields.items(report, "PROXY_CACHES")? {
        let Some(entry) = Fields::open(&node, &path, &KEYS, report) else {
            continue;
        };
        let reader = EntryReader {
            entry: &entry,
            credentials: credentials.as_ref(),
        };
        if let Some(rule) = reader.rule(report) {
            placed.push(Placed {
                rule,
                path,
                organization: entry.place_of("organization"),
                upstream: entry.place_of("upstream"),
            });
        }
    }
    check_together(&placed, report);
    Some(placed.into_iter().map(|placed| placed.rule).collect())
}

/// No organisation and no upstream stands twice.
fn check_together(placed: &[Placed], report: &mut Report<'_>) {
    for (index, one) in placed.iter().enumerate() {
        let before = &placed[..index];
        let same = |other: &&Placed| other.rule.organization == one.rule.organization;
        if let Some(other) = before.iter().find(same) {
            let (name, other) = (&one.rule.organization, &other.path);
            let reason = format!("{name} is already the organisation of {other}");
            report.mistake(
                one.organization,
                &format!("{}.organization", one.path),
                reason,
            );
        }
        let same = |other: &&Placed| other.rule.upstream == one.rule.upstream;
        if let Some(other) = before.iter().find(same) {
            let (name, other) = (&one.rule.upstream, &other.path);
            let reason = format!(
                "{name} is already the upstream of {other}; a configured upstream has one organisation"
            );
            report.mistake(one.upstream, &format!("{}.upstream", one.path), reason);
        }
    }
}

/// Reads one entry.
struct EntryReader<'a> {
    entry: &'a Fields,
    credentials: Option<&'a PathBuf>,
}

impl EntryReader<'_> {
    fn rule(&self, report: &mut Report<'_>) -> Option<UpstreamRule> {
        let entry = self.entry;
        let organization = entry.require(report, "organization", value::parsed::<NamespaceName>);
        let upstream = entry.require(report, "upstream", upstream);
        let credentials = self.credentials(report);
        let (endpoint, insecure, ca_file) = self.transport(credentials.is_some(), report);
        let (expiration, fresh) = self.times(report);
        let anonymous_pull = self.anonymous_pull(credentials.as_ref(), report);
        let connections = |node: &Node| value::integer(node, 1, 1000);
        let connections = entry.read(report, "max_connections", connections);
        let least = ByteSize::mib(1);
        let quota = |node: &Node| value::size(node, least, ByteSize(u64::MAX));
        let rule = UpstreamRule {
            organization: organization?,
            upstream: upstream?,
            endpoint,
            credentials,
            insecure,
            ca_file,
            proxy: entry.read(report, "proxy", proxy).unwrap_or_default(),
            expiration,
            fresh,
            strict_expiration: self.switch("strict_expiration", report),
            anonymous_pull,
            quota: entry.read(report, "quota", quota),
            platforms: self.platforms(report),
            pin: entry.list(report, "pin", pin).unwrap_or_default(),
            max_connections: usize::try_from(connections.unwrap_or(MAX_CONNECTIONS)).ok()?,
            bandwidth: entry.read(report, "bandwidth", value::bandwidth),
        };
        Some(rule)
    }

    fn switch(&self, key: &str, report: &mut Report<'_>) -> bool {
        self.entry.read(report, key, value::switch).unwrap_or(false)
    }

    fn mistake(&self, report: &mut Report<'_>, key: &str, reason: &str) {
        report.mistake(self.entry.place_of(key), &self.entry.path(key), reason);
    }

    fn credentials(&self, report: &mut Report<'_>) -> Option<Credentials> {
        let entry = self.entry;
        let has = |key| entry.get(key).is_some();
        let given = has("password") || has("password_file");
        if has("password") && has("password_file") {
            let reason = "password and password_file are both given; keep one";
            self.mistake(report, "password_file", reason);
        }
        if given && !has("username") {
            let reason = "is missing, though a password is given";
            self.mistake(report, "username", reason);
        }
        if has("username") && !given {
            let reason = "has no password; give password or password_file";
            self.mistake(report, "username", reason);
        }
        let username = entry.read(report, "username", value::text);
        let password = entry.read(report, "password", secret);
        let file = entry.read(report, "password_file", |node| self.password_file(node));
        let file = file.map(PasswordSource::File);
        let password = password.map(PasswordSource::Value).or(file)?;
        let username = username?;
        Some(Credentials { username, password })
    }

    /// A readable file; a relative one is a credential of systemd if there is one of that name.
    fn password_file(&self, node: &Node) -> Parsed<PathBuf> {
        let path = value::path(node)?;
        let credential = self
            .credentials
            .filter(|_| path.is_relative())
            .map(|folder| folder.join(&path))
            .filter(|path| path.exists());
        let path = credential.unwrap_or(path);
        value::content(&path).map(|_| path)
    }

    /// Endpoint, plain http, authorities: whether the three agree.
    fn transport(
        &self,
        account: bool,
        report: &mut Report<'_>,
    ) -> (Option<Url>, bool, Option<PathBuf>) {
        let entry = self.entry;
        let endpoint = entry.read(report, "endpoint", address::url);
        let insecure = self.switch("insecure", report);
        let authority = |node: &Node| value::pem_file(node, "-----BEGIN CERTIFICATE-----");
        let ca_file = entry.read(report, "ca_file", authority);
        let scheme = endpoint.as_ref().map(Url::scheme);
        if insecure && scheme == Some("https") {
            let reason = "is true, but the endpoint is https; for an own authority use ca_file";
            self.mistake(report, "insecure", reason);
        }
        let plain = scheme == Some("http") || (insecure && scheme.is_none());
        if plain && entry.get("ca_file").is_some() {
            self.mistake(report, "ca_file", "has no use over plain http");
        }
        if plain && account {
            let text = "the account's password crosses the network in clear text";
            let (place, path) = (entry.place_of("username"), entry.path("username"));
            report.warn(place, &path, text);
        }
        (endpoint, insecure, ca_file)
    }

    fn times(&self, report: &mut Report<'_>) -> (Option<Duration>, Duration) {
        let seconds = |node: &Node| value::seconds(node, MOST_SECONDS);
        let expiration = self.entry.read(report, "expiration_s", seconds);
        let expiration = expiration.unwrap_or(EXPIRATION);
        let fresh = self.entry.read(report, "fresh_s", seconds);
        let fresh = fresh.unwrap_or(Duration::ZERO);
        let expiration = (expiration > Duration::ZERO).then_some(expiration);
        if let Some(expiration) = expiration.filter(|expiration| fresh > *expiration) {
            let (fresh, expiration) = (fresh.as_secs(), expiration.as_secs());
            let reason = format!(
                "{fresh} is longer than expiration_s, {expiration}; a tag cannot be fresh and expired"
            );
            self.mistake(report, "fresh_s", &reason);
        }
        (expiration, fresh)
    }

    fn anonymous_pull(&self, credentials: Option<&Credentials>, report: &mut Report<'_>) -> bool {
        let entry = self.entry;
        let explicit = entry.read(report, "anonymous_pull", value::switch);
        // An account that was meant but is wrong must not open the cache to everyone.
        let account = credentials.is_some() || entry.get("username").is_some();
        let anonymous = explicit.unwrap_or(!account);
        let path = entry.path("anonymous_pull");
        let place = entry.place_of("anonymous_pull");
        match credentials {
            Some(account) if anonymous => {
                let name = &account.username;
                let text = format!(
                    "everyone who reaches the port reads what the account {name:?} can read"
                );
                report.warn(place, &path, text);
            }
            _ if !anonymous => {
                let text = "only users may pull, and until the first user exists nobody can";
                report.warn(place, &path, text);
            }
            _ => {}
        }
        anonymous
    }

    fn platforms(&self, report: &mut Report<'_>) -> PlatformPolicy {
        let word = self.entry.get("platforms").map(|node| &node.value);
        if matches!(word, Some(Value::Text(word)) if word == "all") {
            return PlatformPolicy::All;
        }
        match self.entry.list(report, "platforms", platform) {
            Some(platforms) if !platforms.is_empty() => PlatformPolicy::Listed(platforms),
            _ => PlatformPolicy::Requested,
        }
    }
}

/// The name of an upstream. One with an account in it is not shown.
fn upstream(node: &Node) -> Parsed<UpstreamName> {
    match &node.value {
        Value::Text(text) if text.contains('@') => {
            Err("is host, host:port or host/namespace; the account goes to username".to_owned())
        }
        _ => value::parsed(node),
    }
}

/// A password: never shown, so that even a wrong one stays out of messages.
fn secret(node: &Node) -> Parsed<Secret> {
    value::text(node).map(Secret::new)
}

/// A URL or `none`.
fn proxy(node: &Node) -> Parsed<ProxyChoice> {
    match &node.value {
        Value::Text(text) if text == "none" => Ok(ProxyChoice::None),
        Value::Text(text) if !text.contains("://") && !text.contains('@') => Err(format!(
            "{text:?} is not a proxy; write http://host:port or none"
        )),
        _ => address::url(node).map(ProxyChoice::Url).map_err(|reason| {
            let hint = "; a proxy that asks for an account is named by HTTPS_PROXY";
            let hint = if reason.contains("account") { hint } else { "" };
            format!("{reason}{hint}")
        }),
    }
}

/// `os/architecture`, not the other way round.
fn platform(node: &Node) -> Parsed<Platform> {
    let platform: Platform = value::parsed(node)?;
    let (os, architecture) = (&platform.os, &platform.architecture);
    let swapped = ["linux", "windows", "darwin", "freebsd"].contains(&architecture.as_str());
    if swapped {
        return Err(format!(
            "{platform} is the wrong way round; write {architecture}/{os}"
        ));
    }
    Ok(platform)
}

/// A glob of tags, `tag` or `repository:tag`.
fn pin(node: &Node) -> Parsed<String> {
    let text = value::text(node)?;
    let (repository, tag) = match text.split_once(':') {
        Some((repository, tag)) => (Some(repository), tag),
        None => (None, text.as_str()),
    };
    if tag.contains([':', '/', '@']) || tag.is_empty() || repository == Some("") {
        return Err(format!(
            "{text:?} is not a pin; write tag or repository:tag, with * and ?"
        ));
    }
    for glob in repository.into_iter().chain([tag]) {
        Glob::new(glob).map_err(|error| format!("{text:?} is not a glob: {}", error.kind()))?;
    }
    Ok(text)
}
