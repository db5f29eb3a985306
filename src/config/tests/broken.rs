//! Broken configurations: each mistake is found, on its line, with what would be right.

use super::*;

/// One mistake: text, line, and what its message must hold.
pub(super) type Broken = (&'static str, usize, &'static str);

/// LC-04: the text itself.
const SYNTAX: &[Broken] = &[
    (
        "FEATURE_PROXY_CACHE = false\n",
        1,
        "write `FEATURE_PROXY_CACHE: false`",
    ),
    ("# c\nOFFLINE=true\n", 2, "KEY: value is meant"),
    (
        "PROXY_CACHES:\n\t- organization: a\n",
        2,
        "a tab in the indentation",
    ),
    (
        "- LISTEN\n- OFFLINE\n",
        1,
        "expected lines of KEY: value, found a list",
    ),
    (
        "just words\n",
        1,
        "expected lines of KEY: value, found a text",
    ),
    ("OFFLINE: true\nwords\nLOG_LEVEL: info\n", 2, "found a text"),
    (
        "LISTEN: [127.0.0.1:1\nOFFLINE: true\n",
        2,
        "in what begins on line 1",
    ),
    ("LISTEN: \"127.0.0.1:1\n", 2, "not YAML"),
    ("SERVER_HOSTNAME: a: b\n", 1, "needs quotes"),
    ("SERVER_HOSTNAME: @a\n", 1, "the value needs quotes"),
    (
        "OFFLINE: true\n---\nOFFLINE: false\n",
        2,
        "a second document begins",
    ),
    ("OFFLINE: *nothing\n", 1, "unknown anchor"),
    ("OFFLINE: !secret x\n", 1, "without a tag"),
];

/// LC-04: keys and plain values.
const KEYS: &[Broken] = &[
    (
        "LISTENN: 127.0.0.1:1\n",
        1,
        "LISTENN: is not a key; did you mean LISTEN?",
    ),
    (
        "OFFLINE: true\n\nlog_level: info\n",
        3,
        "did you mean LOG_LEVEL?",
    ),
    (
        "FEATURE_PROXY_CASH: true\n",
        1,
        "did you mean FEATURE_PROXY_CACHE?",
    ),
    ("ZZZZ: 1\n", 1, "ZZZZ: is not a key"),
    (
        "OFFLINE: true\nLOG_LEVEL: info\nOFFLINE: false\n",
        3,
        "given twice, first at line 1",
    ),
    ("TLS_KEY_FILE: /x\n", 1, "TLS_KEY is the path itself"),
    ("PROXY_CACHES_FILE: /x\n", 1, "PROXY_CACHES is a list"),
    (
        "SERVER_HOSTNAME_FILE: /nonexistent/x\n",
        1,
        "cannot read /nonexistent/x",
    ),
    (
        "OFFLINE: maybe\n",
        1,
        "\"maybe\" is not a switch; write true or false",
    ),
    (
        "OFFLINE: [true]\n",
        1,
        "expected true or false, found a list",
    ),
    ("OFFLINE:\n", 1, "has no value; leave the line out"),
    (
        "FEATURE_SUPER_USERS: 7\n",
        1,
        "expected true or false, found a number",
    ),
    ("LISTEN: 8080\n", 1, "write 0.0.0.0:8080"),
    ("LISTEN: \":8080\"\n", 1, "write 0.0.0.0:8080"),
    (
        "LISTEN:\n  - 127.0.0.1:1\n  - registry.example:80\n",
        3,
        "LISTEN[1]: \"registry.example:80\" names a host",
    ),
    ("LISTEN: []\n", 1, "give at least one address"),
    ("LISTEN: {a: b}\n", 1, "expected a list, found a mapping"),
    ("LISTEN: 127.0.0.1:70000\n", 1, "no port from 0 to 65535"),
    (
        "LISTEN:\n- 127.0.0.1:1\n- 127.0.0.1:1\n",
        3,
        "already taken by LISTEN[0]",
    ),
    (
        "LISTEN: 127.0.0.1:9091\n",
        1,
        "LISTEN_METRICS: 127.0.0.1:9091 is already taken by LISTEN",
    ),
    ("LISTEN_METRICS: off\n", 1, "or none"),
    (
        "SERVER_HOSTNAME: https://registry.example\n",
        1,
        "leave the scheme out",
    ),
    ("SERVER_HOSTNAME: 10\n", 1, "write it in quotes"),
    (
        "PREFERRED_URL_SCHEME: htps\n",
        1,
        "is not one of http, https; did you mean http",
    ),
    (
        "TLS_CERTIFICATE: /nonexistent/c.pem\n",
        1,
        "is given without TLS_KEY",
    ),
    (
        "TLS_KEY: /dev/null\n",
        1,
        "is given without TLS_CERTIFICATE",
    ),
    (
        "TLS_CERTIFICATE: /dev/null\nTLS_KEY: /nonexistent/k.pem\n",
        2,
        "cannot read /nonexistent/k.pem",
    ),
    (
        "TLS_CERTIFICATE: /dev/null\nTLS_KEY: /dev/null\n",
        1,
        "a PEM file is meant",
    ),
    ("DATA_DIR: /dev/null\n", 1, "/dev/null is not a folder"),
    ("DATA_DIR: \"\"\n", 1, "is empty"),
    ("SUPER_USERS: [admin, \"a/b\"]\n", 1, "SUPER_USERS[1]"),
    ("HOT_CACHE: 10 Gb\n", 1, "has no known unit"),
    ("STORE_CACHE: 1K\n", 1, "write 1 MiB to 1 TiB"),
    ("DISK_RESERVE: -1\n", 1, "is not a number of bytes"),
    ("REVALIDATE_DEADLINE: 1\n", 1, "write 1s for seconds"),
    ("REVALIDATE_DEADLINE: 2h\n", 1, "write 1ms to 1m"),
    ("SHUTDOWN_TIMEOUT: soon\n", 1, "is not a duration"),
    (
        "SSRF_ALLOWED_HOSTS: [10.0.0.0/33]\n",
        1,
        "is not a network; write 10.0.0.0/8",
    ),
    (
        "TRUSTED_PROXIES:\n  - 10.0.0.0/8\n  - everyone\n",
        3,
        "\"everyone\" is not a network",
    ),
    (
        "EXTRA_CA_CERTS: /nonexistent/ca\n",
        1,
        "cannot read the folder /nonexistent/ca",
    ),
    ("LOG_FORMAT: jsn\n", 1, "did you mean json?"),
    ("LOG_LEVEL: infoo\n", 1, "did you mean info?"),
    (
        "LOG_LEVEL: \"info,entrepot=loud\"\n",
        1,
        "is not a list of levels",
    ),
];

/// LC-04: below `PROXY_CACHES:` and one right entry of four lines.
const CACHES: &[Broken] = &[
    (
        "    quota: 10 Gb\n",
        4,
        "PROXY_CACHES[0].quota: \"10 Gb\" has no known unit",
    ),
    (
        "    quotas: 10 GiB\n",
        4,
        "PROXY_CACHES[0].quotas: is not a key here; did you mean quota?",
    ),
    (
        "    fresh_s: 60\n    fresh_s: 61\n",
        5,
        "given twice, first at line 4",
    ),
    (
        "    fresh_s: 60\n    expiration_s: 30\n",
        4,
        "60 is longer than expiration_s, 30",
    ),
    ("    expiration_s: -1\n", 4, "out of range"),
    ("    expiration_s: 100y\n", 4, "write 0s to 3650d"),
    ("    fresh_s: often\n", 4, "is not a duration"),
    ("    max_connections: 0\n", 4, "write 1 to 1000"),
    ("    max_connections: many\n", 4, "is not a whole number"),
    (
        "    max_connections: 1.5\n",
        4,
        "found a number with a fraction",
    ),
    ("    bandwidth: fast\n", 4, "\"fast\""),
    ("    username = me\n", 4, "write `username: ...`"),
    ("    username: me\n", 4, "has no password"),
    (
        "    password: secret-word\n",
        2,
        "PROXY_CACHES[0].username: is missing",
    ),
    (
        "    username: me\n    password: a\n    password_file: /dev/null\n",
        6,
        "both given",
    ),
    (
        "    username: me\n    password_file: /nonexistent/p\n",
        5,
        "cannot read /nonexistent/p",
    ),
    (
        "    username: me\n    password: 123456\n",
        5,
        "write it in quotes",
    ),
    (
        "    endpoint: https://me:secret-word@one.example\n",
        4,
        "holds an account",
    ),
    (
        "    endpoint: ftp://one.example\n",
        4,
        "is not an http:// or https:// URL",
    ),
    ("    endpoint: one.example\n", 4, "write https://host"),
    ("    endpoint: https://one.example/?x=1\n", 4, "has a query"),
    (
        "    endpoint: https://one.example\n    insecure: true\n",
        5,
        "but the endpoint is https",
    ),
    (
        "    insecure: true\n    ca_file: /dev/null\n",
        5,
        "has no use over plain http",
    ),
    (
        "    ca_file: /nonexistent/ca.pem\n",
        4,
        "cannot read /nonexistent/ca.pem",
    ),
    ("    password = secret-word\n", 4, "KEY: value is meant"),
    (
        "    proxy: me:secret-word@squid:1\n",
        4,
        "may hold an account",
    ),
    (
        "    proxy: http://me:secret-word@squid:1\n",
        4,
        "named by HTTPS_PROXY",
    ),
    (
        "  - organization: two\n    upstream: me:secret-word@x\n",
        5,
        "goes to username",
    ),
    ("    proxy: squid\n", 4, "write http://host:port or none"),
    (
        "    proxy: socks5://squid:1\n",
        4,
        "is not an http:// or https:// URL",
    ),
    (
        "    platforms: [linux]\n",
        4,
        "PROXY_CACHES[0].platforms[0]",
    ),
    (
        "    platforms:\n      - linux/amd64\n      - amd64/linux\n",
        6,
        "write linux/amd64",
    ),
    ("    pin: [\"v1.[\"]\n", 4, "is not a glob"),
    ("    pin: [\"a:b:c\"]\n", 4, "write tag or repository:tag"),
    ("    anonymous_pull: perhaps\n", 4, "is not a switch"),
    (
        "  - organization: two\n",
        4,
        "PROXY_CACHES[1].upstream: is missing",
    ),
    (
        "  - upstream: two.example\n",
        4,
        "PROXY_CACHES[1].organization: is missing",
    ),
    (
        "  - two.example\n",
        4,
        "expected a mapping with the keys organization, upstream",
    ),
    (
        "  - organization: one\n    upstream: two.example\n",
        4,
        "one is already the organisation of PROXY_CACHES[0]",
    ),
    (
        "  - organization: two\n    upstream: ONE.example\n",
        5,
        "one.example is already the upstream of PROXY_CACHES[0]",
    ),
    (
        "  - organization: Two\n    upstream: two.example\n",
        4,
        "PROXY_CACHES[1].organization",
    ),
    (
        "  - organization: two\n    upstream: https://two.example\n",
        5,
        "leave the scheme out",
    ),
    (
        "REGISTRY_MIRRORS:\n- organization: on\n  listen: 127.0.0.1:1\n",
        5,
        "on is not an organisation of PROXY_CACHES",
    ),
    (
        "REGISTRY_MIRRORS:\n- organization: one\n",
        5,
        "give listen (an address) or hostname",
    ),
    (
        "REGISTRY_MIRRORS:\n- organization: one\n  listen: 127.0.0.1:8080\n",
        6,
        "already taken by LISTEN",
    ),
    (
        "REGISTRY_MIRRORS:\n- organization: one\n  listen: 0.0.0.0:9091\n",
        6,
        "taken by LISTEN_METRICS (127.0.0.1:9091)",
    ),
    (
        "REGISTRY_MIRRORS:\n- organization: one\n  hostname: one.lan:80\n",
        6,
        "has a port; leave it out",
    ),
    (
        "REGISTRY_MIRRORS:\n- organization: one\n  host: one.lan\n",
        6,
        "did you mean hostname?",
    ),
    (
        "SERVER_HOSTNAME: a.lan:5000\nREGISTRY_MIRRORS:\n- organization: one\n  hostname: A.lan\n",
        7,
        "is SERVER_HOSTNAME",
    ),
    (
        "REGISTRY_MIRRORS:\n- &m {organization: one, hostname: b.lan}\n- *m\n",
        5,
        "already the host name of another mirror",
    ),
];

/// What is wrong with the answer to a broken file, if anything is.
fn complaint(text: &str, line: usize, part: &str) -> Option<String> {
    let errors = load(text).err().unwrap_or_default();
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let prefix = format!("config.yaml:{line}:");
    let found = shown
        .iter()
        .any(|error| error.contains(part) && (error.starts_with(&prefix) || elsewhere(part)));
    (!found).then(|| format!("{text}\nwanted line {line}: {part}\ngot {shown:#?}\n"))
}

/// A default has no line.
fn elsewhere(part: &str) -> bool {
    part.starts_with("LISTEN_METRICS:")
}

/// LC-04: more than 50 broken files, each told with its line.
#[test]
fn every_broken_file_is_told_with_its_line_and_what_would_be_right() {
    assert!(SYNTAX.len() + KEYS.len() + CACHES.len() > 100);
    let whole = SYNTAX.iter().chain(KEYS).chain(local::BROKEN);
    let whole = whole.filter_map(|(text, line, part)| complaint(text, *line, part));
    let caches = CACHES.iter();
    let caches = caches.filter_map(|(more, line, part)| complaint(&cache(more), *line, part));
    let complaints: Vec<String> = whole.chain(caches).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// SC-204: the form that the product's manual prints.
#[test]
fn an_assignment_is_told_as_such_and_nothing_else_is() {
    let errors = load("LISTEN: 127.0.0.1:1\nFEATURE_GENERAL_OCI_SUPPORT = false\n").unwrap_err();
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let expected = "config.yaml:2:1: FEATURE_GENERAL_OCI_SUPPORT = ... is not YAML; \
                    KEY: value is meant: write `FEATURE_GENERAL_OCI_SUPPORT: false`";
    assert_eq!(shown, [expected]);
}

#[test]
fn all_mistakes_of_all_entries_are_told_in_the_order_of_the_file() {
    let text = "\
LISTEN: :80
PROXY_CACHES:
  - organization: one
    upstream: one.example
    quota: 10 Gb
    pins: [a]
  - organization: one
    upstream: https://x
    fresh_s: soon
LOG_LEVEL: loud
DATA_DIR: [
HOT_CACHE: 0
";
    let errors = load(text).unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.at.line).collect();
    let expected = [1, 5, 6, 8, 9, 10, 12, 12].map(Some);
    assert_eq!(lines, expected, "{errors:#?}");
    assert_eq!(errors[1].at.column, Some(12));
    assert_eq!(
        errors[1].to_string(),
        "config.yaml:5:12: PROXY_CACHES[0].quota: \"10 Gb\" has no known unit; \
         write KiB, MiB, GiB, TiB, or kB, MB, GB, TB"
    );
}

/// SE-01: no message shows a password, whatever else is wrong.
#[test]
fn secrets_stay_out_of_messages_and_debug_output() {
    for (more, ..) in CACHES {
        for error in load(&cache(more)).err().into_iter().flatten() {
            assert!(!error.to_string().contains("secret-word"), "{error}");
        }
    }
    let config = good(&cache("    username: me\n    password: secret-word\n"));
    assert!(!format!("{config:?}").contains("secret-word"));
    let environment = environment([
        ("HTTPS_PROXY", "http://me:secret-word@proxy:3128"),
        ("ENTREPOT_SERVER_HOSTNAME", "secret-word"),
    ]);
    assert!(!format!("{environment:?}").contains("secret-word"));
    let loaded = load_with("", &environment, &Flags::default()).unwrap();
    assert!(!format!("{:?}", loaded.0.outbound).contains("secret-word"));
}

#[test]
fn a_file_that_is_not_there_is_told_by_its_name() {
    let source = ConfigSource::File("/nonexistent/config.yaml".into());
    let loaded = Config::load(source, &Environment::default(), &Flags::default());
    let shown = loaded.unwrap_err()[0].to_string();
    assert_eq!(shown, "/nonexistent/config.yaml: there is no such file");
}

proptest::proptest! {
    /// DO-08: no text makes the loader panic.
    #[test]
    fn any_text_is_refused_or_read(text in "([A-Z_]{1,8}|LISTEN|PROXY_CACHES|[ \\t\\n:\\-\\[\\]{}&*!|>'\"#=a-z0-9]){0,40}") {
        let _ = load(&text);
    }
}
