//! Environment, files of values, credentials, flags: which wins.

use super::*;
use crate::model::PasswordSource;

fn load_in(text: &str, environment: &Environment) -> (Config, Vec<Warning>) {
    load_with(text, environment, &Flags::default()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn mistakes(text: &str, environment: &Environment) -> Vec<String> {
    let errors = load_with(text, environment, &Flags::default()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = "LISTEN: 127.0.0.1:1\nLOG_LEVEL: warn\nHOT_CACHE: 32 MiB\n";
    let environment = environment([
        ("ENTREPOT_LISTEN", "127.0.0.1:2"),
        ("ENTREPOT_LOG_LEVEL", "debug"),
        ("ENTREPOT_OFFLINE", "true"),
        ("ENTREPOT_REVALIDATE_DEADLINE", "2s"),
        ("ENTREPOT_FEATURE_PROXY_CACHE", "false"),
        ("ENTREPOT_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
        ("ENTREPOT_STORE_CACHE", ""),
    ]);
    let flags = Flags {
        listen: vec!["127.0.0.1:3".to_owned(), "127.0.0.1:4".to_owned()],
        data_dir: Some("/nonexistent/data".into()),
    };
    let (config, warnings) = load_with(text, &environment, &flags).unwrap();
    assert_eq!(
        config
            .listen
            .iter()
            .map(SocketAddr::port)
            .collect::<Vec<_>>(),
        [3, 4]
    );
    assert_eq!(config.data_dir, PathBuf::from("/nonexistent/data"));
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.hot_cache, ByteSize::mib(32));
    assert_eq!(config.store_cache, ByteSize::mib(16));
    assert!(config.offline && !config.features.proxy_cache);
    assert_eq!(config.deadlines.revalidate.as_secs(), 2);
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(warnings, []);
}

#[test]
fn mistakes_name_the_variable_or_flag_they_are_in() {
    let environment = environment([
        ("ENTREPOT_LOG_FORMAT", "xml"),
        ("ENTREPOT_PROXY_CACHES", "[]"),
        ("ENTREPOT_SERVER_HOSTNAME_FILE", "/nonexistent/name"),
        ("https_proxy", "socks5://proxy:1"),
    ]);
    let flags = Flags {
        listen: vec!["8080".to_owned()],
        data_dir: Some("/dev/null".into()),
    };
    let errors = load_with("", &environment, &flags).unwrap_err();
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for part in [
        "environment: ENTREPOT_LOG_FORMAT: \"xml\" is not one of text, json",
        "environment: ENTREPOT_PROXY_CACHES: is a list that only the file can give",
        "environment: ENTREPOT_SERVER_HOSTNAME_FILE: cannot read /nonexistent/name",
        "environment: https_proxy: is not the URL of an http proxy",
        "command line: --listen[0]: \"8080\" is a port without an address",
        "command line: --data-dir: /dev/null is not a folder",
    ] {
        let found = shown.iter().any(|error| error.starts_with(part));
        assert!(found, "{part}\n{shown:#?}");
    }
    assert_eq!(shown.len(), 6, "{shown:#?}");
}

#[test]
fn variables_that_name_no_key_are_warned_about_and_test_switches_are_not() {
    let environment = environment([
        ("ENTREPOT_LISTNE", "x"),
        ("ENTREPOT_DB_URI", "x"),
        ("ENTREPOT_LONG", "1"),
        ("ENTREPOT_REQUIRE_CLIENTS", "1"),
        ("OTHER", "x"),
    ]);
    let (_, warnings) = load_in("", &environment);
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 2, "{shown:#?}");
    assert!(
        shown
            .iter()
            .any(|warning| warning.contains("did you mean LISTEN?")),
        "{shown:#?}"
    );
}

#[test]
fn a_value_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("name");
    std::fs::write(&path, "registry.example\n").unwrap();
    let path = path.to_str().unwrap();
    let text = format!("SERVER_HOSTNAME_FILE: {path}\n");
    assert_eq!(
        good(&text).server_hostname.as_deref(),
        Some("registry.example")
    );
    let both = format!("{text}SERVER_HOSTNAME: other\n");
    let shown = mistakes(&both, &Environment::default());
    assert!(shown[0].contains("both given"), "{shown:?}");
    let environment = environment([("ENTREPOT_SERVER_HOSTNAME_FILE", path)]);
    let (config, _) = load_in("SERVER_HOSTNAME: other\n", &environment);
    assert_eq!(config.server_hostname.as_deref(), Some("registry.example"));
}

#[test]
fn credentials_of_systemd_are_found_by_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("SERVER_HOSTNAME"), "credential.example").unwrap();
    std::fs::write(folder.path().join("hub.password"), "hush").unwrap();
    let credentials = ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap());
    let text = cache("    username: me\n    password_file: hub.password\n");
    let (config, _) = load_in(&text, &environment([credentials]));
    assert_eq!(
        config.server_hostname.as_deref(),
        Some("credential.example")
    );
    let account = config.upstreams[0].credentials.as_ref().unwrap();
    let expected = PasswordSource::File(folder.path().join("hub.password"));
    assert_eq!(account.password, expected);
    let environment = environment([
        credentials,
        ("ENTREPOT_SERVER_HOSTNAME", "variable.example"),
    ]);
    let (config, _) = load_in(&text, &environment);
    assert_eq!(config.server_hostname.as_deref(), Some("variable.example"));
}

/// CVE-2016-5385: under CGI the capital name may come from a request.
#[test]
fn proxies_are_read_as_curl_reads_them() {
    let proxies = |variables: &[(&str, &str)]| {
        let environment: Environment = variables.iter().copied().collect();
        load_in("", &environment).0.outbound.proxies
    };
    let found = proxies(&[
        ("HTTP_PROXY", "squid:3128"),
        ("https_proxy", "https://a:b@s/"),
    ]);
    assert_eq!(found.http.as_deref(), Some("http://squid:3128"));
    assert_eq!(found.https.as_deref(), Some("https://a:b@s/"));
    let found = proxies(&[("HTTP_PROXY", "http://squid"), ("REQUEST_METHOD", "GET")]);
    assert_eq!(found.http, None);
    let found = proxies(&[("http_proxy", "http://small"), ("HTTP_PROXY", "http://BIG")]);
    assert_eq!(found.http.as_deref(), Some("http://small"));
    let found = proxies(&[("NO_PROXY", "localhost,.lan")]);
    assert_eq!(found.no_proxy.as_deref(), Some("localhost,.lan"));
}

#[test]
fn the_environment_of_the_process_can_be_read() {
    let environment = Environment::of_process();
    assert!(environment.get("PATH").is_some());
}
