//! Labels of manifests (`quay-api` section 21).

use ::http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::ParameterKind::Text;
use super::rows::{Answer, Rows};
use super::tag::refuse_unwritable;
use crate::auth::Need;
use crate::http::response;
use crate::model::{LabelMedia, LabelRecord, Role, Uuid};
use crate::oci::Digest;

#[derive(Serialize, ToSchema)]
struct LabelListView {
    labels: Vec<LabelView>,
}

#[derive(Serialize, ToSchema)]
struct AddedLabelView {
    label: LabelView,
}

#[derive(Serialize, ToSchema)]
struct LabelView {
    id: String,
    key: String,
    value: String,
    source_type: &'static str,
    media_type: &'static str,
}

#[derive(Deserialize, ToSchema)]
struct AddLabelBody {
    key: String,
    value: String,
    #[serde(default)]
    media_type: Option<String>,
}

pub(super) fn routes(rows: &mut Rows) {
    const GROUP: &str = "manifest";
    const ALL: &str = "/api/v1/repository/{repository+}/manifest/{manifestref}/labels";
    const ONE: &str = "/api/v1/repository/{repository+}/manifest/{manifestref}/labels/{labelid}";
    const READ: Need = Need::Repository(Role::Read);
    const WRITE: Need = Need::Repository(Role::Write);
    rows.get(ALL, "listManifestLabels", GROUP, READ, list)
        .summary("Lists the labels of a manifest")
        .query("filter", Text, "those whose keys begin so")
        .answer::<LabelListView>(200, "The labels");
    rows.post(ALL, "addManifestLabel", GROUP, WRITE, add)
        .summary("Adds a label to a manifest")
        .body::<AddLabelBody>()
        .answer::<AddedLabelView>(201, "It is there")
        .status(400, "It may not be added")
        .status(503, "Nothing is written to this repository");
    rows.get(ONE, "getManifestLabel", GROUP, READ, show)
        .summary("Shows a label")
        .answer::<LabelView>(200, "The label");
    rows.delete(ONE, "deleteManifestLabel", GROUP, WRITE, delete)
        .summary("Takes a label off a manifest")
        .status(204, "It is off")
        .status(400, "The image brought it")
        .status(503, "Nothing is written to this repository");
}

fn view(id: Uuid, record: &LabelRecord) -> LabelView {
    LabelView {
        id: id.to_string(),
        key: record.key.clone(),
        value: record.value.clone(),
        source_type: record.source.as_str(),
        media_type: record.media_type.as_str(),
    }
}

async fn list(context: Context) -> Answer {
    let digest: Digest = context.parsed("manifestref")?;
    let repository = context.repository().repository;
    let found = context.state.registry.manifest_labels(repository, &digest);
    let found = found.await?.ok_or_else(ApiError::not_found)?;
    let prefix = context.text("filter").unwrap_or_default();
    let labels = found
        .iter()
        .filter(|(_, label)| label.key.starts_with(&*prefix));
    let view = LabelListView {
        labels: labels.map(|(id, label)| view(*id, label)).collect(),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn add(context: Context) -> Answer {
    let digest: Digest = context.parsed("manifestref")?;
    let body: AddLabelBody = context.body()?;
    refuse_unwritable(&context)?;
    let media_type = match body.media_type.as_deref() {
        None => LabelMedia::Text,
        Some(name) => LabelMedia::of_name(name).ok_or_else(|| {
            let text = format!("'{name}' is not one of ['text/plain', 'application/json', None]");
            ApiError::invalid(text)
        })?,
    };
    let (repository, by) = (context.repository().repository, context.performer());
    let label = (body.key.as_str(), body.value.as_str(), media_type);
    let registry = &context.state.registry;
    let (id, record) = registry.add_label(repository, &digest, label, &by).await?;
    let label = view(id, &record);
    let path = format!(
        "{}/api/v1/repository/{}/manifest/{digest}/labels",
        context.site_url(),
        context.parameter("repository"),
    );
    let mut answer = json::spaced(StatusCode::CREATED, &AddedLabelView { label });
    if let Ok(location) = HeaderValue::from_str(&format!("{path}/{id}")) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

async fn show(context: Context) -> Answer {
    let (digest, id): (Digest, Uuid) = (context.parsed("manifestref")?, context.parsed("labelid")?);
    let repository = context.repository().repository;
    let registry = &context.state.registry;
    let record = registry.manifest_label(repository, &digest, id).await?;
    Ok(json::spaced(StatusCode::OK, &view(id, &record)))
}

async fn delete(context: Context) -> Answer {
    let (digest, id): (Digest, Uuid) = (context.parsed("manifestref")?, context.parsed("labelid")?);
    refuse_unwritable(&context)?;
    let (repository, by) = (context.repository().repository, context.performer());
    let registry = &context.state.registry;
    registry.delete_label(repository, &digest, id, &by).await?;
    Ok(response::no_content())
}
