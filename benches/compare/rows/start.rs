//! How long a start takes with many tags, after an orderly end and after a crash.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use entrepot::model::{Actor, NamespaceName, RepositoryRecord, TagRecord, Timestamp};
use entrepot::oci::{Digest, RepositoryName, Tag};
use entrepot::store::{self, Options, Store, WriteTx};

use crate::failure::{Doing as _, Failure, Outcome};
use crate::load::verify;
use crate::measure::{Spread, mebibytes};
use crate::report::Line;
use crate::servers::{Ours, Server, Settings};
use crate::site::Site;

/// Tags of one repository, written in one commit.
const TAGS_A_REPOSITORY: u32 = 10_000;

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = Ours::new(site.folder("start"))?;
    // The first start makes the organisation, the first pull its manifest.
    drop(pulled(site, &ours).await?);
    fill(&ours, site.options.tags, &site.content.manifest.digest).await?;
    let (mut orderly, mut crashed) = (Vec::new(), Vec::new());
    for _ in 0..site.options.rounds {
        let (server, took) = pulled(site, &ours).await?;
        orderly.push(took);
        server.process.kill();
        let (server, took) = pulled(site, &ours).await?;
        crashed.push(took);
        drop(server);
    }
    let store = fs::metadata(store_path(&ours)).doing("look at the store")?;
    let beside = format!("store of {:.0} MiB", mebibytes(store.len()));
    let tags = site.options.tags;
    Ok(vec![
        line("an orderly end", tags, &orderly, beside),
        line("a crash", tags, &crashed, String::new()),
    ])
}

/// Starts it and pulls a manifest that it holds; gives how long both took.
async fn pulled(site: &Site, ours: &Ours) -> Outcome<(Server, Duration)> {
    let settings = Settings::of(site.upstream.address());
    let start = Instant::now();
    let server = ours.start(&settings).await?;
    let digest = &site.content.manifest.digest;
    verify(&server.target, &site.content.by_tag(), digest).await?;
    Ok((server, start.elapsed()))
}

fn line(after: &str, tags: u32, times: &[Duration], beside: String) -> Line {
    let millis = Spread::over(times.iter().map(|time| time.as_secs_f64() * 1000.0));
    Line {
        what: format!("start to first manifest served after {after}, {tags} tags"),
        measured: format!("{} ms", millis.show(0)),
        budget: "<= 300 ms with 1 M",
        is_met: Some(millis.median <= 300.0),
        beside: vec![beside],
    }
}

/// The store's file in a data directory.
fn store_path(ours: &Ours) -> PathBuf {
    ours.data().join("entrepot.redb")
}

/// Gives the stopped server repositories with `tags` tags in all.
async fn fill(ours: &Ours, tags: u32, digest: &Digest) -> Outcome<()> {
    let path = store_path(ours);
    if !fs::exists(&path).doing("look for the store")? {
        return Err(Failure::new(
            "the store is not where this program expects it",
        ));
    }
    let options = Options {
        cache_bytes: 64 << 20,
    };
    let store = Store::open(&path, &options, &prometheus::Registry::new());
    let store = store.doing("open the store")?;
    for number in 0..tags.div_ceil(TAGS_A_REPOSITORY) {
        let digest = *digest;
        let written = store.write(move |tx| repository(tx, number, &digest)).await;
        written.doing("fill the store")?;
    }
    Ok(())
}

fn repository(tx: &mut WriteTx<'_>, number: u32, digest: &Digest) -> Result<(), Unfilled> {
    let organization: NamespaceName = "bench".parse().map_err(|_| Unfilled::Name)?;
    let organization = tx.namespaces().by_name(&organization)?;
    let name: RepositoryName = format!("many/{number}")
        .parse()
        .map_err(|_| Unfilled::Name)?;
    let now = Timestamp::from_millis(1_700_000_000_000);
    let namespace = organization.ok_or(Unfilled::Name)?.0;
    let record = RepositoryRecord::new(namespace, name, now);
    let repository = tx.repositories().create(&record)?;
    for number in 0..TAGS_A_REPOSITORY {
        let tag: Tag = format!("v1.{number}").parse().map_err(|_| Unfilled::Name)?;
        let record = TagRecord::new(*digest, now, Actor::System);
        tx.tags().put(repository, &tag, &record)?;
    }
    Ok(())
}

/// Why the store could not be filled.
#[derive(Debug, thiserror::Error)]
enum Unfilled {
    #[error("a name is refused or unknown")]
    Name,
    #[error(transparent)]
    Store(#[from] store::Error),
}
