//! Files on their way to an operation, and how far they have come.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::app::Error;
use crate::bundle::{self, Input};
use crate::model::ByteSize;

/// Pieces that wait for their reader.
const PIECES: usize = 4;

/// What is sent behind a request.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// A file, a directory with an image layout, or `-`.
    Path(PathBuf),
    /// The same without the members that are known at the other end.
    Without(PathBuf, Arc<HashSet<String>>),
    Text(String),
}

impl Given {
    /// Whether somebody is told how far it has come: of what is large, and of known length.
    fn length(&self) -> Option<u64> {
        let metadata = std::fs::metadata(self.path()?).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) | Self::Without(path, _) => Some(path),
            Self::Text(_) => None,
        }
    }
}

/// What went wrong while files were read; looked at when the operation has ended.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<Error>>>);

impl Trouble {
    /// The error, if there was one.
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, path: &Path, error: io::Error) {
        let error = Error::file("read", path, error);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Reads files on a thread of its own, one after another.
pub(super) fn send(given: Vec<Given>) -> (mpsc::Receiver<Input>, Trouble) {
    let (sender, input) = mpsc::channel(PIECES);
    let trouble = Trouble::default();
    let noted = trouble.clone();
    if !given.is_empty() {
        // It ends with its files, or when nobody wants them any more; the process does not wait for it.
        std::thread::spawn(move || {
            let mut meter = Meter::new(given.iter().filter_map(Given::length).sum(), "read");
            for one in given {
                let Err(error) = send_one(&one, &sender, &mut meter) else {
                    continue;
                };
                if let (Some(path), false) = (one.path(), error.kind() == io::ErrorKind::BrokenPipe)
                {
                    noted.note(path, error);
                }
                return;
            }
        });
    }
    (input, trouble)
}

fn send_one(given: &Given, sender: &mpsc::Sender<Input>, meter: &mut Meter) -> io::Result<()> {
    let unwanted = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    match given {
        Given::Path(path) => send_file(path, &HashSet::new(), sender, meter)?,
        Given::Without(path, known) => send_file(path, known, sender, meter)?,
        Given::Text(text) if text.is_empty() => {}
        Given::Text(text) => {
            let bytes = text.clone().into_bytes().into();
            sender
                .blocking_send(Input::Bytes(bytes))
                .map_err(unwanted)?;
        }
    }
    sender.blocking_send(Input::End).map_err(unwanted)
}

fn send_file(
    path: &Path,
    known: &HashSet<String>,
    sender: &mpsc::Sender<Input>,
    meter: &mut Meter,
) -> io::Result<()> {
    bundle::send(path, known, |bytes| {
        meter.count(bytes.len() as u64);
        let sent = sender.blocking_send(Input::Bytes(bytes));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    })
}

/// Tells on stderr how much is done: on a terminal in one line that changes, elsewhere a line a tenth.
pub(super) struct Meter {
    total: u64,
    done: u64,
    /// Hundredths that were told.
    told: u64,
    what: &'static str,
    is_terminal: bool,
}

impl Meter {
    /// Of `total` bytes; none are told of what is small.
    pub(super) fn new(total: u64, what: &'static str) -> Self {
        Self {
            total,
            done: 0,
            told: 0,
            what,
            is_terminal: io::stderr().is_terminal(),
        }
    }

    pub(super) fn count(&mut self, bytes: u64) {
        /// Less than this is done before anybody has read how much it is.
        const SMALL: u64 = 64 << 20;
        self.done += bytes;
        if self.total < SMALL {
            return;
        }
        let hundredth = self.done.saturating_mul(100) / self.total;
        let step = if self.is_terminal { 1 } else { 10 };
        if hundredth / step == self.told / step {
            return;
        }
        self.told = hundredth;
        let (done, total, what) = (ByteSize(self.done), ByteSize(self.total), self.what);
        let mut stderr = io::stderr().lock();
        let bar = "#".repeat(usize::try_from(hundredth / 4).unwrap_or(0).min(25));
        // Whether anybody sees it does not matter.
        let _ = match (self.is_terminal, self.done >= self.total) {
            (true, false) => write!(
                stderr,
                "\r[{bar:<25}] {hundredth:>3} %  {done} of {total} {what}  "
            ),
            (true, true) => writeln!(
                stderr,
                "\r[{bar:<25}] {hundredth:>3} %  {done} of {total} {what}  "
            ),
            (false, _) => writeln!(stderr, "{hundredth} %: {done} of {total} {what}"),
        };
    }
}
