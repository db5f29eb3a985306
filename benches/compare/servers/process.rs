//! A server as a process: started, waited for, measured from outside, and gone when dropped.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::failure::{Doing as _, Failure, Outcome};

/// By so much two looks at hundredths of seconds may be wrong.
const COARSENESS: Duration = Duration::from_millis(20);
/// How long a server may take to leave before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// A running server, with its children a process group of its own.
pub(crate) struct Process {
    child: Child,
    group: Pid,
}

/// CPU time of a server and its children, user and system, by thread.
///
/// A turn takes a fraction of a CPU-second, and `/proc/PID/stat` counts in hundredths: the scheduler's
/// own count in nanoseconds is taken where the kernel has it.
#[derive(Debug, Default)]
pub(crate) struct Cpu {
    threads: HashMap<i32, Duration>,
    /// The same of the processes as wholes, coarse, but with the threads that have ended.
    coarse: Duration,
}

impl Cpu {
    /// What was taken since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let before = |thread| earlier.threads.get(thread).copied().unwrap_or_default();
        let fine: Duration = self
            .threads
            .iter()
            .map(|(thread, now)| now.saturating_sub(before(thread)))
            .sum();
        // A thread that ended meanwhile took its time with it; those that serve seldom do.
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        if coarse > fine + COARSENESS {
            coarse
        } else {
            fine
        }
    }

    fn of(process: &Stat) -> Self {
        let folder = Path::new("/proc").join(process.id.to_string()).join("task");
        let threads = fs::read_dir(folder).into_iter().flatten().flatten();
        let threads: HashMap<_, _> = threads
            .filter_map(|thread| {
                let id = thread.file_name().to_str()?.parse().ok()?;
                // Three numbers; the first is the time on a CPU.
                let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
                let nanos = text.split(' ').next()?.parse().ok()?;
                Some((id, Duration::from_nanos(nanos)))
            })
            .collect();
        let hertz = rustix::param::clock_ticks_per_second();
        let coarse = Duration::from_millis(process.ticks * 1000 / hertz);
        Self { threads, coarse }
    }
}

impl FromIterator<Self> for Cpu {
    fn from_iter<I: IntoIterator<Item = Self>>(processes: I) -> Self {
        processes.into_iter().fold(Self::default(), |mut all, one| {
            all.threads.extend(one.threads);
            all.coarse += one.coarse;
            all
        })
    }
}

/// Memory of a server and its children, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// `VmRSS`: pages that several processes share are counted in each.
    pub(crate) resident: u64,
    /// `Pss`: a shared page is divided by those who share it.
    pub(crate) proportional: u64,
}

impl Process {
    /// Starts `command`, its output going to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Outcome<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = fs::OpenOptions::new().create(true).append(true).open(log);
        let output = output.doing("open the server's log")?;
        let errors = output.try_clone().doing("open the server's log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .doing(format_args!("start {name}"))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = group.ok_or_else(|| Failure::new("the server has no process id"))?;
        Ok(Self { child, group })
    }

    /// CPU time that the server and its children have taken so far.
    pub(crate) fn cpu(&self) -> Outcome<Cpu> {
        Ok(self.members()?.iter().map(Cpu::of).collect())
    }

    /// Memory that the server and its children hold now.
    pub(crate) fn memory(&self) -> Outcome<Memory> {
        let mut memory = Memory::default();
        for member in self.members()? {
            let folder = Path::new("/proc").join(member.id.to_string());
            let status = fs::read_to_string(folder.join("status")).doing("read VmRSS")?;
            memory.resident += kibibytes(&status, "VmRSS:") * 1024;
            let rollup = fs::read_to_string(folder.join("smaps_rollup")).doing("read Pss")?;
            memory.proportional += kibibytes(&rollup, "Pss:") * 1024;
        }
        Ok(memory)
    }

    /// Descriptors that the server and its children have open now.
    pub(crate) fn descriptors(&self) -> Outcome<u64> {
        self.entries("fd")
    }

    /// Threads of the server and its children.
    pub(crate) fn threads(&self) -> Outcome<u64> {
        self.entries("task")
    }

    /// Entries of the folder `name` that proc(5) has of each of them.
    fn entries(&self, name: &str) -> Outcome<u64> {
        let mut entries = 0;
        for member in self.members()? {
            let folder = Path::new("/proc").join(member.id.to_string()).join(name);
            entries += fs::read_dir(folder).doing(name)?.count() as u64;
        }
        Ok(entries)
    }

    /// Ends it without giving it a chance to tidy up.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        // It cannot refuse; an error would mean that it is gone already.
        let _ = self.child.wait();
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The server and the children it has now: nginx answers in workers.
    fn members(&self) -> Outcome<Vec<Stat>> {
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc").doing("list the processes")?.flatten() {
            // Others come and go while we look.
            if let Ok(text) = fs::read_to_string(entry.path().join("stat"))
                && let Some(stat) = Stat::parse(&text)
                && stat.group == self.group.as_raw_pid()
            {
                members.push(stat);
            }
        }
        if members.is_empty() {
            return Err(Failure::new("the server is gone"));
        }
        Ok(members)
    }

    fn signal(&self, signal: Signal) {
        // The group may be gone already.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.is_running() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// The fields of `proc_pid_stat(5)` that are wanted here.
struct Stat {
    id: i32,
    group: i32,
    /// User and system time.
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field, a name in brackets, may hold blanks and brackets itself.
        let (id, rest) = text.split_once(' ')?;
        let fields: Vec<&str> = rest.rsplit_once(") ")?.1.split(' ').collect();
        // The first of `fields` is the third of the file.
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            id: id.parse().ok()?,
            group: field(5)?.parse().ok()?,
            ticks: field(14)?.parse::<u64>().ok()? + field(15)?.parse::<u64>().ok()?,
        })
    }
}

/// The value of `key` in a file of lines like `VmRSS:   1234 kB`; 0 if it is not there.
fn kibibytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// An address of loopback that nobody listens on.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("find a free port")?;
    listener.local_addr().doing("find a free port")
}

/// The first of `candidates` that can be run, for programs outside the ordinary PATH.
pub(crate) fn installed(candidates: &[&'static str], version: &str) -> Option<&'static str> {
    let runs = |program: &&&'static str| {
        let mut command = Command::new(program);
        command.arg(version).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    candidates.iter().find(runs).copied()
}
