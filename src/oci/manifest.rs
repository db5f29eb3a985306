//! Manifests: the exact bytes, and a read-only view of what they name.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::{Algorithm, Descriptor, Digest, MediaType, limits};

/// A manifest as it travels: exact bytes, their digest, and the media type they are served with.
///
/// Bytes are never re-serialised: the digest is over exactly these.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawManifest {
    pub bytes: Bytes,
    pub digest: Digest,
    pub media_type: MediaType,
}

/// What kind of document a manifest is, which decides what its parts are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ManifestKind {
    /// Config and layers (OCI image manifest, Docker schema 2), or `blobs` (OCI artifact manifest).
    Image,
    /// Other manifests (OCI index, Docker manifest list).
    Index,
    /// Docker schema 1 from an upstream that insists on it: passed on, never looked into.
    Opaque,
}

/// The view of a manifest that the rooms above work with.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub media_type: MediaType,
    pub kind: ManifestKind,
    pub config: Option<Descriptor>,
    /// Layers of an image manifest, blobs of an artifact manifest.
    pub layers: Vec<Descriptor>,
    /// Children of an index, in its order.
    pub manifests: Vec<Descriptor>,
    pub subject: Option<Descriptor>,
    pub artifact_type: Option<String>,
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Why bytes are not a manifest we keep.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidManifest {
    #[error(
        "the manifest has {found} bytes, {} are allowed",
        limits::MANIFEST_BYTES
    )]
    TooLarge { found: usize },
    #[error("the manifest is not JSON of the expected shape: {0}")]
    Json(String),
    #[error("the manifest nests deeper than {} levels", limits::JSON_DEPTH)]
    TooDeep,
    #[error(
        "the manifest names more than {} descriptors",
        limits::MANIFEST_ELEMENTS
    )]
    TooMany,
    #[error("the manifest holds both \"manifests\" and \"layers\" or \"config\"")]
    Ambiguous,
    #[error("Content-Type {header} and mediaType {body} differ")]
    TypeMismatch { header: MediaType, body: MediaType },
    #[error("the document is neither an image manifest nor an index")]
    Unrecognised,
    #[error("the index names itself")]
    NamesItself,
    #[error("the manifest's digest is {found}, not the one it was given")]
    DigestMismatch { found: Box<Digest> },
    #[error("Docker schema 1 manifests are not accepted; push the image as Docker schema 2 or OCI")]
    Schema1,
    #[error("{0} is not the media type of a manifest or an index")]
    UnknownType(MediaType),
    #[error("schemaVersion is not 2")]
    SchemaVersion,
    #[error("the image manifest has no config")]
    NoConfig,
    #[error("the sizes that the manifest names are more than 2^63-1 bytes")]
    TooLong,
    #[error(
        "the key {0:?} stands twice in one object, or in letters that some clients read as another key"
    )]
    AmbiguousKey(String),
    #[error("the manifest is not UTF-8")]
    NotUtf8,
}

impl RawManifest {
    /// Takes `bytes` as a manifest: hashes them, finds their media type and checks their shape.
    ///
    /// `content_type` is what the transport said; generic types (`application/json` ...) yield to the
    /// body's own `mediaType`, and that to what the shape tells.
    ///
    /// # Errors
    /// [`InvalidManifest`], with the rule that was broken.
    pub fn parse(
        bytes: Bytes,
        content_type: Option<&MediaType>,
    ) -> Result<(Self, Manifest), InvalidManifest> {
        Self::parse_as(bytes, content_type, Algorithm::Sha256)
    }

    /// As [`RawManifest::parse`], for a manifest that must have a digest: hashed by its algorithm.
    ///
    /// # Errors
    /// [`InvalidManifest::DigestMismatch`] before anything else is looked at, or the rule that was broken.
    pub fn parse_expecting(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        expected: &Digest,
    ) -> Result<(Self, Manifest), InvalidManifest> {
        let found = Digest::with(expected.algorithm(), &bytes);
        if found != *expected {
            let found = Box::new(found);
            return Err(InvalidManifest::DigestMismatch { found });
        }
        Self::with_digest(bytes, content_type, found)
    }

    /// As [`RawManifest::parse`], named by `algorithm`.
    ///
    /// # Errors
    /// [`InvalidManifest`], with the rule that was broken.
    pub fn parse_as(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        algorithm: Algorithm,
    ) -> Result<(Self, Manifest), InvalidManifest> {
        let digest = Digest::with(algorithm, &bytes);
        Self::with_digest(bytes, content_type, digest)
    }

    fn with_digest(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        digest: Digest,
    ) -> Result<(Self, Manifest), InvalidManifest> {
        let manifest = Manifest::parse(&bytes, content_type)?;
        if manifest
            .manifests
            .iter()
            .any(|child| child.digest == digest)
        {
            return Err(InvalidManifest::NamesItself);
        }
        let media_type = manifest.media_type.clone();
        Ok((
            Self {
                bytes,
                digest,
                media_type,
            },
            manifest,
        ))
    }

    /// The descriptor that an index or a referrers list would name this manifest by.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(
            self.media_type.clone(),
            self.digest,
            self.bytes.len() as u64,
        )
    }
}

impl Manifest {
    /// Parses the view out of `bytes`; see [`RawManifest::parse`] for the rules.
    ///
    /// # Errors
    /// [`InvalidManifest`], with the rule that was broken.
    pub fn parse(bytes: &[u8], content_type: Option<&MediaType>) -> Result<Self, InvalidManifest> {
        if bytes.len() > limits::MANIFEST_BYTES {
            return Err(InvalidManifest::TooLarge { found: bytes.len() });
        }
        if nesting(bytes) > limits::JSON_DEPTH {
            return Err(InvalidManifest::TooDeep);
        }
        // serde would take an array for a struct, field by field.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(InvalidManifest::Json("it is not an object".to_owned()));
        }
        let document: Document<'_> =
            serde_json::from_slice(bytes).map_err(|e| InvalidManifest::Json(e.to_string()))?;
        document.into_manifest(content_type)
    }

    /// Whether it is a Docker schema 1 manifest, or says so.
    pub fn is_schema1(&self) -> bool {
        self.kind == ManifestKind::Opaque || self.media_type.is_schema1()
    }

    /// Every descriptor of a blob: config first, then layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// The blobs a registry is expected to hold: without foreign layers.
    pub fn held_blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs().filter(|blob| !blob.is_foreign())
    }

    /// image-spec, "Guidelines for artifact usage": the type a referrers list shows.
    pub fn effective_artifact_type(&self) -> Option<&str> {
        self.artifact_type
            .as_deref()
            .filter(|text| !text.is_empty())
            .or_else(|| match self.kind {
                ManifestKind::Image => self
                    .config
                    .as_ref()
                    .map(|config| config.media_type.as_str()),
                ManifestKind::Index | ManifestKind::Opaque => None,
            })
    }
}

/// The document as written: unknown fields pass, known ones must have their type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<MediaType>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default, borrow)]
    fs_layers: Option<&'a RawValue>,
}

impl Document<'_> {
    fn into_manifest(self, content_type: Option<&MediaType>) -> Result<Manifest, InvalidManifest> {
        // GHSA-qq97-vm5h-rrhg, CVE-2021-41190: a document of two readings is refused.
        let image = self.layers.is_some() || self.config.is_some();
        let readings = [
            image,
            self.manifests.is_some(),
            self.blobs.is_some(),
            self.fs_layers.is_some(),
        ];
        if readings.into_iter().filter(|&shape| shape).count() > 1 {
            return Err(InvalidManifest::Ambiguous);
        }
        let shape = self.shape()?;
        let media_type = self.agreed_type(content_type, &shape)?;
        if (shape.0 == ManifestKind::Index) != media_type.is_index() && media_type.is_manifest() {
            return Err(InvalidManifest::TypeMismatch {
                header: media_type,
                body: shape.1,
            });
        }
        let layers = self.layers.or(self.blobs).unwrap_or_default();
        let manifests = self.manifests.unwrap_or_default();
        if layers.len() + manifests.len() > limits::MANIFEST_ELEMENTS {
            return Err(InvalidManifest::TooMany);
        }
        Ok(Manifest {
            media_type,
            kind: shape.0,
            config: self.config,
            layers,
            manifests,
            subject: self.subject,
            artifact_type: self.artifact_type,
            annotations: self.annotations,
        })
    }

    /// What the fields present make of the document, and the type such a document has by itself.
    fn shape(&self) -> Result<(ManifestKind, MediaType), InvalidManifest> {
        if self.manifests.is_some() {
            Ok((ManifestKind::Index, MediaType::OCI_INDEX))
        } else if self.config.is_some() || self.layers.is_some() {
            Ok((ManifestKind::Image, MediaType::OCI_MANIFEST))
        } else if self.blobs.is_some() || self.media_type == Some(MediaType::OCI_ARTIFACT) {
            Ok((ManifestKind::Image, MediaType::OCI_ARTIFACT))
        } else if self.fs_layers.is_some() && self.schema_version == Some(1) {
            Ok((ManifestKind::Opaque, MediaType::DOCKER_SCHEMA1_SIGNED))
        } else {
            Err(InvalidManifest::Unrecognised)
        }
    }

    fn agreed_type(
        &self,
        content_type: Option<&MediaType>,
        shape: &(ManifestKind, MediaType),
    ) -> Result<MediaType, InvalidManifest> {
        let header = content_type.filter(|header| !header.is_generic());
        match (header, &self.media_type) {
            (Some(header), Some(body)) if header != body => Err(InvalidManifest::TypeMismatch {
                header: header.clone(),
                body: body.clone(),
            }),
            (Some(header), _) => Ok(header.clone()),
            (None, Some(body)) => Ok(body.clone()),
            (None, None) => Ok(shape.1.clone()),
        }
    }
}

/// Deepest bracket nesting outside strings; counts no further than needed to refuse.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut in_string = false;
    let mut escaped = false;
    for &byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;

    fn parse(text: &str, header: Option<MediaType>) -> Result<Manifest, InvalidManifest> {
        Manifest::parse(text.as_bytes(), header.as_ref())
    }

    #[test]
    fn an_image_without_a_media_type_is_known_by_its_shape() {
        let text = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[]}}"#);
        let manifest = parse(&text, None).unwrap();
        assert_eq!(manifest.media_type, MediaType::OCI_MANIFEST);
        assert_eq!(manifest.kind, ManifestKind::Image);
        assert_eq!(manifest.blobs().count(), 1);
        assert_eq!(
            manifest.effective_artifact_type(),
            Some("application/vnd.oci.image.config.v1+json")
        );
        let generic = MediaType::from_content_type("application/json");
        assert_eq!(
            parse(&text, generic).unwrap().media_type,
            MediaType::OCI_MANIFEST
        );
    }

    /// PR-05: two readings, or two types, are refused.
    #[test]
    fn ambiguous_documents_are_refused() {
        for text in [
            format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[],"manifests":[]}}"#),
            r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#.to_owned(),
            r#"{"schemaVersion":1,"fsLayers":[],"manifests":[]}"#.to_owned(),
            r#"{"schemaVersion":2,"blobs":[],"manifests":[]}"#.to_owned(),
        ] {
            assert_eq!(
                parse(&text, None).unwrap_err(),
                InvalidManifest::Ambiguous,
                "{text}"
            );
        }
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        for wrong in [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST] {
            let error = parse(index, Some(wrong)).unwrap_err();
            assert!(
                matches!(error, InvalidManifest::TypeMismatch { .. }),
                "{error}"
            );
        }
        let typed = format!(
            r#"{{"mediaType":"{}","manifests":[]}}"#,
            MediaType::OCI_INDEX
        );
        let error = parse(&typed, Some(MediaType::DOCKER_LIST)).unwrap_err();
        assert!(
            matches!(error, InvalidManifest::TypeMismatch { .. }),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let deep = format!(
            r#"{{"manifests":[],"x":{}{}}}"#,
            "[".repeat(70),
            "]".repeat(70)
        );
        assert_eq!(parse(&deep, None).unwrap_err(), InvalidManifest::TooDeep);
        let big = format!(
            r#"{{"manifests":[],"x":"{}"}}"#,
            "y".repeat(limits::MANIFEST_BYTES)
        );
        assert!(matches!(
            parse(&big, None),
            Err(InvalidManifest::TooLarge { .. })
        ));
        assert_eq!(
            parse("{}", None).unwrap_err(),
            InvalidManifest::Unrecognised
        );
        for text in [
            "",
            "<html>",
            "[]",
            "null",
            r#"{"manifests":[]} x"#,
            "{\"manifests\":[{}]}",
        ] {
            assert!(
                matches!(parse(text, None), Err(InvalidManifest::Json(_))),
                "{text}"
            );
        }
    }

    /// PR-01, PR-03: a manifest is what its digest says, under the digest's own algorithm.
    #[test]
    fn bytes_are_checked_against_a_digest_of_either_algorithm() {
        let bytes = Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
        for algorithm in Algorithm::ALL {
            let right = Digest::with(algorithm, &bytes);
            let (raw, _) = RawManifest::parse_expecting(bytes.clone(), None, &right).unwrap();
            assert_eq!((raw.digest, &raw.bytes), (right, &bytes));
            let (raw, _) = RawManifest::parse_as(bytes.clone(), None, algorithm).unwrap();
            assert_eq!(raw.digest, right);
            let expected = Digest::with(algorithm, b"other");
            let error = RawManifest::parse_expecting(bytes.clone(), None, &expected).unwrap_err();
            let found = Box::new(right);
            assert_eq!(error, InvalidManifest::DigestMismatch { found });
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(nesting(br#"{"a":"[[[[\"[["}"#), 1);
        assert_eq!(nesting(br#"{"a":[{}]}"#), 3);
    }

    #[test]
    fn buildkit_caches_and_artifacts_pass() {
        let layer = r#"{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;
        let cache = format!(r#"{{"schemaVersion":2,"manifests":[{layer}]}}"#);
        assert_eq!(parse(&cache, None).unwrap().kind, ManifestKind::Index);
        let artifact = format!(
            r#"{{"mediaType":"{}","artifactType":"a/b","blobs":[{layer}]}}"#,
            MediaType::OCI_ARTIFACT
        );
        let artifact = parse(&artifact, None).unwrap();
        assert_eq!(
            (artifact.kind, artifact.layers.len()),
            (ManifestKind::Image, 1)
        );
        assert_eq!(artifact.effective_artifact_type(), Some("a/b"));
    }
}
