//! Media types: the known ones as constants, any other kept as it came.

use std::fmt;

/// A media type without parameters, in the letters it came in.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MediaType(std::borrow::Cow<'static, str>);

super::textual!(MediaType);

impl MediaType {
    pub const OCI_INDEX: Self = Self::known("application/vnd.oci.image.index.v1+json");
    pub const OCI_MANIFEST: Self = Self::known("application/vnd.oci.image.manifest.v1+json");
    pub const OCI_ARTIFACT: Self = Self::known("application/vnd.oci.artifact.manifest.v1+json");
    pub const DOCKER_LIST: Self =
        Self::known("application/vnd.docker.distribution.manifest.list.v2+json");
    pub const DOCKER_MANIFEST: Self =
        Self::known("application/vnd.docker.distribution.manifest.v2+json");
    pub const DOCKER_SCHEMA1: Self =
        Self::known("application/vnd.docker.distribution.manifest.v1+json");
    pub const DOCKER_SCHEMA1_SIGNED: Self =
        Self::known("application/vnd.docker.distribution.manifest.v1+prettyjws");
    pub const OCI_CONFIG: Self = Self::known("application/vnd.oci.image.config.v1+json");
    pub const DOCKER_CONFIG: Self = Self::known("application/vnd.docker.container.image.v1+json");
    pub const OCTET_STREAM: Self = Self::known("application/octet-stream");

    const fn known(text: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the media type out of a `Content-Type` value: parameters and space are dropped.
    ///
    /// `None` if what is left is empty, longer than 255 bytes, or not printable ASCII.
    pub fn from_content_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next()?.trim();
        let printable = essence.bytes().all(|b| b.is_ascii_graphic());
        (!essence.is_empty() && essence.len() <= 255 && printable)
            .then(|| Self(essence.to_owned().into()))
    }

    /// Whether it says nothing about the content: a body's own `mediaType` decides then.
    pub fn is_generic(&self) -> bool {
        matches!(
            self.as_str(),
            "application/json" | "text/plain" | "application/octet-stream"
        )
    }

    pub fn is_index(&self) -> bool {
        *self == Self::OCI_INDEX || *self == Self::DOCKER_LIST
    }

    /// Whether it names a kind of manifest that registries serve under `/manifests/`.
    pub fn is_manifest(&self) -> bool {
        self.is_index()
            || [
                Self::OCI_MANIFEST,
                Self::DOCKER_MANIFEST,
                Self::OCI_ARTIFACT,
            ]
            .contains(self)
            || self.is_schema1()
    }

    pub fn is_schema1(&self) -> bool {
        *self == Self::DOCKER_SCHEMA1 || *self == Self::DOCKER_SCHEMA1_SIGNED
    }

    /// Whether layers of this type are fetched from their `urls`, not from the registry.
    pub fn is_foreign_layer(&self) -> bool {
        self.as_str()
            .starts_with("application/vnd.oci.image.layer.nondistributable.")
            || self
                .as_str()
                .starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for MediaType {
    type Err = super::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_content_type(text)
            .ok_or_else(|| super::ParseError::new("media type", "it is empty or not printable"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_dropped() {
        let value = "application/vnd.oci.image.index.v1+json ; charset=utf-8";
        assert_eq!(
            MediaType::from_content_type(value),
            Some(MediaType::OCI_INDEX)
        );
        for value in ["", ";", " ; q=1", "a b", "a\r\nb", &"a".repeat(256)] {
            assert_eq!(MediaType::from_content_type(value), None, "{value:?}");
        }
    }
}
