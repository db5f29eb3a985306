//! Tools of others read what is written here, write what is read here, and believe it on the far side.

use super::Side;
use crate::harness::clients::cli::Cli;
use crate::harness::clients::source::Source;
use crate::harness::clients::{Client, containerd, digests_in, require};
use crate::harness::images::{Dialect, Image};

const SIGN: &str = "sign --yes --tlog-upload=false --allow-http-registry";
const VERIFY: &str = "verify --insecure-ignore-tlog=true --allow-http-registry";

/// AG-01: skopeo reads a bundle as an archive and unpacked, and what it writes is taken.
#[tokio::test]
async fn skopeo_reads_bundles_and_writes_layouts() {
    let Some([skopeo]) = require([Client::Skopeo]) else {
        return;
    };
    let (one, two) = (Side::new().await, Side::new().await);
    let skopeo = Cli::new(Client::Skopeo, &skopeo);
    let source = Source::image(&Image::for_this_machine("gap", Dialect::Oci, &[30_000]));
    source.write_layout(&skopeo.path("image"), "v1");
    let address = one.server.as_ref().unwrap().address;
    let copy = "copy --src-tls-verify=false --dest-tls-verify=false";
    skopeo
        .does(format!(
            "{copy} oci:image:v1 docker://{address}/local/app:v1"
        ))
        .await;
    one.export(&["local", "-o", "b.tar"]).await;
    let archive = one.path("b.tar").display().to_string();
    skopeo
        .does(format!(
            "{copy} oci-archive:{archive}:local/app:v1 oci:read:v1"
        ))
        .await;
    let folder = skopeo.path("unpacked");
    tar::Archive::new(std::fs::File::open(&archive).unwrap())
        .unpack(&folder)
        .unwrap();
    skopeo
        .does(format!("{copy} oci:unpacked:local/app:v1 oci:again:v1"))
        .await;
    for (number, written) in ["read", "again"].iter().enumerate() {
        let path = skopeo.path(written).display().to_string();
        let into = format!("local/from{number}");
        two.place
            .run_well(&["import", &path, "--into", &into, "--receipt", "receipt"])
            .await;
        let tagged = two.manifest(&into, "v1").await.unwrap();
        assert_eq!(entrepot::oci::Digest::of(&tagged), source.digest());
    }
    let named =
        format!("{copy} oci-archive:{archive}:local/app:v1 oci-archive:made.tar:local/made:v2");
    skopeo.does(named).await;
    let made = skopeo.path("made.tar").display().to_string();
    two.place
        .run_well(&["import", &made, "--receipt", "receipt"])
        .await;
    assert_eq!(two.tags("local/made").await, ["v2"]);
    let unpacked = folder.display().to_string();
    two.place
        .run_well(&["import", &unpacked, "--receipt", "receipt"])
        .await;
    assert_eq!(two.tags("local/app").await, ["v1"]);
}

/// AG-01: containerd takes a bundle as it is, and has its images under their names.
#[tokio::test]
async fn containerd_imports_bundles() {
    let Some([ctr, containerd]) = require([Client::Ctr, Client::Containerd]) else {
        return;
    };
    let one = Side::new().await;
    let source = Source::image(&Image::for_this_machine("gap", Dialect::Oci, &[30_000]));
    source.write_archive(&one.path("image.tar"), "v1");
    let into = ["--into", "local/app", "--receipt", "receipt"];
    one.place
        .run_well(&[&["import", "image.tar"], &into[..]].concat())
        .await;
    one.export(&["local", "-o", "b.tar"]).await;
    let engine = containerd::cli(&ctr, &containerd).await;
    let engine = engine.expect("containerd starts");
    let bundle = one.path("b.tar").display().to_string();
    engine
        .does(format!("images import --snapshotter native {bundle}"))
        .await;
    let known = engine.does("images list name==local/app:v1").await;
    assert!(
        digests_in(&known.stdout).contains(&source.digest()),
        "{known:?}"
    );
}

/// AG-09: a signature by tag and one by reference travel, and are verified where the sender is unknown.
#[tokio::test]
async fn cosign_verifies_on_the_far_side() {
    let Some([cosign, skopeo]) = require([Client::Cosign, Client::Skopeo]) else {
        return;
    };
    let (mut one, two) = (Side::new().await, Side::new().await);
    let skopeo = Cli::new(Client::Skopeo, &skopeo);
    let source = Source::image(&Image::for_this_machine("signed", Dialect::Oci, &[10_000]));
    source.write_layout(&skopeo.path("image"), "v1");
    let address = one.server.as_ref().unwrap().address;
    for name in ["tagged", "referring"] {
        let to = format!("docker://{address}/local/{name}:v1");
        skopeo
            .does(format!("copy --dest-tls-verify=false oci:image:v1 {to}"))
            .await;
    }
    let cosign = Cli::new(Client::Cosign, &cosign)
        .with("COSIGN_PASSWORD", "")
        .with("COSIGN_EXPERIMENTAL", "1");
    cosign.does("generate-key-pair").await;
    let digest = source.digest();
    cosign
        .does(format!(
            "{SIGN} --key cosign.key {address}/local/tagged@{digest}"
        ))
        .await;
    let mode = "--registry-referrers-mode=oci-1-1";
    cosign
        .does(format!(
            "{SIGN} {mode} --key cosign.key {address}/local/referring@{digest}"
        ))
        .await;
    one.export(&["local/*:v1", "-o", "b.tar"]).await;
    one.stop().await;
    two.imports(&one, &["b.tar"], &[]).await;
    let address = two.server.as_ref().unwrap().address;
    cosign
        .does(format!(
            "{VERIFY} --key cosign.pub {address}/local/tagged@{digest}"
        ))
        .await;
    let mode = "--experimental-oci11=true";
    cosign
        .does(format!(
            "{VERIFY} {mode} --key cosign.pub {address}/local/referring@{digest}"
        ))
        .await;
}
