//! What a changed file changes in a running server.

use super::*;

fn restarts(old: &str, new: &str) -> Vec<&'static str> {
    good(old).changes_needing_restart(&good(new))
}

#[test]
fn what_a_running_server_takes_over_needs_no_restart() {
    let mirror = "REGISTRY_MIRRORS: [{organization: quay.io, listen: \"127.0.0.1:1\"}]\n";
    for (old, new) in [
        (
            "",
            "PROXY_CACHES: [{organization: docker.io, upstream: docker.io, fresh_s: 1}]\n",
        ),
        (
            "",
            "LOG_LEVEL: debug\nOFFLINE: true\nREVALIDATE_DEADLINE: 2s\nSHUTDOWN_TIMEOUT: 1s\n",
        ),
        (
            "",
            "REGISTRY_STATE: readonly\nDEFAULT_TAG_EXPIRATION: 1d\nMAXIMUM_LAYER_SIZE: 1 GiB\n\
             UPLOAD_EXPIRATION: 1h\nALLOW_SPARSE_IMAGES: true\n",
        ),
        (
            mirror,
            "REGISTRY_MIRRORS:\n- {organization: quay.io, listen: \"127.0.0.1:1\", hostname: q}\n",
        ),
    ] {
        assert_eq!(restarts(old, new), Vec::<&str>::new(), "{new}");
    }
}

#[test]
fn what_is_fixed_at_the_start_is_named() {
    for (new, keys) in [
        ("LISTEN: 127.0.0.1:1\n", vec!["LISTEN"]),
        ("LISTEN_METRICS: none\n", vec!["LISTEN_METRICS"]),
        (
            "DATA_DIR: ./other\nHOT_CACHE: 1 MiB\n",
            vec!["DATA_DIR", "HOT_CACHE"],
        ),
        ("STORE_CACHE: 1 MiB\n", vec!["STORE_CACHE"]),
        ("REGISTRY_MIRRORS: []\n", vec!["REGISTRY_MIRRORS"]),
        ("LOG_FORMAT: json\n", vec!["LOG_FORMAT"]),
        ("FEATURE_PROXY_CACHE: false\n", vec!["FEATURE_*"]),
        (
            "FEATURE_LIBRARY_SUPPORT: false\nFEATURE_GARBAGE_COLLECTION: false\n",
            vec!["FEATURE_*"],
        ),
        ("ANONYMOUS_PUSH: [guests]\n", vec!["ANONYMOUS_PUSH"]),
        (
            "GARBAGE_COLLECTION_FREQUENCY: 60\n",
            vec!["GARBAGE_COLLECTION_FREQUENCY"],
        ),
        (
            "SCRUB_INTERVAL: none\nSCRUB_BANDWIDTH: 1 MiB\n",
            vec!["SCRUB_INTERVAL", "SCRUB_BANDWIDTH"],
        ),
        ("LIBRARY_NAMESPACE: base\n", vec!["LIBRARY_NAMESPACE"]),
        ("ROBOTS_DISALLOW: true\n", vec!["ROBOTS_DISALLOW"]),
    ] {
        assert_eq!(restarts("", new), keys, "{new}");
    }
}

#[test]
fn another_exception_of_robots_is_fixed_too() {
    let only = |name: &str| format!("ROBOTS_DISALLOW: true\nROBOTS_WHITELIST: [{name}]\n");
    let found = restarts(&only("acme+one"), &only("acme+two"));
    assert_eq!(found, ["ROBOTS_WHITELIST"]);
}

#[test]
fn other_certificates_are_taken_over_but_tls_itself_is_fixed() {
    let plain = good("");
    let tls = |certificate: &str| Config {
        tls: Some(TlsConfig {
            certificate: certificate.into(),
            key: "key".into(),
            clients: None,
        }),
        ..plain.clone()
    };
    assert_eq!(
        tls("a").changes_needing_restart(&tls("b")),
        Vec::<&str>::new()
    );
    assert_eq!(
        plain.changes_needing_restart(&tls("a")),
        ["TLS_CERTIFICATE"]
    );
}
