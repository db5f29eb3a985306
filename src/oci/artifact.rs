//! Which kinds of content a registry takes, by media type.
//!
//! Everything, unless the operator says otherwise: with a list, images and what the list names; or images
//! alone, in Docker's own format. The rule looks at what a manifest says of its parts, never into them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Descriptor, Manifest, ManifestKind, MediaType};

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// image-spec, "Guidance for an Empty Descriptor": a part that is there because the schema wants one.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What the types of image layers begin with, and what may stand behind that.
const LAYERS: [(&str, &[&str]); 4] = [
    (
        "application/vnd.oci.image.layer.v1.tar",
        &["", "+gzip", "+zstd"],
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        &["", "+gzip", "+zstd"],
    ),
    (
        "application/vnd.docker.image.rootfs.diff.tar",
        &["", ".gzip", ".zstd"],
    ),
    (
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        &["", ".gzip", ".zstd"],
    ),
];

/// The rule.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ArtifactTypes(Rule);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Rule {
    #[default]
    Any,
    Listed(BTreeMap<String, BTreeSet<String>>),
    ImagesOnly,
}

/// Something whose type is not taken here.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} {media_type} is not allowed in this registry")]
pub struct DisallowedType {
    /// Whose type it is, with the words that lead to it.
    pub what: &'static str,
    pub media_type: String,
}

impl DisallowedType {
    fn new(what: &'static str, media_type: &str) -> Self {
        let media_type = media_type.to_owned();
        Self { what, media_type }
    }
}

impl ArtifactTypes {
    /// Everything is taken.
    pub fn any() -> Self {
        Self::default()
    }

    /// Images, and what is listed: types of config, each with its types of layers.
    ///
    /// An artifact with the empty config is known by its `artifactType`.
    pub fn listed<L: IntoIterator<Item = String>>(
        types: impl IntoIterator<Item = (String, L)>,
    ) -> Self {
        let listed = types.into_iter();
        let listed = listed.map(|(config, layers)| (config, layers.into_iter().collect()));
        Self(Rule::Listed(listed.collect()))
    }

    /// Docker images and lists of them; no OCI manifest.
    pub const fn images_only() -> Self {
        Self(Rule::ImagesOnly)
    }

    /// Whether it is the rule of [`ArtifactTypes::images_only`].
    pub fn takes_images_only(&self) -> bool {
        self.0 == Rule::ImagesOnly
    }

    /// Whether a manifest may be pushed.
    ///
    /// # Errors
    /// The first part whose type is not allowed.
    pub fn allows(&self, manifest: &Manifest) -> Result<(), DisallowedType> {
        let listed = match &self.0 {
            Rule::Any => return Ok(()),
            Rule::ImagesOnly => {
                check_docker(manifest)?;
                &BTreeMap::new()
            }
            Rule::Listed(listed) => listed,
        };
        match manifest.kind {
            ManifestKind::Index => check_children(manifest, listed),
            ManifestKind::Image | ManifestKind::Opaque => check_image(manifest, listed),
        }
    }
}

fn check_docker(manifest: &Manifest) -> Result<(), DisallowedType> {
    let own = &manifest.media_type;
    if *own == MediaType::DOCKER_MANIFEST || *own == MediaType::DOCKER_LIST {
        return Ok(());
    }
    Err(DisallowedType::new("a manifest of type", own.as_str()))
}

fn check_image(
    manifest: &Manifest,
    listed: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), DisallowedType> {
    let config = manifest.config.as_ref();
    let config = config.map(|config| config.media_type.as_str());
    // The artifact manifest of the 1.1 drafts has no config.
    let (what, kind) = match (config, manifest.artifact_type.as_deref()) {
        (None | Some(EMPTY), Some(artifact_type)) => ("the artifactType", artifact_type),
        (config, _) => ("a config of type", config.unwrap_or(EMPTY)),
    };
    let of_kind = listed.get(kind);
    if of_kind.is_none() && !is_image_config(kind) {
        return Err(DisallowedType::new(what, kind));
    }
    let allowed = |layer: &&Descriptor| {
        let layer = layer.media_type.as_str();
        is_image_layer(layer)
            || of_kind.is_some_and(|layers| layer == EMPTY || layers.contains(layer))
    };
    match manifest.layers.iter().find(|layer| !allowed(layer)) {
        None => Ok(()),
        Some(layer) => Err(DisallowedType::new(
            "a layer of type",
            layer.media_type.as_str(),
        )),
    }
}

/// The children of an index are judged when they are pushed. What is no manifest (`BuildKit` names layers and
/// its own config in an index) has to be of an image, or listed.
fn check_children(
    manifest: &Manifest,
    listed: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), DisallowedType> {
    let allowed = |child: &&Descriptor| {
        let kind = child.media_type.as_str();
        child.media_type.is_manifest() || is_image_layer(kind) || listed.contains_key(kind)
    };
    match manifest.manifests.iter().find(|child| !allowed(child)) {
        None => Ok(()),
        Some(child) => Err(DisallowedType::new(
            "a child of type",
            child.media_type.as_str(),
        )),
    }
}

fn is_image_config(media_type: &str) -> bool {
    media_type == DOCKER_CONFIG || media_type == OCI_CONFIG
}

fn is_image_layer(media_type: &str) -> bool {
    LAYERS.iter().any(|(beginning, ends)| {
        let end = media_type.strip_prefix(beginning);
        end.is_some_and(|end| ends.contains(&end))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Digest;
    use super::*;

    const HELM: &str = "application/vnd.cncf.helm.config.v1+json";
    const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    const SIF: &str = "application/vnd.sylabs.sif.config.v1+json";
    const SIF_LAYER: &str = "application/vnd.sylabs.sif.layer.v1.sif";
    const SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
    const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    const DOCKER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

    fn descriptor(media_type: &str) -> Descriptor {
        Descriptor::new(media_type.parse().unwrap(), Digest::of(b""), 0)
    }

    fn image(config: &str, layers: &[&str]) -> Manifest {
        Manifest {
            media_type: MediaType::OCI_MANIFEST,
            kind: ManifestKind::Image,
            config: Some(descriptor(config)),
            layers: layers.iter().map(|layer| descriptor(layer)).collect(),
            manifests: vec![],
            subject: None,
            artifact_type: None,
            annotations: None,
        }
    }

    fn index(media_type: MediaType, children: &[&str]) -> Manifest {
        Manifest {
            media_type,
            kind: ManifestKind::Index,
            config: None,
            manifests: children.iter().map(|child| descriptor(child)).collect(),
            ..image(OCI_CONFIG, &[])
        }
    }

    fn list(types: &[(&str, &[&str])]) -> ArtifactTypes {
        let owned = |layers: &[&str]| -> Vec<String> {
            layers.iter().map(|&layer| layer.to_owned()).collect()
        };
        let types = types.iter();
        ArtifactTypes::listed(types.map(|(config, layers)| ((*config).to_owned(), owned(layers))))
    }

    /// SC-191, SC-193: without a word from the operator, any media type.
    #[test]
    fn everything_is_taken_by_default() {
        for manifest in [
            image(HELM, &[CHART]),
            image("a/b", &["c/d"]),
            image(EMPTY, &[EMPTY]),
        ] {
            assert_eq!(ArtifactTypes::any().allows(&manifest), Ok(()));
        }
    }

    /// SC-201, SC-202: a list takes images and what it names, and nothing else.
    #[test]
    fn a_list_takes_images_and_what_it_names() {
        let sif = list(&[(SIF, &[SIF_LAYER])]);
        for good in [
            image(SIF, &[SIF_LAYER]),
            image(SIF, &[]),
            image(OCI_CONFIG, &[GZIP, FOREIGN]),
            image(DOCKER_CONFIG, &[DOCKER_GZIP]),
            index(
                MediaType::OCI_INDEX,
                &[MediaType::OCI_MANIFEST.as_str(), GZIP],
            ),
        ] {
            assert_eq!(sif.allows(&good), Ok(()), "{good:?}");
        }
        for (bad, what, media_type) in [
            (image(HELM, &[CHART]), "a config of type", HELM),
            (image(SIF, &[CHART]), "a layer of type", CHART),
            (
                image(OCI_CONFIG, &[GZIP, SIF_LAYER]),
                "a layer of type",
                SIF_LAYER,
            ),
            (
                image(OCI_CONFIG, &[SIGNATURE]),
                "a layer of type",
                SIGNATURE,
            ),
            (image(EMPTY, &[EMPTY]), "a config of type", EMPTY),
            (
                index(MediaType::OCI_INDEX, &["a/b"]),
                "a child of type",
                "a/b",
            ),
        ] {
            assert_eq!(sif.allows(&bad), Err(DisallowedType::new(what, media_type)));
        }
        // cosign's signatures have the config of an image.
        let signatures = list(&[(OCI_CONFIG, &[SIGNATURE])]);
        assert_eq!(
            signatures.allows(&image(OCI_CONFIG, &[SIGNATURE, GZIP])),
            Ok(())
        );
        let nothing = list(&[]);
        assert!(nothing.allows(&image(SIF, &[SIF_LAYER])).is_err());
        assert_eq!(nothing.allows(&image(OCI_CONFIG, &[GZIP])), Ok(()));
    }

    #[test]
    fn an_artifact_with_the_empty_config_is_known_by_its_type() {
        let bundles = list(&[("a/bundle", &["a/layer"])]);
        let mut bundle = image(EMPTY, &["a/layer", EMPTY]);
        bundle.artifact_type = Some("a/bundle".to_owned());
        assert_eq!(bundles.allows(&bundle), Ok(()));
        bundle.config = None;
        bundle.media_type = MediaType::OCI_ARTIFACT;
        assert_eq!(bundles.allows(&bundle), Ok(()));
        bundle.artifact_type = Some("a/other".to_owned());
        let refused = bundles.allows(&bundle).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the artifactType a/other is not allowed in this registry"
        );
        bundle.artifact_type = None;
        bundle.config = Some(descriptor(EMPTY));
        let refused = bundles.allows(&bundle).unwrap_err();
        assert_eq!(refused, DisallowedType::new("a config of type", EMPTY));
        // An image that claims another type is judged as what it is.
        let mut image = image(SIF, &[]);
        image.artifact_type = Some("a/bundle".to_owned());
        assert!(bundles.allows(&image).is_err());
    }

    /// SC-203: OCI manifests are refused, Docker schema 2 works.
    #[test]
    fn images_alone_are_dockers() {
        let only = ArtifactTypes::images_only();
        let docker = Manifest {
            media_type: MediaType::DOCKER_MANIFEST,
            ..image(DOCKER_CONFIG, &[DOCKER_GZIP, FOREIGN])
        };
        assert_eq!(only.allows(&docker), Ok(()));
        let child = MediaType::DOCKER_MANIFEST;
        let children = [child.as_str()];
        assert_eq!(
            only.allows(&index(MediaType::DOCKER_LIST, &children)),
            Ok(())
        );
        for refused in [
            image(OCI_CONFIG, &[GZIP]),
            image(HELM, &[CHART]),
            index(MediaType::OCI_INDEX, &children),
            Manifest {
                config: Some(descriptor(HELM)),
                ..docker
            },
        ] {
            assert!(only.allows(&refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn layers_of_images_are_known_exactly() {
        for good in [
            GZIP,
            DOCKER_GZIP,
            FOREIGN,
            "application/vnd.oci.image.layer.v1.tar",
        ] {
            assert!(is_image_layer(good), "{good}");
        }
        for bad in [
            "application/vnd.oci.image.layer.v1.tar+evil",
            "application/vnd.oci.image.layer.v1.tar+gzip+x",
            "application/vnd.oci.image.layer.v1",
            "",
        ] {
            assert!(!is_image_layer(bad), "{bad}");
        }
    }
}
