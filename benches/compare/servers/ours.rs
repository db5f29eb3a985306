//! entrepot itself: the binary of this build, as a cache of the upstream in this program.

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

/// What differs between the rows.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) upstream: SocketAddr,
    /// Seconds in which a tag is not validated again.
    pub(crate) fresh_s: u32,
    pub(crate) identity: Option<&'a Identity>,
}

impl<'a> Settings<'a> {
    /// A cache that asks `upstream` once; logging is left as it is by default.
    pub(crate) fn of(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            fresh_s: 3600,
            identity: None,
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

    /// Starts it, with the content that it had before.
    pub(crate) async fn start(&self, settings: &Settings<'_>) -> Outcome<Server> {
        let address = free_address()?;
        let path = self.folder.join("config.yaml");
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
    format!(
        "LISTEN: {address}\n\
         LISTEN_METRICS: none\n\
         DATA_DIR: '{}'\n\
         REGISTRY_MIRRORS: []\n\
         {tls}\
         PROXY_CACHES:\n\
         \x20 - organization: bench\n\
         \x20   upstream: bench.test\n\
         \x20   endpoint: http://{}\n\
         \x20   insecure: true\n\
         \x20   fresh_s: {}\n\
         \x20   anonymous_pull: true\n",
        data.display(),
        settings.upstream,
        settings.fresh_s
    )
}
