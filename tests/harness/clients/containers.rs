//! Podman and Buildah: engines without a daemon, of one family of libraries and settings.
//!
//! Both keep their images in the sandbox, with the vfs driver that works on every file system. Mirrors
//! are named in a registries.conf of the sandbox; there is no `?ns=`: the mirror's path takes the place
//! of the origin's host.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use entrepot::oci::Digest;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::process::Command;

use super::super::child::{Failure, run};
use super::super::sandbox::Sandbox;
use super::{ImageName, Puller, SiteUnderTest, Way, digests_in};

/// Everything may be pulled, signed or not.
pub(super) const POLICY: &str = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
// Locks in files of the sandbox, not in shared memory under a name that all podmans use.
const ENGINE: &str = "[engine]\nlock_type = \"file\"\nevents_logger = \"none\"\n\
                      cgroup_manager = \"cgroupfs\"\n";
const NO_MIRRORS: &str = "unqualified-search-registries = []\n";

/// `podman pull`.
pub struct Podman {
    storage: Storage,
}

impl Podman {
    pub fn new(program: &Path, site: &SiteUnderTest, way: Way) -> Self {
        Self {
            storage: Storage::new(program, site, way, true),
        }
    }

    fn podman<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Command {
        let mut command = self.storage.command();
        command.args(words);
        command
    }
}

impl Puller for Podman {
    fn name(&self) -> &'static str {
        match self.storage.way {
            Way::ByAddress => "podman pull ADDRESS/...",
            Way::AsMirror => "podman pull with a mirror in registries.conf",
        }
    }

    fn pull<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<Vec<Digest>, Failure>> {
        async move {
            let name = self.storage.image(image);
            run(self.podman(self.storage.pull(&name))).await?;
            let format = "{{.Digest}} {{json .RepoDigests}}";
            let shown =
                run(self.podman(["image", "inspect", "--format", format, name.as_str()])).await?;
            Ok(digests_in(&shown.stdout))
        }
        .boxed()
    }

    fn remove<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let name = self.storage.image(image);
            run(self.podman(["image", "rm", name.as_str()]))
                .await
                .map(drop)
        }
        .boxed()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        end_pause(&self.storage.sandbox);
    }
}

/// `buildah pull`.
pub struct Buildah {
    storage: Storage,
}

impl Buildah {
    pub fn new(program: &Path, site: &SiteUnderTest, way: Way) -> Self {
        Self {
            storage: Storage::new(program, site, way, false),
        }
    }

    fn buildah<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Command {
        let mut command = self.storage.command();
        command.args(words);
        command
    }
}

impl Puller for Buildah {
    fn name(&self) -> &'static str {
        match self.storage.way {
            Way::ByAddress => "buildah pull ADDRESS/...",
            Way::AsMirror => "buildah pull with a mirror in registries.conf",
        }
    }

    fn pull<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<Vec<Digest>, Failure>> {
        async move {
            let name = self.storage.image(image);
            run(self.buildah(self.storage.pull(&name))).await?;
            let shown = run(self.buildah(["images", "--json", name.as_str()])).await?;
            Ok(digests_in(&shown.stdout))
        }
        .boxed()
    }

    fn remove<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let name = self.storage.image(image);
            run(self.buildah(["rmi", name.as_str()])).await.map(drop)
        }
        .boxed()
    }
}

/// What the two have in common: image storage and configuration of their own.
struct Storage {
    program: PathBuf,
    site: SiteUnderTest,
    way: Way,
    options: Vec<OsString>,
    sandbox: Sandbox,
}

impl Storage {
    fn new(program: &Path, site: &SiteUnderTest, way: Way, is_podman: bool) -> Self {
        let sandbox = Sandbox::new();
        let options = furnish(&sandbox, is_podman);
        sandbox.write("registries.conf", &registries(site, way));
        Self {
            program: program.to_owned(),
            site: site.clone(),
            way,
            options,
            sandbox,
        }
    }

    fn command(&self) -> Command {
        let mut command = self.sandbox.command(&self.program);
        command.args(&self.options);
        point_to(&mut command, &self.sandbox);
        command
    }

    fn image(&self, image: &ImageName) -> String {
        self.way.name(&self.site, image)
    }

    /// The words of a pull. Of a mirror registries.conf says that it speaks plain HTTP, and the flag
    /// would win over that, whatever its value.
    fn pull(&self, image: &str) -> Vec<String> {
        let mut words = vec!["pull".to_owned()];
        if self.way == Way::ByAddress {
            words.push("--tls-verify=false".to_owned());
        }
        words.push(image.to_owned());
        words
    }
}

/// Lets everything be pulled by what reads `sandbox`.
pub(super) fn allow_all(sandbox: &Sandbox) {
    sandbox.write("home/.config/containers/policy.json", POLICY);
}

/// Writes the settings of Podman or Buildah, without mirrors, and returns the options that make them
/// keep their images in `sandbox`.
pub(super) fn furnish(sandbox: &Sandbox, is_podman: bool) -> Vec<OsString> {
    allow_all(sandbox);
    sandbox.write("registries.conf", NO_MIRRORS);
    sandbox.write("containers.conf", ENGINE);
    let mut options: Vec<OsString> = ["--storage-driver", "vfs"].map(OsString::from).into();
    let mut folders = vec![("--root", "root"), ("--runroot", "runroot")];
    if is_podman {
        folders.push(("--tmpdir", "podman"));
    }
    for (option, folder) in folders {
        options.extend([option.into(), sandbox.path(folder).into()]);
    }
    options
}

/// Makes Podman and Buildah read the settings of `sandbox`.
pub(super) fn point_to(command: &mut Command, sandbox: &Sandbox) {
    let (conf, registries) = ("containers.conf", "registries.conf");
    command
        .env("CONTAINERS_CONF", sandbox.path(conf))
        .env("CONTAINERS_REGISTRIES_CONF", sandbox.path(registries));
    forget_root(command);
}

/// The same for a shell, whose commands say nothing of where images are kept.
pub(crate) fn furnish_shell(sandbox: &Sandbox) {
    furnish(sandbox, true);
    let path = |name| sandbox.path(name).display().to_string();
    let engine = format!("{ENGINE}tmp_dir = \"{}\"\n", path("podman"));
    sandbox.write("containers.conf", &engine);
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        path("root"),
        path("runroot")
    );
    sandbox.write("storage.conf", &storage);
    // As everyone has it, so that what stands in files beside it counts.
    sandbox.write("home/.config/containers/registries.conf", NO_MIRRORS);
}

/// Makes what a shell runs read them.
pub(crate) fn point_shell_to(command: &mut Command, sandbox: &Sandbox) {
    command
        .env("CONTAINERS_CONF", sandbox.path("containers.conf"))
        .env("CONTAINERS_STORAGE_CONF", sandbox.path("storage.conf"));
    forget_root(command);
}

/// Ends the process with which a podman without root keeps its user namespace.
pub(crate) fn end_pause(sandbox: &Sandbox) {
    let file = sandbox.path("podman/pause.pid");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    if let Some(pause) = text.trim().parse().ok().and_then(Pid::from_raw) {
        let _ = kill_process(pause, Signal::KILL);
    }
}

/// Puts the cache of known blobs into the sandbox's home: root's is /var/lib/containers/cache, whatever
/// HOME says, unless this variable (of containers/image) names another user.
pub(super) fn forget_root(command: &mut Command) {
    if geteuid().is_root() {
        command.env("_CONTAINERS_ROOTLESS_UID", "65534");
    }
}

fn registries(site: &SiteUnderTest, way: Way) -> String {
    let mirror = format!(
        "[[registry]]\nlocation = \"docker.io\"\n\
         [[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        site.prefix()
    );
    match way {
        Way::ByAddress => NO_MIRRORS.to_owned(),
        Way::AsMirror => mirror,
    }
}
