//! Signatures and attestations come along with what they are of.

use entrepot::oci::Digest;

use super::{HERE, SOURCE, Stage};
use crate::harness::content::{Image, index, referrer, referrers_index};

async fn listed(stage: &Stage, subject: &Digest) -> Vec<String> {
    let answer = stage
        .site
        .get(&format!("/v2/{HERE}/referrers/{subject}"))
        .await;
    let manifests = answer.json()["manifests"].as_array().unwrap().clone();
    let types = manifests
        .iter()
        .map(|it| it["artifactType"].as_str().unwrap().to_owned());
    types.collect()
}

#[tokio::test]
async fn what_the_referrers_api_lists_comes_along() {
    let stage = Stage::new().await;
    let (image, child) = (Image::small(1), Image::small(2));
    stage.origin.push_image(SOURCE, "v1", &image);
    stage.origin.push_untagged(SOURCE, &child);
    let of_child = index(&[(&child, "amd64")]);
    stage.origin.push_manifest(SOURCE, Some("v2"), &of_child);
    stage.origin.push_blob(SOURCE, &"{}".into());
    let signature = referrer(&image.manifest, "application/vnd.test.signature");
    stage.origin.push_manifest(SOURCE, None, &signature);
    stage.origin.push_manifest(
        SOURCE,
        None,
        &referrer(&signature, "application/vnd.test.stamp"),
    );
    stage.origin.push_manifest(
        SOURCE,
        None,
        &referrer(&child.manifest, "application/vnd.test.sbom"),
    );
    stage.run_well().await;
    assert_eq!(
        listed(&stage, &image.digest()).await,
        ["application/vnd.test.signature"]
    );
    assert_eq!(
        listed(&stage, &signature.digest()).await,
        ["application/vnd.test.stamp"]
    );
    assert_eq!(
        listed(&stage, &child.digest()).await,
        ["application/vnd.test.sbom"]
    );
    assert_eq!(stage.names().await, ["v1", "v2"]);
}

/// Images are signed after they are pushed: the next run brings it, though no tag has moved.
#[tokio::test]
async fn a_signature_that_comes_later_is_found() {
    let stage = Stage::new().await;
    let image = Image::small(1);
    stage.origin.push_image(SOURCE, "v1", &image);
    stage.run_well().await;
    stage.origin.push_blob(SOURCE, &"{}".into());
    let signature = referrer(&image.manifest, "application/vnd.test.signature");
    stage.origin.push_manifest(SOURCE, None, &signature);
    let status = stage.run_well().await;
    assert_eq!(status.report.unchanged, 1);
    assert_eq!(listed(&stage, &image.digest()).await.len(), 1);
}

/// Cosign's tags, and the tag that stands for the API, are taken whatever the globs say; not those of tags that are
/// not chosen.
#[tokio::test]
async fn tags_that_belong_to_what_is_copied_come_along() {
    let stage = Stage::new().await;
    stage.origin.without_referrers_api();
    stage
        .decide(|record| record.tags.globs = vec!["v*".to_owned()])
        .await;
    let (image, other) = (Image::small(1), Image::small(2));
    stage.origin.push_image(SOURCE, "v1", &image);
    stage.origin.push_image(SOURCE, "other", &other);
    let name = |image: &Image, end: &str| format!("sha256-{}{end}", image.digest().hex());
    stage
        .origin
        .push_image(SOURCE, &name(&image, ".sig"), &Image::small(3));
    stage
        .origin
        .push_image(SOURCE, &name(&other, ".sig"), &Image::small(4));
    stage.origin.push_blob(SOURCE, &"{}".into());
    let stamp = referrer(&image.manifest, "application/vnd.test.stamp");
    stage.origin.push_manifest(SOURCE, None, &stamp);
    stage
        .origin
        .push_manifest(SOURCE, Some(&name(&image, "")), &referrers_index(&[stamp]));
    stage.run_well().await;
    let expected = [name(&image, ""), name(&image, ".sig"), "v1".to_owned()];
    assert_eq!(stage.names().await, expected);
    assert_eq!(
        listed(&stage, &image.digest()).await,
        ["application/vnd.test.stamp"]
    );
    let status = stage.run_well().await;
    assert_eq!((status.report.unchanged, status.report.ended_tags), (3, 0));
    stage
        .decide(|record| record.options.referrers = false)
        .await;
    assert_eq!(stage.run_well().await.report.ended_tags, 2);
    assert_eq!(stage.names().await, ["v1"]);
}
