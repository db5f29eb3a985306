//! `/api/v1/repository/{repository}/manifest`: the manifest itself, its layers.

use serde_json::json;

use super::repository::Stage;
use crate::harness::api::fields;

/// SC-392.
#[tokio::test]
async fn a_manifest_is_shown_with_its_layers() {
    let stage = Stage::new().await;
    let digest = stage.image.digest();
    let path = format!("/repository/acme/app/manifest/{digest}");
    let shown = stage.ann().get(&path).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let shown = shown.json();
    let mut told = fields(&shown);
    told.sort_unstable();
    let expected = [
        "config_media_type",
        "digest",
        "is_manifest_list",
        "layers",
        "layers_compressed_size",
        "manifest_data",
    ];
    assert_eq!(told, expected);
    assert_eq!(shown["digest"], digest.to_string());
    assert_eq!(shown["layers_compressed_size"], 300);
    let data = shown["manifest_data"].as_str().unwrap();
    assert_eq!(data.as_bytes(), stage.image.manifest.bytes);
    let layers = shown["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    let mut told = fields(&layers[0]);
    told.sort_unstable();
    let expected = [
        "author",
        "blob_digest",
        "command",
        "comment",
        "compressed_size",
        "created_datetime",
        "index",
        "is_remote",
        "urls",
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (&layers[1]["index"], &layers[1]["compressed_size"]),
        (&json!(1), &json!(200))
    );
    assert_eq!(stage.bob().get(&path).await.status, 403);
    let missing = format!("/repository/acme/app/manifest/sha256:{}", "0".repeat(64));
    assert_eq!(stage.ann().get(&missing).await.status, 404);
    assert_eq!(
        stage
            .ann()
            .get("/repository/acme/app/manifest/v1")
            .await
            .status,
        404
    );
}
