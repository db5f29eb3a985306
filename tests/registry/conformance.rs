//! The whole conformance suite: nothing fails, nothing is skipped, and it is all of it.

use crate::harness::clients::{Client, require};
use crate::harness::conformance::{Report, Row, Totals, run_suite};
use crate::harness::pushable::{Pushable, Wish};

/// How many checks a whole run has at least: an empty one must not pass.
const CHECKS_1_1: usize = 850;
const CHECKS_DEV: usize = 990;
/// What version 1.1 does not ask for, and sparse manifests, which a run has to ask for.
const NOT_IN_1_1: &[&str] = &[
    "Blob upload cancel",
    "Manifest put with tag params",
    "Sparse Manifests",
    "Tag Param",
    "Tag Param sha512",
];
const WITH_SPARSE: &[(&str, &str)] = &[("OCI_DATA_SPARSE", "true")];

async fn suite(wish: Wish, version: &str, settings: &[(&str, &str)]) -> Option<Report> {
    let [program] = require([Client::Conformance])?;
    let site = Pushable::start(wish).await;
    Some(run_suite(&program, &site, version, settings).await)
}

#[tokio::test]
async fn the_suite_of_1_1_passes_whole_without_login() {
    if let Some(report) = suite(Wish::ANONYMOUS, "1.1", &[]).await {
        report.assert_whole(CHECKS_1_1, NOT_IN_1_1);
    }
}

#[tokio::test]
async fn the_suite_of_1_1_passes_whole_with_login() {
    if let Some(report) = suite(Wish::WITH_LOGIN, "1.1", &[]).await {
        report.assert_whole(CHECKS_1_1, NOT_IN_1_1);
    }
}

#[tokio::test]
async fn the_development_suite_passes_whole_with_sparse_images() {
    let wish = Wish {
        sparse_images: true,
        ..Wish::ANONYMOUS
    };
    if let Some(report) = suite(wish, "dev", WITH_SPARSE).await {
        report.assert_whole(CHECKS_DEV, &[]);
    }
}

#[tokio::test]
async fn the_development_suite_passes_whole_with_login() {
    let wish = Wish {
        sparse_images: true,
        ..Wish::WITH_LOGIN
    };
    if let Some(report) = suite(wish, "dev", WITH_SPARSE).await {
        report.assert_whole(CHECKS_DEV, &[]);
    }
}

/// The sparse index is taken and served; the image without its layer is refused, and only its rows say so.
#[tokio::test]
async fn without_sparse_images_only_the_rows_of_the_sparse_image_do_not_pass() {
    let Some(report) = suite(Wish::ANONYMOUS, "dev", WITH_SPARSE).await else {
        return;
    };
    assert_only_the_sparse_image_is_refused(&report);
    report.assert_not_shortened(CHECKS_DEV, &[]);
}

fn assert_only_the_sparse_image_is_refused(report: &Report) {
    let not_passed = report.not_passed();
    let about = report.about_the_sparse_image();
    let others: Vec<&&Row> = not_passed
        .iter()
        .filter(|row| !about.contains(row))
        .collect();
    assert!(others.is_empty(), "{}", report.tell());
    // The suite counts these as failures: it does not know a refusal from a mistake.
    let Totals {
        failures,
        errors,
        skipped,
        ..
    } = report.totals;
    assert_eq!(failures + skipped, not_passed.len(), "{}", report.tell());
    assert_eq!(errors, 0, "{}", report.tell());
    let mut names: Vec<&str> = not_passed
        .iter()
        .map(|row| row.name.trim_start_matches("OCI Conformance Test/"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ROWS_OF_THE_SPARSE_IMAGE);
}

/// Pushed by digest and tag, listed, asked for by digest and tag, pulled by digest and tag.
const ROWS_OF_THE_SPARSE_IMAGE: [&str; 7] = [
    "sparse/head/manifest-head-by-digest",
    "sparse/head/manifest-head-by-tag",
    "sparse/pull/manifest-by-digest",
    "sparse/pull/manifest-by-tag",
    "sparse/push/manifest-by-digest",
    "sparse/push/manifest-by-tag",
    "sparse/tag-list",
];

/// A few rows of what docker-registry 2.8.2 got from the suite, with the totals of the whole run; long
/// exchanges are cut to requests, statuses and errors.
fn sample() -> Report {
    Report::read(
        include_str!("sample/junit.xml"),
        include_str!("sample/results.yaml"),
    )
}

/// The rows of a sparse image that was refused, and one of the image that was not.
fn sparse_sample(change: impl FnOnce(&str) -> String) -> Report {
    let junit = change(include_str!("sample/sparse.xml"));
    Report::read(&junit, include_str!("sample/results.yaml"))
}

#[test]
fn a_report_is_read_as_the_suite_counted_it() {
    let report = sample();
    let expected = Totals {
        checks: 848,
        failures: 99,
        errors: 0,
        skipped: 44,
        disabled: 2,
    };
    assert_eq!(report.totals, expected);
    let statuses: Vec<&str> = report.rows.iter().map(|row| row.status.as_str()).collect();
    assert_eq!(statuses, ["passed", "failure", "skipped", "skipped"]);
    let not_passed: Vec<&str> = report
        .not_passed()
        .iter()
        .map(|row| row.name.as_str())
        .collect();
    assert_eq!(
        not_passed,
        [
            "OCI Conformance Test/empty/referrers",
            "OCI Conformance Test/sha256 blobs/post only/blob-post-only",
        ],
        "what is disabled was not skipped"
    );
    let findings = &report.rows[1].findings;
    assert!(findings.contains("expected one of [200], received 404\njson:"));
    assert_eq!(report.called("Disabled"), NOT_IN_1_1);
    assert_eq!(report.called("Skip").len(), 3);
}

#[test]
#[should_panic(expected = "failures: 99")]
fn a_report_with_failures_is_not_whole() {
    sample().assert_whole(800, NOT_IN_1_1);
}

#[test]
#[should_panic(expected = "checks: 848")]
fn a_report_with_too_few_checks_is_not_whole() {
    sample().assert_not_shortened(CHECKS_1_1, NOT_IN_1_1);
}

#[test]
fn the_rows_of_a_refused_sparse_image_are_known() {
    assert_only_the_sparse_image_is_refused(&sparse_sample(str::to_owned));
}

#[test]
#[should_panic(expected = "sparse/pull/manifest-by-tag")]
fn a_sparse_index_that_cannot_be_pulled_is_noticed() {
    let index = "/manifests/sparse-index";
    let other = |junit: &str| junit.replace("/manifests/sparse-image", index);
    assert_only_the_sparse_image_is_refused(&sparse_sample(other));
}

#[test]
#[should_panic(expected = "the sparse image alone lacks blobs")]
fn a_refusal_for_another_reason_is_noticed() {
    let other = |junit: &str| junit.replace("MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID");
    assert_only_the_sparse_image_is_refused(&sparse_sample(other));
}
