//! Faults at exact system calls, by strace's injection.
//!
//! strace counts calls for each thread by itself, so a fault comes at the n-th call of whichever thread
//! makes n of them first. It is skipped where there is no strace, or fails with
//! `ENTREPOT_REQUIRE_CLIENTS=1`.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::chance::say;
use super::clients::variable;
use super::process::Process;
use super::soon;

/// What happens at the call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Injected {
    /// The process dies.
    Kill,
    /// The call fails with this error, once.
    Error(&'static str),
}

impl Injected {
    /// The expression of `-e` for the `n`-th `call`.
    pub(crate) fn expression(self, call: &str, n: usize) -> String {
        match self {
            Self::Kill => format!("inject={call}:signal=KILL:when={n}"),
            Self::Error(error) => format!("inject={call}:error={error}:when={n}"),
        }
    }
}

/// Whether there is a strace.
pub(crate) fn has_strace() -> bool {
    let found = std::process::Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    let required = variable("ENTREPOT_REQUIRE_CLIENTS").is_some_and(|value| value == "1");
    assert!(!required, "strace is missing");
    say("skipped: no strace");
    false
}

/// A strace that follows a process.
pub(crate) struct Tracer(Child);

impl Tracer {
    /// Has something happen at the `n`-th `call` of one of its threads; returns once that is arranged.
    pub(crate) async fn attach(
        process: &Process,
        call: &str,
        n: usize,
        injected: Injected,
    ) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e"])
            .arg(injected.expression(call, n))
            .args(["-p", &process.id().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(strace.stderr.take().unwrap()).lines();
        let line = soon("strace", lines.next_line()).await.unwrap();
        let line = line.expect("strace says something");
        assert!(line.contains("attached"), "{line}");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self(strace)
    }

    /// Lets go of the process, which goes on.
    pub(crate) async fn detach(mut self) {
        let id = i32::try_from(self.0.id().unwrap()).unwrap();
        let pid = Pid::from_raw(id).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        soon("the end of strace", self.0.wait()).await.unwrap();
    }
}
