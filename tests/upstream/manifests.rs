//! Manifests as they should come, and as they must not.

use entrepot::oci::{Algorithm, Digest, ManifestKind, MediaType, limits};
use entrepot::upstream::{Error, FailureKind};

use super::{Setup, name, reference};
use crate::harness::content::{Document, Image, OCI_MANIFEST, index};
use crate::harness::origin::{Fault, Origin};
use crate::harness::soon;

const PATH: &str = "/v2/org/app/manifests/";

async fn origin(image: &Image) -> Origin {
    let origin = Origin::start().await;
    origin.push_image("org/app", "latest", image);
    origin
}

#[tokio::test]
async fn every_kind_of_manifest_arrives_as_it_is() {
    let (oci, docker) = (Image::small(1), Image::docker(2));
    let origin = origin(&oci).await;
    origin.push_image("org/app", "docker", &docker);
    let both = index(&[(&oci, "amd64"), (&docker, "arm64")]);
    origin.push_manifest("org/app", Some("index"), &both);
    let upstream = Setup::of(&origin).build();
    for (tag, document, kind) in [
        ("latest", &oci.manifest, ManifestKind::Image),
        ("docker", &docker.manifest, ManifestKind::Image),
        ("index", &both, ManifestKind::Index),
    ] {
        let (raw, manifest) = upstream
            .fetch_manifest(&name("org/app"), &reference(tag))
            .await
            .unwrap();
        assert_eq!(raw.bytes, document.bytes);
        assert_eq!(raw.digest, document.digest());
        assert_eq!(raw.media_type.as_str(), document.media_type);
        assert_eq!(manifest.kind, kind);
    }
}

/// The same Accept whatever a client said, and no compression.
#[tokio::test]
async fn every_manifest_request_accepts_the_same() {
    let origin = origin(&Image::small(1)).await;
    let upstream = Setup::of(&origin).build();
    upstream
        .fetch_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
    upstream
        .head_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
    let (get, head) = (origin.last("GET", PATH), origin.last("HEAD", PATH));
    assert_eq!(get.header("accept"), head.header("accept"));
    let accept = get.header("accept").unwrap();
    let kinds = [
        MediaType::OCI_INDEX,
        MediaType::OCI_MANIFEST,
        MediaType::DOCKER_LIST,
        MediaType::DOCKER_MANIFEST,
    ];
    assert!(
        kinds.iter().all(|kind| accept.contains(kind.as_str())),
        "{accept}"
    );
    assert!(accept.ends_with("*/*;q=0.1"), "{accept}");
    assert_eq!(get.header("accept-encoding").unwrap(), "identity");
    assert!(get.header("user-agent").unwrap().starts_with("entrepot/"));
}

#[tokio::test]
async fn a_head_tells_digest_type_and_size() {
    let image = Image::small(1);
    let origin = origin(&image).await;
    let upstream = Setup::of(&origin).build();
    let head = upstream
        .head_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
    assert_eq!(head.digest, Some(image.digest()));
    assert_eq!(head.media_type, Some(MediaType::OCI_MANIFEST));
    assert_eq!(head.size_bytes, Some(image.manifest.bytes.len() as u64));
    assert_eq!(origin.count("GET", PATH), 0);
}

/// Red Hat, old Nexus and Harbor leave headers out or send nonsense.
#[tokio::test]
async fn a_head_without_its_headers_is_still_an_answer() {
    let origin = origin(&Image::small(1)).await;
    let without = vec![
        ("Docker-Content-Digest", None),
        ("Content-Type", None),
        ("Content-Length", Some("0".to_owned())),
    ];
    origin.always("HEAD", PATH, Fault::Headers(without));
    let upstream = Setup::of(&origin).build();
    let head = upstream
        .head_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
    assert_eq!(
        (head.digest, head.media_type, head.size_bytes),
        (None, None, None)
    );
}

#[tokio::test]
async fn a_manifest_by_digest_is_verified_under_its_own_algorithm() {
    let image = Image::small(1);
    let origin = origin(&image).await;
    let upstream = Setup::of(&origin).build();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::with(algorithm, &image.manifest.bytes);
        let by_digest = reference(&digest.to_string());
        let (raw, _) = upstream
            .fetch_manifest(&name("org/app"), &by_digest)
            .await
            .unwrap();
        assert_eq!(raw.digest, digest);
        origin.once("GET", PATH, Fault::WrongBytes);
        let error = upstream
            .fetch_manifest(&name("org/app"), &by_digest)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Digest { .. }), "{error}");
        assert_eq!(error.kind(), FailureKind::Digest);
    }
}

#[tokio::test]
async fn by_tag_the_body_decides_and_not_the_header() {
    let image = Image::small(1);
    let origin = origin(&image).await;
    let lie = Some(Digest::of(b"something else").to_string());
    origin.always(
        "GET",
        PATH,
        Fault::Headers(vec![("Docker-Content-Digest", lie)]),
    );
    let upstream = Setup::of(&origin).build();
    let (raw, _) = upstream
        .fetch_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
    assert_eq!(raw.digest, image.digest());
}

#[tokio::test]
async fn generic_content_types_do_not_hide_a_manifest() {
    let origin = origin(&Image::small(1)).await;
    let upstream = Setup::of(&origin).build();
    for value in [
        Some("text/plain; charset=utf-8"),
        Some("application/octet-stream"),
        None,
    ] {
        let value = value.map(str::to_owned);
        origin.once("GET", PATH, Fault::Headers(vec![("Content-Type", value)]));
        let (raw, _) = upstream
            .fetch_manifest(&name("org/app"), &reference("latest"))
            .await
            .unwrap();
        assert_eq!(raw.media_type, MediaType::OCI_MANIFEST);
    }
}

/// CA-05: a captive portal's page, an encoded body.
#[tokio::test]
async fn pages_and_encoded_bodies_are_refused() {
    let origin = origin(&Image::small(1)).await;
    let upstream = Setup::of(&origin).build();
    for (fault, kind) in [
        (Fault::Html, FailureKind::Invalid),
        (Fault::Gzip, FailureKind::Encoded),
        (Fault::Status(200, vec![], "{}"), FailureKind::Invalid),
        (Fault::Status(204, vec![], ""), FailureKind::Invalid),
    ] {
        origin.once("GET", PATH, fault);
        let error = upstream
            .fetch_manifest(&name("org/app"), &reference("latest"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.is_outage() && !error.is_absent());
    }
    origin.once("HEAD", PATH, Fault::Html);
    let error = upstream
        .head_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Invalid);
}

/// DO-02: announced or not, no more than 4 MiB are read.
#[tokio::test]
async fn endless_and_oversized_manifests_are_cut_off() {
    let origin = origin(&Image::small(1)).await;
    let large = Document {
        bytes: vec![b' '; limits::MANIFEST_BYTES + 1].into(),
        media_type: OCI_MANIFEST,
    };
    origin.push_manifest("org/app", Some("large"), &large);
    let setup = Setup::of(&origin);
    let upstream = setup.build();
    origin.once("GET", "/v2/org/app/manifests/latest", Fault::Endless);
    for tag in ["latest", "large"] {
        let (repository, tag) = (name("org/app"), reference(tag));
        let work = upstream.fetch_manifest(&repository, &tag);
        let error = soon("a refusal", work).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::TooLarge, "{error}");
    }
    assert_eq!(
        setup.metric(
            "entrepot_upstream_requests_total",
            &["manifest", "too_large"]
        ),
        2.0
    );
}

#[tokio::test]
async fn only_a_404_is_absence() {
    let origin = origin(&Image::small(1)).await;
    let upstream = Setup::of(&origin).build();
    let error = upstream
        .head_manifest(&name("org/app"), &reference("none"))
        .await
        .unwrap_err();
    assert!(error.is_absent());
    let error = upstream
        .fetch_manifest(&name("no/such"), &reference("none"))
        .await
        .unwrap_err();
    assert!(error.is_absent());
    for (status, kind) in [
        (400, FailureKind::Invalid),
        (401, FailureKind::Unauthorized),
        (403, FailureKind::Denied),
        (405, FailureKind::Invalid),
        (410, FailureKind::Invalid),
        (418, FailureKind::Invalid),
        (304, FailureKind::Invalid),
    ] {
        origin.once("HEAD", PATH, Fault::Status(status, vec![], ""));
        let error = upstream
            .head_manifest(&name("org/app"), &reference("latest"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert!(!error.is_absent() && !error.is_outage(), "{status}");
    }
}
