//! Namespaces as wholes: handed over and renamed; what is noted of their people.

use std::time::Duration;

use super::*;
use crate::model::{LogFilter, LogKind, LogScope, PrototypeRecord};

/// The kinds of the lines of a namespace, the newest first.
async fn kinds(site: &Site, namespace: NamespaceId) -> Vec<LogKind> {
    let filter = LogFilter {
        scope: Some(LogScope::Namespace(namespace)),
        performer: None,
        since: Timestamp::from_millis(0),
        until: Timestamp::from_millis(i64::MAX),
    };
    let lines = site.store().read(|tx| tx.logs().list(&filter, None, 100));
    let lines: Result<_, crate::store::Error> = lines.await;
    lines
        .unwrap()
        .into_iter()
        .map(|(_, line)| line.kind)
        .collect()
}

/// Quay: `account_convert`. Content and robots stay, the person does not.
#[tokio::test]
async fn a_user_becomes_an_organization_of_somebody_else() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let own = site.namespace("bob").await;
    let app = site.repository(own, "app").await;
    let ci = site.robot("bob+ci").await;
    let (accounts, system) = (&site.accounts, &Performer::SYSTEM);
    let same = accounts.convert_user(bob, bob, system).await;
    assert!(matches!(same, Err(Error::Foreign { noun: Noun::User })));
    accounts.convert_user(bob, ann, system).await.unwrap();
    assert!(accounts.user(bob).await.unwrap().is_none());
    let (found, record) = accounts.organization(&named("bob")).await.unwrap().unwrap();
    assert_eq!((found, record.kind), (own, NamespaceKind::Organization));
    let rights = accounts.rights(Principal::User(ann), own, Some(app)).await;
    assert_eq!(rights.unwrap().role, Some(Role::Admin));
    let rights = accounts.rights(Principal::User(bob), own, Some(app)).await;
    assert_eq!(rights.unwrap(), Rights::default());
    let (found, _) = accounts
        .robot_by_name(&robot("bob+ci"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, ci);
    assert_eq!(kinds(&site, own).await[0], LogKind::AccountConvert);
    let purged = accounts.purge_some(1_000).await.unwrap();
    assert_eq!(purged.finished, 1, "only the person goes");
    assert!(
        accounts
            .organization(&named("bob"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_superuser_takes_an_organization_and_a_users_namespace() {
    let site = Site::new().await;
    let (ann, root) = (site.user("ann").await, site.user("root").await);
    let acme = site.organization("acme", ann).await;
    let own = site.namespace("ann").await;
    let by = &Performer::SYSTEM;
    for namespace in [acme, own] {
        let taken = site.accounts.take_ownership(namespace, root, by).await;
        taken.unwrap();
        let rights = site
            .accounts
            .rights(Principal::User(root), namespace, None)
            .await;
        assert_eq!(rights.unwrap().role, Some(Role::Admin));
    }
    assert!(site.accounts.user(ann).await.unwrap().is_none());
    let told = kinds(&site, site.namespace("root").await).await;
    assert_eq!(told[..2], [LogKind::TakeOwnership, LogKind::TakeOwnership]);
}

/// AU-10: the token is sealed for the robot, whatever its namespace is called.
#[tokio::test]
async fn a_renamed_user_keeps_robots_with_their_tokens() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let (accounts, system) = (&site.accounts, &Performer::SYSTEM);
    let made = accounts.create_robot(&robot("ann+ci"), "", system).await;
    let (id, token) = made.unwrap();
    let own = site.namespace("ann").await;
    let taken = accounts.rename_namespace(own, &named("ann"), system).await;
    taken.unwrap();
    accounts
        .rename_namespace(own, &named("anna"), system)
        .await
        .unwrap();
    assert!(accounts.user_by_name("ann").await.unwrap().is_none());
    let (found, record) = accounts.user_by_name("anna").await.unwrap().unwrap();
    assert_eq!((found, record.name), (ann, named("anna")));
    let (found, record) = accounts
        .robot_by_name(&robot("anna+ci"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, id);
    assert!(accounts.is_robot_token(&record, &token).unwrap());
    site.user("ann").await;
    let refused = accounts.rename_namespace(own, &named("ann"), system).await;
    assert!(matches!(refused, Err(Error::NameTaken { .. })));
}

/// Times of last use are written together, and not more often than a minute.
#[tokio::test]
async fn a_use_is_written_with_others_later() {
    let site = Site::new().await;
    site.user("ann").await;
    let ci = site.robot("ann+ci").await;
    let (accounts, clock) = (&site.accounts, &site.clock);
    let seen = || async {
        let robot = accounts.robot(ci).await.unwrap().unwrap();
        robot.last_accessed
    };
    let before = accounts.generation();
    accounts.note_use(Member::Robot(ci));
    assert_eq!(seen().await, None);
    accounts.flush_uses().await.unwrap();
    let first = clock.now();
    assert_eq!(seen().await, Some(first));
    clock.advance(Duration::from_secs(30));
    accounts.note_use(Member::Robot(ci));
    accounts.flush_uses().await.unwrap();
    assert_eq!(seen().await, Some(first));
    clock.advance(Duration::from_secs(31));
    accounts.note_use(Member::Robot(ci));
    accounts.flush_uses().await.unwrap();
    assert_eq!(seen().await, Some(clock.now()));
    assert_eq!(accounts.generation(), before, "nobody's rights changed");
}

/// SC-295: one for the maker wins, the maker gets nothing, and who is gone is passed over.
#[tokio::test]
async fn default_permissions_are_chosen_by_who_makes_the_repository() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let acme = site.organization("acme", ann).await;
    let devs = site.team(acme, "devs", TeamRole::Member).await;
    let gone = site.robot("acme+gone").await;
    let app = site.repository(acme, "app").await;
    let prototype = |activating, delegate, role| PrototypeRecord {
        namespace: acme,
        uuid: String::new(),
        activating,
        delegate,
        role,
    };
    let (maker, team) = (Member::User(ann), Grantee::Team(devs));
    let all = [
        prototype(Some(maker), team, Role::Admin),
        prototype(None, team, Role::Read),
        prototype(Some(Member::User(bob)), team, Role::Write),
        prototype(None, Grantee::User(bob), Role::Read),
        prototype(None, Grantee::User(ann), Role::Read),
        prototype(None, Grantee::Robot(gone), Role::Read),
    ];
    site.write(move |tx| {
        for record in &all {
            tx.prototypes().create(record)?;
        }
        tx.robots().remove(gone)?;
        tx.prototypes().apply(acme, app, maker)
    })
    .await;
    let granted = site.accounts.list_grants(app, None, 9).await.unwrap();
    let expected = [(Grantee::User(bob), Role::Read), (team, Role::Admin)];
    assert_eq!(granted, expected);
    let listed = site.accounts.list_prototypes(acme).await.unwrap();
    assert_eq!(listed.len(), 5);
}
