//! What the usage log tells, and for how long.
//!
//! Called by `Config::load`; `notify` and `api` take the fields they obey.

use std::time::Duration;

use super::fields::Fields;
use super::report::Report;
use super::value;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the usage log tells, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditConfig {
    /// How long a line is kept; `None` for ever.
    pub keep: Option<Duration>,
    pub logins: bool,
    pub login_failures: bool,
    pub pull_failures: bool,
    pub push_failures: bool,
    pub delete_failures: bool,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            keep: Some(30 * DAY),
            logins: true,
            login_failures: false,
            pull_failures: false,
            push_failures: false,
            delete_failures: false,
        }
    }
}

impl AuditConfig {
    pub(super) fn read(fields: &Fields, report: &mut Report<'_>) -> Self {
        let keep = fields.read(report, "ACTION_LOG_ROTATION_THRESHOLD", |node| {
            value::optional(node, |node| value::duration(node, DAY, 100 * 365 * DAY))
        });
        let mut switch = |key: &str, default| {
            let value = fields.read(report, key, value::switch);
            value.unwrap_or(default)
        };
        let default = Self::default();
        Self {
            keep: keep.unwrap_or(default.keep),
            logins: switch("ACTION_LOG_AUDIT_LOGINS", default.logins),
            login_failures: switch("ACTION_LOG_AUDIT_LOGIN_FAILURES", false),
            pull_failures: switch("ACTION_LOG_AUDIT_PULL_FAILURES", false),
            push_failures: switch("ACTION_LOG_AUDIT_PUSH_FAILURES", false),
            delete_failures: switch("ACTION_LOG_AUDIT_DELETE_FAILURES", false),
        }
    }
}
