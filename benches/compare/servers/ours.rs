//! entrepot itself: the binary of this build, as a cache of the upstream in this program, and open
//! for pushes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Server;
use super::process::{Process, free_address};
use crate::failure::{Doing as _, Outcome};
use crate::load::Target;
use crate::tls::Identity;

/// The binary that cargo built for this run, in the profile that is shipped.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_entrepot");

/// The organisation that takes pushes from everyone.
pub(crate) const LOCAL: &str = "local";

/// What differs between the rows.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) upstream: SocketAddr,
    /// Seconds in which a tag is not validated again.
    pub(crate) fresh_s: u32,
    pub(crate) identity: Option<&'a Identity>,
    /// Whether there is an organisation [`LOCAL`] that takes pushes.
    pub(crate) takes_pushes: bool,
    /// Where it says what it counts.
    pub(crate) metrics: Option<SocketAddr>,
    /// Seconds for which what nothing names is kept, if not as by default.
    pub(crate) grace_s: Option<u32>,
    /// What it may remember of manifests, and of the store's pages, in MiB, if not as by default.
    pub(crate) caches_mebibytes: Option<u32>,
    /// Whether tags that have ended are gone for good.
    pub(crate) keeps_no_history: bool,
    /// Whether the first user is made by the API.
    pub(crate) initialize: bool,
    /// The most tags of a local repository that stay.
    pub(crate) most_tags: Option<u32>,
    /// What the cache may hold, in bytes.
    pub(crate) quota: Option<u64>,
}

impl<'a> Settings<'a> {
    /// A cache that asks `upstream` once; logging is left as it is by default.
    pub(crate) fn of(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            fresh_s: 3600,
            identity: None,
            takes_pushes: false,
            metrics: None,
            grace_s: None,
            caches_mebibytes: None,
            keeps_no_history: false,
            initialize: false,
            most_tags: None,
            quota: None,
        }
    }

    /// The same, and open for pushes.
    pub(crate) fn local(upstream: SocketAddr) -> Self {
        Self {
            takes_pushes: true,
            ..Self::of(upstream)
        }
    }
}

/// An entrepot with a folder of its own.
pub(crate) struct Ours {
    folder: PathBuf,
}

impl Ours {
    /// Makes the folder.
    pub(crate) fn new(folder: PathBuf) -> Outcome<Self> {
        fs::create_dir_all(&folder).doing("make entrepot's folder")?;
        Ok(Self { folder })
    }

    /// Where it keeps what it owns.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it was last started with.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// Starts it, with the content that it had before.
    pub(crate) async fn start(&self, settings: &Settings<'_>) -> Outcome<Server> {
        let address = free_address()?;
        let path = self.config();
        let config = config(address, &self.data(), settings);
        fs::write(&path, config).doing("configure entrepot")?;
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg("--config").arg(&path);
        let process = Process::start(command, &self.folder.join("log"))?;
        let tls = settings.identity.map(Identity::client);
        Server::ready("entrepot", Target { address, tls }, process).await
    }
}

fn config(address: SocketAddr, data: &Path, settings: &Settings<'_>) -> String {
    let tls = settings.identity.map_or_else(String::new, |identity| {
        format!(
            "TLS_CERTIFICATE: '{}'\nTLS_KEY: '{}'\n",
            identity.certificate.display(),
            identity.key.display()
        )
    });
    let metrics = settings.metrics.map(|address| address.to_string());
    let pushes = if settings.takes_pushes {
        format!("ANONYMOUS_PUSH: [{LOCAL}]\n")
    } else {
        String::new()
    };
    let grace = settings.grace_s.map_or_else(String::new, |seconds| {
        format!("PUSH_TEMP_TAG_EXPIRATION_SEC: {seconds}\n")
    });
    let caches = settings.caches_mebibytes.map_or_else(String::new, |most| {
        format!("HOT_CACHE: {most} MiB\nSTORE_CACHE: {most} MiB\n")
    });
    let history = match settings.keeps_no_history {
        true => "DEFAULT_TAG_EXPIRATION: 0s\nTAG_EXPIRATION_OPTIONS: [0s]\n",
        false => "",
    };
    let initialize = match settings.initialize {
        true => "FEATURE_USER_INITIALIZE: true\n",
        false => "",
    };
    let prune = settings.most_tags.map_or_else(String::new, |most| {
        format!(
            "AUTO_PRUNING_POLL_PERIOD: 1\n\
             DEFAULT_NAMESPACE_AUTOPRUNE_POLICY: {{method: number_of_tags, value: {most}}}\n"
        )
    });
    let quota = settings
        .quota
        .map_or_else(String::new, |bytes| format!("    quota: {bytes}\n"));
    format!(
        "LISTEN: {address}\n\
         LISTEN_METRICS: {}\n\
         DATA_DIR: '{}'\n\
         REGISTRY_MIRRORS: []\n\
         SSRF_ALLOWED_HOSTS: [127.0.0.0/8]\n\
         {tls}{pushes}{grace}{caches}{history}{initialize}{prune}\
         PROXY_CACHES:\n\
         \x20 - organization: bench\n\
         \x20   upstream: bench.test\n\
         \x20   endpoint: http://{}\n\
         \x20   insecure: true\n\
         \x20   fresh_s: {}\n\
         \x20   anonymous_pull: true\n\
         {quota}",
        metrics.as_deref().unwrap_or("none"),
        data.display(),
        settings.upstream,
        settings.fresh_s
    )
}
