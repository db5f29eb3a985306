//! Users, organisations and teams: made, found, changed, removed.

use super::*;

#[tokio::test]
async fn a_user_is_found_by_name_and_by_address_in_any_case() {
    let site = Site::new().await;
    let id = site
        .accounts
        .create_user(NewUser {
            email: Some("Ann@Example.org".to_owned()),
            superuser: true,
            ..new_user("ann")
        })
        .await
        .unwrap();
    for text in ["ann", "ann@example.org", "ANN@EXAMPLE.ORG"] {
        let (found, user) = site.accounts.user_by_name(text).await.unwrap().unwrap();
        assert_eq!(found, id, "{text}");
        assert_eq!(user.name, named("ann"));
        assert_eq!(user.email.as_deref(), Some("Ann@Example.org"));
        assert_eq!((user.enabled, user.superuser), (true, true));
        assert_eq!(user.namespace, site.namespace("ann").await);
    }
    for text in ["Ann", "bob", "bob@example.org", "", "ann/x"] {
        let found = site.accounts.user_by_name(text).await.unwrap();
        assert!(found.is_none(), "{text}");
    }
}

#[tokio::test]
async fn a_taken_name_says_by_what() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    site.organization("acme", ann).await;
    site.cache("docker.io").await;
    for name in ["ann", "acme", "docker.io"] {
        let user = site.accounts.create_user(new_user(name)).await;
        let organization = site
            .accounts
            .create_organization(NewOrganization::named(&named(name), None))
            .await;
        for refused in [user.map(|_| ()), organization.map(|_| ())] {
            let Err(Error::NameTaken { name: taken, kind }) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(taken, named(name));
            let expected = match name {
                "ann" => NamespaceKind::User(ann),
                "acme" => NamespaceKind::Organization,
                _ => NamespaceKind::Cache,
            };
            assert_eq!(kind, expected);
        }
    }
}

/// AZ-17.
#[tokio::test]
async fn a_name_or_address_without_form_is_refused() {
    let site = Site::new().await;
    for name in ["a", "a__b"] {
        let made = site.accounts.create_user(new_user(name)).await;
        assert!(matches!(made, Err(Error::InvalidName { .. })), "{name}");
        let made = site
            .accounts
            .create_organization(NewOrganization::named(&named(name), None))
            .await;
        assert!(matches!(made, Err(Error::InvalidName { .. })), "{name}");
    }
    let refused = NewUser {
        email: Some("no address".to_owned()),
        ..new_user("ann")
    };
    let made = site.accounts.create_user(refused).await;
    assert!(matches!(made, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn an_address_is_one_users_and_a_refused_user_leaves_nothing() {
    let site = Site::new().await;
    let with_address = |name, email: &str| NewUser {
        email: Some(email.to_owned()),
        ..new_user(name)
    };
    let ann = with_address("ann", "team@example.org");
    site.accounts.create_user(ann).await.unwrap();
    let bob = with_address("bob", "Team@example.org");
    let refused = site.accounts.create_user(bob).await;
    let noun = Noun::Email;
    assert!(
        matches!(refused, Err(Error::Exists { noun: found, .. }) if found == noun),
        "{refused:?}"
    );
    assert!(site.accounts.user_by_name("bob").await.unwrap().is_none());
    site.user("bob").await;
}

#[tokio::test]
async fn a_password_is_set_and_a_user_without_one_has_none() {
    let site = Site::new().await;
    let id = site.user("ann").await;
    let secret = Secret::new("correct-horse");
    let ann = site.accounts.user(id).await.unwrap().unwrap();
    assert!(!site.accounts.verify_password(Some(&ann), &secret).await);
    site.accounts
        .set_password(id, &secret, &Performer::SYSTEM)
        .await
        .unwrap();
    let ann = site.accounts.user(id).await.unwrap().unwrap();
    assert!(site.accounts.verify_password(Some(&ann), &secret).await);
    assert!(!site.accounts.verify_password(None, &secret).await);
    let short = Secret::new("short");
    let refused = site
        .accounts
        .set_password(id, &short, &Performer::SYSTEM)
        .await;
    assert!(matches!(refused, Err(Error::Invalid { .. })));
    let nobody = site
        .accounts
        .set_password(UserId(99), &secret, &Performer::SYSTEM)
        .await;
    assert!(matches!(nobody, Err(Error::Unknown { noun: Noun::User })));
}

#[tokio::test]
async fn users_are_listed_in_pages() {
    let site = Site::new().await;
    let ids = [site.user("bob").await, site.user("ann").await];
    let first = site.accounts.list_users(None, 1).await.unwrap();
    assert_eq!(first[0].0, ids[0]);
    let rest = site.accounts.list_users(Some(ids[0]), 9).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].1.name, named("ann"));
}

#[tokio::test]
async fn an_organization_begins_with_its_owner_in_the_team_owners() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let acme = site.organization("acme", ann).await;
    let found = site.accounts.team_by_name(acme, "owners").await.unwrap();
    let (owners, team) = found.unwrap();
    assert_eq!(team.role, TeamRole::Admin);
    let members = site.accounts.list_members(owners, None, 9).await.unwrap();
    assert_eq!(members, [Member::User(ann)]);
    let (other, nobody) = (named("other"), Some(UserId(99)));
    let made = site
        .accounts
        .create_organization(NewOrganization::named(&other, nobody))
        .await;
    assert!(matches!(made, Err(Error::Unknown { noun: Noun::User })));
}

#[tokio::test]
async fn an_organization_keeps_a_team_of_admins() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let acme = site.organization("acme", ann).await;
    let found = site.accounts.team_by_name(acme, "owners").await.unwrap();
    let (owners, _) = found.unwrap();
    site.team(acme, "plain", TeamRole::Member).await;
    let (deleted, weakened) = (
        site.accounts.delete_team(owners, &Performer::SYSTEM).await,
        site.accounts
            .set_team_role(owners, TeamRole::Creator, &Performer::SYSTEM)
            .await,
    );
    assert!(matches!(deleted, Err(Error::LastAdminTeam)));
    assert!(matches!(weakened, Err(Error::LastAdminTeam)));
    site.team(acme, "others", TeamRole::Admin).await;
    site.accounts
        .delete_team(owners, &Performer::SYSTEM)
        .await
        .unwrap();
    let left = site.accounts.list_teams(acme, None, 9).await.unwrap();
    let names: Vec<_> = left.iter().map(|(_, team)| &*team.name).collect();
    assert_eq!(names, ["others", "plain"]);
}

#[tokio::test]
async fn teams_are_of_organizations_and_hold_robots_of_their_own_only() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let acme = site.organization("acme", ann).await;
    site.organization("other", ann).await;
    let team = |namespace| TeamRecord::new(namespace, "devs".to_owned(), TeamRole::Member);
    let of_user = team(site.namespace("ann").await);
    let refused = site
        .accounts
        .create_team(&of_user, &Performer::SYSTEM)
        .await;
    assert!(matches!(refused, Err(Error::NoOrganization { .. })));
    let devs = site
        .accounts
        .create_team(&team(acme), &Performer::SYSTEM)
        .await
        .unwrap();
    let again = site
        .accounts
        .create_team(&team(acme), &Performer::SYSTEM)
        .await;
    let noun = Noun::Team;
    assert!(matches!(again, Err(Error::Exists { noun: found, .. }) if found == noun));
    let (own, foreign) = (site.robot("acme+ci").await, site.robot("other+ci").await);
    let add = |member| site.accounts.add_member(devs, member, &Performer::SYSTEM);
    add(Member::Robot(own)).await.unwrap();
    let refused = add(Member::Robot(foreign)).await;
    assert!(matches!(refused, Err(Error::Foreign { noun: Noun::Robot })));
    let refused = add(Member::User(UserId(99))).await;
    assert!(matches!(refused, Err(Error::Unknown { noun: Noun::User })));
    let members = site.accounts.list_members(devs, None, 9).await.unwrap();
    assert_eq!(members, [Member::Robot(own)]);
}

/// SC-011, AZ-16: nobody meets a deleted user from then on, and nobody inherits from it.
#[tokio::test]
async fn a_deleted_user_is_gone_at_once_and_its_rows_later() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let acme = site.organization("acme", ann).await;
    let shared = site.repository(acme, "app").await;
    let devs = site.team(acme, "devs", TeamRole::Admin).await;
    let (member, system) = (Member::User(bob), &Performer::SYSTEM);
    site.accounts
        .add_member(devs, member, system)
        .await
        .unwrap();
    let (grantee, role) = (Grantee::User(bob), Role::Write);
    let granted = site.accounts.grant(shared, grantee, role, system);
    granted.await.unwrap();
    let ci = site.robot("bob+ci").await;
    site.accounts
        .create_app_token(bob, "laptop", None, system)
        .await
        .unwrap();
    let own = site.namespace("bob").await;
    let repository = site.repository(own, "app").await;

    let accounts = &site.accounts;
    accounts.delete_user(bob, system).await.unwrap();
    assert!(accounts.user_by_name("bob").await.unwrap().is_none());
    assert!(accounts.user(bob).await.unwrap().is_none());
    let found = accounts.robot_by_name(&robot("bob+ci")).await.unwrap();
    assert!(found.is_none());
    for principal in [Principal::User(bob), Principal::Robot(ci)] {
        for (namespace, on) in [(own, repository), (acme, shared)] {
            let rights = accounts.rights(principal, namespace, Some(on)).await;
            assert_eq!(rights.unwrap(), Rights::default());
        }
    }
    let again = accounts.create_user(new_user("bob")).await;
    assert!(matches!(again, Err(Error::NameTaken { .. })), "{again:?}");

    let purged = accounts.purge_some(1_000).await.unwrap();
    assert_eq!(
        purged.finished, 1,
        "the user; the namespace has a repository"
    );
    assert_eq!(accounts.list_members(devs, None, 9).await.unwrap(), []);
    assert_eq!(accounts.list_grants(shared, None, 9).await.unwrap(), []);
    assert_eq!(accounts.list_app_tokens(bob, None, 9).await.unwrap(), []);
    assert!(accounts.robot(ci).await.unwrap().is_none());
    assert_eq!(accounts.deleted_namespaces(None).await.unwrap(), [own]);
    site.write(move |tx| tx.repositories().remove(repository))
        .await;
    let purged = accounts.purge_some(1_000).await.unwrap();
    assert_eq!(purged.finished, 1);
    assert_eq!(accounts.purge_some(1_000).await.unwrap(), Purged::default());

    assert_ne!(site.user("bob").await, bob, "an id is never given twice");
    assert_ne!(site.namespace("bob").await, own);
    let ci = accounts.robot_by_name(&robot("bob+ci")).await.unwrap();
    assert!(ci.is_none(), "a new user of an old name inherits nothing");
}
