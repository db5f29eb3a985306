//! Robots and app tokens.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_robot_has_a_token_that_can_be_shown_again() {
    let site = Site::new().await;
    site.user("ann").await;
    let name = robot("ann+ci");
    let accounts = &site.accounts;
    let made = accounts
        .create_robot(&name, "builds", &Performer::SYSTEM)
        .await;
    let (id, token) = made.unwrap();
    assert_eq!(token.expose().len(), 64);
    let (found, record) = accounts.robot_by_name(&name).await.unwrap().unwrap();
    assert_eq!((found, &*record.description), (id, "builds"));
    assert_eq!(accounts.robot_token(&record).unwrap(), token);
    assert!(accounts.is_robot_token(&record, &token).unwrap());
    let other = Secret::new("A".repeat(64));
    assert!(!accounts.is_robot_token(&record, &other).unwrap());
}

#[tokio::test]
async fn a_regenerated_token_replaces_the_old_one_at_once() {
    let site = Site::new().await;
    site.user("ann").await;
    let name = robot("ann+ci");
    let accounts = &site.accounts;
    let made = accounts.create_robot(&name, "", &Performer::SYSTEM).await;
    let (id, old) = made.unwrap();
    let new = accounts
        .regenerate_robot_token(&name, &Performer::SYSTEM)
        .await;
    let new = new.unwrap();
    let record = accounts.robot(id).await.unwrap().unwrap();
    assert!(!accounts.is_robot_token(&record, &old).unwrap());
    assert!(accounts.is_robot_token(&record, &new).unwrap());
}

#[tokio::test]
async fn a_robot_needs_a_namespace_and_a_free_name() {
    let site = Site::new().await;
    let make = |name| {
        let accounts = site.accounts.clone();
        async move {
            accounts
                .create_robot(&robot(name), "", &Performer::SYSTEM)
                .await
        }
    };
    let lost = make("none+ci").await;
    let noun = Noun::Namespace;
    assert!(matches!(lost, Err(Error::Unknown { noun: found }) if found == noun));
    site.cache("docker.io").await;
    make("docker.io+ci").await.unwrap();
    let again = make("docker.io+ci").await;
    let noun = Noun::Robot;
    assert!(matches!(again, Err(Error::Exists { noun: found, .. }) if found == noun));
}

#[tokio::test]
async fn a_robot_of_an_old_name_inherits_nothing() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let acme = site.organization("acme", ann).await;
    let repository = site.repository(acme, "app").await;
    let devs = site.team(acme, "devs", TeamRole::Admin).await;
    let accounts = &site.accounts;
    let old = site.robot("acme+ci").await;
    let grantee = Grantee::Robot(old);
    accounts
        .grant(repository, grantee, Role::Admin, &Performer::SYSTEM)
        .await
        .unwrap();
    accounts
        .add_member(devs, Member::Robot(old), &Performer::SYSTEM)
        .await
        .unwrap();
    let deleted = accounts
        .delete_robot(&robot("acme+ci"), &Performer::SYSTEM)
        .await;
    deleted.unwrap();
    assert_eq!(accounts.list_grants(repository, None, 9).await.unwrap(), []);
    assert_eq!(accounts.list_members(devs, None, 9).await.unwrap(), []);
    let new = site.robot("acme+ci").await;
    assert_ne!(new, old, "an id is never given twice");
    for robot in [old, new] {
        let principal = Principal::Robot(robot);
        let rights = accounts.rights(principal, acme, Some(repository)).await;
        assert_eq!(rights.unwrap(), Rights::default());
    }
    let again = accounts
        .delete_robot(&robot("acme+none"), &Performer::SYSTEM)
        .await;
    assert!(matches!(again, Err(Error::Unknown { noun: Noun::Robot })));
}

#[tokio::test]
async fn robots_are_listed_by_namespace() {
    let site = Site::new().await;
    site.user("ann").await;
    site.user("bob").await;
    for name in ["ann+b1", "bob+aa", "ann+a1"] {
        site.robot(name).await;
    }
    let ann = site.namespace("ann").await;
    let first = site.accounts.list_robots(ann, None, 1).await.unwrap();
    assert_eq!(first[0].1.name, robot("ann+a1"));
    let rest = site.accounts.list_robots(ann, Some("a1"), 9).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].1.name, robot("ann+b1"));
}

#[tokio::test]
async fn an_app_token_is_found_by_its_code_until_it_expires() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let accounts = &site.accounts;
    let expires = site.clock.now() + Duration::from_secs(60);
    let made = accounts
        .create_app_token(ann, "ci", Some(expires), &Performer::default())
        .await;
    let (id, code) = made.unwrap();
    assert_eq!(code.expose().len(), 120);
    let (found, token) = accounts.app_token_by_code(&code).await.unwrap().unwrap();
    assert_eq!((found, token.user, &*token.title), (id, ann, "ci"));
    for wrong in [
        format!("{}{}", &code.expose()[..60], "A".repeat(60)),
        format!("{}{}", "A".repeat(60), &code.expose()[60..]),
        code.expose()[..119].to_owned(),
    ] {
        let found = accounts.app_token_by_code(&Secret::new(wrong)).await;
        assert!(found.unwrap().is_none());
    }
    site.clock.advance(Duration::from_secs(60));
    assert!(accounts.app_token_by_code(&code).await.unwrap().is_none());
}

/// AZ-06: an id of another user's token is no token of this user.
#[tokio::test]
async fn a_token_is_revoked_by_its_own_user_only() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let accounts = &site.accounts;
    let (id, code) = accounts
        .create_app_token(ann, "ci", None, &Performer::default())
        .await
        .unwrap();
    let refused = accounts
        .revoke_app_token(bob, id, &Performer::default())
        .await;
    let noun = Noun::AppToken;
    assert!(matches!(refused, Err(Error::Unknown { noun: found }) if found == noun));
    assert_eq!(accounts.list_app_tokens(bob, None, 9).await.unwrap(), []);
    assert_eq!(
        accounts.list_app_tokens(ann, None, 9).await.unwrap().len(),
        1
    );
    accounts
        .revoke_app_token(ann, id, &Performer::default())
        .await
        .unwrap();
    assert!(accounts.app_token_by_code(&code).await.unwrap().is_none());
    assert_eq!(accounts.list_app_tokens(ann, None, 9).await.unwrap(), []);
    let nobody = accounts
        .create_app_token(UserId(99), "ci", None, &Performer::default())
        .await;
    assert!(matches!(nobody, Err(Error::Unknown { noun: Noun::User })));
}
