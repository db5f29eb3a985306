//! The quota of whoever asks.

use ::http::StatusCode;

use super::{GROUP, LimitList, QuotaList, SWITCH, limit_of, limits, list, own, show};
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::rows::{Answer, Rows};
use crate::api::v1::view::QuotaView;
use crate::auth::{Need, Scope};
use crate::model::NamespaceId;

const ALL: &str = "/api/v1/user/quota";
const ONE: &str = "/api/v1/user/quota/{quota_id}";
const LIMITS: &str = "/api/v1/user/quota/{quota_id}/limit";
const LIMIT: &str = "/api/v1/user/quota/{quota_id}/limit/{limit_id}";

const NEED: Need = Need::User(Scope::UserAdmin);

pub(super) fn routes(rows: &mut Rows) {
    rows.get(ALL, "listUserQuota", GROUP, NEED, list_quotas)
        .summary("Lists the quota of the user: none or one")
        .switch(SWITCH)
        .answer::<QuotaList>(200, "The quota, or the default of all");
    rows.get(ONE, "getUserQuota", GROUP, NEED, show_quota)
        .summary("Shows the quota of the user")
        .switch(SWITCH)
        .answer::<QuotaView>(200, "The quota")
        .status(404, "There is no such quota");
    rows.get(LIMITS, "listUserQuotaLimit", GROUP, NEED, list_limits)
        .summary("Lists the limits of the user's quota")
        .switch(SWITCH)
        .answer::<LimitList>(200, "The limits, the lowest first")
        .status(404, "There is no such quota");
    rows.get(LIMIT, "getUserQuotaLimit", GROUP, NEED, show_limit)
        .summary("Shows the whole quota that a limit belongs to")
        .switch(SWITCH)
        .answer::<QuotaView>(200, "The quota")
        .status(404, "There is no such limit");
}

async fn list_quotas(context: Context) -> Answer {
    list(&context, namespace(&context).await?)
}

async fn show_quota(context: Context) -> Answer {
    let namespace = namespace(&context).await?;
    own(&context, namespace)?;
    show(&context, namespace, StatusCode::OK)
}

async fn list_limits(context: Context) -> Answer {
    limits(&own(&context, namespace(&context).await?)?)
}

async fn show_limit(context: Context) -> Answer {
    let namespace = namespace(&context).await?;
    let quota = own(&context, namespace)?;
    limit_of(&context, &quota)?;
    show(&context, namespace, StatusCode::OK)
}

async fn namespace(context: &Context) -> Result<NamespaceId, ApiError> {
    let (_, name) = context.user()?;
    let found = context.state.registry.namespace(name).await?;
    let (namespace, _) = found.ok_or_else(ApiError::not_found)?;
    Ok(namespace)
}
