//! Every key of the configuration as data: what `check-config`, the documentation and the
//! suggestions for misspelled keys are made from.
//!
//! A key without a row here does not exist: `settings` reads only what the table names. Feature
//! switches have their own table in `features`.

use self::Reload::{Live, Restart};

/// A key as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub form: Form,
    /// The default as it is written in YAML, or in words in parentheses.
    pub default: &'static str,
    /// What it decides; one line.
    pub meaning: &'static str,
    pub reload: Reload,
}

/// The kind of value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    Address,
    Addresses,
    Duration,
    Durations,
    Hosts,
    List,
    /// Named things, such as media types with lists of media types.
    Map,
    Networks,
    Number,
    Path,
    Rate,
    /// A duration, plain numbers being seconds.
    Seconds,
    Size,
    Switch,
    Text,
    Texts,
}

impl Form {
    /// How the form is called in the documentation.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Addresses => "address or list",
            Self::Duration => "duration",
            Self::Durations => "list of durations",
            Self::Hosts => "list of hosts and networks",
            Self::List => "list",
            Self::Map => "mapping",
            Self::Networks => "list of networks",
            Self::Number => "number",
            Self::Path => "path",
            Self::Rate => "rate",
            Self::Seconds => "seconds",
            Self::Size => "size",
            Self::Switch => "true or false",
            Self::Text => "text",
            Self::Texts => "list of texts",
        }
    }

    /// Whether `ENTREPOT_<KEY>` can give it.
    pub(super) const fn is_flat(self) -> bool {
        !matches!(self, Self::List | Self::Map)
    }

    /// Whether `<KEY>_FILE` can give it. The file of a path would hold a path, which nobody means.
    pub(super) const fn has_file(self) -> bool {
        self.is_flat() && !matches!(self, Self::Path)
    }
}

/// Whether a change counts while the server runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reload {
    Live,
    Restart,
}

const fn key(
    name: &'static str,
    form: Form,
    default: &'static str,
    reload: Reload,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        form,
        default,
        meaning,
        reload,
    }
}

/// Every key that is not a feature switch.
pub const KEYS: &[Key] = &[
    key(
        "LISTEN",
        Form::Addresses,
        "127.0.0.1:8080",
        Restart,
        "Where the registry and its API are served",
    ),
    key(
        "LISTEN_METRICS",
        Form::Address,
        "127.0.0.1:9091",
        Restart,
        "Where Prometheus reads /metrics; none for nowhere",
    ),
    key(
        "LISTEN_REDIRECT",
        Form::Address,
        "none",
        Restart,
        "Where plain HTTP is sent on to https://SERVER_HOSTNAME; none for nowhere",
    ),
    key(
        "SERVER_HOSTNAME",
        Form::Text,
        "(the request's own host)",
        Restart,
        "Public host, with port if it is not the usual one",
    ),
    key(
        "PREFERRED_URL_SCHEME",
        Form::Text,
        "(https with TLS, else http)",
        Restart,
        "Scheme of URLs made for clients: http or https",
    ),
    key(
        "TLS_CERTIFICATE",
        Form::Path,
        "(none)",
        Live,
        "PEM file with the certificate chain; LISTEN then speaks TLS",
    ),
    key(
        "TLS_KEY",
        Form::Path,
        "(none)",
        Live,
        "PEM file with the certificate's private key",
    ),
    key(
        "TLS_CLIENT_CA",
        Form::Path,
        "(none)",
        Live,
        "PEM file with the authorities whose certificates clients of LISTEN show",
    ),
    key(
        "TLS_CLIENT_AUTH",
        Form::Text,
        "required",
        Live,
        "Whether clients without a certificate of TLS_CLIENT_CA are turned away: required or optional",
    ),
    key(
        "HSTS_MAX_AGE",
        Form::Duration,
        "(none)",
        Live,
        "How long browsers are told to come by HTTPS only; 0s has them forget it",
    ),
    key(
        "DATA_DIR",
        Form::Path,
        "./data",
        Restart,
        "Folder of everything the server owns",
    ),
    key(
        "SUPER_USERS",
        Form::Texts,
        "[]",
        Restart,
        "Names of the users who may do everything",
    ),
    key(
        "PROXY_CACHES",
        Form::List,
        "(seven public registries)",
        Live,
        "Organisations that are caches of upstream registries",
    ),
    key(
        "REGISTRY_MIRRORS",
        Form::List,
        "(docker.io on 127.0.0.1:8081)",
        Live,
        "Where an organisation is served at the root, for Docker's registry-mirrors; new addresses need a restart",
    ),
    key(
        "MIRRORS",
        Form::List,
        "[]",
        Live,
        "Repositories that copy those of other registries on a schedule",
    ),
    key(
        "DISK_RESERVE",
        Form::Size,
        "(the smaller of 1 GiB and 5 % of the volume)",
        Restart,
        "Free space of the volume that is never used",
    ),
    key(
        "HOT_CACHE",
        Form::Size,
        "16 MiB",
        Restart,
        "Memory for finished answers",
    ),
    key(
        "STORE_CACHE",
        Form::Size,
        "16 MiB",
        Restart,
        "Memory for pages of the database",
    ),
    key(
        "REVALIDATE_DEADLINE",
        Form::Duration,
        "1s",
        Live,
        "How long a pull waits for upstream to confirm a held tag",
    ),
    key(
        "UPSTREAM_CONNECT_TIMEOUT",
        Form::Duration,
        "5s",
        Live,
        "Longest wait for a connection to an upstream",
    ),
    key(
        "UPSTREAM_HEADER_TIMEOUT",
        Form::Duration,
        "20s",
        Live,
        "Longest wait for the head of an upstream's answer",
    ),
    key(
        "UPSTREAM_IDLE_TIMEOUT",
        Form::Duration,
        "30s",
        Live,
        "Longest pause within the body of an upstream's answer",
    ),
    key(
        "UPSTREAM_TOKEN_TIMEOUT",
        Form::Duration,
        "10s",
        Live,
        "Longest wait for an upstream's token service",
    ),
    key(
        "NEGATIVE_CACHE",
        Form::Duration,
        "30s",
        Live,
        "How long an upstream's 404 is remembered; 0s for not at all",
    ),
    key(
        "SHUTDOWN_TIMEOUT",
        Form::Duration,
        "25s",
        Live,
        "How long running requests may take to end at shutdown",
    ),
    key(
        "SSRF_ALLOWED_HOSTS",
        Form::Hosts,
        "[]",
        Restart,
        "Private hosts and networks that addresses given by API may name",
    ),
    key(
        "TRUSTED_PROXIES",
        Form::Networks,
        "[]",
        Restart,
        "Networks whose X-Forwarded-* headers are believed",
    ),
    key(
        "EXTRA_CA_CERTS",
        Form::Path,
        "(none)",
        Restart,
        "Folder of CA certificates trusted for every outgoing call",
    ),
    key(
        "LOG_FORMAT",
        Form::Text,
        "text",
        Restart,
        "Form of log lines: text or json",
    ),
    key(
        "LOG_LEVEL",
        Form::Text,
        "info",
        Live,
        "error, warn, info, debug or trace; also by module: info,entrepot::proxy=debug",
    ),
    key(
        "OFFLINE",
        Form::Switch,
        "false",
        Live,
        "No upstream is ever asked",
    ),
    key(
        "REGISTRY_STATE",
        Form::Text,
        "normal",
        Live,
        "normal, or readonly: nothing is written but what caches fetch",
    ),
    key(
        "DISABLE_PUSHES",
        Form::Switch,
        "false",
        Live,
        "Nothing is pushed or deleted, and nothing is collected",
    ),
    key(
        "ANONYMOUS_PUSH",
        Form::Texts,
        "[]",
        Restart,
        "Organisations, made at start, in which everyone may pull, push and delete",
    ),
    key(
        "CREATE_PRIVATE_REPO_ON_PUSH",
        Form::Switch,
        "true",
        Live,
        "A repository made by a push is private",
    ),
    key(
        "CREATE_NAMESPACE_ON_PUSH",
        Form::Switch,
        "false",
        Live,
        "A push to a namespace that is missing makes it an organisation of the pusher",
    ),
    key(
        "ALLOWED_OCI_ARTIFACT_TYPES",
        Form::Map,
        "(any)",
        Live,
        "Config media types, each with its layers' media types, that are accepted besides images",
    ),
    key(
        "MAXIMUM_LAYER_SIZE",
        Form::Size,
        "20 GiB",
        Live,
        "Largest blob that can be pushed",
    ),
    key(
        "ALLOW_SPARSE_IMAGES",
        Form::Switch,
        "false",
        Live,
        "Image manifests may name blobs that the repository lacks",
    ),
    key(
        "DEFAULT_TAG_EXPIRATION",
        Form::Duration,
        "2w",
        Live,
        "For how long deleted and moved tags can be restored, where a namespace says nothing",
    ),
    key(
        "TAG_EXPIRATION_OPTIONS",
        Form::Durations,
        "[0s, 1d, 1w, 2w, 4w]",
        Live,
        "What a namespace may choose for that",
    ),
    key(
        "PUSH_TEMP_TAG_EXPIRATION_SEC",
        Form::Seconds,
        "3600",
        Live,
        "For how long what no tag or index names is kept after its push",
    ),
    key(
        "UPLOAD_EXPIRATION",
        Form::Duration,
        "2d",
        Live,
        "For how long an upload may rest before it is given up",
    ),
    key(
        "GARBAGE_COLLECTION_FREQUENCY",
        Form::Seconds,
        "30",
        Restart,
        "How often what is due is collected",
    ),
    key(
        "SCRUB_INTERVAL",
        Form::Duration,
        "30d",
        Restart,
        "In which time every blob is read once and compared with its digest; none for never",
    ),
    key(
        "SCRUB_BANDWIDTH",
        Form::Rate,
        "10 MiB/s",
        Restart,
        "Most bytes a second read for that; none for no bound",
    ),
    key(
        "DEFAULT_NAMESPACE_AUTOPRUNE_POLICY",
        Form::Map,
        "(none)",
        Live,
        "Policy by which tags of every local namespace end",
    ),
    key(
        "AUTO_PRUNING_DEFAULT_POLICY_POLL_PERIOD",
        Form::Seconds,
        "86400",
        Restart,
        "How often that policy is followed",
    ),
    key(
        "AUTOPRUNE_TASK_RUN_MINIMUM_INTERVAL_MINUTES",
        Form::Number,
        "60",
        Restart,
        "How often a namespace's own policies are followed at most, in minutes",
    ),
    key(
        "AUTO_PRUNING_POLL_PERIOD",
        Form::Seconds,
        "30",
        Restart,
        "How often the queue of jobs is looked at",
    ),
    key(
        "AUTO_PRUNING_BATCH_SIZE",
        Form::Number,
        "10",
        Restart,
        "Most jobs begun in that time",
    ),
    key(
        "REPO_MIRROR_INTERVAL",
        Form::Seconds,
        "30",
        Restart,
        "How often it is looked at which mirrors are due",
    ),
    key(
        "LIBRARY_NAMESPACE",
        Form::Text,
        "library",
        Restart,
        "The namespace of references that have none",
    ),
    key(
        "ROBOTS_DISALLOW",
        Form::Switch,
        "false",
        Restart,
        "No robot is made or logs in but those of ROBOTS_WHITELIST",
    ),
    key(
        "ROBOTS_WHITELIST",
        Form::Texts,
        "[]",
        Restart,
        "Robots excepted from that: namespace+name",
    ),
    key(
        "GLOBAL_READONLY_SUPER_USERS",
        Form::Texts,
        "[]",
        Restart,
        "Names of the users who may read everything and change nothing",
    ),
    key(
        "RESTRICTED_USERS_WHITELIST",
        Form::Texts,
        "[]",
        Restart,
        "Users excepted from FEATURE_RESTRICTED_USERS",
    ),
    key(
        "FRESH_LOGIN_TIMEOUT",
        Form::Duration,
        "10m",
        Restart,
        "How long after a login dangerous changes need no password again",
    ),
    key(
        "SESSION_TIMEOUT",
        Form::Duration,
        "31d",
        Restart,
        "How long a web session lasts",
    ),
    key(
        "SESSION_COOKIE_SECURE",
        Form::Switch,
        "false",
        Restart,
        "The session's cookie is sent over TLS only, also where a proxy hides the TLS",
    ),
    key(
        "APP_SPECIFIC_TOKEN_EXPIRATION",
        Form::Duration,
        "(never)",
        Restart,
        "How long app tokens last; none for ever",
    ),
    key(
        "OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT",
        Form::Number,
        "(no bound)",
        Restart,
        "Most tokens of an OAuth application that have not expired",
    ),
    key(
        "LOCAL_OAUTH_HANDLER",
        Form::Text,
        "/oauth/localapp",
        Restart,
        "Path of the page that shows a token that was made for a person",
    ),
    key(
        "DIRECT_OAUTH_CLIENTID_WHITELIST",
        Form::Texts,
        "[]",
        Restart,
        "Client ids for which a password alone authorises an application",
    ),
    key(
        "BROWSER_API_CALLS_XHR_ONLY",
        Form::Switch,
        "true",
        Restart,
        "Browsers read the API with the header X-Requested-With only",
    ),
    key(
        "CORS_ORIGIN",
        Form::Texts,
        "(any, without credentials)",
        Restart,
        "Origins whose pages may use the API with a session",
    ),
    key(
        "AVATAR_KIND",
        Form::Text,
        "local",
        Restart,
        "How avatars are made: local (SHA-256) or gravatar (MD5)",
    ),
    key(
        "REGISTRY_TITLE",
        Form::Text,
        "entrepot",
        Restart,
        "What the site is called",
    ),
    key(
        "REGISTRY_TITLE_SHORT",
        Form::Text,
        "entrepot",
        Restart,
        "The same in short",
    ),
    key(
        "CONTACT_INFO",
        Form::Texts,
        "[]",
        Restart,
        "How the operators are reached: URLs, mailto: and tel: among them",
    ),
    key(
        "SEARCH_RESULTS_PER_PAGE",
        Form::Number,
        "10",
        Restart,
        "Repositories on a page of a search",
    ),
    key(
        "SEARCH_MAX_RESULT_PAGE_COUNT",
        Form::Number,
        "10",
        Restart,
        "Most pages of a search",
    ),
    key(
        "PERMANENTLY_DELETE_TAGS",
        Form::Switch,
        "false",
        Restart,
        "Tags can be deleted without a way back",
    ),
    key(
        "RESET_CHILD_MANIFEST_EXPIRATION",
        Form::Switch,
        "false",
        Live,
        "What an index named goes with it, however lately it came",
    ),
    key(
        "DEFAULT_SYSTEM_REJECT_QUOTA_BYTES",
        Form::Size,
        "0",
        Live,
        "Most bytes of an organisation or user without a quota of its own; 0: no bound",
    ),
    key(
        "LABELED_EXPIRATION_MINIMUM",
        Form::Duration,
        "1h",
        Restart,
        "Shortest life that quay.expires-after gives a tag",
    ),
    key(
        "LABELED_EXPIRATION_MAXIMUM",
        Form::Duration,
        "104w",
        Restart,
        "Longest life that quay.expires-after gives a tag",
    ),
    key(
        "ACTION_LOG_ROTATION_THRESHOLD",
        Form::Duration,
        "30d",
        Restart,
        "How long lines of the usage log are kept; none for ever",
    ),
    key(
        "ACTION_LOG_AUDIT_LOGINS",
        Form::Switch,
        "true",
        Restart,
        "Logins stand in the usage log",
    ),
    key(
        "ACTION_LOG_AUDIT_LOGIN_FAILURES",
        Form::Switch,
        "false",
        Restart,
        "Failed logins stand in the usage log",
    ),
    key(
        "ACTION_LOG_AUDIT_PULL_FAILURES",
        Form::Switch,
        "false",
        Restart,
        "Failed pulls stand in the usage log",
    ),
    key(
        "ACTION_LOG_AUDIT_PUSH_FAILURES",
        Form::Switch,
        "false",
        Restart,
        "Failed pushes stand in the usage log",
    ),
    key(
        "ACTION_LOG_AUDIT_DELETE_FAILURES",
        Form::Switch,
        "false",
        Restart,
        "Failed deletions stand in the usage log",
    ),
    key(
        "UNAPPROVED_SERVICE_KEY_TTL_SEC",
        Form::Seconds,
        "86400",
        Restart,
        "How long a service's key waits to be approved",
    ),
    key(
        "EXPIRED_SERVICE_KEY_TTL_SEC",
        Form::Seconds,
        "604800",
        Restart,
        "How long an expired service key is kept",
    ),
];

/// The row of a key.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
