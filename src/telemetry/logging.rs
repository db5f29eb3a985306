//! The log: text or JSON lines on stderr, a level that can change while running.
//!
//! Started once by `app`. Events come from `tracing` macros in every room; fields are named
//! `entity.attribute`. What a line may hold is decided in `line`, how it gets out in `sink`.

use std::io::Write;
use std::time::Duration;

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::{Layer, Registry};

use super::sink::Sink;

/// How long the last lines may take when the program ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Why logging did not start or change.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("not a list of levels")]
    Level(#[source] ParseError),
    #[error("no thread for the log")]
    Thread(#[source] std::io::Error),
    #[error("a log is already there")]
    Taken(#[source] SetGlobalDefaultError),
    #[error("the log is gone")]
    Gone(#[source] reload::Error),
}

/// The running log; dropping it waits a moment for the last lines.
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    sink: Sink,
}

impl Logging {
    /// Changes the level of everything logged from here on.
    ///
    /// # Errors
    /// [`LoggingError::Level`] if `level` is none; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), LoggingError> {
        let filter = parse_level(level)?;
        self.filter.reload(filter).map_err(LoggingError::Gone)
    }

    /// Waits until what was logged is written, a second at most.
    pub fn flush(&self) {
        self.sink.flush(LAST_LINES);
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Starts the log of this process, on stderr.
///
/// # Errors
/// If `level` is no list of levels, or a log is there already.
pub fn start(format: LogFormat, level: &str) -> Result<Logging, LoggingError> {
    let (logging, subscriber) = build(format, level, std::io::stderr())?;
    tracing::subscriber::set_global_default(subscriber).map_err(LoggingError::Taken)?;
    Ok(logging)
}

/// Whether a text is a list of levels, as `LOG_LEVEL` has it.
///
/// # Errors
/// What is wrong with it.
pub fn check_level(level: &str) -> Result<(), String> {
    EnvFilter::builder()
        .parse(level)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn parse_level(level: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(LoggingError::Level)
}

/// A log that writes to `output`, not yet that of the process.
fn build(
    format: LogFormat,
    level: &str,
    output: impl Write + Send + 'static,
) -> Result<(Logging, impl Subscriber + Send + Sync), LoggingError> {
    let (filter, handle) = reload::Layer::new(parse_level(level)?);
    let sink = Sink::start(format, output).map_err(LoggingError::Thread)?;
    let lines = lines(format, sink.clone());
    let subscriber = Registry::default().with(filter).with(lines);
    let logging = Logging {
        filter: handle,
        sink,
    };
    Ok((logging, subscriber))
}

/// Formats events; the time is added by the sink, so that equal events are equal lines.
fn lines<S>(format: LogFormat, sink: Sink) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .without_time()
        .log_internal_errors(false)
        .with_writer(sink);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;
    use tracing::{error, info};

    use super::*;

    /// An output that keeps what it is given.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, act: impl FnOnce(&Logging)) -> String {
        let output = Kept::default();
        let (logging, subscriber) = build(format, level, output.clone()).unwrap();
        with_default(subscriber, || act(&logging));
        logging.flush();
        output.text()
    }

    /// DO-10: names with line feeds and escape sequences, in both forms.
    #[test]
    fn hostile_fields_make_one_line_without_controls() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format, "info", |_| {
                let name = "a\nb\x1b[31m\u{9b}\u{202e}";
                info!(repository.name = name, "pull {name}");
            });
            let line = text.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.contains("repository.name"), "{line}");
        }
    }

    #[test]
    fn json_lines_are_objects_with_time_level_and_fields() {
        let text = logged(LogFormat::Json, "info", |_| info!(size_bytes = 5, "stored"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "stored");
        assert_eq!(value["size_bytes"], 5);
        assert_eq!(value["level"], "INFO");
        let time = value["timestamp"].as_str().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }

    #[test]
    fn the_level_changes_while_running() {
        let text = logged(LogFormat::Text, "warn", |logging| {
            info!("first");
            logging.set_level("info").unwrap();
            info!("second");
            assert!(logging.set_level("info=[").is_err());
            info!("third");
        });
        assert!(!text.contains("first"));
        assert!(text.contains("second") && text.contains("third"), "{text}");
    }

    #[test]
    fn identical_errors_are_held_back() {
        let text = logged(LogFormat::Text, "info", |_| {
            (0..100).for_each(|_| error!("upstream is away"));
        });
        assert_eq!(text.lines().count(), 10);
    }

    /// An output that waits until it is released.
    struct Stuck(Receiver<()>, Kept);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Waits until the sender is gone.
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// DO-10: a full log sink never blocks; what is lost is counted.
    #[test]
    fn a_stuck_output_holds_nobody_up() {
        let (release, stuck): (Sender<()>, _) = channel();
        let kept = Kept::default();
        let output = Stuck(stuck, kept.clone());
        let (logging, subscriber) = build(LogFormat::Text, "info", output).unwrap();
        with_default(subscriber, || {
            (0..5000).for_each(|number| info!(number, "line"));
        });
        drop(release);
        logging.flush();
        let text = kept.text();
        assert!(text.lines().count() < 5000);
        assert!(text.contains("log lines dropped count="), "{text}");
    }

    /// An output whose reader went away.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    /// DO-10: a closed log sink neither panics nor ends the log.
    #[test]
    fn a_closed_output_is_ignored() {
        let (logging, subscriber) = build(LogFormat::Json, "info", Closed).unwrap();
        with_default(subscriber, || {
            info!("lost");
            logging.flush();
            info!("lost too");
            logging.set_level("debug").unwrap();
        });
    }
}
