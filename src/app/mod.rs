//! The whole program: puts the rooms together, owns the life of the process, speaks to the operator.
//!
//! Called by `main` and by tests, which run an [`App`] inside their own process. A start is whole or
//! nothing: whatever is wrong with the configuration or the surroundings is said before the first
//! request is answered (LC-04). [`App::stop`] lets running requests finish, keeps what running fills
//! have fetched, and writes what was only noted.

mod assemble;
mod cli;
mod commands;
mod control;
mod doctor;
mod error;
mod htpasswd;
mod listeners;
mod lock;
mod notify;
mod offline;
mod operations;
mod reload;
mod secret;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use cli::Cli;
pub use commands::run;
pub use error::Error;
pub use listeners::Addresses;

use crate::accounts::Accounts;
use crate::api::{self, Api};
use crate::config::Config;
use crate::http::{self, Closer, Ended, Inherited, Options, Server, TlsReloader};
use crate::jobs::{Intervals, Jobs};
use crate::mirror::Mirror;
use crate::model::Clock;
use crate::notify::Audit;
use crate::proxy::Proxy;
use crate::registry::Registry;
use crate::telemetry::{Logging, Metrics};
use assemble::Services;
use listeners::Bound;

/// A read of the store that takes longer than this at the end is left behind.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// A running server.
pub struct App {
    services: Arc<Services>,
    api: Arc<Api>,
    addresses: Addresses,
    /// As it was at the start: what needs a restart is told by comparing with it.
    started_with: Config,
    tls: Option<TlsReloader>,
    logging: Option<Logging>,
    closer: Arc<Closer>,
    server: JoinHandle<Ended>,
    control: control::Server,
    jobs: Jobs,
}

/// What of a start is not configuration.
#[derive(Default)]
pub struct Surroundings {
    pub clock: Clock,
    pub intervals: Intervals,
    /// Sockets that are listened on already.
    pub inherited: Vec<Inherited>,
    /// The log of this process, whose level follows the configuration.
    pub logging: Option<Logging>,
}

impl App {
    /// Starts everything and returns once requests are answered.
    ///
    /// # Errors
    /// Whatever keeps it from serving; nothing is left running then.
    pub async fn start(config: Config, surroundings: Surroundings) -> Result<Self, Error> {
        let Surroundings {
            clock,
            intervals,
            inherited,
            logging,
        } = surroundings;
        // First, so that a port that is taken leaves nothing behind.
        let Bound {
            listeners,
            entrances,
            addresses,
            tls,
        } = listeners::bind(&config, inherited)?;
        let lock = lock::Lock::create(&config.data_dir)?;
        let services = Arc::new(Services::open(&config, clock, lock).await?);
        let api = Arc::new(Api::new(api::Parts {
            proxy: services.proxy.clone(),
            registry: services.registry.clone(),
            mirror: services.mirror.clone(),
            metrics: services.metrics.clone(),
            entrances,
            site: listeners::site(&config, &addresses, services.disk_reserve),
            public_catalog: config.features.public_catalog,
            accounts: services.accounts.clone(),
            auth: services.auth.clone(),
            audit: services.audit.clone(),
            inbox: services.inbox.clone(),
            messages: services.messages.clone(),
            pushes: assemble::pushes(&config),
            library: config.access.library.clone(),
            referrers: config.access.referrers,
            clock: services.clock.clone(),
            features: config.features,
            given: config.given.clone(),
            web: config.web.clone(),
            people: config.people.clone(),
            super_users: config.super_users.clone(),
            tag_expirations: config.retention.time_machines.clone(),
        })?);
        let control = control::Server::start(&config.data_dir, services.clone())?;
        let options = Options {
            trusted_proxies: config.trusted_proxies.clone(),
            drain: config.deadlines.shutdown,
            ..Options::new(services.http_metrics.clone())
        };
        let (closer, shutdown) = http::shutdown();
        let server = Server::new(options).serve(listeners, api.clone(), shutdown);
        let tls_reloader = tls.clone();
        let jobs =
            Jobs::start(services.jobs(intervals, move || reload::reread(tls_reloader.as_ref())));
        Ok(Self {
            server: tokio::spawn(server),
            closer: Arc::new(closer),
            tls,
            started_with: config,
            services,
            api,
            addresses,
            logging,
            control,
            jobs,
        })
    }

    /// Where it listens.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The content, for tests and commands.
    pub fn registry(&self) -> &Registry {
        &self.services.registry
    }

    /// People and what they may do, for tests and commands.
    pub fn accounts(&self) -> &Accounts {
        &self.services.accounts
    }

    /// The usage log, for tests.
    pub fn audit(&self) -> &Audit {
        &self.services.audit
    }

    /// The read path, for tests and commands.
    pub fn proxy(&self) -> &Proxy {
        &self.services.proxy
    }

    /// Mirrors, for tests.
    pub fn mirror(&self) -> &Mirror {
        &self.services.mirror
    }

    /// Every metric.
    pub fn metrics(&self) -> &Metrics {
        &self.services.metrics
    }

    /// Returns once the store has failed, after which the process should end.
    pub async fn wait_failed(&self) {
        self.services.registry.store().wait_failed().await;
    }

    /// Returns once the data volume, which took no writes at the start, takes them; a fresh process can then
    /// use it (DK-10).
    pub async fn wait_writable(&self) {
        self.services.registry.store().wait_writable().await;
    }

    /// Returns once a superuser has asked for the end of the process.
    pub async fn end_asked(&self) {
        self.api.end_asked().await;
    }

    /// What cuts requests that are still running while [`App::stop`] waits for them.
    pub fn hasten(&self) -> impl Fn() + Send + Sync + use<> {
        let closer = self.closer.clone();
        move || closer.cut()
    }

    /// Ends in order (LC-01): no new requests, running ones finish within `SHUTDOWN_TIMEOUT`, fills
    /// keep their bytes for the next start, what was noted is written.
    pub async fn stop(self) -> Ended {
        let Self {
            services,
            api,
            closer,
            server,
            control,
            jobs,
            ..
        } = self;
        api.drain();
        closer.drain();
        let ended = server.await.unwrap_or(Ended { cut: 0 });
        control.stop().await;
        jobs.stop().await;
        services.proxy.shutdown().await;
        if let Err(error) = services.registry.flush_recency().await {
            tracing::warn!(%error, "last-used times could not be written");
        }
        if let Err(error) = services.audit.flush().await {
            tracing::warn!(%error, "the usage log could not be written");
        }
        // The directory is free for the next process only once the store's file is closed.
        let (closed, _lock) = (services.registry.store().closed(), services.lock.clone());
        drop((services, api));
        if timeout(CLOSED_WITHIN, closed).await.is_err() {
            tracing::warn!("something still reads the store");
        }
        ended
    }
}
