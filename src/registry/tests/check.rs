//! What a check and a scrub find, and what they repair.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::blob::UploadKey;
use crate::model::TagRecord;
use crate::registry::gc::tests::local::{Image, Site};
use crate::registry::{Budget, Damage, Pace, Rules};

const UNPACED: Pace = Pace {
    bytes_per_second: None,
};

impl Site {
    pub(in crate::registry) async fn checked(&self, repair: Repair) -> Vec<Finding> {
        let mut found = Vec::new();
        let report = self
            .registry
            .check(repair, |finding| found.push(finding.clone()))
            .await
            .unwrap();
        assert_eq!(report.findings, found.len() as u64);
        let repairable = found.iter().filter(|finding| finding.is_repairable());
        let repaired = if repair == Repair::Yes {
            repairable.count()
        } else {
            0
        };
        assert_eq!(report.repaired, repaired as u64);
        found
    }

    fn path(&self, digest: &Digest) -> std::path::PathBuf {
        let hex = digest.hex();
        let folder = self.folder.path().join("data/blobs/sha256");
        folder.join(&hex[..2]).join(hex)
    }
}

#[tokio::test]
async fn a_sound_store_has_no_findings() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    site.push(&placed, &Image::new(&[1, 2]), Some("v1")).await;
    site.push(&placed, &Image::new(&[2, 3]), None).await;
    assert!(site.checked(Repair::No).await.is_empty());
    let report = site.registry.scrub(UNPACED, |_| {}).await.unwrap();
    assert_eq!((report.blobs, report.manifests, report.damaged), (4, 2, 0));
}

/// CR-07, CR-08: rows without files are told, files without rows and of a wrong length go.
#[tokio::test]
async fn rows_and_files_are_compared() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1, 2, 3]);
    site.push(&placed, &image, Some("v1")).await;
    let [gone, short] = [1, 2].map(|layer| Digest::of(&image.blobs[layer]));
    site.registry.blobs().remove(&gone, || {}).await.unwrap();
    std::fs::write(site.path(&short), b"short").unwrap();
    let orphan = Bytes::from_static(b"orphan");
    let orphan_digest = Digest::of(&orphan);
    site.registry
        .blobs()
        .insert(&orphan_digest, &orphan)
        .await
        .unwrap();

    let expected = |found: &[Finding]| {
        let missing = Finding::MissingFile {
            digest: gone,
            size_bytes: image.blobs[1].len() as u64,
        };
        let wrong = Finding::WrongLength {
            digest: short,
            row_bytes: image.blobs[2].len() as u64,
            file_bytes: 5,
        };
        let orphan = Finding::OrphanFile {
            digest: orphan_digest,
            size_bytes: 6,
        };
        found.len() == 3
            && [missing, wrong, orphan]
                .iter()
                .all(|one| found.contains(one))
    };
    assert!(expected(&site.checked(Repair::No).await));
    assert!(
        expected(&site.checked(Repair::Yes).await),
        "telling changed nothing"
    );
    let left = site.checked(Repair::Yes).await;
    assert_eq!(left.len(), 2, "both blobs are absent: {left:?}");
    site.push(&placed, &image, Some("v1")).await;
    assert!(site.checked(Repair::No).await.is_empty(), "a push heals");
}

/// GC-06.
#[tokio::test]
async fn usage_is_counted_anew_and_corrected() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1, 2]);
    site.push(&placed, &image, Some("v1")).await;
    for wrong in [1, 1_000_000] {
        let namespace = site.namespace;
        let spoil = site
            .registry
            .store()
            .write(move |tx| tx.usage().put(namespace, wrong));
        spoil.await.unwrap();
        site.registry.ledger().load(namespace, wrong);
        let found = site.checked(Repair::Yes).await;
        assert!(
            matches!(found[..], [Finding::WrongUsage { stored_bytes, .. }] if stored_bytes == wrong)
        );
        site.assert_accounts().await;
    }
}

#[tokio::test]
async fn counting_with_little_memory_counts_the_same() {
    let site = Site::new().await;
    let (one, other) = (site.place("one").await, site.place("other").await);
    site.push(&one, &Image::new(&[1, 2, 3, 4]), None).await;
    site.push(&other, &Image::new(&[3, 4, 5, 6, 7]), None).await;
    let namespace = site.namespace;
    for most in [1, 2, 3, 7, 100] {
        let counted = site.registry.store().scan(move |tx| {
            Ok::<_, store::Error>((count(tx, namespace, most)?, tx.usage().held(namespace)?))
        });
        let (counted, stored) = counted.await.unwrap();
        assert_eq!(counted, stored, "{most} at a time");
    }
}

#[tokio::test]
async fn what_the_collector_was_not_told_of_is_found_and_collected() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    site.push(&placed, &Image::new(&[1]), None).await;
    site.push(&placed, &Image::new(&[2]), Some("v1")).await;
    site.clock.advance(Duration::from_secs(3600));
    assert!(
        site.checked(Repair::No).await.is_empty(),
        "it is on the agenda"
    );
    let now = site.clock.now();
    let forget = site.registry.store().write(move |tx| {
        for (due, review) in tx.reviews().due(now, None, 100)? {
            tx.reviews().remove(due, &review)?;
        }
        Ok::<_, store::Error>(())
    });
    forget.await.unwrap();
    assert_eq!(
        site.registry
            .collect(Budget::UNBOUNDED)
            .await
            .unwrap()
            .reviewed,
        0
    );
    let found = site.checked(Repair::No).await;
    assert!(
        matches!(found[..], [Finding::Forgotten { .. }]),
        "{found:?}"
    );
    assert_eq!(site.registry.recall_forgotten().await.unwrap(), 1);
    assert_eq!(site.registry.recall_forgotten().await.unwrap(), 0);
    let report = site.registry.collect(Budget::UNBOUNDED).await.unwrap();
    assert_eq!((report.manifests, report.blobs), (1, 1));
    site.assert_accounts().await;
}

#[tokio::test]
async fn a_tag_that_points_to_nothing_is_told() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (repository, digest) = (placed.repository, Digest::of(b"nothing"));
    let tag: Tag = "v1".parse().unwrap();
    let (put, now) = (tag.clone(), site.clock.now());
    let point = site.registry.store().write(move |tx| {
        let record = TagRecord::new(digest, now, crate::model::Actor::System);
        tx.tags().put(repository, &put, &record)
    });
    point.await.unwrap();
    let dangling = Finding::DanglingTag {
        repository,
        tag,
        digest,
    };
    assert_eq!(site.checked(Repair::Yes).await, [dangling]);
}

/// DK-07: one flipped byte is found, and the blob is served to nobody after that.
#[tokio::test]
async fn a_scrub_finds_damage_and_puts_it_away() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1, 2]);
    site.push(&placed, &image, Some("v1")).await;
    let (bytes, digest) = (&image.blobs[1], Digest::of(&image.blobs[1]));
    let mut flipped = bytes.to_vec();
    flipped[7] ^= 1;
    std::fs::write(site.path(&digest), flipped).unwrap();

    let mut told = Vec::new();
    let note = |damage: &Damage| told.push(damage.clone());
    let report = site.registry.scrub(UNPACED, note).await.unwrap();
    assert_eq!((report.damaged, report.absent, report.lost), (1, 0, 1));
    let damage = Damage {
        digest,
        manifest_of: None,
        absent: false,
        lost: true,
    };
    assert_eq!(told, [damage]);
    let names = site.registry.who_has_blob(&digest, 3).await.unwrap();
    assert!(names.len() == 1 && names[0].ends_with("/app"), "{names:?}");
    assert!(!site.path(&digest).exists());
    let report = site.registry.scrub(UNPACED, |_| {}).await.unwrap();
    assert_eq!((report.damaged, report.absent), (0, 1));
    site.push(&placed, &image, Some("v1")).await;
    let report = site.registry.scrub(UNPACED, |_| {}).await.unwrap();
    assert_eq!((report.damaged, report.absent), (0, 0));
}

/// DK-08: it goes on where an earlier one was cut off.
#[tokio::test]
async fn a_scrub_goes_on_behind_its_cursor() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1, 2, 3]);
    site.push(&placed, &image, Some("v1")).await;
    let rows = site.registry.store().scan(|tx| tx.blobs().list(None, 9));
    let second = rows.await.unwrap()[1].0.to_string();
    let note = move |tx: &mut WriteTx<'_>| tx.settings().put_text("registry.scrubbed", &second);
    site.registry.store().write(note).await.unwrap();
    assert_eq!(site.registry.scrub(UNPACED, |_| {}).await.unwrap().blobs, 2);
    assert_eq!(site.registry.scrub(UNPACED, |_| {}).await.unwrap().blobs, 4);
}

#[tokio::test]
async fn uploads_that_rest_for_too_long_are_given_up() {
    let site = Site::new().await;
    let key = UploadKey::from_bytes([7; 16]);
    let algorithm = crate::oci::Algorithm::Sha256;
    let mut upload = site
        .registry
        .blobs()
        .open_upload(&key, algorithm)
        .await
        .unwrap();
    upload.append(Bytes::from_static(b"half")).await.unwrap();
    assert_eq!(upload.pause().await.unwrap(), 4);
    // Files have the time of the disk, which is later than that of this clock.
    let rest = Duration::from_secs(60);
    site.registry.set_rules(Rules {
        upload_expiry: rest,
        ..Rules::default()
    });
    let expired = site.registry.expire_uploads().await.unwrap();
    assert_eq!(expired.uploads, 0);
    site.clock.advance(Duration::from_secs(100 * 365 * 86_400));
    // Whoever wrote the last bytes lets go of the upload a moment after they are written.
    let expiring = async {
        loop {
            let expired = site.registry.expire_uploads().await.unwrap();
            match expired.uploads {
                0 => tokio::task::yield_now().await,
                _ => return expired,
            }
        }
    };
    let expired = tokio::time::timeout(Duration::from_secs(60), expiring);
    let expired = expired.await.expect("it expires");
    assert_eq!((expired.uploads, expired.bytes), (1, 4));
    assert_eq!(site.registry.expire_uploads().await.unwrap().uploads, 0);
}
