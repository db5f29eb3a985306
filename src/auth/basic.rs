//! Name and password, as `docker login` sends them.
//!
//! The name tells what the password is (Quay): `$app` an app token, `$oauthtoken` a token of an
//! application, a name with `+` a robot's token, any other a user's password, plain or encrypted. The web
//! takes plain ones of users only ([`Basic::sign_in`]). `accounts` compares robots and app tokens in constant time and hashes
//! passwords: one at a time for a source and slower after failures (`throttle`), an unknown
//! name at the price of a known one (AU-09). That an account is disabled is told only to who had the
//! right secret.

use std::net::IpAddr;

use super::encrypted::Encrypted;
use super::error::RefusedKind;
use super::identity::ShownToken;
use super::lookup::{Living, Lookup};
use super::metrics::{Credential, Outcome};
use super::remembered::{Mac, Remembered, Right};
use super::scope::Scopes;
use super::throttle::{Account, Source, Throttle, Turn};
use super::uses::{Used, Uses};
use super::{Error, Identity, Metrics};
use crate::accounts::Accounts;
use crate::model::{Clock, Member, RobotName, Secret, UserId, UserRecord};

/// Longest password that is looked at: a JSON key file pasted in whole reaches a refusal that tells.
const PASSWORD_BYTES: usize = 8 * 1024;

/// Names are namespaces or e-mail addresses.
const USERNAME_BYTES: usize = 512;

pub(super) struct Basic {
    pub(super) lookup: Lookup,
    pub(super) uses: Uses,
    pub(super) encrypted: Encrypted,
    accounts: Accounts,
    clock: Clock,
    /// `FEATURE_APP_SPECIFIC_TOKENS`
    app_tokens: bool,
    remembered: Remembered,
    throttle: Throttle,
    metrics: Metrics,
}

/// What a user name says that the password is.
enum Claimed {
    AppToken,
    OauthToken,
    Robot,
    User,
    Refused(RefusedKind),
}

impl Claimed {
    fn by(username: &str) -> Self {
        match username {
            "$token" => Self::Refused(RefusedKind::AccessToken),
            "$oauthtoken" => Self::OauthToken,
            "$app" => Self::AppToken,
            name if name.contains('+') && !name.contains('@') => Self::Robot,
            _ => Self::User,
        }
    }

    const fn credential(&self) -> Credential {
        match self {
            Self::AppToken => Credential::AppToken,
            Self::OauthToken => Credential::Oauth,
            Self::Robot => Credential::Robot,
            Self::User => Credential::Password,
            Self::Refused(_) => Credential::Other,
        }
    }
}

/// One pair of credentials being looked at.
struct Given<'request> {
    username: &'request str,
    password: &'request Secret,
    mac: Mac,
    /// Of the accounts, taken before any row was read.
    generation: u64,
}

impl Basic {
    pub(super) fn new(
        lookup: Lookup,
        accounts: Accounts,
        clock: Clock,
        app_tokens: bool,
        encrypted: Encrypted,
        metrics: Metrics,
    ) -> Self {
        Self {
            lookup,
            uses: Uses::new(accounts.clone()),
            encrypted,
            accounts,
            clock,
            app_tokens,
            remembered: Remembered::new(),
            throttle: Throttle::new(),
            metrics,
        }
    }

    pub(super) async fn identify(
        &self,
        username: &str,
        password: &Secret,
        source: IpAddr,
    ) -> Result<Identity, Error> {
        let claimed = Claimed::by(username);
        let credential = claimed.credential();
        let result = self.look_at(claimed, username, password, source).await;
        self.metrics.count(credential, Outcome::of(&result));
        result
    }

    async fn look_at(
        &self,
        claimed: Claimed,
        username: &str,
        password: &Secret,
        source: IpAddr,
    ) -> Result<Identity, Error> {
        let too_long = password.expose().len() > PASSWORD_BYTES || username.len() > USERNAME_BYTES;
        let given = Given {
            username,
            password,
            mac: self.remembered.credentials(username, password),
            generation: self.accounts.generation(),
        };
        match claimed {
            Claimed::Refused(kind) => Err(Error::KindRefused(kind)),
            Claimed::AppToken if !self.app_tokens => Err(Error::KindRefused(RefusedKind::AppToken)),
            Claimed::AppToken if too_long => Err(Error::AppTokenRefused),
            Claimed::OauthToken => self.oauth_token(password.expose()).await,
            Claimed::Robot if too_long => Err(Error::RobotRefused),
            Claimed::User if too_long => Err(Error::PasswordRefused),
            claimed => match self.recall(&given) {
                Some(identity) => Ok(identity),
                None => self.verify(claimed, &given, source).await,
            },
        }
    }

    async fn verify(
        &self,
        claimed: Claimed,
        given: &Given<'_>,
        source: IpAddr,
    ) -> Result<Identity, Error> {
        match claimed {
            Claimed::AppToken => self.app_token(given).await,
            Claimed::Robot => self.robot(given).await,
            Claimed::User => self.user(given, source.into()).await,
            Claimed::OauthToken => self.oauth_token(given.password.expose()).await,
            Claimed::Refused(kind) => Err(Error::KindRefused(kind)),
        }
    }

    async fn oauth_token(&self, token: &str) -> Result<Identity, Error> {
        let living = self.oauth(token).await?;
        let living = living.ok_or(Error::OauthTokenRefused)?;
        Ok(living.identity)
    }

    /// Whose an OAuth token is, if it is good; notes its use.
    pub(super) async fn oauth(&self, token: &str) -> Result<Option<Living>, Error> {
        let living = self.lookup.oauth(token).await?;
        if let Some(used) = living.as_ref().and_then(|living| living.oauth.as_ref()) {
            self.uses
                .note(Used::OauthToken(used.token), self.clock.now());
        }
        Ok(living)
    }

    async fn app_token(&self, given: &Given<'_>) -> Result<Identity, Error> {
        let found = self.accounts.app_token_by_code(given.password).await?;
        let (id, token) = found.ok_or(Error::AppTokenRefused)?;
        let user = self.lookup.user(token.user).await?;
        let user = user.ok_or(Error::AppTokenRefused)?;
        let identity = self.enabled(token.user, &user)?;
        let right = Right {
            identity: identity.through(ShownToken::App(id), Scopes::ALL),
            used: Used::AppToken(id),
            stored: self.remembered.stored(&token.secret.0),
            ends: token.expires,
        };
        Ok(self.note(given, right))
    }

    async fn robot(&self, given: &Given<'_>) -> Result<Identity, Error> {
        let name = given.username.parse::<RobotName>();
        let name = name.map_err(|_| Error::RobotRefused)?;
        if !self.lookup.admits(&name) {
            return Err(Error::RobotsDisallowed);
        }
        let found = self.lookup.robot(&name).await?;
        let robot = found.ok_or(Error::RobotRefused)?;
        if !self
            .accounts
            .is_robot_token(&robot.record, given.password)?
        {
            return Err(Error::RobotRefused);
        }
        if !robot.owner_enabled {
            return Err(Error::OwnerDisabled { robot: name });
        }
        let right = Right {
            identity: robot.identity(),
            used: Used::Account(Member::Robot(robot.id)),
            stored: self.remembered.stored(&robot.record.token.0),
            ends: None,
        };
        Ok(self.note(given, right))
    }

    async fn user(&self, given: &Given<'_>, source: Source) -> Result<Identity, Error> {
        if let Some(identity) = self.unchanged(given).await? {
            return Ok(identity);
        }
        let turn = self.throttle.turn(source).await;
        // The same credentials may have been verified for another request meanwhile.
        if let Some(identity) = self.recall(given) {
            return Ok(identity);
        }
        let found = self.accounts.user_by_name(given.username).await?;
        let opened = found
            .as_ref()
            .and_then(|(id, _)| self.encrypted.open(*id, given.password));
        if opened.is_none() && self.encrypted.required {
            return Err(Error::PlainPasswordRefused);
        }
        let password = opened.as_ref().unwrap_or(given.password);
        let (id, record) = self.prove(&turn, given.username, found, password).await?;
        let right = self.right(id, self.enabled(id, &record)?, &record);
        Ok(self.note(given, right))
    }

    /// A user who gives name and password to the web. Nothing is remembered: it happens once, and what
    /// the web takes other doors need not.
    ///
    /// # Errors
    /// As [`Basic::identify`].
    pub(super) async fn sign_in(
        &self,
        username: &str,
        password: &Secret,
        source: IpAddr,
    ) -> Result<Identity, Error> {
        let result = self.try_sign_in(username, password, source.into()).await;
        let outcome = Outcome::of(&result);
        self.metrics.count(Credential::Password, outcome);
        result
    }

    async fn try_sign_in(
        &self,
        username: &str,
        password: &Secret,
        source: Source,
    ) -> Result<Identity, Error> {
        if password.expose().len() > PASSWORD_BYTES || username.len() > USERNAME_BYTES {
            return Err(Error::PasswordRefused);
        }
        let turn = self.throttle.turn(source).await;
        let found = self.accounts.user_by_name(username).await?;
        let (id, record) = self.prove(&turn, username, found, password).await?;
        let identity = self.enabled(id, &record)?;
        self.uses
            .note(Used::Account(Member::User(id)), self.clock.now());
        Ok(identity)
    }

    /// Compares a password, slower after failures.
    async fn prove(
        &self,
        turn: &Turn<'_>,
        username: &str,
        found: Option<(UserId, UserRecord)>,
        password: &Secret,
    ) -> Result<(UserId, UserRecord), Error> {
        let account = match &found {
            Some((id, _)) => Account::Known(*id),
            None => Account::Unknown(username.to_ascii_lowercase().into()),
        };
        let attempt = turn
            .begin(account, self.clock.now())
            .map_err(|retry_after| Error::Throttled { retry_after })?;
        let record = found.as_ref().map(|(_, record)| record);
        self.metrics.hashed.inc();
        let is_right = self.accounts.verify_password(record, password).await;
        let proven = found.filter(|_| is_right).ok_or(Error::PasswordRefused)?;
        attempt.succeeded();
        Ok(proven)
    }

    /// The user, if only something else has changed since the password was verified.
    async fn unchanged(&self, given: &Given<'_>) -> Result<Option<Identity>, Error> {
        let now = self.clock.now();
        if !self.remembered.knows(&given.mac, now) {
            return Ok(None);
        }
        let found = self.accounts.user_by_name(given.username).await?;
        let Some((id, record)) = found.filter(|(_, record)| record.enabled) else {
            return Ok(None);
        };
        let right = self.right(id, self.lookup.of_user(id, &record), &record);
        let (mac, generation) = (&given.mac, given.generation);
        let carried = self.remembered.carry_over(mac, &right, generation, now);
        Ok(carried.then_some(right.identity))
    }

    fn right(&self, id: UserId, identity: Identity, record: &UserRecord) -> Right {
        let hash = record.password.as_deref().unwrap_or_default();
        Right {
            identity,
            used: Used::Account(Member::User(id)),
            stored: self.remembered.stored(hash.as_bytes()),
            ends: None,
        }
    }

    fn enabled(&self, id: UserId, record: &UserRecord) -> Result<Identity, Error> {
        match record.enabled {
            true => Ok(self.lookup.of_user(id, record)),
            false => Err(Error::Disabled {
                name: record.name.clone(),
            }),
        }
    }

    fn recall(&self, given: &Given<'_>) -> Option<Identity> {
        let now = self.clock.now();
        let found = self.remembered.recall(&given.mac, given.generation, now);
        let (identity, used) = found?;
        self.uses.note(used, now);
        Some(identity)
    }

    fn note(&self, given: &Given<'_>, right: Right) -> Identity {
        let (identity, now) = (right.identity.clone(), self.clock.now());
        let generation = given.generation;
        self.uses.note(right.used, now);
        self.remembered.note(given.mac, right, generation, now);
        identity
    }
}
