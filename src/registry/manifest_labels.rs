//! Labels of manifests, for people: those that images brought, and those that somebody added.
//!
//! Called by `/api/v1`. What an image says of itself cannot be taken off; what somebody adds may not have
//! one of the prefixes that mean something to others.

use serde_json::json;

use super::told::Told;
use super::{Error, LabelFault, Registry};
use crate::model::{
    LabelMedia, LabelRecord, LabelSource, LogKind, ManifestRecord, Performer, RepositoryId, Uuid,
};
use crate::oci::Digest;
use crate::store::{ReadTx, WriteTx};

/// Labels of a manifest, whoever gave them.
const MOST: usize = 1_000;

/// Longest key and value, in bytes.
const KEY_BYTES: usize = 255;
const VALUE_BYTES: usize = 4_096;

/// What only images may say (Quay: `LABEL_KEY_RESERVED_PREFIXES`).
const RESERVED: [&str; 12] = [
    "com.docker.",
    "io.docker.",
    "org.dockerproject.",
    "org.opencontainers.",
    "io.cncf.",
    "io.kubernetes.",
    "io.k8s.",
    "io.quay",
    "com.coreos",
    "com.tectonic",
    "internal",
    "quay",
];

impl Registry {
    /// The labels of a manifest, in the order of their keys; `None` if the repository does not have it.
    ///
    /// # Errors
    /// The store's.
    pub async fn manifest_labels(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<Vec<(Uuid, LabelRecord)>>, Error> {
        let digest = *digest;
        let read = move |tx: &ReadTx| {
            if !is_live(tx, repository, &digest)? {
                return Ok::<_, Error>(None);
            }
            let mut labels = tx.labels().list(repository, &digest, MOST)?;
            labels.sort_by(|(_, one), (_, other)| one.key.cmp(&other.key));
            Ok(Some(labels))
        };
        self.inner.store.scan(read).await
    }

    /// One label of a manifest.
    ///
    /// # Errors
    /// [`LabelFault::Unknown`] if this manifest of this repository has none of that id (AZ-06).
    pub async fn manifest_label(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        id: Uuid,
    ) -> Result<LabelRecord, Error> {
        let read = |tx: &ReadTx| {
            let label = match is_live(tx, repository, digest)? {
                true => tx.labels().record(repository, digest, id)?,
                false => None,
            };
            label.ok_or(Error::Label(LabelFault::Unknown))
        };
        self.inner.store.read(read).await
    }

    /// Adds a label to a manifest; returns its id.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; [`LabelFault`] if it may not be added.
    pub async fn add_label(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        (key, value, media_type): (&str, &str, LabelMedia),
        by: &Performer,
    ) -> Result<(Uuid, LabelRecord), Error> {
        check(key, value)?;
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
        let id = Uuid::random(bytes);
        let record = LabelRecord {
            key: key.to_owned(),
            value: value.to_owned(),
            media_type,
            source: LabelSource::Api,
        };
        let (digest, by, now) = (*digest, by.clone(), self.inner.clock.now());
        let label = record.clone();
        let add = move |tx: &mut WriteTx<'_>| {
            let told = Told::of(tx, repository)?;
            if !is_live(tx, repository, &digest)? {
                return Err(Error::ManifestUnknown);
            }
            if tx.labels().list(repository, &digest, MOST)?.len() >= MOST {
                return Err(LabelFault::TooMany.into());
            }
            tx.labels().put(repository, &digest, id, &label)?;
            let more = json!({
                "id": id.to_string(),
                "key": label.key,
                "value": label.value,
                "manifest_digest": digest,
                "media_type": label.media_type.as_str(),
                "namespace": told.namespace,
                "repo": told.name,
            });
            let line = told.line(LogKind::ManifestLabelAdd, now, &by, more);
            Ok::<_, Error>(tx.logs().append(&line)?)
        };
        self.inner.store.write(add).await?;
        Ok((id, record))
    }

    /// Takes a label off a manifest.
    ///
    /// # Errors
    /// [`LabelFault::Unknown`]; [`LabelFault::Fixed`] if the image brought it.
    pub async fn delete_label(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        id: Uuid,
        by: &Performer,
    ) -> Result<(), Error> {
        let (digest, by, now) = (*digest, by.clone(), self.inner.clock.now());
        let delete = move |tx: &mut WriteTx<'_>| {
            let told = Told::of(tx, repository)?;
            let label = tx.labels().record(repository, &digest, id)?;
            let label = label.ok_or(Error::Label(LabelFault::Unknown))?;
            if label.source != LabelSource::Api {
                return Err(LabelFault::Fixed.into());
            }
            tx.labels().remove(repository, &digest, id)?;
            let more = json!({
                "id": id.to_string(),
                "key": label.key,
                "value": label.value,
                "manifest_digest": digest,
                "namespace": told.namespace,
                "repo": told.name,
            });
            let line = told.line(LogKind::ManifestLabelDelete, now, &by, more);
            Ok::<_, Error>(tx.logs().append(&line)?)
        };
        self.inner.store.write(delete).await
    }
}

fn is_live(tx: &ReadTx, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
    let record = tx.manifests().record(repository, digest)?;
    Ok(record.as_ref().is_some_and(ManifestRecord::is_live))
}

/// Quay: label keys are those of Docker, without what is reserved.
fn check(key: &str, value: &str) -> Result<(), LabelFault> {
    if !is_key(key) {
        return Err(LabelFault::Key);
    }
    if RESERVED.iter().any(|prefix| key.starts_with(prefix)) {
        return Err(LabelFault::Reserved);
    }
    match value.len() <= VALUE_BYTES {
        true => Ok(()),
        false => Err(LabelFault::Value),
    }
}

/// Quay: `^[a-z0-9](([a-z0-9]|[-.](?![.-]))*[a-z0-9])?$`.
fn is_key(key: &str) -> bool {
    let is_word = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    key.len() <= KEY_BYTES && key.split(['-', '.']).all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_words_joined_by_one_dash_or_dot() {
        for key in ["a", "a.b-c", "0", "maintainer"] {
            assert!(is_key(key), "{key}");
        }
        for key in [
            "",
            ".a",
            "a.",
            "a..b",
            "a-.b",
            "A",
            "a_b",
            "a b",
            &"a".repeat(256),
        ] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn what_others_mean_something_by_is_reserved() {
        for key in [
            "quay.expires-after",
            "org.opencontainers.title",
            "internal.x",
        ] {
            assert_eq!(check(key, ""), Err(LabelFault::Reserved), "{key}");
        }
        assert_eq!(check("org.example", "x"), Ok(()));
        assert_eq!(check("a", &"x".repeat(4_097)), Err(LabelFault::Value));
    }
}
