//! What counts when little or nothing is said.

use std::time::Duration;

use super::*;
use crate::model::{PasswordSource, PlatformPolicy, ProxyChoice};

fn built_in() -> Config {
    let environment = Environment::default();
    let loaded = Config::load(ConfigSource::BuiltIn, &environment, &Flags::default());
    let (mut config, warnings) = loaded.unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(warnings, []);
    // What was written down is not compared, only what it comes to.
    config.given.clear();
    config
}

#[test]
fn the_built_in_configuration_is_seven_caches_and_a_mirror_of_docker_io() {
    let config = built_in();
    let names: Vec<_> = config
        .upstreams
        .iter()
        .map(|rule| rule.organization.as_str())
        .collect();
    let expected = [
        "docker.io",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "registry.k8s.io",
        "mcr.microsoft.com",
        "public.ecr.aws",
    ];
    assert_eq!(names, expected);
    for rule in &config.upstreams {
        assert_eq!(rule.upstream.host, rule.organization.as_str());
        assert_eq!(rule.fresh, Duration::from_secs(60));
        assert_eq!(rule.expiration, Some(Duration::from_secs(86_400)));
        assert!(rule.anonymous_pull && !rule.strict_expiration && !rule.insecure);
        assert_eq!((rule.max_connections, rule.quota), (8, None));
        assert_eq!(rule.proxy, ProxyChoice::Environment);
        assert_eq!(rule.platforms, PlatformPolicy::Requested);
    }
    let mirror = &config.registry_mirrors[0];
    assert_eq!(mirror.organization.as_str(), "docker.io");
    assert_eq!(mirror.listen, Some(([127, 0, 0, 1], 8081).into()));
    assert_eq!(config.listen, [([127, 0, 0, 1], 8080).into()]);
    assert_eq!(config.listen_metrics, Some(([127, 0, 0, 1], 9091).into()));
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    assert_eq!(config.deadlines, Deadlines::default());
    assert_eq!(config.hot_cache, ByteSize::mib(16));
    assert!(config.features.proxy_cache && !config.offline);
}

#[test]
fn an_empty_file_is_the_built_in_configuration() {
    for text in ["", "# nothing\n", "---\n", "\u{feff}"] {
        assert_eq!(good(text), built_in(), "{text:?}");
    }
}

#[test]
fn caches_replace_the_built_in_list_and_its_mirror_stays_only_with_docker_io() {
    let config = good(&cache(""));
    assert_eq!(config.upstreams.len(), 1);
    assert_eq!(config.upstreams[0].fresh, Duration::ZERO);
    assert_eq!(config.registry_mirrors, []);
    let config = good("PROXY_CACHES:\n- {organization: docker.io, upstream: docker.io}\n");
    assert_eq!(config.registry_mirrors.len(), 1);
    let config = good("PROXY_CACHES: []\n");
    assert_eq!(
        (config.upstreams.len(), config.registry_mirrors.len()),
        (0, 0)
    );
    let config = good("REGISTRY_MIRRORS: []\n");
    assert_eq!(
        (config.upstreams.len(), config.registry_mirrors.len()),
        (7, 0)
    );
}

#[test]
fn a_listener_on_the_built_in_mirrors_address_is_told() {
    let errors = load("LISTEN: 127.0.0.1:8081\n").unwrap_err();
    let shown = errors[0].to_string();
    assert!(
        shown.starts_with("built-in configuration: REGISTRY_MIRRORS[0].listen"),
        "{shown}"
    );
    assert!(shown.contains("already taken by LISTEN"), "{shown}");
}

#[test]
fn every_key_of_a_cache_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (password, authority) = (folder.path().join("p"), folder.path().join("ca.pem"));
    std::fs::write(&password, "hush\n").unwrap();
    std::fs::write(&authority, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let config = good(&cache(&format!(
        "    endpoint: https://two.example:8443/base
    username: me
    password_file: {}
    ca_file: {}
    proxy: http://squid:3128
    expiration_s: 0
    fresh_s: 5m
    strict_expiration: yes
    anonymous_pull: true
    quota: 20G
    platforms: [linux/amd64, linux/arm/v7]
    pin: [\"v1.*\", \"library/alpine:3.*\"]
    max_connections: 3
    bandwidth: 10 Mbit/s
",
        password.display(),
        authority.display()
    )));
    let rule = &config.upstreams[0];
    assert_eq!(rule.endpoint.as_ref().unwrap().port(), Some(8443));
    let account = rule.credentials.as_ref().unwrap();
    assert_eq!(account.username, "me");
    assert_eq!(account.password, PasswordSource::File(password));
    assert_eq!(rule.ca_file, Some(authority));
    assert!(matches!(&rule.proxy, ProxyChoice::Url(url) if url.port() == Some(3128)));
    assert_eq!(
        (rule.expiration, rule.fresh),
        (None, Duration::from_secs(300))
    );
    assert!(rule.strict_expiration && rule.anonymous_pull);
    assert_eq!(rule.quota, Some(ByteSize::gib(20)));
    assert!(matches!(&rule.platforms, PlatformPolicy::Listed(list) if list.len() == 2));
    assert_eq!(rule.pin, ["v1.*", "library/alpine:3.*"]);
    assert_eq!(
        (rule.max_connections, rule.bandwidth),
        (3, Some(ByteSize(1_250_000)))
    );
    let config = good(&cache(
        "    proxy: none\n    platforms: all\n    insecure: on\n",
    ));
    let rule = &config.upstreams[0];
    assert_eq!(
        (&rule.proxy, &rule.platforms),
        (&ProxyChoice::None, &PlatformPolicy::All)
    );
    assert!(rule.insecure);
}

/// SC-239: a whole registry, or one namespace of it.
#[test]
fn an_upstream_is_a_registry_or_one_namespace_of_it() {
    let text = "PROXY_CACHES:
- {organization: hub, upstream: docker.io}
- {organization: library, upstream: registry-1.docker.io/library}
";
    let config = good(text);
    assert_eq!(config.upstreams[0].upstream.to_string(), "docker.io");
    assert_eq!(
        config.upstreams[1].upstream.to_string(),
        "docker.io/library"
    );
}

/// DESIGN 3, "Who may pull from a cache".
#[test]
fn who_may_pull_follows_the_account_unless_it_is_said() {
    let account = "    username: me\n    password: x\n";
    for (more, anonymous, warning) in [
        ("", true, None),
        (
            account,
            false,
            Some("until the first user exists nobody can"),
        ),
        (
            "    anonymous_pull: false\n",
            false,
            Some("until the first user exists nobody can"),
        ),
        (
            "    username: me\n    password: x\n    anonymous_pull: true\n",
            true,
            Some("reads what the account \"me\" can read"),
        ),
    ] {
        let text = cache(more);
        assert_eq!(good(&text).upstreams[0].anonymous_pull, anonymous, "{more}");
        let found = warnings(&text);
        assert_eq!(found.len(), usize::from(warning.is_some()), "{found:?}");
        assert!(
            warning.is_none_or(|part| found[0].contains(part)),
            "{found:?}"
        );
    }
}

#[test]
fn listening_to_the_network_without_tls_is_warned_about() {
    let found = warnings("OFFLINE: true\nLISTEN: [127.0.0.1:1, \"[::1]:1\", 0.0.0.0:2]\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("config.yaml:2:9: LISTEN: 0.0.0.0:2 is reachable"),
        "{found:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c"), folder.path().join("k"));
    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(&key, "-----BEGIN EC PRIVATE KEY-----\n").unwrap();
    let files = [certificate.display(), key.display()].map(|path| path.to_string());
    let [certificate, key] = files;
    let text = format!("LISTEN: 0.0.0.0:2\nTLS_CERTIFICATE: {certificate}\nTLS_KEY: {key}\n");
    assert_eq!(warnings(&text), Vec::<String>::new());
    assert_eq!(good(&text).tls.unwrap().key, PathBuf::from(key));
}

/// The file of a Quay can be used as it is: one warning a key, no mistake.
#[test]
fn keys_of_quay_are_accepted_with_one_warning_each() {
    let text = "\
DB_URI: postgresql://a:b@c/d
BUILDLOGS_REDIS: {host: r, port: 6379}
DISTRIBUTED_STORAGE_CONFIG:
  default: [LocalStorage, {storage_path: /x}]
SETUP_COMPLETE: true
MAIL_PORT:
AZURE_LOGIN_CONFIG: {OIDC_SERVER: https://x/}
SUPER_USERS: [quayadmin]
FEATURE_GARBAGE_COLLECTION: true
FEATURE_MAILING: False
";
    let found = warnings(text);
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(
        found[0].starts_with("config.yaml:1:1: DB_URI: is a setting of Quay"),
        "{found:?}"
    );
    let config = good(text);
    assert_eq!(config.super_users[0].as_str(), "quayadmin");
    assert!(!config.features.mailing);
}

#[test]
fn deadlines_and_other_settings_are_read() {
    let config = good(
        "REVALIDATE_DEADLINE: 500ms\nUPSTREAM_IDLE_TIMEOUT: 2m\nNEGATIVE_CACHE: 0s\n\
         LISTEN: localhost:0\nLISTEN_METRICS: none\nDISK_RESERVE: 2 GiB\n\
         TRUSTED_PROXIES: [10.0.0.0/8, 192.0.2.1]\nSSRF_ALLOWED_HOSTS: [Registry.LAN, 10.1.0.0/16]\n\
         LOG_FORMAT: json\nLOG_LEVEL: info,entrepot::proxy=debug\nPREFERRED_URL_SCHEME: https\n",
    );
    assert_eq!(config.deadlines.revalidate, Duration::from_millis(500));
    assert_eq!(config.deadlines.idle, Duration::from_secs(120));
    assert_eq!(config.deadlines.negative, Duration::ZERO);
    assert_eq!(config.listen, [([127, 0, 0, 1], 0).into()]);
    assert_eq!(config.listen_metrics, None);
    assert_eq!(config.disk_reserve, Some(ByteSize::gib(2)));
    assert_eq!(config.trusted_proxies.len(), 2);
    let name = AllowedHost::Name("registry.lan".to_owned());
    assert_eq!(config.outbound.ssrf_allowed_hosts[0], name);
    assert_eq!(config.log.format, crate::telemetry::LogFormat::Json);
    assert_eq!(config.url_scheme, Some(UrlScheme::Https));
}

#[test]
fn a_configuration_for_tests_listens_on_free_ports() {
    let config = Config::for_testing("/nonexistent".into());
    assert_eq!(config.listen[0].port(), 0);
    assert!(config.upstreams.is_empty() && config.registry_mirrors.is_empty());
}
