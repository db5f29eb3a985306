//! Messages to everyone: read by anybody, written by superusers (`quay-api` section 32).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, Rows};
use crate::auth::Need;
use crate::http::response;
use crate::model::{MessageFormat, MessageRecord, Severity};

const GROUP: &str = "globalmessages";

/// The rows of this resource.
pub(super) fn routes(rows: &mut Rows) {
    rows.get(
        "/api/v1/messages",
        "getGlobalMessages",
        GROUP,
        Need::Anyone,
        list,
    )
    .summary("Lists the messages to everyone.")
    .switch(|features| features.super_users)
    .answer::<MessagesView>(200, "The messages, in the order in which they were made");
    rows.post(
        "/api/v1/messages",
        "createGlobalMessage",
        GROUP,
        Need::Superuser,
        create,
    )
    .summary("Makes a message to everyone.")
    .fresh()
    .switch(|features| features.super_users)
    .body::<CreateMessageBody>()
    .status(201, "Everyone is told; the body is empty");
    rows.post(
        "/api/v1/message",
        "createGlobalMessageAtOtherPath",
        GROUP,
        Need::Superuser,
        create,
    )
    .summary("Makes a message to everyone, at the path that the product documents print once.")
    .internal()
    .fresh()
    .switch(|features| features.super_users)
    .body::<CreateMessageBody>()
    .status(201, "Everyone is told; the body is empty");
    rows.delete(
        "/api/v1/message/{uuid}",
        "deleteGlobalMessage",
        GROUP,
        Need::Superuser,
        delete,
    )
    .summary("Takes a message back.")
    .fresh()
    .switch(|features| features.super_users)
    .status(204, "There is no such message, or no more");
}

#[derive(Serialize, ToSchema)]
struct MessagesView {
    messages: Vec<MessageView>,
}

#[derive(Serialize, ToSchema)]
struct MessageView {
    uuid: String,
    content: String,
    /// `info`, `warning` or `error`.
    severity: &'static str,
    /// `text/plain` or `text/markdown`.
    media_type: &'static str,
}

impl From<MessageRecord> for MessageView {
    fn from(record: MessageRecord) -> Self {
        Self {
            uuid: record.uuid,
            content: record.content,
            severity: record.severity.as_str(),
            media_type: record.format.as_str(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct CreateMessageBody {
    message: MessageBody,
}

#[derive(Deserialize, ToSchema)]
struct MessageBody {
    content: String,
    /// `text/plain` or `text/markdown`.
    media_type: String,
    /// `info`, `warning` or `error`.
    severity: String,
}

async fn list(context: Context) -> Answer {
    let messages = context.state.messages.list().await?;
    let messages = messages.into_iter().map(MessageView::from).collect();
    Ok(json::spaced(StatusCode::OK, &MessagesView { messages }))
}

async fn create(context: Context) -> Answer {
    let CreateMessageBody { message } = context.body()?;
    let severity = Severity::named(&message.severity)
        .ok_or_else(|| no_choice(&message.severity, "'info', 'warning', 'error'"))?;
    let format = MessageFormat::named(&message.media_type)
        .ok_or_else(|| no_choice(&message.media_type, "'text/plain', 'text/markdown'"))?;
    let messages = &context.state.messages;
    messages.create(message.content, severity, format).await?;
    Ok(response::empty(StatusCode::CREATED))
}

/// The words of a JSON schema's validator.
fn no_choice(value: &str, choices: &str) -> ApiError {
    ApiError::invalid(format!("'{value}' is not one of [{choices}]"))
}

async fn delete(context: Context) -> Answer {
    let uuid = context.parameter("uuid");
    context.state.messages.delete(uuid).await?;
    Ok(response::no_content())
}
