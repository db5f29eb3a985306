//! The services, from the bottom up, in reading order: store, blobs, ledger, registry, outbound, proxy.
//!
//! The server and commands that work without one are made of the same services.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::lock::Lock;
use super::secret::InstallationSecret;
use crate::accounts::{self, Accounts, NewOrganization};
use crate::auth::{self, Auth, AuthConfig};
use crate::blob::BlobStore;
use crate::bundle::Bundles;
use crate::config::{Artifacts, Closed, Config};
use crate::jobs::{self, Intervals, PruneTimes};
use crate::mirror::{self, Mirror};
use crate::model::{ByteSize, Clock, NamespaceId, NamespaceKind, NamespaceName};
use crate::notify::{self, Audit, Inbox, Messages};
use crate::oci::ArtifactTypes;
use crate::outbound::{Names, Outbound};
use crate::proxy::{self, Proxy};
use crate::quota::{self, DiskSpace, Ledger, Quotas};
use crate::registry::{self, Pace, Registry};
use crate::store::{self, Store};
use crate::telemetry::Metrics;
use crate::upstream::Hosts;
use crate::{api, http, upstream};

/// Everything below the doors.
pub(super) struct Services {
    pub(super) metrics: Metrics,
    pub(super) registry: Registry,
    pub(super) accounts: Accounts,
    /// Superusers by the configuration; the store knows others.
    pub(super) super_users: Vec<NamespaceName>,
    pub(super) proxy: Proxy,
    pub(super) bundles: Bundles,
    /// Who bundles say they are from, if nothing else is said.
    pub(super) site_name: String,
    pub(super) mirror: Mirror,
    pub(super) auth: Auth,
    pub(super) clock: Clock,
    pub(super) audit: Audit,
    pub(super) inbox: Inbox,
    pub(super) messages: Messages,
    pub(super) disk_reserve: ByteSize,
    /// How fast a scrub reads if nothing is said (`SCRUB_BANDWIDTH`).
    pub(super) scrub_bandwidth: Option<ByteSize>,
    pub(super) http_metrics: http::Metrics,
    pub(super) prune_times: PruneTimes,
    queue_batch: usize,
    jobs_metrics: jobs::Metrics,
    quota_metrics: quota::Metrics,
    /// Last, so that the data directory is free only when nothing here uses it any more.
    pub(super) lock: Arc<Lock>,
}

/// The file of the store.
pub(super) fn store_path(data_dir: &Path) -> PathBuf {
    data_dir.join("entrepot.redb")
}

impl Services {
    /// Opens what lies in the data directory, which `lock` keeps for us, and connects it.
    pub(super) async fn open(config: &Config, clock: Clock, lock: Lock) -> Result<Self, Error> {
        let metrics = Metrics::new()?;
        let families = metrics.registry();
        let (store, blobs, secret) = open_files(config, &metrics).await?;
        let disk_reserve = match config.disk_reserve {
            Some(bytes) => bytes,
            None => quota::default_disk_reserve(ByteSize(blobs.disk()?.total_bytes)),
        };
        let ledger = Ledger::new(Arc::new(Volume(blobs.clone())), disk_reserve.bytes());
        if ledger.disk_deficit() > 0 {
            tracing::warn!(
                missing_bytes = ledger.disk_deficit(),
                "the disk has less free space than its reserve; nothing is kept, and pushes are refused, until it has more"
            );
        }
        let accounts = open_accounts(&secret, &store, &clock, families).await?;
        load_held(&store, &ledger).await?;
        let registry = Registry::new(registry::Parts {
            store: store.clone(),
            blobs,
            ledger,
            clock: clock.clone(),
            hot_cache: config.hot_cache,
            rules: rules(config),
            session_secret: secret.session_key(),
            metrics: registry::Metrics::new(families)?,
        });
        load_quotas(&store, registry.quotas()).await?;
        registry.quotas().enforce(enforcement(config));
        registry.recall_uses().await?;
        let outbound = Outbound::new(
            config.outbound.clone(),
            config.deadlines.connect,
            Names::System,
            clock.clone(),
        )?;
        let (upstream_metrics, hosts) = (upstream::Metrics::new(families)?, Hosts::default());
        let parts = proxy::Parts {
            registry: registry.clone(),
            outbound: outbound.clone(),
            seal: accounts.seal_key().clone(),
            configured_in: configured_in(config),
            deadlines: config.deadlines.clone(),
            offline: config.offline,
            enabled: config.features.proxy_cache,
            metrics: proxy::Metrics::new(families)?,
            upstream_metrics: upstream_metrics.clone(),
            hosts: hosts.clone(),
        };
        let proxy = Proxy::new(parts, config.upstreams.clone()).await?;
        proxy.set_hostnames(hostnames(config));
        let mirror = Mirror::new(mirror::Parts {
            registry: registry.clone(),
            accounts: accounts.clone(),
            outbound,
            configured_in: configured_in(config),
            robots: config.access.robots.clone(),
            deadlines: config.deadlines.clone(),
            offline: config.offline,
            enabled: config.features.repo_mirror,
            organizations: config.features.org_mirror,
            hosts,
            upstream_metrics,
            metrics: mirror::Metrics::new(families)?,
        });
        configure_mirrors(&mirror, config).await?;
        let audit = Audit::new(notify::Parts {
            store: store.clone(),
            clock: clock.clone(),
            config: config.audit,
            metrics: notify::Metrics::new(families)?,
        });
        let inbox = Inbox::new(store.clone());
        let messages = Messages::new(store.clone(), clock.clone());
        let auth = Auth::new(auth::Parts {
            store,
            accounts: accounts.clone(),
            clock: clock.clone(),
            config: auth_config(config),
            metrics: auth::Metrics::new(families)?,
        });
        auth.set_anonymous_push(open_organizations(config, &registry, &accounts).await?);
        // What the configuration asks for is settled; on a read-only volume in memory (DK-10).
        registry.store().seal();
        Ok(Self {
            bundles: Bundles::new(registry.clone(), accounts.clone(), &config.data_dir),
            site_name: config
                .server_hostname
                .clone()
                .unwrap_or_else(|| "entrepot".to_owned()),
            auth,
            audit,
            clock,
            inbox,
            messages,
            http_metrics: http::Metrics::new(families)?,
            jobs_metrics: jobs::Metrics::new(families)?,
            quota_metrics: quota::Metrics::new(families)?,
            metrics,
            registry,
            accounts,
            super_users: config.super_users.clone(),
            proxy,
            mirror,
            disk_reserve,
            scrub_bandwidth: config.retention.scrub_bandwidth,
            prune_times: PruneTimes {
                enabled: config.features.auto_prune,
                own: config.prune.least_interval,
                configured: config.prune.policy_interval,
            },
            queue_batch: config.prune.batch,
            lock: Arc::new(lock),
        })
    }

    /// What the loops work on.
    pub(super) fn jobs(
        &self,
        intervals: Intervals,
        reread_files: impl Fn() + Send + Sync + 'static,
    ) -> jobs::Parts {
        jobs::Parts {
            registry: self.registry.clone(),
            accounts: self.accounts.clone(),
            proxy: self.proxy.clone(),
            mirror: self.mirror.clone(),
            metrics: self.jobs_metrics.clone(),
            quota_metrics: self.quota_metrics.clone(),
            auth: self.auth.clone(),
            audit: self.audit.clone(),
            scrub_pace: Pace {
                bytes_per_second: self.scrub_bandwidth.map(ByteSize::bytes),
            },
            prune_times: self.prune_times,
            queue_batch: self.queue_batch,
            intervals,
            reread_files: Arc::new(reread_files),
        }
    }
}

/// Hostnames of the configured mirrors with their organisations.
pub(super) fn hostnames(config: &Config) -> HashMap<String, NamespaceName> {
    let mirrors = config.registry_mirrors.iter();
    mirrors
        .filter_map(|mirror| Some((mirror.hostname.clone()?, mirror.organization.clone())))
        .collect()
}

/// Mirrors of the configuration are made with what they need, unless nothing is to be changed.
pub(super) async fn configure_mirrors(mirror: &Mirror, config: &Config) -> Result<(), Error> {
    if config.pushes.closed != Some(Closed::ReadOnly) {
        mirror.configure(&config.mirrors).await?;
    }
    Ok(())
}

/// What the configuration is called, for those who try to change by the API what it says.
fn configured_in(config: &Config) -> String {
    config.path.as_ref().map_or_else(
        || "the built-in configuration".to_owned(),
        |path| path.display().to_string(),
    )
}

/// What the configuration says of local repositories.
pub(super) fn rules(config: &Config) -> registry::Rules {
    registry::Rules {
        time_machine: config.retention.time_machine,
        time_machines: config.retention.time_machines.clone(),
        grace: config.retention.grace,
        upload_expiry: config.retention.upload_expiry,
        sparse_images: config.pushes.sparse_images,
        may_collect: config.pushes.closed.is_none(),
        sparse_indexes: config.pushes.sparse_indexes,
        labeled: config.retention.labeled,
        permanently_delete: config.retention.permanently_delete,
        reset_children: config.retention.reset_children,
        immutable_tags: config.features.immutable_tags,
        prune: config.prune.policy.clone(),
    }
}

/// What the configuration says of the quotas of namespaces.
pub(super) fn enforcement(config: &Config) -> quota::Enforcement {
    let features = &config.features;
    quota::Enforcement {
        refuses: features.quota_management && features.verify_quota,
        default_bytes: config.retention.default_quota,
    }
}

/// What the configuration says of how often the loops turn.
pub(super) fn intervals(config: &Config) -> Intervals {
    Intervals {
        collection: config.retention.collect_every,
        scrub: config.retention.scrub_every,
        queue: config.prune.poll,
        mirrors: config.mirror.poll,
        ..Intervals::default()
    }
}

/// What the configuration says of pushes.
pub(super) fn pushes(config: &Config) -> api::Pushes {
    let pushes = &config.pushes;
    let artifacts = match &pushes.artifacts {
        Artifacts::Any => ArtifactTypes::any(),
        Artifacts::Images => ArtifactTypes::images_only(),
        Artifacts::Listed(types) => {
            ArtifactTypes::listed(types.iter().map(|(config, layers)| {
                (config.to_string(), layers.iter().map(ToString::to_string))
            }))
        }
    };
    api::Pushes {
        closed: pushes.closed,
        create_private: pushes.create_private,
        create_namespace: pushes.create_namespace,
        anonymous: pushes.anonymous.clone(),
        artifacts,
        maximum_layer: pushes.maximum_layer,
    }
}

fn auth_config(config: &Config) -> AuthConfig {
    AuthConfig {
        anonymous_access: config.access.anonymous,
        superusers_full_access: config.access.superusers_full_access,
        app_tokens: config.access.app_tokens,
        encrypted_passwords_only: config.features.require_encrypted_basic_auth,
        robots: config.access.robots.clone(),
        super_users: config.super_users.clone(),
        superusers: config.features.super_users,
        global_readonly: config.people.global_readonly.clone(),
        unrestricted: config.people.restricted_but.clone(),
        fresh_login: config.people.fresh_login,
        session_life: config.people.session,
        unapproved_key_life: config.people.unapproved_key_life,
        expired_key_life: config.people.expired_key_life,
        ..AuthConfig::default()
    }
}

/// The organisations in which anyone may push, made where they are missing.
async fn open_organizations(
    config: &Config,
    registry: &Registry,
    accounts: &Accounts,
) -> Result<HashSet<NamespaceId>, Error> {
    let mut open = HashSet::new();
    for name in &config.pushes.anonymous {
        let id = match registry.namespace(name).await? {
            Some((id, record)) if record.kind == NamespaceKind::Organization => id,
            Some(_) => {
                return Err(Error::Refused(format!(
                    "ANONYMOUS_PUSH names {name}, which is a cache or a person's; give an \
                     organisation's name"
                )));
            }
            None => {
                let new = NewOrganization::named(name, None);
                accounts.create_organization(new).await?
            }
        };
        open.insert(id);
    }
    Ok(open)
}

/// Both read and write files, so they are opened on the blocking pool.
async fn open_files(
    config: &Config,
    metrics: &Metrics,
) -> Result<(Store, BlobStore, InstallationSecret), Error> {
    let data_dir = config.data_dir.clone();
    let cache_bytes = usize::try_from(config.store_cache.bytes()).unwrap_or(usize::MAX);
    let metrics = metrics.clone();
    tokio::task::spawn_blocking(move || {
        let families = metrics.registry();
        let options = store::Options { cache_bytes };
        let store = Store::open(&store_path(&data_dir), &options, families)?;
        let blobs = BlobStore::open(&data_dir, families)?;
        Ok((store, blobs, InstallationSecret::open(&data_dir)?))
    })
    .await?
}

/// Accounts under the installation's key.
async fn open_accounts(
    secret: &InstallationSecret,
    store: &Store,
    clock: &Clock,
    families: &prometheus::Registry,
) -> Result<Accounts, Error> {
    let parts = accounts::Parts {
        store: store.clone(),
        clock: clock.clone(),
        seal: secret.seal_key(),
        metrics: accounts::Metrics::new(families)?,
    };
    let accounts = Accounts::new(parts).await?;
    if secret.is_new() && accounts.has_users() {
        tracing::error!(
            "secret.key was missing from the data directory and a new one was made: tokens of \
             robots and applications that were sealed under the old one no longer work"
        );
    }
    Ok(accounts)
}

/// The ledger lives in memory; what each organisation holds is in the store.
pub(super) async fn load_held(store: &Store, ledger: &Ledger) -> Result<(), store::Error> {
    let held = store
        .scan(|tx| {
            let organizations = tx.namespaces().list()?.into_iter();
            organizations
                .map(|(id, _)| Ok((id, tx.usage().held(id)?)))
                .collect::<Result<Vec<_>, store::Error>>()
        })
        .await?;
    held.into_iter()
        .for_each(|(organization, bytes)| ledger.load(organization, bytes));
    Ok(())
}

/// So are the quotas that it has by the API.
async fn load_quotas(store: &Store, quotas: &Quotas) -> Result<(), store::Error> {
    let own = store
        .scan(|tx| {
            let mut own = Vec::new();
            for (id, _) in tx.namespaces().list()? {
                match tx.quotas().of(id) {
                    Ok(quota) => own.extend(quota.map(|record| (id, record))),
                    // The check tells and mends it, and needs a server, or at least a registry, that begins.
                    Err(error @ store::Error::Corrupt { .. }) => {
                        tracing::error!(%error, namespace = %id, "a quota cannot be read; run `entrepot check`");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, store::Error>(own)
        })
        .await?;
    quotas.load(own);
    Ok(())
}

/// The volume of the data directory, as the ledger asks it.
pub(super) struct Volume(pub(super) BlobStore);

impl DiskSpace for Volume {
    fn free_bytes(&self) -> Option<u64> {
        self.0.disk().ok().map(|disk| disk.free_bytes)
    }
}
