use super::*;
use crate::config::OutboundConfig;
use crate::outbound::{Names, Outbound};

fn guarded(allowed: &[&str], proxy: ProxyChoice) -> Result<Client, Error> {
    let config = OutboundConfig {
        ssrf_allowed_hosts: allowed.iter().map(|text| text.parse().unwrap()).collect(),
        proxies: ProxyEnvironment {
            http: Some("proxy.corp:3128".to_owned()),
            https: Some("http://10.0.0.9:3128".to_owned()),
            no_proxy: None,
        },
        ..OutboundConfig::default()
    };
    let outbound = Outbound::new(config, Duration::from_secs(5), Names::System, Clock::System)?;
    outbound.client(&ClientSpec {
        ca_file: None,
        proxy,
        trust: AddressPolicy::PublicOrAllowed,
        any_certificate: false,
        idle_connections: 1,
    })
}

fn refused(client: &Client, url: &str) -> bool {
    let outcome = client.guard.check(&Url::parse(url).unwrap());
    matches!(outcome, Err(Error::Refused { .. }))
}

/// UP-04: the ways to write a local address in a URL.
#[test]
fn every_spelling_of_a_local_address_is_refused() {
    let client = guarded(&[], ProxyChoice::None).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0x0.0x0.0x1",
        "0",
        "0.0.0.0",
        "0x0",
        "00",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "10.1",
        "0xa.0.0.1",
        "172.16.1",
        "192.168.257",
        "3232235521",
        "255.255.255.255",
        "224.0.0.1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:10.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::169.254.169.254]",
        "[fe80::1]",
        "[fd00::1]",
        "[fc00::a]",
        "[ff02::1]",
        "[2002:7f00:1::]",
        "[::127.0.0.1]",
        "user@127.0.0.1",
        "8.8.8.8@127.0.0.1",
        "8.8.8.8:80@127.0.0.1",
        "127.0.0.1:443",
        "127.0.0.1\\@8.8.8.8",
        "127.0.0.1#8.8.8.8",
        "127.0.0.1?8.8.8.8",
    ] {
        assert!(refused(&client, &format!("http://{host}/")), "{host}");
    }
    for host in [
        "8.8.8.8",
        "[2606:4700::1111]",
        "registry.test",
        "127.0.0.1.nip.test",
    ] {
        assert!(!refused(&client, &format!("http://{host}/")), "{host}");
    }
}

#[test]
fn allowed_networks_pass_and_other_schemes_do_not() {
    let client = guarded(&["10.1.0.0/16"], ProxyChoice::None).unwrap();
    assert!(!refused(&client, "http://10.1.0.7:5000/"));
    assert!(refused(&client, "http://10.2.0.7:5000/"));
    for url in ["ftp://8.8.8.8/", "file:///etc/passwd", "gopher://8.8.8.8/"] {
        let outcome = client.guard.check(&Url::parse(url).unwrap());
        assert!(
            matches!(outcome, Err(Error::Url { .. })),
            "{url}: {outcome:?}"
        );
    }
}

/// UP-04: the exception for the operator's proxies is not an exception for URLs that name them.
#[test]
fn a_proxy_is_no_target() {
    let client = guarded(&[], ProxyChoice::Environment).unwrap();
    assert!(refused(&client, "http://proxy.corp:22/"));
    assert!(refused(&client, "http://Proxy.Corp.:22/"));
    let client = guarded(&["proxy.corp"], ProxyChoice::Environment).unwrap();
    assert!(!refused(&client, "http://proxy.corp:22/"));
}

#[test]
fn a_proxy_given_by_someone_else_must_be_public() {
    let proxy = |url: &str| ProxyChoice::Url(Url::parse(url).unwrap());
    let inside = guarded(&[], proxy("http://127.0.0.1:3128"));
    assert!(matches!(inside, Err(Error::Refused { .. })));
    assert!(guarded(&[], proxy("http://8.8.8.8:3128")).is_ok());
    assert!(guarded(&["127.0.0.0/8"], proxy("http://127.0.0.1:3128")).is_ok());
}

#[test]
fn without_authorities_only_tls_fails() {
    let client = guarded(&[], ProxyChoice::None).unwrap();
    let guard = Guard {
        policy: AddressPolicy::Any,
        allowed: Arc::clone(&client.guard.allowed),
        proxies: Arc::default(),
        can_speak_tls: false,
    };
    let check = |url: &str| guard.check(&Url::parse(url).unwrap());
    assert!(check("http://registry.test/").is_ok());
    assert!(matches!(
        check("https://registry.test/"),
        Err(Error::NoAuthorities)
    ));
}
