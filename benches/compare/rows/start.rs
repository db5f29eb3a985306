//! How long a start takes with many blobs and tags, after an orderly end and after a crash.

use std::fs;
use std::time::{Duration, Instant};

use super::many;
use crate::failure::{Doing as _, Outcome};
use crate::load::verify;
use crate::measure::{Spread, mebibytes};
use crate::report::Line;
use crate::servers::{Ours, Server, Settings};
use crate::site::Site;

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = many::data(site).await?;
    let (mut orderly, mut crashed) = (Vec::new(), Vec::new());
    for _ in 0..site.options.rounds {
        let (server, took) = pulled(site, ours).await?;
        orderly.push(took);
        server.process.kill();
        let (server, took) = pulled(site, ours).await?;
        crashed.push(took);
        drop(server);
    }
    let store = fs::metadata(many::store_path(ours)).doing("look at the store")?;
    let beside = format!("store of {:.0} MiB", mebibytes(store.len()));
    let many = site.options.many;
    Ok(vec![
        line("an orderly end", many, &orderly, beside),
        line("a crash", many, &crashed, String::new()),
    ])
}

/// Starts it and pulls a manifest that it holds; gives how long both took.
async fn pulled(site: &Site, ours: &Ours) -> Outcome<(Server, Duration)> {
    let settings = Settings::local(site.upstream.address());
    let start = Instant::now();
    let server = ours.start(&settings).await?;
    let digest = &site.content.manifest.digest;
    verify(&server.target, &site.content.by_tag(), digest).await?;
    Ok((server, start.elapsed()))
}

fn line(after: &str, many: u32, times: &[Duration], beside: String) -> Line {
    let millis = Spread::over(times.iter().map(|time| time.as_secs_f64() * 1000.0));
    Line {
        what: format!("start to first manifest served after {after}, {many} blobs and tags"),
        measured: format!("{} ms", millis.show(0)),
        budget: "<= 300 ms with 1 M",
        is_met: Some(millis.median <= 300.0),
        beside: vec![beside],
    }
}
