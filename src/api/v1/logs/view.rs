//! Lines and counts of the usage log, as Quay shows them.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::v1::view::{Avatar, AvatarSubject, rfc2822};
use crate::config::AvatarKind;
use crate::model::Actor;
use crate::notify::{DayCount, Listed, Owner};

#[derive(Serialize, ToSchema)]
pub(super) struct LogsView {
    pub(super) start_time: String,
    pub(super) end_time: String,
    pub(super) logs: Vec<LogView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_page: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LogView {
    kind: &'static str,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    ip: Option<String>,
    datetime: String,
    /// Not there where nobody is known to have done it.
    #[serde(skip_serializing_if = "Option::is_none")]
    performer: Option<PerformerView>,
    /// Only among lines of everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<NamespaceView>,
}

#[derive(Serialize, ToSchema)]
struct PerformerView {
    kind: &'static str,
    name: String,
    is_robot: bool,
    avatar: Avatar,
}

#[derive(Serialize, ToSchema)]
struct NamespaceView {
    /// `org` or `user`.
    kind: &'static str,
    name: String,
    avatar: Avatar,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AggregateView {
    pub(super) aggregated: Vec<CountView>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CountView {
    kind: &'static str,
    count: u64,
    /// The beginning of the day.
    datetime: String,
}

impl LogView {
    pub(super) fn new(line: Listed, with_namespace: bool, avatars: AvatarKind) -> Self {
        let entry = line.entry;
        let mut metadata = entry.metadata();
        if entry.count > 1 {
            metadata.insert("count".to_owned(), entry.count.into());
        }
        let email = line.performer_email.as_deref();
        let namespace = line.namespace.filter(|_| with_namespace);
        Self {
            kind: entry.kind.as_str(),
            metadata,
            ip: entry.address.map(|address| address.to_string()),
            datetime: rfc2822(entry.at),
            performer: PerformerView::new(&entry.performer, email, avatars),
            namespace: namespace.map(|owner| NamespaceView::new(owner, avatars)),
        }
    }
}

impl PerformerView {
    fn new(actor: &Actor, email: Option<&str>, avatars: AvatarKind) -> Option<Self> {
        let (subject, is_robot) = match actor {
            Actor::System | Actor::Anonymous => return None,
            Actor::User { .. } => (AvatarSubject::User, false),
            Actor::Robot { .. } => (AvatarSubject::Robot, true),
        };
        let name = actor.to_string();
        Some(Self {
            kind: "user",
            avatar: Avatar::new(avatars, subject, &name, email.unwrap_or(&name)),
            name,
            is_robot,
        })
    }
}

impl NamespaceView {
    fn new(owner: Owner, avatars: AvatarKind) -> Self {
        let (kind, subject) = match owner.is_user {
            true => ("user", AvatarSubject::User),
            false => ("org", AvatarSubject::Organization),
        };
        let name = owner.name.to_string();
        Self {
            kind,
            avatar: Avatar::new(avatars, subject, &name, &owner.seed),
            name,
        }
    }
}

impl From<DayCount> for CountView {
    fn from(count: DayCount) -> Self {
        Self {
            kind: count.kind.as_str(),
            count: count.count,
            datetime: rfc2822(count.day),
        }
    }
}
