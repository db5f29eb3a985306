//! Prototypes: default permissions of an organisation, granted whenever a repository is made in it.
//!
//! They are applied by `registry`, in the transaction that makes the repository (`store::Prototypes`).

use serde_json::{Value, json};

use super::members::{self, Person};
use super::{Accounts, Error, Noun, organizations, secret};
use crate::model::{
    Actor, Grantee, LogEntry, LogKind, Member, NamespaceId, Performer, PrototypeRecord, RobotId,
    Role, TeamId, UserId,
};
use crate::store::{PROTOTYPES, ReadTx, WriteTx};

/// A prototype with names.
#[derive(Clone, Debug)]
pub struct Prototype {
    pub uuid: String,
    pub role: Role,
    /// Whose repositories it is for; `None` for everyone's.
    pub activating: Option<Associate>,
    pub delegate: Delegate,
}

/// To whom a prototype grants.
#[derive(Clone, Debug)]
pub enum Delegate {
    Person(Associate),
    /// A team, by its name.
    Team(String),
}

/// A user or robot, and whether it belongs to the organisation.
#[derive(Clone, Debug)]
pub struct Associate {
    pub person: Person,
    /// Robots always do (Quay).
    pub is_member: bool,
}

impl Accounts {
    /// The prototypes of an organisation, oldest first.
    pub async fn list_prototypes(&self, namespace: NamespaceId) -> Result<Vec<Prototype>, Error> {
        let list = move |tx: &ReadTx| {
            let mut found = Vec::new();
            for (_, record) in tx.prototypes().list(namespace)? {
                found.extend(named(tx, &record)?);
            }
            Ok(found)
        };
        self.inner.store.scan(list).await
    }

    /// Makes a prototype.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a robot or team of another namespace; [`Error::TooManyPrototypes`];
    /// [`Error::Unknown`].
    pub async fn create_prototype(
        &self,
        namespace: NamespaceId,
        activating: Option<Member>,
        delegate: Grantee,
        role: Role,
        by: &Performer,
    ) -> Result<Prototype, Error> {
        let record = PrototypeRecord {
            namespace,
            uuid: secret::new_uuid(),
            activating,
            delegate,
            role,
        };
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            organizations::load(tx, namespace)?;
            check_home(tx, delegate, namespace)?;
            let limit = PROTOTYPES;
            let made = tx.prototypes().create(&record)?;
            made.ok_or(Error::TooManyPrototypes { limit })?;
            let kind = LogKind::CreatePrototypePermission;
            tell(tx, &record, LogEntry::new(kind, now, &by), &by)
        })
        .await
    }

    /// Changes what a prototype grants from then on.
    ///
    /// # Errors
    /// [`Error::Unknown`] if the organisation has no such prototype (AZ-06).
    pub async fn change_prototype(
        &self,
        namespace: NamespaceId,
        uuid: &str,
        role: Role,
        by: &Performer,
    ) -> Result<Prototype, Error> {
        let (uuid, by, now) = (uuid.to_owned(), by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let found = tx.prototypes().by_uuid(namespace, &uuid)?;
            let (id, before) = found.ok_or(Error::unknown(Noun::Prototype))?;
            let original = json!({"original_role": before.role.as_str()});
            let record = PrototypeRecord { role, ..before };
            tx.prototypes().put(id, &record)?;
            let line = LogEntry::new(LogKind::ModifyPrototypePermission, now, &by);
            tell(tx, &record, line.with(original), &by)
        })
        .await
    }

    /// Removes a prototype; what it granted stays.
    ///
    /// # Errors
    /// [`Error::Unknown`] if the organisation has no such prototype (AZ-06).
    pub async fn delete_prototype(
        &self,
        namespace: NamespaceId,
        uuid: &str,
        by: &Performer,
    ) -> Result<(), Error> {
        let (uuid, by, now) = (uuid.to_owned(), by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let found = tx.prototypes().by_uuid(namespace, &uuid)?;
            let (id, record) = found.ok_or(Error::unknown(Noun::Prototype))?;
            tx.prototypes().remove(namespace, id)?;
            let kind = LogKind::DeletePrototypePermission;
            tell(tx, &record, LogEntry::new(kind, now, &by), &by)?;
            Ok(())
        })
        .await
    }
}

/// Checks that a robot or team is the organisation's own.
fn check_home(tx: &ReadTx, delegate: Grantee, namespace: NamespaceId) -> Result<(), Error> {
    let (noun, home) = match delegate {
        Grantee::User(UserId(_)) => return Ok(()),
        Grantee::Robot(id) => (Noun::Robot, robot_home(tx, id)?),
        Grantee::Team(id) => (Noun::Team, team_home(tx, id)?),
    };
    match home == Some(namespace) {
        true => Ok(()),
        false => Err(Error::Foreign { noun }),
    }
}

fn robot_home(tx: &ReadTx, id: RobotId) -> Result<Option<NamespaceId>, Error> {
    Ok(tx.robots().record(id)?.map(|robot| robot.namespace))
}

fn team_home(tx: &ReadTx, id: TeamId) -> Result<Option<NamespaceId>, Error> {
    Ok(tx.teams().record(id)?.map(|team| team.namespace))
}

fn named(tx: &ReadTx, record: &PrototypeRecord) -> Result<Option<Prototype>, Error> {
    let delegate = match record.delegate {
        Grantee::Team(id) => tx.teams().record(id)?.map(|team| Delegate::Team(team.name)),
        Grantee::User(id) => associate(tx, Member::User(id), record)?.map(Delegate::Person),
        Grantee::Robot(id) => associate(tx, Member::Robot(id), record)?.map(Delegate::Person),
    };
    let activating = match record.activating {
        Some(of) => associate(tx, of, record)?,
        None => None,
    };
    Ok(delegate.map(|delegate| Prototype {
        uuid: record.uuid.clone(),
        role: record.role,
        activating,
        delegate,
    }))
}

fn associate(
    tx: &ReadTx,
    member: Member,
    record: &PrototypeRecord,
) -> Result<Option<Associate>, Error> {
    let is_member =
        matches!(member, Member::Robot(_)) || tx.teams().is_member(record.namespace, member)?;
    let person = members::person(tx, member)?;
    Ok(person.map(|person| Associate { person, is_member }))
}

/// Writes the line of a change; returns the prototype with names.
fn tell(
    tx: &mut WriteTx<'_>,
    record: &PrototypeRecord,
    line: LogEntry,
    by: &Performer,
) -> Result<Prototype, Error> {
    let prototype = named(tx, record)?.ok_or(Error::unknown(Noun::User))?;
    let activating = prototype.activating.as_ref().map(|of| &of.person.name);
    let username: Value = match &by.actor {
        Actor::System | Actor::Anonymous => Value::Null,
        actor => actor.to_string().into(),
    };
    let mut metadata = json!({
        "prototypeid": record.uuid,
        "username": username,
        "activating_username": activating,
        "role": record.role.as_str(),
    });
    match &prototype.delegate {
        Delegate::Person(of) => metadata["delegate_user"] = json!(of.person.name),
        Delegate::Team(name) => metadata["delegate_team"] = json!(name),
    }
    tx.logs()
        .append(&line.within(record.namespace).with(metadata))?;
    Ok(prototype)
}
