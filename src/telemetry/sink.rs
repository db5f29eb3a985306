//! Where log lines go: a bounded queue, and a thread that writes it out.
//!
//! Made by `logging`. A task that logs never waits for the reader of stderr and never fails with it
//! (DO-10): when the queue is full the line is dropped and counted, when stderr is closed it is
//! gone. The thread ends with the last handle.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::LogFormat;
use super::line;
use super::repeats::{Repeats, Verdict};

/// Lines that may wait: 8 MiB at the very most, as a rule well below one.
const QUEUE: usize = 1024;

enum Entry {
    Line(String),
    /// Answered when all before it is written.
    Flush(SyncSender<()>),
}

/// The writing end; cheap to clone.
#[derive(Clone)]
pub(super) struct Sink {
    format: LogFormat,
    queue: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
    repeats: Arc<Mutex<Repeats>>,
}

impl Sink {
    /// A sink whose thread writes to `output`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(
        format: LogFormat,
        output: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_out(&entries, output, format, &counted))?;
        Ok(Self {
            format,
            queue,
            dropped,
            repeats: Arc::default(),
        })
    }

    /// Waits until what was logged is written, at most `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        let deadline = Instant::now() + limit;
        let mut entry = Entry::Flush(done);
        while let Err(TrySendError::Full(back)) = self.queue.try_send(entry) {
            if Instant::now() >= deadline {
                return;
            }
            entry = back;
            std::thread::yield_now();
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Whether it was written in time or not, the caller goes on.
        let _ = written.recv_timeout(left);
    }

    /// Puts an event, formatted without its time, in the queue.
    fn log(&self, level: Level, event: &str) {
        let mut line = line::of_event(self.format, event);
        if level <= Level::WARN {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            match repeats.admit(&line, Instant::now()) {
                Verdict::Write => {}
                Verdict::WriteAfter(count) => line = with_count(self.format, &line, count),
                Verdict::HoldBack => return,
            }
        }
        if let Err(TrySendError::Full(_)) = self
            .queue
            .try_send(Entry::Line(with_time(self.format, &line)))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes until every sender is gone. Errors of the output are of no interest to anyone.
fn write_out(
    entries: &Receiver<Entry>,
    mut output: impl Write,
    format: LogFormat,
    dropped: &AtomicU64,
) {
    while let Ok(entry) = entries.recv() {
        match entry {
            Entry::Line(line) => {
                let _ = output.write_all(line.as_bytes());
            }
            Entry::Flush(done) => {
                let _ = output.flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = output.write_all(lost_lines(format, lost).as_bytes());
        }
    }
}

fn lost_lines(format: LogFormat, lost: u64) -> String {
    let line = match format {
        LogFormat::Text => format!(" WARN entrepot::telemetry: log lines dropped count={lost}"),
        LogFormat::Json => format!(
            r#"{{"level":"WARN","target":"entrepot::telemetry","message":"log lines dropped","count":{lost}}}"#
        ),
    };
    with_time(format, &line)
}

/// The line with the time in front and a line feed behind.
fn with_time(format: LogFormat, line: &str) -> String {
    let now = jiff::Timestamp::now();
    match (format, line.strip_prefix('{')) {
        (LogFormat::Json, Some(rest)) => format!("{{\"timestamp\":\"{now:.6}\",{rest}\n"),
        _ => format!("{now:.6} {line}\n"),
    }
}

/// The line with the number of those held back.
fn with_count(format: LogFormat, line: &str, count: u64) -> String {
    match (format, line.strip_suffix('}')) {
        (LogFormat::Json, Some(rest)) => format!("{rest},\"repeated\":{count}}}"),
        _ => format!("{line} repeated={count}"),
    }
}

/// Takes the bytes of one event; it becomes a line when the subscriber is done with it.
pub(super) struct EventWriter<'a> {
    sink: &'a Sink,
    level: Level,
    event: Vec<u8>,
}

impl<'a> EventWriter<'a> {
    const fn new(sink: &'a Sink, level: Level) -> Self {
        Self {
            sink,
            level,
            event: Vec::new(),
        }
    }
}

impl Write for EventWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.event.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for EventWriter<'_> {
    fn drop(&mut self) {
        if !self.event.is_empty() {
            let event = String::from_utf8_lossy(&self.event);
            self.sink.log(self.level, &event);
        }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = EventWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        EventWriter::new(self, Level::INFO)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        EventWriter::new(self, *metadata.level())
    }
}
