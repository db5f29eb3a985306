//! A large layer on its way in: bytes a CPU-second of the server.

use std::fs;
use std::time::Instant;

use rustix::fs::statvfs;

use crate::content::Blob;
use crate::failure::{Doing as _, Outcome};
use crate::load::{Connection, Layer, push_blob, push_layer, verify};
use crate::measure::{Spread, Turn, count, in_turns};
use crate::report::Line;
use crate::servers::{LOCAL, Server};
use crate::site::{Site, Taker};

/// Where the layers go.
const REPOSITORY: &str = "large";
/// The first layer; each is another one.
const SEED: u64 = 5000;

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let mebibytes = site.options.layer_mebibytes;
    let what = format!("layer of {mebibytes} MiB pushed in one PATCH, MB a CPU-second");
    if !has_room(site, mebibytes)? {
        return Ok(vec![Line {
            what,
            measured: "no room on the disk".to_owned(),
            budget: "",
            is_met: None,
            beside: Vec::new(),
        }]);
    }
    let mut seed = SEED;
    let takers = site.takers();
    let turns = in_turns(&takers, site.options.rounds, async |taker| {
        seed += 1;
        turn(site, taker, &Layer::noise(seed, mebibytes)).await
    });
    let turns = turns.await?;
    let mut all = takers.iter().zip(&turns).map(|(taker, turns)| match taker {
        Taker::Ours => show(turns),
        Taker::Distribution(_) => format!("docker-registry {}", show(turns)),
    });
    Ok(vec![Line {
        what,
        measured: all.next().unwrap_or_default(),
        budget: "",
        is_met: None,
        beside: all.collect(),
    }])
}

/// One layer into a registry that has nothing, and is gone with all it has afterwards.
async fn turn(site: &Site, taker: Taker<'_>, layer: &Layer) -> Outcome<Turn> {
    let name = "ingest";
    let server = site.start_taker(taker, name).await?;
    let turn = push(&server, layer).await;
    drop(server);
    fs::remove_dir_all(site.folder(name)).doing("remove a layer")?;
    turn
}

async fn push(server: &Server, layer: &Layer) -> Outcome<Turn> {
    let repository = format!("{LOCAL}/{REPOSITORY}");
    let mut client = Connection::open(&server.target).await?;
    // What a server does once is not what is measured.
    push_blob(&mut client, &repository, &Blob::noise(SEED, 1)).await?;
    let (before, start) = (server.process.cpu()?, Instant::now());
    push_layer(&mut client, &repository, layer).await?;
    let took = start.elapsed();
    let turn = Turn {
        cpu: server.process.cpu()?.since(&before),
        requests: 1,
        bytes: layer.len(),
        took,
    };
    let path = format!("/v2/{repository}/blobs/{}", layer.digest);
    verify(&server.target, &path, &layer.digest).await?;
    Ok(turn)
}

/// Whether one layer fits with as much to spare.
fn has_room(site: &Site, mebibytes: usize) -> Outcome<bool> {
    let folder = site.folder("");
    let disk = statvfs(&folder).doing("look at the disk")?;
    Ok(disk.f_bavail * disk.f_frsize > (mebibytes as u64) << 21)
}

fn show(turns: &[Turn]) -> String {
    let cpu = Spread::of(turns, Turn::megabytes);
    let speed = Spread::of(turns, |turn| {
        count(turn.bytes) / 1e6 / turn.took.as_secs_f64()
    });
    format!("{}, {:.0} MB/s", cpu.show(0), speed.median)
}
