//! Broken off and begun again: nothing half is visible, and what was done is not done twice.

use std::process::Stdio;

use rustix::process::Signal;

use super::{Side, sum_of};
use crate::harness::content::Image;

async fn filled() -> (Side, Vec<Image>) {
    let one = Side::new().await;
    let images: Vec<Image> = (1..9)
        .map(|seed| Image::with_layers(seed, &[400_000]))
        .collect();
    for (at, image) in images.iter().enumerate() {
        one.push("local/app", &format!("v{at}"), image).await;
    }
    (one, images)
}

/// AG-03, AG-04: the receiver is killed after each eighth of the bundle. Nothing is visible until the last
/// try, which goes on with what the others verified.
#[tokio::test]
async fn a_killed_import_goes_on() {
    let (one, images) = filled().await;
    one.export(&["local", "-o", "b.tar"]).await;
    let whole = std::fs::read(one.path("b.tar")).unwrap();
    let mut two = Side::new().await;
    for eighth in 1..8 {
        let cut = whole.len() * eighth / 8 + eighth * 100;
        std::fs::write(one.path("cut.tar"), &whole[..cut]).unwrap();
        let refused = two.refuses(&one, &["cut.tar"], &[]).await;
        assert!(
            refused.contains("cut.tar ends before it is complete"),
            "{refused}"
        );
        assert!(two.tags("local/app").await.is_empty());
        two.kill().await;
        two.start().await;
    }
    let said = two.import(&one, &["b.tar"], &[]).await;
    assert!(said.status.success());
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let fresh = said
        .split(" new blobs")
        .next()
        .and_then(|it| it.rsplit(' ').next());
    let fresh: u32 = fresh.unwrap().parse().unwrap();
    assert!(fresh < 5, "all but the rest was here: {said}");
    for (at, image) in images.iter().enumerate() {
        two.has("local/app", &format!("v{at}"), image).await;
    }
}

/// AG-03: the process that imports is killed itself, in the middle of a pipe that it reads.
#[tokio::test]
async fn an_import_that_is_killed_in_a_pipe_leaves_nothing() {
    use tokio::io::AsyncWriteExt as _;
    let (one, images) = filled().await;
    let piped = one.place.run(&["export", "local", "-o", "-"]).await.stdout;
    let mut two = Side::new().await;
    two.stop().await;
    let mut child = two
        .place
        .spawn(&["import", "-", "--receipt", "receipt"], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&piped[..piped.len() / 2]).await.unwrap();
    let id = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), Signal::KILL)
        .unwrap();
    child.wait().await.unwrap();
    drop(stdin);
    two.start().await;
    assert!(two.tags("local/app").await.is_empty());
    two.stop().await;
    let mut child = two
        .place
        .spawn(&["import", "-", "--receipt", "receipt"], Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&piped).await.unwrap();
    drop(stdin);
    assert!(child.wait().await.unwrap().success());
    two.start().await;
    for (at, image) in images.iter().enumerate() {
        two.has("local/app", &format!("v{at}"), image).await;
    }
}

/// An export that broke off goes on with the same command, and gives the bytes that it would have given.
#[tokio::test]
async fn a_broken_export_goes_on() {
    let (one, _) = filled().await;
    let wish = ["local", "-o", "b.tar", "--split", "1500000"];
    one.export(&wish).await;
    let sums: Vec<_> = (1..4)
        .map(|number| sum_of(&one, &format!("b.{number:03}.tar")))
        .collect();
    let inventory = description(&one, "b.001.tar");
    // As it lies there when the power goes in the middle of the second volume.
    let second = std::fs::read(one.path("b.002.tar")).unwrap();
    let state = serde_json::json!({
        "wish": {
            "patterns": ["local"], "split": 1_500_000, "keep_going": false, "dry_run": false,
            "created": null, "sequence": null, "by": null, "since": null, "resume": null,
        },
        "bundle": entrepot::oci::Digest::of(&inventory),
        "sequence": 1,
        "created": created(&inventory).as_millis(),
        "volumes": 3,
    });
    for length in [0, 1, 511, 512, 70_000, 700_001, second.len() - 1] {
        std::fs::write(one.path("b.tar.resume"), state.to_string()).unwrap();
        std::fs::write(one.path("b.002.tar.partial"), &second[..length]).unwrap();
        for name in ["b.002.tar", "b.003.tar", "b.tar.sha256"] {
            std::fs::remove_file(one.path(name)).unwrap();
        }
        one.export(&wish).await;
        for (number, sum) in (1..).zip(&sums) {
            assert_eq!(
                sum_of(&one, &format!("b.{number:03}.tar")),
                *sum,
                "{length}"
            );
        }
        assert!(!one.path("b.tar.resume").exists());
    }
    // What changed meanwhile makes it another bundle, which is begun anew.
    std::fs::write(one.path("b.tar.resume"), state.to_string()).unwrap();
    one.push("local/app", "more", &Image::small(77)).await;
    one.export(&wish).await;
    assert_ne!(description(&one, "b.001.tar"), inventory);
    let two = Side::new().await;
    let names: Vec<String> = (1..)
        .map(|n| format!("b.{n:03}.tar"))
        .take_while(|n| one.path(n).exists())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    two.imports(&one, &names, &[]).await;
    two.has("local/app", "more", &Image::small(77)).await;
}

/// `entrepot/inventory.json` of a volume.
fn description(side: &Side, name: &str) -> Vec<u8> {
    side.member(name, "entrepot/inventory.json")
}

fn created(description: &[u8]) -> entrepot::model::Timestamp {
    let read: serde_json::Value = serde_json::from_slice(description).unwrap();
    read["created"].as_str().unwrap().parse().unwrap()
}
