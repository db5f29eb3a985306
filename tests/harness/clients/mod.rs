//! Real clients: where they are found, and what they have in common.
//!
//! A client is looked for in PATH, then in `ENTREPOT_CLIENTS_DIR`, then in the folder where `.ci/run`
//! keeps those that it builds. A test names what it needs with [`require`] and ends early where
//! something is missing, so that `cargo test` needs nothing but Rust; with
//! `ENTREPOT_REQUIRE_CLIENTS=1` a missing client is a failure instead.

pub mod cli;
pub mod containerd;
pub mod containers;
pub mod docker;
pub mod layout;
pub mod source;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use entrepot::oci::Digest;
use futures_util::future::BoxFuture;

use super::child::Failure;

/// A program that tests run as its users do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    Buildah,
    Conformance,
    Containerd,
    Cosign,
    Crane,
    Ctr,
    Docker,
    DockerRegistry,
    Dockerd,
    Helm,
    Oras,
    Podman,
    Regctl,
    Skopeo,
}

impl Client {
    /// The name of the program, as one types it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Conformance => "oci-conformance",
            Self::Containerd => "containerd",
            Self::Cosign => "cosign",
            Self::Crane => "crane",
            Self::Ctr => "ctr",
            Self::Docker => "docker",
            Self::DockerRegistry => "docker-registry",
            Self::Dockerd => "dockerd",
            Self::Helm => "helm",
            Self::Oras => "oras",
            Self::Podman => "podman",
            Self::Regctl => "regctl",
            Self::Skopeo => "skopeo",
        }
    }

    /// Where the program is, or why it cannot be used here.
    pub fn find(self) -> Result<PathBuf, Absence> {
        let found = folders()
            .into_iter()
            .map(|folder| folder.join(self.name()))
            .find(|path| is_program(path))
            .ok_or(Absence::NotInstalled)?;
        if self.needs_root() && !rustix::process::geteuid().is_root() {
            return Err(Absence::NeedsRoot);
        }
        Ok(found)
    }

    fn needs_root(self) -> bool {
        matches!(self, Self::Containerd | Self::Dockerd)
    }
}

/// Why a client cannot be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    NotInstalled,
    NeedsRoot,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInstalled => "is not installed",
            Self::NeedsRoot => "needs root",
        })
    }
}

/// Finds every one of `clients`, in their order, or names those that are missing and returns `None`.
///
/// # Panics
/// When one is missing and `ENTREPOT_REQUIRE_CLIENTS` is 1.
pub fn require<const N: usize>(clients: [Client; N]) -> Option<[PathBuf; N]> {
    let found = clients.map(|client| client.find().map_err(|absence| report(client, absence)));
    if found.iter().any(Result::is_err) {
        return None;
    }
    Some(found.map(|path| path.expect("all were found")))
}

/// Names a missing client, once a run, where the test runner does not hide it.
fn report(client: Client, absence: Absence) {
    static NAMED: Mutex<BTreeSet<Client>> = Mutex::new(BTreeSet::new());
    let name = client.name();
    assert!(
        variable("ENTREPOT_REQUIRE_CLIENTS").is_none_or(|value| value != "1"),
        "client {name} {absence}, and ENTREPOT_REQUIRE_CLIENTS is 1"
    );
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    if named.insert(client) {
        // `eprintln!` would be shown for failing tests only.
        let _ = writeln!(std::io::stderr(), "client {name} {absence}: skipped");
    }
}

/// Reads the environment: what the person who runs the tests says to them.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are not the program: `config` is not asked"
)]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn folders() -> Vec<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(variable("ENTREPOT_CLIENTS_DIR").map(PathBuf::from));
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")));
    folders.extend(cache.map(|cache| cache.join("entrepot-clients")));
    folders
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What a client must know of the server that it is pointed at.
#[derive(Debug, Clone)]
pub struct SiteUnderTest {
    /// Where every organisation is served under its name, and docker.io under `?ns=docker.io`.
    pub address: SocketAddr,
    /// Where docker.io is served at the root, for Docker's `registry-mirrors`.
    pub mirror_address: SocketAddr,
    /// The organisation that is the cache of docker.io; empty if there is none and `address` serves
    /// docker.io at the root too.
    pub organization: String,
}

impl SiteUnderTest {
    /// Host and path at which docker.io's repositories are served: `127.0.0.1:8080/docker.io`.
    pub fn prefix(&self) -> String {
        match self.organization.as_str() {
            "" => self.address.to_string(),
            organization => format!("{}/{organization}", self.address),
        }
    }
}

/// An image of docker.io by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageName {
    /// With its `library/`.
    pub repository: &'static str,
    pub tag: &'static str,
}

impl ImageName {
    /// The name to ask a site for, by its address.
    pub fn at(&self, site: &SiteUnderTest) -> String {
        format!("{}/{}:{}", site.prefix(), self.repository, self.tag)
    }

    /// The name as one uses it who knows of no cache.
    pub fn at_origin(&self) -> String {
        format!("docker.io/{}:{}", self.repository, self.tag)
    }

    /// A word that can name a file.
    pub fn slug(&self) -> String {
        format!("{}-{}", self.repository.replace('/', "-"), self.tag)
    }
}

/// How a client is told of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The person types the cache's address before the image's name.
    ByAddress,
    /// The client's configuration names the cache as mirror of docker.io.
    AsMirror,
}

impl Way {
    fn name(self, site: &SiteUnderTest, image: &ImageName) -> String {
        match self {
            Self::ByAddress => image.at(site),
            Self::AsMirror => image.at_origin(),
        }
    }
}

/// A client that pulls images, keeps them, and forgets them when told.
pub trait Puller: Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> &'static str;

    /// Pulls `image` and returns every digest by which the client knows it afterwards: that of what
    /// the tag names, and for some clients that of the chosen child too.
    fn pull<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<Vec<Digest>, Failure>>;

    /// Removes the client's copy, so that the next pull needs every byte again.
    fn remove<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<(), Failure>>;
}

/// Finds every digest in what a client printed.
pub fn digests_in(text: &str) -> Vec<Digest> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':'))
        .filter_map(|word| word.parse().ok())
        .collect()
}
