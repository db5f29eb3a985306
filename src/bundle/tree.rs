//! What one manifest leads to downwards, and whether that is here whole.
//!
//! Manifests may lead to one on more ways than anybody can walk (DO-03: indexes of indexes, each level naming
//! all of the next): each is looked at once a repository, and trees are read off from what was seen.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Error;
use crate::model::{ManifestRecord, NamespaceId, RepositoryId};
use crate::oci::Digest;
use crate::registry::Registry;

/// Everything that one manifest leads to downwards; children come in front of those that name them.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) manifests: Vec<(Digest, ManifestRecord)>,
    pub(super) blobs: Vec<(Digest, u64)>,
    /// What would have to be here for the tree to be whole.
    pub(super) missing: Vec<Digest>,
    /// Children that are not here whole and do not have to be.
    pub(super) absent: Vec<Digest>,
}

/// The trees of one repository.
pub(super) struct Trees<'a> {
    registry: &'a Registry,
    namespace: NamespaceId,
    repository: RepositoryId,
    manifests: HashMap<Digest, Seen>,
    /// Whether each blob that was asked for is here, and how large it is.
    blobs: HashMap<Digest, Option<u64>>,
}

/// A manifest that was looked at.
#[derive(Default)]
struct Seen {
    /// `None` if it is not here.
    record: Option<ManifestRecord>,
    /// Manifests that it names.
    children: Vec<Digest>,
    /// Of its own: itself, or blobs.
    missing: Vec<Digest>,
    is_whole: bool,
}

impl<'a> Trees<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        namespace: NamespaceId,
        repository: RepositoryId,
    ) -> Self {
        Self {
            registry,
            namespace,
            repository,
            manifests: HashMap::new(),
            blobs: HashMap::new(),
        }
    }

    /// The tree below `root`, which holds nothing but what is missing if it is not here whole.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub(super) async fn below(&mut self, root: Digest) -> Result<Tree, Error> {
        self.look(root).await?;
        let mut tree = Tree::default();
        match self.is_whole(&root) {
            true => self.gather(root, &mut tree),
            false => tree.missing = self.missing(root),
        }
        Ok(tree)
    }

    /// Looks at all that `root` leads to and that was not looked at before.
    async fn look(&mut self, root: Digest) -> Result<(), Error> {
        let mut pending = vec![(root, false)];
        while let Some((digest, is_left)) = pending.pop() {
            if is_left {
                self.judge(&digest);
            } else if !self.manifests.contains_key(&digest) {
                let seen = self.see(digest).await?;
                pending.push((digest, true));
                pending.extend(seen.children.iter().rev().map(|child| (*child, false)));
                self.manifests.insert(digest, seen);
            }
        }
        Ok(())
    }

    async fn see(&mut self, digest: Digest) -> Result<Seen, Error> {
        let record = self.registry.manifest_record(self.repository, &digest);
        let Some(record) = record.await? else {
            return Ok(Seen {
                missing: vec![digest],
                ..Seen::default()
            });
        };
        let mut missing = Vec::new();
        for (blob, _) in &record.blobs {
            if self.blob(blob).await?.is_none() {
                missing.push(*blob);
            }
        }
        let blobs: HashSet<&Digest> = record.blobs.iter().map(|(blob, _)| blob).collect();
        let children = record.children.iter();
        let children = children.filter(|child| !blobs.contains(child));
        Ok(Seen {
            children: children.copied().collect(),
            record: Some(record),
            missing,
            is_whole: false,
        })
    }

    async fn blob(&mut self, digest: &Digest) -> Result<Option<u64>, Error> {
        if let Some(known) = self.blobs.get(digest) {
            return Ok(*known);
        }
        let held = self
            .registry
            .lookup_blob(self.namespace, self.repository, digest)
            .await?;
        let size = held.map(|held| held.file.len());
        self.blobs.insert(*digest, size);
        Ok(size)
    }

    /// Says of a manifest whose children were judged whether it is here whole: a cache has the platforms that
    /// somebody pulled; of one at least everything must be here.
    fn judge(&mut self, digest: &Digest) {
        let Some(seen) = self.manifests.get(digest) else {
            return;
        };
        let has_child =
            seen.children.is_empty() || seen.children.iter().any(|child| self.is_whole(child));
        let is_whole = has_child && seen.missing.is_empty();
        if let Some(seen) = self.manifests.get_mut(digest) {
            seen.is_whole = is_whole;
        }
    }

    fn is_whole(&self, digest: &Digest) -> bool {
        self.manifests.get(digest).is_some_and(|seen| seen.is_whole)
    }

    /// Reads off what is whole.
    fn gather(&self, root: Digest, tree: &mut Tree) {
        let mut entered = HashSet::new();
        let mut pending = vec![(root, false)];
        while let Some((digest, is_left)) = pending.pop() {
            let Some(seen) = self.manifests.get(&digest) else {
                continue;
            };
            if is_left {
                let record = seen.record.iter().cloned();
                tree.manifests.extend(record.map(|record| (digest, record)));
            } else if entered.insert(digest) {
                let blobs = seen.record.iter().flat_map(|record| &record.blobs);
                let sizes = blobs.filter_map(|(blob, _)| Some((*blob, (*self.blobs.get(blob)?)?)));
                tree.blobs.extend(sizes);
                pending.push((digest, true));
                for child in seen.children.iter().rev() {
                    match self.is_whole(child) {
                        true => pending.push((*child, false)),
                        false => tree.absent.push(*child),
                    }
                }
            }
        }
    }

    /// Reads off what keeps `root` from being whole.
    fn missing(&self, root: Digest) -> Vec<Digest> {
        let mut missing = BTreeSet::new();
        let mut entered = HashSet::from([root]);
        let mut pending = vec![root];
        while let Some(digest) = pending.pop() {
            let Some(seen) = self.manifests.get(&digest) else {
                continue;
            };
            missing.extend(seen.missing.iter().copied());
            // A child that is whole would do for the others.
            if !seen.children.iter().any(|child| self.is_whole(child)) {
                let children = seen.children.iter().copied();
                pending.extend(children.filter(|child| entered.insert(*child)));
            }
        }
        missing.into_iter().collect()
    }
}
