//! What searches find, as the API shows it (`quay-api` section 31).

use serde::Serialize;
use utoipa::ToSchema;

use super::repository::is_public;
use super::view::{Avatar, AvatarSubject};
use crate::api::state::State;
use crate::model::{NamespaceKind, NamespaceRecord, RobotRecord, UserRecord};
use crate::registry::{Catalogued, Facts};

/// What hits of each kind count (Quay).
pub(super) const ENTITY: u8 = 1;
pub(super) const TEAM: u8 = 2;
pub(super) const REPOSITORY: u8 = 4;

/// A whole number, or one that was weighed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Score {
    Whole(u8),
    Weighed(f64),
}

/// A user, an organisation or a robot.
#[derive(Serialize, ToSchema)]
pub(super) struct EntityHit {
    title: &'static str,
    kind: &'static str,
    avatar: Option<Avatar>,
    name: String,
    score: Score,
    href: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_name: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TeamHit {
    kind: &'static str,
    name: String,
    organization: EntityHit,
    avatar: Avatar,
    score: Score,
    href: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RepositoryHit {
    kind: &'static str,
    title: &'static str,
    namespace: EntityHit,
    name: String,
    description: Option<String>,
    is_public: bool,
    score: Score,
    href: String,
    #[serde(flatten)]
    usage: Option<UsageView>,
}

/// How much a repository is used.
#[derive(Serialize, ToSchema)]
struct UsageView {
    last_modified: Option<i64>,
    stars: u64,
    popularity: f64,
}

/// Anything that is found.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Hit {
    Entity(EntityHit),
    Team(TeamHit),
    Repository(RepositoryHit),
}

impl EntityHit {
    /// A user or an organisation, by its namespace.
    pub(super) fn of_namespace(
        state: &State,
        record: &NamespaceRecord,
        email: Option<&str>,
    ) -> Self {
        let name = record.name.as_str();
        let (title, kind, subject, page, seed) = match record.kind {
            NamespaceKind::User(_) => {
                let seed = email.unwrap_or(name);
                ("user", "user", AvatarSubject::User, "user", seed)
            }
            NamespaceKind::Cache | NamespaceKind::Organization => {
                let subject = AvatarSubject::Organization;
                (
                    "org",
                    "organization",
                    subject,
                    "organization",
                    record.avatar_seed(),
                )
            }
        };
        Self {
            title,
            kind,
            avatar: Some(Avatar::new(state.web.avatars, subject, name, seed)),
            name: name.to_owned(),
            score: Score::Whole(ENTITY),
            href: format!("/{page}/{name}"),
            short_name: None,
        }
    }

    pub(super) fn of_user(state: &State, user: &UserRecord) -> Self {
        let name = user.name.as_str();
        let seed = user.email.as_deref().unwrap_or(name);
        let avatar = Avatar::new(state.web.avatars, AvatarSubject::User, name, seed);
        Self {
            title: "user",
            kind: "user",
            avatar: Some(avatar),
            name: name.to_owned(),
            score: Score::Whole(ENTITY),
            href: format!("/user/{name}"),
            short_name: None,
        }
    }

    /// A robot of the caller's own namespace, or of an organisation.
    pub(super) fn of_robot(robot: &RobotRecord, is_own: bool) -> Self {
        let page = if is_own { "user" } else { "organization" };
        let (owner, name) = (robot.name.namespace(), robot.name.to_string());
        Self {
            title: "robot",
            kind: "robot",
            avatar: None,
            score: Score::Whole(ENTITY),
            href: format!("/{page}/{owner}?tab=robots&showRobot={name}"),
            name,
            short_name: Some(robot.name.short().to_owned()),
        }
    }
}

impl TeamHit {
    pub(super) fn new(state: &State, owner: &NamespaceRecord, name: &str) -> Self {
        let avatar = Avatar::new(state.web.avatars, AvatarSubject::Team, name, name);
        Self {
            kind: "team",
            name: name.to_owned(),
            organization: EntityHit::of_namespace(state, owner, None),
            avatar,
            score: Score::Whole(TEAM),
            href: format!("/organization/{}/teams/{name}", owner.name),
        }
    }
}

impl RepositoryHit {
    /// A repository; `email` is that of the user who owns it.
    pub(super) fn new(
        state: &State,
        entry: &Catalogued,
        email: Option<&str>,
        usage: Option<&Facts>,
    ) -> Self {
        Self {
            kind: "repository",
            title: "repo",
            namespace: EntityHit::of_namespace(state, &entry.owner, email),
            name: entry.record.name.to_string(),
            description: entry.record.description.clone(),
            is_public: is_public(entry),
            score: Score::Whole(REPOSITORY),
            href: format!("/repository/{}", entry.full_name()),
            usage: usage.map(|facts| UsageView {
                last_modified: facts.last_modified.map(|time| time.as_secs()),
                stars: facts.stars,
                popularity: facts.popularity as f64,
            }),
        }
    }
}

impl Hit {
    /// The name that is compared with what was searched for.
    fn name(&self) -> &str {
        match self {
            Self::Entity(hit) => hit.short_name.as_deref().unwrap_or(&hit.name),
            Self::Team(hit) => &hit.name,
            Self::Repository(hit) => &hit.name,
        }
    }

    /// Weighs its score by how well its name fits (Quay: what does not fit at all counts half).
    pub(super) fn weigh(&mut self, search: &str) -> f64 {
        let fits = match super::similarity::similarity(self.name(), search) {
            0.0 => 0.5,
            fits => fits,
        };
        let score = match self {
            Self::Entity(hit) => &mut hit.score,
            Self::Team(hit) => &mut hit.score,
            Self::Repository(hit) => &mut hit.score,
        };
        let weighed = match *score {
            Score::Whole(base) => f64::from(base) * fits,
            Score::Weighed(weighed) => weighed,
        };
        *score = Score::Weighed(weighed);
        weighed
    }
}
