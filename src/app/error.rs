//! Why the program cannot do what its operator asked.

use std::io;
use std::path::PathBuf;

use crate::{
    accounts, auth, backup, blob, http, mirror, outbound, proxy, registry, store, telemetry,
};

/// What is told to the operator before the process ends with 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// CR-09: two processes never work on one data directory.
    #[error("{} is in use by another entrepot process{}", data_dir.display(), of_process(*.process))]
    Locked {
        data_dir: PathBuf,
        process: Option<u32>,
    },
    /// The directory is in use, and whoever uses it does not speak.
    #[error(
        "{} is in use by another entrepot process{}, which does not answer on its control socket",
        data_dir.display(), of_process(*.process)
    )]
    Silent {
        data_dir: PathBuf,
        process: Option<u32>,
    },
    #[error(
        "{} holds no data of entrepot: start the server once, or say with --config or \
         --data-dir where its data is",
        data_dir.display()
    )]
    NoData { data_dir: PathBuf },
    #[error("cannot {act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the control socket: {reason}")]
    Control { reason: String },
    /// A command that was understood and cannot be carried out.
    #[error("{0}")]
    Refused(String),
    #[error("the log cannot be started")]
    Logging(#[from] telemetry::LoggingError),
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Backup(#[from] backup::Error),
    #[error(transparent)]
    Blob(#[from] blob::Error),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A mirror of the configuration.
    #[error(transparent)]
    Mirror(#[from] mirror::SettingsError),
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    #[error(transparent)]
    Auth(#[from] auth::Error),
    #[error(transparent)]
    Outbound(#[from] outbound::Error),
    #[error(transparent)]
    Upstream(#[from] proxy::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("a task of the start was given up")]
    Task(#[from] tokio::task::JoinError),
    #[error("no asynchronous runtime")]
    Runtime(#[source] io::Error),
}

fn of_process(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

impl Error {
    pub(super) fn file(
        act: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::File {
            act,
            path: path.into(),
            source: source.into(),
        }
    }

    /// The error with everything behind it, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let next = error.to_string();
            // Some errors repeat their source in their own text.
            if !text.ends_with(&next) {
                text = format!("{text}: {next}");
            }
            source = error.source();
        }
        text
    }
}
