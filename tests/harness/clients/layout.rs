//! Clients that copy an image into a directory: skopeo, crane, oras and regctl.
//!
//! Each takes the whole of what the tag names, every platform of an index included. The digest is read
//! from what they wrote, not from what they say.

use std::fs;
use std::path::{Path, PathBuf};

use entrepot::oci::Digest;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::process::Command;

use super::super::child::{Failure, run};
use super::super::sandbox::Sandbox;
use super::containers::{POLICY, forget_root};
use super::{ImageName, Puller, SiteUnderTest};

/// Which of the copiers, for each has its own words for the same act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Skopeo,
    Crane,
    Oras,
    Regctl,
}

/// A client that pulls into a directory.
pub struct Copier {
    tool: Tool,
    program: PathBuf,
    site: SiteUnderTest,
    sandbox: Sandbox,
}

impl Copier {
    pub fn new(tool: Tool, program: &Path, site: &SiteUnderTest) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("home/.config/containers/policy.json", POLICY);
        Self {
            tool,
            program: program.to_owned(),
            site: site.clone(),
            sandbox,
        }
    }

    fn copy(&self, image: &ImageName) -> Command {
        let source = image.at(&self.site);
        let directory = self.directory(image);
        let mut command = self.sandbox.command(&self.program);
        match self.tool {
            // `dir:` keeps manifests as they came; `oci:` would rewrite Docker's.
            Tool::Skopeo => {
                forget_root(&mut command);
                command
                    .args(["copy", "--all", "--src-tls-verify=false"])
                    .arg(format!("docker://{source}"))
                    .arg(format!("dir:{}", directory.display()))
            }
            Tool::Crane => command
                .args(["pull", "--insecure", "--format=oci", &source])
                .arg(&directory),
            Tool::Oras => command
                .args(["copy", "--no-tty", "--from-plain-http", &source])
                .arg("--to-oci-layout")
                .arg(format!("{}:copy", directory.display())),
            Tool::Regctl => command
                .arg(format!("--host=reg={},tls=disabled", self.site.address))
                .args(["image", "copy", &source])
                .arg(format!("ocidir://{}:copy", directory.display())),
        };
        command
    }

    fn directory(&self, image: &ImageName) -> PathBuf {
        self.sandbox.path(&image.slug())
    }

    fn written(&self, image: &ImageName) -> Result<Vec<Digest>, Failure> {
        let directory = self.directory(image);
        match self.tool {
            Tool::Skopeo => Ok(vec![Digest::of(&read(&directory.join("manifest.json"))?)]),
            Tool::Crane | Tool::Oras | Tool::Regctl => layout_digests(&directory),
        }
    }
}

impl Puller for Copier {
    fn name(&self) -> &'static str {
        match self.tool {
            Tool::Skopeo => "skopeo copy",
            Tool::Crane => "crane pull",
            Tool::Oras => "oras copy",
            Tool::Regctl => "regctl image copy",
        }
    }

    fn pull<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<Vec<Digest>, Failure>> {
        async move {
            run(self.copy(image)).await?;
            self.written(image)
        }
        .boxed()
    }

    fn remove<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let directory = self.directory(image);
            fs::remove_dir_all(&directory)
                .map_err(|error| Failure::new(format!("{}: {error}", directory.display())))
        }
        .boxed()
    }
}

/// The manifests at the top of an OCI image layout (image-spec 1.1, image-layout.md) that are there,
/// byte for byte.
fn layout_digests(directory: &Path) -> Result<Vec<Digest>, Failure> {
    let index: Value = serde_json::from_slice(&read(&directory.join("index.json"))?)
        .map_err(|error| Failure::new(format!("index.json: {error}")))?;
    let manifests = index["manifests"].as_array().into_iter().flatten();
    manifests
        .filter_map(|manifest| manifest["digest"].as_str()?.parse::<Digest>().ok())
        .map(|digest| {
            let kept = read(&directory.join("blobs/sha256").join(digest.hex()))?;
            Ok(Digest::of(&kept))
        })
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}
