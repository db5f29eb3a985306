//! Fetching an index's children before anyone asks, where the cache's platform policy says so.
//!
//! It uses the same paths as a client's pull, so what is held or being fetched is not fetched again.
//! It stops at the first failure: the next pull of the index, or of the child, tries again.

use crate::model::PlatformPolicy;
use crate::oci::{Descriptor, Manifest, ManifestKind, Reference};

use super::{Error, Proxy, Source};

impl Proxy {
    /// Begins to fetch the children of `manifest` that the policy names; returns at once.
    pub(super) fn prefetch(&self, source: &Source, manifest: &Manifest) {
        let Some(cache) = &source.cache else { return };
        if manifest.kind != ManifestKind::Index {
            return;
        }
        let policy = &cache.rule.platforms;
        let children: Vec<_> = manifest
            .manifests
            .iter()
            .filter(|child| wants(policy, child))
            .cloned()
            .collect();
        if children.is_empty() {
            return;
        }
        let (proxy, source) = (self.clone(), source.clone());
        tokio::spawn(async move {
            for child in children {
                if let Err(error) = Box::pin(proxy.prefetch_child(&source, &child)).await {
                    tracing::warn!(
                        organization.name = %source.organization(),
                        repository.name = %source.name(),
                        manifest.digest = %child.digest,
                        "prefetch stopped: {error}"
                    );
                    return;
                }
            }
        });
    }

    async fn prefetch_child(&self, source: &Source, child: &Descriptor) -> Result<(), Error> {
        if !child.media_type.is_manifest() {
            // BuildKit's cache is an index that names layers.
            return self.fetch_blob(source, &child.digest).await;
        }
        let reference = Reference::Digest(child.digest);
        if self.held_manifest(source, &child.digest).await?.is_none() {
            Box::pin(self.fetch(source, reference)).await?;
        }
        let Some(repository) = self.repository(source).await? else {
            return Ok(());
        };
        let Some(record) = self
            .registry()
            .manifest_record(repository, &child.digest)
            .await?
        else {
            return Ok(());
        };
        for (blob, _) in record.blobs {
            self.fetch_blob(source, &blob).await?;
        }
        Ok(())
    }
}

/// Whether the policy wants a child: by its platform, and for all platforms also what belongs to none
/// (attestations).
fn wants(policy: &PlatformPolicy, child: &Descriptor) -> bool {
    match policy {
        PlatformPolicy::Requested => false,
        PlatformPolicy::All => true,
        PlatformPolicy::Listed(wanted) => child
            .platform
            .as_ref()
            .is_some_and(|platform| wanted.iter().any(|wanted| wanted.accepts(platform))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, MediaType};

    #[test]
    fn the_policy_chooses_children_by_platform() {
        let child = |platform: Option<&str>| Descriptor {
            platform: platform.map(|platform| platform.parse().unwrap()),
            ..Descriptor::new(MediaType::OCI_MANIFEST, Digest::of(b""), 0)
        };
        let listed = PlatformPolicy::Listed(vec!["linux/arm64".parse().unwrap()]);
        assert!(wants(&listed, &child(Some("linux/arm64/v8"))));
        assert!(!wants(&listed, &child(Some("linux/amd64"))));
        assert!(!wants(&listed, &child(None)));
        assert!(wants(&PlatformPolicy::All, &child(None)));
        assert!(!wants(
            &PlatformPolicy::Requested,
            &child(Some("linux/arm64"))
        ));
    }
}
