//! kill -9 under pushes: whatever was acknowledged holds, whatever was not is whole or is not there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

use super::crash::is_long;
use super::push_load::{At, Client, Meter};
use crate::harness::chance::{Chance, say, seed};
use crate::harness::ledger::{Ledger, check};
use crate::harness::process::{Place, Process};
use crate::harness::pusher::Pusher;
use crate::harness::soon;

/// For how long what nothing names is kept: so short that the collector has work in every minute.
pub(super) const GRACE: Duration = Duration::from_secs(4);

const YAML: &str = "ANONYMOUS_PUSH: [local]\nPROXY_CACHES: []\nLOG_LEVEL: warn\n\
     DEFAULT_TAG_EXPIRATION: 0s\nPUSH_TEMP_TAG_EXPIRATION_SEC: 4\n";

/// Everyone may push, nothing that was deleted is kept, and the log stays empty.
///
/// The server has a loopback address to itself: when it is killed, its port is anybody's, and a client
/// that comes once more must not find the server of another test there.
pub(super) fn yaml() -> String {
    static PLACES: AtomicU32 = AtomicU32::new(0);
    let place = PLACES.fetch_add(1, Ordering::Relaxed);
    let (network, host) = (20 + std::process::id() % 200, 1 + place % 250);
    format!(
        "LISTEN: 127.{network}.{}.{host}:0\n{YAML}",
        place / 250 % 250
    )
}

/// After so many kills everything is looked at, by the server's own check too.
const WHOLE: usize = 20;

/// A site that is killed again and again, and those who push to it.
pub(super) struct Yard {
    pub(super) place: Arc<Place>,
    pub(super) clients: Vec<Client>,
    chance: Chance,
    starts: Vec<Duration>,
    pub(super) cut_changes: usize,
    checked: usize,
    collected: u64,
}

impl Yard {
    pub(super) fn new(clients: u64, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let repositories = ["local/one", "local/two"];
        let client = |number: u64| {
            let at = usize::from(number % 2 == 1);
            let (own, other) = (repositories[at], repositories[1 - at]);
            Client::new(number, own, other, chance.split())
        };
        Self {
            clients: (0..clients).map(client).collect(),
            place: Arc::new(Place::new(&yaml())),
            chance,
            starts: Vec::new(),
            cut_changes: 0,
            checked: 0,
            collected: 0,
        }
    }

    pub(super) async fn serve(&mut self) -> (Process, At) {
        let begun = Instant::now();
        let process = self.place.serve().await;
        self.starts.push(begun.elapsed());
        let at = At::new(Pusher::new(process.address));
        (process, at)
    }

    /// What is not as the ledgers say it must be.
    pub(super) async fn wrongs(&mut self, pusher: &Pusher, everything: bool) -> Vec<String> {
        let mut wrongs = Vec::new();
        for client in &mut self.clients {
            wrongs.extend(client.ledger.settle(pusher).await.err());
            let all = client.ledger.expectations(everything);
            self.checked += all.len();
            wrongs.extend(check(pusher, all).await);
            if everything {
                client.ledger.forget_gone(40);
            }
        }
        wrongs.extend(self.wrong_lists(pusher).await);
        wrongs
    }

    /// Lists of tags that are not what the ledgers together say.
    async fn wrong_lists(&self, pusher: &Pusher) -> Vec<String> {
        let ledgers = self.clients.iter().map(|client| &client.ledger);
        let repositories: BTreeSet<&str> = ledgers.clone().map(|l| &*l.repository).collect();
        let mut wrongs = Vec::new();
        for repository in repositories {
            let path = format!("/v2/{repository}/tags/list?n=1000");
            let reply = pusher.get(&path).await.unwrap();
            let expected = ledgers.clone().filter(|l| l.repository == repository);
            let expected: BTreeSet<String> = expected.flat_map(|l| l.tags()).collect();
            let listed: BTreeSet<String> = match reply.status {
                404 => BTreeSet::new(),
                _ => {
                    let list: Value = serde_json::from_slice(&reply.body).unwrap();
                    serde_json::from_value(list["tags"].clone()).unwrap()
                }
            };
            if listed != expected {
                wrongs.push(format!("{path}: {listed:?}, expected {expected:?}"));
            }
        }
        wrongs
    }

    /// Lets everybody work until a moment chosen by chance, and kills the server there.
    pub(super) async fn work_and_kill(&mut self, process: &mut Process, at: &At) {
        self.work_until(process, at, || ()).await;
    }

    /// The same with something else happening first, at that moment.
    pub(super) async fn work_until(
        &mut self,
        process: &mut Process,
        at: &At,
        happening: impl FnOnce(),
    ) {
        let mut working = JoinSet::new();
        for mut client in self.clients.drain(..) {
            let at = at.clone();
            working.spawn(async move {
                client.work(&at).await;
                client
            });
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let collector = collect(self.place.clone(), at.meter.clone(), is_over.clone());
        let collector = tokio::spawn(collector);
        let (answers, begun) = (self.chance.of(1..120), self.chance.of(0..6));
        let yields = self.chance.of(0..300);
        let moment = soon("the moment of the kill", async {
            at.meter.reach(answers, begun).await;
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
        });
        tokio::select! {
            () = moment => is_over.store(true, Ordering::SeqCst),
            Some(ended) = working.join_next() => {
                let said = process.logs("ERROR").await;
                panic!("a client ended before the kill: {:?}; {said}", ended.err());
            }
        }
        happening();
        process.signal(Signal::KILL);
        self.clients = soon("the end of the clients", working.join_all()).await;
        self.clients.sort_by_key(Client::number);
        let pending = |client: &&Client| client.ledger.is_pending();
        self.cut_changes += self.clients.iter().filter(pending).count();
        // It may have begun to collect by itself, when nobody answered any more.
        at.meter.wake();
        self.collected += soon("the end of the collector", collector).await.unwrap();
        assert!(!process.ended().await.success());
    }

    /// What was acknowledged, to go back to when a start is repeated.
    pub(super) fn ledgers(&self) -> Vec<Ledger> {
        self.clients.iter().map(|c| c.ledger.clone()).collect()
    }

    pub(super) fn go_back(&mut self, ledgers: Vec<Ledger>) {
        for (client, ledger) in self.clients.iter_mut().zip(ledgers) {
            client.ledger = ledger;
        }
    }

    /// What the server's own check finds while no server runs, but files without rows: those may be
    /// left by any kill (CR-07).
    pub(super) async fn findings(&self) -> Vec<String> {
        let output = self.place.run(&["check", "--json"]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        // The last line sums up. A file of no blob is what a kill may leave.
        let found = lines.filter_map(|line| line.get("finding")?.as_str().map(str::to_owned));
        let found: Vec<String> = found.filter(|it| !it.contains("is of no blob")).collect();
        let is_done = said.contains("looked at");
        assert!(is_done, "the check ends: {said}");
        found
    }
}

/// Collects again and again while others work; returns how many manifests, blobs and files went.
async fn collect(place: Arc<Place>, meter: Arc<Meter>, is_over: Arc<AtomicBool>) -> u64 {
    let mut collected = 0;
    while !is_over.load(Ordering::SeqCst) {
        let output = place.run(&["gc", "--json"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        let may_fail = is_over.load(Ordering::SeqCst);
        assert!(output.status.success() || may_fail, "{said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let counts = ["manifests", "blobs", "files"];
        collected += counts
            .iter()
            .filter_map(|n| report[n].as_u64())
            .sum::<u64>();
        tokio::select! {
            () = meter.reach(10, 0) => {}
            () = meter.woken() => {}
        }
    }
    collected
}

/// CR-01, CR-05, CR-06, CR-10, GC-01, GC-03, GC-06, TP-02: pushes in every form, pulls, deletions, moved
/// tags, mounts, resumed uploads and collections, and a kill somewhere in them, 200 times;
/// `ENTREPOT_LONG=1` kills 1,000 times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_push_holds_after_any_number_of_kills() {
    let kills = if is_long() { 1000 } else { 200 };
    let mut yard = Yard::new(4, seed());
    let begun = Instant::now();
    for kill in 1..=kills {
        let (mut process, at) = yard.serve().await;
        let wrongs = yard.wrongs(&at.pusher, kill % WHOLE == 0).await;
        assert!(wrongs.is_empty(), "after kill {}: {wrongs:#?}", kill - 1);
        yard.work_and_kill(&mut process, &at).await;
        if kill % WHOLE == 0 {
            let found = yard.findings().await;
            assert!(found.is_empty(), "after kill {kill}: {found:#?}");
            yard.report(kill, begun.elapsed());
        }
    }
    let (mut process, at) = yard.serve().await;
    let wrongs = yard.wrongs(&at.pusher, true).await;
    assert!(wrongs.is_empty(), "at the end: {wrongs:#?}");
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    yard.place.run_well(&["sweep"]).await;
    yard.place.run_well(&["check"]).await;
    let (cut, collected) = (yard.cut_changes, yard.collected);
    assert!(cut * 2 >= kills, "only {cut} changes were cut");
    assert!(
        collected as usize >= kills,
        "only {collected} were collected"
    );
}

/// TP-02, the counter-proof: a ledger notices when the server forgets, and when it remembers what was
/// deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_notices_what_is_lost_and_what_is_back() {
    let mut yard = Yard::new(2, seed());
    let (mut process, at) = yard.serve().await;
    for client in &mut yard.clients {
        for number in 0..3 {
            let (image, tag) = (client.new_image(), format!("kept{number}"));
            client.push(&at, image, Some(tag)).await.unwrap();
        }
    }
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    let (data, copy) = (yard.place.path("data"), yard.place.path("copy"));
    copy_files(&data, &copy);
    let (mut process, at) = yard.serve().await;
    for client in &mut yard.clients {
        client.delete_manifest(&at).await.unwrap();
        let image = client.new_image();
        client
            .push(&at, image, Some("new".to_owned()))
            .await
            .unwrap();
    }
    assert_eq!(yard.wrongs(&at.pusher, true).await, [""; 0]);
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    std::fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    let (_process, at) = yard.serve().await;
    let wrongs = yard.wrongs(&at.pusher, true).await;
    for what in ["is lost", "is back", "tags/list"] {
        assert!(wrongs.iter().any(|wrong| wrong.contains(what)), "{what}");
    }
}

/// Copies a directory with what is below it; sockets are left out.
pub(super) fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_files(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Yard {
    pub(super) fn report(&mut self, kills: usize, elapsed: Duration) {
        self.starts.sort();
        let (median, longest) = (self.starts[self.starts.len() / 2], self.starts.last());
        let changes: usize = self.clients.iter().map(|c| c.ledger.acknowledged).sum();
        say(&format!(
            "{kills} kills in {} s: {changes} changes acknowledged, {} cut, {} collected, \
             {} answers checked; from exec to ready {median:?} at the median, {longest:?} at most",
            elapsed.as_secs(),
            self.cut_changes,
            self.collected,
            self.checked,
            longest = longest.unwrap(),
        ));
    }
}
