//! Tools without an engine push, copy, tag, attach and delete: crane, oras and regctl.

use std::path::PathBuf;

use entrepot::oci::Digest;
use serde_json::Value;

use crate::harness::clients::cli::Cli;
use crate::harness::clients::source::Source;
use crate::harness::clients::{Client, require};
use crate::harness::images::{Dialect, Image, Index};
use crate::harness::pushable::{Pushable, Wish};

async fn stage(client: Client) -> Option<(Pushable, Cli)> {
    let [program]: [PathBuf; 1] = require([client])?;
    let site = Pushable::start(Wish::WITH_LOGIN).await;
    let cli = Cli::new(client, &program);
    if client == Client::Regctl {
        // Its login checks the password, and must know before that there is no TLS.
        let set = format!("registry set {} --tls disabled --skip-check", site.address);
        cli.does(set).await;
    }
    cli.logs_in(&site).await;
    Some((site, cli))
}

fn image() -> Source {
    Source::image(&Image::for_this_machine(
        "tools",
        Dialect::Oci,
        &[10_000, 300_000],
    ))
}

fn index() -> Source {
    Source::index(&Index::new("tools", Dialect::Oci, &[20_000]))
}

/// The one digest that a command printed.
fn printed(stdout: &str) -> Digest {
    stdout.trim().parse().expect("a digest, and nothing else")
}

#[tokio::test]
async fn crane_pushes_copies_tags_and_deletes() {
    let Some((site, crane)) = stage(Client::Crane).await else {
        return;
    };
    let (app, copy) = (site.repository("app"), site.repository("copy"));
    for (tag, source) in [("image", image()), ("index", index())] {
        source.write_layout(&crane.path(tag), tag);
        crane.does(format!("push {tag} {app}:{tag}")).await;
        assert_eq!(site.digest("app", tag).await, Some(source.digest()));
        crane.does(format!("copy {app}:{tag} {copy}:{tag}")).await;
        let said = crane.does(format!("digest {copy}:{tag}")).await;
        assert_eq!(printed(&said.stdout), source.digest());
        crane.does(format!("validate --remote {copy}:{tag}")).await;
    }
    crane.does(format!("tag {app}:index newest")).await;
    assert_eq!(site.digest("app", "newest").await, Some(index().digest()));
    let said = crane.does(format!("ls {app}")).await;
    let mut tags: Vec<&str> = said.stdout.lines().collect();
    tags.sort_unstable();
    assert_eq!(tags, ["image", "index", "newest"]);

    let digest = image().digest();
    crane.does(format!("delete {app}@{digest}")).await;
    assert_eq!(site.digest("app", "image").await, None);
    assert_eq!(site.digest("copy", "image").await, Some(digest));
}

/// What `oras` says that refers to `name`: digest and kind, in the order of its answer.
async fn discovered(oras: &Cli, name: &str) -> Vec<(Digest, String)> {
    let said = oras
        .does(format!("discover --plain-http --format json {name}"))
        .await;
    let list: Value = serde_json::from_str(&said.stdout).expect("JSON was asked for");
    let entries = list["manifests"].as_array().into_iter().flatten();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    entries
        .map(|entry| (printed(&text(entry, "digest")), text(entry, "artifactType")))
        .collect()
}

fn json_digest(stdout: &str) -> Digest {
    let said: Value = serde_json::from_str(stdout).expect("JSON was asked for");
    printed(said["digest"].as_str().unwrap_or_default())
}

/// SC-191: types of their own, for the artifact and for what is in it.
#[tokio::test]
async fn oras_pushes_attaches_discovers_and_copies() {
    let Some((site, oras)) = stage(Client::Oras).await else {
        return;
    };
    let (app, copy) = (site.repository("app"), site.repository("copy"));
    oras.write("notes.txt", "an artifact of its own kind\n");
    oras.write("sbom.json", "{\"components\":[]}\n");
    let options = "--plain-http --no-tty --format json --artifact-type";
    let pushed = oras
        .does(format!(
            "push {options} application/vnd.example.notes {app}:v1 notes.txt:text/x-notes"
        ))
        .await;
    let artifact = json_digest(&pushed.stdout);
    assert_eq!(site.digest("app", "v1").await, Some(artifact));

    let attached = oras
        .does(format!(
            "attach {options} application/vnd.example.sbom {app}:v1 sbom.json:text/x-sbom"
        ))
        .await;
    let kind = "application/vnd.example.sbom".to_owned();
    let expected = vec![(json_digest(&attached.stdout), kind)];
    assert_eq!(discovered(&oras, &format!("{app}:v1")).await, expected);

    let plain = "--from-plain-http --to-plain-http";
    oras.does(format!("copy -r --no-tty {plain} {app}:v1 {copy}:v1"))
        .await;
    assert_eq!(site.digest("copy", "v1").await, Some(artifact));
    assert_eq!(discovered(&oras, &format!("{copy}:v1")).await, expected);

    oras.does(format!("pull --plain-http --no-tty -o back {copy}:v1"))
        .await;
    assert_eq!(oras.read("back/notes.txt"), oras.read("notes.txt"));
}

#[tokio::test]
async fn regctl_uploads_in_chunks_and_copies() {
    let Some((site, regctl)) = stage(Client::Regctl).await else {
        return;
    };
    // Larger blobs than this go up in pieces of that.
    let set = format!(
        "registry set {} --skip-check --blob-max 50000",
        site.address
    );
    regctl.does(format!("{set} --blob-chunk 32768")).await;
    let (app, copy) = (site.repository("app"), site.repository("copy"));

    let blob: Vec<u8> = (0_u32..40_000).flat_map(u32::to_le_bytes).collect();
    std::fs::write(regctl.path("blob"), &blob).unwrap();
    let put = regctl
        .does_with_input(format!("-v trace blob put {app}"), "blob")
        .await;
    assert_eq!(printed(&put.stdout), Digest::of(&blob));
    assert!(put.stderr.matches("PATCH").count() >= 4, "{}", put.stderr);
    let head = format!("blob head {app} {}", Digest::of(&blob));
    let head = regctl.does(head).await;
    assert!(head.stdout.contains(&blob.len().to_string()), "{head:?}");

    for (tag, source) in [("image", image()), ("index", index())] {
        source.write_layout(&regctl.path(tag), tag);
        let push = format!("image copy ocidir://{tag}:{tag} {app}:{tag}");
        regctl.does(push).await;
        assert_eq!(site.digest("app", tag).await, Some(source.digest()));
        regctl
            .does(format!("image copy {app}:{tag} {copy}:{tag}"))
            .await;
        assert_eq!(site.digest("copy", tag).await, Some(source.digest()));
        let pull = format!("image copy {copy}:{tag} ocidir://back:{tag}");
        regctl.does(pull).await;
        let kept = regctl.read(&format!("back/blobs/sha256/{}", source.digest().hex()));
        assert_eq!(Digest::of(&kept), source.digest());
    }
}
