//! What an image says of itself: its labels, and those that this registry acts on.
//!
//! Labels stand in the image's config, and for OCI manifests also in its annotations, which win (Quay:
//! labels of manifests). A config that cannot be read as one has no labels: it is the client's own.
//! `quay.expires-after` has tags end by themselves, `quay.immutable` protects them.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde::Deserialize;

use super::{Error, Placed, Registry};
use crate::model::{LabelMedia, LabelRecord, LabelSource, RepositoryId, Uuid};
use crate::oci::{ByteRange, Descriptor, Digest, Manifest, MediaType};

/// The label that has tags end by themselves.
pub(super) const EXPIRES_AFTER: &str = "quay.expires-after";

/// The label that protects tags, if its value is `true`.
pub(super) const IMMUTABLE: &str = "quay.immutable";

/// A config larger than this is not searched for labels.
const CONFIG_BYTES: u64 = 4 << 20;

/// Labels of one image that are kept, and bytes of them.
const LABELS: usize = 500;
const LABEL_BYTES: usize = 256 << 10;

/// What an image says of itself, by key.
pub(super) type Said = BTreeMap<String, String>;

/// image-spec, "config.md": as much of it as is looked at.
#[derive(Default, Deserialize)]
struct ImageConfig {
    #[serde(default)]
    config: Option<ContainerConfig>,
}

#[derive(Default, Deserialize)]
struct ContainerConfig {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Registry {
    /// What an image says of itself.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub(super) async fn said(&self, placed: &Placed, manifest: &Manifest) -> Result<Said, Error> {
        let mut said = Said::new();
        if let Some(config) = manifest.config.as_ref().filter(|config| is_image(config))
            && let Some(bytes) = self.config_bytes(placed, &config.digest).await?
        {
            let config: ImageConfig = serde_json::from_slice(&bytes).unwrap_or_default();
            said.extend(
                config
                    .config
                    .and_then(|config| config.labels)
                    .into_iter()
                    .flatten(),
            );
        }
        said.extend(manifest.annotations.clone().into_iter().flatten());
        Ok(said)
    }

    /// The bytes of a config, unless it is not here or too large to be one.
    pub(super) async fn config_bytes(
        &self,
        placed: &Placed,
        config: &Digest,
    ) -> Result<Option<Vec<u8>>, Error> {
        let blob = self
            .lookup_blob(placed.namespace, placed.repository, config)
            .await?;
        let Some(blob) = blob.filter(|blob| blob.file.len() <= CONFIG_BYTES) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let whole = ByteRange {
            start: 0,
            end: blob.file.len(),
        };
        let mut stream = blob.file.stream(whole);
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(Some(bytes))
    }
}

/// After how many seconds tags that are pushed to an image end, if it says so.
pub(super) fn expires_after(said: &Said) -> Option<u64> {
    said.get(EXPIRES_AFTER).and_then(|text| seconds(text))
}

/// The labels that are kept of what an image says, each with its id.
pub(super) fn kept(
    repository: RepositoryId,
    digest: &Digest,
    said: &Said,
) -> Vec<(Uuid, LabelRecord)> {
    let mut left = LABEL_BYTES;
    let fits = |(key, value): &(&String, &String)| match left.checked_sub(key.len() + value.len()) {
        Some(rest) => {
            left = rest;
            !key.is_empty()
        }
        None => false,
    };
    let kept = said.iter().filter(fits).take(LABELS);
    kept.map(|(key, value)| {
        let record = LabelRecord {
            key: key.clone(),
            value: value.clone(),
            media_type: LabelMedia::of_value(value),
            source: LabelSource::Manifest,
        };
        (label_id(repository, digest, key), record)
    })
    .collect()
}

/// The id of a label that an image brings: the same whenever it is pushed.
pub(super) fn label_id(repository: RepositoryId, digest: &Digest, key: &str) -> Uuid {
    let named = Digest::of(format!("{repository} {digest} {key}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&named.hash()[..16]);
    Uuid::derived(bytes)
}

pub(super) fn is_image(config: &Descriptor) -> bool {
    [MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG].contains(&config.media_type)
}

/// Seconds in `20h`, `2d` or `3w`; what has another form says nothing (Quay ignores it as well).
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SC-085: hours, days, weeks.
    #[test]
    fn an_expiry_is_a_number_with_a_unit() {
        assert_eq!(seconds("20h"), Some(72_000));
        assert_eq!(seconds("2d"), Some(172_800));
        assert_eq!(seconds(" 3w "), Some(1_814_400));
        for text in [
            "",
            "h",
            "20",
            "-1h",
            "0d",
            "1y",
            "1.5h",
            "9999999999999999999w",
            "é",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
