//! Requests and the frames of their answers, as they cross the control socket: one JSON a line.

use serde::{Deserialize, Serialize};

use super::Target;
use crate::model::NamespaceName;
use crate::registry::{HeldTag, Holding};

/// What is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum Request {
    List { scope: Option<Target> },
    Remove { targets: Vec<Target>, all: bool },
    Refresh { targets: Vec<Target> },
    Pin { targets: Vec<Target>, pinned: bool },
    Sweep {},
    Status {},
}

/// One line of an answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Frame {
    Row(Row),
    Progress { text: String },
    Done { text: String },
    Failed { reason: String },
}

/// One thing of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::app) enum Row {
    Organization(Holding),
    Tag(TagRow),
    Status(StatusRow),
    Change(ChangeRow),
}

/// A tag that is held.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct TagRow {
    pub(in crate::app) organization: NamespaceName,
    #[serde(flatten)]
    pub(in crate::app) tag: HeldTag,
}

/// Something that was done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct ChangeRow {
    pub(in crate::app) target: Target,
    /// One word: `removed`, `pinned`, `unpinned`, or how a refreshed tag came out.
    pub(in crate::app) outcome: String,
    /// Bytes that the organisation no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::app) freed_bytes: Option<u64>,
}

/// How the site is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct StatusRow {
    pub(in crate::app) version: String,
    /// Process that answers: the server, or the command itself.
    pub(in crate::app) process: u32,
    pub(in crate::app) store_works: bool,
    pub(in crate::app) disk_free_bytes: u64,
    pub(in crate::app) disk_size_bytes: u64,
    pub(in crate::app) disk_reserve_bytes: u64,
    pub(in crate::app) organizations: Vec<Holding>,
}

impl Row {
    /// The row as one JSON object, times in RFC 3339.
    pub(in crate::app) fn json(&self) -> serde_json::Value {
        let value = match self {
            Self::Organization(holding) => serde_json::to_value(holding),
            Self::Tag(row) => serde_json::to_value(row),
            Self::Status(row) => serde_json::to_value(row),
            Self::Change(row) => serde_json::to_value(row),
        };
        let mut value = value.expect("names, numbers and times are always JSON");
        if let Self::Tag(TagRow { tag, .. }) = self {
            value["validated"] = tag.validated.to_string().into();
            value["last_used"] = tag.last_used.map(|time| time.to_string()).into();
        }
        value
    }
}
