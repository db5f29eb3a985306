//! What is said of pushes, of keeping and freeing, and of who comes in.

use std::time::Duration;

use super::broken::Broken;
use super::*;
use crate::model::RobotName;
use crate::oci::MediaType;

/// LC-04: what is pushed, kept and let in.
pub(super) const BROKEN: &[Broken] = &[
    (
        "ANONYMOUS_PUSH: [guests, Guests]\n",
        1,
        "ANONYMOUS_PUSH[1]: \"Guests\" is not a name; write 2 to 255 lower-case letters",
    ),
    ("ANONYMOUS_PUSH: [a__b]\n", 1, "single '.', '_' or '-'"),
    ("ANONYMOUS_PUSH: [a/b]\n", 1, "\"a/b\" is not a name"),
    (
        "ANONYMOUS_PUSH: x\n",
        1,
        "ANONYMOUS_PUSH: \"x\" is not a name",
    ),
    (
        "ANONYMOUS_PUSH: {guests: all}\n",
        1,
        "begin its entries with '- '",
    ),
    (
        "OFFLINE: true\nANONYMOUS_PUSH:\n  - guests\n  - guests\n",
        4,
        "guests stands here twice",
    ),
    (
        "ANONYMOUS_PUSH: [docker.io]\n",
        1,
        "docker.io is a cache, PROXY_CACHES[0]",
    ),
    (
        "ANONYMOUS_PUSH:\n- one\nPROXY_CACHES: [{organization: one, upstream: one.example}]\n",
        2,
        "one is a cache, PROXY_CACHES[0], and what a cache holds comes from upstream only",
    ),
    (
        "FEATURE_ANONYMOUS_ACCESS: false\nANONYMOUS_PUSH: [guests]\n",
        2,
        "but FEATURE_ANONYMOUS_ACCESS is false",
    ),
    (
        "CREATE_PRIVATE_REPO_ON_PUSH: private\n",
        1,
        "is not a switch",
    ),
    ("CREATE_NAMESPACE_ON_PUSH: 3\n", 1, "found a number"),
    ("MAXIMUM_LAYER_SIZE: 20 gigs\n", 1, "has no known unit"),
    ("MAXIMUM_LAYER_SIZE: 10\n", 1, "write 1 MiB to"),
    ("REGISTRY_STATE: read-only\n", 1, "did you mean readonly?"),
    ("DISABLE_PUSHES: never\n", 1, "is not a switch"),
    (
        "ALLOWED_OCI_ARTIFACT_TYPES: [application/x]\n",
        1,
        "expected a mapping from config media types to lists",
    ),
    (
        "ALLOWED_OCI_ARTIFACT_TYPES:\n  application/x: [text/y, nothing]\n",
        2,
        "ALLOWED_OCI_ARTIFACT_TYPES.application/x: \"nothing\" is not a media type",
    ),
    (
        "ALLOWED_OCI_ARTIFACT_TYPES:\n  application/x:\n",
        2,
        "expected a list of layer media types, found nothing; [] for none",
    ),
    (
        "ALLOWED_OCI_ARTIFACT_TYPES:\n  helm: [text/y]\n",
        2,
        "\"helm\" is not a media type; write one such as",
    ),
    (
        "ALLOWED_OCI_ARTIFACT_TYPES:\n  a/b: [text/y]\n  \"a/b;q=1\": [text/z]\n",
        3,
        "is not a media type",
    ),
    (
        "ALLOWED_OCI_ARTIFACT_TYPES:\n  a/b: [text/y]\n  a/b: [text/z]\n",
        3,
        "a/b is given twice",
    ),
    ("DEFAULT_TAG_EXPIRATION: 2\n", 1, "write 2s for seconds"),
    (
        "DEFAULT_TAG_EXPIRATION: 1500ms\n",
        1,
        "is not whole seconds",
    ),
    (
        "DEFAULT_TAG_EXPIRATION: 3w\n",
        1,
        "21d is not one of TAG_EXPIRATION_OPTIONS (0s, 1d, 7d, 14d, 28d); add it there",
    ),
    (
        "LOG_LEVEL: info\nTAG_EXPIRATION_OPTIONS: [1d, 1y]\n",
        2,
        "lacks 14d, the default of DEFAULT_TAG_EXPIRATION",
    ),
    (
        "TAG_EXPIRATION_OPTIONS: []\n",
        1,
        "give at least one duration",
    ),
    (
        "TAG_EXPIRATION_OPTIONS: [2w, 14d]\n",
        1,
        "14d stands here twice",
    ),
    (
        "TAG_EXPIRATION_OPTIONS: [2w, often]\n",
        1,
        "TAG_EXPIRATION_OPTIONS[1]",
    ),
    (
        "TAG_EXPIRATION_OPTIONS: [2w, 101y]\n",
        1,
        "write 0s to 36500d",
    ),
    ("PUSH_TEMP_TAG_EXPIRATION_SEC: 0\n", 1, "write 1s to 30d"),
    ("PUSH_TEMP_TAG_EXPIRATION_SEC: 31d\n", 1, "write 0s to 30d"),
    ("UPLOAD_EXPIRATION: 10s\n", 1, "write 1m to 365d"),
    ("GARBAGE_COLLECTION_FREQUENCY: -1\n", 1, "write 0 to 86400"),
    ("SCRUB_INTERVAL: 10m\n", 1, "write 1h or more, or none"),
    (
        "SCRUB_INTERVAL: never\n",
        1,
        "is not a duration; write 500ms",
    ),
    ("SCRUB_BANDWIDTH: fast\n", 1, "or none"),
    ("LIBRARY_NAMESPACE: a/b\n", 1, "is not a name"),
    ("ROBOTS_DISALLOW: most\n", 1, "is not a switch"),
    (
        "ROBOTS_DISALLOW: true\nROBOTS_WHITELIST: [acme+ci, acme]\n",
        2,
        "ROBOTS_WHITELIST[1]: \"acme\" cannot be used",
    ),
];

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn without_a_word_users_push_everything_and_it_is_private() {
    let config = good("");
    let pushes = &config.pushes;
    assert_eq!(pushes.anonymous, []);
    assert!(pushes.create_private && !pushes.create_namespace);
    assert_eq!(pushes.artifacts, Artifacts::Any);
    assert_eq!(pushes.maximum_layer, ByteSize::gib(20));
    assert!(!pushes.sparse_images && pushes.sparse_indexes);
    assert_eq!(pushes.closed, None);
    assert_eq!(config.retention, RetentionConfig::default());
    assert_eq!(config.retention.time_machine, 14 * DAY);
    assert_eq!(config.retention.grace, Duration::from_secs(3600));
    let access = &config.access;
    assert!(access.anonymous && access.app_tokens && access.referrers);
    assert!(!access.superusers_full_access);
    assert_eq!(access.library.as_ref().unwrap().as_str(), "library");
    assert_eq!(access.robots, RobotAccess::All);
}

#[test]
fn every_key_of_pushes_is_read() {
    let config = good(
        "ANONYMOUS_PUSH: [guests, lab.one]\nCREATE_PRIVATE_REPO_ON_PUSH: false\n\
         CREATE_NAMESPACE_ON_PUSH: true\nMAXIMUM_LAYER_SIZE: 20G\nALLOW_SPARSE_IMAGES: true\n\
         FEATURE_SPARSE_INDEX: false\n",
    );
    let pushes = &config.pushes;
    let names: Vec<_> = pushes.anonymous.iter().map(NamespaceName::as_str).collect();
    assert_eq!(names, ["guests", "lab.one"]);
    assert!(!pushes.create_private && pushes.create_namespace);
    assert_eq!(pushes.maximum_layer, ByteSize::gib(20));
    assert!(pushes.sparse_images && !pushes.sparse_indexes);
}

/// The registry without authentication is warned about where the network reaches it.
#[test]
fn a_push_for_everyone_is_warned_about_unless_only_this_host_reaches_it() {
    assert_eq!(warnings("ANONYMOUS_PUSH: [guests]\n"), Vec::<String>::new());
    let found = warnings("LISTEN: 0.0.0.0:1\nANONYMOUS_PUSH: [guests, lab]\n");
    let expected = "config.yaml:2:17: ANONYMOUS_PUSH: everyone who reaches 0.0.0.0:1 may push to \
                    and delete from guests, lab";
    assert_eq!(
        found.last().map(String::as_str),
        Some(expected),
        "{found:?}"
    );
}

#[test]
fn the_environment_gives_lists_of_words_but_no_mapping() {
    let variables = environment([
        ("ENTREPOT_ANONYMOUS_PUSH", "guests, lab"),
        ("ENTREPOT_TAG_EXPIRATION_OPTIONS", "1d,2w"),
        ("ENTREPOT_GARBAGE_COLLECTION_FREQUENCY", "5"),
    ]);
    let (config, _) = load_with("", &variables, &Flags::default()).unwrap();
    assert_eq!(config.pushes.anonymous.len(), 2);
    assert_eq!(config.retention.time_machines, [DAY, 14 * DAY]);
    let every = config.retention.collect_every;
    assert_eq!(every, Some(Duration::from_secs(5)));
    let variables = environment([("ENTREPOT_ALLOWED_OCI_ARTIFACT_TYPES", "a/b")]);
    let errors = load_with("", &variables, &Flags::default()).unwrap_err();
    let shown = errors[0].to_string();
    assert!(
        shown.contains("is a mapping that only the file can give"),
        "{shown}"
    );
}

/// SC-193, SC-201: everything is accepted until types are listed, and then what is listed.
#[test]
fn artifact_types_are_any_listed_or_images_only() {
    let listed = "\
ALLOWED_OCI_ARTIFACT_TYPES:
  application/vnd.sylabs.sif.config.v1+json:
    - application/vnd.sylabs.sif.layer.v1.sif
  application/vnd.oci.empty.v1+json: []
";
    let Artifacts::Listed(types) = good(listed).pushes.artifacts else {
        panic!("types are listed");
    };
    let media_type = |text: &str| text.parse::<MediaType>().unwrap();
    let layers = &types[&media_type("application/vnd.sylabs.sif.config.v1+json")];
    assert!(layers.contains(&media_type("application/vnd.sylabs.sif.layer.v1.sif")));
    assert!(types[&media_type("application/vnd.oci.empty.v1+json")].is_empty());
    assert_eq!(warnings(listed), Vec::<String>::new());
    let off = "FEATURE_GENERAL_OCI_SUPPORT: false\n";
    assert_eq!(good(off).pushes.artifacts, Artifacts::Images);
    let both = format!("{off}{listed}");
    assert_eq!(good(&both).pushes.artifacts, Artifacts::Images);
    let found = warnings(&both);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("has no effect while FEATURE_GENERAL_OCI_SUPPORT is false"));
}

/// SC-193, SC-194: deprecated keys are accepted with one warning each.
#[test]
fn keys_that_artifacts_needed_once_are_accepted_with_one_warning() {
    for line in [
        "FEATURE_HELM_OCI_SUPPORT: true",
        "FEATURE_HELM_OCI_SUPPORT: false",
        "IGNORE_UNKNOWN_MEDIATYPES: true",
    ] {
        let found = warnings(&format!("{line}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("config.yaml:1:1: "), "{found:?}");
        assert!(
            found[0].contains("is deprecated and has no effect"),
            "{found:?}"
        );
    }
}

#[test]
fn nothing_is_written_when_it_is_read_only_or_pushes_are_disabled() {
    for (text, closed) in [
        ("REGISTRY_STATE: normal\n", None),
        ("DISABLE_PUSHES: true\n", Some(Closed::PushesDisabled)),
        ("REGISTRY_STATE: readonly\n", Some(Closed::ReadOnly)),
        (
            "DISABLE_PUSHES: true\nREGISTRY_STATE: readonly\n",
            Some(Closed::ReadOnly),
        ),
    ] {
        assert_eq!(good(text).pushes.closed, closed, "{text}");
    }
}

/// SC-298: a time machine may be as long as the options say.
#[test]
fn every_key_of_keeping_is_read() {
    let config = good(
        "DEFAULT_TAG_EXPIRATION: 1y\nTAG_EXPIRATION_OPTIONS: [0s, 4w, 1y]\n\
         PUSH_TEMP_TAG_EXPIRATION_SEC: 2h\nUPLOAD_EXPIRATION: 6h\n\
         GARBAGE_COLLECTION_FREQUENCY: 5m\nSCRUB_INTERVAL: 1w\nSCRUB_BANDWIDTH: 80 Mbit/s\n\
         PERMANENTLY_DELETE_TAGS: true\nLABELED_EXPIRATION_MAXIMUM: 2w\n\
         RESET_CHILD_MANIFEST_EXPIRATION: true\nDEFAULT_SYSTEM_REJECT_QUOTA_BYTES: 10485760\n",
    );
    let expected = RetentionConfig {
        time_machine: 365 * DAY,
        time_machines: vec![Duration::ZERO, 28 * DAY, 365 * DAY],
        permanently_delete: true,
        reset_children: true,
        default_quota: Some(10_485_760),
        labeled: (DAY / 24, 14 * DAY),
        grace: DAY / 12,
        upload_expiry: DAY / 4,
        collect_every: Some(DAY / 288),
        scrub_every: Some(7 * DAY),
        scrub_bandwidth: Some(ByteSize(10_000_000)),
    };
    assert_eq!(config.retention, expected);
}

#[test]
fn collection_and_scrubbing_can_be_turned_off() {
    for off in ["none", "0s", "0"] {
        let text = format!("SCRUB_INTERVAL: {off}\nSCRUB_BANDWIDTH: {off}\n");
        let retention = good(&text).retention;
        assert_eq!(
            (retention.scrub_every, retention.scrub_bandwidth),
            (None, None)
        );
    }
    let retention = good("FEATURE_GARBAGE_COLLECTION: false\n").retention;
    assert_eq!(retention.collect_every, None);
}

#[test]
fn every_key_of_access_is_read() {
    let config = good(
        "FEATURE_ANONYMOUS_ACCESS: false\nLIBRARY_NAMESPACE: base\nROBOTS_DISALLOW: true\n\
         ROBOTS_WHITELIST: [acme+ci]\nFEATURE_APP_SPECIFIC_TOKENS: false\n\
         FEATURE_SUPERUSERS_FULL_ACCESS: true\nFEATURE_REFERRERS_API: false\n",
    );
    let access = &config.access;
    assert!(!access.anonymous && !access.app_tokens && !access.referrers);
    assert!(access.superusers_full_access);
    assert_eq!(access.library.as_ref().unwrap().as_str(), "base");
    let robot = |name: &str| name.parse::<RobotName>().unwrap();
    assert!(access.robots.admits(&robot("acme+ci")));
    assert!(!access.robots.admits(&robot("acme+deploy")));
    assert_eq!(
        good("FEATURE_LIBRARY_SUPPORT: false\n").access.library,
        None
    );
    let without = "FEATURE_SUPER_USERS: false\nFEATURE_SUPERUSERS_FULL_ACCESS: true\n";
    assert!(!good(without).access.superusers_full_access);
}

#[test]
fn exceptions_from_no_rule_are_warned_about() {
    let text = "ROBOTS_WHITELIST: [acme+ci]\n";
    let found = warnings(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("has no effect while ROBOTS_DISALLOW is false"));
    assert_eq!(good(text).access.robots, RobotAccess::All);
}
