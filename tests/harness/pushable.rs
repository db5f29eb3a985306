//! The registry that real clients push to: the real binary, with one user or with an organisation in
//! which anyone may push.
//!
//! Tests know an address, a login and a namespace, and ask over plain requests what is there.

use std::net::SocketAddr;
use std::path::PathBuf;

use entrepot::oci::Digest;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::process::{Place, Process};
use super::sandbox::Sandbox;
use super::soon;

/// What it tells who is not logged in.
pub(crate) const REFUSAL: &str = "access to the requested resource is not authorized";

/// Whether a client must trust a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// How a registry is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) transport: Transport,
    /// Whether one must be logged in; otherwise everyone may push.
    pub(crate) login: bool,
    /// Whether an image may name blobs that are not there.
    pub(crate) sparse_images: bool,
}

impl Wish {
    /// A registry with one user, who must be logged in.
    pub(crate) const WITH_LOGIN: Self = Self {
        transport: Transport::Plain,
        login: true,
        sparse_images: false,
    };
    /// One that takes pushes from everyone.
    pub(crate) const ANONYMOUS: Self = Self {
        login: false,
        ..Self::WITH_LOGIN
    };
}

/// Who may push.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// A running registry; it ends when it is dropped.
pub(crate) struct Pushable {
    pub(crate) address: SocketAddr,
    /// `None` where everyone may push.
    pub(crate) login: Option<Login>,
    /// Where the login, or everyone, may make repositories.
    pub(crate) namespace: String,
    /// The certificate of the authority that clients must trust, where it speaks TLS.
    pub(crate) authority: Option<PathBuf>,
    client: reqwest::Client,
    // Before `_sandbox`: the process ends before its directory goes.
    _server: Process,
    _place: Place,
    _sandbox: Sandbox,
}

impl Pushable {
    /// Starts an empty registry.
    pub(crate) async fn start(wish: Wish) -> Self {
        let sandbox = Sandbox::new();
        let authority = (wish.transport == Transport::Tls).then(|| certify(&sandbox));
        let place = Place::new(&config(&sandbox, wish));
        let login = wish.login.then(|| Login {
            user: "alice".to_owned(),
            password: PASSWORD.to_owned(),
        });
        let server = place.serve().await;
        if wish.login {
            std::fs::write(place.path("password"), PASSWORD).unwrap();
            let create = ["user", "create", "alice", "--password-file", "password"];
            place.run_well(&create).await;
        }
        Self {
            address: server.address,
            login,
            namespace: if wish.login { "alice" } else { "everyone" }.to_owned(),
            client: client(authority.as_ref()),
            authority,
            _server: server,
            _place: place,
            _sandbox: sandbox,
        }
    }

    /// A repository of the namespace, as one types it: `127.0.0.1:5000/alice/app`.
    pub(crate) fn repository(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.address, self.namespace)
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.authority {
            None => Transport::Plain,
            Some(_) => Transport::Tls,
        }
    }

    /// The login, whose presence the test has asked for.
    pub(crate) fn login(&self) -> &Login {
        self.login.as_ref().expect("a login was wished for")
    }

    /// The digest of what a tag or digest names, computed from the bytes that come; `None` for 404.
    pub(crate) async fn digest(&self, name: &str, reference: &str) -> Option<Digest> {
        let manifest = self.manifest(name, reference).await?;
        Some(Digest::of(&manifest))
    }

    /// The document that a tag or digest names.
    pub(crate) async fn document(&self, name: &str, reference: &str) -> Value {
        let manifest = self.manifest(name, reference).await;
        let manifest = manifest.unwrap_or_else(|| panic!("{name} has no {reference}"));
        serde_json::from_slice(&manifest).expect("a manifest is JSON")
    }

    /// Its tags, sorted.
    pub(crate) async fn tags(&self, name: &str) -> Vec<String> {
        let list = self.get(&format!("{name}/tags/list")).await;
        let list = list.unwrap_or_else(|| panic!("{name} is not there"));
        let list: Value = serde_json::from_slice(&list).expect("a list of tags is JSON");
        let tags = list["tags"].as_array().into_iter().flatten();
        let mut tags: Vec<String> = tags.filter_map(Value::as_str).map(str::to_owned).collect();
        tags.sort();
        tags
    }

    async fn manifest(&self, name: &str, reference: &str) -> Option<Vec<u8>> {
        self.get(&format!("{name}/manifests/{reference}")).await
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let scheme = self.authority.as_ref().map_or("http", |_| "https");
        let url = format!("{scheme}://{}/v2/{}/{path}", self.address, self.namespace);
        let mut request = self.client.request(Method::GET, &url).header(
            "accept",
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
             application/vnd.docker.distribution.manifest.list.v2+json, \
             application/vnd.docker.distribution.manifest.v2+json, */*",
        );
        if let Some(login) = &self.login {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        let answer = soon(&url, request.send()).await.expect("it answers");
        if answer.status() == StatusCode::NOT_FOUND {
            return None;
        }
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        Some(soon(&url, answer.bytes()).await.expect("all of it").into())
    }
}

/// The password of the test's user.
const PASSWORD: &str = "correct-horse";

fn config(sandbox: &Sandbox, wish: Wish) -> String {
    let path = |name: &str| sandbox.path(name).display().to_string();
    let mut config = format!(
        "PROXY_CACHES: []\nALLOW_SPARSE_IMAGES: {}\n",
        wish.sparse_images
    );
    if wish.transport == Transport::Tls {
        config += &format!(
            "TLS_CERTIFICATE: {}\nTLS_KEY: {}\n",
            path("server.crt"),
            path("server.key")
        );
    }
    if !wish.login {
        config += "ANONYMOUS_PUSH: [everyone]\n";
    }
    config
}

/// Makes an authority and the server's certificate of it, for loopback by name and by number.
fn certify(sandbox: &Sandbox) -> PathBuf {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Its own name: a certificate that is called like its issuer would look self-signed.
    let name = "authority of the tests";
    authority.distinguished_name.push(DnType::CommonName, name);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let server = CertificateParams::new(names).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    sandbox.write("server.crt", &server.pem());
    sandbox.write("server.key", &key.serialize_pem());
    sandbox.write("authority.crt", &authority_pem)
}

fn client(authority: Option<&PathBuf>) -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy();
    let Some(authority) = authority else {
        return builder.build().unwrap();
    };
    let pem = std::fs::read(authority).unwrap();
    let trusted = reqwest::Certificate::from_pem(&pem).unwrap();
    builder.tls_certs_only([trusted]).build().unwrap()
}
