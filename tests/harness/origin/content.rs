//! What the server holds.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use entrepot::oci::{Digest, Manifest};

use crate::harness::content::Document;

/// Repositories, files, and how lists are cut.
pub(super) struct Content {
    repositories: HashMap<String, Repository>,
    files: HashMap<String, Bytes>,
    pub(super) page_size: Option<usize>,
    pub(super) has_referrers_api: bool,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            repositories: HashMap::new(),
            files: HashMap::new(),
            page_size: None,
            has_referrers_api: true,
        }
    }
}

#[derive(Default)]
pub(super) struct Repository {
    manifests: HashMap<Digest, Document>,
    pub(super) tags: BTreeMap<String, Digest>,
    pub(super) blobs: HashMap<Digest, Bytes>,
    /// By subject, in order of arrival.
    referrers: HashMap<Digest, Vec<Document>>,
}

impl Content {
    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        document: &Document,
    ) {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        let digest = document.digest();
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest);
        }
        let parsed = Manifest::parse(&document.bytes, None);
        if let Some(subject) = parsed.ok().and_then(|manifest| manifest.subject) {
            repository
                .referrers
                .entry(subject.digest)
                .or_default()
                .push(document.clone());
        }
        repository.manifests.insert(digest, document.clone());
    }

    pub(super) fn untag(&mut self, repository: &str, tag: &str) {
        let repository = self
            .repositories
            .get_mut(repository)
            .expect("it was pushed to");
        repository.tags.remove(tag);
    }

    pub(super) fn put_blob(&mut self, repository: &str, bytes: &Bytes) -> Digest {
        let digest = Digest::of(bytes);
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.blobs.insert(digest, bytes.clone());
        digest
    }

    pub(super) fn put_file(&mut self, path: &str, bytes: &Bytes) {
        self.files.insert(path.to_owned(), bytes.clone());
    }

    pub(super) fn file(&self, path: &str) -> Option<&Bytes> {
        self.files.get(path)
    }

    pub(super) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }
}

impl Repository {
    /// By tag, sha256 or sha512.
    pub(super) fn manifest(&self, reference: &str) -> Option<&Document> {
        if let Some(digest) = self.tags.get(reference) {
            return self.manifests.get(digest);
        }
        let wanted: Digest = reference.parse().ok()?;
        let has_it =
            |document: &&Document| Digest::with(wanted.algorithm(), &document.bytes) == wanted;
        self.manifests.values().find(has_it)
    }

    pub(super) fn referrers(&self, subject: &Digest) -> &[Document] {
        self.referrers.get(subject).map_or(&[], Vec::as_slice)
    }
}
