//! Pages, counts, popularity, and what goes with age.

use serde_json::json;

use super::*;
use crate::model::{LogEntry, LogKind, Performer};

fn push(at: Timestamp) -> LogEntry {
    LogEntry::new(LogKind::PushRepo, at, &Performer::from(ann()))
        .with(json!({"tag": "v1"}))
        .of_repository(NAMESPACE, REPOSITORY)
}

async fn append(site: &Site, entries: Vec<LogEntry>) {
    let write =
        move |tx: &mut WriteTx<'_>| entries.iter().try_for_each(|entry| tx.logs().append(entry));
    site.store.write(write).await.unwrap();
}

/// SC-325: 20 rows and the way to the rest, which has none.
#[tokio::test]
async fn a_page_leads_to_the_next_only_if_there_is_one() {
    let site = Site::new().await;
    append(&site, vec![push(NOW); 22]).await;
    let first = site.audit.list(of_repository(), None, 20).await.unwrap();
    assert_eq!(first.lines.len(), 20);
    let second = site.audit.list(of_repository(), first.next, 20).await;
    let second = second.unwrap();
    assert_eq!((second.lines.len(), second.next), (2, None));
    let whole = site.audit.list(of_repository(), None, 22).await.unwrap();
    assert_eq!(whole.next, None);
}

#[tokio::test]
async fn a_line_comes_with_what_is_shown_of_its_people() {
    let site = Site::new().await;
    let (user, name) = (ann(), "ann".parse::<NamespaceName>().unwrap());
    let make = move |tx: &mut WriteTx<'_>| {
        let (id, mut record) = tx.users().create(&name, NOW)?;
        record.email = Some("ann@example.com".to_owned());
        tx.users().put(id, &record)?;
        Ok::<_, crate::store::Error>((id, record.namespace))
    };
    let (id, own) = site.store.write(make).await.unwrap();
    assert_eq!(id, UserId(1));
    let login = |namespace| {
        LogEntry::new(LogKind::UserCreate, NOW, &Performer::from(&user)).within(namespace)
    };
    append(&site, vec![login(own), login(NamespaceId(9)), push(NOW)]).await;
    let lines = site.lines().await;
    let email = Some("ann@example.com".to_owned());
    assert!(lines.iter().all(|line| line.performer_email == email));
    let acme = lines[0].namespace.as_ref().unwrap();
    assert_eq!((acme.name.as_str(), acme.is_user), ("acme", false));
    assert_eq!(lines[1].namespace, None, "it is gone");
    let own = lines[2].namespace.as_ref().unwrap();
    assert!(own.is_user && own.seed == "ann@example.com");
}

#[tokio::test]
async fn counts_are_of_whole_days_and_hold_what_was_just_noted() {
    let site = Site::new().await;
    let yesterday = Timestamp::from_millis(NOW.as_millis() - 24 * 3_600_000);
    append(&site, vec![push(yesterday), push(NOW)]).await;
    site.pull("v1", &Actor::Anonymous);
    let window = |performer: Option<&str>| LogFilter {
        performer: performer.map(str::to_owned),
        since: yesterday,
        until: NOW + DAY,
        ..of_repository()
    };
    let counts = site.audit.aggregate(window(None)).await.unwrap();
    let told: Vec<_> = counts
        .iter()
        .map(|it| (it.day.to_string(), it.kind, it.count))
        .collect();
    let expected = [
        ("2024-05-09T00:00:00Z".to_owned(), LogKind::PushRepo, 1),
        ("2024-05-10T00:00:00Z".to_owned(), LogKind::PushRepo, 1),
        ("2024-05-10T00:00:00Z".to_owned(), LogKind::PullRepo, 1),
    ];
    assert_eq!(told, expected);
    let of_ann = site.audit.aggregate(window(Some("ann"))).await.unwrap();
    assert_eq!(of_ann.len(), 2);
    let of_bob = site.audit.aggregate(window(Some("bob"))).await.unwrap();
    assert!(of_bob.is_empty());
}

#[tokio::test]
async fn popularity_is_what_happened_within_a_week() {
    let site = Site::new().await;
    append(&site, vec![push(NOW)]).await;
    for _ in 0..6 {
        site.clock.advance(DAY);
    }
    let other = RepositoryId(2);
    let popular = site.audit.popularity(vec![other, REPOSITORY]).await;
    assert_eq!(popular.unwrap(), [0, 1]);
    let days = site.audit.activity(REPOSITORY, 91).await.unwrap();
    assert_eq!((days.len(), days[84].1), (91, 1));
    assert_eq!(days[84].0.to_string(), "2024-05-10T00:00:00Z");
    site.clock.advance(DAY);
    let popular = site.audit.popularity(vec![REPOSITORY]).await;
    assert_eq!(popular.unwrap(), [0]);
}

/// SC-098: rows older than the retention vanish.
#[tokio::test]
async fn lines_go_when_they_are_thirty_days_old_and_counts_long_after() {
    let site = Site::new().await;
    append(&site, vec![push(NOW); 1201]).await;
    site.clock.advance(DAY * 30);
    assert_eq!(site.audit.rotate().await.unwrap(), 0);
    site.clock.advance(Duration::from_millis(1));
    append(&site, vec![push(site.clock.now())]).await;
    assert_eq!(site.audit.rotate().await.unwrap(), 1201);
    assert_eq!(site.lines().await.len(), 1);
    assert_eq!(site.metrics.removed.get(), 1201);
    let counted = |site: &Site| {
        let audit = site.audit.clone();
        async move { audit.activity(REPOSITORY, 200).await.unwrap() }
    };
    let sum = |days: Vec<(Timestamp, u64)>| days.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(sum(counted(&site).await), 1202);
    site.clock.advance(DAY * 71);
    site.audit.rotate().await.unwrap();
    assert_eq!(sum(counted(&site).await), 1, "the first day is forgotten");
}

#[tokio::test]
async fn what_is_kept_for_ever_stays() {
    let config = AuditConfig {
        keep: None,
        ..AuditConfig::default()
    };
    let site = Site::with(config).await;
    append(&site, vec![push(Timestamp::from_millis(0))]).await;
    assert_eq!(site.audit.rotate().await.unwrap(), 0);
    assert_eq!(site.lines().await.len(), 1);
}
