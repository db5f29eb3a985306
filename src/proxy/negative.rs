//! What upstream said it lacks, remembered briefly so that a scan for absent names costs it little.
//!
//! Only a 404 is remembered: refusals and failures never count as absence.

use std::time::Duration;

use moka::sync::Cache;

use crate::model::{NamespaceId, Timestamp};
use crate::oci::{Digest, Reference, RepositoryName};

/// Most absences remembered.
const ENTRIES: u64 = 10_000;

/// Signatures and referrers appear after their image: their absence is believed no longer than this.
const SIGNATURES: Duration = Duration::from_secs(10);

/// Most that the absence of a blob is believed.
const BLOBS: Duration = Duration::from_secs(10);

/// A thing that may be absent.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Absent {
    Manifest(NamespaceId, RepositoryName, Reference),
    Blob(NamespaceId, RepositoryName, Digest),
}

pub(super) struct Negative {
    entries: Cache<Absent, Timestamp>,
}

impl Default for Negative {
    fn default() -> Self {
        Self {
            entries: Cache::new(ENTRIES),
        }
    }
}

impl Negative {
    /// Whether upstream said within `believed` that it lacks this.
    pub(super) fn is_absent(&self, what: &Absent, believed: Duration, now: Timestamp) -> bool {
        let Some(said) = self.entries.get(what) else {
            return false;
        };
        now.since(said) < believed.min(what.longest()) && said <= now
    }

    pub(super) fn note(&self, what: Absent, now: Timestamp) {
        self.entries.insert(what, now);
    }

    pub(super) fn forget(&self, what: &Absent) {
        self.entries.invalidate(what);
    }
}

impl Absent {
    fn longest(&self) -> Duration {
        match self {
            Self::Manifest(_, _, Reference::Tag(tag)) if is_signature(tag.as_str()) => SIGNATURES,
            Self::Manifest(..) => Duration::MAX,
            Self::Blob(..) => BLOBS,
        }
    }
}

/// cosign's `sha256-<hex>.sig`, `.att`, `.sbom`, and the referrers fallback tag.
fn is_signature(tag: &str) -> bool {
    tag.starts_with("sha256-") || tag.starts_with("sha512-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn absence_is_believed_briefly_and_forgotten_on_success() {
        let negative = Negative::default();
        let manifest = |tag: &str| {
            Absent::Manifest(NamespaceId(1), "a".parse().unwrap(), tag.parse().unwrap())
        };
        let believed = Duration::from_secs(30);
        negative.note(manifest("v1"), at(100));
        assert!(negative.is_absent(&manifest("v1"), believed, at(129)));
        assert!(!negative.is_absent(&manifest("v1"), believed, at(130)));
        assert!(!negative.is_absent(&manifest("v2"), believed, at(100)));
        assert!(
            !negative.is_absent(&manifest("v1"), believed, at(50)),
            "the clock was set back"
        );
        negative.forget(&manifest("v1"));
        assert!(!negative.is_absent(&manifest("v1"), believed, at(101)));
        let signature = manifest(&format!("sha256-{}.sig", Digest::of(b"").hex()));
        negative.note(signature.clone(), at(100));
        assert!(!negative.is_absent(&signature, believed, at(110)));
    }
}
