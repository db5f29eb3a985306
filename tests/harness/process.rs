//! The real binary as a child, for what only a process can show: signals, crashes, the command line.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::soon;
use super::strace::Injected;

/// A directory with a configuration, in which the binary is run.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
}

/// A serving process; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What it printed before it served.
    pub(crate) lines: Vec<String>,
    stdout: Lines<BufReader<ChildStdout>>,
    log: Lines<BufReader<ChildStderr>>,
}

impl Place {
    /// A place whose configuration is `yaml`, with free ports and a data directory of its own.
    pub(crate) fn new(yaml: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("entrepot-")
            .tempdir()
            .unwrap();
        let place = Self { directory };
        place.configure(yaml);
        place
    }

    /// Replaces the configuration.
    pub(crate) fn configure(&self, yaml: &str) {
        let listen = match yaml.contains("LISTEN:") {
            true => "",
            false => "LISTEN: 127.0.0.1:0\n",
        };
        let free = format!("{listen}LISTEN_METRICS: none\nDATA_DIR: data\n");
        // The built-in mirror has a port of its own, which other tests may have taken.
        let mirrors = match yaml.contains("REGISTRY_MIRRORS") {
            true => "",
            false => "REGISTRY_MIRRORS: []\n",
        };
        std::fs::write(self.path("config.yaml"), format!("{free}{mirrors}{yaml}")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_entrepot"));
        self.furnish(command.args(arguments));
        command
    }

    /// Has a command run in here, and know of nothing else.
    fn furnish<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(self.directory.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        soon(&arguments.join(" "), self.run_patiently(arguments)).await
    }

    /// The same for one that may take its time.
    pub(crate) async fn run_patiently(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// Starts a command with an input of its own.
    pub(crate) fn spawn(&self, arguments: &[&str], stdin: Stdio) -> Child {
        self.command(arguments).stdin(stdin).spawn().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub(crate) async fn run_well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail, and returns what it said of that.
    pub(crate) async fn run_badly(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts the server with a fault at the `n`-th `call`; tells whether it died before it served. One
    /// that serves is killed.
    pub(crate) async fn serve_under(&self, call: &str, n: usize, injected: Injected) -> bool {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-o", "/dev/null", "-e"])
            .arg(injected.expression(call, n))
            .args([env!("CARGO_BIN_EXE_entrepot"), "serve"]);
        let mut child = self.furnish(&mut command).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let served = soon("the start, or its end", async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("serving on ") {
                    return true;
                }
            }
            false
        });
        let served = served.await;
        if served {
            // With strace its child would go on.
            self.kill_holder();
        }
        soon("the end of strace", child.wait()).await.unwrap();
        !served
    }

    /// Kills the process that uses the data directory.
    fn kill_holder(&self) {
        let lock = std::fs::read_to_string(self.path("data/lock")).unwrap();
        let pid = Pid::from_raw(lock.trim().parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Starts the server and waits until it serves.
    pub(crate) async fn serve(&self) -> Process {
        self.serve_with(&[]).await
    }

    /// The same with variables in its environment.
    pub(crate) async fn serve_with(&self, variables: &[(&str, &str)]) -> Process {
        let mut command = self.command(&["serve"]);
        command.envs(variables.iter().copied());
        Self::begin(command).await
    }

    /// Starts the server as a service manager does that has opened a socket for it, under this name.
    pub(crate) async fn serve_on(&self, name: &str, socket: impl Into<OwnedFd>) -> Process {
        Self::begin(self.on_socket(name, socket.into())).await
    }

    /// The same where it must not start; returns what it said of that.
    pub(crate) async fn serve_badly_on(&self, name: &str, socket: impl Into<OwnedFd>) -> String {
        let mut command = self.on_socket(name, socket.into());
        let output = soon("the end", command.output()).await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    fn on_socket(&self, name: &str, socket: OwnedFd) -> Command {
        // The first descriptor of sd_listen_fds(3) is 3.
        let words = "exec 3<&0 0</dev/null; export LISTEN_PID=$$; exec \"$0\" serve";
        let mut command = Command::new("/bin/sh");
        self.furnish(command.args(["-c", words, env!("CARGO_BIN_EXE_entrepot")]))
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", name)
            .stdin(Stdio::from(socket));
        command
    }

    /// Starts the server by words of a shell, which finds the program as `$0`.
    pub(crate) async fn serve_by(&self, words: &str) -> Process {
        let mut command = Command::new("/bin/sh");
        self.furnish(command.args(["-c", words, env!("CARGO_BIN_EXE_entrepot")]));
        Self::begin(command).await
    }

    async fn begin(mut command: Command) -> Process {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = Vec::new();
        let address = soon("the server", async {
            loop {
                let Some(line) = stdout.next_line().await.unwrap() else {
                    let mut said = String::new();
                    while let Ok(Some(line)) = log.next_line().await {
                        said = format!("{said}\n{line}");
                    }
                    panic!("the server does not start:{said}");
                };
                let url = line
                    .strip_prefix("serving on ")
                    .and_then(|url| url.split_once("://"));
                let address = url.map(|(_, address)| address.parse());
                lines.push(line);
                if let Some(address) = address {
                    break address.unwrap();
                }
            }
        })
        .await;
        Process {
            child,
            address,
            lines,
            stdout,
            log,
        }
    }
}

impl Process {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for a line on its standard output that begins so, and returns the rest of it.
    pub(crate) async fn prints(&mut self, beginning: &str) -> String {
        soon(&format!("{beginning:?} on its output"), async {
            loop {
                let line = self.stdout.next_line().await.unwrap();
                let line = line.expect("the output goes on");
                if let Some(rest) = line.strip_prefix(beginning) {
                    return rest.to_owned();
                }
            }
        })
        .await
    }

    /// Waits for a line of the log that has this text in it.
    pub(crate) async fn logs(&mut self, text: &str) -> String {
        soon(&format!("{text:?} in the log"), async {
            loop {
                let line = self.log.next_line().await.unwrap();
                let line = line.expect("the log goes on");
                if line.contains(text) {
                    return line;
                }
            }
        })
        .await
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        // Both pipes are read to their ends, so that the process cannot wait for us.
        soon("the end of the process", async {
            while let Ok(Some(line)) = self.stdout.next_line().await {
                self.lines.push(line);
            }
            while let Ok(Some(_)) = self.log.next_line().await {}
            self.child.wait().await.unwrap()
        })
        .await
    }
}

/// Whether nothing of that name is there.
pub(crate) fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err()
}
