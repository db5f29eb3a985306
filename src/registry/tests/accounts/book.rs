//! What the test itself believes to be there: which blobs and manifests lie on which shelf, and what that comes to.
//!
//! Knows nothing of how the registry counts. What goes by a collection or an eviction is bounded, not foretold: what
//! a tag leads to must be left, and nothing may come. Which of the rest goes, and when, is `gc_model`'s.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{NamespaceId, RepositoryId, Timestamp};
use crate::oci::Digest;

/// What lies in one repository, whoever can see it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Content {
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) manifests: BTreeSet<Digest>,
}

impl Content {
    fn is_within(&self, other: &Self) -> bool {
        self.blobs.is_subset(&other.blobs) && self.manifests.is_subset(&other.manifests)
    }
}

/// Where a tag points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pointed {
    pub(super) digest: Digest,
    pub(super) since: Timestamp,
    pub(super) expires: Option<Timestamp>,
}

impl Pointed {
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

/// A repository.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub(super) namespace: NamespaceId,
    /// Its manifests count.
    pub(super) is_cache: bool,
    pub(super) content: Content,
    pub(super) tags: BTreeMap<String, Pointed>,
    /// Manifests that somebody deleted by their digests.
    pub(super) deleted: BTreeSet<Digest>,
}

/// What a manifest names.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) blobs: Vec<Digest>,
    pub(super) children: Vec<Digest>,
}

/// How much less there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Left {
    /// Nothing has gone.
    All,
    /// Something may have gone that no tag leads to.
    Needed,
    /// Nothing is left but what tags lead to.
    OnlyNeeded,
    /// Anything may have gone.
    Some,
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) sizes: HashMap<Digest, u64>,
    pub(super) named: HashMap<Digest, Named>,
    pub(super) shelves: BTreeMap<RepositoryId, Shelf>,
}

impl Book {
    fn sum<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> u64 {
        digests.into_iter().map(|digest| self.sizes[digest]).sum()
    }

    fn of_manifests(&self, shelf: &Shelf) -> u64 {
        match shelf.is_cache {
            true => self.sum(&shelf.content.manifests),
            false => 0,
        }
    }

    /// Bytes of a repository: each of its blobs, whoever else has it.
    pub(super) fn of_repository(&self, repository: RepositoryId) -> u64 {
        let shelf = &self.shelves[&repository];
        self.sum(&shelf.content.blobs) + self.of_manifests(shelf)
    }

    /// Bytes of a namespace: each blob that any of its repositories has, once.
    pub(super) fn of_namespace(&self, namespace: NamespaceId) -> u64 {
        let shelves = self.shelves.values();
        let own = shelves.filter(|shelf| shelf.namespace == namespace);
        let blobs: BTreeSet<&Digest> = own.clone().flat_map(|it| &it.content.blobs).collect();
        self.sum(blobs) + own.map(|shelf| self.of_manifests(shelf)).sum::<u64>()
    }

    /// Bytes of all blobs, each once.
    pub(super) fn of_all(&self) -> u64 {
        self.sum(&self.all_blobs())
    }

    pub(super) fn all_blobs(&self) -> BTreeSet<Digest> {
        let shelves = self.shelves.values();
        shelves
            .flat_map(|shelf| shelf.content.blobs.iter().copied())
            .collect()
    }

    /// What tags lead to in a repository.
    fn needed(&self, shelf: &Shelf, now: Timestamp) -> Content {
        let alive = shelf.tags.values().filter(|pointed| pointed.is_alive(now));
        let mut pending: Vec<Digest> = alive.map(|pointed| pointed.digest).collect();
        let mut needed = Content::default();
        while let Some(digest) = pending.pop() {
            let is_there =
                shelf.content.manifests.contains(&digest) && !shelf.deleted.contains(&digest);
            if !is_there || !needed.manifests.insert(digest) {
                continue;
            }
            let named = &self.named[&digest];
            needed.blobs.extend(&named.blobs);
            pending.extend(&named.children);
        }
        needed
    }

    /// Holds what lies on a shelf now against what should; what has gone is no longer believed to be there.
    pub(super) fn compare(
        &mut self,
        repository: RepositoryId,
        found: Content,
        left: Left,
        now: Timestamp,
    ) {
        let shelf = &self.shelves[&repository];
        let needed = self.needed(shelf, now);
        let believed = &shelf.content;
        match left {
            Left::All => assert_eq!(&found, believed),
            Left::OnlyNeeded => assert_eq!(found, needed),
            Left::Needed => assert!(needed.is_within(&found), "{found:?} is left of {needed:?}"),
            Left::Some => {}
        }
        assert!(
            found.is_within(believed),
            "{found:?} came from {believed:?}"
        );
        let shelf = self.shelves.get_mut(&repository).expect("it was there");
        shelf
            .deleted
            .retain(|digest| found.manifests.contains(digest));
        if shelf.is_cache {
            let is_there = |pointed: &Pointed| found.manifests.contains(&pointed.digest);
            shelf.tags.retain(|_, pointed| is_there(pointed));
        }
        shelf.content = found;
    }

    /// A manifest is back, with those of what it names that had been deleted.
    pub(super) fn revive(&mut self, repository: RepositoryId, root: Digest) {
        let shelf = self.shelves.get_mut(&repository).expect("it is there");
        let mut pending = vec![root];
        while let Some(digest) = pending.pop() {
            if shelf.deleted.remove(&digest) || digest == root {
                pending.extend(&self.named[&digest].children);
            }
        }
    }
}
