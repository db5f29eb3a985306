//! What was read becomes visible: every part is looked for, then blobs, manifests and tags are put where
//! they belong, the tags of each repository in one transaction (AG-03).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::json;

use super::export::names;
use super::import::{ImportSummary, Known, Reading};
use super::inventory::{Has, Have, Listed, RECEIPT};
use super::stage::key_of;
use super::{Bundles, Error};
use crate::accounts::NewOrganization;
use crate::model::{NamespaceId, NamespaceName, Performer, RepositoryState, Visibility};
use crate::oci::{Digest, Manifest, RawManifest, RepositoryName, Tag};
use crate::registry::{self, Arrived, Condition, Placed, Push, TagSet};
use crate::store::ReadTx;

/// A repository and what goes into it.
struct Target {
    /// As the sender calls it.
    name: RepositoryName,
    here: RepositoryName,
    namespace: NamespaceName,
    below: RepositoryName,
    /// `None`: an organisation is made.
    id: Option<NamespaceId>,
    arrived: Arrived,
    manifests: Vec<Digest>,
    /// Blobs of those, with their sizes.
    blobs: BTreeMap<Digest, u64>,
    tags: BTreeMap<Tag, Digest>,
    ended: Vec<Tag>,
}

/// What one repository of the description came to.
#[derive(Default)]
struct Checked {
    good: Vec<Digest>,
    blobs: BTreeMap<Digest, u64>,
    /// What is missing, by the manifests that need it.
    bad: HashMap<Digest, BTreeSet<Digest>>,
}

impl Reading<'_> {
    /// Applies what was read, if all of it is here.
    pub(super) async fn apply(
        mut self,
        known: &Known,
    ) -> Result<(ImportSummary, Option<Vec<u8>>), Error> {
        let inventory = &known.inventory;
        self.summary.bundle = known.id.to_string();
        self.summary.by.clone_from(&inventory.by);
        self.summary.sequence = inventory.sequence;
        self.summary.signer = known.signer.map(|signer| signer.to_string());
        if self.options.dry_run {
            return self.foretell(known).await;
        }
        let mut targets = Vec::new();
        let mut missing = BTreeSet::new();
        for listed in &inventory.repositories {
            let checked = self.check(known, listed).await?;
            missing.extend(checked.bad.values().flatten().copied());
            let target = self.target(listed, checked).await?;
            targets.push(target);
        }
        if !missing.is_empty() {
            let reason = self.missing_volumes(known, &missing).await?;
            self.summary.incomplete = Some(reason);
            if !self.options.keep_going {
                return Ok((self.summary, None));
            }
        }
        refuse_conflicts(&targets)?;
        self.bundles.refuse_over_quota(&targets).await?;
        for target in &targets {
            self.bundles.refuse_immutable(target).await?;
        }
        let mut places = Vec::new();
        for target in &targets {
            places.push(self.bundles.put_blobs(target).await?);
        }
        for (target, placed) in targets.iter().zip(&places) {
            self.put_manifests(known, target, placed).await?;
        }
        for (target, placed) in targets.iter().zip(&places) {
            let set = TagSet {
                tags: target.tags.clone().into_iter().collect(),
                ended: target.ended.clone(),
                by: Performer::SYSTEM,
            };
            let done = self
                .bundles
                .registry
                .set_tags(placed.repository, set, target.arrived);
            done.await.map_err(|source| target.failed(source))?;
        }
        self.sum_up(&targets);
        let receipt = self.receipt(known, &targets);
        self.bundles.note_import(known, &self.summary).await?;
        let is_whole = self.summary.incomplete.is_none();
        Ok((self.summary, is_whole.then_some(receipt)))
    }

    fn sum_up(&mut self, targets: &[Target]) {
        let count = |number: usize| number as u64;
        self.summary.repositories = count(targets.len());
        self.summary.tags = targets.iter().map(|target| count(target.tags.len())).sum();
        self.summary.manifests = targets
            .iter()
            .map(|target| count(target.manifests.len()))
            .sum();
        self.summary.removed = self.options.apply_removals;
    }

    /// What a bundle would bring, from its description alone.
    async fn foretell(mut self, known: &Known) -> Result<(ImportSummary, Option<Vec<u8>>), Error> {
        let inventory = &known.inventory;
        let mut missing = BTreeSet::new();
        for content in inventory
            .content
            .iter()
            .filter(|content| !content.is_carried())
        {
            if !self.is_here(&content.digest, content.size).await? {
                missing.insert(content.digest);
            }
        }
        let mut targets = Vec::new();
        for listed in &inventory.repositories {
            let checked = Checked {
                good: listed.manifests.clone(),
                ..Checked::default()
            };
            targets.push(self.target(listed, checked).await?);
        }
        refuse_conflicts(&targets)?;
        for target in &targets {
            self.bundles.refuse_immutable(target).await?;
        }
        if !missing.is_empty() {
            self.summary.incomplete = Some(self.missing_volumes(known, &missing).await?);
        }
        self.sum_up(&targets);
        self.summary.removed = false;
        Ok((self.summary, None))
    }

    /// Looks whether every part of every manifest is here (AG-03).
    async fn check(&mut self, known: &Known, listed: &Listed) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        let listed_here: HashSet<Digest> = listed.manifests.iter().copied().collect();
        let absent: HashSet<Digest> = listed.absent.iter().copied().collect();
        let mut good = HashSet::new();
        for digest in &listed.manifests {
            let Some((_, manifest)) = self.read(known, &listed.name, digest).await? else {
                checked.bad.insert(*digest, BTreeSet::from([*digest]));
                continue;
            };
            let mut lacking = BTreeSet::new();
            for blob in parts(&manifest) {
                let stated = known
                    .content(&blob.0)
                    .filter(|content| content.size == blob.1);
                if stated.is_none() || !self.is_here(&blob.0, blob.1).await? {
                    lacking.insert(blob.0);
                }
            }
            for child in manifest
                .manifests
                .iter()
                .filter(|child| child.media_type.is_manifest())
            {
                let is_good = good.contains(&child.digest)
                    || (absent.contains(&child.digest) && !listed_here.contains(&child.digest));
                if !is_good {
                    let of_child = checked.bad.get(&child.digest).cloned();
                    lacking.extend(of_child.unwrap_or_else(|| BTreeSet::from([child.digest])));
                }
            }
            if lacking.is_empty() {
                good.insert(*digest);
                checked.good.push(*digest);
                checked.blobs.extend(parts(&manifest));
            } else {
                checked.bad.insert(*digest, lacking);
            }
        }
        for (tag, digest) in &listed.tags {
            if let Some(lacking) = checked.bad.get(digest) {
                let name = format!("{}:{tag}", listed.name);
                self.summary
                    .left
                    .push((name, lacking.iter().copied().collect()));
            }
        }
        for (digest, lacking) in &checked.bad {
            if !listed.tags.values().any(|tagged| tagged == digest) {
                let name = format!("{}@{digest}", listed.name);
                self.summary
                    .left
                    .push((name, lacking.iter().copied().collect()));
            }
        }
        Ok(checked)
    }

    async fn read(
        &self,
        known: &Known,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(RawManifest, Manifest)>, Error> {
        let Some(bytes) = self.spool.get(digest).await? else {
            return Ok(None);
        };
        let content = known.content(digest);
        let media_type = content.and_then(|content| content.media_type.as_ref());
        let read = RawManifest::parse_expecting(bytes, media_type, digest);
        let (name, digest) = (name.clone(), *digest);
        read.map(Some).map_err(|reason| Error::Manifest {
            name: Box::new(name),
            digest,
            reason,
        })
    }

    /// Where a repository goes to, and what of it can go.
    async fn target(&mut self, listed: &Listed, checked: Checked) -> Result<Target, Error> {
        let here = self.options.mapping.apply(&listed.name)?;
        let (first, below) = here
            .split_first()
            .unwrap_or_else(|| (here.as_str(), here.clone()));
        let namespace: NamespaceName = first
            .parse()
            .map_err(|error| Error::refused(format!("{here}: {error}")))?;
        let good: HashSet<&Digest> = checked.good.iter().collect();
        let tags = listed
            .tags
            .iter()
            .filter(|(_, digest)| good.contains(digest));
        let tags = tags.map(|(tag, digest)| (tag.clone(), *digest)).collect();
        let removals = listed.removed.iter().map(|tag| format!("{here}:{tag}"));
        self.summary.removals.extend(removals);
        let ended = match self.options.apply_removals {
            true => listed.removed.clone(),
            false => Vec::new(),
        };
        let (id, arrived) = self.bundles.place(&namespace, &below, &here).await?;
        Ok(Target {
            name: listed.name.clone(),
            namespace,
            below,
            here,
            id,
            arrived,
            manifests: checked.good,
            blobs: checked.blobs,
            tags,
            ended,
        })
    }

    async fn put_manifests(
        &self,
        known: &Known,
        target: &Target,
        placed: &Placed,
    ) -> Result<(), Error> {
        let registry = &self.bundles.registry;
        for digest in &target.manifests {
            if registry
                .manifest_record(placed.repository, digest)
                .await?
                .is_some()
            {
                continue;
            }
            let read = self.read(known, &target.name, digest).await?;
            let Some((raw, manifest)) = read else {
                continue;
            };
            let put = match target.arrived {
                Arrived::Cached => registry.adopt_fetched(placed, raw, &manifest).await,
                Arrived::Local => {
                    let push = Push {
                        raw,
                        manifest,
                        tags: Vec::new(),
                        by: Performer::SYSTEM,
                        condition: Condition::None,
                    };
                    registry.push_manifest(placed, push).await
                }
            };
            put.map_err(|source| target.failed(source))?;
        }
        Ok(())
    }

    /// What the sender may leave out the next time.
    fn receipt(&self, known: &Known, targets: &[Target]) -> Vec<u8> {
        let has = targets.iter().map(|target| Has {
            name: target.name.clone(),
            here: (target.here != target.name).then(|| target.here.clone()),
            tags: target.tags.clone(),
        });
        let blobs = known
            .inventory
            .content
            .iter()
            .filter(|content| content.media_type.is_none());
        let have = Have {
            format: RECEIPT.to_owned(),
            by: known.inventory.by.clone(),
            created: self.bundles.registry.clock().now().to_string(),
            bundle: Some(known.id),
            sequence: Some(known.inventory.sequence),
            repositories: has.collect(),
            digests: blobs.map(|content| content.digest).collect(),
        };
        let mut bytes = serde_json::to_vec(&have).expect("names and digests are always JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// Blobs that a registry has to have for a manifest.
fn parts(manifest: &Manifest) -> Vec<(Digest, u64)> {
    let listed = manifest.manifests.iter();
    let listed = listed.filter(|child| !child.media_type.is_manifest() && !child.is_foreign());
    let parts = manifest.held_blobs().chain(listed);
    parts.map(|blob| (blob.digest, blob.size)).collect()
}

/// Two repositories may go to one place, but not two images to one tag.
fn refuse_conflicts(targets: &[Target]) -> Result<(), Error> {
    let mut taken: HashMap<(&RepositoryName, &Tag), (&RepositoryName, &Digest)> = HashMap::new();
    for target in targets {
        for (tag, digest) in &target.tags {
            let key = (&target.here, tag);
            match taken.insert(key, (&target.name, digest)) {
                Some((name, other)) if other != digest => {
                    let here = &target.here;
                    return Err(Error::refused(format!(
                        "{name}:{tag} and {}:{tag} would both be {here}:{tag}",
                        target.name
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

impl Target {
    fn failed(&self, source: registry::Error) -> Error {
        let name = self.here.to_string();
        let source = Box::new(source);
        Error::Applying { name, source }
    }
}

impl Bundles {
    /// The namespace that a repository goes to, if there is one, and how it takes content.
    async fn place(
        &self,
        namespace: &NamespaceName,
        below: &RepositoryName,
        here: &RepositoryName,
    ) -> Result<(Option<NamespaceId>, Arrived), Error> {
        let Some((id, record)) = self.registry.namespace(namespace).await? else {
            return Ok((None, Arrived::Local));
        };
        let made = self
            .registry
            .store()
            .read(move |tx: &ReadTx| tx.proxy_caches().record(id));
        let is_cache = !record.is_local() || made.await?.is_some();
        let arrived = if is_cache {
            Arrived::Cached
        } else {
            Arrived::Local
        };
        let Some(repository) = self.registry.repository(id, below).await? else {
            return Ok((Some(id), arrived));
        };
        let record = self.registry.repository_record(repository).await?;
        if let Some(record) = record {
            // What was pushed stays what was pushed, also where a cache has come beside it.
            if record.fetched != is_cache {
                return Err(Error::refused(format!(
                    "{here} came {}; say with --into or --map where else it is to go",
                    if record.fetched {
                        "from an upstream that is no longer there"
                    } else {
                        "by pushes into a cache"
                    }
                )));
            }
            if record.state != RepositoryState::Normal {
                let state = record.state.as_str();
                return Err(Error::refused(format!(
                    "{here} takes no content: its state is {state}"
                )));
            }
        }
        Ok((Some(id), arrived))
    }

    /// Whether every namespace may hold what is to come (AG-13).
    async fn refuse_over_quota(&self, targets: &[Target]) -> Result<(), Error> {
        let mut blobs: BTreeMap<NamespaceId, BTreeMap<Digest, u64>> = BTreeMap::new();
        for target in targets {
            if let Some(id) = target.id {
                blobs.entry(id).or_default().extend(&target.blobs);
            }
        }
        for (id, blobs) in blobs {
            let bytes = self
                .registry
                .growth(id, blobs.into_iter().collect())
                .await?;
            let target = targets.iter().find(|target| target.id == Some(id));
            // The bytes lie on the disk: only the account is asked.
            let used = self.registry.ledger().used(id);
            let limit = self.registry.ledger().limit(id);
            let is_over = limit.is_some_and(|limit| used.saturating_add(bytes) > limit);
            if is_over && let Some(target) = target {
                if target.arrived == Arrived::Local {
                    return Err(target.failed(registry::Error::QuotaExceeded));
                }
                let reserved = self.registry.reserve(id, bytes, &[]).await;
                reserved.map_err(|source| target.failed(source))?;
            }
        }
        Ok(())
    }

    async fn refuse_immutable(&self, target: &Target) -> Result<(), Error> {
        let Some(repository) = self.find(&target.here).await? else {
            return Ok(());
        };
        let moved = target.tags.iter().map(|(tag, digest)| (tag, Some(*digest)));
        let ended = target.ended.iter().map(|tag| (tag, None));
        for (tag, digest) in moved.chain(ended) {
            let held = self.registry.lookup_tag(repository, tag).await?;
            let is_refused = held
                .is_some_and(|held| held.record.immutable && Some(held.record.digest) != digest);
            if is_refused {
                let (name, tag) = (target.here.to_string(), tag.clone());
                return Err(Error::Immutable { name, tag });
            }
        }
        Ok(())
    }

    /// Makes the repository, private, and gives it its blobs.
    async fn put_blobs(&self, target: &Target) -> Result<Placed, Error> {
        let failed = |source| target.failed(source);
        // Another repository of the bundle may have made it meanwhile.
        let id = match self.registry.namespace(&target.namespace).await? {
            Some((id, _)) => id,
            None => {
                let new = NewOrganization::named(&target.namespace, None);
                self.accounts.create_organization(new).await?
            }
        };
        let placed = match target.arrived {
            Arrived::Local => {
                let by = Performer::SYSTEM;
                let made =
                    self.registry
                        .create_repository(id, &target.below, Visibility::Private, &by);
                made.await.map_err(failed)?
            }
            Arrived::Cached => {
                let repository = self.registry.ensure_repository(id, &target.below).await;
                Placed {
                    namespace: id,
                    repository: repository.map_err(failed)?,
                }
            }
        };
        for digest in target.blobs.keys() {
            let adopted =
                self.registry
                    .adopt_staged(&placed, *digest, key_of(digest), target.arrived);
            if !adopted.await.map_err(failed)? {
                return Err(failed(registry::Error::ManifestBlobUnknown {
                    digest: *digest,
                }));
            }
        }
        Ok(placed)
    }

    /// Notes what was taken: the number that nothing older may follow, and a line of the hand-overs.
    async fn note_import(&self, known: &Known, summary: &ImportSummary) -> Result<(), Error> {
        let line = json!({
            "time": self.registry.clock().now().to_string(),
            "act": "import",
            "bundle": summary.bundle,
            "sequence": summary.sequence,
            "by": summary.by,
            "key": summary.signer,
            "volumes": known.inventory.volumes,
            "complete": summary.incomplete.is_none(),
            "repositories": names(&known.inventory),
        });
        let (folder, signer, sequence) = (self.folder.clone(), known.signer, summary.sequence);
        self.blocking(move || {
            if let Some(signer) = signer {
                folder.keep_received(signer, sequence)?;
            }
            folder.note(&line)
        })
        .await
    }
}
