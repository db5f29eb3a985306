//! Which changes of a reloaded configuration count at once and which only after a restart.
//!
//! Called by `app` on SIGHUP; the keys named go to the log.

use std::net::SocketAddr;

use super::Config;

/// A key and whether it differs.
type Difference = (&'static str, fn(&Config, &Config) -> bool);

/// Everything that is fixed while the server runs.
const FIXED: &[Difference] = &[
    ("LISTEN", |one, other| one.listen != other.listen),
    ("LISTEN_METRICS", |one, other| {
        one.listen_metrics != other.listen_metrics
    }),
    ("SERVER_HOSTNAME", |one, other| {
        one.server_hostname != other.server_hostname
    }),
    ("PREFERRED_URL_SCHEME", |one, other| {
        one.url_scheme != other.url_scheme
    }),
    // New files are read while running; only plain or TLS is decided at the start.
    ("TLS_CERTIFICATE", |one, other| {
        one.tls.is_some() != other.tls.is_some()
    }),
    ("DATA_DIR", |one, other| one.data_dir != other.data_dir),
    ("SUPER_USERS", |one, other| {
        one.super_users != other.super_users
    }),
    ("REGISTRY_MIRRORS", |one, other| {
        mirror_listeners(one) != mirror_listeners(other)
    }),
    ("DISK_RESERVE", |one, other| {
        one.disk_reserve != other.disk_reserve
    }),
    ("HOT_CACHE", |one, other| one.hot_cache != other.hot_cache),
    ("STORE_CACHE", |one, other| {
        one.store_cache != other.store_cache
    }),
    ("SSRF_ALLOWED_HOSTS", |one, other| {
        one.outbound.ssrf_allowed_hosts != other.outbound.ssrf_allowed_hosts
    }),
    ("TRUSTED_PROXIES", |one, other| {
        one.trusted_proxies != other.trusted_proxies
    }),
    ("EXTRA_CA_CERTS", |one, other| {
        one.outbound.extra_ca_certs != other.outbound.extra_ca_certs
    }),
    ("LOG_FORMAT", |one, other| {
        one.log.format != other.log.format
    }),
    ("ANONYMOUS_PUSH", |one, other| {
        one.pushes.anonymous != other.pushes.anonymous
    }),
    ("GARBAGE_COLLECTION_FREQUENCY", |one, other| {
        differ(one.retention.collect_every, other.retention.collect_every)
    }),
    ("SCRUB_INTERVAL", |one, other| {
        one.retention.scrub_every != other.retention.scrub_every
    }),
    ("SCRUB_BANDWIDTH", |one, other| {
        one.retention.scrub_bandwidth != other.retention.scrub_bandwidth
    }),
    ("LIBRARY_NAMESPACE", |one, other| {
        differ(one.access.library.as_ref(), other.access.library.as_ref())
    }),
    ("ROBOTS_DISALLOW", |one, other| {
        one.access.robots.excepted().is_some() != other.access.robots.excepted().is_some()
    }),
    ("ROBOTS_WHITELIST", |one, other| {
        differ(one.access.robots.excepted(), other.access.robots.excepted())
    }),
    ("FEATURE_*", |one, other| one.features != other.features),
];

impl Config {
    /// The keys that `new` changes and that count only after a restart.
    pub fn changes_needing_restart(&self, new: &Self) -> Vec<&'static str> {
        FIXED
            .iter()
            .filter(|(_, differs)| differs(self, new))
            .map(|(key, _)| *key)
            .collect()
    }
}

/// Whether two values differ that are both there; whether they are there is said by another key.
fn differ<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// A socket is bound to its organisation for the life of the process.
fn mirror_listeners(config: &Config) -> Vec<(SocketAddr, &str)> {
    let mirrors = config.registry_mirrors.iter();
    let mut listeners: Vec<_> = mirrors
        .filter_map(|mirror| Some((mirror.listen?, mirror.organization.as_str())))
        .collect();
    listeners.sort_unstable();
    listeners
}

#[cfg(test)]
mod tests {
    use super::super::keys::{KEYS, Reload};
    use super::*;

    #[test]
    fn the_table_of_keys_and_the_list_of_fixed_ones_agree() {
        for key in KEYS.iter().filter(|key| key.reload == Reload::Restart) {
            assert!(
                FIXED.iter().any(|(name, _)| *name == key.name),
                "{}",
                key.name
            );
        }
        for (name, _) in FIXED {
            let key = KEYS.iter().find(|key| key.name == *name);
            let partly = ["TLS_CERTIFICATE", "REGISTRY_MIRRORS", "FEATURE_*"].contains(name);
            assert!(
                partly || key.is_some_and(|key| key.reload == Reload::Restart),
                "{name}"
            );
        }
    }
}
