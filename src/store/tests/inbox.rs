//! Inboxes and messages to everyone.

use serde_json::json;

use super::*;
use crate::model::{MessageFormat, MessageRecord, NoticeKind, NoticeRecord, Severity};

const OTHER: NamespaceId = NamespaceId(2);

fn notice(uuid: impl Into<String>, target: NamespaceId) -> NoticeRecord {
    let metadata = json!({"org": "acme", "team": "ci"});
    let kind = NoticeKind::OrgTeamInvite;
    NoticeRecord::new(uuid.into(), target, kind, at(1), &metadata)
}

async fn put(site: &Site, notices: Vec<NoticeRecord>) {
    let write = move |tx: &mut WriteTx<'_>| {
        notices
            .iter()
            .try_for_each(|notice| tx.notices().put(notice))
    };
    site.store.write(write).await.unwrap();
}

async fn open_notices(site: &Site, target: NamespaceId) -> Vec<String> {
    let open = site.store.read(|tx| tx.notices().open(target, 9)).await;
    let open = open.unwrap().into_iter();
    open.map(|(_, record)| record.uuid).collect()
}

#[tokio::test]
async fn an_inbox_shows_what_is_not_dismissed_the_newest_first() {
    let site = Site::new();
    let notices = vec![
        notice("a", ORGANIZATION),
        notice("b", ORGANIZATION),
        notice("c", OTHER),
    ];
    put(&site, notices).await;
    assert_eq!(open_notices(&site, ORGANIZATION).await, ["b", "a"]);
    assert_eq!(open_notices(&site, OTHER).await, ["c"]);
    let found = site.store.read(|tx| tx.notices().by_uuid("a")).await;
    let (place, record) = found.unwrap().unwrap();
    assert_eq!(record.metadata()["team"], "ci");
    for (dismissed, left) in [(true, vec!["b"]), (false, vec!["b", "a"])] {
        let dismiss = move |tx: &mut WriteTx<'_>| tx.notices().dismiss(place, dismissed);
        site.store.write(dismiss).await.unwrap();
        assert_eq!(open_notices(&site, ORGANIZATION).await, left);
        let found = site.store.read(|tx| tx.notices().by_uuid("a")).await;
        assert_eq!(found.unwrap().unwrap().1.dismissed, dismissed);
    }
    let none = site.store.read(|tx| tx.notices().by_uuid("none")).await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn what_is_settled_is_taken_back_from_every_inbox_it_lies_in() {
    let site = Site::new();
    let about = |uuid: &str, target, about: &str| notice(uuid, target).about(about);
    let notices = vec![
        about("a", ORGANIZATION, "key/1"),
        about("b", OTHER, "key/1"),
        about("c", OTHER, "key/11"),
        about("d", OTHER, "tokens"),
        about("e", ORGANIZATION, "tokens"),
    ];
    put(&site, notices).await;
    let has = |target, about| {
        let store = site.store.clone();
        async move {
            let has = store.read(|tx| tx.notices().has_about(target, about)).await;
            has.unwrap()
        }
    };
    assert!(has(OTHER, "key/1").await && !has(OTHER, "key").await);
    let settle = |tx: &mut WriteTx<'_>| {
        tx.notices().remove_about("key/1")?;
        tx.notices().remove_about_of(OTHER, "tokens")
    };
    site.store.write(settle).await.unwrap();
    assert_eq!(open_notices(&site, ORGANIZATION).await, ["e"]);
    assert_eq!(open_notices(&site, OTHER).await, ["c"]);
    assert!(!has(OTHER, "key/1").await && has(OTHER, "key/11").await);
    let gone = site.store.read(|tx| tx.notices().by_uuid("b")).await;
    assert_eq!(gone.unwrap(), None);
}

#[tokio::test]
async fn in_a_full_inbox_the_oldest_gives_way() {
    let site = Site::new();
    let notices = (1..=1100).map(|n| notice(n.to_string(), ORGANIZATION));
    put(&site, notices.collect()).await;
    let count = site.store.read(|tx| tx.notices().open(ORGANIZATION, 2000));
    let count = count.await.unwrap().len();
    assert!((1000..1032).contains(&count), "{count}");
    let oldest = site.store.read(|tx| tx.notices().by_uuid("1")).await;
    assert_eq!(oldest.unwrap(), None);
}

#[tokio::test]
async fn the_inbox_of_who_goes_is_emptied_step_by_step() {
    let site = Site::new();
    let mine = notice("a", ORGANIZATION).about("x");
    put(
        &site,
        vec![mine, notice("b", ORGANIZATION), notice("c", OTHER)],
    )
    .await;
    let clear = |tx: &mut WriteTx<'_>| tx.notices().clear(ORGANIZATION, 1);
    for removed in [1, 1, 0] {
        assert_eq!(site.store.write(clear).await.unwrap(), removed);
    }
    assert_eq!(open_notices(&site, OTHER).await, ["c"]);
    let left = site
        .store
        .read(|tx| tx.notices().has_about(ORGANIZATION, "x"));
    assert!(!left.await.unwrap());
}

#[tokio::test]
async fn messages_stand_in_the_order_in_which_they_were_made() {
    let site = Site::new();
    let message = |uuid: &str| MessageRecord {
        uuid: uuid.to_owned(),
        content: "Hi".to_owned(),
        severity: Severity::Info,
        format: MessageFormat::Plain,
        at: at(1),
    };
    let (first, second) = (message("b"), message("a"));
    let write = move |tx: &mut WriteTx<'_>| {
        tx.messages().put(&first)?;
        tx.messages().put(&second)
    };
    site.store.write(write).await.unwrap();
    let all = site.store.read(|tx| tx.messages().list(9)).await.unwrap();
    let [(sequence, first), (_, second)] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!((&*first.uuid, &*second.uuid), ("b", "a"));
    let sequence = *sequence;
    let remove = move |tx: &mut WriteTx<'_>| tx.messages().remove(sequence);
    site.store.write(remove).await.unwrap();
    assert_eq!(
        site.store
            .read(|tx| tx.messages().list(9))
            .await
            .unwrap()
            .len(),
        1
    );
}
