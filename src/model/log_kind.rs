//! What a line of the usage log tells of, with Quay's names.

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($kind:ident = $number:literal, $name:literal;)*) => {
        /// What happened (Quay: log entry kinds). All that Quay has have a place here, also those that
        /// nothing writes.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "u16", into = "u16")]
        pub enum LogKind {
            $(#[doc = concat!("`", $name, "`")] $kind = $number,)*
        }

        impl LogKind {
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Its name in the API.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The kind of that number, if there is one.
            pub const fn of_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

// Numbers are stored: one is never given again, and new kinds get new ones.
kinds! {
    UserCreate = 1, "user_create";
    UserDelete = 2, "user_delete";
    UserDisable = 3, "user_disable";
    UserEnable = 4, "user_enable";
    UserChangeEmail = 5, "user_change_email";
    UserChangePassword = 6, "user_change_password";
    UserChangeName = 7, "user_change_name";
    UserChangeInvoicing = 8, "user_change_invoicing";
    UserChangeTagExpiration = 9, "user_change_tag_expiration";
    UserChangeMetadata = 10, "user_change_metadata";
    UserGenerateClientKey = 11, "user_generate_client_key";
    AccountChangePassword = 12, "account_change_password";
    AccountConvert = 13, "account_convert";
    AccountChangePlan = 14, "account_change_plan";
    AccountChangeCc = 15, "account_change_cc";
    LoginSuccess = 16, "login_success";
    LoginFailure = 17, "login_failure";
    LogoutSuccess = 18, "logout_success";
    CreateAppSpecificToken = 19, "create_app_specific_token";
    RevokeAppSpecificToken = 20, "revoke_app_specific_token";
    CreateRobot = 21, "create_robot";
    DeleteRobot = 22, "delete_robot";
    RegenerateRobotToken = 23, "regenerate_robot_token";
    CreateRobotFederation = 24, "create_robot_federation";
    DeleteRobotFederation = 25, "delete_robot_federation";
    FederatedRobotTokenExchange = 26, "federated_robot_token_exchange";
    CreateRepo = 27, "create_repo";
    DeleteRepo = 28, "delete_repo";
    PushRepo = 29, "push_repo";
    PushRepoFailed = 30, "push_repo_failed";
    PullRepo = 31, "pull_repo";
    PullRepoFailed = 32, "pull_repo_failed";
    RepoVerb = 33, "repo_verb";
    CreateTag = 34, "create_tag";
    MoveTag = 35, "move_tag";
    RevertTag = 36, "revert_tag";
    DeleteTag = 37, "delete_tag";
    DeleteTagFailed = 38, "delete_tag_failed";
    PermanentlyDeleteTag = 39, "permanently_delete_tag";
    ChangeTagExpiration = 40, "change_tag_expiration";
    ChangeTagImmutability = 41, "change_tag_immutability";
    AutopruneTagDelete = 42, "autoprune_tag_delete";
    ManifestLabelAdd = 43, "manifest_label_add";
    ManifestLabelDelete = 44, "manifest_label_delete";
    ChangeRepoPermission = 45, "change_repo_permission";
    DeleteRepoPermission = 46, "delete_repo_permission";
    AddRepoPermission = 47, "add_repo_permission";
    ChangeRepoVisibility = 48, "change_repo_visibility";
    ChangeRepoTrust = 49, "change_repo_trust";
    ChangeRepoState = 50, "change_repo_state";
    SetRepoDescription = 51, "set_repo_description";
    AddRepoAccesstoken = 52, "add_repo_accesstoken";
    DeleteRepoAccesstoken = 53, "delete_repo_accesstoken";
    AddRepoWebhook = 54, "add_repo_webhook";
    DeleteRepoWebhook = 55, "delete_repo_webhook";
    BuildDockerfile = 56, "build_dockerfile";
    CancelBuild = 57, "cancel_build";
    SetupRepoTrigger = 58, "setup_repo_trigger";
    DeleteRepoTrigger = 59, "delete_repo_trigger";
    ToggleRepoTrigger = 60, "toggle_repo_trigger";
    StartBuildTrigger = 61, "start_build_trigger";
    OrgCreate = 62, "org_create";
    OrgDelete = 63, "org_delete";
    OrgChangeEmail = 64, "org_change_email";
    OrgChangeInvoicing = 65, "org_change_invoicing";
    OrgChangeTagExpiration = 66, "org_change_tag_expiration";
    OrgChangeName = 67, "org_change_name";
    OrgCreateTeam = 68, "org_create_team";
    OrgDeleteTeam = 69, "org_delete_team";
    OrgSetTeamDescription = 70, "org_set_team_description";
    OrgSetTeamRole = 71, "org_set_team_role";
    OrgAddTeamMember = 72, "org_add_team_member";
    OrgRemoveTeamMember = 73, "org_remove_team_member";
    OrgInviteTeamMember = 74, "org_invite_team_member";
    OrgDeleteTeamMemberInvite = 75, "org_delete_team_member_invite";
    OrgTeamMemberInviteAccepted = 76, "org_team_member_invite_accepted";
    OrgTeamMemberInviteDeclined = 77, "org_team_member_invite_declined";
    EnableTeamSync = 78, "enable_team_sync";
    DisableTeamSync = 79, "disable_team_sync";
    CreatePrototypePermission = 80, "create_prototype_permission";
    ModifyPrototypePermission = 81, "modify_prototype_permission";
    DeletePrototypePermission = 82, "delete_prototype_permission";
    CreateApplication = 83, "create_application";
    UpdateApplication = 84, "update_application";
    DeleteApplication = 85, "delete_application";
    ResetApplicationClientSecret = 86, "reset_application_client_secret";
    OauthTokenAssigned = 87, "oauth_token_assigned";
    OauthTokenRevoked = 88, "oauth_token_revoked";
    CreateOauthApiToken = 89, "create_oauth_api_token";
    RevokeOauthApiToken = 90, "revoke_oauth_api_token";
    OrgCreateQuota = 91, "org_create_quota";
    OrgChangeQuota = 92, "org_change_quota";
    OrgDeleteQuota = 93, "org_delete_quota";
    OrgCreateQuotaLimit = 94, "org_create_quota_limit";
    OrgChangeQuotaLimit = 95, "org_change_quota_limit";
    OrgDeleteQuotaLimit = 96, "org_delete_quota_limit";
    CreateProxyCacheConfig = 97, "create_proxy_cache_config";
    DeleteProxyCacheConfig = 98, "delete_proxy_cache_config";
    CreateNamespaceAutoprunePolicy = 99, "create_namespace_autoprune_policy";
    UpdateNamespaceAutoprunePolicy = 100, "update_namespace_autoprune_policy";
    DeleteNamespaceAutoprunePolicy = 101, "delete_namespace_autoprune_policy";
    CreateRepositoryAutoprunePolicy = 102, "create_repository_autoprune_policy";
    UpdateRepositoryAutoprunePolicy = 103, "update_repository_autoprune_policy";
    DeleteRepositoryAutoprunePolicy = 104, "delete_repository_autoprune_policy";
    CreateImmutabilityPolicy = 105, "create_immutability_policy";
    UpdateImmutabilityPolicy = 106, "update_immutability_policy";
    DeleteImmutabilityPolicy = 107, "delete_immutability_policy";
    TagMadeImmutableByPolicy = 108, "tag_made_immutable_by_policy";
    TagsMadeImmutableByPolicy = 109, "tags_made_immutable_by_policy";
    RepoMirrorConfigChanged = 110, "repo_mirror_config_changed";
    RepoMirrorSyncStarted = 111, "repo_mirror_sync_started";
    RepoMirrorSyncSuccess = 112, "repo_mirror_sync_success";
    RepoMirrorSyncFailed = 113, "repo_mirror_sync_failed";
    RepoMirrorSyncTagSuccess = 114, "repo_mirror_sync_tag_success";
    RepoMirrorSyncTagFailed = 115, "repo_mirror_sync_tag_failed";
    RepoMirrorEnabled = 116, "repo_mirror_enabled";
    RepoMirrorDisabled = 117, "repo_mirror_disabled";
    RepoMirrorSyncNowRequested = 118, "repo_mirror_sync_now_requested";
    RepoMirrorSyncTestSuccess = 119, "repo_mirror_sync_test_success";
    RepoMirrorSyncTestFailed = 120, "repo_mirror_sync_test_failed";
    RepoMirrorSyncTestStarted = 121, "repo_mirror_sync_test_started";
    OrgMirrorEnabled = 122, "org_mirror_enabled";
    OrgMirrorDisabled = 123, "org_mirror_disabled";
    OrgMirrorConfigChanged = 124, "org_mirror_config_changed";
    OrgMirrorSyncNowRequested = 125, "org_mirror_sync_now_requested";
    OrgMirrorSyncCancelled = 126, "org_mirror_sync_cancelled";
    OrgMirrorSyncStarted = 127, "org_mirror_sync_started";
    OrgMirrorSyncSuccess = 128, "org_mirror_sync_success";
    OrgMirrorSyncFailed = 129, "org_mirror_sync_failed";
    OrgMirrorRepoCreated = 130, "org_mirror_repo_created";
    AddRepoNotification = 131, "add_repo_notification";
    DeleteRepoNotification = 132, "delete_repo_notification";
    ResetRepoNotification = 133, "reset_repo_notification";
    CreateNamespaceNotification = 134, "create_namespace_notification";
    DeleteNamespaceNotification = 135, "delete_namespace_notification";
    ResetNamespaceNotification = 136, "reset_namespace_notification";
    ExportLogsSuccess = 137, "export_logs_success";
    ExportLogsFailure = 138, "export_logs_failure";
    ServiceKeyCreate = 139, "service_key_create";
    ServiceKeyApprove = 140, "service_key_approve";
    ServiceKeyModify = 141, "service_key_modify";
    ServiceKeyExtend = 142, "service_key_extend";
    ServiceKeyDelete = 143, "service_key_delete";
    ServiceKeyRotate = 144, "service_key_rotate";
    TakeOwnership = 145, "take_ownership";
}

impl LogKind {
    /// Its number in the store.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl From<LogKind> for u16 {
    fn from(kind: LogKind) -> Self {
        kind.number()
    }
}

impl TryFrom<u16> for LogKind {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        Self::of_number(number)
            .ok_or_else(|| format!("no kind of log entry has the number {number}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_told_once() {
        let names: HashSet<_> = LogKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!((names.len(), LogKind::ALL.len()), (145, 145));
        for kind in LogKind::ALL {
            assert_eq!(LogKind::of_number(kind.number()), Some(*kind));
        }
        assert_eq!(LogKind::of_number(0), None);
    }
}
