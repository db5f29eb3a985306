//! Tags: the history, and what is done to one (`quay-api` section 20).

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::context::Context;
use super::error::{ApiError, ErrorKind};
use super::json;
use super::rows::ParameterKind::{Flag, Number, Text};
use super::rows::{Answer, Rows};
use super::view::rfc2822;
use crate::auth::Need;
use crate::http::response;
use crate::model::{RepositoryState, Role, TagList, Timestamp};
use crate::oci::{Digest, Tag};
use crate::registry::{self, TagFilter, TagLine, TagQuery};

/// Quay's words for a name that is none.
const NO_TAG: &str = "Invalid tag: must match [A-Za-z0-9_.-], NOT start with \".\" or \"-\", and can contain \
                      1-128 characters";

#[derive(Serialize, ToSchema)]
struct TagListView {
    tags: Vec<TagView>,
    page: u64,
    has_additional: bool,
}

#[derive(Serialize, ToSchema)]
struct TagView {
    name: String,
    reversion: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    start_ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ts: Option<i64>,
    manifest_digest: String,
    is_manifest_list: bool,
    size: Option<u64>,
    last_modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(flatten)]
    children: Option<ChildrenView>,
}

/// Which manifests of a list are here.
#[derive(Serialize, ToSchema)]
struct ChildrenView {
    is_sparse: bool,
    child_manifest_count: usize,
    present_child_count: usize,
    child_manifests_presence: BTreeMap<String, bool>,
}

#[derive(Default, Deserialize, ToSchema)]
struct ChangeTagBody {
    #[serde(default)]
    manifest_digest: Option<String>,
    /// Absent: it stays; null: it never ends.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    expiration: Option<Value>,
    #[serde(default)]
    immutable: Option<bool>,
}

#[derive(Default, Deserialize, ToSchema)]
struct RestoreTagBody {
    #[serde(default)]
    manifest_digest: Option<String>,
}

#[derive(Default, Deserialize, ToSchema)]
struct ExpireTagBody {
    #[serde(default)]
    manifest_digest: Option<String>,
    #[serde(default)]
    is_alive: bool,
}

pub(super) fn routes(rows: &mut Rows) {
    const GROUP: &str = "tag";
    const ONE: &str = "/api/v1/repository/{repository+}/tag/{tag}";
    const WRITE: Need = Need::Repository(Role::Write);
    const READ: Need = Need::Repository(Role::Read);
    rows.get(
        "/api/v1/repository/{repository+}/tag/",
        "listRepoTags",
        GROUP,
        READ,
        list,
    )
    .summary("Lists what tags point to and pointed to, the newest first")
    .query("specificTag", Text, "of this tag only")
    .query("filter_tag_name", Text, "like:text or eq:text")
    .query("limit", Number, "lines of a page, 1 to 100")
    .query("page", Number, "the page, from 1 on")
    .query("onlyActiveTags", Flag, "only what tags point to now")
    .answer::<TagListView>(200, "A page of the history")
    .status(400, "The filter has no known form");
    rows.put(ONE, "changeTag", GROUP, WRITE, change)
        .summary("Makes or moves a tag, says when it ends, protects it")
        .body::<ChangeTagBody>()
        .answer::<String>(201, "It is so")
        .status(400, "The name is none, or the time has passed")
        .status(409, "The tag is immutable")
        .status(503, "Nothing is written to this repository");
    rows.delete(ONE, "deleteFullTag", GROUP, WRITE, delete)
        .summary("Deletes a tag; it can be restored for a while")
        .status(204, "It is gone")
        .status(409, "The tag is immutable")
        .status(503, "Nothing is written to this repository");
    rows.post(
        "/api/v1/repository/{repository+}/tag/{tag}/restore",
        "restoreTag",
        GROUP,
        WRITE,
        restore,
    )
    .summary("Points a tag at what it pointed to before")
    .body::<RestoreTagBody>()
    .status(200, "It points there")
    .status(400, "It cannot be restored")
    .status(409, "The tag is immutable")
    .status(503, "Nothing is written to this repository");
    rows.post(
        "/api/v1/repository/{repository+}/tag/{tag}/expire",
        "removeTagFromTimemachine",
        GROUP,
        WRITE,
        expire,
    )
    .summary("Deletes a tag, or what it pointed to, for good")
    .body::<ExpireTagBody>()
    .answer::<String>(200, "It cannot be restored")
    .status(400, "It is not said what is to go")
    .status(409, "The tag is immutable");
    rows.get(
        "/api/v1/repository/{repository+}/tag/{tag}/pull_statistics",
        "getTagPullStatistics",
        GROUP,
        READ,
        statistics,
    )
    .summary("Tells how often a tag was pulled")
    .switch(|features| features.image_pull_stats)
    .status(200, "How often")
    .status(501, "Pulls are not counted by tag");
}

async fn list(context: Context) -> Answer {
    let limit = context.number("limit", 50, 0..=u64::MAX)?.clamp(1, 100);
    let page = context.number("page", 1, 0..=u64::MAX)?.max(1);
    let filter = filter(&context)?;
    let list = match context.flag("onlyActiveTags", false) {
        true => TagList::Live,
        false => TagList::All,
    };
    let nothing = (Vec::new(), false);
    let (lines, has_additional) = match filter {
        None => nothing,
        Some(filter) => {
            let query = TagQuery {
                list,
                filter,
                skip: (page - 1).saturating_mul(limit),
                limit: usize::try_from(limit).unwrap_or(100),
            };
            let repository = context.repository().repository;
            context.state.registry.tag_lines(repository, query).await?
        }
    };
    let immutable = context.state.features.immutable_tags;
    let view = TagListView {
        tags: lines
            .into_iter()
            .map(|line| tag_view(line, immutable))
            .collect(),
        page,
        has_additional,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

/// Which tags are asked for; `None` for a name that no tag can have.
fn filter(context: &Context) -> Result<Option<TagFilter>, ApiError> {
    let exactly = |text: &str| text.parse().ok().map(TagFilter::Exactly);
    if let Some(tag) = context.text("specificTag") {
        return Ok(exactly(&tag));
    }
    let Some(text) = context.text("filter_tag_name") else {
        return Ok(Some(TagFilter::All));
    };
    match text.split_once(':') {
        Some(("eq", text)) => Ok(exactly(text)),
        Some(("like", text)) => Ok(Some(TagFilter::Holding(text.to_owned()))),
        _ => Err(ApiError::refused(
            "Unsupported syntax for filter_tag_name: it is like:text or eq:text",
        )),
    }
}

fn tag_view(line: TagLine, shows_immutable: bool) -> TagView {
    TagView {
        name: line.tag.to_string(),
        reversion: line.restored,
        immutable: shows_immutable.then_some(line.immutable),
        start_ts: line.start.as_secs(),
        end_ts: line.end.map(Timestamp::as_secs),
        manifest_digest: line.digest.to_string(),
        is_manifest_list: line.children.is_some(),
        size: line.layers_bytes,
        last_modified: rfc2822(line.start),
        expiration: line.end.map(rfc2822),
        children: line.children.as_deref().map(children_view),
    }
}

fn children_view(children: &[(Digest, bool)]) -> ChildrenView {
    let present = children.iter().filter(|(_, is_here)| *is_here).count();
    ChildrenView {
        is_sparse: present < children.len(),
        child_manifest_count: children.len(),
        present_child_count: present,
        child_manifests_presence: children
            .iter()
            .map(|(digest, is_here)| (digest.to_string(), *is_here))
            .collect(),
    }
}

async fn change(context: Context) -> Answer {
    let tag: Tag = context
        .parameter("tag")
        .parse()
        .map_err(|_| ApiError::refused(NO_TAG))?;
    let body: ChangeTagBody = context.body()?;
    refuse_unwritable(&context)?;
    let subject = context.repository();
    let (registry, repository) = (&context.state.registry, subject.repository);
    let (by, told) = (context.performer(), |error| tag_error(error, "overwrite"));
    if body.immutable == Some(false) && !subject.permits.may_admin() {
        return Err(context.refusal());
    }
    if let Some(expiration) = &body.expiration {
        let expires = expiration_of(expiration)?;
        let set = registry.expire_tag(repository, &tag, expires, &by).await;
        set.map_err(|error| match error {
            registry::Error::ExpiryPast => ApiError::refused("The expiration date has passed"),
            other => tag_error(other, "change the expiration of"),
        })?;
    }
    if let Some(text) = &body.manifest_digest {
        let digest: Digest = text.parse().map_err(|_| ApiError::not_found())?;
        let moved = registry.retag(repository, &tag, &digest, &by).await;
        moved.map_err(told)?;
    }
    if let Some(immutable) = body.immutable {
        if !context.state.features.immutable_tags {
            return Err(ApiError::invalid("Tags cannot be made immutable here"));
        }
        let set = registry.protect_tag(repository, &tag, immutable, &by).await;
        set.map_err(told)?;
    }
    Ok(json::spaced(StatusCode::CREATED, &"Updated"))
}

/// Keeps a null that was sent apart from nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Seconds since 1970, as a number or as text.
fn expiration_of(value: &Value) -> Result<Option<Timestamp>, ApiError> {
    let seconds = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| (0.0..1e11).contains(seconds));
    let seconds = seconds.ok_or_else(|| ApiError::refused("The expiration is no time"))?;
    let since = Duration::from_millis((seconds * 1000.0) as u64);
    Ok(Some(Timestamp::from_millis(0) + since))
}

async fn delete(context: Context) -> Answer {
    let tag: Tag = context.parsed("tag")?;
    refuse_unwritable(&context)?;
    let (registry, by) = (&context.state.registry, context.performer());
    let removed = registry.remove_tag(context.repository().repository, &tag, &by);
    removed.await.map_err(|error| tag_error(error, "delete"))?;
    Ok(response::no_content())
}

async fn restore(context: Context) -> Answer {
    let tag: Tag = context.parsed("tag")?;
    let body: RestoreTagBody = context.optional_body()?;
    refuse_unwritable(&context)?;
    let (registry, repository) = (&context.state.registry, context.repository().repository);
    let text = body.manifest_digest.unwrap_or_default();
    if text.is_empty() {
        return Err(ApiError::invalid("Missing manifest_digest"));
    }
    let digest: Digest = text.parse().map_err(|_| ApiError::not_found())?;
    if !registry.is_kept(repository, &digest).await? {
        return Err(ApiError::not_found());
    }
    let by = context.performer();
    let reverted = registry.revert_tag(repository, &tag, &digest, &by).await;
    reverted.map_err(|error| match error {
        registry::Error::ManifestUnknown => ApiError::invalid("Could not restore tag"),
        other => tag_error(other, "overwrite"),
    })?;
    Ok(json::spaced(StatusCode::OK, &json!({})))
}

async fn expire(context: Context) -> Answer {
    let registry = &context.state.registry;
    if !registry.rules().permanently_delete {
        return Err(ApiError::not_found());
    }
    let tag: Tag = context.parsed("tag")?;
    let body: ExpireTagBody = context.optional_body()?;
    refuse_unwritable(&context)?;
    let digest = body
        .manifest_digest
        .as_deref()
        .filter(|text| !text.is_empty());
    let digest: Option<Digest> = match digest.map(str::parse).transpose() {
        Ok(digest) => digest,
        Err(_) => return Err(ApiError::not_found()),
    };
    let (repository, by) = (context.repository().repository, context.performer());
    let outcome = match (body.is_alive, digest) {
        (true, digest) => registry.forget_tag(repository, &tag, digest, &by).await,
        (false, Some(digest)) => {
            registry
                .forget_lifetimes(repository, &tag, &digest, &by)
                .await
        }
        (false, None) => {
            let text = "manifest_digest required when is_alive set to false";
            return Err(ApiError::invalid(text));
        }
    };
    outcome.map_err(|error| tag_error(error, "permanently delete"))?;
    Ok(json::spaced(StatusCode::OK, &""))
}

/// Pulls are counted by repository only; with the feature off, as it is, the door is not there.
async fn statistics(context: Context) -> Answer {
    let text = format!(
        "Pulls of {} are not counted by tag",
        context.repository().record.name
    );
    Err(ApiError::message(StatusCode::NOT_IMPLEMENTED, text))
}

/// What a service says of a tag, in Quay's words for what was to be done to it.
fn tag_error(error: registry::Error, operation: &str) -> ApiError {
    match error {
        registry::Error::TagImmutable { tag } => {
            let text = format!("Cannot {operation} immutable tag '{tag}'");
            ApiError::exception(ErrorKind::TagImmutable, text)
        }
        other => other.into(),
    }
}

/// Refuses changes of the content of what is read-only or a mirror, also to admins (Quay: 503), and of what
/// an upstream says.
pub(super) fn refuse_unwritable(context: &Context) -> Result<(), ApiError> {
    let subject = context.repository();
    if !subject.namespace_record.is_local() || subject.record.fetched {
        let text = format!(
            "{} is a cache of another registry",
            subject.namespace_record.name
        );
        return Err(ApiError::message(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    match subject.record.state {
        RepositoryState::Normal => Ok(()),
        state => {
            let number = state.number();
            let text = format!("Repository is in read only or mirror mode: {number}");
            Err(ApiError::message(StatusCode::SERVICE_UNAVAILABLE, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiration_is_a_number_of_seconds_in_any_form() {
        let time = |value: Value| expiration_of(&value).ok();
        let at = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(time(json!(1_700_000_000)), Some(Some(at)));
        assert_eq!(time(json!("1700000000")), Some(Some(at)));
        assert_eq!(time(json!(null)), Some(None));
        for value in [
            json!("soon"),
            json!(true),
            json!(-1),
            json!(1e300),
            json!([]),
        ] {
            assert!(time(value.clone()).is_none(), "{value}");
        }
    }

    #[test]
    fn a_null_is_told_from_nothing() {
        let read = |text| {
            serde_json::from_str::<ChangeTagBody>(text)
                .unwrap()
                .expiration
        };
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"expiration": null}"#), Some(Value::Null));
    }
}
