//! The acts themselves: each is done to the registry, and noted in the book as far as the registry says it is done.

use super::*;
use crate::model::Actor;
use crate::oci::Algorithm;
use crate::registry::{Budget, Condition, Error, Push};

impl World {
    /// Sends what the repository lacks, perhaps by mounting it, and names it.
    pub(super) async fn push(&mut self, placed: &Placed, image: usize, how: usize) {
        let (raw, manifest) = {
            let image = &self.images[image];
            (image.raw.clone(), image.manifest.clone())
        };
        for bytes in self.images[image].blobs.clone() {
            let digest = Digest::of(&bytes);
            let from = self.places[how % self.places.len()].repository;
            let registry = &self.registry;
            if how.is_multiple_of(2) || !registry.mount_blob(from, placed, digest).await.unwrap() {
                let (owner, algorithm) = (Actor::System, Algorithm::Sha256);
                let upload = registry.open_new_upload(placed, &owner, algorithm);
                let mut upload = upload.await.unwrap();
                upload.append(bytes).await.unwrap();
                upload.finish(digest).await.unwrap();
            }
            self.shelf(placed).content.blobs.insert(digest);
        }
        let digest = raw.digest;
        let tag = (!how.is_multiple_of(4)).then(|| format!("t{}", how % 3));
        let push = Push {
            raw,
            manifest,
            tags: tag.iter().map(|tag| tag.parse().unwrap()).collect(),
            by: Performer::SYSTEM,
            condition: Condition::None,
        };
        self.registry.push_manifest(placed, push).await.unwrap();
        let shelf = self.shelf(placed);
        shelf.content.manifests.insert(digest);
        shelf.deleted.remove(&digest);
        if let Some(tag) = tag {
            self.point(placed, &tag, digest);
        }
    }

    /// Has a cache fetch an image, or a part of it.
    pub(super) async fn pull(&mut self, placed: &Placed, image: usize, how: usize) {
        let (raw, manifest, blobs) = {
            let image = &self.images[image];
            (
                image.raw.clone(),
                image.manifest.clone(),
                image.blobs.clone(),
            )
        };
        let (digest, registry) = (raw.digest, self.registry.clone());
        let tag = (!how.is_multiple_of(2)).then(|| format!("t{}", how % 3));
        let named = tag.as_ref().map(|tag| tag.parse().unwrap());
        let held = registry.ingest_manifest(placed, raw, &manifest, named);
        let held = held.await.unwrap();
        self.shelf(placed).content.manifests.insert(digest);
        if let Some(tag) = tag {
            self.point(placed, &tag, digest);
        }
        for bytes in blobs.into_iter().skip(how % 5) {
            let digest = Digest::of(&bytes);
            if !registry.link_held_blob(placed, digest).await.unwrap() {
                let room = bytes.len() as u64;
                let units = [held.unit];
                let reserved = registry.reserve(placed.namespace, room, &units);
                let reserved = reserved.await.unwrap();
                let (mut writer, _) = registry.blobs().begin(&digest).await.unwrap();
                writer.append(bytes).await.unwrap();
                let ingested = registry.ingest_blob(placed, writer, digest, reserved);
                ingested.await.unwrap();
            }
            self.shelf(placed).content.blobs.insert(digest);
        }
        self.clock.advance(Duration::from_secs(1));
    }

    pub(super) async fn mount(&mut self, to: &Placed, step: Step) {
        let from = self.places[step.how % self.places.len()].clone();
        let digest = Digest::of(&self.blob(step.what));
        let mounted = self.registry.mount_blob(from.repository, to, digest);
        if mounted.await.unwrap() {
            assert!(self.shelf(&from).content.blobs.contains(&digest));
            self.shelf(to).content.blobs.insert(digest);
        }
    }

    pub(super) async fn upload(&mut self, placed: &Placed, step: Step) {
        let bytes = self.blob(step.what);
        let sent = step.how * bytes.len() / 60;
        let (owner, algorithm) = (Actor::System, Algorithm::Sha256);
        let upload = self.registry.open_new_upload(placed, &owner, algorithm);
        let mut upload = upload.await.unwrap();
        upload.append(bytes.slice(..sent)).await.unwrap();
        let id = upload.id().as_str().to_owned();
        upload.pause().await.unwrap();
        self.uploads.push(Paused {
            placed: placed.clone(),
            id,
            bytes,
            sent,
            counts: true,
        });
    }

    /// Appends to an upload, and perhaps makes a blob of it.
    pub(super) async fn go_on(&mut self, number: usize, how: usize) {
        let Some(at) = number.checked_rem(self.uploads.len()) else {
            return;
        };
        let mut paused = self.uploads.swap_remove(at);
        let opened = self
            .registry
            .open_upload(&paused.placed, &Actor::System, &paused.id);
        let mut upload = match opened.await {
            Ok(upload) => upload,
            // Without a byte there is no file, and nothing remembers it for long.
            Err(Error::UploadUnknown) if paused.sent == 0 => return,
            Err(error) => panic!("{error}"),
        };
        let ends = how.is_multiple_of(2);
        let left = paused.bytes.len() - paused.sent;
        let to = paused.sent + if ends { left } else { left / 2 };
        upload
            .append(paused.bytes.slice(paused.sent..to))
            .await
            .unwrap();
        if !ends {
            upload.pause().await.unwrap();
            (paused.sent, paused.counts) = (to, true);
            self.uploads.push(paused);
            return;
        }
        let digest = Digest::of(&paused.bytes);
        let is_there = self
            .places
            .iter()
            .any(|it| it.repository == paused.placed.repository);
        match upload.finish(digest).await {
            Ok(()) => _ = self.shelf(&paused.placed).content.blobs.insert(digest),
            Err(Error::NameUnknown) if !is_there => {}
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn cancel(&mut self, number: usize) {
        let Some(at) = number.checked_rem(self.uploads.len()) else {
            return;
        };
        let paused = self.uploads.swap_remove(at);
        let cancel = self
            .registry
            .cancel_upload(&paused.placed, &Actor::System, &paused.id);
        match cancel.await {
            Ok(()) => {}
            Err(Error::UploadUnknown) if paused.sent == 0 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What people do to tags; what they are refused changes nothing.
    pub(super) async fn change_tag(&mut self, act: Act, placed: &Placed, tag: &str, image: usize) {
        let digest = self.images[image].digest();
        let (repository, by) = (placed.repository, Performer::SYSTEM);
        let (registry, name) = (self.registry.clone(), tag.parse().unwrap());
        let done = match act {
            Act::Retag => registry.retag(repository, &name, &digest, &by).await,
            Act::Untag => registry.remove_tag(repository, &name, &by).await,
            Act::Restore => registry.revert_tag(repository, &name, &digest, &by).await,
            Act::Forget => registry.forget_tag(repository, &name, None, &by).await,
            _ => {
                let forget = registry.forget_lifetimes(repository, &name, &digest, &by);
                forget.await
            }
        };
        match done {
            Ok(()) => {}
            Err(Error::ManifestUnknown) => return,
            Err(error) => panic!("{error}"),
        }
        match act {
            Act::Retag => self.point(placed, tag, digest),
            Act::Restore => self.revert(placed, tag, digest),
            Act::Untag | Act::Forget => _ = self.shelf(placed).tags.remove(tag),
            _ => {}
        }
    }

    /// A tag that points there already is left as it is, also one that has ended and nobody has noted it.
    fn revert(&mut self, placed: &Placed, tag: &str, digest: Digest) {
        let before = self.shelf(placed).tags.get(tag);
        if before.is_none_or(|before| before.digest != digest) {
            self.book.revive(placed.repository, digest);
            self.shelf(placed).tags.remove(tag);
            self.point(placed, tag, digest);
        }
    }

    pub(super) async fn expire(&mut self, placed: &Placed, tag: &str, minutes: usize) {
        let (now, by) = (self.clock.now(), Performer::SYSTEM);
        let wanted = now + Duration::from_secs(60 * (minutes as u64 + 1));
        let name = tag.parse().unwrap();
        let told = self
            .registry
            .expire_tag(placed.repository, &name, Some(wanted), &by);
        match told.await {
            Ok(()) => {
                let pointed = self.shelf(placed).tags.get_mut(tag).expect("it is there");
                // No tag lives for less than an hour (`LABELED_EXPIRATION_MINIMUM`).
                pointed.expires = Some(wanted.max(pointed.since + HOUR));
            }
            Err(Error::ManifestUnknown) => {}
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn delete(&mut self, placed: &Placed, image: usize) {
        let digest = self.images[image].digest();
        let delete = self
            .registry
            .delete_manifest(placed, &digest, &Performer::SYSTEM);
        match delete.await {
            Ok(()) => {
                let shelf = self.shelf(placed);
                shelf.tags.retain(|_, pointed| pointed.digest != digest);
                shelf.deleted.insert(digest);
            }
            Err(Error::ManifestUnknown) => {}
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn collect(&self) {
        let report = self.registry.collect(Budget::UNBOUNDED).await.unwrap();
        assert!(report.complete && report.failed == 0, "{report:?}");
    }

    /// Has a cache shrink to a part of what it holds.
    pub(super) async fn evict(&self, namespace: NamespaceId, share: usize) {
        let ledger = self.registry.ledger();
        let most = ledger.held(namespace) * (share as u64) / 60;
        ledger.set_limit(namespace, Some(most));
        self.registry.relieve().await.unwrap();
        assert!(ledger.held(namespace) <= most);
        ledger.set_limit(namespace, None);
    }

    /// Has a cache let go of what an operator names.
    pub(super) async fn let_go(&self, placed: &Placed, image: usize, how: usize) {
        let (namespace, repository) = (placed.namespace, placed.repository);
        let digest = self.images[image].digest();
        let registry = &self.registry;
        match how % 3 {
            0 => {
                let tag = format!("t{}", how / 3 % 3).parse().unwrap();
                let dropped = registry.drop_tag(namespace, repository, &tag);
                dropped.await.unwrap();
            }
            1 => {
                let unit = Unit {
                    namespace,
                    repository,
                    digest,
                };
                registry.drop_manifest(unit).await.unwrap();
            }
            _ => {
                let dropped = registry.drop_repository(namespace, repository);
                dropped.await.unwrap();
            }
        }
    }

    /// Deletes a repository, and makes another one of its name. What the first one held counts until it is purged.
    pub(super) async fn remove(&mut self, at: usize) {
        let Placed {
            namespace,
            repository,
        } = self.places[at];
        let deleted = self
            .registry
            .delete_repository(repository, &Performer::SYSTEM);
        deleted.await.unwrap();
        self.shelf(&self.places[at].clone()).tags.clear();
        self.places[at] = self.make(namespace, at >= 4, at % 2).await;
    }

    pub(super) async fn purge(&mut self) {
        self.registry.purge().await.unwrap();
        let alive: BTreeSet<RepositoryId> = self.places.iter().map(|it| it.repository).collect();
        self.book.shelves.retain(|id, _| alive.contains(id));
    }

    /// The process dies: what is on the disk is what the next one finds.
    pub(super) async fn die(&mut self) {
        let path = |deaths: u32| self.folder.path().join(format!("store-{deaths}.redb"));
        std::fs::copy(path(self.deaths), path(self.deaths + 1)).unwrap();
        self.deaths += 1;
        self.registry = open(self.folder.path(), self.deaths, &self.clock);
        self.reckon().await;
        for paused in &mut self.uploads {
            paused.counts = false;
        }
    }
}
