//! Taking a changed configuration over without a restart (LC-04).
//!
//! All or nothing: a configuration with a mistake changes nothing and every mistake goes to the log.
//! What counts only after a restart is named.

use super::assemble::{self, hostnames};
use super::{App, listeners};
use crate::config::{Config, ConfigError, Warning};
use crate::http::{self, TlsReloader};

impl App {
    /// Takes `loaded` over as far as a running server can, and says in the log what it did.
    pub async fn reload(&self, loaded: Result<(Config, Vec<Warning>), Vec<ConfigError>>) {
        let (config, warnings) = match loaded {
            Ok(loaded) => loaded,
            Err(mistakes) => return keep_old(&mistakes),
        };
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let reconfigured = self
            .services
            .proxy
            .reconfigure(
                config.upstreams.clone(),
                config.deadlines.clone(),
                config.offline,
                config.features.proxy_cache,
            )
            .await;
        let done = match reconfigured {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "the configuration stays as it was");
                return;
            }
        };
        if let Err(error) = assemble::configure_mirrors(&self.services.mirror, &config).await {
            tracing::error!(%error, "not all of MIRRORS are as the configuration has them");
        }
        let quotas = self.services.registry.quotas();
        quotas.enforce(assemble::enforcement(&config));
        self.services.mirror.set_offline(config.offline);
        self.services.proxy.set_hostnames(hostnames(&config));
        self.meet_quotas();
        let site = listeners::site(&config, &self.addresses, self.services.disk_reserve);
        self.api.set_site(site);
        self.api.set_pushes(assemble::pushes(&config));
        self.services.registry.set_rules(assemble::rules(&config));
        self.reload_log(&config);
        self.reload_tls(&config);
        let late = self.started_with.changes_needing_restart(&config);
        if !late.is_empty() {
            tracing::warn!(
                "these changes count only after a restart: {}",
                late.join(", ")
            );
        }
        tracing::info!(
            added = ?done.added,
            changed = ?done.changed,
            removed = ?done.removed,
            "configuration reloaded"
        );
    }

    /// Makes room under quotas that were lowered, behind the caller's back: it may take a while.
    fn meet_quotas(&self) {
        let registry = self.services.registry.clone();
        tokio::spawn(async move {
            if let Err(error) = registry.relieve().await {
                tracing::warn!(%error, "room could not be made");
            }
        });
    }

    /// Takes over the files that are named now, which may be others than at the start.
    fn reload_tls(&self, config: &Config) {
        if let (Some(tls), Some(paths)) = (&self.tls, listeners::tls_paths(config)) {
            tell_exchanged(tls.exchange(&paths));
        }
    }

    fn reload_log(&self, config: &Config) {
        let Some(logging) = &self.logging else { return };
        if let Err(error) = logging.set_level(&config.log.level) {
            tracing::error!(%error, "LOG_LEVEL stays as it was");
        }
    }
}

fn keep_old(mistakes: &[ConfigError]) {
    for mistake in mistakes {
        tracing::error!("{mistake}");
    }
    tracing::error!(
        "the configuration stays as it was: {} mistakes",
        mistakes.len()
    );
}

/// Looks at the certificate files, and exchanges the pair if they changed. Reads files.
pub(super) fn reread(tls: Option<&TlsReloader>) {
    if let Some(tls) = tls {
        tell_exchanged(tls.reload_if_changed());
    }
}

fn tell_exchanged(exchanged: Result<bool, http::Error>) {
    match exchanged {
        Ok(true) => tracing::info!("the TLS certificate was exchanged"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the TLS certificate stays as it was"),
    }
}
