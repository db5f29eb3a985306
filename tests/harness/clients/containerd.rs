//! containerd started by hand, and `ctr` to tell it what to do.
//!
//! With a hosts directory `ctr` asks the mirror for docker.io's names and adds `?ns=docker.io`, as
//! Kubernetes nodes do. It needs root.

use std::path::{Path, PathBuf};

use entrepot::oci::Digest;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::process::Command;

use super::super::child::{Daemon, Failure, run};
use super::super::sandbox::Sandbox;
use super::cli::Cli;
use super::{Client, ImageName, Puller, SiteUnderTest, Way, digests_in};

/// A containerd and the site it pulls from.
pub struct Containerd {
    ctr: PathBuf,
    site: SiteUnderTest,
    way: Way,
    // Before `sandbox`: the process ends before its directory goes.
    _daemon: Daemon,
    sandbox: Sandbox,
}

impl Containerd {
    /// Starts a containerd that pulls from `site`.
    pub async fn start(
        ctr: &Path,
        containerd: &Path,
        site: &SiteUnderTest,
        way: Way,
    ) -> Result<Self, Failure> {
        let sandbox = Sandbox::new();
        // `server` is what is asked after the mirrors: the site again, never the internet.
        let host = format!("http://{}", site.address);
        sandbox.write(
            "hosts/docker.io/hosts.toml",
            &format!(
                "server = \"{host}\"\n[host.\"{host}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
            ),
        );
        let daemon = start(containerd, &sandbox).await?;
        Ok(Self {
            ctr: ctr.to_owned(),
            site: site.clone(),
            way,
            _daemon: daemon,
            sandbox,
        })
    }

    /// Names the organisation in the mirror's path, which then takes the place of `/v2`. Nothing else
    /// is asked: what is behind the mirror is a port where nobody listens.
    pub fn by_path(self) -> Self {
        let host = format!("http://{}/v2/{}", self.site.address, self.site.organization);
        self.sandbox.write(
            "hosts/docker.io/hosts.toml",
            &format!(
                "server = \"http://127.0.0.1:9\"\n[host.\"{host}\"]\n\
                 capabilities = [\"pull\", \"resolve\"]\noverride_path = true\n"
            ),
        );
        self
    }

    fn images(&self, verb: &str) -> Command {
        let mut command = self.sandbox.command(&self.ctr);
        command
            .arg("--address")
            .arg(self.sandbox.path("containerd.sock"))
            .args(["--namespace", "entrepot", "images", verb]);
        command
    }
}

impl Puller for Containerd {
    fn name(&self) -> &'static str {
        match self.way {
            Way::ByAddress => "ctr pull ADDRESS/...",
            Way::AsMirror => "ctr pull with ?ns=",
        }
    }

    fn pull<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<Vec<Digest>, Failure>> {
        async move {
            let name = self.way.name(&self.site, image);
            let mut pull = self.images("pull");
            // native copies each layer: no overlay support is asked of the file system.
            pull.args(["--snapshotter", "native"]);
            match self.way {
                Way::ByAddress => pull.arg("--plain-http"),
                Way::AsMirror => pull.arg("--hosts-dir").arg(self.sandbox.path("hosts")),
            };
            pull.arg(&name);
            run(pull).await?;
            let mut list = self.images("list");
            list.arg(format!("name=={name}"));
            Ok(digests_in(&run(list).await?.stdout))
        }
        .boxed()
    }

    fn remove<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let mut remove = self.images("remove");
            // --sync: its garbage collector has run when the command ends.
            remove.arg("--sync").arg(self.way.name(&self.site, image));
            run(remove).await.map(drop)
        }
        .boxed()
    }
}

/// The command line of a containerd without mirrors, for tests that push.
pub(crate) async fn cli(ctr: &Path, containerd: &Path) -> Result<Cli, Failure> {
    let sandbox = Sandbox::new();
    let daemon = start(containerd, &sandbox).await?;
    let before = vec!["--address".into(), sandbox.path("containerd.sock").into()];
    Ok(Cli::of_engine(Client::Ctr, ctr, before, daemon, sandbox))
}

async fn start(containerd: &Path, sandbox: &Sandbox) -> Result<Daemon, Failure> {
    let config = sandbox.write("config.toml", &config(sandbox));
    let mut command = sandbox.command_with_own_mounts(containerd);
    command.arg("--config").arg(config);
    let booted = |line: &str| {
        line.contains("containerd successfully booted")
            .then_some(())
    };
    let (daemon, ()) = Daemon::start(command, booted).await?;
    Ok(daemon)
}

fn config(sandbox: &Sandbox) -> String {
    let path = |name: &str| sandbox.path(name).display().to_string();
    // `opt` would make /opt/containerd; `cri` wants a network.
    format!(
        "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
         [grpc]\naddress = \"{}\"\n[ttrpc]\naddress = \"{}\"\n",
        path("root"),
        path("state"),
        path("containerd.sock"),
        path("containerd.sock.ttrpc"),
    )
}
