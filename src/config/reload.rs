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
    ("LISTEN_REDIRECT", |one, other| {
        one.listen_redirect != other.listen_redirect
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
    ("AUTO_PRUNING_DEFAULT_POLICY_POLL_PERIOD", |one, other| {
        one.prune.policy_interval != other.prune.policy_interval
    }),
    (
        "AUTOPRUNE_TASK_RUN_MINIMUM_INTERVAL_MINUTES",
        |one, other| one.prune.least_interval != other.prune.least_interval,
    ),
    ("AUTO_PRUNING_POLL_PERIOD", |one, other| {
        one.prune.poll != other.prune.poll
    }),
    ("AUTO_PRUNING_BATCH_SIZE", |one, other| {
        one.prune.batch != other.prune.batch
    }),
    ("REPO_MIRROR_INTERVAL", |one, other| {
        one.mirror.poll != other.mirror.poll
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
    ("GLOBAL_READONLY_SUPER_USERS", |one, other| {
        one.people.global_readonly != other.people.global_readonly
    }),
    ("FRESH_LOGIN_TIMEOUT", |one, other| {
        one.people.fresh_login != other.people.fresh_login
    }),
    ("SESSION_TIMEOUT", |one, other| {
        one.people.session != other.people.session
    }),
    ("SESSION_COOKIE_SECURE", |one, other| {
        one.people.secure_cookie != other.people.secure_cookie
    }),
    ("APP_SPECIFIC_TOKEN_EXPIRATION", |one, other| {
        one.people.app_token_life != other.people.app_token_life
    }),
    ("OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT", |one, other| {
        one.people.application_tokens != other.people.application_tokens
    }),
    ("LOCAL_OAUTH_HANDLER", |one, other| {
        one.people.local_oauth_handler != other.people.local_oauth_handler
    }),
    ("DIRECT_OAUTH_CLIENTID_WHITELIST", |one, other| {
        one.people.direct_oauth_clients != other.people.direct_oauth_clients
    }),
    ("UNAPPROVED_SERVICE_KEY_TTL_SEC", |one, other| {
        one.people.unapproved_key_life != other.people.unapproved_key_life
    }),
    ("EXPIRED_SERVICE_KEY_TTL_SEC", |one, other| {
        one.people.expired_key_life != other.people.expired_key_life
    }),
    ("BROWSER_API_CALLS_XHR_ONLY", |one, other| {
        one.web.xhr_only != other.web.xhr_only
    }),
    ("CORS_ORIGIN", |one, other| {
        one.web.cors_origins != other.web.cors_origins
    }),
    ("AVATAR_KIND", |one, other| {
        one.web.avatars != other.web.avatars
    }),
    ("REGISTRY_TITLE", |one, other| {
        one.web.title != other.web.title
    }),
    ("REGISTRY_TITLE_SHORT", |one, other| {
        one.web.short_title != other.web.short_title
    }),
    ("CONTACT_INFO", |one, other| {
        one.web.contact != other.web.contact
    }),
    ("SEARCH_RESULTS_PER_PAGE", |one, other| {
        one.web.search_page != other.web.search_page
    }),
    ("SEARCH_MAX_RESULT_PAGE_COUNT", |one, other| {
        one.web.search_pages != other.web.search_pages
    }),
    ("PERMANENTLY_DELETE_TAGS", |one, other| {
        one.retention.permanently_delete != other.retention.permanently_delete
    }),
    ("LABELED_EXPIRATION_MINIMUM", |one, other| {
        one.retention.labeled.0 != other.retention.labeled.0
    }),
    ("LABELED_EXPIRATION_MAXIMUM", |one, other| {
        one.retention.labeled.1 != other.retention.labeled.1
    }),
    ("ACTION_LOG_ROTATION_THRESHOLD", |one, other| {
        one.audit.keep != other.audit.keep
    }),
    ("ACTION_LOG_AUDIT_LOGINS", |one, other| {
        one.audit.logins != other.audit.logins
    }),
    ("ACTION_LOG_AUDIT_LOGIN_FAILURES", |one, other| {
        one.audit.login_failures != other.audit.login_failures
    }),
    ("ACTION_LOG_AUDIT_PULL_FAILURES", |one, other| {
        one.audit.pull_failures != other.audit.pull_failures
    }),
    ("ACTION_LOG_AUDIT_PUSH_FAILURES", |one, other| {
        one.audit.push_failures != other.audit.push_failures
    }),
    ("ACTION_LOG_AUDIT_DELETE_FAILURES", |one, other| {
        one.audit.delete_failures != other.audit.delete_failures
    }),
    ("RESTRICTED_USERS_WHITELIST", |one, other| {
        let (one, other) = (&one.people.restricted_but, &other.people.restricted_but);
        differ(one.as_ref(), other.as_ref())
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
