//! Quotas of organisations and users, as superusers set them. These doors write no line of the usage log
//! (Quay).

use ::http::StatusCode;

use super::organizations;
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::quota::{
    NewQuotaBody, QuotaBody, QuotaList, SWITCH, created, failed, list, number, show,
};
use crate::api::v1::rows::{Answer, Row, Rows};
use crate::api::v1::view::QuotaView;
use crate::auth::Need;
use crate::http::response;
use crate::model::NamespaceId;
use crate::registry::QuotaEditor;

const GROUP: &str = "superuser";
const NEED: Need = Need::Superuser;

pub(super) fn routes(rows: &mut Rows) {
    const ORGANIZATION: &str = "/api/v1/superuser/organization/{namespace}/quota";
    const ORGANIZATION_ONE: &str = "/api/v1/superuser/organization/{namespace}/quota/{quota_id}";
    const USER: &str = "/api/v1/superuser/users/{namespace}/quota";
    const USER_ONE: &str = "/api/v1/superuser/users/{namespace}/quota/{quota_id}";
    told_list(rows.get(
        ORGANIZATION,
        "listOrganizationQuotaSuperUser",
        GROUP,
        NEED,
        |context| list_of(context, Whose::Organization),
    ));
    told_create(rows.post(
        ORGANIZATION,
        "createOrganizationQuotaSuperUser",
        GROUP,
        NEED,
        |context| create(context, Whose::Organization),
    ));
    told_change(rows.put(
        ORGANIZATION_ONE,
        "changeOrganizationQuotaSuperUser",
        GROUP,
        NEED,
        |context| change(context, Whose::Organization),
    ));
    told_delete(rows.delete(
        ORGANIZATION_ONE,
        "deleteOrganizationQuotaSuperUser",
        GROUP,
        NEED,
        |context| delete(context, Whose::Organization),
    ));
    told_list(
        rows.get(USER, "listUserQuotaSuperUser", GROUP, NEED, |context| {
            list_of(context, Whose::User)
        }),
    );
    told_create(
        rows.post(USER, "createUserQuotaSuperUser", GROUP, NEED, |context| {
            create(context, Whose::User)
        }),
    );
    told_change(rows.put(
        USER_ONE,
        "changeUserQuotaSuperUser",
        GROUP,
        NEED,
        |context| change(context, Whose::User),
    ));
    told_delete(rows.delete(
        USER_ONE,
        "deleteUserQuotaSuperUser",
        GROUP,
        NEED,
        |context| delete(context, Whose::User),
    ));
}

fn told_list(row: &mut Row) {
    row.summary("Lists the quota of a namespace: none or one")
        .switch(SWITCH)
        .fresh()
        .answer::<QuotaList>(200, "The quota, or the default of all")
        .status(404, "There is no such namespace");
}

fn told_create(row: &mut Row) {
    row.summary("Gives a namespace a quota")
        .switch(SWITCH)
        .fresh()
        .body::<NewQuotaBody>()
        .answer::<String>(201, "Created")
        .status(400, "It has one, or the size is none")
        .status(404, "There is no such namespace");
}

fn told_change(row: &mut Row) {
    row.summary("Changes how much a namespace may hold")
        .switch(SWITCH)
        .fresh()
        .body::<QuotaBody>()
        .answer::<QuotaView>(200, "The quota as it is now")
        .status(400, "The size is none, or there is a further key")
        .status(404, "There is no such quota");
}

fn told_delete(row: &mut Row) {
    row.summary("Removes the quota of a namespace with its limits")
        .switch(SWITCH)
        .status(204, "It is gone")
        .status(400, "The configuration file says what this cache may hold")
        .status(404, "There is no such quota");
}

/// Whose namespace a path names.
#[derive(Clone, Copy, Debug)]
enum Whose {
    Organization,
    User,
}

async fn list_of(context: Context, whose: Whose) -> Answer {
    let (namespace, _) = named(&context, whose).await?;
    list(&context, namespace)
}

async fn create(context: Context, whose: Whose) -> Answer {
    let (namespace, name) = named(&context, whose).await?;
    let bytes = context.body::<NewQuotaBody>()?.bytes()?;
    let registry = &context.state.registry;
    let made = registry.make_quota(namespace, bytes, &QuotaEditor::Silent);
    made.await
        .map_err(|error| failed(error, "Quota", &name, bytes))?;
    created()
}

async fn change(context: Context, whose: Whose) -> Answer {
    let (namespace, name) = named(&context, whose).await?;
    let id = number(&context, "quota_id")?;
    let bytes = context.body::<QuotaBody>()?.bytes()?;
    let registry = &context.state.registry;
    if let Some(bytes) = bytes {
        let changed = registry.change_quota(namespace, id, bytes, &QuotaEditor::Silent);
        changed
            .await
            .map_err(|error| failed(error, "Quota", &name, bytes))?;
    }
    show(&context, namespace, StatusCode::OK)
}

async fn delete(context: Context, whose: Whose) -> Answer {
    let (namespace, _) = named(&context, whose).await?;
    let id = number(&context, "quota_id")?;
    let registry = &context.state.registry;
    registry
        .remove_quota(namespace, id, &QuotaEditor::Silent)
        .await?;
    Ok(response::no_content())
}

/// The namespace that the path names, if it is of that kind.
async fn named(context: &Context, whose: Whose) -> Result<(NamespaceId, String), ApiError> {
    match whose {
        Whose::Organization => {
            let (id, record) = organizations::named(context, "namespace").await?;
            Ok((id, record.name.to_string()))
        }
        Whose::User => {
            let name = context.parameter("namespace");
            let found = match name.contains('@') {
                true => None,
                false => context.state.accounts.user_by_name(name).await?,
            };
            let (_, user) = found.ok_or_else(ApiError::not_found)?;
            Ok((user.namespace, user.name.to_string()))
        }
    }
}
