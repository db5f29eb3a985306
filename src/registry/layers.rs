//! A manifest for people: its text, its layers and what made them.
//!
//! Called by `/api/v1`. What made a layer stands in the history of the image's config; where that is not
//! here, or says something else than the manifest, the layers are told without it.

use serde::Deserialize;

use super::labels::is_image;
use super::{Error, Placed, Registry};
use crate::model::Timestamp;
use crate::oci::{Descriptor, Digest, Manifest, MediaType, RawManifest};

/// What Quay says of a step that made no layer: the digest of an empty archive, and its bytes.
const EMPTY_LAYER: &str = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";
const EMPTY_LAYER_BYTES: u64 = 32;

/// Steps of a history that are told.
const STEPS: usize = 1_000;

/// A manifest with what it is made of.
#[derive(Clone, Debug)]
pub struct ManifestView {
    pub raw: RawManifest,
    pub is_index: bool,
    pub config_media_type: Option<MediaType>,
    pub layers_bytes: u64,
    /// `None` for what is no image.
    pub layers: Option<Vec<LayerView>>,
}

/// A step by which an image was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LayerView {
    pub compressed_size: Option<u64>,
    /// Where clients fetch it from, if not here.
    pub urls: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub comment: Option<String>,
    pub author: Option<String>,
    pub blob_digest: String,
    pub created: Option<Timestamp>,
}

/// image-spec, "config.md": as much of it as is told.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    history: Vec<Step>,
}

#[derive(Default, Deserialize)]
struct Step {
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    created_by: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    empty_layer: bool,
}

impl Registry {
    /// A manifest that the repository has, with its layers; `None` if it does not.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; the store's or the disk's.
    pub async fn manifest_view(
        &self,
        placed: &Placed,
        digest: &Digest,
    ) -> Result<Option<ManifestView>, Error> {
        let held = self.lookup_manifest(placed.namespace, placed.repository, digest);
        let Some(held) = held.await? else {
            return Ok(None);
        };
        let raw = held.raw.clone();
        let manifest = Manifest::parse(&raw.bytes, Some(&raw.media_type));
        let manifest = manifest.map_err(|reason| Error::ManifestInvalid {
            digest: *digest,
            reason,
        })?;
        let config = manifest.config.as_ref();
        let layers = match config.filter(|config| is_image(config)) {
            Some(config) => {
                let bytes = self.config_bytes(placed, &config.digest).await?;
                let read = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                Some(layers(&manifest.layers, &read.unwrap_or_default()))
            }
            None => None,
        };
        let sizes = manifest.layers.iter().map(|layer| layer.size);
        Ok(Some(ManifestView {
            is_index: super::tag_lines::is_index(&raw.media_type),
            config_media_type: config.map(|config| config.media_type.clone()),
            layers_bytes: sizes.fold(0, u64::saturating_add),
            layers,
            raw,
        }))
    }
}

fn layers(blobs: &[Descriptor], config: &Config) -> Vec<LayerView> {
    let steps = &config.history;
    let making = steps.iter().filter(|step| !step.empty_layer).count();
    if making != blobs.len() || steps.len() > STEPS {
        return blobs
            .iter()
            .map(|blob| layer(blob, &Step::default()))
            .collect();
    }
    let mut blobs = blobs.iter();
    let told = steps.iter().map(|step| match step.empty_layer {
        true => Some(LayerView {
            compressed_size: Some(EMPTY_LAYER_BYTES),
            blob_digest: EMPTY_LAYER.to_owned(),
            ..made_by(step)
        }),
        false => blobs.next().map(|blob| layer(blob, step)),
    });
    told.flatten().collect()
}

fn layer(blob: &Descriptor, step: &Step) -> LayerView {
    LayerView {
        compressed_size: Some(blob.size),
        urls: blob.is_foreign().then(|| blob.urls.clone()),
        blob_digest: blob.digest.to_string(),
        ..made_by(step)
    }
}

fn made_by(step: &Step) -> LayerView {
    let command = step.created_by.as_ref().map(|text| {
        // Quay: a list as JSON, or one text.
        serde_json::from_str(text).unwrap_or_else(|_| vec![text.clone()])
    });
    LayerView {
        command,
        comment: step.comment.clone(),
        author: step.author.clone(),
        created: step.created.as_ref().and_then(|text| text.parse().ok()),
        ..LayerView::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(text: &str) -> Descriptor {
        let digest = Digest::of(text.as_bytes());
        Descriptor::new(MediaType::OCTET_STREAM, digest, text.len() as u64)
    }

    #[test]
    fn steps_that_made_no_layer_are_told_between_those_that_did() {
        let config: Config = serde_json::from_str(
            r#"{"history": [
                {"created": "2024-05-10T17:46:02Z", "created_by": "ADD x"},
                {"created_by": "[\"CMD\", \"sh\"]", "empty_layer": true, "comment": "c"},
                {"author": "a"}
            ]}"#,
        )
        .unwrap();
        let told = layers(&[blob("one"), blob("three")], &config);
        let digests: Vec<_> = told.iter().map(|layer| layer.blob_digest.clone()).collect();
        let (one, three) = (
            Digest::of(b"one").to_string(),
            Digest::of(b"three").to_string(),
        );
        assert_eq!(digests, [one, EMPTY_LAYER.to_owned(), three]);
        assert_eq!(told[0].command, Some(vec!["ADD x".to_owned()]));
        assert_eq!(told[0].created, "2024-05-10T17:46:02Z".parse().ok());
        let command = ["CMD", "sh"].map(str::to_owned);
        assert_eq!(told[1].command.as_deref(), Some(&command[..]));
        assert_eq!(
            (told[2].author.as_deref(), told[2].compressed_size),
            (Some("a"), Some(5))
        );
    }

    #[test]
    fn a_history_that_does_not_fit_is_left_out() {
        let config: Config = serde_json::from_str(r#"{"history": [{"author": "a"}]}"#).unwrap();
        let told = layers(&[blob("one"), blob("two")], &config);
        assert!(told.len() == 2 && told.iter().all(|layer| layer.author.is_none()));
    }
}
