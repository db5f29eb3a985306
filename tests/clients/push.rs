//! Clients push what they hold, and it is there byte for byte: the digest they know is the registry's.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use entrepot::oci::Digest;

use crate::harness::clients::cli::Cli;
use crate::harness::clients::source::Source;
use crate::harness::clients::{Client, containerd, digests_in, docker, require};
use crate::harness::images::{Dialect, Image, Index};
use crate::harness::pushable::{Pushable, Wish};

/// An image of OCI's types, one of Docker's, and an OCI index of two platforms.
static CONTENT: LazyLock<(Image, Image, Index)> = LazyLock::new(|| {
    (
        Image::for_this_machine("pushed", Dialect::Oci, &[30_000, 300_000]),
        Image::for_this_machine("pushed", Dialect::Docker, &[20_000, 200_000]),
        Index::new("pushed", Dialect::Oci, &[100_000, 10_000]),
    )
});

fn image() -> Source {
    Source::image(&CONTENT.0)
}

fn docker_image() -> Source {
    Source::image(&CONTENT.1)
}

fn index() -> Source {
    Source::index(&CONTENT.2)
}

async fn stage<const N: usize>(clients: [Client; N]) -> Option<(Pushable, [PathBuf; N])> {
    let programs = require(clients)?;
    Some((Pushable::start(Wish::WITH_LOGIN).await, programs))
}

/// A client that is logged in.
async fn client_of(client: Client, program: &Path, site: &Pushable) -> Cli {
    let cli = Cli::new(client, program);
    cli.logs_in(site).await;
    cli
}

#[tokio::test]
async fn skopeo_copies_all_platforms_and_docker_manifests() {
    let Some((site, [program])) = stage([Client::Skopeo]).await else {
        return;
    };
    let skopeo = client_of(Client::Skopeo, &program, &site).await;
    let app = site.repository("app");
    index().write_layout(&skopeo.path("index"), "v1");
    docker_image().write_folder(&skopeo.path("docker"));
    let sources = [
        ("oci:index:v1", "index", index()),
        ("dir:docker", "docker", docker_image()),
    ];
    for (from, tag, source) in sources {
        let to = format!("docker://{app}:{tag}");
        let copy = format!("copy --all --dest-tls-verify=false {from} {to}");
        skopeo.does(copy).await;
        assert_eq!(site.digest("app", tag).await, Some(source.digest()));

        let copy = format!("copy --all --src-tls-verify=false {to} dir:back-{tag}");
        skopeo.does(copy).await;
        let back = skopeo.read(&format!("back-{tag}/manifest.json"));
        assert_eq!(Digest::of(&back), source.digest());
    }
}

#[tokio::test]
async fn skopeo_syncs_every_tag_and_deletes() {
    let Some((site, [program])) = stage([Client::Skopeo]).await else {
        return;
    };
    let skopeo = client_of(Client::Skopeo, &program, &site).await;
    let app = site.repository("app");
    image().write_layout(&skopeo.path("image"), "v1");
    index().write_layout(&skopeo.path("index"), "v1");
    for (from, tag) in [("oci:image:v1", "image"), ("oci:index:v1", "index")] {
        let copy = format!("copy --all --dest-tls-verify=false {from} docker://{app}:{tag}");
        skopeo.does(copy).await;
    }
    let synced = site.repository("synced");
    let plain = "--src-tls-verify=false --dest-tls-verify=false";
    let sync = format!("sync --all --src docker --dest docker {plain} {app} {synced}");
    skopeo.does(sync).await;
    assert_eq!(site.tags("synced/app").await, ["image", "index"]);
    for (tag, source) in [("image", image()), ("index", index())] {
        assert_eq!(site.digest("synced/app", tag).await, Some(source.digest()));
    }

    let delete = format!("delete --tls-verify=false docker://{app}:image");
    skopeo.does(delete).await;
    assert_eq!(site.digest("app", "image").await, None);
    assert_eq!(site.digest("app", "index").await, Some(index().digest()));
    let synced = site.digest("synced/app", "image").await;
    assert_eq!(synced, Some(image().digest()), "the other repository's");
}

/// What `engine` knows the pulled image by.
async fn pulls(engine: &Cli, list: &str, name: &str) -> Vec<Digest> {
    engine.does(format!("pull --tls-verify=false {name}")).await;
    let shown = engine.does(format!("{list} {name}")).await;
    digests_in(&shown.stdout)
}

/// The image's number in the engine's own storage.
async fn loads(engine: &Cli) -> String {
    image().write_layout(&engine.path("image"), "v1");
    let loaded = engine.does("pull oci:image:v1").await;
    let id = loaded.stdout.lines().last().expect("the image's number");
    id.to_owned()
}

async fn an_engine_pushes_an_image_and_a_list(client: Client, list: &str) {
    let Some((site, [program])) = stage([client]).await else {
        return;
    };
    let engine = client_of(client, &program, &site).await;
    let app = site.repository("app");
    let id = loads(&engine).await;
    let push = "push --tls-verify=false --digestfile";
    engine
        .does(format!("{push} pushed {id} docker://{app}:image"))
        .await;

    index().write_layout(&engine.path("index"), "v1");
    engine.does("manifest create many").await;
    engine.does("manifest add --all many oci:index:v1").await;
    engine
        .does(format!(
            "manifest {push} pushed-list --all many docker://{app}:list"
        ))
        .await;

    let other = client_of(client, &program, &site).await;
    for (tag, file) in [("image", "pushed"), ("list", "pushed-list")] {
        let pushed = engine.digest_in(file);
        assert_eq!(site.digest("app", tag).await, Some(pushed));
        let known = pulls(&other, list, &format!("{app}:{tag}")).await;
        assert!(known.contains(&pushed), "{tag}: {pushed} in {known:?}");
    }
    let manifests = &site.document("app", "list").await["manifests"];
    assert_eq!(manifests.as_array().map(Vec::len), Some(2), "{manifests}");
}

/// SC-195: the layers are zstd's, and come back as such.
async fn an_engine_pushes_zstd(client: Client, list: &str) {
    let Some((site, [program])) = stage([client]).await else {
        return;
    };
    let engine = client_of(client, &program, &site).await;
    let app = site.repository("app");
    let id = loads(&engine).await;
    let push = "push --tls-verify=false --compression-format zstd --digestfile pushed";
    engine
        .does(format!("{push} {id} docker://{app}:zstd"))
        .await;
    let layers = site.document("app", "zstd").await["layers"].clone();
    let types: Vec<&str> = layers
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|layer| layer["mediaType"].as_str())
        .collect();
    assert_eq!(types, ["application/vnd.oci.image.layer.v1.tar+zstd"; 2]);

    let other = client_of(client, &program, &site).await;
    let known = pulls(&other, list, &format!("{app}:zstd")).await;
    assert!(known.contains(&engine.digest_in("pushed")), "{known:?}");
}

#[tokio::test]
async fn podman_pushes_an_image_and_a_manifest_list() {
    an_engine_pushes_an_image_and_a_list(Client::Podman, "images --format json").await;
}

#[tokio::test]
async fn buildah_pushes_an_image_and_a_manifest_list() {
    an_engine_pushes_an_image_and_a_list(Client::Buildah, "images --json").await;
}

#[tokio::test]
async fn podman_pushes_zstd() {
    an_engine_pushes_zstd(Client::Podman, "images --format json").await;
}

#[tokio::test]
async fn buildah_pushes_zstd() {
    an_engine_pushes_zstd(Client::Buildah, "images --json").await;
}

#[tokio::test]
async fn docker_pushes_and_pulls() {
    let needed = [Client::Docker, Client::Dockerd, Client::Containerd];
    let Some((site, [program, dockerd, _])) = stage(needed).await else {
        return;
    };
    let engine = docker::cli(&program, &dockerd).await;
    let engine = engine.expect("dockerd starts");
    engine.logs_in(&site).await;
    let app = site.repository("app");
    let [_, layer, _] = CONTENT.0.blobs() else {
        panic!("an image of two layers has three blobs");
    };
    std::fs::write(engine.path("layer.tar.gz"), &layer.bytes).unwrap();
    engine.does(format!("import layer.tar.gz {app}:v1")).await;
    let pushed = engine.does(format!("push {app}:v1")).await;
    let digest = site.digest("app", "v1").await.expect("it was pushed");
    assert!(digests_in(&pushed.stdout).contains(&digest), "{pushed:?}");

    engine.does(format!("image rm {app}:v1")).await;
    let pulled = engine.does(format!("pull {app}:v1")).await;
    assert!(digests_in(&pulled.stdout).contains(&digest), "{pulled:?}");
}

#[tokio::test]
async fn ctr_pushes_images_and_indexes() {
    let needed = [Client::Ctr, Client::Containerd];
    let Some((site, [program, containerd])) = stage(needed).await else {
        return;
    };
    let engine = containerd::cli(&program, &containerd).await;
    let engine = engine.expect("containerd starts");
    let app = site.repository("app");
    let login = site.login();
    let login = format!("--plain-http --user {}:{}", login.user, login.password);
    for (tag, source) in [("image", image()), ("index", index())] {
        source.write_archive(&engine.path(tag), tag);
        let import = "images import --all-platforms --no-unpack --base-name";
        engine.does(format!("{import} {app} {tag}")).await;
        let name = format!("{app}:{tag}");
        engine.does(format!("images push {login} {name}")).await;
        assert_eq!(site.digest("app", tag).await, Some(source.digest()));

        engine.does(format!("images remove --sync {name}")).await;
        let pull = format!("images pull --snapshotter native {login} {name}");
        engine.does(pull).await;
        let known = engine.does(format!("images list name=={name}")).await;
        assert!(digests_in(&known.stdout).contains(&source.digest()));
    }
}
