//! docker-registry (CNCF distribution), as the owner of the content, empty for pushes, and as a
//! pull-through cache.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use entrepot::oci::Digest;

use super::Server;
use super::process::{Process, free_address, installed};
use crate::content::{Content, REPOSITORY, TAG};
use crate::failure::{Doing as _, Outcome};
use crate::load::Target;

const PROGRAMS: [&str; 2] = ["docker-registry", "/usr/bin/docker-registry"];

/// What it is there for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role<'a> {
    /// It holds this content.
    Holds(&'a Content),
    /// It holds nothing and takes pushes.
    Takes,
    /// It is a cache of the registry at this address.
    Caches(SocketAddr),
}

/// A docker-registry that is installed.
pub(crate) struct Distribution(&'static str);

impl Distribution {
    /// Looks for the program.
    pub(crate) fn find() -> Option<Self> {
        installed(&PROGRAMS, "--version").map(Self)
    }

    /// Starts it in `folder`, which is made.
    pub(crate) async fn start(&self, folder: &Path, role: Role<'_>) -> Outcome<Server> {
        let root = folder.join("root");
        fs::create_dir_all(&root).doing("make docker-registry's folder")?;
        let proxy = match role {
            Role::Holds(content) => {
                publish(&root, content)?;
                String::new()
            }
            Role::Takes => String::new(),
            Role::Caches(upstream) => format!("proxy: {{ remoteurl: 'http://{upstream}' }}\n"),
        };
        let address = free_address()?;
        let config = format!(
            "version: 0.1\n\
             log: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage:\n  filesystem: {{ rootdirectory: '{}' }}\n  cache: {{ blobdescriptor: inmemory }}\n\
             http: {{ addr: '{address}', secret: bench }}\n{proxy}",
            root.display()
        );
        let path = folder.join("config.yml");
        fs::write(&path, config).doing("configure docker-registry")?;
        let mut command = Command::new(self.0);
        command.arg("serve").arg(&path);
        let process = Process::start(command, &folder.join("log"))?;
        Server::ready("docker-registry", Target::plain(address), process).await
    }
}

/// Lays the content out as the registry would have (its `registry/storage/paths.go`).
fn publish(root: &Path, content: &Content) -> Outcome<()> {
    let v2 = root.join("docker/registry/v2");
    for (digest, file) in content.files() {
        let hex = digest.hex();
        let folder = v2.join("blobs/sha256").join(&hex[..2]).join(&hex);
        fs::create_dir_all(&folder).doing("make docker-registry's folders")?;
        fs::hard_link(file, folder.join("data")).doing("publish to docker-registry")?;
    }
    let repository = v2.join("repositories").join(REPOSITORY);
    for blob in content.blobs() {
        let layer = repository.join("_layers/sha256").join(blob.digest.hex());
        link(&layer, &blob.digest)?;
    }
    let manifest = &content.manifest.digest;
    let manifests = repository.join("_manifests");
    let tag = manifests.join("tags").join(TAG);
    link(
        &manifests.join("revisions/sha256").join(manifest.hex()),
        manifest,
    )?;
    link(&tag.join("current"), manifest)?;
    link(&tag.join("index/sha256").join(manifest.hex()), manifest)
}

fn link(folder: &Path, digest: &Digest) -> Outcome<()> {
    fs::create_dir_all(folder).doing("make docker-registry's folders")?;
    fs::write(folder.join("link"), digest.to_string()).doing("publish to docker-registry")
}
