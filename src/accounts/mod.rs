//! People, robots, teams, what is granted to them, and the secrets they show.
//!
//! Called by `auth` (who is it, what may they), `api` and `app` (who makes and changes accounts).
//!
//! - A change is one store transaction. Once it is durable, [`Accounts::generation`] moves, and only
//!   then is the caller answered: whoever caches what was read here under the generation read before
//!   never serves it after a change was answered (AZ-12).
//! - Passwords are kept as Argon2id hashes; everything that must be shown or compared again is sealed
//!   under a key that is not in the store ([`SealKey`]), so that the store's file alone tells none
//!   (AU-10).
//! - Ids are never given twice, and everything of a user, robot or team goes with it, so that a new
//!   account of an old name inherits nothing.
//!
//! Does not decide about requests (`auth` does), nor limit attempts, nor know superusers that the
//! configuration names. There is no account that nobody made (AU-05).

mod app_tokens;
mod applications;
mod assignments;
mod error;
mod federation;
mod first;
mod import;
mod invitations;
mod members;
mod memberships;
mod metrics;
mod name;
mod namespaces;
mod oauth_tokens;
mod organizations;
mod pages;
mod password;
mod permissions;
mod profile;
mod prototypes;
mod purge;
mod rights;
mod robots;
mod seal;
mod search;
mod secret;
mod teams;
#[cfg(test)]
mod tests;
mod users;
mod uses;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use applications::{Application, ApplicationFields, RESERVED_APPLICATION};
pub use assignments::NewAssignment;
pub use error::{Error, Noun};
pub use first::FirstUser;
pub use import::{Imported, ImportedUser};
pub use invitations::{Answered, Joined};
pub use members::{Affiliation, Person};
pub use memberships::Membership;
pub use metrics::Metrics;
pub use name::{NameFault, namespace_name, robot_name};
pub use oauth_tokens::{NamedToken, NewOauthToken, OAUTH_TOKEN_LIFE, OauthToken};
pub use organizations::{NewOrganization, OrganizationChange};
pub use password::PasswordCost;
pub use permissions::Granted;
pub use profile::UserChange;
pub use prototypes::{Associate, Delegate, Prototype};
pub use purge::Purged;
pub use rights::{Principal, Rights};
pub use seal::SealKey;
pub use search::FoundTeam;
pub use secret::{OAUTH_TOKEN_LOOKUP, is_oauth_token, new_oauth_code, oauth_token_hash};
pub use teams::TEAMS_OF_A_MEMBER;
pub use users::NewUser;

use crate::model::Clock;
use crate::store::{Store, WriteTx};

use password::Passwords;

/// All accounts; cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    seal: SealKey,
    passwords: Passwords,
    seen: Arc<Seen>,
    uses: uses::Uses,
}

/// What is known without asking the store; only after-commit hooks change it.
struct Seen {
    generation: AtomicU64,
    has_users: AtomicBool,
}

/// What accounts are built from.
pub struct Parts {
    pub store: Store,
    pub clock: Clock,
    pub seal: SealKey,
    pub metrics: Metrics,
}

impl Accounts {
    /// # Errors
    /// The store's.
    pub async fn new(parts: Parts) -> Result<Self, Error> {
        Self::with_cost(parts, PasswordCost::DEFAULT).await
    }

    /// Accounts whose passwords are hashed at that cost; tests take a cheap one.
    ///
    /// # Errors
    /// The store's.
    pub async fn with_cost(parts: Parts, cost: PasswordCost) -> Result<Self, Error> {
        let Parts {
            store,
            clock,
            seal,
            metrics,
        } = parts;
        let has_users = store.read(|tx| tx.users().has_any()).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                clock,
                seal,
                passwords: Passwords::new(cost, metrics),
                uses: uses::Uses::default(),
                seen: Arc::new(Seen {
                    generation: AtomicU64::new(0),
                    has_users: AtomicBool::new(has_users),
                }),
            }),
        })
    }

    /// A number that moves with every durable change of accounts or grants made here.
    ///
    /// To cache what is read: read this first, then the store, and keep the two together.
    pub fn generation(&self) -> u64 {
        self.inner.seen.generation.load(Ordering::Acquire)
    }

    /// Whether there is any user.
    pub fn has_users(&self) -> bool {
        self.inner.seen.has_users.load(Ordering::Acquire)
    }

    /// The key under which secrets of this installation are sealed.
    pub fn seal_key(&self) -> &SealKey {
        &self.inner.seal
    }

    /// Has the generation move when a change of grants is durable that is part of somebody else's transaction.
    pub fn grants_change(&self, tx: &mut WriteTx<'_>) {
        let seen = Arc::clone(&self.inner.seen);
        tx.after_commit(move || {
            seen.generation.fetch_add(1, Ordering::Release);
        });
    }

    /// Runs a change in one transaction; the generation moves when it is durable.
    async fn change<T, F>(&self, f: F) -> Result<T, Error>
    where
        F: Fn(&mut WriteTx<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let seen = Arc::clone(&self.inner.seen);
        let change = move |tx: &mut WriteTx<'_>| {
            let outcome = f(tx)?;
            let has_users = tx.users().has_any()?;
            let seen = Arc::clone(&seen);
            tx.after_commit(move || {
                seen.has_users.store(has_users, Ordering::Release);
                seen.generation.fetch_add(1, Ordering::Release);
            });
            Ok(outcome)
        };
        self.inner.store.write(change).await
    }
}
