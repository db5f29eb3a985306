//! What a run came to, in the words of its report and of the usage log.
//!
//! `run` asks for them when it begins and when it ends; `wave` notes what fails. Nothing is written here.

use std::time::Duration;

use serde_json::json;

use super::Error;
use super::seat::{RunLine, Seated, line, said};
use super::state::Ending;
use crate::model::{LogEntry, MirrorReport, Performer, Timestamp};
use crate::oci::Tag;

/// How all of it went.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) failed: Vec<Tag>,
    first: Option<Error>,
    pub(super) not_tried: usize,
    pub(super) message: Option<String>,
    /// How long the source asked to be left alone.
    wait: Option<Duration>,
}

/// What a run says of what it copies (Quay's words).
fn about(seated: &Seated) -> String {
    let patterns = seated.record.tags.globs.join(",");
    let reference = &seated.record.source.reference;
    format!("'{reference}' with tag pattern '{patterns}'")
}

pub(super) fn begun_line(seated: &Seated, now: Timestamp) -> LogEntry {
    let names = (&seated.namespace.1, &seated.name);
    let said = said("start", names, &about(seated), json!({}));
    let by = seated.robot.clone().unwrap_or_default();
    let place = (seated.namespace.0, seated.seat.repository());
    line(seated.seat.kind(RunLine::Started), now, &by, place, said)
}

pub(super) fn ended_line(
    seated: &Seated,
    by: &Performer,
    ending: &Ending,
    failed: &[Tag],
    now: Timestamp,
) -> LogEntry {
    let names = (&seated.namespace.1, &seated.name);
    let marked: Vec<String> = failed.iter().map(|tag| format!("{tag}(FAILED)")).collect();
    let message = match failed.is_empty() {
        true => about(seated),
        false => format!("PARTIAL SYNC: {}", about(seated)),
    };
    let tags = (!marked.is_empty()).then(|| marked.join(", "));
    let (kind, stderr) = match ending.is_success {
        true => (RunLine::Success, None),
        false => (RunLine::Failed, Some(ending.message.as_str())),
    };
    let more = json!({"tags": tags, "stdout": ending.message, "stderr": stderr});
    let said = said("end", names, &message, more);
    let place = (seated.namespace.0, seated.seat.repository());
    line(seated.seat.kind(kind), now, by, place, said)
}

/// In a word how a run went, and which tags failed.
pub(super) fn ending(outcome: Result<Outcome, Error>, report: &MirrorReport) -> (Ending, Vec<Tag>) {
    let mut chance = [0; 8];
    // Without randomness nothing is spread, which is no reason to do nothing.
    let _ = getrandom::fill(&mut chance);
    let chance = u64::from_le_bytes(chance);
    let (is_success, message, wait, failed) = match outcome {
        Ok(outcome) => {
            let is_success = outcome.failed.is_empty() && outcome.not_tried == 0;
            let refused = outcome.message.is_some() && report.chosen > 0;
            let message = message(&outcome, report);
            (
                is_success && !refused,
                message,
                outcome.wait,
                outcome.failed,
            )
        }
        Err(error) => (false, error.to_string(), wait(&error), Vec::new()),
    };
    let ending = Ending {
        is_success,
        message,
        wait,
        chance,
    };
    (ending, failed)
}

fn message(outcome: &Outcome, report: &MirrorReport) -> String {
    let mut words = Vec::new();
    if let Some(first) = outcome.failed.first() {
        let reason = outcome.first.as_ref().map(ToString::to_string);
        let (count, reason) = (outcome.failed.len(), reason.unwrap_or_default());
        words.push(format!(
            "{count} of {} tags failed, {first}: {reason}",
            report.chosen
        ));
    }
    if outcome.not_tried > 0 {
        words.push(format!("{} tags wait for another try", outcome.not_tried));
    }
    words.extend(outcome.message.clone());
    words.join("; ")
}

/// How long the source asked to be left alone.
const fn wait(error: &Error) -> Option<Duration> {
    match error {
        Error::Upstream(error) => error.retry_after(),
        _ => None,
    }
}

impl Outcome {
    pub(super) fn fail(&mut self, tag: Tag, error: Error) {
        self.wait = self.wait.max(wait(&error));
        self.failed.push(tag);
        self.first.get_or_insert(error);
    }
}
