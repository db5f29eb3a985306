//! A client by its command line, as someone types it who has logged in.
//!
//! Pushes differ more between clients than pulls do, so a test says the words itself: one line, cut at
//! its spaces, run in the client's own directory, in which files are named without a path.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use entrepot::oci::Digest;
use tokio::process::Command;

use super::super::child::{Daemon, Failure, Finished, run};
use super::super::pushable::{Pushable, Transport};
use super::super::sandbox::Sandbox;
use super::{Client, containers};

/// A client with a home of its own.
pub(crate) struct Cli {
    client: Client,
    program: PathBuf,
    before: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
    // Before `sandbox`: the process ends before its directory goes.
    _daemon: Option<Daemon>,
    sandbox: Sandbox,
}

impl Cli {
    /// `program` in an empty home, with the few settings that it needs to run at all.
    pub(crate) fn new(client: Client, program: &Path) -> Self {
        let sandbox = Sandbox::new();
        let before = match client {
            Client::Podman => containers::furnish(&sandbox, true),
            Client::Buildah => containers::furnish(&sandbox, false),
            Client::Skopeo => {
                containers::allow_all(&sandbox);
                Vec::new()
            }
            _ => Vec::new(),
        };
        Self {
            client,
            program: program.to_owned(),
            before,
            variables: Vec::new(),
            _daemon: None,
            sandbox,
        }
    }

    /// The command line of an engine that runs in `sandbox`, and that it is told of by `before`.
    pub(super) fn of_engine(
        client: Client,
        program: &Path,
        before: Vec<OsString>,
        daemon: Daemon,
        sandbox: Sandbox,
    ) -> Self {
        Self {
            client,
            program: program.to_owned(),
            before,
            variables: Vec::new(),
            _daemon: Some(daemon),
            sandbox,
        }
    }

    /// The same with a variable in its environment.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// A file of its directory, whether it exists or not.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// Writes a file into its directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        self.sandbox.write(name, text);
    }

    /// Reads a file of its directory.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The one digest that stands in a file of its directory.
    pub(crate) fn digest_in(&self, name: &str) -> Digest {
        let text = String::from_utf8(self.read(name)).expect("a digest is text");
        text.trim().parse().expect("a digest, and nothing else")
    }

    /// Runs a command line, which must succeed.
    pub(crate) async fn does(&self, line: impl AsRef<str>) -> Finished {
        self.try_to(line.as_ref())
            .await
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Runs a command line, which must fail, and returns what it said of that.
    pub(crate) async fn fails_to(&self, line: impl AsRef<str>) -> String {
        let line = line.as_ref();
        match self.try_to(line).await {
            Ok(finished) => panic!("{line}\nsucceeds: {finished:?}"),
            Err(failure) => failure.to_string(),
        }
    }

    /// Runs a command line with a file of its directory as input.
    pub(crate) async fn does_with_input(&self, line: impl AsRef<str>, input: &str) -> Finished {
        let mut command = self.sandbox.command(Path::new("sh"));
        let script = format!("exec \"$0\" \"$@\" <{input}");
        command.arg("-c").arg(script).arg(&self.program);
        self.complete(&mut command, line.as_ref());
        run(command)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Logs in with the client's own command for it.
    pub(crate) async fn logs_in(&self, site: &Pushable) {
        let (login, address) = (site.login(), site.address);
        let long = format!("--username {} --password {}", login.user, login.password);
        let short = format!("--user {} --pass {}", login.user, login.password);
        let trust = match site.transport() {
            Transport::Plain => "--plain-http".to_owned(),
            Transport::Tls => "--ca-file authority.crt".to_owned(),
        };
        let line = match self.client {
            Client::Skopeo | Client::Podman | Client::Buildah => {
                format!("login --tls-verify=false {long} {address}")
            }
            Client::Crane => format!("auth login {long} {address}"),
            Client::Oras => format!("login {trust} {long} {address}"),
            Client::Helm => format!("registry login {address} {trust} {long}"),
            Client::Regctl => format!("registry login {address} {short}"),
            _ => format!("login {long} {address}"),
        };
        self.does(line).await;
    }

    async fn try_to(&self, line: &str) -> Result<Finished, Failure> {
        let mut command = self.sandbox.command(&self.program);
        self.complete(&mut command, line);
        run(command).await
    }

    fn complete(&self, command: &mut Command, line: &str) {
        command.args(&self.before).args(line.split_whitespace());
        match self.client {
            Client::Podman | Client::Buildah => containers::point_to(command, &self.sandbox),
            Client::Skopeo => containers::forget_root(command),
            _ => {}
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        // Its own end comes with the field; this is what podman without root leaves behind.
        containers::end_pause(&self.sandbox);
    }
}
