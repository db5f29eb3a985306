//! Who is asking, and what may they do.
//!
//! Called by the doors in `api`. Credentials become an [`Identity`] ([`Auth::basic`], [`Auth::bearer`];
//! for the API and the web [`Auth::caller`]), an identity gets a token ([`Auth::issue`]), and for every request the rights of
//! the identity are read ([`Auth::rights`]); a token bounds them and gives none. `jobs` turns the keys
//! ([`Auth::rotate_if_due`]).
//!
//! Promises: what was revoked, disabled or deleted counts at the next request; whatever cannot be
//! found out is an error, never a right; a token or password seen a moment ago costs neither a
//! signature check nor a hash. Nothing here is kept but the signing keys: a request by nobody writes
//! no row. Knows no header and no status code.

mod basic;
mod caller;
mod claims;
mod codes;
mod encrypted;
mod error;
mod grant;
mod identity;
mod keys;
mod lookup;
mod metrics;
mod need;
mod permits;
mod redirect;
mod remembered;
mod rights;
mod scope;
mod service_keys;
mod session;
mod throttle;
mod token;
mod uses;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use caller::{Caller, Means, Presented};
pub use codes::Consent;
pub use error::{Error, RefusedKind, TokenFault};
pub use grant::Grant;
pub use identity::{Identity, ShownToken};
pub use metrics::Metrics;
pub use need::{Need, Part};
pub use permits::{NamespacePermits, RepositoryPermits};
pub use redirect::is_redirect_allowed;
pub use rights::{Allowed, Target};
pub use scope::{Scope, Scopes};
pub use service_keys::{
    MadeServiceKey, NewServiceKey, ServiceKey, ServiceKeyChange, ServiceKeyError, ServiceKeys,
    Submission, Submitted,
};
pub use session::{Login, SESSION_COOKIE, Session};
pub use token::Issued;

use basic::Basic;
use codes::Codes;
use encrypted::Encrypted;
use keys::Keys;
use lookup::{Lookup, People};
use metrics::{Credential, Outcome};
use rights::{Policy, Rules};
use service_keys::Lives;
use token::Tokens;

use crate::accounts::{Accounts, SealKey};
use crate::config::RobotAccess;
use crate::model::{
    Clock, NamespaceId, NamespaceName, Performer, RobotName, Secret, UserId, UserRecord,
};
use crate::oci::{Actions, RepositoryName};
use crate::store::Store;

/// What decides who is who; cheap to clone.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    basic: Basic,
    tokens: Tokens,
    rules: Rules,
    codes: Codes,
    store: Store,
    clock: Clock,
    /// Under which sessions are sealed.
    session_key: SealKey,
    fresh_login: Duration,
    session_life: Duration,
    service_keys: ServiceKeys,
    metrics: Metrics,
}

/// What the room is built from.
pub struct Parts {
    pub store: Store,
    pub accounts: Accounts,
    pub clock: Clock,
    pub config: AuthConfig,
    pub metrics: Metrics,
}

/// What the operator said.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Issuer and audience of tokens.
    pub service: String,
    /// `FEATURE_ANONYMOUS_ACCESS`
    pub anonymous_access: bool,
    /// `FEATURE_SUPERUSERS_FULL_ACCESS`
    pub superusers_full_access: bool,
    /// `FEATURE_APP_SPECIFIC_TOKENS`
    pub app_tokens: bool,
    /// `FEATURE_REQUIRE_ENCRYPTED_BASIC_AUTH`
    pub encrypted_passwords_only: bool,
    /// `ROBOTS_DISALLOW` and its exceptions: which robots are anybody.
    pub robots: RobotAccess,
    /// `SUPER_USERS`, beside those whose account says it.
    pub super_users: Vec<NamespaceName>,
    /// `FEATURE_SUPER_USERS`
    pub superusers: bool,
    /// `GLOBAL_READONLY_SUPER_USERS`
    pub global_readonly: Vec<NamespaceName>,
    /// `RESTRICTED_USERS_WHITELIST`, if `FEATURE_RESTRICTED_USERS`.
    pub unrestricted: Option<Vec<NamespaceName>>,
    /// `FRESH_LOGIN_TIMEOUT`
    pub fresh_login: Duration,
    /// `SESSION_TIMEOUT`
    pub session_life: Duration,
    pub token_lifetime: Duration,
    /// How long a key signs before the next one does.
    pub key_rotation: Duration,
    /// `UNAPPROVED_SERVICE_KEY_TTL_SEC`
    pub unapproved_key_life: Duration,
    /// `EXPIRED_SERVICE_KEY_TTL_SEC`
    pub expired_key_life: Duration,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            service: "entrepot".to_owned(),
            anonymous_access: true,
            superusers_full_access: false,
            app_tokens: true,
            encrypted_passwords_only: false,
            robots: RobotAccess::All,
            super_users: Vec::new(),
            superusers: true,
            global_readonly: Vec::new(),
            unrestricted: None,
            fresh_login: Duration::from_secs(10 * 60),
            session_life: Duration::from_secs(31 * 24 * 3600),
            token_lifetime: Duration::from_secs(3600),
            key_rotation: Duration::from_secs(30 * 24 * 3600),
            unapproved_key_life: Duration::from_secs(24 * 3600),
            expired_key_life: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// A token that was believed.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub identity: Identity,
    /// What the token may be used for, as far as its holder still may.
    pub access: Arc<[Grant]>,
}

impl Bearer {
    /// The actions granted on a repository.
    pub fn granted(&self, name: &RepositoryName) -> Actions {
        let grants = self.access.iter().filter(|grant| grant.name == *name);
        grants.fold(Actions::NONE, |sum, grant| sum.union(grant.actions))
    }
}

impl Auth {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            accounts,
            clock,
            config,
            metrics,
        } = parts;
        let policy = Policy {
            anonymous_access: config.anonymous_access,
            superusers_full_access: config.superusers_full_access,
        };
        let kept = token::kept_after_retirement(config.token_lifetime);
        let rotation = config.key_rotation;
        let seal = accounts.seal_key().clone();
        let session_key = seal.derived("sessions");
        let encrypted = Encrypted::new(&seal, config.encrypted_passwords_only);
        let keys = Keys::new(store.clone(), seal, clock.clone(), rotation, kept);
        let people = People {
            superusers: config.superusers,
            super_users: config.super_users.into_iter().collect(),
            global_readonly: config.global_readonly.into_iter().collect(),
            unrestricted: config.unrestricted.map(|names| names.into_iter().collect()),
        };
        let people = Arc::new(people);
        let service_keys = ServiceKeys::new(
            store.clone(),
            clock.clone(),
            Lives {
                unapproved: config.unapproved_key_life,
                expired: config.expired_key_life,
            },
            Arc::clone(&people),
        );
        let (accounts_, clock_) = (accounts.clone(), clock.clone());
        let lookup = Lookup::new(store.clone(), accounts_, clock_, people, config.robots);
        let (service, lifetime) = (config.service, config.token_lifetime);
        Self(Arc::new(Inner {
            basic: Basic::new(
                lookup,
                accounts.clone(),
                clock.clone(),
                config.app_tokens,
                encrypted,
                metrics.clone(),
            ),
            tokens: Tokens::new(keys, service, lifetime, clock.clone(), metrics.clone()),
            rules: Rules::new(policy, accounts, metrics.clone()),
            codes: Codes::new(clock.clone()),
            store,
            clock,
            session_key,
            fresh_login: config.fresh_login,
            session_life: config.session_life,
            service_keys,
            metrics,
        }))
    }

    /// Whether a robot of that name may be made, and may log in (`ROBOTS_DISALLOW`).
    pub fn admits_robot(&self, name: &RobotName) -> bool {
        self.0.basic.lookup.admits_robot(name)
    }

    /// Whether anybody gets anything without credentials (`FEATURE_ANONYMOUS_ACCESS`).
    pub fn admits_anonymous(&self) -> bool {
        self.0.rules.admits_anonymous()
    }

    /// Says in which namespaces anyone may create, push and delete (`ANONYMOUS_PUSH`).
    pub fn set_anonymous_push(&self, namespaces: HashSet<NamespaceId>) {
        self.0.rules.set_open(namespaces);
    }

    /// Who the holder of an account is when logged in, by what the account and the configuration say.
    pub fn identity_of(&self, id: UserId, user: &UserRecord) -> Identity {
        self.0.basic.lookup.of_user(id, user)
    }

    /// Whether the configuration gives an account rights by this name alone (`SUPER_USERS` and its like), so
    /// that nobody may take the name by himself (AZ-13).
    pub fn favours(&self, name: &NamespaceName) -> bool {
        self.0.basic.lookup.favours(name)
    }

    /// Who does something, as the usage log tells it: with the token that was shown for it.
    pub async fn performer(&self, identity: &Identity) -> Performer {
        let by = Performer::from(identity.actor());
        if !matches!(identity, Identity::User { token: Some(_), .. }) {
            return by;
        }
        // What cannot be read now is not told; nothing is decided by it.
        let living = self.0.basic.lookup.living(identity.holder()).await;
        let Ok(Some(living)) = living else { return by };
        Performer {
            oauth: living.oauth,
            app_token: living.app_token,
            ..by
        }
    }

    /// Keys of services that belong to this registry.
    pub fn service_keys(&self) -> &ServiceKeys {
        &self.0.service_keys
    }

    /// Whose these credentials are; `source` is where they come from.
    ///
    /// # Errors
    /// [`Error::is_refusal`] if they are wrong, of a kind not taken, disabled, or tried too often;
    /// anything else if it could not be found out.
    ///
    /// # Cancel safety
    /// Dropped, a password counts as a failed attempt.
    pub async fn basic(
        &self,
        username: &str,
        password: &Secret,
        source: IpAddr,
    ) -> Result<Identity, Error> {
        self.0.basic.identify(username, password, source).await
    }

    /// Whom a token stands for, and what it may be used for.
    ///
    /// # Errors
    /// [`Error::Token`] if it is not ours, has ended, or its holder is gone or disabled.
    pub async fn bearer(&self, token: &str) -> Result<Bearer, Error> {
        let result = self.believe(token).await;
        let outcome = Outcome::of(&result);
        self.0.metrics.count(Credential::Bearer, outcome);
        result
    }

    async fn believe(&self, token: &str) -> Result<Bearer, Error> {
        let verified = self.0.tokens.verify(token).await?;
        let living = self.0.basic.lookup.living(verified.holder).await?;
        Ok(Bearer {
            identity: living.ok_or(TokenFault::Holder)?.identity,
            access: Arc::clone(&verified.access),
        })
    }

    /// A token for `identity`, for at most what `access` says.
    ///
    /// The caller has cut `access` to what is allowed ([`Allowed::within`]).
    ///
    /// # Errors
    /// [`Error::TokenTooLong`] if so much was asked for that no client could send it back.
    pub async fn issue(&self, identity: &Identity, access: &[Grant]) -> Result<Issued, Error> {
        self.0.tokens.issue(identity, access).await
    }

    /// What `identity` may do there, now.
    ///
    /// # Errors
    /// If the store cannot be read. Nothing is allowed then, and nothing known to be forbidden: the
    /// request fails (AZ-15).
    pub async fn rights(&self, identity: &Identity, target: &Target) -> Result<Allowed, Error> {
        self.0.rules.of(identity, target).await
    }

    /// Replaces the signing key when it has signed for its time, and removes those whose tokens have
    /// all ended. Makes the first one.
    ///
    /// # Errors
    /// The store's.
    pub async fn rotate_if_due(&self) -> Result<(), Error> {
        self.0.tokens.keys().rotate_if_due().await
    }
}
