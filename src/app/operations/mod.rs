//! What an operator may ask of the content, carried out on the services.
//!
//! A running server carries it out for whoever speaks to its control socket; without one, the command
//! does it itself with the same services. Either way the answer is a row of [`Frame`]s, so long work
//! shows that it goes on and no answer is held in memory whole.

mod content;
mod message;
mod target;

use std::sync::Arc;

use tokio::sync::mpsc;

pub(super) use message::{ChangeRow, Frame, Request, Row, StatusRow};
pub(super) use target::Target;

use super::assemble::Services;

/// Frames that wait for a slow reader.
const FRAMES: usize = 64;

/// Where frames go. Once nobody reads them the work ends at its next frame.
#[derive(Clone)]
pub(super) struct Report(mpsc::Sender<Frame>);

/// Nobody listens any more.
#[derive(Debug)]
pub(super) struct Unheard;

/// Why an operation ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("nobody listens any more")]
    Unheard,
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    #[error(transparent)]
    Upstream(#[from] crate::proxy::Error),
}

impl From<Unheard> for Failure {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl Report {
    pub(super) async fn row(&self, row: Row) -> Result<(), Unheard> {
        self.0.send(Frame::Row(row)).await.map_err(|_| Unheard)
    }

    pub(super) async fn progress(&self, text: impl Into<String>) -> Result<(), Unheard> {
        self.0
            .send(Frame::Progress { text: text.into() })
            .await
            .map_err(|_| Unheard)
    }
}

/// Begins an operation and returns its frames; the last one is [`Frame::Done`] or [`Frame::Failed`].
///
/// # Cancel safety
/// When the frames are dropped, the operation ends where it is.
pub(super) fn begin(services: Arc<Services>, request: Request) -> mpsc::Receiver<Frame> {
    let (sender, frames) = mpsc::channel(FRAMES);
    tokio::spawn(async move {
        let report = Report(sender.clone());
        let outcome = tokio::select! {
            outcome = content::carry_out(&services, &request, &report) => outcome,
            () = sender.closed() => return,
        };
        let last = match outcome {
            Ok(text) => Frame::Done { text },
            Err(error) => Frame::Failed {
                reason: error.to_string(),
            },
        };
        // The reader may have left at the last moment.
        let _ = sender.send(last).await;
    });
    frames
}
