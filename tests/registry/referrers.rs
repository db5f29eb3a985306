//! Referrers: the list is what was pushed and not deleted, in whatever order that happened.

use std::collections::BTreeSet;

use entrepot::oci::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::harness::content::{self, Document, Image, OCI_INDEX, OCI_MANIFEST, document};
use crate::harness::local::{Dice, REPOSITORY};
use crate::harness::site::Site;

fn list_path(subject: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/referrers/{subject}")
}

fn manifest_path(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

/// A manifest that refers to `subject`, one of many.
fn referrer(subject: &Document, artifact_type: &str, number: usize) -> Document {
    let base = content::referrer(subject, artifact_type);
    let mut value: Value = serde_json::from_slice(&base.bytes).unwrap();
    value["annotations"] = json!({"number": number.to_string()});
    document(OCI_MANIFEST, &value)
}

/// The descriptors of a list, page by page.
async fn listed(site: &Site, path: &str) -> Vec<Value> {
    let (mut all, mut path) = (Vec::new(), path.to_owned());
    loop {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), OCI_INDEX);
        assert!(answer.body.len() <= 4 << 20);
        let index = answer.json();
        assert_eq!(index["schemaVersion"], 2);
        assert_eq!(index["mediaType"], OCI_INDEX);
        all.extend(index["manifests"].as_array().unwrap().iter().cloned());
        match answer.header("link").split_once('>') {
            Some((next, rel)) => {
                assert_eq!(rel, "; rel=\"next\"");
                next.trim_start_matches('<').clone_into(&mut path);
            }
            None => return all,
        }
    }
}

async fn digests(site: &Site, subject: &Document) -> BTreeSet<String> {
    let all = listed(site, &list_path(subject.digest())).await;
    let digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
    let set: BTreeSet<String> = all.iter().map(digest).collect();
    assert_eq!(set.len(), all.len(), "each once");
    set
}

async fn site() -> Site {
    let site = Site::local().await;
    site.push_blob(REPOSITORY, b"{}").await;
    site
}

/// PR-15: pushes and deletions of subjects and referrers in any order, against a model; and after a
/// restart as before.
#[tokio::test]
async fn any_order_makes_the_same_list() {
    let mut site = site().await;
    let subjects: Vec<Image> = (0..3).map(Image::small).collect();
    for subject in &subjects {
        for blob in subject.blobs() {
            site.push_blob(REPOSITORY, blob).await;
        }
    }
    let referrers: Vec<(usize, Document)> = (0..12)
        .map(|n| (n % 3, referrer(&subjects[n % 3].manifest, "a/b", n)))
        .collect();
    let mut model: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 3];
    let mut dice = Dice::new(15);
    for step in 0..400 {
        let (subject, document) = &referrers[dice.below(referrers.len())];
        let digest = document.digest();
        match dice.below(5) {
            0 | 1 => {
                let reference = match dice.below(2) {
                    0 => digest.to_string(),
                    _ => format!("t{}", dice.below(4)),
                };
                site.push_manifest(REPOSITORY, reference, document).await;
                model[*subject].insert(digest.to_string());
            }
            2 => {
                let known = model[*subject].remove(&digest.to_string());
                let deleted = site.delete(&manifest_path(digest)).await;
                let expected = if known { 202 } else { 404 };
                assert_eq!(deleted.status, expected, "step {step}");
            }
            3 => {
                let image = &subjects[*subject];
                site.push_manifest(REPOSITORY, "subject", &image.manifest)
                    .await;
            }
            _ => {
                let image = &subjects[*subject];
                site.delete(&manifest_path(image.digest())).await;
            }
        }
        if step % 100 == 50 {
            site.restart().await;
        }
        let image = &subjects[*subject];
        let list = digests(&site, &image.manifest).await;
        assert_eq!(list, model[*subject], "step {step}");
    }
}

#[tokio::test]
async fn a_descriptor_tells_of_its_referrer() {
    let site = site().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    let typed = referrer(&image.manifest, "application/x+y", 1);
    let mut by_config: Value = serde_json::from_slice(&typed.bytes).unwrap();
    by_config.as_object_mut().unwrap().remove("artifactType");
    by_config["config"]["mediaType"] = json!("application/of.config");
    let by_config = document(OCI_MANIFEST, &by_config);
    let subject = json!({
        "mediaType": OCI_MANIFEST, "digest": image.digest().to_string(),
        "size": image.manifest.bytes.len(),
    });
    let index = |more: Value| {
        let mut value = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject,
        });
        for (key, entry) in more.as_object().unwrap() {
            value[key] = entry.clone();
        }
        document(OCI_INDEX, &value)
    };
    let plain = index(json!({}));
    let typed_index = index(json!({"artifactType": "a/index"}));
    let all = [
        (&typed, json!("application/x+y"), json!({"number": "1"})),
        (
            &by_config,
            json!("application/of.config"),
            json!({"number": "1"}),
        ),
        (&plain, Value::Null, Value::Null),
        (&typed_index, json!("a/index"), Value::Null),
    ];
    for (document, ..) in &all {
        site.push_manifest(REPOSITORY, document.digest(), document)
            .await;
    }
    let list = listed(&site, &list_path(image.digest())).await;
    assert_eq!(list.len(), 4);
    for (document, artifact_type, annotations) in &all {
        let digest = document.digest().to_string();
        let entry = list.iter().find(|entry| entry["digest"] == digest);
        let entry = entry.unwrap();
        assert_eq!(entry["mediaType"], document.media_type);
        assert_eq!(entry["size"], document.bytes.len());
        assert_eq!(&entry["artifactType"], artifact_type);
        assert_eq!(&entry["annotations"], annotations);
    }
    for (filter, count) in [
        ("application/x+y", 1),
        ("application/x%2By", 1),
        ("application%2Fx%2By", 1),
        ("a/index", 1),
        ("a/none", 0),
        ("application/of.config", 1),
    ] {
        let path = format!("{}?artifactType={filter}", list_path(image.digest()));
        let answer = site.get(&path).await;
        let found = answer.json()["manifests"].as_array().unwrap().len();
        assert_eq!(found, count, "{filter}");
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        let head = site.head(&path).await;
        assert_eq!(head.header("content-length"), answer.body.len().to_string());
    }
    let unfiltered = site.get(&list_path(image.digest())).await;
    assert_eq!(unfiltered.header("oci-filters-applied"), "");
}

#[tokio::test]
async fn a_list_of_nothing_is_empty_and_no_error() {
    let site = site().await;
    let nothing = Digest::of(b"nothing");
    let sha512 = Digest::with(Algorithm::Sha512, b"nothing");
    for path in [
        list_path(nothing),
        list_path(sha512),
        format!("/v2/local/nowhere/referrers/{nothing}"),
    ] {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, 200);
        let empty = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []});
        assert_eq!(answer.json(), empty);
        assert_eq!(answer.header("content-type"), OCI_INDEX);
        assert_eq!(answer.header("link"), "");
    }
    for bad in ["sha256:x", "latest", "md5:00", "sha256:"] {
        let answer = site.get(&list_path(bad)).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(answer.code(), "DIGEST_INVALID");
    }
}

#[tokio::test]
async fn referrers_under_either_algorithm_are_listed_by_it() {
    let site = site().await;
    let image = Image::small(1);
    for blob in image.blobs() {
        site.push_blob(REPOSITORY, blob).await;
    }
    let subject = Digest::with(Algorithm::Sha512, &image.manifest.bytes);
    site.push_manifest(REPOSITORY, subject, &image.manifest)
        .await;
    let base = content::referrer(&image.manifest, "a/b");
    let mut value: Value = serde_json::from_slice(&base.bytes).unwrap();
    value["subject"]["digest"] = json!(subject.to_string());
    let referrer = document(OCI_MANIFEST, &value);
    let digest = Digest::with(Algorithm::Sha512, &referrer.bytes);
    let pushed = site.push_manifest(REPOSITORY, digest, &referrer).await;
    assert_eq!(pushed.header("oci-subject"), subject.to_string());
    let list = listed(&site, &list_path(subject)).await;
    assert_eq!(list[0]["digest"], digest.to_string());
    assert!(listed(&site, &list_path(image.digest())).await.is_empty());
}

/// More than one answer may hold comes in pages, each of at most 4 MiB, filters kept.
#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let site = site().await;
    let image = Image::small(1);
    let mut expected = BTreeSet::new();
    for number in 0..12 {
        let base = referrer(&image.manifest, "a/b+c", number);
        let mut value: Value = serde_json::from_slice(&base.bytes).unwrap();
        value["annotations"]["long"] = json!("x".repeat(700_000));
        let long = document(OCI_MANIFEST, &value);
        site.push_manifest(REPOSITORY, long.digest(), &long).await;
        expected.insert(long.digest().to_string());
    }
    let other = referrer(&image.manifest, "a/other", 99);
    site.push_manifest(REPOSITORY, other.digest(), &other).await;
    let path = format!("{}?artifactType=a/b%2Bc", list_path(image.digest()));
    let list = listed(&site, &path).await;
    let digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
    assert_eq!(list.len(), 12);
    assert_eq!(list.iter().map(digest).collect::<BTreeSet<_>>(), expected);
}

/// SC-362: 404 sends clients to fallback tags, and `OCI-Subject` would keep them from it.
#[tokio::test]
async fn without_the_api_nobody_is_told_of_it() {
    let site = Site::local_with(|config| config.access.referrers = false).await;
    site.push_blob(REPOSITORY, b"{}").await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    let signature = content::referrer(&image.manifest, "a/b");
    let pushed = site
        .push_manifest(REPOSITORY, signature.digest(), &signature)
        .await;
    assert_eq!(pushed.header("oci-subject"), "");
    let list = site.get(&list_path(image.digest())).await;
    assert_eq!(list.status, 404);
}
