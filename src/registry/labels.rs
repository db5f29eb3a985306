//! What an image says of itself that this registry acts on: the label `quay.expires-after`.
//!
//! Labels stand in the image's config, and for OCI manifests also in its annotations, which win (Quay:
//! labels of manifests). A config that cannot be read as one has no labels: it is the client's own.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde::Deserialize;

use super::{Error, Placed, Registry};
use crate::oci::{ByteRange, Descriptor, Manifest, MediaType};

/// The label that has tags end by themselves.
const EXPIRES_AFTER: &str = "quay.expires-after";

/// A config larger than this is not searched for labels.
const CONFIG_BYTES: u64 = 4 << 20;

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
    /// Seconds after which tags pushed to an image end, if it says so.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub(super) async fn expires_after(
        &self,
        placed: &Placed,
        manifest: &Manifest,
    ) -> Result<Option<u64>, Error> {
        let annotated = manifest.annotations.as_ref();
        if let Some(text) = annotated.and_then(|annotations| annotations.get(EXPIRES_AFTER)) {
            return Ok(seconds(text));
        }
        let Some(config) = manifest.config.as_ref().filter(|config| is_image(config)) else {
            return Ok(None);
        };
        let labels = self.labels(placed, config).await?;
        Ok(labels.get(EXPIRES_AFTER).and_then(|text| seconds(text)))
    }

    async fn labels(
        &self,
        placed: &Placed,
        config: &Descriptor,
    ) -> Result<BTreeMap<String, String>, Error> {
        let blob = self
            .lookup_blob(placed.namespace, placed.repository, &config.digest)
            .await?;
        let Some(blob) = blob.filter(|blob| blob.file.len() <= CONFIG_BYTES) else {
            return Ok(BTreeMap::new());
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
        let config: ImageConfig = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(config
            .config
            .and_then(|config| config.labels)
            .unwrap_or_default())
    }
}

fn is_image(config: &Descriptor) -> bool {
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
