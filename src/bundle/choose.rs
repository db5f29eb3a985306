//! What is to travel: patterns of repositories and tags, and all that these lead to.
//!
//! A tag leads to its manifest, that to its children, configs and layers; to what refers to any of
//! these; and to the tags under which clients keep signatures (AG-09). What is not here whole is named.

use std::collections::{BTreeMap, HashSet};

use globset::{GlobBuilder, GlobMatcher};

use super::inventory::Listed;
use super::tree::{Tree, Trees};
use super::{Bundles, Error};
use crate::model::{NamespaceId, RepositoryId, Unit};
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// Suffixes of the tags under which cosign keeps what belongs to a digest.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];

/// Which repositories and tags: `namespace`, `namespace/repository`, `namespace/repository:tag`, with
/// `*`, `?`, `[...]`, `{a,b}`, and `**` for any number of components.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    repository: GlobMatcher,
    tag: GlobMatcher,
}

impl Pattern {
    /// # Errors
    /// If it is none.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let (repository, tag) = match text.split_once(':') {
            Some((repository, tag)) => (repository, tag),
            None => (text, "*"),
        };
        let repository = match repository.contains('/') {
            true => repository.to_owned(),
            false => format!("{repository}/**"),
        };
        let glob = |text: &str| {
            let glob = GlobBuilder::new(text).literal_separator(true).build();
            let glob = glob.map_err(|error| Error::refused(error.to_string()))?;
            Ok::<_, Error>(glob.compile_matcher())
        };
        Ok(Self {
            text: text.to_owned(),
            repository: glob(&repository)?,
            tag: glob(tag)?,
        })
    }
}

/// Something that is not here whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Missing {
    /// `repository:tag`, or `repository@digest`.
    pub(super) name: String,
    /// What of it is not here.
    pub(super) digests: Vec<Digest>,
}

/// Where content can be read, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) size: u64,
    /// Of a manifest.
    pub(super) media_type: Option<MediaType>,
    pub(super) namespace: NamespaceId,
    pub(super) repository: RepositoryId,
}

/// All that is to travel.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    pub(super) repositories: Vec<Listed>,
    pub(super) content: BTreeMap<Digest, Found>,
    pub(super) missing: Vec<Missing>,
    /// What must not be evicted meanwhile.
    pub(super) units: Vec<Unit>,
}

/// A walk through one repository.
struct Walk<'a> {
    bundles: &'a Bundles,
    namespace: NamespaceId,
    repository: RepositoryId,
    trees: Trees<'a>,
}

impl Bundles {
    /// Gathers all that the patterns choose.
    ///
    /// # Errors
    /// If a pattern chooses nothing: it is more likely mistyped than meant.
    pub(super) async fn gather(&self, patterns: &[Pattern]) -> Result<Gathered, Error> {
        let mut used: HashSet<&str> = HashSet::new();
        let mut gathered = Gathered::default();
        let mut after = String::new();
        loop {
            let page = self.registry.catalogue(&after, 500).await?;
            for found in page.repositories {
                let Ok(name) = found.full_name().parse::<RepositoryName>() else {
                    continue;
                };
                let is_meant = |it: &&Pattern| it.repository.is_match(name.as_str());
                let choosing: Vec<&Pattern> = patterns.iter().filter(is_meant).collect();
                let roots = self.roots(found.repository, &choosing, &mut used).await?;
                if roots.is_empty() {
                    continue;
                }
                let (namespace, repository) = (found.namespace, found.repository);
                let walk = Walk {
                    bundles: self,
                    namespace,
                    repository,
                    trees: Trees::new(&self.registry, namespace, repository),
                };
                walk.gather(name, roots, &mut gathered).await?;
            }
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        let is_idle = |pattern: &&Pattern| !used.contains(pattern.text.as_str());
        match patterns.iter().find(is_idle) {
            Some(idle) => {
                let text = &idle.text;
                Err(Error::refused(format!("nothing here matches {text}")))
            }
            None => Ok(gathered),
        }
    }

    /// The tags of a repository that patterns choose, which are noted as used.
    async fn roots<'a>(
        &self,
        repository: RepositoryId,
        patterns: &[&'a Pattern],
        used: &mut HashSet<&'a str>,
    ) -> Result<BTreeMap<Tag, Digest>, Error> {
        let mut roots = BTreeMap::new();
        if patterns.is_empty() {
            return Ok(roots);
        }
        for tag in self.registry.all_tags(repository).await? {
            let by = patterns.iter().filter(|it| it.tag.is_match(tag.as_str()));
            let by: Vec<&str> = by.map(|it| it.text.as_str()).collect();
            if by.is_empty() {
                continue;
            }
            used.extend(by);
            let held = self.registry.lookup_tag(repository, &tag).await?;
            roots.extend(held.map(|held| (tag, held.record.digest)));
        }
        Ok(roots)
    }
}

impl Walk<'_> {
    async fn gather(
        mut self,
        name: RepositoryName,
        roots: BTreeMap<Tag, Digest>,
        gathered: &mut Gathered,
    ) -> Result<(), Error> {
        let mut listed = Listed {
            name,
            tags: BTreeMap::new(),
            manifests: Vec::new(),
            absent: Vec::new(),
            removed: Vec::new(),
        };
        let mut here = HashSet::new();
        let mut pending: Vec<(Option<Tag>, Digest)> = Vec::new();
        pending.extend(
            roots
                .into_iter()
                .rev()
                .map(|(tag, digest)| (Some(tag), digest)),
        );
        while let Some((tag, root)) = pending.pop() {
            if tag
                .as_ref()
                .is_some_and(|tag| listed.tags.contains_key(tag))
            {
                continue;
            }
            if !here.contains(&root) {
                let tree = self.trees.below(root).await?;
                if !tree.missing.is_empty() {
                    let name = match &tag {
                        Some(tag) => format!("{}:{tag}", listed.name),
                        None => format!("{}@{root}", listed.name),
                    };
                    let digests = tree.missing;
                    gathered.missing.push(Missing { name, digests });
                    continue;
                }
                let fresh = self.take(tree, &mut here, &mut listed, gathered);
                for digest in fresh {
                    pending.extend(self.belonging(&digest).await?);
                }
            }
            if let Some(tag) = tag {
                listed.tags.insert(tag, root);
            }
        }
        listed.absent.sort_unstable();
        listed.absent.dedup();
        listed.absent.retain(|digest| !here.contains(digest));
        if !listed.manifests.is_empty() {
            gathered.repositories.push(listed);
        }
        Ok(())
    }

    /// Adds a tree to what is gathered; returns the manifests that were not in it before.
    fn take(
        &self,
        tree: Tree,
        here: &mut HashSet<Digest>,
        listed: &mut Listed,
        gathered: &mut Gathered,
    ) -> Vec<Digest> {
        let (namespace, repository) = (self.namespace, self.repository);
        let found = |size, media_type| Found {
            size,
            media_type,
            namespace,
            repository,
        };
        let mut fresh = Vec::new();
        for (digest, record) in tree.manifests {
            if !here.insert(digest) {
                continue;
            }
            listed.manifests.push(digest);
            fresh.push(digest);
            gathered.units.push(Unit {
                namespace,
                repository,
                digest,
            });
            let it = found(record.size_bytes, Some(record.media_type));
            gathered.content.insert(digest, it);
        }
        for (digest, size) in tree.blobs {
            let it = found(size, None);
            gathered.content.entry(digest).or_insert(it);
        }
        listed.absent.extend(tree.absent);
        fresh
    }

    /// What refers to a manifest, and the tags that clients name after it.
    async fn belonging(&self, digest: &Digest) -> Result<Vec<(Option<Tag>, Digest)>, Error> {
        let registry = &self.bundles.registry;
        let mut found = Vec::new();
        for referrer in registry.referrers(self.repository, digest).await? {
            found.push((None, referrer.digest));
        }
        let plain = Tag::of_referrers(digest);
        let signed = COSIGN.iter().map(|suffix| format!("{plain}.{suffix}"));
        let signed = signed.filter_map(|text| text.parse().ok());
        for tag in signed.chain(std::iter::once(plain.clone())) {
            let held = registry.lookup_tag(self.repository, &tag).await?;
            found.extend(held.map(|held| (Some(tag), held.record.digest)));
        }
        Ok(found)
    }
}
