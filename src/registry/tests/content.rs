//! What is kept can be read, by those who may.

use super::*;

#[tokio::test]
async fn an_image_is_read_back_by_tag_and_digest() {
    let site = Site::new().await;
    let placed = site.place("library/alpine").await;
    let image = Image::new(&[layer(1, 100), layer(2, 200)]);
    site.pull(&placed, &image, Some("latest")).await;

    let tag = "latest".parse().unwrap();
    let held = site
        .registry
        .lookup_tag(placed.repository, &tag)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(held.record.digest, image.digest());
    assert!(site.holds_all(&placed, &image).await);
    assert_eq!(site.stored_usage().await, image.size());
    assert_eq!(site.recount().await, image.size());
    assert_eq!(site.registry.ledger().used(site.namespace), image.size());
}

/// AZ-01: bytes that are here are readable only where a row links them.
#[tokio::test]
async fn a_blob_of_one_repository_is_unknown_to_another() {
    let site = Site::new().await;
    let (one, other) = (site.place("one").await, site.place("other").await);
    let image = Image::new(&[layer(1, 100)]);
    site.pull(&one, &image, None).await;
    let digest = Digest::of(&image.blobs[1]);
    assert!(site.holds(&one, digest).await);
    assert!(!site.holds(&other, digest).await);
    assert!(site.registry.link_held_blob(&other, digest).await.unwrap());
    assert!(site.holds(&other, digest).await);
    assert_eq!(
        site.stored_usage().await,
        image.size(),
        "counted once for the namespace"
    );
}

#[tokio::test]
async fn a_moved_tag_leaves_the_old_manifest_by_digest() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (old, new) = (Image::new(&[layer(1, 10)]), Image::new(&[layer(2, 10)]));
    site.pull(&placed, &old, Some("v1")).await;
    site.pull(&placed, &new, Some("v1")).await;
    let tag: Tag = "v1".parse().unwrap();
    let held = site
        .registry
        .lookup_tag(placed.repository, &tag)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(held.record.digest, new.digest());
    assert!(site.holds_all(&placed, &old).await);

    site.registry
        .end_tag(placed.repository, &tag)
        .await
        .unwrap();
    assert!(
        site.registry
            .lookup_tag(placed.repository, &tag)
            .await
            .unwrap()
            .is_none()
    );
    assert!(site.holds_all(&placed, &new).await);
}

/// CR-08: a row whose file is gone counts as absent, and heals when the bytes come again.
#[tokio::test]
async fn a_row_without_its_file_heals() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[layer(1, 100)]);
    site.pull(&placed, &image, None).await;
    let digest = Digest::of(&image.blobs[1]);
    site.registry.blobs().remove(&digest, || {}).await.unwrap();
    assert!(!site.holds(&placed, digest).await);
    assert!(!site.registry.link_held_blob(&placed, digest).await.unwrap());
    site.bring(&placed, &image.blobs[1], &[]).await.unwrap();
    assert!(site.holds(&placed, digest).await);
    assert_eq!(site.stored_usage().await, image.size());
    assert_eq!(site.recount().await, image.size());
}

/// CR-07: files without rows go, files with rows stay.
#[tokio::test]
async fn a_sweep_removes_what_no_row_names() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[layer(1, 100)]);
    site.pull(&placed, &image, None).await;
    let orphan = layer(9, 50);
    site.registry
        .blobs()
        .insert(&Digest::of(&orphan), &orphan)
        .await
        .unwrap();
    let (mut writer, _) = site
        .registry
        .blobs()
        .begin(&Digest::of(&layer(8, 9)))
        .await
        .unwrap();
    writer.append(layer(8, 5)).await.unwrap();
    writer.fail(crate::blob::Keep::Bytes, "cut").await;

    let report = site.registry.sweep(|_| false).await.unwrap();
    assert_eq!(
        (
            report.examined,
            report.removed_files,
            report.removed_partials
        ),
        (3, 1, 1)
    );
    assert!(!site.files().await.contains(&Digest::of(&orphan)));
    assert!(site.holds_all(&placed, &image).await);
}

#[tokio::test]
async fn validations_outlive_a_restart_of_memory() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[]);
    site.pull(&placed, &image, Some("v1")).await;
    let tag: Tag = "v1".parse().unwrap();
    site.registry
        .note_missing(placed.repository, &tag, Timestamp::default())
        .await
        .unwrap();
    site.clock.advance(Duration::from_secs(50));
    site.registry.renew(placed.repository, &tag);
    let now = site.clock.now();
    let held = site
        .registry
        .lookup_tag(placed.repository, &tag)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(held.validated(), now);
    assert_eq!(site.registry.flush_recency().await.unwrap(), 1);
    let (repository, key) = (placed.repository, tag.clone());
    let row = site
        .registry
        .store()
        .read(|tx| tx.tags().current(repository, &key))
        .await;
    let row = row.unwrap().unwrap();
    assert_eq!((row.validated, row.missing_since), (now, None));
}
