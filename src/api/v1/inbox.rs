//! What the current user is told: listed, looked at, dismissed (`quay-api` section 10.2,
//! `quay-log-kinds` section 5).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::context::Context;
use super::json;
use super::rows::{Answer, ParameterKind, Rows};
use super::view::rfc2822;
use crate::auth::{Need, Scope};
use crate::notify::Notice;

const NEED: Need = Need::User(Scope::UserAdmin);

/// Most notices of one page.
const LIMIT: u64 = 100;

/// Nobody has more pages: an inbox is bounded.
const PAGES: u64 = 10_000;

/// The rows of this resource.
pub(super) fn routes(rows: &mut Rows) {
    rows.get(
        "/api/v1/user/notifications",
        "listUserNotifications",
        "user",
        NEED,
        list,
    )
    .summary("Lists what the user is told and has not dismissed, the newest first.")
    .internal()
    .query("page", ParameterKind::Number, "The page, from 0")
    .query(
        "limit",
        ParameterKind::Number,
        "Notices of a page, 5 if it is left out",
    )
    .answer::<NoticesView>(200, "A page of notices");
    rows.get(
        "/api/v1/user/notifications/{uuid}",
        "getUserNotification",
        "user",
        NEED,
        show,
    )
    .summary("Tells one notice, dismissed or not.")
    .internal()
    .answer::<NoticeView>(200, "The notice");
    rows.put(
        "/api/v1/user/notifications/{uuid}",
        "updateUserNotification",
        "user",
        NEED,
        change,
    )
    .summary("Dismisses a notice, or takes that back.")
    .internal()
    .body::<ChangeNoticeBody>()
    .answer::<NoticeView>(200, "The notice as it is now");
}

#[derive(Serialize, ToSchema)]
struct NoticesView {
    notifications: Vec<NoticeView>,
    /// Whether there are more.
    additional: bool,
}

#[derive(Serialize, ToSchema)]
struct NoticeView {
    id: String,
    organization: Option<String>,
    kind: &'static str,
    created: String,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    dismissed: bool,
}

impl From<Notice> for NoticeView {
    fn from(notice: Notice) -> Self {
        let record = notice.record;
        Self {
            organization: notice.organization.map(|name| name.to_string()),
            kind: record.kind.as_str(),
            created: rfc2822(record.at),
            metadata: record.metadata(),
            dismissed: record.dismissed,
            id: record.uuid,
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct ChangeNoticeBody {
    #[serde(default)]
    dismissed: bool,
}

async fn list(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let page = context.number("page", 0, 0..=PAGES)?;
    let limit = context.number("limit", 5, 1..=LIMIT)?;
    let inbox = &context.state.inbox;
    let found = inbox.list(user, page as usize, limit as usize).await?;
    let notices = found.notices.into_iter().map(NoticeView::from);
    let view = NoticesView {
        notifications: notices.collect(),
        additional: found.has_more,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn show(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let uuid = context.parameter("uuid");
    let notice = context.state.inbox.notice(user, uuid).await?;
    Ok(json::spaced(StatusCode::OK, &NoticeView::from(notice)))
}

async fn change(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let body: ChangeNoticeBody = context.body()?;
    let (inbox, uuid) = (&context.state.inbox, context.parameter("uuid"));
    let notice = inbox.dismiss(user, uuid, body.dismissed).await?;
    Ok(json::spaced(StatusCode::OK, &NoticeView::from(notice)))
}
