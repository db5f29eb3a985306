//! The generation, and what a restart keeps.

use std::sync::mpsc;

use super::*;

#[tokio::test]
async fn every_change_moves_the_generation() {
    let site = Site::new().await;
    let accounts = &site.accounts;
    let mut seen = accounts.generation();
    let mut moved = |what: &str| {
        let now = accounts.generation();
        assert!(now > seen, "{what}");
        seen = now;
    };
    let ann = site.user("ann").await;
    moved("create_user");
    let acme = site.organization("acme", ann).await;
    moved("create_organization");
    let ci = site.robot("acme+ci").await;
    moved("create_robot");
    let (by, name) = (Performer::SYSTEM, robot("acme+ci"));
    accounts.regenerate_robot_token(&name, &by).await.unwrap();
    moved("regenerate_robot_token");
    let devs = site.team(acme, "devs", TeamRole::Member).await;
    moved("create_team");
    let (member, role) = (Member::Robot(ci), TeamRole::Creator);
    accounts
        .add_member(devs, member, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("add_member");
    accounts
        .set_team_role(devs, role, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("set_team_role");
    let app = site.repository(acme, "app").await;
    let grantee = Grantee::Team(devs);
    accounts
        .grant(app, grantee, Role::Read, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("grant");
    accounts
        .revoke(app, grantee, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("revoke");
    accounts
        .remove_member(devs, member, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("remove_member");
    accounts
        .delete_team(devs, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("delete_team");
    accounts.delete_robot(&name, &by).await.unwrap();
    moved("delete_robot");
    let (id, _) = accounts
        .create_app_token(ann, "ci", None, &Performer::default())
        .await
        .unwrap();
    moved("create_app_token");
    accounts
        .revoke_app_token(ann, id, &Performer::default())
        .await
        .unwrap();
    moved("revoke_app_token");
    let secret = Secret::new("correct-horse");
    accounts
        .set_password(ann, &secret, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("set_password");
    accounts
        .set_enabled(ann, false, &Performer::SYSTEM)
        .await
        .unwrap();
    moved("set_enabled");
    accounts.delete_user(ann, &by).await.unwrap();
    moved("delete_user");
}

#[tokio::test]
async fn what_only_reads_or_is_refused_moves_nothing() {
    let site = Site::new().await;
    site.user("ann").await;
    let before = site.accounts.generation();
    assert!(site.accounts.create_user(new_user("ann")).await.is_err());
    let ci = robot("ann+ci");
    let gone = site.accounts.delete_robot(&ci, &Performer::SYSTEM).await;
    assert!(gone.is_err());
    site.accounts.user_by_name("ann").await.unwrap();
    site.accounts.list_users(None, 9).await.unwrap();
    assert_eq!(site.accounts.generation(), before);
}

/// Whoever caches under the generation never keeps what was read before a change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_generation_moves_after_the_commit_and_before_the_answer() {
    let site = Site::new().await;
    let accounts = site.accounts.clone();
    // The writer is held in a closure before the change, so that the change waits for its batch.
    let (entered, in_closure) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let store = site.store().clone();
    let holder = tokio::spawn(async move {
        let hold = move |_: &mut WriteTx<'_>| {
            entered.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            Ok::<_, crate::store::Error>(())
        };
        store.write(hold).await
    });
    tokio::task::spawn_blocking(move || in_closure.recv().unwrap())
        .await
        .unwrap();
    let change = tokio::spawn(async move {
        let made = accounts.create_user(new_user("ann")).await;
        (made, accounts.generation(), accounts.has_users())
    });
    while site.queued_writes() == 0.0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.accounts.generation(), 0);
    assert!(!site.accounts.has_users());
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    let (made, generation, has_users) = change.await.unwrap();
    made.unwrap();
    assert_eq!((generation, has_users), (1, true));
}

/// AU-05: nobody is there whom nobody made.
#[tokio::test]
async fn there_are_users_as_soon_as_the_first_is_made() {
    let site = Site::new().await;
    assert!(!site.accounts.has_users());
    assert_eq!(site.accounts.list_users(None, 9).await.unwrap(), []);
    let acme = named("acme");
    let made = site
        .accounts
        .create_organization(NewOrganization::named(&acme, None))
        .await;
    made.unwrap();
    assert!(!site.accounts.has_users());
    let ann = site.user("ann").await;
    assert!(site.accounts.has_users());
    let site = site.reopened().await;
    assert!(site.accounts.has_users());
    let deleted = site.accounts.delete_user(ann, &Performer::SYSTEM).await;
    deleted.unwrap();
    assert!(!site.accounts.has_users());
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let secret = Secret::new("correct-horse");
    site.accounts
        .set_password(ann, &secret, &Performer::SYSTEM)
        .await
        .unwrap();
    let acme = site.organization("acme", ann).await;
    let app = site.repository(acme, "app").await;
    let name = robot("acme+ci");
    let made = site
        .accounts
        .create_robot(&name, "", &Performer::SYSTEM)
        .await;
    let (ci, token) = made.unwrap();
    let grantee = Grantee::Robot(ci);
    site.accounts
        .grant(app, grantee, Role::Write, &Performer::SYSTEM)
        .await
        .unwrap();
    let made = site
        .accounts
        .create_app_token(ann, "laptop", None, &Performer::default())
        .await;
    let (laptop, code) = made.unwrap();

    let site = site.reopened().await;
    let accounts = &site.accounts;
    let (found, user) = accounts.user_by_name("ann").await.unwrap().unwrap();
    assert_eq!(found, ann);
    assert!(accounts.verify_password(Some(&user), &secret).await);
    let found = accounts.robot_by_name(&robot("acme+ci")).await.unwrap();
    let (found, record) = found.unwrap();
    assert_eq!(found, ci);
    assert!(accounts.is_robot_token(&record, &token).unwrap());
    let rights = accounts.rights(Principal::Robot(ci), acme, Some(app)).await;
    assert_eq!(rights.unwrap().role, Some(Role::Write));
    let rights = accounts.rights(Principal::User(ann), acme, None).await;
    assert_eq!(rights.unwrap().role, Some(Role::Admin));
    let (found, _) = accounts.app_token_by_code(&code).await.unwrap().unwrap();
    assert_eq!(found, laptop);
    assert!(site.user("bob").await > ann, "ids go on");
}
