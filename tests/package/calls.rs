//! HP-01: the server lives within the system calls that its unit leaves it.
//!
//! strace notes every call of a server that starts, fetches, serves, takes a push, is asked by a command and
//! ends; systemd says which calls its groups hold.

use std::collections::BTreeSet;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::process::Place;
use crate::harness::pusher::{Pusher, Way};
use crate::harness::soon;
use crate::harness::strace::has_strace;

use super::{has, run_well, units};

/// The calls of a group of systemd, with those of the groups in it.
fn group(name: &str) -> BTreeSet<String> {
    let said = run_well("systemd-analyze", &["syscall-filter", "--no-pager", name]);
    let lines = said.lines().skip(1).map(str::trim);
    let members = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    members
        .flat_map(|member| match member.starts_with('@') {
            true => group(member),
            false => BTreeSet::from([member.to_owned()]),
        })
        .collect()
}

/// What `SystemCallFilter=` of the unit leaves; `@default` is always there.
fn allowed() -> BTreeSet<String> {
    let mut allowed = group("@default");
    for line in units::values(&units::unit("entrepot.service"), "SystemCallFilter") {
        match line.strip_prefix('~') {
            None => line.split(' ').for_each(|name| allowed.extend(group(name))),
            Some(line) => {
                let taken: BTreeSet<String> = line.split(' ').flat_map(group).collect();
                // A call that is in @default as well stays.
                let kept = group("@default");
                allowed.retain(|call| !taken.contains(call) || kept.contains(call));
            }
        }
    }
    allowed
}

/// The names of the calls in what strace wrote.
fn calls(trace: &str) -> BTreeSet<String> {
    let names = trace.lines().filter_map(|line| {
        let (_, call) = line.trim_start().split_once(' ')?;
        let call = call.trim_start();
        let call = call.strip_prefix("<... ").unwrap_or(call);
        let end = call.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let is_call = call[end..].starts_with('(') || call[end..].starts_with(" resumed");
        (is_call && end > 0).then(|| call[..end].to_owned())
    });
    names.collect()
}

#[tokio::test]
async fn the_server_makes_no_call_that_its_unit_forbids() {
    if !has("systemd-analyze") || !has_strace() {
        return;
    }
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[300_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&format!(
        "ANONYMOUS_PUSH: [local]\nREGISTRY_MIRRORS: []\nPROXY_CACHES:\n  - organization: docker.io\n    \
         upstream: docker.io\n    endpoint: {}\n",
        origin.url("")
    ));
    let trace = place.path("trace");
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .args([env!("CARGO_BIN_EXE_entrepot"), "serve"])
        .current_dir(place.directory.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(strace.stdout.take().unwrap()).lines();
    let line = soon("the server", lines.next_line())
        .await
        .unwrap()
        .unwrap();
    let address = line.strip_prefix("serving on http://").unwrap();
    use_it(address, &image, &place).await;
    let id = std::fs::read_to_string(place.path("data/lock")).unwrap();
    let pid = Pid::from_raw(id.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    while let Ok(Some(_)) = soon("the end", lines.next_line()).await {}
    assert!(
        soon("the end of strace", strace.wait())
            .await
            .unwrap()
            .success()
    );

    let made = calls(&std::fs::read_to_string(&trace).unwrap());
    for known in ["openat", "accept4", "fsync", "epoll_wait"] {
        assert!(made.contains(known), "strace saw no {known}: {made:?}");
    }
    let allowed = allowed();
    assert!(allowed.contains("openat") && !allowed.contains("chroot"));
    let forbidden: Vec<_> = made.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}

/// Pulls twice, pushes, and has a command ask.
async fn use_it(address: &str, image: &Image, place: &Place) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let layer = entrepot::oci::Digest::of(&image.layers[0]);
    for _ in 0..2 {
        for path in ["manifests/v1".to_owned(), format!("blobs/{layer}")] {
            let url = format!("http://{address}/v2/docker.io/library/app/{path}");
            let answer = soon(&url, client.get(&url).send()).await.unwrap();
            assert_eq!(answer.status(), 200, "{url}");
            soon(&url, answer.bytes()).await.unwrap();
        }
    }
    let pusher = Pusher::new(address.parse().unwrap());
    let way = Way::Pieces(100_000);
    let pushed = pusher.push_blob("local/app", &image.layers[0], way).await;
    assert_eq!(pushed.unwrap().status, 201);
    place.run_well(&["status"]).await;
    place.run_well(&["gc"]).await;
}
