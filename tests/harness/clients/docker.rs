//! Docker Engine: a dockerd started by hand, and `docker` to tell it what to do.
//!
//! It needs root, but no cgroups, no firewall and no network of its own, because it runs
//! no container. It starts its own containerd, which the kernel ends with it.

use std::path::Path;

use entrepot::oci::Digest;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::process::Command;

use super::super::child::{Daemon, Failure, run};
use super::super::sandbox::Sandbox;
use super::cli::Cli;
use super::{Client, ImageName, Puller, SiteUnderTest, Way, digests_in};

/// A Docker Engine with the site as its registry mirror.
pub struct Docker {
    program: std::path::PathBuf,
    site: SiteUnderTest,
    way: Way,
    // Before `sandbox`: the process ends before its directory goes.
    _daemon: Daemon,
    sandbox: Sandbox,
}

impl Docker {
    /// Starts an engine that pulls from `site`.
    pub async fn start(
        docker: &Path,
        dockerd: &Path,
        site: &SiteUnderTest,
        way: Way,
    ) -> Result<Self, Failure> {
        let sandbox = Sandbox::new();
        let mut command = engine(dockerd, &sandbox);
        if way == Way::AsMirror {
            command.arg(format!("--registry-mirror=http://{}", site.mirror_address));
        }
        let daemon = start(command).await?;
        Ok(Self {
            program: docker.to_owned(),
            site: site.clone(),
            way,
            _daemon: daemon,
            sandbox,
        })
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut command = self.sandbox.command(&self.program);
        command.arg("--host").arg(socket(&self.sandbox)).args(words);
        command
    }
}

impl Puller for Docker {
    fn name(&self) -> &'static str {
        match self.way {
            Way::ByAddress => "docker pull ADDRESS/...",
            Way::AsMirror => "docker pull with registry-mirrors",
        }
    }

    fn pull<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<Vec<Digest>, Failure>> {
        async move {
            let name = self.way.name(&self.site, image);
            run(self.docker(&["pull", &name])).await?;
            let format = "{{json .RepoDigests}}";
            let shown = run(self.docker(&["image", "inspect", "--format", format, &name])).await?;
            Ok(digests_in(&shown.stdout))
        }
        .boxed()
    }

    fn remove<'a>(&'a self, image: &'a ImageName) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let name = self.way.name(&self.site, image);
            run(self.docker(&["image", "rm", &name])).await.map(drop)
        }
        .boxed()
    }
}

/// The command line of an engine without mirrors, for tests that push.
pub(crate) async fn cli(docker: &Path, dockerd: &Path) -> Result<Cli, Failure> {
    let sandbox = Sandbox::new();
    let daemon = start(engine(dockerd, &sandbox)).await?;
    let before = vec!["--host".into(), socket(&sandbox).into()];
    let client = Client::Docker;
    Ok(Cli::of_engine(client, docker, before, daemon, sandbox))
}

async fn start(command: Command) -> Result<Daemon, Failure> {
    let listening = |line: &str| line.contains("API listen on").then_some(());
    let (daemon, ()) = Daemon::start(command, listening).await?;
    Ok(daemon)
}

/// A dockerd that touches nothing of this machine but its own directory.
fn engine(dockerd: &Path, sandbox: &Sandbox) -> Command {
    let mut command = sandbox.command_with_own_mounts(dockerd);
    let option = |name: &str, file: &str| format!("--{name}={}", sandbox.path(file).display());
    // An empty file instead of /etc/docker/daemon.json, whose settings would clash with the flags.
    sandbox.write("daemon.json", "{}");
    command
        .arg(option("config-file", "daemon.json"))
        .arg(option("data-root", "data"))
        .arg(option("exec-root", "exec"))
        .arg(option("pidfile", "dockerd.pid"))
        .arg(format!("--host={}", socket(sandbox)))
        // vfs copies each layer: the one driver that works on every file system.
        .arg("--storage-driver=vfs")
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
        .args([
            "--ip-forward=false",
            "--ip-masq=false",
            "--userland-proxy=false",
        ]);
    command
}

fn socket(sandbox: &Sandbox) -> String {
    format!("unix://{}", sandbox.path("docker.sock").display())
}
