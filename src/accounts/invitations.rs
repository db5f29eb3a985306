//! Invitations into teams: given, answered, withdrawn.
//!
//! An invitation is answered by whom it is for: the account it names, or one whose address it names and was
//! confirmed. Who answers one of an organisation joins all teams of it that it is invited into (Quay).

use serde_json::{Value, json};

use super::members::{self, Person};
use super::teams;
use super::{Accounts, Error, Noun, secret};
use crate::model::{
    Actor, InvitationRecord, Invitee, LogEntry, LogKind, Member, NamespaceId, NamespaceName,
    NoticeKind, NoticeRecord, Performer, TeamId, Timestamp, UserId, UserRecord,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// Invitations of one person into teams of one organisation that are answered together.
const ANSWERED: usize = 256;

/// What became of somebody who was to join a team.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Joined {
    /// In the team.
    Added,
    /// Not before the invitation is accepted.
    Invited(InvitationRecord),
}

/// A team that somebody joined, or declined to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answered {
    pub organization: NamespaceName,
    pub namespace: NamespaceId,
    pub team: String,
}

impl Accounts {
    /// Puts a user or robot into a team or, if that needs consent, invites it: robots and users who are in
    /// the organisation join at once (SC-064).
    ///
    /// # Errors
    /// [`Error::InTeam`], and those of [`Accounts::add_member`].
    pub async fn join_team(
        &self,
        team: TeamId,
        member: Member,
        needs_consent: bool,
        by: &Performer,
    ) -> Result<Joined, Error> {
        let (by, now, code) = (by.clone(), self.inner.clock.now(), secret::new_uuid());
        self.change(move |tx| {
            let record = teams::load(tx, team)?;
            if let Member::User(user) = member
                && needs_consent
                && !tx.teams().is_member(record.namespace, member)?
            {
                let name = super::users::load(tx, user)?.name;
                let metadata = json!({"user": name, "member": name, "team": record.name});
                let invitee = Invitee::User(user);
                let made = invite(tx, team, invitee, &code, (&by, now), metadata)?;
                return Ok(Joined::Invited(made));
            }
            members::add(tx, team, member, &by, now)?;
            Ok(Joined::Added)
        })
        .await
    }

    /// Invites whoever has an address into a team.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Unknown`].
    pub async fn invite_email(
        &self,
        team: TeamId,
        email: &str,
        by: &Performer,
    ) -> Result<InvitationRecord, Error> {
        super::name::check_email(email)?;
        let (by, now, code) = (by.clone(), self.inner.clock.now(), secret::new_uuid());
        let email = email.to_lowercase();
        self.change(move |tx| {
            let record = teams::load(tx, team)?;
            let metadata = json!({"email": email, "team": record.name, "member": email});
            let invitee = Invitee::Email(email.clone());
            invite(tx, team, invitee, &code, (&by, now), metadata)
        })
        .await
    }

    /// Takes back an invitation into a team; returns whether there was one.
    pub async fn withdraw_invitation(
        &self,
        team: TeamId,
        invitee: &Invitee,
        by: &Performer,
    ) -> Result<bool, Error> {
        let invitee = match invitee {
            Invitee::Email(email) => Invitee::Email(email.to_lowercase()),
            Invitee::User(user) => Invitee::User(*user),
        };
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let record = teams::load(tx, team)?;
            let Some(found) = tx.invitations().of(team, &invitee)? else {
                return Ok(false);
            };
            tx.invitations().remove(&found)?;
            let metadata = match &invitee {
                Invitee::Email(email) => {
                    json!({"email": email, "team": record.name, "member": email})
                }
                Invitee::User(user) => {
                    let name = tx.users().record(*user)?.map(|user| user.name);
                    json!({"user": name, "team": record.name, "member": name})
                }
            };
            let line = LogEntry::new(LogKind::OrgDeleteTeamMemberInvite, now, &by);
            tx.logs()
                .append(&line.within(record.namespace).with(metadata))?;
            Ok(true)
        })
        .await
    }

    /// Who is invited into a team and has not answered: accounts with their names, addresses without.
    pub async fn invitations_of(
        &self,
        team: TeamId,
    ) -> Result<Vec<(InvitationRecord, Option<Person>)>, Error> {
        let mut found: Vec<(InvitationRecord, Option<Person>)> = Vec::new();
        loop {
            let after = found.last().map(|(record, _)| record.invitee.clone());
            let page = self.inner.store.scan(move |tx: &ReadTx| {
                let mut page = Vec::new();
                for record in tx.invitations().of_team(team, after.as_ref(), PAGE_ROWS)? {
                    let person = match record.invitee {
                        Invitee::User(id) => members::person(tx, Member::User(id))?,
                        Invitee::Email(_) => None,
                    };
                    page.push((record, person));
                }
                Ok::<_, Error>(page)
            });
            let page = page.await?;
            if page.is_empty() {
                return Ok(found);
            }
            found.extend(page);
        }
    }

    /// Whether the code is that of an invitation to this address.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_invited(&self, code: &str, email: &str) -> Result<bool, Error> {
        let wanted = Invitee::Email(email.to_lowercase());
        let found = self.inner.store.read(|tx| load(tx, code));
        match found.await {
            Ok(invitation) => Ok(invitation.invitee == wanted),
            Err(Error::Unknown { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Accepts an invitation, and all others of the same organisation.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such an invitation; [`Error::InvitedOther`].
    pub async fn accept_invitation(
        &self,
        code: &str,
        user: UserId,
        by: &Performer,
    ) -> Result<Answered, Error> {
        let (code, by, now) = (code.to_owned(), by.clone(), self.inner.clock.now());
        self.change(move |tx| accept(tx, &code, user, &by, now))
            .await
    }

    /// Declines an invitation that names the account.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such an invitation.
    pub async fn decline_invitation(
        &self,
        code: &str,
        user: UserId,
        by: &Performer,
    ) -> Result<Answered, Error> {
        let (code, by, now) = (code.to_owned(), by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let account = super::users::load(tx, user)?;
            let found = load(tx, &code)?;
            if !is_for(&found, user, &account) {
                return Err(Error::unknown(Noun::Invitation));
            }
            tx.invitations().remove(&found)?;
            let kind = LogKind::OrgTeamMemberInviteDeclined;
            tell(tx, &found, &account, LogEntry::new(kind, now, &by))
        })
        .await
    }
}

fn invite(
    tx: &mut WriteTx<'_>,
    team: TeamId,
    invitee: Invitee,
    code: &str,
    (by, now): (&Performer, Timestamp),
    metadata: Value,
) -> Result<InvitationRecord, Error> {
    let namespace = teams::load(tx, team)?.namespace;
    let inviter = match by.actor {
        Actor::User { id, .. } => Some(id),
        Actor::System | Actor::Anonymous | Actor::Robot { .. } => None,
    };
    let record = InvitationRecord {
        code: code.to_owned(),
        team,
        namespace,
        invitee,
        inviter,
        created: now,
    };
    tx.invitations().put(&record)?;
    notify(tx, &record, by)?;
    let line = LogEntry::new(LogKind::OrgInviteTeamMember, now, by);
    tx.logs().append(&line.within(namespace).with(metadata))?;
    Ok(record)
}

/// `quay-log-kinds` 5: `org_team_invite`, to an account; an address has no inbox.
fn notify(
    tx: &mut WriteTx<'_>,
    invitation: &InvitationRecord,
    by: &Performer,
) -> Result<(), Error> {
    let Invitee::User(user) = invitation.invitee else {
        return Ok(());
    };
    let target = super::users::load(tx, user)?.namespace;
    let team = teams::load(tx, invitation.team)?;
    let organization = super::organizations::load(tx, team.namespace)?.name;
    let metadata = json!({
        "code": invitation.code,
        "inviter": by.actor.to_string(),
        "org": organization,
        "team": team.name,
    });
    let (uuid, kind) = (invitation.code.clone(), NoticeKind::OrgTeamInvite);
    let notice = NoticeRecord::new(uuid, target, kind, invitation.created, &metadata);
    Ok(tx.notices().put(&notice.about(invitation.notice_about()))?)
}

fn load(tx: &ReadTx, code: &str) -> Result<InvitationRecord, Error> {
    let found = tx.invitations().by_code(code)?;
    let found = found.ok_or(Error::unknown(Noun::Invitation))?;
    teams::load(tx, found.team).map_err(|_| Error::unknown(Noun::Invitation))?;
    Ok(found)
}

fn is_for(invitation: &InvitationRecord, id: UserId, user: &UserRecord) -> bool {
    match &invitation.invitee {
        Invitee::User(invited) => *invited == id,
        Invitee::Email(email) => user.verified && address(user).as_ref() == Some(email),
    }
}

fn address(user: &UserRecord) -> Option<String> {
    user.email.as_ref().map(|email| email.to_lowercase())
}

fn accept(
    tx: &mut WriteTx<'_>,
    code: &str,
    user: UserId,
    by: &Performer,
    now: Timestamp,
) -> Result<Answered, Error> {
    let account = super::users::load(tx, user)?;
    let found = load(tx, code)?;
    if !is_for(&found, user, &account) {
        let invited = match &found.invitee {
            Invitee::Email(email) => format!("email \"{email}\""),
            Invitee::User(other) => {
                let other = tx.users().record(*other)?;
                let name = other.map_or_else(String::new, |other| other.name.to_string());
                format!("user \"{name}\"")
            }
        };
        return Err(Error::InvitedOther { invited });
    }
    let mut all = tx
        .invitations()
        .of_invitee(&Invitee::User(user), found.namespace, ANSWERED)?;
    if let Some(email) = address(&account).filter(|_| account.verified) {
        let invitee = Invitee::Email(email);
        let more = tx
            .invitations()
            .of_invitee(&invitee, found.namespace, ANSWERED)?;
        all.extend(more);
    }
    for invitation in all {
        tx.invitations().remove(&invitation)?;
        join(tx, &invitation, user)?;
    }
    let kind = LogKind::OrgTeamMemberInviteAccepted;
    tell(tx, &found, &account, LogEntry::new(kind, now, by))
}

fn join(tx: &mut WriteTx<'_>, invitation: &InvitationRecord, user: UserId) -> Result<(), Error> {
    let (member, limit) = (Member::User(user), teams::TEAMS_OF_A_MEMBER);
    let held = tx
        .teams()
        .of_member(member, invitation.namespace, limit)?
        .len();
    if held >= limit {
        return Err(Error::TooManyTeams { limit });
    }
    Ok(tx.teams().add_member(invitation.team, member)?)
}

/// Writes the line of an answer; returns what was answered.
fn tell(
    tx: &mut WriteTx<'_>,
    invitation: &InvitationRecord,
    account: &UserRecord,
    line: LogEntry,
) -> Result<Answered, Error> {
    let team = teams::load(tx, invitation.team)?;
    let organization = super::organizations::load(tx, team.namespace)?.name;
    let inviter = match invitation.inviter {
        Some(id) => tx.users().record(id)?.map(|inviter| inviter.name),
        None => None,
    };
    let metadata = json!({"member": account.name, "team": team.name, "inviter": inviter});
    tx.logs()
        .append(&line.within(team.namespace).with(metadata))?;
    Ok(Answered {
        organization,
        namespace: team.namespace,
        team: team.name,
    })
}
