//! What is noted is bounded, told together where it is equal, and never lost in order.

use serde_json::{Value, json};

use super::*;
use crate::model::{LogEntry, LogKind, Performer};
use crate::notify::noted::OWN_LINES;

/// SC-240: pull twice, and the log shows it, with what quay-log-kinds 2.3 tells of a pull.
#[tokio::test]
async fn a_pull_is_told_with_where_what_and_by_whom() {
    let site = Site::new().await;
    site.pull("v1", &ann());
    site.pull("v1", &ann());
    let lines = site.lines().await;
    assert_eq!(lines.len(), 2);
    let entry = &lines[0].entry;
    let told = json!({
        "repo": "app",
        "namespace": "acme",
        "user-agent": "containerd/2",
        "tag": "v1",
        "mediaType": MediaType::OCI_MANIFEST.as_str(),
        "username": "ann",
    });
    assert_eq!(Value::Object(entry.metadata()), told);
    assert_eq!((entry.kind, entry.count), (LogKind::PullRepo, 1));
    assert_eq!(entry.address, Some([192, 0, 2, 1].into()));
    let filed = (entry.namespace, entry.repository);
    assert_eq!(filed, (Some(NAMESPACE), Some(REPOSITORY)));
    let digest = crate::oci::Digest::of(b"x").to_string();
    site.pull(&digest, &Actor::Anonymous);
    let metadata = site.lines().await[0].entry.metadata();
    assert_eq!(metadata["manifest_digest"], digest);
    assert!(!metadata.contains_key("tag") && !metadata.contains_key("username"));
}

/// SC-240: equal pulls beyond a bounded rate are one line whose count tells them.
#[tokio::test]
async fn ten_thousand_equal_pulls_of_a_minute_make_few_lines_that_add_up() {
    let site = Site::new().await;
    for _ in 0..10_000 {
        site.pull("v1", &ann());
    }
    let lines = site.lines().await;
    assert_eq!(lines.len() as u32, OWN_LINES + 1);
    let acts: u32 = lines.iter().map(|line| line.entry.count).sum();
    assert_eq!(acts, 10_000);
    assert_eq!(site.count().await, 10_000);
    assert_eq!(site.metrics.lost.get(), 0);
}

#[tokio::test]
async fn pulls_that_differ_are_told_apart() {
    let site = Site::new().await;
    for reference in ["v1", "v2"] {
        for actor in [ann(), Actor::Anonymous] {
            for _ in 0..=OWN_LINES + 1 {
                site.pull(reference, &actor);
            }
        }
    }
    let lines = site.lines().await;
    assert_eq!(lines.len() as u32, 4 * (OWN_LINES + 1));
    let together: Vec<_> = lines.iter().filter(|line| line.entry.count > 1).collect();
    assert_eq!(together.len(), 4);
    assert!(together.iter().all(|line| line.entry.count == 2));
}

#[tokio::test]
async fn the_next_minute_begins_anew() {
    let site = Site::new().await;
    for _ in 0..2 {
        for _ in 0..10 {
            site.pull("v1", &ann());
        }
        site.clock.advance(Duration::from_secs(60));
    }
    let lines = site.lines().await;
    assert_eq!(lines.len() as u32, 2 * (OWN_LINES + 1));
    let times: std::collections::BTreeSet<_> = lines.iter().map(|line| line.entry.at).collect();
    assert_eq!(times.len(), 2, "each stands in its own minute");
    assert_eq!(site.count().await, 20);
}

/// Writing in between does not give equal pulls new lines of their own.
#[tokio::test]
async fn what_was_written_counts_for_its_minute() {
    let site = Site::new().await;
    for _ in 0..3 {
        for _ in 0..10 {
            site.pull("v1", &ann());
        }
        site.audit.flush().await.unwrap();
    }
    assert_eq!(site.lines().await.len() as u32, OWN_LINES + 3);
    assert_eq!(site.count().await, 30);
}

/// Whoever asks for what, memory is bounded; what there is none for is told with less, then counted.
#[tokio::test]
async fn more_pulls_than_there_is_memory_for_are_told_without_their_references() {
    let site = Site::new().await;
    for n in 0..40_000 {
        site.pull(&format!("v{n}"), &ann());
    }
    let written = site.audit.flush().await.unwrap();
    assert!(written < 25_000, "{written}");
    assert_eq!(site.count().await + site.metrics.lost.get(), 40_000);
    assert_eq!(site.metrics.lost.get(), 0, "one repository needs little");
    // Written, there is room again.
    site.clock.advance(Duration::from_secs(60));
    site.pull("v1", &ann());
    assert_eq!(site.audit.flush().await.unwrap(), 1);
}

#[tokio::test]
async fn much_that_was_noted_asks_to_be_written() {
    let site = Site::new().await;
    for n in 0..10_000 {
        site.pull(&format!("v{n}"), &ann());
    }
    site.audit.flush_wanted().await;
}

#[tokio::test]
async fn equal_logins_are_told_together_and_others_are_not() {
    let site = Site::new().await;
    let login = |agent: &str| {
        let by = Performer::from(ann());
        LogEntry::new(LogKind::LoginSuccess, NOW, &by)
            .with(json!({"useragent": agent}))
            .within(NAMESPACE)
    };
    for _ in 0..100 {
        site.audit.note(login("docker"));
    }
    site.audit.note(login("podman"));
    let lines = site.lines().await;
    assert_eq!(lines.len() as u32, OWN_LINES + 2);
    let acts: u32 = lines.iter().map(|line| line.entry.count).sum();
    assert_eq!(acts, 101);
}

/// Whoever waits for a write and leaves loses nothing by that.
#[tokio::test]
async fn a_write_that_nobody_waits_for_is_finished() {
    let site = Site::new().await;
    site.pull("v1", &ann());
    tokio::select! {
        biased;
        _ = site.audit.flush() => panic!("a commit takes longer than nothing"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(site.lines().await.len(), 1);
}
