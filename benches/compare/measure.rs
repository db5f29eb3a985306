//! Turns of measurement: the servers one after the other, round by round, and what that gives.
//!
//! Machines are noisy and shared, so figures are compared within a round only, and a figure is given
//! as the median of its rounds with the smallest and the largest beside it.

use std::time::Duration;

use crate::failure::Outcome;
use crate::load::{Connection, Crowd, Demand};
use crate::servers::Server;

/// One turn of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// CPU time that the server took.
    pub(crate) cpu: Duration,
    pub(crate) requests: u64,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
}

impl Turn {
    /// Microseconds of CPU a request.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count(self.requests)
    }

    /// Megabytes a CPU-second.
    pub(crate) fn megabytes(&self) -> f64 {
        count(self.bytes) / 1e6 / self.cpu.as_secs_f64()
    }

    /// Requests a second of the wall clock.
    pub(crate) fn rate(&self) -> f64 {
        count(self.requests) / self.took.as_secs_f64()
    }
}

/// Lets each server answer `demand` in its turn, `rounds` times; gives the turns of each server.
pub(crate) async fn alternate(
    servers: &[&Server],
    demand: &Demand,
    rounds: usize,
) -> Outcome<Vec<Vec<Turn>>> {
    in_turns(servers, rounds, async |server| turn(server, demand).await).await
}

/// Lets each of `servers` have its turn, `rounds` times; gives the turns of each.
pub(crate) async fn in_turns<S: Copy, T>(
    servers: &[S],
    rounds: usize,
    mut turn: impl AsyncFnMut(S) -> Outcome<T>,
) -> Outcome<Vec<Vec<T>>> {
    let mut turns: Vec<_> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for place in 0..servers.len() {
            // Another one begins each round: nobody always has the warmest or the coldest turn.
            let next = (place + round) % servers.len();
            turns[next].push(turn(servers[next]).await?);
        }
    }
    Ok(turns)
}

/// One turn of one server.
pub(crate) async fn turn(server: &Server, demand: &Demand) -> Outcome<Turn> {
    let once = async |client: &mut Connection| client.ask(demand).await;
    let turn = work(server, demand.connections, demand.window, once).await?;
    Ok(Turn {
        bytes: turn.requests * demand.length,
        ..turn
    })
}

/// One turn of one server with whatever its clients do; `requests` is how often they did it.
pub(crate) async fn work(
    server: &Server,
    clients: usize,
    window: Duration,
    once: impl AsyncFn(&mut Connection) -> Outcome<()>,
) -> Outcome<Turn> {
    // Connecting is not what is measured.
    let mut crowd = Crowd::gather(&server.target, clients).await?;
    let before = server.process.cpu()?;
    let done = crowd.work(window, once).await?;
    let after = server.process.cpu()?;
    Ok(Turn {
        cpu: after.since(&before),
        requests: done.requests,
        bytes: 0,
        took: done.took,
    })
}

/// The smallest, the middle and the largest of some figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of one figure of every turn.
    pub(crate) fn of(turns: &[Turn], figure: impl Fn(&Turn) -> f64) -> Self {
        Self::over(turns.iter().map(figure))
    }

    /// Of one figure of `ours`, divided by that of `theirs` in the same round.
    pub(crate) fn ratio(ours: &[Turn], theirs: &[Turn], figure: impl Fn(&Turn) -> f64) -> Self {
        Self::over(
            ours.iter()
                .zip(theirs)
                .map(|(our, their)| figure(our) / figure(their)),
        )
    }

    /// Of these figures; not a number if there are none.
    pub(crate) fn over(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |share: f64| percentile(&figures, share).unwrap_or(f64::NAN);
        Self {
            least: at(0.0),
            median: at(0.5),
            most: at(1.0),
        }
    }

    /// `median (least..most)`, with `digits` after the point.
    pub(crate) fn show(&self, digits: usize) -> String {
        let Self {
            least,
            median,
            most,
        } = self;
        format!("{median:.digits$} ({least:.digits$}..{most:.digits$})")
    }
}

/// The value that `share` of the sorted `figures` do not exceed.
pub(crate) fn percentile<T: Copy>(figures: &[T], share: f64) -> Option<T> {
    let last = figures.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list, rounded to a whole one"
    )]
    let place = (last as f64 * share).round() as usize;
    figures.get(place.min(last)).copied()
}

/// A count in a fraction.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
pub(crate) fn count(value: u64) -> f64 {
    value as f64
}

/// Bytes in the unit of the budgets.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}
