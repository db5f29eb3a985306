//! A user as the API shows one: little to everybody, all to the user.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::view::{Avatar, AvatarSubject, QuotaPart};
use crate::accounts::Membership;
use crate::auth::Identity;
use crate::model::{NamespaceRecord, TeamRole, UserId, UserRecord};

#[derive(Serialize, ToSchema)]
pub(super) struct UserView {
    anonymous: bool,
    username: String,
    avatar: Avatar,
    #[serde(flatten)]
    own: Option<OwnView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    organizations: Option<Vec<OrganizationOfUser>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    super_user: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_readonly_super_user: Option<bool>,
}

/// What only the user sees.
#[derive(Serialize, ToSchema)]
struct OwnView {
    can_create_repo: bool,
    is_me: bool,
    verified: bool,
    email: Option<String>,
    /// Logins of login services; there are none.
    #[schema(value_type = Vec<Object>)]
    logins: Vec<Value>,
    invoice_email: bool,
    invoice_email_address: Option<String>,
    preferred_namespace: bool,
    tag_expiration_s: u64,
    prompts: Vec<&'static str>,
    company: Option<String>,
    family_name: Option<String>,
    given_name: Option<String>,
    location: Option<String>,
    is_free_account: bool,
    has_password_set: bool,
    #[serde(flatten)]
    quota: Option<QuotaPart>,
}

#[derive(Serialize, ToSchema)]
struct OrganizationOfUser {
    name: String,
    avatar: Avatar,
    can_create_repo: bool,
    public: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_org_admin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_namespace: Option<bool>,
}

/// The view of a user for who asks.
///
/// # Errors
/// The store's.
pub(super) async fn view(
    context: &Context,
    identity: &Identity,
    id: UserId,
    record: UserRecord,
) -> Result<UserView, ApiError> {
    let (admins, reads) = (identity.may_admin_user(id), identity.may_read_user(id));
    let accounts = &context.state.accounts;
    let namespace = accounts.namespace_record(record.namespace).await?;
    let namespace = namespace.ok_or_else(ApiError::not_found)?;
    let organizations = match reads {
        true => Some(organizations(context, id, admins).await?),
        false => None,
    };
    let is_me = identity.user().is_some_and(|(me, _)| me == id);
    let seed = record.email.as_deref().unwrap_or(record.name.as_str());
    let name = record.name.as_str();
    Ok(UserView {
        anonymous: false,
        username: name.to_owned(),
        avatar: Avatar::new(context.state.web.avatars, AvatarSubject::User, name, seed),
        own: admins.then(|| own(context, &record, &namespace)),
        organizations,
        super_user: identity.is_superuser().then_some(is_me),
        global_readonly_super_user: identity.is_global_readonly().then_some(is_me),
    })
}

fn own(context: &Context, record: &UserRecord, namespace: &NamespaceRecord) -> OwnView {
    let profile = &record.profile;
    OwnView {
        can_create_repo: true,
        is_me: true,
        verified: record.verified,
        email: record.email.clone(),
        logins: Vec::new(),
        invoice_email: namespace.invoice_email,
        invoice_email_address: namespace.invoice_email_address.clone(),
        preferred_namespace: false,
        tag_expiration_s: namespace
            .tag_expiration_s
            .unwrap_or_else(|| context.state.registry.rules().time_machine.as_secs()),
        prompts: record
            .prompts
            .iter()
            .map(|prompt| prompt.as_str())
            .collect(),
        company: profile.company.clone(),
        family_name: profile.family_name.clone(),
        given_name: profile.given_name.clone(),
        location: profile.location.clone(),
        is_free_account: true,
        has_password_set: record.password.is_some(),
        quota: QuotaPart::of(&context.state, record.namespace),
    }
}

async fn organizations(
    context: &Context,
    user: UserId,
    admins: bool,
) -> Result<Vec<OrganizationOfUser>, ApiError> {
    let found = context.state.accounts.organizations_of(user).await?;
    let kind = context.state.web.avatars;
    let shown = found.into_iter().map(|membership| {
        let Membership { record, role, .. } = membership;
        let (name, is_admin) = (record.name.as_str(), role == TeamRole::Admin);
        let subject = AvatarSubject::Organization;
        OrganizationOfUser {
            avatar: Avatar::new(kind, subject, name, record.avatar_seed()),
            name: name.to_owned(),
            can_create_repo: role >= TeamRole::Creator,
            public: false,
            is_org_admin: admins.then_some(is_admin),
            preferred_namespace: admins.then_some(false),
        }
    });
    Ok(shown.collect())
}
