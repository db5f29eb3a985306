//! A repository upstream of many tags that share images, and the mirror of it.

use entrepot::model::{
    MirrorOptions, MirrorRecord, MirrorSource, MirrorStatus, NamespaceId, NamespaceName,
    RepositoryRecord, RepositoryState, RobotRecord, Sealed, TagChoice, Timestamp, Visibility,
};
use entrepot::store::{self, Options, Store, WriteTx};
use tokio::process::Command;

use crate::content::{Blob, MEDIA_TYPE, manifest};
use crate::failure::{Doing as _, Failure, Outcome};
use crate::servers::{LOCAL, Ours, PROGRAM, Settings};
use crate::site::Site;

/// The repository upstream.
pub(super) const SOURCE: &str = "many";
/// Its mirror here, in [`LOCAL`].
const HERE: &str = "mirror";
/// The most images that the tags share.
const IMAGES: u32 = 50;

/// Gives the upstream `tags` tags, of fifty images or as many as there are tags.
pub(super) fn fill(site: &Site, tags: u32) {
    let images = IMAGES.min(tags);
    for number in 0..images {
        let names = (number..tags).step_by(images as usize);
        publish(site, number, names);
    }
    let names: Vec<String> = (0..tags).map(tag).collect();
    let list = serde_json::json!({"name": SOURCE, "tags": names});
    let list = Blob::of(list.to_string().into());
    let path = format!("/v2/{SOURCE}/tags/list");
    site.upstream.add(path, "application/json", &list);
}

/// Has these tags upstream name the image `number`.
pub(super) fn publish(site: &Site, number: u32, tags: impl Iterator<Item = u32>) {
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {}, "number": number,
    });
    let config = Blob::of(config.to_string().into());
    let layer = Blob::small_noise(u64::from(1_000 + number), 4);
    let image = Blob::of(manifest(&config, [&layer].into_iter()).to_string().into());
    for blob in [&config, &layer] {
        site.upstream.add_blob(SOURCE, blob);
    }
    for reference in tags.map(tag).chain([image.digest.to_string()]) {
        let path = format!("/v2/{SOURCE}/manifests/{reference}");
        site.upstream.add(path, MEDIA_TYPE, &image);
    }
}

fn tag(number: u32) -> String {
    format!("v{number}")
}

/// Has the data directory have the mirror; its server does not run.
pub(super) async fn furnish(ours: &Ours, settings: &Settings<'_>) -> Outcome<()> {
    // The first start makes the organisation.
    drop(ours.start(settings).await?);
    let options = Options {
        cache_bytes: 16 << 20,
    };
    let path = ours.data().join("entrepot.redb");
    let store = Store::open(&path, &options, &prometheus::Registry::new());
    let store = store.doing("open the store")?;
    let reference = format!("http://{}/{SOURCE}", settings.upstream);
    let written = store.write(move |tx| write(tx, &reference)).await;
    written.doing("write the mirror")?;
    let closed = store.closed();
    drop(store);
    closed.await;
    Ok(())
}

fn write(tx: &mut WriteTx<'_>, reference: &str) -> Result<(), store::Error> {
    let at = Timestamp::default();
    let name: NamespaceName = LOCAL.parse().expect("a name");
    let (namespace, _): (NamespaceId, _) = tx
        .namespaces()
        .by_name(&name)?
        .expect("the first start made it");
    let robot = tx.robots().create(&RobotRecord {
        namespace,
        name: format!("{LOCAL}+mirror").parse().expect("a robot's name"),
        description: String::new(),
        created: at,
        last_accessed: None,
        token: Sealed(Vec::new()),
        federation: Vec::new(),
    })?;
    let repository = tx.repositories().create(&RepositoryRecord {
        visibility: Visibility::Public,
        state: RepositoryState::Mirror,
        ..RepositoryRecord::new(namespace, HERE.parse().expect("a name"), at)
    })?;
    let record = MirrorRecord {
        enabled: false,
        source: MirrorSource {
            reference: reference.to_owned(),
            username: None,
            password: None,
            verify_tls: true,
            unsigned_images: false,
            http_proxy: None,
            https_proxy: None,
            no_proxy: None,
        },
        tags: TagChoice {
            globs: vec!["*".to_owned()],
            ..TagChoice::default()
        },
        interval_s: 86_400,
        robot: Some(robot),
        deadline_s: 300,
        architectures: Vec::new(),
        options: MirrorOptions::default(),
        created: at,
        configured: false,
    };
    tx.mirrors().put(repository, &record)?;
    tx.mirrors()
        .put_status(repository, &MirrorStatus::new(None))
}

/// Has the running server synchronize the mirror.
pub(super) async fn run(ours: &Ours) -> Outcome<()> {
    let name = format!("{LOCAL}/{HERE}");
    let mut command = Command::new(PROGRAM);
    command
        .args(["mirror", &name, "--config"])
        .arg(ours.config());
    let output = command.output().await.doing("run entrepot mirror")?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(Failure::new(format!("the mirror failed: {said}")))
        }
    }
}
