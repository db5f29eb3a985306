//! What is said of mirrors.

use super::*;
use crate::model::{BandwidthWindow, Deletion, MirrorMore, MirrorWish, Secret, Timestamp};

/// A mirror that says nothing more than it must, behind the first three lines.
fn mirror(more: &str) -> String {
    format!("MIRRORS:\n- repository: acme/app\n  external_reference: quay.io/org/app\n{more}")
}

const RULE: &str = "  root_rule: {rule_value: [v*]}\n";

#[test]
fn the_least_entry_is_a_mirror_once_a_day() {
    let config = good(&mirror(RULE));
    let [mirror] = config.mirrors.as_slice() else {
        panic!("{:?}", config.mirrors);
    };
    assert_eq!(
        (mirror.organization.as_str(), mirror.repository.as_str()),
        ("acme", "app")
    );
    let expected = MirrorWish {
        enabled: Some(true),
        reference: Some("quay.io/org/app".to_owned()),
        username: Some(None),
        password: Some(None),
        verify_tls: Some(true),
        unsigned_images: Some(false),
        http_proxy: Some(None),
        https_proxy: Some(None),
        no_proxy: Some(None),
        interval_s: Some(86_400),
        globs: Some(vec!["v*".to_owned()]),
        ..MirrorWish::default()
    };
    assert_eq!(mirror.wish, expected);
}

#[test]
fn everything_that_the_api_takes_is_read() {
    let text = "MIRRORS:
- repository: acme/deep/app
  is_enabled: false
  external_reference: https://quay.io/repository/org/app
  external_registry_username: u
  external_registry_password: p
  external_registry_config:
    verify_tls: false
    unsigned_images: true
    proxy: {http_proxy: \"http://squid:3128\", https_proxy: \"http://squid:3129\", no_proxy: localhost}
  sync_interval: 1h
  sync_start_date: 2025-01-15T12:00:00Z
  robot_username: acme+copier
  root_rule: {rule_kind: tag_glob_csv, rule_value: [a, \"b*\"]}
  skopeo_timeout_interval: 600
  architecture_filter: [amd64]
  entrepot:
    exclude: [\"*-rc*\"]
    semver: \">=1.2, <2\"
    newest: 5
    cron: \"30 2 * * *\"
    deletion: archive
    deletion_cap_percent: 20
    bandwidth:
    - {from: \"22:00\", until: \"06:00\", bytes_per_second: 10 MiB}
    platforms: [linux/amd64]
    referrers: false
";
    let mirror = good(text).mirrors.remove(0);
    let texts = |texts: &[&str]| Some(texts.iter().map(|it| (*it).to_owned()).collect());
    let expected = MirrorWish {
        enabled: Some(false),
        reference: Some("https://quay.io/repository/org/app".to_owned()),
        username: Some(Some(Secret::new("u"))),
        password: Some(Some(Secret::new("p"))),
        verify_tls: Some(false),
        unsigned_images: Some(true),
        http_proxy: Some(Some("http://squid:3128/".to_owned())),
        https_proxy: Some(Some("http://squid:3129/".to_owned())),
        no_proxy: Some(Some("localhost".to_owned())),
        start: Some(Timestamp::from_millis(1_736_942_400_000)),
        interval_s: Some(3_600),
        robot: Some("acme+copier".parse().unwrap()),
        globs: texts(&["a", "b*"]),
        deadline_s: Some(600),
        architectures: texts(&["amd64"]),
        more: MirrorMore {
            exclude: texts(&["*-rc*"]),
            semver: Some(Some(">=1.2, <2".to_owned())),
            newest: Some(Some(5)),
            cron: Some(Some("30 2 * * *".to_owned())),
            deletion: Some(Deletion::Archive),
            deletion_cap_percent: Some(20),
            bandwidth: Some(vec![BandwidthWindow {
                from: 22 * 60,
                until: 6 * 60,
                bytes_per_second: 10 << 20,
            }]),
            platforms: texts(&["linux/amd64"]),
            referrers: Some(false),
        },
    };
    assert_eq!(mirror.repository.as_str(), "deep/app");
    assert_eq!(mirror.wish, expected);
}

/// LC-04: each mistake with its line, its key and what would be right; of a secret, nothing.
#[test]
fn mistakes_are_told_where_they_stand() {
    for (more, line, part) in [
        ("", 2, "MIRRORS[0].root_rule: is missing"),
        (
            "  root_rule: {rule_kind: regex, rule_value: [a]}\n",
            4,
            "write tag_glob_csv",
        ),
        (
            "  root_rule: {rule_kind: tag_glob_csv}\n",
            4,
            "root_rule.rule_value: is missing",
        ),
        (
            "  root_rule: {rule_values: [a]}\n",
            4,
            "did you mean rule_value?",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  sync_intervall: 5\n",
            5,
            "did you mean sync_interval?",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  sync_interval: 0\n",
            5,
            "sync_interval is 1 to",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  sync_start_date: soon\n",
            5,
            "write 2025-01-15T12:00:00Z",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  skopeo_timeout_interval: 1\n",
            5,
            "is 300 to",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  robot_username: other+ci\n",
            5,
            "is no robot of acme",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  architecture_filter: [mips]\n",
            5,
            "'mips' is not one of",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  external_registry_password: secret-word\n",
            2,
            "external_registry_username: is missing, though a password is given",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  external_registry_username: u\n  password_file: /nonexistent/p\n",
            6,
            "cannot read /nonexistent/p",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  external_registry_config: {proxy: {http_proxy: squid}}\n",
            5,
            "external_registry_config.proxy.http_proxy",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  entrepot: {semver: about}\n",
            5,
            "is no range of versions",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  entrepot: {cron: \"0 0 30 2 *\"}\n",
            5,
            "is no cron expression",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  entrepot: {deletion: hide}\n",
            5,
            "keep, archive, delete",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  entrepot: {newest: 0}\n",
            5,
            "write 1 to",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  entrepot: {platforms: [linux]}\n",
            5,
            "is not os/architecture",
        ),
        (
            "  root_rule: {rule_value: [a]}\n  entrepot: {bandwidth: [{from: \"22\", until: \"06:00\", bytes_per_second: 1}]}\n",
            5,
            "entrepot.bandwidth[0].from: \"22\" is no time of the day",
        ),
        (
            "  root_rule: {rule_value: [a]}\n- repository: acme/app\n  external_reference: quay.io/a/b\n  root_rule: {rule_value: [a]}\n",
            5,
            "is the repository of another entry already",
        ),
        (
            "  root_rule: {rule_value: [a]}\n- repository: quay.io/app\n  external_reference: quay.io/a/b\n  root_rule: {rule_value: [a]}\n",
            5,
            "quay.io is a cache, PROXY_CACHES[",
        ),
        (
            "  root_rule: {rule_value: [a]}\n- repository: app\n  external_reference: quay.io/a/b\n  root_rule: {rule_value: [a]}\n",
            5,
            "it is organization/name",
        ),
    ] {
        let errors = load(&mirror(more)).err().unwrap_or_default();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let prefix = format!("config.yaml:{line}:");
        let found = shown
            .iter()
            .any(|told| told.starts_with(&prefix) && told.contains(part));
        assert!(found, "{more}: {shown:#?}");
        assert!(!shown.join("\n").contains("secret-word"), "{shown:?}");
    }
}

/// A change counts while the server runs.
#[test]
fn mirrors_are_reloaded() {
    let (one, other) = (good(""), good(&mirror(RULE)));
    assert_eq!(one.changes_needing_restart(&other), Vec::<&str>::new());
}
