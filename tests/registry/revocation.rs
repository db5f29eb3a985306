//! What was taken back counts at the next request, for passwords and for tokens issued before.

use std::time::Duration;

use entrepot::model::{Grantee, Member, Performer, Role, Secret, TeamRole, Visibility};
use reqwest::Method;

use crate::harness::content::{Image, bytes};
use crate::harness::people::{Asked, Who};
use crate::harness::site::Site;

const NAME: &str = "acme/app";
const PATH: &str = "/v2/acme/app/manifests/v1";

/// A private repository with an image, whose owner is `ann`.
async fn stage() -> Site {
    let site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    site.push_as(&Who::user("ann"), NAME, "v1", &Image::small(1))
        .await;
    site
}

/// The same by password and by a token.
async fn both(site: &Site, who: Who) -> [Who; 2] {
    let token = site
        .token_as(&who, &["repository:acme/app:pull,push,delete"])
        .await;
    [who, token]
}

async fn assert_pulls(site: &Site, who: &[Who]) {
    for who in who {
        let answer = site.get_as(who, PATH).await;
        assert_eq!(answer.status, 200, "{who:?}: {}", answer.text());
    }
}

/// Neither pulls nor pushes, and is told so by one of these.
async fn assert_refused(site: &Site, who: &[Who], expected: &[u16]) {
    for who in who {
        let pull = site.get_as(who, PATH).await;
        let list = site.get_as(who, "/v2/acme/app/tags/list").await;
        let push = site.push_blob_as(who, NAME, &bytes(9, 9)).await;
        let delete = site.ask_as(who, &Asked::new(Method::DELETE, PATH)).await;
        for answer in [pull, list, push, delete] {
            let status = answer.status.as_u16();
            assert!(
                expected.contains(&status),
                "{who:?}: {status} {}",
                answer.text()
            );
        }
    }
}

/// AZ-12: a grant that was taken back, to a user, a robot or a team, and a team that was left.
#[tokio::test]
async fn what_was_granted_is_gone_when_it_is_taken_back() {
    let site = stage().await;
    let bob_id = site.user("bob").await;
    let (robot_id, robot) = site.robot("acme+ci").await;
    let (acme, _) = site
        .registry()
        .namespace(&"acme".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let team = site.team(acme, "writers", TeamRole::Member, &[]).await;
    let admins = site.team(acme, "admins", TeamRole::Admin, &[]).await;
    let bob = Who::user("bob");
    for (grantee, who) in [
        (Grantee::User(bob_id), &bob),
        (Grantee::Robot(robot_id), &robot),
    ] {
        for role in [Role::Read, Role::Write, Role::Admin] {
            site.grant(NAME, grantee, role).await;
            let both = both(&site, who.clone()).await;
            assert_pulls(&site, &both).await;
            site.revoke(NAME, grantee).await;
            assert_refused(&site, &both[..1], &[403]).await;
            // A token that was for pulls only is not for the rest, which is said first.
            assert_refused(&site, &both[1..], &[401, 403]).await;
            assert_eq!(site.get_as(&both[1], PATH).await.status, 403);
        }
    }
    site.grant(NAME, Grantee::Team(team), Role::Write).await;
    for (member, who) in [
        (Member::User(bob_id), &bob),
        (Member::Robot(robot_id), &robot),
    ] {
        for team in [team, admins] {
            site.accounts()
                .add_member(team, member, &Performer::SYSTEM)
                .await
                .unwrap();
            let both = both(&site, who.clone()).await;
            assert_pulls(&site, &both).await;
            site.accounts()
                .remove_member(team, member, &Performer::SYSTEM)
                .await
                .unwrap();
            assert_refused(&site, &both, &[403]).await;
        }
    }
    // A narrower grant narrows tokens that were issued for more.
    site.grant(NAME, Grantee::User(bob_id), Role::Write).await;
    let both = both(&site, bob).await;
    site.grant(NAME, Grantee::User(bob_id), Role::Read).await;
    assert_pulls(&site, &both).await;
    for who in &both {
        assert_eq!(site.push_blob_as(who, NAME, &bytes(9, 9)).await.status, 403);
    }
}

/// AZ-12: an account that is disabled, deleted, or got another secret.
#[tokio::test]
async fn an_account_that_is_gone_is_nobody() {
    let site = stage().await;
    let accounts = site.accounts();
    let bob_id = site.user("bob").await;
    site.grant(NAME, Grantee::User(bob_id), Role::Write).await;
    let (_, code) = accounts
        .create_app_token(bob_id, "laptop", None, &Performer::default())
        .await
        .unwrap();
    let app = Who::Basic {
        user: "$app".to_owned(),
        password: code.expose().to_owned(),
    };
    let robot_name = "bob+ci".parse().unwrap();
    let (_, robot) = site.robot("bob+ci").await;
    site.push_as(&Who::user("bob"), "bob/own", "v1", &Image::small(1))
        .await;
    let own = both(&site, Who::user("bob")).await;
    let program = both(&site, app).await;
    let own_robot = site.token_as(&robot, &["repository:bob/own:pull"]).await;
    for turn in [true, false] {
        assert_pulls(&site, &own).await;
        assert_pulls(&site, &program).await;
        let (of_robot, expected) = ("/v2/bob/own/manifests/v1", [401, 403]);
        if turn {
            accounts
                .set_enabled(bob_id, false, &Performer::SYSTEM)
                .await
                .unwrap();
            assert_refused(&site, &own, &[401]).await;
            assert_refused(&site, &program, &[401]).await;
            for who in [&robot, &own_robot] {
                let refused = site.get_as(who, of_robot).await.status.as_u16();
                assert!(
                    expected.contains(&refused),
                    "what a disabled account owns rests: {refused}"
                );
            }
            accounts
                .set_enabled(bob_id, true, &Performer::SYSTEM)
                .await
                .unwrap();
        }
    }
    let tokens = accounts.list_app_tokens(bob_id, None, 10).await.unwrap();
    accounts
        .revoke_app_token(bob_id, tokens[0].0, &Performer::default())
        .await
        .unwrap();
    assert_refused(&site, &program[..1], &[401]).await;
    accounts
        .set_password(bob_id, &Secret::new("another-password"), &Performer::SYSTEM)
        .await
        .unwrap();
    assert_refused(&site, &own[..1], &[401, 429]).await;
    site.clock.advance(Duration::from_secs(3000));
    let (acme_robot_id, acme_robot) = site.robot("acme+ci").await;
    site.grant(NAME, Grantee::Robot(acme_robot_id), Role::Write)
        .await;
    let robots = both(&site, acme_robot).await;
    assert_pulls(&site, &robots).await;
    let name = "acme+ci".parse().unwrap();
    accounts
        .regenerate_robot_token(&name, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_refused(&site, &robots[..1], &[401]).await;
    accounts
        .delete_robot(&name, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_refused(&site, &robots, &[401]).await;
    accounts
        .delete_robot(&robot_name, &Performer::SYSTEM)
        .await
        .unwrap();
    // AZ-16: a later robot of that name inherits nothing.
    let (_, again) = site.robot("acme+ci").await;
    assert_refused(&site, &robots, &[401]).await;
    assert_refused(&site, &[again], &[403]).await;
}

/// AZ-16: a repository that is made private is closed to everybody at the next request, whatever was
/// read of it a moment ago; and what it answers is kept by no cache.
#[tokio::test]
async fn a_repository_made_private_is_closed_at_once() {
    let site = stage().await;
    site.user("eve").await;
    let nobodys = site
        .token_as(&Who::Nobody, &["repository:acme/app:pull"])
        .await;
    let eve = both(&site, Who::user("eve")).await;
    let image = Image::small(1);
    let blob = format!(
        "/v2/acme/app/blobs/{}",
        entrepot::oci::Digest::of(&image.layers[0])
    );
    let by_digest = format!("/v2/acme/app/manifests/{}", image.digest());
    let paths = [PATH, &blob, &by_digest, "/v2/acme/app/tags/list"];
    for _ in 0..2 {
        site.set_visibility(NAME, Visibility::Public).await;
        for who in eve.iter().chain([&nobodys, &Who::Nobody]) {
            for path in paths {
                for _ in 0..2 {
                    let answer = site.get_as(who, path).await;
                    assert_eq!(answer.status, 200, "{path}");
                    assert!(
                        !answer.header("cache-control").contains("private"),
                        "{path}"
                    );
                }
            }
            // The list of who may read is not that of who may write.
            let pushed = site
                .push_blob_as(who, NAME, &bytes(9, 9))
                .await
                .status
                .as_u16();
            assert!([401, 403].contains(&pushed), "{pushed}");
        }
        site.set_visibility(NAME, Visibility::Private).await;
        assert_refused(&site, &[nobodys.clone(), Who::Nobody], &[401]).await;
        // A token that was issued while everyone might pull is not for pushes.
        assert_refused(&site, &eve[..1], &[403]).await;
        assert_refused(&site, &eve[1..], &[401, 403]).await;
        for path in paths {
            let answer = site.get_as(&Who::user("ann"), path).await;
            let caching = answer.header("cache-control");
            assert!(caching.contains("private"), "{path}: {caching}");
        }
    }
}

/// AZ-16: a user of an old name inherits nothing of what the old one's tokens opened.
#[tokio::test]
async fn a_later_user_of_the_same_name_is_somebody_else() {
    let site = stage().await;
    let bob_id = site.user("bob").await;
    site.grant(NAME, Grantee::User(bob_id), Role::Read).await;
    let old = both(&site, Who::user("bob")).await;
    assert_pulls(&site, &old).await;
    site.accounts()
        .delete_user(bob_id, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_refused(&site, &old, &[401, 429]).await;
    site.clock.advance(Duration::from_secs(60));
    // The name is kept until nothing is left of its user.
    let purged = site.accounts().purge_some(1_000).await.unwrap();
    assert!(purged.finished > 0, "{purged:?}");
    let again = site.user("bob").await;
    assert_ne!(again, bob_id);
    assert_refused(&site, &old[..1], &[403]).await;
    assert_refused(&site, &old[1..], &[401]).await;
}
