//! The room over a real store and real accounts.

mod callers;
mod forged;
mod keys;
mod logins;
mod rights;
mod service_keys;
mod tokens;

use std::net::IpAddr;
use std::time::Duration;

use tempfile::TempDir;

use super::{Auth, AuthConfig, Error, Grant, Identity, Metrics, Parts};
use crate::accounts::{self, Accounts, NewUser, PasswordCost, SealKey};
use crate::model::{Clock, NamespaceName, Performer, RobotName, Secret, Timestamp, UserId};
use crate::oci::{Action, Actions};
use crate::store::{self, Store};

const PASSWORD: &str = "correct:horse";

/// One installation: store, accounts and auth in a folder of its own, at a time that stands still.
struct Site {
    auth: Auth,
    accounts: Accounts,
    store: Store,
    clock: Clock,
    metrics: prometheus::Registry,
    _folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        Self::with(AuthConfig::default()).await
    }

    async fn with(config: AuthConfig) -> Self {
        let folder = TempDir::new().unwrap();
        let metrics = prometheus::Registry::new();
        let options = store::Options {
            cache_bytes: 1 << 20,
        };
        let store = Store::open(&folder.path().join("store.redb"), &options, &metrics).unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let parts = accounts::Parts {
            store: store.clone(),
            clock: clock.clone(),
            seal: SealKey::from_bytes(&[7; 32]),
            metrics: accounts::Metrics::new(&metrics).unwrap(),
        };
        let cheap = PasswordCost {
            memory_kib: 8,
            passes: 1,
        };
        let accounts = Accounts::with_cost(parts, cheap).await.unwrap();
        let auth = Auth::new(Parts {
            store: store.clone(),
            accounts: accounts.clone(),
            clock: clock.clone(),
            config,
            metrics: Metrics::new(&metrics).unwrap(),
        });
        Self {
            auth,
            accounts,
            store,
            clock,
            metrics,
            _folder: folder,
        }
    }

    async fn user(&self, name: &str) -> UserId {
        let user = NewUser {
            email: Some(format!("{name}@example.org")),
            password: Some(Secret::new(PASSWORD)),
            ..NewUser::named(&namespace(name))
        };
        self.accounts.create_user(user).await.unwrap()
    }

    /// A robot and its token.
    async fn robot(&self, name: &str) -> Secret {
        let name: RobotName = name.parse().unwrap();
        let made = self
            .accounts
            .create_robot(&name, "", &Performer::SYSTEM)
            .await;
        made.unwrap().1
    }

    async fn delete_robot(&self, name: &str) {
        let name: RobotName = name.parse().unwrap();
        let deleted = self.accounts.delete_robot(&name, &Performer::SYSTEM).await;
        deleted.unwrap();
    }

    async fn login(&self, username: &str, password: &str) -> Result<Identity, Error> {
        self.login_from("192.0.2.1", username, password).await
    }

    async fn login_from(
        &self,
        source: &str,
        username: &str,
        password: &str,
    ) -> Result<Identity, Error> {
        let source: IpAddr = source.parse().unwrap();
        self.auth
            .basic(username, &Secret::new(password), source)
            .await
    }

    async fn token(&self, identity: &Identity) -> String {
        self.auth.issue(identity, &[pull()]).await.unwrap().token
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The value of a counter without labels.
    fn counted(&self, name: &str) -> u64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.unwrap().get_metric()[0].get_counter().get_value() as u64
    }
}

fn namespace(name: &str) -> NamespaceName {
    name.parse().unwrap()
}

fn pull() -> Grant {
    Grant {
        name: "acme/app".parse().unwrap(),
        actions: [Action::Pull].into_iter().collect::<Actions>(),
    }
}
