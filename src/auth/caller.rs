//! Who calls at the doors of the API and of the web, and by what means.
//!
//! Order as in Quay: a bearer token, else the session's cookie. A token that is shown and not good ends
//! it there: the caller is nobody, and known to have shown a bad one, so that reading doors answer
//! `invalid_token` and changing ones miss a CSRF token. Names and passwords are taken by those doors
//! only that say so ([`Presented::basic`]).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::identity::Holder;
use super::lookup::Living;
use super::metrics::{Credential, Outcome};
use super::scope::Scopes;
use super::session::Session;
use super::{Auth, Error, Identity};
use crate::model::{NamespaceName, OauthUse, Performer, Secret, UserId};

/// What a request shows of its sender.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `Cookie` header.
    pub cookie: Option<&'a str>,
    /// Where the request comes from.
    pub address: IpAddr,
    /// Whether the door takes a name and a password.
    pub basic: bool,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub identity: Identity,
    pub means: Means,
    pub address: IpAddr,
}

/// By what somebody is known.
#[derive(Clone, Debug)]
pub enum Means {
    /// Nothing was shown.
    None,
    /// A bearer token that is unknown, has expired or whose owner is disabled.
    BadToken,
    /// A browser's, also one of nobody.
    Session(Session),
    /// Bounded by [`Caller::scopes`].
    Oauth(OauthUse),
    /// A name and a password with the request.
    Password,
}

impl Caller {
    /// The same for records of who did what.
    pub fn performer(&self) -> Performer {
        let oauth = match &self.means {
            Means::Oauth(used) => Some(used.clone()),
            _ => None,
        };
        Performer {
            actor: self.identity.actor(),
            address: Some(self.address),
            oauth,
            app_token: None,
            user_agent: None,
        }
    }

    /// What of the caller's rights the credentials are for.
    pub const fn scopes(&self) -> Scopes {
        self.identity.scopes()
    }

    /// The user, if the caller is one.
    pub const fn user(&self) -> Option<(UserId, &NamespaceName)> {
        self.identity.user()
    }

    /// The browser's session, if the caller is known by one.
    pub const fn session(&self) -> Option<&Session> {
        match &self.means {
            Means::Session(session) => Some(session),
            _ => None,
        }
    }

    pub fn is_superuser(&self) -> bool {
        self.identity.is_superuser()
    }

    /// Whether a change may be made with this CSRF token (AU-15). Who shows a token of an application
    /// needs none: no other site can have a browser send it.
    pub fn may_change(&self, csrf_token: Option<&str>) -> bool {
        match &self.means {
            Means::Oauth(_) => true,
            Means::Session(session) => csrf_token.is_some_and(|shown| session.is_csrf_token(shown)),
            Means::None | Means::BadToken | Means::Password => false,
        }
    }
}

impl Auth {
    /// Who sent a request.
    ///
    /// # Errors
    /// If it could not be found out; and, at doors that take names and passwords, as [`Auth::sign_in`].
    pub async fn caller(&self, presented: &Presented<'_>) -> Result<Caller, Error> {
        let address = presented.address;
        let caller = |identity, means| Caller {
            identity,
            means,
            address,
        };
        match presented.authorization.and_then(Shown::parse) {
            Some(Shown::Bearer(token)) => Ok(match self.oauth(token).await? {
                Some((identity, used)) => caller(identity, Means::Oauth(used)),
                None => caller(Identity::Anonymous, Means::BadToken),
            }),
            Some(Shown::Basic { user, password }) if presented.basic => {
                // A person's own password only: what was made for a program, or for less, makes no more (AZ-14).
                let identity = self.sign_in(&user, &password, address).await?;
                Ok(caller(identity, Means::Password))
            }
            Some(Shown::Basic { .. }) | None => Ok(match self.session(presented).await? {
                Some((identity, session)) => caller(identity, Means::Session(session)),
                None => caller(Identity::Anonymous, Means::None),
            }),
        }
    }

    /// Whose an OAuth token is, if it is good.
    ///
    /// # Errors
    /// If it could not be found out.
    pub(super) async fn oauth(&self, token: &str) -> Result<Option<(Identity, OauthUse)>, Error> {
        let result = self.look_at_oauth(token).await;
        let outcome = match &result {
            Ok(Some(_)) => Outcome::Accepted,
            Ok(None) => Outcome::Refused,
            Err(_) => Outcome::Failed,
        };
        self.0.metrics.count(Credential::Oauth, outcome);
        result
    }

    async fn look_at_oauth(&self, token: &str) -> Result<Option<(Identity, OauthUse)>, Error> {
        let living = self.0.basic.oauth(token).await?;
        Ok(living.and_then(|living| {
            let Living {
                identity, oauth, ..
            } = living;
            oauth.map(|used| (identity, used))
        }))
    }

    /// The session in the cookie and whose it is; nobody's if the user is gone, disabled or has ended
    /// all sessions since.
    async fn session(
        &self,
        presented: &Presented<'_>,
    ) -> Result<Option<(Identity, Session)>, Error> {
        let opened = presented
            .cookie
            .and_then(|header| self.open_session(header));
        let Some(session) = opened else {
            return Ok(None);
        };
        let Some(login) = session.login else {
            return Ok(Some((Identity::Anonymous, session)));
        };
        let living = self.0.basic.lookup.living(Holder::User(login.user)).await?;
        let living = living.filter(|living| living.session_epoch == login.epoch);
        Ok(living.map(|living| (living.identity, session)))
    }

    /// Whose name and password these are, given to the web: a user's, plain.
    ///
    /// # Errors
    /// As [`Auth::basic`].
    ///
    /// # Cancel safety
    /// Dropped, it counts as a failed attempt.
    pub async fn sign_in(
        &self,
        username: &str,
        password: &Secret,
        source: IpAddr,
    ) -> Result<Identity, Error> {
        self.0.basic.sign_in(username, password, source).await
    }

    /// The password of a user as clients may keep it in their files.
    pub fn encrypt_password(&self, user: UserId, password: &Secret) -> Secret {
        self.0.basic.encrypted.seal(user, password)
    }

    /// Whether the caller has shown a password recently, for what must not be done by whoever finds a
    /// browser open. Who shows a token or a password with the request always has; a robot never.
    pub fn is_fresh(&self, caller: &Caller) -> bool {
        if caller.user().is_none() {
            return false;
        }
        match &caller.means {
            Means::Oauth(_) | Means::Password => true,
            Means::Session(session) => session
                .login
                .is_some_and(|login| self.0.clock.now().since(login.at) < self.0.fresh_login),
            Means::None | Means::BadToken => false,
        }
    }
}

/// RFC 9110 section 11.6.2, as far as it is taken; anything else is as good as nothing (Quay).
enum Shown<'a> {
    Bearer(&'a str),
    Basic { user: String, password: Secret },
}

impl<'a> Shown<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return (!rest.contains(' ')).then_some(Self::Bearer(rest));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self::Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    }
}
