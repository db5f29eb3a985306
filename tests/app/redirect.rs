//! What clients of the wrong scheme, and those without a certificate, are told.

use std::net::SocketAddr;

use crate::harness::process::{Place, Process};
use crate::harness::soon;
use rustix::process::Signal;

/// A place with a certificate of its own and this configuration besides.
async fn secured(yaml: &str) -> Place {
    let place = Place::new("");
    let lines = place.run_well(&["tls", "self-signed"]).await;
    place.configure(&format!("{lines}PROXY_CACHES: []\n{yaml}"));
    place
}

fn client(place: &Place) -> reqwest::ClientBuilder {
    let pem = std::fs::read(place.path("entrepot.crt")).unwrap();
    let authority = reqwest::Certificate::from_pem(&pem).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([authority])
}

fn https(process: &Process, path: &str) -> String {
    format!("https://localhost:{}{path}", process.address.port())
}

/// The address of the listener that redirects, as the server printed it.
async fn redirecting(process: &mut Process) -> SocketAddr {
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    let line = process
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("sent on to https from http://"));
    line.expect("it is printed").parse().unwrap()
}

/// Plain HTTP is sent to the configured host, with path, query and method, and not to any other.
#[tokio::test]
async fn plain_http_is_sent_on_to_the_configured_host() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let yaml = format!("SERVER_HOSTNAME: images.example:8443\nLISTEN_REDIRECT: {address}\n");
    let place = secured(&yaml).await;
    let mut process = place.serve().await;
    let client = client(&place).build().unwrap();
    for (path, method) in [
        ("/v2/", reqwest::Method::GET),
        (
            "/v2/a/b/blobs/uploads/?mount=x&from=c%2Fd",
            reqwest::Method::POST,
        ),
        ("/api/v1/user/", reqwest::Method::OPTIONS),
        ("//evil.example/%0d%0aX:1", reqwest::Method::GET),
    ] {
        let request = client.request(method, format!("http://{address}{path}"));
        let request = request.header("host", "evil.example");
        let answer = soon(path, request.send()).await.unwrap();
        assert_eq!(answer.status(), 308, "{path}");
        let target = answer.headers()["location"].to_str().unwrap();
        assert_eq!(target, format!("https://images.example:8443{path}"));
        assert!(!answer.headers().contains_key("strict-transport-security"));
    }
    let alive = client.get(format!("http://{address}/livez")).send();
    assert_eq!(soon("livez", alive).await.unwrap().status(), 200);
    assert_eq!(redirecting(&mut process).await, address);
}

/// RFC 6797 §7.2: over TLS only, and only where it is asked for; SIGHUP changes it.
#[tokio::test]
async fn browsers_are_told_to_stay_when_the_operator_says_so() {
    let place = secured("").await;
    let mut process = place.serve().await;
    let client = client(&place).build().unwrap();
    let told = async |process: &Process| {
        let answer = client.get(https(process, "/")).send();
        let answer = soon("an answer", answer).await.unwrap();
        let told = answer.headers().get("strict-transport-security");
        told.map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(told(&process).await, None);
    let lines = std::fs::read_to_string(place.path("config.yaml")).unwrap();
    std::fs::write(
        place.path("config.yaml"),
        format!("{lines}HSTS_MAX_AGE: 1d\n"),
    )
    .unwrap();
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    assert_eq!(told(&process).await.as_deref(), Some("max-age=86400"));
}

/// A certificate of a trusted authority opens the connection; none, or another's, does not where one is
/// required.
#[tokio::test]
async fn clients_show_a_certificate_where_one_is_required() {
    let place = secured("").await;
    let pair = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let pem = made.cert.pem();
        std::fs::write(place.path(name), &pem).unwrap();
        let both = format!("{pem}{}", made.signing_key.serialize_pem());
        reqwest::Identity::from_pem(both.as_bytes()).unwrap()
    };
    let (known, stranger) = (pair("known"), pair("stranger"));
    let lines = std::fs::read_to_string(place.path("config.yaml")).unwrap();
    let configure = |name: &str, how: &str| {
        let path = place.path(name);
        let more = format!(
            "TLS_CLIENT_CA: {}\nTLS_CLIENT_AUTH: {how}\n",
            path.display()
        );
        std::fs::write(place.path("config.yaml"), format!("{lines}{more}")).unwrap();
    };
    configure("known", "required");
    let mut process = place.serve().await;
    let enters = async |process: &Process, identity: Option<&reqwest::Identity>| {
        let client = client(&place);
        let client = match identity {
            Some(identity) => client.identity(identity.clone()),
            None => client,
        };
        let asked = client.build().unwrap().get(https(process, "/v2/")).send();
        soon("an answer", asked)
            .await
            .is_ok_and(|answer| answer.status() == 200)
    };
    assert!(enters(&process, Some(&known)).await);
    assert!(!enters(&process, Some(&stranger)).await);
    assert!(!enters(&process, None).await);

    configure("known", "optional");
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    assert!(enters(&process, Some(&known)).await && enters(&process, None).await);
    assert!(!enters(&process, Some(&stranger)).await);

    configure("stranger", "required");
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    assert!(!enters(&process, Some(&known)).await);
    assert!(enters(&process, Some(&stranger)).await);
}

/// SIGHUP takes over certificate files of other names, too.
#[tokio::test]
async fn other_certificate_files_count_after_sighup() {
    let place = secured("").await;
    let mut process = place.serve().await;
    let lines = std::fs::read_to_string(place.path("config.yaml")).unwrap();
    let lines = lines
        .replace("entrepot.crt", "other.crt")
        .replace("entrepot.key", "other.key");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(place.path("other.crt"), made.cert.pem()).unwrap();
    std::fs::write(place.path("other.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(place.path("config.yaml"), lines).unwrap();
    process.signal(Signal::HUP);
    process.logs("the TLS certificate was exchanged").await;
    let only = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([only]);
    let asked = client
        .build()
        .unwrap()
        .get(https(&process, "/livez"))
        .send();
    assert_eq!(soon("an answer", asked).await.unwrap().status(), 200);
}

/// SC-270: a certificate with several names, made by openssl, is shown as it was made.
#[tokio::test]
async fn a_certificate_that_openssl_made_is_served_with_all_its_names() {
    let place = Place::new("");
    let openssl = async |words: &str| {
        let mut command = tokio::process::Command::new("openssl");
        command
            .current_dir(place.directory.path())
            .args(words.split(' '));
        command.stdin(std::process::Stdio::null()).output().await
    };
    let version = openssl("version").await;
    if version.is_err() {
        let required = crate::harness::clients::variable("ENTREPOT_REQUIRE_CLIENTS").is_some();
        assert!(!required, "openssl is missing");
        return crate::harness::chance::say("skipped: no openssl");
    }
    for words in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=authority",
        "req -newkey rsa:2048 -nodes -keyout tls.key -out tls.csr -subj /CN=quay.example",
    ] {
        assert!(openssl(words).await.unwrap().status.success(), "{words}");
    }
    let names = "subjectAltName=DNS:quay.example,DNS:localhost,DNS:*.apps.example,IP:127.0.0.1\n";
    std::fs::write(place.path("names"), names).unwrap();
    let sign = "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names \
                -out tls.crt";
    assert!(openssl(sign).await.unwrap().status.success());
    let (crt, key) = (place.path("tls.crt"), place.path("tls.key"));
    place.configure(&format!(
        "TLS_CERTIFICATE: {}\nTLS_KEY: {}\n",
        crt.display(),
        key.display()
    ));
    let process = place.serve().await;
    let words = format!(
        "s_client -connect {} -servername quay.example -CAfile ca.crt -verify_return_error",
        process.address
    );
    let shown = soon("s_client", openssl(&words)).await.unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("Verify return code: 0 (ok)"), "{shown}");
    let begin = shown.find("-----BEGIN").unwrap();
    let end = shown.find("-----END CERTIFICATE-----").unwrap();
    let pem = format!("{}-----END CERTIFICATE-----\n", &shown[begin..end]);
    std::fs::write(place.path("shown.crt"), pem).unwrap();
    let text = openssl("x509 -in shown.crt -noout -subject -ext subjectAltName")
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for name in ["quay.example", "localhost", "*.apps.example", "127.0.0.1"] {
        assert!(text.contains(name), "{name} in {text}");
    }
    let only =
        reqwest::Certificate::from_pem(&std::fs::read(place.path("ca.crt")).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([only])
        .build()
        .unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/livez", process.address.port());
        assert_eq!(
            soon(&url, client.get(&url).send()).await.unwrap().status(),
            200
        );
    }
}
