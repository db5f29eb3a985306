//! Whose inbox shows what, and messages to everyone.

use serde_json::json;

use super::*;
use crate::model::{
    Member, MessageFormat, NoticeKind, NoticeRecord, Severity, TeamRole, UserRecord,
};

async fn user(site: &Site, name: &str) -> (UserId, UserRecord) {
    let name: NamespaceName = name.parse().unwrap();
    let make = move |tx: &mut WriteTx<'_>| tx.users().create(&name, NOW);
    site.store.write(make).await.unwrap()
}

/// Puts somebody into a new team of the organisation.
async fn join(site: &Site, team: &'static str, role: TeamRole, user: UserId) {
    let add = move |tx: &mut WriteTx<'_>| {
        let id = tx.teams().create(&team_record(team, role))?;
        tx.teams().add_member(id, Member::User(user))
    };
    site.store.write(add).await.unwrap();
}

fn team_record(name: &str, role: TeamRole) -> crate::model::TeamRecord {
    crate::model::TeamRecord {
        namespace: NAMESPACE,
        name: name.to_owned(),
        role,
        description: String::new(),
        members: 0,
        repositories: 0,
    }
}

async fn put(site: &Site, uuid: &str, target: NamespaceId) {
    let (kind, metadata) = (NoticeKind::OrgTeamInvite, json!({"team": "ci"}));
    let notice = NoticeRecord::new(uuid.to_owned(), target, kind, NOW, &metadata);
    let put = move |tx: &mut WriteTx<'_>| tx.notices().put(&notice);
    site.store.write(put).await.unwrap();
}

/// AZ-06: of an organisation only its administrators are told, and of a person that person.
#[tokio::test]
async fn who_administers_an_organisation_is_told_what_it_is_told() {
    let site = Site::new().await;
    let inbox = Inbox::new(site.store.clone());
    let (ann, of_ann) = user(&site, "ann").await;
    let (bob, _) = user(&site, "bob").await;
    join(&site, "owners", TeamRole::Admin, ann).await;
    join(&site, "more", TeamRole::Admin, ann).await;
    join(&site, "readers", TeamRole::Member, bob).await;
    put(&site, "first", of_ann.namespace).await;
    put(&site, "second", NAMESPACE).await;
    let page = inbox.list(ann, 0, 5).await.unwrap();
    let told: Vec<_> = page
        .notices
        .iter()
        .map(|it| {
            (
                &*it.record.uuid,
                it.organization.as_ref().map(|it| it.as_str()),
            )
        })
        .collect();
    assert_eq!(told, [("second", Some("acme")), ("first", None)]);
    assert!(!page.has_more);
    assert!(inbox.list(bob, 0, 5).await.unwrap().notices.is_empty());
    for uuid in ["first", "second", "none"] {
        let refused = inbox.notice(bob, uuid).await;
        assert!(matches!(refused, Err(Error::NoticeUnknown)), "{refused:?}");
        let refused = inbox.dismiss(bob, uuid, true).await;
        assert!(matches!(refused, Err(Error::NoticeUnknown)), "{refused:?}");
    }
}

#[tokio::test]
async fn what_was_dismissed_is_found_by_its_uuid_only() {
    let site = Site::new().await;
    let inbox = Inbox::new(site.store.clone());
    let (ann, of_ann) = user(&site, "ann").await;
    put(&site, "a", of_ann.namespace).await;
    assert!(
        inbox
            .dismiss(ann, "a", true)
            .await
            .unwrap()
            .record
            .dismissed
    );
    assert!(inbox.list(ann, 0, 5).await.unwrap().notices.is_empty());
    assert!(inbox.notice(ann, "a").await.unwrap().record.dismissed);
    inbox.dismiss(ann, "a", false).await.unwrap();
    assert_eq!(inbox.list(ann, 0, 5).await.unwrap().notices.len(), 1);
}

#[tokio::test]
async fn pages_of_an_inbox_are_counted_from_nothing() {
    let site = Site::new().await;
    let inbox = Inbox::new(site.store.clone());
    let (ann, of_ann) = user(&site, "ann").await;
    for n in 0..5 {
        put(&site, &n.to_string(), of_ann.namespace).await;
    }
    for (page, uuids, more) in [
        (0, vec!["4", "3"], true),
        (2, vec!["0"], false),
        (9, vec![], false),
    ] {
        let found = inbox.list(ann, page, 2).await.unwrap();
        let told: Vec<_> = found.notices.iter().map(|it| &*it.record.uuid).collect();
        assert_eq!((told, found.has_more), (uuids, more), "page {page}");
    }
}

#[tokio::test]
async fn messages_are_told_to_everyone_until_they_are_taken_back() {
    let site = Site::new().await;
    let messages = Messages::new(site.store.clone(), site.clock.clone());
    let say = |text: String| messages.create(text, Severity::Info, MessageFormat::Plain);
    let hi = say("Hi".to_owned()).await.unwrap();
    assert_eq!((hi.uuid.len(), &hi.uuid[14..15]), (36, "4"));
    assert_eq!(messages.list().await.unwrap(), std::slice::from_ref(&hi));
    messages.delete("none").await.unwrap();
    messages.delete(&hi.uuid).await.unwrap();
    assert!(messages.list().await.unwrap().is_empty());
    for refused in [String::new(), "x".repeat((64 << 10) + 1)] {
        let refused = say(refused).await;
        assert!(matches!(refused, Err(Error::MessageSize { .. })));
    }
    for n in 0..MAXIMUM_MESSAGES {
        say(n.to_string()).await.unwrap();
    }
    let refused = say("one more".to_owned()).await;
    assert!(matches!(refused, Err(Error::TooManyMessages { .. })));
}
