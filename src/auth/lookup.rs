//! Who stands behind a name, a token or an id, as the store has it now.
//!
//! Called by `basic` and for tokens. Whom a token names is remembered under the generation of the
//! accounts, so that a removed or disabled account is nobody at the next request (AZ-12), and it is
//! found by its id, so that a later one of the same name is somebody else (AZ-16).

use std::collections::HashSet;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use moka::sync::Cache;

use super::identity::{Holder, Identity, ShownToken};
use super::scope::Scopes;
use crate::accounts::{Accounts, OAUTH_TOKEN_LOOKUP, is_oauth_token, oauth_token_hash};
use crate::config::RobotAccess;
use crate::model::{
    AppTokenId, AppTokenUse, Clock, NamespaceKind, NamespaceName, OauthTokenId, OauthTokenRecord,
    OauthUse, RobotId, RobotName, RobotRecord, Timestamp, UserId, UserRecord,
};
use crate::store::{self, ReadTx, Store};

/// Holders remembered; about 200 bytes each.
const REMEMBERED: u64 = 16_384;

pub(super) struct Lookup {
    store: Store,
    accounts: Accounts,
    clock: Clock,
    people: Arc<People>,
    robots: RobotAccess,
    living: Cache<Holder, (u64, Option<Living>)>,
}

/// What the configuration says of people by their names.
#[derive(Debug, Default)]
pub(super) struct People {
    /// `FEATURE_SUPER_USERS`
    pub(super) superusers: bool,
    /// `SUPER_USERS`, beside those whose account says it.
    pub(super) super_users: HashSet<NamespaceName>,
    /// `GLOBAL_READONLY_SUPER_USERS`
    pub(super) global_readonly: HashSet<NamespaceName>,
    /// `RESTRICTED_USERS_WHITELIST`, if `FEATURE_RESTRICTED_USERS`: everybody else is restricted.
    pub(super) unrestricted: Option<HashSet<NamespaceName>>,
}

impl People {
    /// Whether a user is a superuser, by the account or by the configuration.
    pub(super) fn has_superuser(&self, user: &UserRecord) -> bool {
        self.superusers && (user.superuser || self.super_users.contains(&user.name))
    }
}

/// Somebody who is there and enabled.
#[derive(Clone, Debug)]
pub(super) struct Living {
    pub(super) identity: Identity,
    /// Of a user: sessions of another one have ended.
    pub(super) session_epoch: u64,
    pub(super) oauth: Option<OauthUse>,
    pub(super) app_token: Option<AppTokenUse>,
    /// When the credential itself ends.
    pub(super) ends: Option<Timestamp>,
}

/// A robot, and whether the account it belongs to is enabled.
pub(super) struct FoundRobot {
    pub(super) id: RobotId,
    pub(super) record: RobotRecord,
    pub(super) owner_enabled: bool,
    restricted: bool,
}

impl Lookup {
    pub(super) fn new(
        store: Store,
        accounts: Accounts,
        clock: Clock,
        people: Arc<People>,
        robots: RobotAccess,
    ) -> Self {
        Self {
            store,
            accounts,
            clock,
            people,
            robots,
            living: Cache::new(REMEMBERED),
        }
    }

    pub(super) async fn user(&self, id: UserId) -> Result<Option<UserRecord>, store::Error> {
        self.store.read(|tx| tx.users().record(id)).await
    }

    /// Whether a robot of that name may be anything here.
    pub(super) fn admits_robot(&self, name: &RobotName) -> bool {
        self.robots.admits(name)
    }

    pub(super) async fn robot(&self, name: &RobotName) -> Result<Option<FoundRobot>, store::Error> {
        self.store
            .read(|tx| {
                let Some((namespace, _)) = tx.namespaces().by_name(name.namespace())? else {
                    return Ok(None);
                };
                match tx.robots().by_name(namespace, name.short())? {
                    Some((id, record)) => self.found_robot(tx, id, record).map(Some),
                    None => Ok(None),
                }
            })
            .await
    }

    /// Whom a token names, if that is still somebody.
    pub(super) async fn living(&self, holder: Holder) -> Result<Option<Living>, store::Error> {
        // Taken before the rows are read: what changes meanwhile makes this answer an old one.
        let generation = self.accounts.generation();
        if let Some((read, living)) = self.living.get(&holder)
            && read == generation
        {
            return Ok(living.filter(|living| self.is_good(living)));
        }
        let living = self.store.read(|tx| self.read(tx, holder)).await?;
        self.living.insert(holder, (generation, living.clone()));
        Ok(living.filter(|living| self.is_good(living)))
    }

    /// Whose the OAuth token of that text is, if it is good: found by its first half, proven by the
    /// hash of the whole (AU-09).
    pub(super) async fn oauth(&self, token: &str) -> Result<Option<Living>, store::Error> {
        if !is_oauth_token(token) {
            return Ok(None);
        }
        let lookup = &token[..OAUTH_TOKEN_LOOKUP];
        let find = |tx: &ReadTx| tx.oauth_tokens().by_lookup(lookup);
        let found = self.store.read(find).await?;
        let hash = oauth_token_hash(token);
        let same = |record: &OauthTokenRecord| verify_slices_are_equal(&record.hash, &hash).is_ok();
        match found.filter(|(_, record)| same(record)) {
            Some((id, _)) => self.living(Holder::Token(id)).await,
            None => Ok(None),
        }
    }

    /// Whether a robot of that name may be anybody (`ROBOTS_DISALLOW`).
    pub(super) fn admits(&self, robot: &RobotName) -> bool {
        self.robots.admits(robot)
    }

    /// Whether the configuration makes more of an account of this name.
    pub(super) fn favours(&self, name: &NamespaceName) -> bool {
        self.people.favours(name)
    }

    fn is_good(&self, living: &Living) -> bool {
        living.ends.is_none_or(|ends| self.clock.now() < ends)
    }

    fn read(&self, tx: &ReadTx, holder: Holder) -> Result<Option<Living>, store::Error> {
        match holder {
            Holder::Anonymous => Ok(Some(Living::new(Identity::Anonymous))),
            Holder::User(id) => self.read_user(tx, id),
            Holder::Robot(id) => self.read_robot(tx, id),
            Holder::Token(id) => self.read_token(tx, id),
            Holder::AppToken(id) => self.read_app_token(tx, id),
        }
    }

    fn read_user(&self, tx: &ReadTx, id: UserId) -> Result<Option<Living>, store::Error> {
        let user = tx.users().record(id)?.filter(|user| user.enabled);
        Ok(user.map(|user| Living {
            session_epoch: user.session_epoch,
            ..Living::new(self.of_user(id, &user))
        }))
    }

    fn read_robot(&self, tx: &ReadTx, id: RobotId) -> Result<Option<Living>, store::Error> {
        let record = tx.robots().record(id)?;
        let record = record.filter(|robot| self.robots.admits(&robot.name));
        let Some(record) = record else {
            return Ok(None);
        };
        let robot = self.found_robot(tx, id, record)?;
        let enabled = robot.owner_enabled;
        Ok(enabled.then(|| Living::new(robot.identity())))
    }

    fn read_token(&self, tx: &ReadTx, id: OauthTokenId) -> Result<Option<Living>, store::Error> {
        let Some(record) = tx.oauth_tokens().record(id)? else {
            return Ok(None);
        };
        let application = tx.oauth_applications().record(record.application)?;
        let owner = self.read_user(tx, record.user)?;
        let (Some(application), Some(owner)) = (application, owner) else {
            return Ok(None);
        };
        // A deleted organisation's rows go later; what they say ended at once.
        let organization = tx.namespaces().record(application.namespace)?;
        if organization.is_none_or(|record| record.deleted.is_some()) {
            return Ok(None);
        }
        // A scope that is unknown is worth nothing, and so are those beside it (Quay).
        let bounds = Scopes::parse(&record.scope).unwrap_or(Scopes::NONE);
        Ok(Some(Living {
            identity: owner.identity.through(ShownToken::Oauth(id), bounds),
            session_epoch: owner.session_epoch,
            oauth: Some(OauthUse {
                token: id,
                client_id: application.client_id,
                application: application.name,
            }),
            app_token: None,
            ends: Some(record.expires),
        }))
    }

    fn read_app_token(&self, tx: &ReadTx, id: AppTokenId) -> Result<Option<Living>, store::Error> {
        let Some(record) = tx.app_tokens().record(id)? else {
            return Ok(None);
        };
        let owner = self.read_user(tx, record.user)?;
        Ok(owner.map(|owner| Living {
            identity: owner
                .identity
                .clone()
                .through(ShownToken::App(id), Scopes::ALL),
            app_token: Some(AppTokenUse {
                uuid: record.uuid,
                title: record.title,
            }),
            ends: record.expires,
            ..owner
        }))
    }

    pub(super) fn of_user(&self, id: UserId, record: &UserRecord) -> Identity {
        let (people, name) = (&self.people, &record.name);
        let superuser = people.has_superuser(record);
        Identity::User {
            id,
            name: name.clone(),
            superuser,
            global_readonly: people.superusers && people.global_readonly.contains(name),
            restricted: !superuser && people.is_restricted(name),
            scopes: Scopes::ALL,
            token: None,
        }
    }

    fn found_robot(
        &self,
        tx: &ReadTx,
        id: RobotId,
        record: RobotRecord,
    ) -> Result<FoundRobot, store::Error> {
        let namespace = tx.namespaces().record(record.namespace)?;
        let namespace = namespace.filter(|namespace| namespace.deleted.is_none());
        let (owner_enabled, restricted) = match namespace.map(|namespace| namespace.kind) {
            Some(NamespaceKind::User(owner)) => match tx.users().record(owner)? {
                Some(user) => (user.enabled, self.of_user(owner, &user).is_restricted()),
                None => (false, false),
            },
            Some(NamespaceKind::Organization | NamespaceKind::Cache) => (true, false),
            None => (false, false),
        };
        Ok(FoundRobot {
            id,
            record,
            owner_enabled,
            restricted,
        })
    }
}

impl People {
    /// Whether an account is more than others by this name alone.
    pub(super) fn favours(&self, name: &NamespaceName) -> bool {
        let exempt = self.unrestricted.as_ref();
        let named = self.super_users.contains(name) || self.global_readonly.contains(name);
        (self.superusers && named) || exempt.is_some_and(|exempt| exempt.contains(name))
    }

    fn is_restricted(&self, name: &NamespaceName) -> bool {
        let exempt = self.unrestricted.as_ref();
        exempt.is_some_and(|exempt| !exempt.contains(name))
    }
}

impl Living {
    const fn new(identity: Identity) -> Self {
        Self {
            identity,
            session_epoch: 0,
            oauth: None,
            app_token: None,
            ends: None,
        }
    }
}

impl FoundRobot {
    pub(super) fn identity(&self) -> Identity {
        Identity::Robot {
            id: self.id,
            name: self.record.name.clone(),
            namespace: self.record.namespace,
            restricted: self.restricted,
        }
    }
}
