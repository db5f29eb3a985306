//! A mirror of a thousand tags of which none has changed: what a look costs, beside `skopeo sync` of the same set.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::mirrored::{self, SOURCE};
use crate::failure::{Doing as _, Failure, Outcome};
use crate::measure::Spread;
use crate::report::Line;
use crate::servers::{LOCAL, Ours, Settings};
use crate::site::Site;

/// Tags, which share fifty images.
const TAGS: u32 = 1_000;

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    mirrored::fill(site, TAGS);
    let ours = Ours::new(site.folder("mirror"))?;
    let settings = Settings::local(site.upstream.address());
    mirrored::furnish(&ours, &settings).await?;
    let server = ours.start(&settings).await?;
    mirrored::run(&ours).await?;
    let mut taken = Vec::new();
    for _ in 0..site.options.rounds {
        let before = server.process.cpu()?;
        mirrored::run(&ours).await?;
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
