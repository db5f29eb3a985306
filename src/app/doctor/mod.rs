//! `entrepot doctor`: what is wrong with an installation, and how to mend it.
//!
//! Looks and changes nothing: beside a running server it asks that one to check its store, without one it
//! opens the store to be read only (LC-10, DK-09). Everything that is wrong is a [`Symptom`] with what to
//! do; the worst of them decides the verdict. A healthy installation has none but notes.

mod certificate;
mod files;
mod online;
mod store;
mod surroundings;

use serde::Serialize;

use crate::config::Config;
use crate::model::Timestamp;

pub(super) use store::Answers;
pub(super) use surroundings::is_unset;

/// How bad something is; the order is that of badness.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// Worth knowing; nothing has to be done.
    #[default]
    Note,
    /// It can be mended without losing anything.
    Repairable,
    /// Something is gone that only a backup or a push brings back.
    Lost,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Symptom {
    /// What was looked at, in one word.
    pub(super) check: &'static str,
    pub(super) severity: Severity,
    pub(super) what: String,
    /// What to do about it.
    pub(super) then: String,
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Examination {
    pub(super) symptoms: Vec<Symptom>,
    pub(super) checks: Vec<&'static str>,
}

impl Examination {
    /// Notes that something was looked at.
    pub(super) fn look(&mut self, check: &'static str) {
        self.checks.push(check);
    }

    /// Notes a symptom of what was looked at last.
    pub(super) fn tell(
        &mut self,
        severity: Severity,
        what: impl Into<String>,
        then: impl Into<String>,
    ) {
        self.symptoms.push(Symptom {
            check: self.checks.last().copied().unwrap_or("doctor"),
            severity,
            what: what.into(),
            then: then.into(),
        });
    }

    /// The worst of all.
    pub(super) fn worst(&self) -> Severity {
        let worst = self.symptoms.iter().map(|symptom| symptom.severity).max();
        worst.unwrap_or_default()
    }
}

/// Looks at everything that needs no network; `answers` are those of a running server, if there is one.
pub(super) async fn examine(
    found: &mut Examination,
    config: &Config,
    answers: Option<Answers>,
    now: Timestamp,
) {
    let data_dir = &config.data_dir;
    let is_served = answers.is_some();
    let can_look = files::folder(found, data_dir);
    files::space(found, data_dir, config);
    let holder = files::holder(found, data_dir, is_served);
    if can_look || is_served {
        store::examine(found, config, answers, holder.as_ref()).await;
    }
    files::secret(found, data_dir);
    files::leftovers(found, data_dir);
    surroundings::clock(found, data_dir, now);
    surroundings::limits(found, data_dir, is_served);
    if let Some(tls) = &config.tls {
        certificate::examine(found, tls, now);
    }
}

pub(super) use online::examine as examine_upstreams;
