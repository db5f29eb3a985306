//! The usage log: order, where lines are filed, windows, performers, counts, removal.

use serde_json::json;

use super::*;
use crate::model::{Actor, LogEntry, LogFilter, LogKind, LogPlace, LogScope, Performer, UserId};

const DAY: i64 = 24 * 60 * 60 * 1000;
const OTHER: NamespaceId = NamespaceId(2);
const ORG: LogScope = LogScope::Namespace(ORGANIZATION);
const REPO: LogScope = LogScope::Repository(REPOSITORY);

fn user(name: &str) -> Actor {
    Actor::User {
        id: UserId(1),
        name: name.parse().unwrap(),
    }
}

fn entry(kind: LogKind, millis: i64, by: Actor) -> LogEntry {
    LogEntry::new(kind, at(millis), &Performer::from(by)).with(json!({ "n": millis }))
}

fn push(millis: i64, by: &str) -> LogEntry {
    entry(LogKind::PushRepo, millis, user(by)).of_repository(ORGANIZATION, REPOSITORY)
}

async fn append(site: &Site, entries: &[LogEntry]) {
    let entries = entries.to_vec();
    let write =
        move |tx: &mut WriteTx<'_>| entries.iter().try_for_each(|entry| tx.logs().append(entry));
    site.store.write(write).await.unwrap();
}

fn filter(scope: Option<LogScope>, performer: Option<&str>) -> LogFilter {
    LogFilter {
        scope,
        performer: performer.map(str::to_owned),
        since: at(i64::MIN),
        until: at(i64::MAX),
    }
}

/// The `n` of the lines that a filter finds.
async fn found(site: &Site, filter: &LogFilter) -> Vec<i64> {
    let list = |tx: &ReadTx| tx.logs().list(filter, None, 100);
    numbers(site.store.read(list).await.unwrap())
}

fn numbers(lines: Vec<(LogPlace, LogEntry)>) -> Vec<i64> {
    let number = |entry: &LogEntry| entry.metadata()["n"].as_i64().unwrap();
    lines.iter().map(|(_, entry)| number(entry)).collect()
}

#[tokio::test]
async fn a_line_stands_under_all_that_it_is_filed_under_and_nowhere_else() {
    let site = Site::new();
    let elsewhere = entry(LogKind::OrgCreateTeam, 3, user("ann")).within(OTHER);
    let nowhere = entry(LogKind::ServiceKeyCreate, 4, user("ann"));
    let team = entry(LogKind::OrgCreateTeam, 2, user("ann")).within(ORGANIZATION);
    append(&site, &[push(1, "ann"), team, elsewhere, nowhere]).await;
    assert_eq!(found(&site, &filter(None, None)).await, [4, 3, 2, 1]);
    assert_eq!(found(&site, &filter(Some(ORG), None)).await, [2, 1]);
    assert_eq!(found(&site, &filter(Some(REPO), None)).await, [1]);
    let other = LogScope::Namespace(OTHER);
    assert_eq!(found(&site, &filter(Some(other), None)).await, [3]);
    let repository = LogScope::Repository(RepositoryId(2));
    assert!(
        found(&site, &filter(Some(repository), None))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn lines_of_one_moment_come_back_as_they_were_written() {
    let site = Site::new();
    let lines: Vec<_> = (0..3)
        .map(|n| push(5, "ann").with(json!({ "n": n })))
        .collect();
    append(&site, &lines).await;
    let all = site
        .store
        .read(|tx| tx.logs().list(&filter(None, None), None, 9))
        .await
        .unwrap();
    let expected: Vec<_> = lines.into_iter().rev().collect();
    let listed: Vec<_> = all.into_iter().map(|(_, line)| line).collect();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_window_holds_its_beginning_and_not_its_end() {
    let site = Site::new();
    let lines: Vec<_> = (1..=5).map(|n| push(n, "ann")).collect();
    append(&site, &lines).await;
    for scope in [None, Some(ORG), Some(REPO)] {
        for performer in [None, Some("ann")] {
            let window = |since, until| LogFilter {
                since: at(since),
                until: at(until),
                ..filter(scope, performer)
            };
            assert_eq!(found(&site, &window(2, 4)).await, [3, 2]);
            assert_eq!(found(&site, &window(2, 2)).await, [0_i64; 0]);
            assert_eq!(found(&site, &window(4, 2)).await, [0_i64; 0]);
        }
    }
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let site = Site::new();
    let lines: Vec<_> = (1..=5).map(|n| push(n, "ann")).collect();
    append(&site, &lines).await;
    for filter in [
        filter(None, None),
        filter(Some(ORG), None),
        filter(Some(REPO), Some("ann")),
    ] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = site.store.read(|tx| tx.logs().list(&filter, after, 2));
            let page = page.await.unwrap();
            let Some((place, _)) = page.last() else { break };
            after = Some(*place);
            seen.extend(numbers(page));
        }
        assert_eq!(seen, [5, 4, 3, 2, 1]);
        // A place out of another window leads to nothing, and does no harm.
        let window = LogFilter {
            since: at(4),
            ..filter
        };
        let behind = site
            .store
            .read(|tx| tx.logs().list(&window, Some((at(1), 1)), 9));
        assert!(behind.await.unwrap().is_empty());
    }
}

/// SC-382: with `performer=x` only what x did.
#[tokio::test]
async fn a_performer_is_told_from_those_whose_names_begin_alike() {
    let site = Site::new();
    let system = entry(LogKind::PullRepo, 4, Actor::System).of_repository(OTHER, REPOSITORY);
    append(
        &site,
        &[push(1, "ann"), push(2, "anna"), push(3, "ann"), system],
    )
    .await;
    assert_eq!(found(&site, &filter(Some(ORG), Some("ann"))).await, [3, 1]);
    assert_eq!(found(&site, &filter(Some(REPO), Some("anna"))).await, [2]);
    for nobody in ["an", "", "(system)"] {
        let found = found(&site, &filter(Some(REPO), Some(nobody))).await;
        assert!(found.is_empty(), "{nobody:?}");
    }
}

#[tokio::test]
async fn acts_are_counted_by_day_kind_and_performer() {
    let site = Site::new();
    let many = push(DAY + 3, "bob").times(40);
    let pull = entry(LogKind::PullRepo, DAY, user("ann")).of_repository(ORGANIZATION, REPOSITORY);
    append(&site, &[push(1, "ann"), push(DAY, "ann"), many, pull]).await;
    let read = |tx: &ReadTx| {
        let logs = tx.logs();
        assert_eq!(logs.counts(Some(ORG), None, 0)?, [(LogKind::PushRepo, 1)]);
        let both = [(LogKind::PushRepo, 41), (LogKind::PullRepo, 1)];
        for scope in [None, Some(ORG), Some(REPO)] {
            assert_eq!(logs.counts(scope, None, 1)?, both);
        }
        let of_bob = logs.counts(Some(REPO), Some("bob"), 1)?;
        assert_eq!(of_bob, [(LogKind::PushRepo, 40)]);
        assert_eq!(logs.counts(None, Some("bob"), 1)?, of_bob);
        assert_eq!((logs.count(REPO, 0)?, logs.count(REPO, 1)?), (1, 42));
        assert!(logs.counts(None, None, 2)?.is_empty());
        Ok::<_, Error>(())
    };
    site.store.read(read).await.unwrap();
}

/// SC-098: what is older than it is kept goes, wherever it was filed, and in bounded steps.
#[tokio::test]
async fn old_lines_go_from_everywhere_and_their_counts_stay() {
    let site = Site::new();
    let lines: Vec<_> = (1..=5).map(|n| push(n, "ann")).collect();
    append(&site, &lines).await;
    let remove = |tx: &mut WriteTx<'_>| tx.logs().remove_lines(at(4), 2);
    assert_eq!(site.store.write(remove).await.unwrap(), 2);
    assert_eq!(site.store.write(remove).await.unwrap(), 1);
    assert_eq!(site.store.write(remove).await.unwrap(), 0);
    for filter in [
        filter(None, None),
        filter(Some(ORG), None),
        filter(Some(REPO), Some("ann")),
    ] {
        assert_eq!(found(&site, &filter).await, [5, 4]);
    }
    let counted = site.store.read(|tx| tx.logs().count(REPO, 0)).await;
    assert_eq!(counted.unwrap(), 5);
}

#[tokio::test]
async fn counts_of_old_days_go() {
    let site = Site::new();
    append(&site, &[push(0, "ann"), push(DAY, "ann")]).await;
    let remove = |tx: &mut WriteTx<'_>| tx.logs().remove_counts(1, 5);
    // Of all, the organisation and the repository: everyone's and ann's, and all kinds of the last.
    assert_eq!(site.store.write(remove).await.unwrap(), 5);
    assert_eq!(site.store.write(remove).await.unwrap(), 2);
    let read = |tx: &ReadTx| Ok::<_, Error>((tx.logs().count(REPO, 0)?, tx.logs().count(REPO, 1)?));
    assert_eq!(site.store.read(read).await.unwrap(), (0, 1));
}
