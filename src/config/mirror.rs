//! How often it is looked at which mirrors are due.
//!
//! Called by `Config::load`; `jobs` takes it. `FEATURE_REPO_MIRROR` and `FEATURE_ORG_MIRROR` are the switches above
//! it.

use std::time::Duration;

use super::document::Node;
use super::fields::Fields;
use super::report::Report;
use super::value;

const DAY: Duration = Duration::from_secs(86_400);

/// When mirrors run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MirrorConfig {
    /// How often it is looked at which are due (Quay).
    pub poll: Duration,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(30),
        }
    }
}

impl MirrorConfig {
    pub(super) fn read(fields: &Fields, report: &mut Report<'_>) -> Self {
        let least = Duration::from_secs(1);
        let parse = |node: &Node| match value::seconds(node, DAY)? {
            span if span < least => Err("it is at least 1 second".to_owned()),
            span => Ok(span),
        };
        let poll = fields.read(report, "REPO_MIRROR_INTERVAL", parse);
        let default = Self::default();
        Self {
            poll: poll.unwrap_or(default.poll),
        }
    }
}
