//! Many clients ask at once for a blob that nobody has: what upstream sees, and who waits for whom.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::content::Blob;
use crate::failure::{Doing as _, Failure, Outcome};
use crate::load::{Answer, Crowd, verify};
use crate::measure::{Spread, count};
use crate::report::Line;
use crate::servers::{Role, Server};
use crate::site::Site;
use crate::upstream::{Asked, Pace};

const CLIENTS: usize = 64;
/// docker-registry's clients, as in the budget's comparison.
const ITS_CLIENTS: usize = 8;
const MEBIBYTES: usize = 64;
/// Slow enough that all clients come while the blob is under way.
const PACE: Pace = Pace {
    delay: Duration::from_millis(100),
    bandwidth: Some(32 << 20),
};
/// The repository of these blobs, upstream.
const NAME: &str = "cold";

/// What one fan-out came to.
struct Round {
    asked: Asked,
    /// Bytes that upstream sent, in sizes of the blob.
    share: f64,
    /// From the leader's first byte to each follower's, in milliseconds.
    behind: Spread,
}

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = site.ours("fan-out").await?;
    site.upstream.set_pace(PACE);
    let mut rounds = Vec::new();
    for seed in 0..site.options.rounds as u64 {
        let blob = Blob::noise(1000 + seed, MEBIBYTES);
        let path = blob.path(&format!("bench/{NAME}"));
        let round = fan_out(site, &ours, &blob, &path, CLIENTS).await?;
        if round.asked.gets != 1 || round.asked.bytes != blob.len() {
            let asked = round.asked;
            return Err(Failure::new(format!("a fan-out cost upstream {asked:?}")));
        }
        // What was kept is what was asked for.
        verify(&ours.target, &path, &blob.digest).await?;
        rounds.push(round);
    }
    let beside = theirs(site).await?;
    site.upstream.set_pace(Pace::default());
    Ok(vec![requests(&rounds, beside), waiting(&rounds)])
}

fn requests(rounds: &[Round], beside: Vec<String>) -> Line {
    let share = Spread::over(rounds.iter().map(|round| round.share));
    let heads = rounds.iter().map(|round| round.asked.heads).max();
    Line {
        what: format!("cold fan-out, {CLIENTS} clients, {MEBIBYTES} MiB, cost upstream"),
        measured: format!(
            "1 GET, {} HEAD, {:.2}x bytes, {} rounds",
            heads.unwrap_or(0),
            share.most,
            rounds.len()
        ),
        budget: "1 GET, 1.00x bytes",
        is_met: Some((share.most - 1.0).abs() < 0.005),
        beside,
    }
}

fn waiting(rounds: &[Round]) -> Line {
    let median = Spread::over(rounds.iter().map(|round| round.behind.median));
    let most = Spread::over(rounds.iter().map(|round| round.behind.most));
    Line {
        what: "cold fan-out, first byte behind the leader's".to_owned(),
        measured: format!("median {} ms, last {} ms", median.show(1), most.show(1)),
        budget: "<= 50 ms",
        is_met: Some(most.most <= 50.0),
        beside: Vec::new(),
    }
}

/// docker-registry's cost of the same, if it is there.
async fn theirs(site: &Site) -> Outcome<Vec<String>> {
    let Some(program) = &site.distribution else {
        return Ok(Vec::new());
    };
    let role = Role::Caches(site.upstream.address());
    let server = program.start(&site.folder("fan-out-theirs"), role).await?;
    let blob = Blob::noise(999, MEBIBYTES);
    let path = blob.path(NAME);
    let round = fan_out(site, &server, &blob, &path, ITS_CLIENTS).await?;
    let (gets, share) = (round.asked.gets, round.share);
    let last = round.behind.most;
    Ok(vec![
        format!("docker-registry, {ITS_CLIENTS} clients: {gets} GET, {share:.2}x bytes"),
        format!("its last client {last:.1} ms behind"),
    ])
}

async fn fan_out(
    site: &Site,
    server: &Server,
    blob: &Blob,
    path: &str,
    clients: usize,
) -> Outcome<Round> {
    site.upstream.add_blob(NAME, blob);
    let mut crowd = Crowd::gather(&server.target, clients).await?;
    let all = crowd.members().map(|client| client.get(path, |_| ()));
    let answers = tokio::task::unconstrained(try_join_all(all)).await;
    let answers = answers.doing(server.name)?;
    for Answer { status, length, .. } in &answers {
        if (*status, *length) != (200, blob.len()) {
            let what = format!("{path}: status {status} with {length} bytes");
            return Err(Failure::new(what));
        }
    }
    let asked = site.upstream.asked(&blob.path(NAME));
    Ok(Round {
        asked,
        share: count(asked.bytes) / count(blob.len()),
        behind: behind(answers.iter().map(|answer| answer.first_byte).collect()),
    })
}

/// How long after the first of `moments` the others were.
fn behind(mut moments: Vec<Instant>) -> Spread {
    moments.sort();
    let leader = moments.first().copied();
    let followers = moments.iter().skip(1).copied();
    Spread::over(followers.map(|moment| {
        let behind = leader.map(|leader| moment.duration_since(leader));
        behind.unwrap_or_default().as_secs_f64() * 1000.0
    }))
}
