//! People, robots, teams and organisations as many answers show them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Avatar, AvatarSubject};
use crate::accounts::{Granted, Person};
use crate::config::AvatarKind;
use crate::model::{Member, NamespaceRecord};

impl Avatar {
    /// That of a user or robot (Quay: from the e-mail address where there is one).
    pub(in crate::api) fn of_person(kind: AvatarKind, person: &Person) -> Self {
        let subject = match person.id {
            Member::User(_) => AvatarSubject::User,
            Member::Robot(_) => AvatarSubject::Robot,
        };
        let seed = person.email.as_deref().unwrap_or(&person.name);
        Self::new(kind, subject, &person.name, seed)
    }

    pub(in crate::api) fn of_team(kind: AvatarKind, name: &str) -> Self {
        Self::new(kind, AvatarSubject::Team, name, name)
    }

    /// That of an organisation, as a subject of the kind that the answer says.
    pub(in crate::api) fn of_organization(
        kind: AvatarKind,
        subject: AvatarSubject,
        record: &NamespaceRecord,
    ) -> Self {
        Self::new(kind, subject, record.name.as_str(), record.avatar_seed())
    }
}

/// A team, where its name is enough.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct TeamNameView {
    name: String,
    avatar: Avatar,
}

impl TeamNameView {
    pub(in crate::api) fn new(kind: AvatarKind, name: String) -> Self {
        let avatar = Avatar::of_team(kind, &name);
        Self { name, avatar }
    }
}

/// What is granted to a team or robot.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct GrantedList {
    permissions: Vec<GrantedView>,
}

#[derive(Serialize, ToSchema)]
struct GrantedView {
    repository: GrantedRepositoryView,
    role: &'static str,
}

#[derive(Serialize, ToSchema)]
struct GrantedRepositoryView {
    name: String,
    is_public: bool,
}

impl From<Vec<Granted>> for GrantedList {
    fn from(granted: Vec<Granted>) -> Self {
        let permissions = granted.into_iter().map(|granted| GrantedView {
            repository: GrantedRepositoryView {
                name: granted.repository.to_string(),
                is_public: granted.is_public,
            },
            role: granted.role.as_str(),
        });
        Self {
            permissions: permissions.collect(),
        }
    }
}
