//! A mirror of a thousand tags of which none has changed: what a look costs, beside `skopeo sync` of the same set.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use entrepot::model::{
    MirrorOptions, MirrorRecord, MirrorSource, MirrorStatus, NamespaceId, NamespaceName,
    RepositoryRecord, RepositoryState, RobotRecord, Sealed, TagChoice, Timestamp, Visibility,
};
use entrepot::store::{self, Options, Store, WriteTx};

use crate::content::{Blob, MEDIA_TYPE, manifest};
use crate::failure::{Doing as _, Failure, Outcome};
use crate::measure::Spread;
use crate::report::Line;
use crate::servers::{LOCAL, Ours, PROGRAM, Settings};
use crate::site::Site;

/// Tags, and the images that they share.
const TAGS: u32 = 1_000;
const IMAGES: u32 = 50;

/// The repository upstream, and here.
const SOURCE: &str = "many";
const HERE: &str = "mirror";

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    fill(site);
    let ours = Ours::new(site.folder("mirror"))?;
    let settings = Settings::local(site.upstream.address());
    // The first start makes the organisation.
    drop(ours.start(&settings).await?);
    furnish(&ours, site).await?;
    let server = ours.start(&settings).await?;
    let config = site.folder("mirror").join("config.yaml");
    run(&config)?;
    let mut taken = Vec::new();
    for _ in 0..site.options.rounds {
        let before = server.process.cpu()?;
        run(&config)?;
        taken.push(server.process.cpu()?.since(&before));
    }
    let mut beside = Vec::new();
    match skopeo(site, server.target.address)? {
        Some(theirs) => beside.push(format!("skopeo sync {} ms", millis(&theirs).show(0))),
        None => beside.push("skopeo is not installed".to_owned()),
    }
    Ok(vec![Line {
        what: format!("run of a mirror, {TAGS} tags that did not change, CPU"),
        measured: format!("{} ms", millis(&taken).show(0)),
        budget: "",
        is_met: None,
        beside,
    }])
}

fn millis(times: &[Duration]) -> Spread {
    Spread::over(times.iter().map(|time| time.as_secs_f64() * 1e3))
}

/// Gives the upstream the images and the tags.
fn fill(site: &Site) {
    let names: Vec<String> = (0..TAGS).map(|number| format!("v{number}")).collect();
    for number in 0..IMAGES {
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {}, "number": number,
        });
        let config = Blob::of(config.to_string().into());
        let layer = Blob::small_noise(u64::from(1_000 + number), 4);
        let image = Blob::of(manifest(&config, [&layer].into_iter()).to_string().into());
        for blob in [&config, &layer] {
            site.upstream.add_blob(SOURCE, blob);
        }
        let tags = names.iter().skip(number as usize).step_by(IMAGES as usize);
        let references = tags.cloned().chain([image.digest.to_string()]);
        for reference in references {
            let path = format!("/v2/{SOURCE}/manifests/{reference}");
            site.upstream.add(path, MEDIA_TYPE, &image);
        }
    }
    let list = serde_json::json!({"name": SOURCE, "tags": names});
    let list = Blob::of(list.to_string().into());
    let path = format!("/v2/{SOURCE}/tags/list");
    site.upstream.add(path, "application/json", &list);
}

/// Has the data directory have the mirror; its server does not run.
async fn furnish(ours: &Ours, site: &Site) -> Outcome<()> {
    let options = Options {
        cache_bytes: 16 << 20,
    };
    let path = ours.data().join("entrepot.redb");
    let store = Store::open(&path, &options, &prometheus::Registry::new());
    let store = store.doing("open the store")?;
    let reference = format!("http://{}/{SOURCE}", site.upstream.address());
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
fn run(config: &Path) -> Outcome<()> {
    let name = format!("{LOCAL}/{HERE}");
    let mut command = Command::new(PROGRAM);
    command.args(["mirror", &name, "--config"]).arg(config);
    let output = command.output().doing("run entrepot mirror")?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(Failure::new(format!("the mirror failed: {said}")))
        }
    }
}

/// CPU of `skopeo sync` into a registry that has everything already; `None` without skopeo.
fn skopeo(site: &Site, to: SocketAddr) -> Outcome<Option<Vec<Duration>>> {
    let source = format!("{}/{SOURCE}", site.upstream.address());
    let sync = || {
        let mut command = Command::new("skopeo");
        command
            .args(["sync", "--src", "docker", "--dest", "docker"])
            .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
            .arg(&source)
            .arg(format!("{to}/{LOCAL}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status()
    };
    let mut taken = Vec::new();
    // The first one fills.
    for round in 0..=site.options.rounds {
        let before = children()?;
        match sync() {
            Ok(status) if status.success() => {}
            Ok(_) => return Err(Failure::new("skopeo sync failed")),
            Err(_) => return Ok(None),
        }
        if round > 0 {
            taken.push(children()?.saturating_sub(before));
        }
    }
    Ok(Some(taken))
}

/// CPU time of the children of this process that have ended (proc(5): `cutime`, `cstime`).
fn children() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").doing("read /proc/self/stat")?;
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<&str> = behind_name.split(' ').collect();
    let ticks: u64 = [13, 14]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<u64>().ok())
        .sum();
    let hertz = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks * 1000 / hertz))
}
