//! Child processes that cannot outlive their test.
//!
//! [`run`] is for a command that ends by itself, [`Daemon`] for a server that says on its output when
//! it is ready. Each child leads a process group of its own; a child that is dropped, or that passes
//! its deadline, is killed with its group and waited for, so the directory it wrote to can be removed.
//! Nothing here polls or sleeps: readiness is a line of output, the end is the end of the process.

use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long any one command of a client may take, a pull included.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
/// How long a server may take to say that it is ready.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long a server may take to leave after SIGTERM before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// What a command said that ended well.
#[derive(Debug)]
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
}

/// A command that did not do what it was told; shows the command line and all that it printed.
pub struct Failure(String);

impl Failure {
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

/// Runs `command` to its end, with no input, and returns what it printed.
///
/// # Errors
/// When it cannot be started, exits with anything but 0, or takes longer than [`COMMAND_DEADLINE`].
pub async fn run(command: Command) -> Result<Finished, Failure> {
    run_within(COMMAND_DEADLINE, command).await
}

/// The same for a command that does the work of hundreds.
///
/// # Errors
/// As [`run`], with this `deadline`.
pub async fn run_within(deadline: Duration, mut command: Command) -> Result<Finished, Failure> {
    let line = command_line(&command);
    let child = spawn(&mut command, &line)?;
    let group = Group::of(&child);
    let output = timeout(deadline, child.wait_with_output())
        .await
        .map_err(|_| Failure(format!("{line}\nis not done after {deadline:?}")))?
        .map_err(|error| Failure(format!("{line}\ncannot be waited for: {error}")))?;
    group.forget();
    let finished = Finished {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if output.status.success() {
        return Ok(finished);
    }
    Err(Failure(format!(
        "{line}\nfailed with {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status, finished.stdout, finished.stderr
    )))
}

/// A server run by hand; killed when dropped.
pub struct Daemon {
    name: String,
    child: Child,
    group: Group,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Starts `command` and waits for the first line of its output from which `ready` makes a value.
    ///
    /// # Errors
    /// When it cannot be started, or ends or stays silent instead of becoming ready; with its log.
    pub async fn start<T>(
        mut command: Command,
        ready: impl Fn(&str) -> Option<T>,
    ) -> Result<(Self, T), Failure> {
        let name = command_line(&command);
        let mut child = spawn(&mut command, &name)?;
        let group = Group::of(&child);
        let log = Log::default();
        let (seen, mut lines) = mpsc::unbounded_channel();
        let readers = vec![
            follow(child.stdout.take(), log.clone(), seen.clone()),
            follow(child.stderr.take(), log.clone(), seen),
        ];
        let daemon = Self {
            name,
            child,
            group,
            log,
            readers,
        };
        // The channel ends with the process's output: a server that dies is noticed at once.
        let answer = timeout(START_DEADLINE, async {
            while let Some(line) = lines.recv().await {
                if let Some(value) = ready(&line) {
                    return Some(value);
                }
            }
            None
        });
        match answer.await {
            Ok(Some(value)) => Ok((daemon, value)),
            Ok(None) => Err(daemon.failure("ended before it was ready")),
            Err(_) => Err(daemon.failure("did not become ready")),
        }
    }

    /// All that it printed so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Asks it to leave, waits until it has, and returns all that it ever printed.
    pub async fn stop(mut self) -> Vec<String> {
        self.group.signal(Signal::TERM);
        if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            self.group.signal(Signal::KILL);
        }
        for reader in std::mem::take(&mut self.readers) {
            // A reader ends with the pipe; a grandchild that keeps the pipe open must not keep us.
            let _ = timeout(STOP_DEADLINE, reader).await;
        }
        self.lines()
    }

    fn failure(&self, what: &str) -> Failure {
        Failure(format!(
            "{}\n{what}; it printed\n{}",
            self.name,
            self.lines().join("\n")
        ))
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Daemon({})", self.name)
    }
}

/// The lines a server printed, shared with the tasks that read them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Reads a pipe to its end: an unread pipe would stop the server once it is full.
fn follow(
    pipe: Option<impl AsyncRead + Send + Unpin + 'static>,
    log: Log,
    seen: mpsc::UnboundedSender<String>,
) -> JoinHandle<()> {
    let mut lines = BufReader::new(pipe.expect("the pipe was asked for")).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            log.push(line.clone());
            // Nobody listens any more once the server is ready.
            let _ = seen.send(line);
        }
    })
}

/// The process group of a child, killed with it.
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            leader: id.and_then(Pid::from_raw),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // The group may be gone already.
            let _ = kill_process_group(leader, signal);
        }
    }

    /// The leader was reaped: its number may belong to another process from here on.
    fn forget(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(leader) = self.leader {
            // Reaping is the runtime's (NOWAIT); an error means that it has done so.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = waitid(WaitId::Pid(leader), options);
        }
    }
}

fn spawn(command: &mut Command, line: &str) -> Result<Child, Failure> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure(format!("{line}\ncannot be started: {error}")))
}

fn command_line(command: &Command) -> String {
    let command = command.as_std();
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
