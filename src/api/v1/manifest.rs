//! Manifests: their text and what made their layers (`quay-api` section 21). Labels are in `label`.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::ParameterKind::Flag;
use super::rows::{Answer, Rows};
use super::view::rfc2822;
use crate::auth::Need;
use crate::model::Role;
use crate::oci::Digest;
use crate::registry::{LayerView, Placed};

#[derive(Serialize, ToSchema)]
struct ManifestAnswer {
    digest: String,
    is_manifest_list: bool,
    manifest_data: String,
    config_media_type: Option<String>,
    layers_compressed_size: u64,
    layers: Option<Vec<LayerAnswer>>,
}

#[derive(Serialize, ToSchema)]
struct LayerAnswer {
    index: usize,
    compressed_size: Option<u64>,
    is_remote: bool,
    urls: Option<Vec<String>>,
    command: Option<Vec<String>>,
    comment: Option<String>,
    author: Option<String>,
    blob_digest: String,
    created_datetime: Option<String>,
}

pub(super) fn routes(rows: &mut Rows) {
    const GROUP: &str = "manifest";
    const READ: Need = Need::Repository(Role::Read);
    rows.get(
        "/api/v1/repository/{repository+}/manifest/{manifestref}",
        "getRepoManifest",
        GROUP,
        READ,
        show,
    )
    .summary("Shows a manifest and its layers")
    .query(
        "include_modelcard",
        Flag,
        "tell the model card, if there is one",
    )
    .answer::<ManifestAnswer>(200, "The manifest");
    rows.get(
        "/api/v1/repository/{repository+}/manifest/{manifestref}/pull_statistics",
        "getManifestPullStatistics",
        GROUP,
        READ,
        statistics,
    )
    .summary("Tells how often a manifest was pulled")
    .switch(|features| features.image_pull_stats)
    .status(200, "How often")
    .status(501, "Pulls are not counted by manifest");
}

async fn show(context: Context) -> Answer {
    let digest: Digest = context.parsed("manifestref")?;
    let subject = context.repository();
    let placed = Placed {
        namespace: subject.namespace,
        repository: subject.repository,
    };
    let view = context.state.registry.manifest_view(&placed, &digest);
    let view = view.await?.ok_or_else(ApiError::not_found)?;
    let layers = view.layers.map(|layers| {
        let layers = layers.into_iter().enumerate();
        layers.map(|(index, layer)| answer(index, layer)).collect()
    });
    let answer = ManifestAnswer {
        digest: digest.to_string(),
        is_manifest_list: view.is_index,
        manifest_data: String::from_utf8_lossy(&view.raw.bytes).into_owned(),
        config_media_type: view.config_media_type.map(|kind| kind.to_string()),
        layers_compressed_size: view.layers_bytes,
        layers,
    };
    Ok(json::spaced(StatusCode::OK, &answer))
}

fn answer(index: usize, layer: LayerView) -> LayerAnswer {
    LayerAnswer {
        index,
        compressed_size: layer.compressed_size,
        is_remote: layer.urls.is_some(),
        urls: layer.urls,
        command: layer.command,
        comment: layer.comment,
        author: layer.author,
        blob_digest: layer.blob_digest,
        created_datetime: layer.created.map(rfc2822),
    }
}

/// Pulls are counted by repository only; with the feature off, as it is, the door is not there.
async fn statistics(context: Context) -> Answer {
    let text = format!(
        "Pulls of {} are not counted by manifest",
        context.repository().record.name
    );
    Err(ApiError::message(StatusCode::NOT_IMPLEMENTED, text))
}
