//! A plan says what a run then takes, and moves no blob.

use super::{SOURCE, Stage};
use crate::harness::content::{Image, index, referrer};

/// Right to 1 %: requests as the source counts them, bytes as the run does.
#[tokio::test]
async fn a_plan_tells_what_the_run_takes() {
    let stage = Stage::new().await;
    for seed in 0..30 {
        let image = Image::with_layers(
            seed % 12,
            &[40_000, 1_000 * usize::try_from(seed % 12).unwrap() + 1],
        );
        stage.origin.push_image(SOURCE, &format!("v{seed}"), &image);
    }
    let (amd, arm) = (Image::small(50), Image::small(51));
    stage.origin.push_untagged(SOURCE, &amd);
    stage.origin.push_untagged(SOURCE, &arm);
    for tag in ["both", "latest"] {
        let both = index(&[(&amd, "amd64"), (&arm, "arm64")]);
        stage.origin.push_manifest(SOURCE, Some(tag), &both);
    }
    stage.origin.push_blob(SOURCE, &"{}".into());
    let signature = referrer(&amd.manifest, "application/vnd.test.signature");
    stage.origin.push_manifest(SOURCE, None, &signature);
    foretold(&stage, 32).await;
    // Once more, with little to do.
    stage
        .origin
        .push_image(SOURCE, "v3", &Image::with_layers(77, &[90_000]));
    stage.origin.untag(SOURCE, "v4");
    let plan = foretold(&stage, 1).await;
    assert_eq!((plan.unchanged, plan.ends.len()), (30, 1));
}

async fn foretold(stage: &Stage, copied: usize) -> entrepot::mirror::Plan {
    let before = stage.names().await;
    let blobs = stage.fetched("blobs");
    let plan = stage.mirrors().plan(stage.repository).await.unwrap();
    assert_eq!(stage.fetched("blobs"), blobs, "no blob has moved");
    assert_eq!(stage.names().await, before, "no tag either");
    assert_eq!(plan.tags.len(), copied);
    let requests = stage.origin.requests().len();
    let status = stage.run_well().await;
    assert_eq!(status.report.copied as usize, copied);
    assert_eq!(status.report.ended_tags as usize, plan.ends.len());
    let requests = (stage.origin.requests().len() - requests) as u64;
    let is_near = |told: u64, taken: u64| told.abs_diff(taken) * 100 <= taken;
    assert!(
        is_near(plan.requests, requests),
        "{} told, {requests} taken",
        plan.requests
    );
    let bytes = status.report.bytes;
    assert!(
        is_near(plan.bytes, bytes),
        "{} told, {bytes} taken",
        plan.bytes
    );
    plan
}

#[tokio::test]
async fn a_plan_tells_which_tags_would_fail_and_why() {
    let stage = Stage::new().await;
    stage.origin.push_image(SOURCE, "good", &Image::small(1));
    stage.origin.push_image(SOURCE, "bad", &Image::small(2));
    let lost = crate::harness::origin::Fault::Status(404, Vec::new(), "{}");
    stage
        .origin
        .always("HEAD", "/v2/team/app/manifests/bad", lost);
    let plan = stage.mirrors().plan(stage.repository).await.unwrap();
    let told: Vec<_> = plan
        .tags
        .iter()
        .map(|tag| (tag.tag.as_str(), tag.failure.is_some()))
        .collect();
    assert_eq!(told, [("bad", true), ("good", false)]);
}
