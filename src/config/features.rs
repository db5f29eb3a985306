//! Feature switches: Quay's names, typed.
//!
//! Read from `FEATURE_*` keys by `settings`; rooms take the fields they obey. A switch of a feature
//! that this version does not have is read and kept, so that a Quay's file can be used as it is.

/// One switch as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The key in the file.
    pub key: &'static str,
    pub default: bool,
    /// What is on when it is true.
    pub meaning: &'static str,
}

macro_rules! features {
    ($($field:ident $key:literal $default:literal $meaning:literal)*) => {
        /// Every feature switch, decided.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct Features {
            $(#[doc = $meaning] pub $field: bool,)*
        }

        impl Default for Features {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        /// Every switch with its default.
        pub const FEATURES: &[Feature] = &[
            $(Feature { key: concat!("FEATURE_", $key), default: $default, meaning: $meaning },)*
        ];

        impl Features {
            /// Sets the switch of that key; `false` if there is none.
            pub(super) fn set(&mut self, key: &str, value: bool) -> bool {
                match key {
                    $(concat!("FEATURE_", $key) => self.$field = value,)*
                    _ => return false,
                }
                true
            }

            /// Every switch by its name without `FEATURE_`, as Quay's API shows them.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, bool)> {
                [$(($key, self.$field),)*].into_iter()
            }
        }
    };
}

// Defaults are Quay's, except those that need something configured first (off) and those that cost
// an appliance nothing (on).
features! {
    action_log_rotation "ACTION_LOG_ROTATION" false "Old usage logs are moved to an archive"
    advertise_v2 "ADVERTISE_V2" true "The registry API version is announced"
    aggregated_log_count_retrieval "AGGREGATED_LOG_COUNT_RETRIEVAL" true "Usage log counts by day and kind"
    anonymous_access "ANONYMOUS_ACCESS" true "Public repositories can be seen and pulled without login"
    app_specific_tokens "APP_SPECIFIC_TOKENS" true "Tokens that stand for a user in one application"
    assign_oauth_token "ASSIGN_OAUTH_TOKEN" true "OAuth tokens can be assigned to other users"
    auto_prune "AUTO_PRUNE" true "Tags are removed by policies"
    billing "BILLING" false "Plans and payment (not built)"
    bitbucket_build "BITBUCKET_BUILD" false "Builds triggered by Bitbucket"
    blacklisted_emails "BLACKLISTED_EMAILS" false "E-mail domains that may not sign up"
    build_support "BUILD_SUPPORT" false "Images are built from Dockerfiles"
    change_tag_expiration "CHANGE_TAG_EXPIRATION" true "The time machine's length can be changed"
    clear_expired_rac_entries "CLEAR_EXPIRED_RAC_ENTRIES" false "Old action counts are removed"
    direct_login "DIRECT_LOGIN" true "Login with a password on the web page"
    disable_pull_logs_for_free_namespaces "DISABLE_PULL_LOGS_FOR_FREE_NAMESPACES" false "No pull logs without a plan"
    edit_quota "EDIT_QUOTA" true "Quotas can be changed by organisation owners"
    enable_stale_mpu_cleanup "ENABLE_STALE_MPU_CLEANUP" true "Leftovers of uploads are removed"
    entitlement_reconciliation "ENTITLEMENT_RECONCILIATION" false "Marketplace entitlements (not built)"
    export_compliance "EXPORT_COMPLIANCE" false "Export compliance screening (not built)"
    extended_action_logging "EXTENDED_ACTION_LOGGING" false "Usage logs hold more about the request"
    extended_repository_names "EXTENDED_REPOSITORY_NAMES" true "Repository names may hold slashes"
    fips "FIPS" false "Only FIPS cryptography"
    garbage_collection "GARBAGE_COLLECTION" true "Content that nothing names is removed"
    general_oci_support "GENERAL_OCI_SUPPORT" true "Artifacts other than images"
    github_build "GITHUB_BUILD" false "Builds triggered by GitHub"
    github_login "GITHUB_LOGIN" false "Login through GitHub"
    gitlab_build "GITLAB_BUILD" false "Builds triggered by GitLab"
    google_login "GOOGLE_LOGIN" false "Login through Google"
    image_expiry_trigger "IMAGE_EXPIRY_TRIGGER" false "Notices before an image expires"
    image_pull_stats "IMAGE_PULL_STATS" false "Pulls are counted by tag and manifest"
    immutable_tags "IMMUTABLE_TAGS" true "Tags can be made immutable"
    immutable_tags_can_expire "IMMUTABLE_TAGS_CAN_EXPIRE" false "Immutable tags may have an expiry"
    invite_only_user_creation "INVITE_ONLY_USER_CREATION" false "Sign-up needs an invitation"
    library_support "LIBRARY_SUPPORT" true "References without a namespace mean the library"
    log_export "LOG_EXPORT" true "Usage logs can be exported"
    mailing "MAILING" false "E-mail is sent"
    manifest_size_backfill "MANIFEST_SIZE_BACKFILL" true "Sizes of old manifests are filled in"
    manifest_subject_backfill "MANIFEST_SUBJECT_BACKFILL" true "Subjects of old manifests are filled in"
    namespace_garbage_collection "NAMESPACE_GARBAGE_COLLECTION" true "Deleted organisations are cleared away"
    nonsuperuser_team_syncing_setup "NONSUPERUSER_TEAM_SYNCING_SETUP" false "Owners may set up team sync"
    org_mirror "ORG_MIRROR" true "Whole organisations can be mirrors"
    org_shared_email "ORG_SHARED_EMAIL" false "Organisations may share an e-mail address"
    otel_tracing "OTEL_TRACING" false "OpenTelemetry traces"
    partial_user_autocomplete "PARTIAL_USER_AUTOCOMPLETE" true "User names are completed from their beginning"
    permanent_sessions "PERMANENT_SESSIONS" true "Web sessions outlive the browser"
    programmatic_bootstrap "PROGRAMMATIC_BOOTSTRAP" false "A bootstrap token sets the system up"
    proxy_cache "PROXY_CACHE" true "Organisations can be caches of upstream registries"
    proxy_cache_blob_download "PROXY_CACHE_BLOB_DOWNLOAD" true "Caches fetch layers in the background"
    proxy_storage "PROXY_STORAGE" false "Storage is served through the web server"
    public_catalog "PUBLIC_CATALOG" false "The catalogue can be read without login"
    quota_management "QUOTA_MANAGEMENT" true "Storage quotas"
    quota_notifications "QUOTA_NOTIFICATIONS" false "Quotas told by mail and webhooks (not built)"
    quota_suppress_failures "QUOTA_SUPPRESS_FAILURES" false "Errors in counting do not fail a push"
    rate_limits "RATE_LIMITS" false "Requests are limited by rate"
    reader_build_logs "READER_BUILD_LOGS" false "Readers of a repository see its build logs"
    recaptcha "RECAPTCHA" false "A captcha at sign-up"
    referrers_api "REFERRERS_API" true "The referrers API"
    repository_action_counter "REPOSITORY_ACTION_COUNTER" true "Actions are counted by repository"
    repository_garbage_collection "REPOSITORY_GARBAGE_COLLECTION" true "Deleted repositories are cleared away"
    repo_mirror "REPO_MIRROR" true "Repositories can be mirrors"
    require_encrypted_basic_auth "REQUIRE_ENCRYPTED_BASIC_AUTH" false "No plain passwords on the command line"
    require_team_invite "REQUIRE_TEAM_INVITE" true "Joining a team needs an invitation"
    restricted_users "RESTRICTED_USERS" false "Users cannot own content"
    restricted_v1_push "RESTRICTED_V1_PUSH" false "Docker v1 pushes are limited (not built)"
    rh_marketplace "RH_MARKETPLACE" false "Marketplace subscriptions (not built)"
    security_notifications "SECURITY_NOTIFICATIONS" false "Notices about vulnerabilities"
    security_scanner "SECURITY_SCANNER" false "Images are scanned by Clair"
    security_scanner_notify_on_new_index "SECURITY_SCANNER_NOTIFY_ON_NEW_INDEX" true "Notices after a first scan"
    signing "SIGNING" false "Docker content trust (not built)"
    spam_detection "SPAM_DETECTION" false "Descriptions are checked for spam"
    sparse_index "SPARSE_INDEX" true "Indexes may name manifests that are absent"
    storage_replication "STORAGE_REPLICATION" false "Content is copied between regions"
    superusers_full_access "SUPERUSERS_FULL_ACCESS" false "Superusers act in every namespace"
    superusers_org_creation_only "SUPERUSERS_ORG_CREATION_ONLY" false "Only superusers create organisations"
    superuser_configdump "SUPERUSER_CONFIGDUMP" false "Superusers can read the configuration"
    super_users "SUPER_USERS" true "There are superusers"
    team_syncing "TEAM_SYNCING" false "Teams follow groups of LDAP or OIDC"
    ui_delay_after_write "UI_DELAY_AFTER_WRITE" false "The web page waits after a change"
    ui_modelcard "UI_MODELCARD" true "Model cards on the web page"
    ui_v2 "UI_V2" true "The second web page"
    username_confirmation "USERNAME_CONFIRMATION" true "Generated user names are confirmed"
    user_creation "USER_CREATION" false "Anyone may sign up"
    user_events "USER_EVENTS" true "Live events for the web page"
    user_initialize "USER_INITIALIZE" false "The first user is made by the API, while none exists"
    user_last_accessed "USER_LAST_ACCESSED" true "The time of a user's last access is kept"
    user_log_access "USER_LOG_ACCESS" false "Users see their own usage logs"
    user_metadata "USER_METADATA" false "Users can give details about themselves"
    user_rename "USER_RENAME" false "Users can change their names"
    verify_quota "VERIFY_QUOTA" true "Quotas are enforced"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SC-238: the switch of the caches is on unless it is turned off.
    #[test]
    fn switches_are_set_by_their_keys() {
        let mut features = Features::default();
        assert!(features.proxy_cache);
        assert!(features.set("FEATURE_PROXY_CACHE", false));
        assert!(!features.proxy_cache);
        assert!(!features.set("FEATURE_PROXY_CASH", true));
        assert!(
            features
                .iter()
                .any(|switch| switch == ("PROXY_CACHE", false))
        );
        assert_eq!(features.iter().count(), FEATURES.len());
    }

    /// DESIGN: what is off until configured, and what costs an appliance nothing.
    #[test]
    fn defaults_that_differ_from_quays() {
        let features = Features::default();
        let off = [
            features.user_creation,
            features.mailing,
            features.build_support,
            features.security_scanner,
        ];
        assert_eq!(off, [false; 4]);
        let on = [
            features.proxy_cache,
            features.repo_mirror,
            features.quota_management,
            features.referrers_api,
            features.auto_prune,
            features.sparse_index,
        ];
        assert_eq!(on, [true; 6]);
    }
}
