//! `MIRRORS`: repositories that copy those of another registry, as the operator gives them.
//!
//! Called by `Config::load`. An entry has the fields of the mirror API, and `repository`; files that it names are
//! opened here, so that a missing one is told at start and not at the first run. `mirror` makes them so.

use std::path::PathBuf;
use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};

use super::address;
use super::document::{Node, Value};
use super::fields::Fields;
use super::report::Report;
use super::value::{self, Parsed};
use crate::model::{
    BandwidthWindow, ConfiguredMirror, MirrorMore, MirrorWish, NamespaceName, RobotName, Secret,
    Timestamp, UpstreamRule, check_mirror_architectures, check_mirror_deadline, check_mirror_globs,
    check_mirror_interval, check_mirror_platforms, check_mirror_reference, check_mirror_windows,
    parse_minutes, parse_rate,
};
use crate::oci::RepositoryName;

/// Keys of an entry.
pub(super) const KEYS: [&str; 14] = [
    "repository",
    "is_enabled",
    "external_reference",
    "external_registry_username",
    "external_registry_password",
    "password_file",
    "external_registry_config",
    "sync_interval",
    "sync_start_date",
    "robot_username",
    "root_rule",
    "skopeo_timeout_interval",
    "architecture_filter",
    "entrepot",
];

/// Keys of `external_registry_config`, and of `proxy` in it.
const TRANSPORT_KEYS: [&str; 3] = ["verify_tls", "unsigned_images", "proxy"];
const PROXY_KEYS: [&str; 3] = ["http_proxy", "https_proxy", "no_proxy"];

/// Keys of `root_rule`.
const RULE_KEYS: [&str; 2] = ["rule_kind", "rule_value"];

/// Keys of `entrepot`: what Quay's mirrors do not have.
const OUR_KEYS: [&str; 9] = [
    "exclude",
    "semver",
    "newest",
    "cron",
    "deletion",
    "deletion_cap_percent",
    "bandwidth",
    "platforms",
    "referrers",
];

/// Keys of a window of `bandwidth`.
const WINDOW_KEYS: [&str; 3] = ["from", "until", "bytes_per_second"];

/// Ten years.
const MOST_SECONDS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A mirror that is not told how often runs once a day.
const INTERVAL_S: u64 = 86_400;

/// Every key that stands in an entry, however deep.
pub(super) const ALL_KEYS: [&[&str]; 6] = [
    &KEYS,
    &TRANSPORT_KEYS,
    &PROXY_KEYS,
    &RULE_KEYS,
    &OUR_KEYS,
    &WINDOW_KEYS,
];

/// Whether a word is one of these.
pub(super) fn is_entry_key(word: &str) -> bool {
    ALL_KEYS.iter().any(|keys| keys.contains(&word))
}

/// What stands elsewhere in the configuration, and mirrors must fit to.
pub(super) struct Around<'a> {
    pub(super) upstreams: &'a [UpstreamRule],
    /// Where systemd keeps credentials.
    pub(super) credentials: Option<PathBuf>,
    /// `FEATURE_SPARSE_INDEX`
    pub(super) sparse_index: bool,
}

/// Reads the list; empty if the key is absent.
pub(super) fn read(
    fields: &Fields,
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Vec<ConfiguredMirror> {
    let mut mirrors: Vec<ConfiguredMirror> = Vec::new();
    for (path, node) in fields.items(report, "MIRRORS").unwrap_or_default() {
        let Some(entry) = Fields::open(&node, &path, &KEYS, report) else {
            continue;
        };
        let reader = EntryReader {
            entry: &entry,
            around,
        };
        let Some(mirror) = reader.mirror(report) else {
            continue;
        };
        let same = |other: &&ConfiguredMirror| {
            (&other.organization, &other.repository) == (&mirror.organization, &mirror.repository)
        };
        if mirrors.iter().any(|other| same(&other)) {
            let reason = "is the repository of another entry already";
            entry_mistake(&entry, "repository", reason, report);
        }
        mirrors.push(mirror);
    }
    mirrors
}

fn entry_mistake(entry: &Fields, key: &str, reason: &str, report: &mut Report<'_>) {
    report.mistake(entry.place_of(key), &entry.path(key), reason);
}

/// Reads one entry.
struct EntryReader<'a> {
    entry: &'a Fields,
    around: &'a Around<'a>,
}

impl EntryReader<'_> {
    fn mirror(&self, report: &mut Report<'_>) -> Option<ConfiguredMirror> {
        let entry = self.entry;
        let repository = entry.require(report, "repository", full_name);
        let reference = entry.require(report, "external_reference", reference);
        let (username, password) = self.account(report);
        let enabled = entry.read(report, "is_enabled", value::switch);
        let interval = entry.read(report, "sync_interval", interval);
        let deadline = entry.read(report, "skopeo_timeout_interval", deadline);
        let mut wish = MirrorWish {
            enabled: Some(enabled.unwrap_or(true)),
            reference: Some(reference.unwrap_or_default()),
            username: Some(username),
            password: Some(password),
            start: entry.read(report, "sync_start_date", date),
            interval_s: Some(interval.unwrap_or(INTERVAL_S)),
            globs: self.globs(report),
            deadline_s: deadline,
            architectures: self.architectures(report),
            ..MirrorWish::default()
        };
        self.transport(&mut wish, report);
        wish.more = self.more(report);
        let (organization, repository) = repository?;
        self.check_organization(&organization, report);
        wish.robot = self.robot(&organization, report);
        Some(ConfiguredMirror {
            organization,
            repository,
            wish,
        })
    }

    fn mistake(&self, report: &mut Report<'_>, key: &str, reason: &str) {
        entry_mistake(self.entry, key, reason, report);
    }

    fn check_organization(&self, name: &NamespaceName, report: &mut Report<'_>) {
        let mut rules = self.around.upstreams.iter();
        if let Some(at) = rules.position(|rule| rule.organization == *name) {
            let reason = format!(
                "{name} is a cache, PROXY_CACHES[{at}], and what a cache holds comes from its upstream"
            );
            self.mistake(report, "repository", &reason);
        }
    }

    /// A robot of the organisation.
    fn robot(&self, organization: &NamespaceName, report: &mut Report<'_>) -> Option<RobotName> {
        let robot = |node: &Node| {
            let robot: RobotName = value::parsed(node)?;
            match robot.namespace() == organization {
                true => Ok(robot),
                false => Err(format!("{robot} is no robot of {organization}")),
            }
        };
        self.entry.read(report, "robot_username", robot)
    }

    fn account(&self, report: &mut Report<'_>) -> (Option<Secret>, Option<Secret>) {
        const NAME: &str = "external_registry_username";
        const WORD: &str = "external_registry_password";
        let entry = self.entry;
        let has = |key| entry.get(key).is_some();
        if has(WORD) && has("password_file") {
            let reason = "external_registry_password and password_file are both given; keep one";
            self.mistake(report, "password_file", reason);
        }
        if (has(WORD) || has("password_file")) && !has(NAME) {
            self.mistake(report, NAME, "is missing, though a password is given");
        }
        let username = entry.read(report, NAME, secret);
        let password = entry.read(report, WORD, secret);
        let file = entry.read(report, "password_file", |node| self.password_file(node));
        (username, password.or(file))
    }

    /// What a file holds; a relative one is a credential of systemd if there is one of that name.
    fn password_file(&self, node: &Node) -> Parsed<Secret> {
        let path = value::path(node)?;
        let folder = self.around.credentials.as_ref();
        let credential = folder
            .filter(|_| path.is_relative())
            .map(|folder| folder.join(&path))
            .filter(|path| path.exists());
        value::content(&credential.unwrap_or(path)).map(Secret::new)
    }

    fn architectures(&self, report: &mut Report<'_>) -> Option<Vec<String>> {
        let given = self.list("architecture_filter", report, check_mirror_architectures)?;
        if !given.is_empty() && !self.around.sparse_index {
            let reason = "needs FEATURE_SPARSE_INDEX";
            self.mistake(report, "architecture_filter", reason);
        }
        Some(given)
    }

    /// A list of texts that is right as a whole.
    fn list(
        &self,
        key: &str,
        report: &mut Report<'_>,
        check: impl Fn(&[String]) -> Result<(), String>,
    ) -> Option<Vec<String>> {
        texts(self.entry, key, report, check)
    }

    /// `root_rule: {rule_kind: tag_glob_csv, rule_value: [...]}`
    fn globs(&self, report: &mut Report<'_>) -> Option<Vec<String>> {
        let Some(node) = self.entry.get("root_rule") else {
            let reason = "is missing; give {rule_value: [patterns of tags]}";
            self.mistake(report, "root_rule", reason);
            return None;
        };
        let path = self.entry.path("root_rule");
        let rule = Fields::open(node, &path, &RULE_KEYS, report)?;
        rule.read(report, "rule_kind", |node| {
            match value::text(node)?.as_str() {
                "tag_glob_csv" => Ok(()),
                other => Err(format!("{other:?} is no kind of rule; write tag_glob_csv")),
            }
        });
        let globs = texts(&rule, "rule_value", report, check_mirror_globs);
        if globs.as_ref().is_none_or(Vec::is_empty) {
            let reason = "is missing; give at least one pattern of tags";
            entry_mistake(&rule, "rule_value", reason, report);
        }
        globs
    }

    fn transport(&self, wish: &mut MirrorWish, report: &mut Report<'_>) {
        let (mut tls, mut unsigned) = (true, false);
        let mut proxies = [None, None, None];
        if let Some(node) = self.entry.get("external_registry_config") {
            let path = self.entry.path("external_registry_config");
            if let Some(given) = Fields::open(node, &path, &TRANSPORT_KEYS, report) {
                tls = given
                    .read(report, "verify_tls", value::switch)
                    .unwrap_or(true);
                let switch = given.read(report, "unsigned_images", value::switch);
                unsigned = switch.unwrap_or(false);
                proxies = read_proxies(&given, report);
            }
        }
        let [http, https, none] = proxies;
        wish.verify_tls = Some(tls);
        wish.unsigned_images = Some(unsigned);
        wish.http_proxy = Some(http);
        wish.https_proxy = Some(https);
        wish.no_proxy = Some(none);
    }

    fn more(&self, report: &mut Report<'_>) -> MirrorMore {
        let Some(node) = self.entry.get("entrepot") else {
            return MirrorMore::default();
        };
        let path = self.entry.path("entrepot");
        let Some(given) = Fields::open(node, &path, &OUR_KEYS, report) else {
            return MirrorMore::default();
        };
        let percent = |node: &Node| value::integer(node, 0, 100);
        let cap = given.read(report, "deletion_cap_percent", percent);
        let newest = |node: &Node| value::integer(node, 1, u64::from(u32::MAX));
        let newest = given.read(report, "newest", newest);
        MirrorMore {
            exclude: texts(&given, "exclude", report, check_mirror_globs),
            semver: given.read(report, "semver", semver).map(Some),
            newest: newest.map(|newest| u32::try_from(newest).ok()),
            cron: given.read(report, "cron", cron).map(Some),
            deletion: given.read(report, "deletion", value::parsed),
            deletion_cap_percent: cap.and_then(|cap| u8::try_from(cap).ok()),
            bandwidth: windows(&given, report),
            platforms: texts(&given, "platforms", report, check_mirror_platforms),
            referrers: given.read(report, "referrers", value::switch),
        }
    }
}

fn read_proxies(given: &Fields, report: &mut Report<'_>) -> [Option<String>; 3] {
    let Some(node) = given.get("proxy") else {
        return [None, None, None];
    };
    let path = given.path("proxy");
    let Some(proxies) = Fields::open(node, &path, &PROXY_KEYS, report) else {
        return [None, None, None];
    };
    let url = |node: &Node| address::url(node).map(|url| url.to_string());
    [
        proxies.read(report, "http_proxy", url),
        proxies.read(report, "https_proxy", url),
        proxies.read(report, "no_proxy", value::text),
    ]
}

/// A list of texts that is right as a whole.
fn texts(
    fields: &Fields,
    key: &str,
    report: &mut Report<'_>,
    check: impl Fn(&[String]) -> Result<(), String>,
) -> Option<Vec<String>> {
    let list = fields.list(report, key, value::text)?;
    match check(&list) {
        Ok(()) => Some(list),
        Err(reason) => {
            entry_mistake(fields, key, &reason, report);
            None
        }
    }
}

fn windows(given: &Fields, report: &mut Report<'_>) -> Option<Vec<BandwidthWindow>> {
    let items = given.items(report, "bandwidth")?;
    let mut windows = Vec::new();
    for (path, node) in items {
        let Some(window) = Fields::open(&node, &path, &WINDOW_KEYS, report) else {
            continue;
        };
        let from = window.require(report, "from", minutes);
        let until = window.require(report, "until", minutes);
        let rate = window.require(report, "bytes_per_second", rate);
        if let (Some(from), Some(until), Some(bytes_per_second)) = (from, until, rate) {
            windows.push(BandwidthWindow {
                from,
                until,
                bytes_per_second,
            });
        }
    }
    match check_mirror_windows(&windows) {
        Ok(()) => Some(windows),
        Err(reason) => {
            entry_mistake(given, "bandwidth", &reason, report);
            None
        }
    }
}

/// A range of versions; `mirror` reads it again.
fn semver(node: &Node) -> Parsed<String> {
    let text = value::text(node)?;
    let range = semver::VersionReq::parse(&text);
    range.map_err(|error| format!("{text:?} is no range of versions: {error}"))?;
    Ok(text)
}

/// Five fields; `mirror` reads them again.
fn cron(node: &Node) -> Parsed<String> {
    let text = value::text(node)?;
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let fail = |reason: &dyn std::fmt::Display| {
        format!("{text:?} is no cron expression such as 30 2 * * *: {reason}")
    };
    let cron = parser.parse(&text).map_err(|error| fail(&error))?;
    let comes = cron.find_next_occurrence(&chrono::DateTime::UNIX_EPOCH, false);
    comes.map_err(|_| fail(&"that time never comes"))?;
    Ok(text)
}

fn minutes(node: &Node) -> Parsed<u16> {
    match &node.value {
        // YAML 1.1 reads 22:00 as a number in base 60.
        Value::Integer(_) => Err("is no text; write it in quotes, \"22:00\"".to_owned()),
        _ => parse_minutes(&value::text(node)?),
    }
}

fn rate(node: &Node) -> Parsed<u64> {
    match &node.value {
        Value::Integer(number) => {
            u64::try_from(*number).map_err(|_| format!("{number} is no number of bytes"))
        }
        _ => parse_rate(&value::text(node)?),
    }
}

/// `organization/name`; the name may hold slashes.
fn full_name(node: &Node) -> Parsed<(NamespaceName, RepositoryName)> {
    let text = value::text(node)?;
    let fail = |reason: &dyn std::fmt::Display| format!("{text:?} cannot be used: {reason}");
    let (organization, name) = text
        .split_once('/')
        .ok_or_else(|| fail(&"it is organization/name"))?;
    let organization = organization.parse().map_err(|error| fail(&error))?;
    let name = name.parse().map_err(|error| fail(&error))?;
    Ok((organization, name))
}

fn reference(node: &Node) -> Parsed<String> {
    let text = value::text(node)?;
    check_mirror_reference(&text)?;
    Ok(text)
}

/// A password or a user name: never shown.
fn secret(node: &Node) -> Parsed<Secret> {
    value::text(node).map(Secret::new)
}

fn interval(node: &Node) -> Parsed<u64> {
    let seconds = value::seconds(node, MOST_SECONDS)?.as_secs();
    check_mirror_interval(seconds).map(|()| seconds)
}

fn deadline(node: &Node) -> Parsed<u64> {
    let seconds = value::seconds(node, MOST_SECONDS)?.as_secs();
    check_mirror_deadline(seconds).map(|()| seconds)
}

/// `2025-01-15T12:00:00Z`
fn date(node: &Node) -> Parsed<Timestamp> {
    let text = value::text(node)?;
    let time: Result<jiff::Timestamp, _> = text.parse();
    let time = time.map_err(|_| format!("{text:?} is no time; write 2025-01-15T12:00:00Z"))?;
    Ok(Timestamp::from_millis(time.as_millisecond()))
}
