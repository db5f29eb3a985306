//! Logins with name and password.

use super::*;
use crate::auth::{RefusedKind, Scopes};

const HASHED: &str = "entrepot_auth_password_checks_total";

#[tokio::test]
async fn a_user_logs_in_by_name_or_address() {
    let site = Site::new().await;
    let id = site.user("alice").await;
    for name in ["alice", "alice@example.org"] {
        let identity = site.login(name, PASSWORD).await.unwrap();
        let expected = Identity::User {
            id,
            name: namespace("alice"),
            superuser: false,
            global_readonly: false,
            restricted: false,
            scopes: Scopes::ALL,
            token: None,
        };
        assert_eq!(identity, expected);
    }
}

/// One answer for an unknown name and a wrong password (AU-09), at the price of one hash each.
#[tokio::test]
async fn unknown_and_wrong_are_the_same() {
    let site = Site::new().await;
    site.user("alice").await;
    let logins = [
        ("alice", "wrong:horse"),
        ("nobody", PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("Alice/../x", PASSWORD),
    ];
    for (at, (name, password)) in logins.into_iter().enumerate() {
        let refused = site
            .login_from(&format!("192.0.2.{at}"), name, password)
            .await;
        assert!(
            matches!(refused, Err(Error::PasswordRefused)),
            "{name}: {refused:?}"
        );
    }
    assert_eq!(site.counted(HASHED), 4);
    let long = "x".repeat(8 * 1024 + 1);
    for password in ["", &long] {
        let refused = site.login_from("192.0.2.9", "alice", password).await;
        assert!(
            matches!(refused, Err(Error::PasswordRefused)),
            "{refused:?}"
        );
    }
}

/// Quay takes OAuth and access tokens there; what is not taken here says what is.
#[tokio::test]
async fn kinds_that_are_not_taken_are_refused_by_name() {
    let site = Site::new().await;
    for (name, kind) in [("$token", RefusedKind::AccessToken)] {
        let refused = site.login(name, PASSWORD).await.unwrap_err();
        assert!(matches!(refused, Error::KindRefused(found) if found == kind));
        assert!(refused.to_string().contains(name) && refused.is_refusal());
    }
}

#[tokio::test]
async fn a_robot_logs_in_with_its_token() {
    let site = Site::new().await;
    site.user("alice").await;
    let token = site.robot("alice+ci").await;
    let token = token.expose();
    let robot = site.login("alice+ci", token).await.unwrap();
    assert_eq!(robot.to_string(), "alice+ci");
    let other = format!("{}{}", &token[1..], &token[..1]);
    for (name, token) in [
        ("alice+ci", &token[1..]),
        ("alice+ci", other.as_str()),
        ("alice+ci", ""),
        ("alice+other", token),
        ("bob+ci", token),
        ("alice+", token),
        ("+ci", token),
    ] {
        let refused = site.login(name, token).await;
        assert!(
            matches!(refused, Err(Error::RobotRefused)),
            "{name}: {refused:?}"
        );
    }
    let name: RobotName = "alice+ci".parse().unwrap();
    let renewed = site
        .accounts
        .regenerate_robot_token(&name, &Performer::SYSTEM);
    let renewed = renewed.await.unwrap();
    assert!(site.login("alice+ci", token).await.is_err(), "AZ-12");
    assert!(site.login("alice+ci", renewed.expose()).await.is_ok());
}

#[tokio::test]
async fn an_app_token_stands_for_its_user_until_it_ends() {
    let site = Site::new().await;
    let alice = site.user("alice").await;
    let ends = site.clock.now() + Duration::from_secs(30);
    let made = site
        .accounts
        .create_app_token(alice, "laptop", Some(ends), &Performer::default())
        .await;
    let (_, code) = made.unwrap();
    let (id, lasting) = site
        .accounts
        .create_app_token(alice, "ci", None, &Performer::default())
        .await
        .unwrap();
    for code in [&code, &lasting] {
        let identity = site.login("$app", code.expose()).await.unwrap();
        assert_eq!(identity.to_string(), "alice");
    }
    for wrong in ["", "short", &"A".repeat(120), &code.expose()[..119]] {
        let refused = site.login("$app", wrong).await;
        assert!(matches!(refused, Err(Error::AppTokenRefused)), "{wrong}");
    }
    site.advance(30);
    assert!(site.login("$app", code.expose()).await.is_err());
    assert!(site.login("$app", lasting.expose()).await.is_ok());
    site.accounts
        .revoke_app_token(alice, id, &Performer::default())
        .await
        .unwrap();
    assert!(site.login("$app", lasting.expose()).await.is_err(), "AZ-12");
}

#[tokio::test]
async fn app_tokens_can_be_switched_off() {
    let site = Site::with(AuthConfig {
        app_tokens: false,
        ..AuthConfig::default()
    });
    let site = site.await;
    let alice = site.user("alice").await;
    let (_, code) = site
        .accounts
        .create_app_token(alice, "ci", None, &Performer::default())
        .await
        .unwrap();
    let refused = site.login("$app", code.expose()).await;
    assert!(matches!(
        refused,
        Err(Error::KindRefused(RefusedKind::AppToken))
    ));
}

/// Only who has the secret learns that the account is disabled.
#[tokio::test]
async fn a_disabled_account_is_told_so_with_the_right_secret_only() {
    let site = Site::new().await;
    let alice = site.user("alice").await;
    let token = site.robot("alice+ci").await;
    let (_, code) = site
        .accounts
        .create_app_token(alice, "ci", None, &Performer::default())
        .await
        .unwrap();
    let logins = [
        ("alice", PASSWORD),
        ("alice+ci", token.expose()),
        ("$app", code.expose()),
    ];
    for (name, secret) in logins {
        site.login(name, secret).await.unwrap();
    }
    site.accounts
        .set_enabled(alice, false, &Performer::SYSTEM)
        .await
        .unwrap();
    for (name, secret) in logins {
        let refused = site.login(name, secret).await.unwrap_err().to_string();
        assert!(refused.contains("disabled"), "{refused}");
        let source = "198.51.100.1";
        let refused = site
            .login_from(source, name, &secret[1..])
            .await
            .unwrap_err();
        assert!(!refused.to_string().contains("disabled"), "{refused}");
    }
}

#[tokio::test]
async fn a_password_is_hashed_once_a_minute() {
    let site = Site::new().await;
    site.user("alice").await;
    for _ in 0..10 {
        site.login("alice", PASSWORD).await.unwrap();
    }
    assert_eq!(site.counted(HASHED), 1);
    site.advance(60);
    site.login("alice", PASSWORD).await.unwrap();
    assert_eq!(site.counted(HASHED), 2);
}

/// Clients log in with several requests at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_side_by_side_share_one_hash() {
    let site = std::sync::Arc::new(Site::new().await);
    site.user("alice").await;
    let logins: Vec<_> = (0..16)
        .map(|_| {
            let site = std::sync::Arc::clone(&site);
            tokio::spawn(async move { site.login("alice", PASSWORD).await.is_ok() })
        })
        .collect();
    for login in logins {
        assert!(login.await.unwrap());
    }
    assert_eq!(site.counted(HASHED), 1);
}

/// AZ-12: a changed password counts at once; what changes elsewhere costs nobody a hash.
#[tokio::test]
async fn a_changed_password_is_not_remembered() {
    let site = Site::new().await;
    let alice = site.user("alice").await;
    site.login("alice", PASSWORD).await.unwrap();
    site.user("bob").await;
    site.login("alice", PASSWORD).await.unwrap();
    assert_eq!(site.counted(HASHED), 1);
    let changed = Secret::new("another horse".replace(' ', ":"));
    site.accounts
        .set_password(alice, &changed, &Performer::SYSTEM)
        .await
        .unwrap();
    assert!(site.login("alice", PASSWORD).await.is_err());
    site.advance(1);
    site.login("alice", changed.expose()).await.unwrap();
}

/// AU-07: the attacker waits longer and longer; the victim, elsewhere or by robot, does not.
#[tokio::test]
async fn a_guesser_stops_nobody_but_itself() {
    let site = Site::new().await;
    site.user("alice").await;
    let token = site.robot("alice+ci").await;
    let (mut refused, mut throttled) = (0, 0);
    for guess in 0..1000 {
        match site.login("alice", &format!("guess-{guess:04}")).await {
            Err(Error::PasswordRefused) => refused += 1,
            Err(Error::Throttled { retry_after }) if !retry_after.is_zero() => throttled += 1,
            other => panic!("{other:?}"),
        }
        site.clock.advance(Duration::from_millis(60));
    }
    assert!(
        refused <= 10 && refused + throttled == 1000,
        "{refused} {throttled}"
    );
    assert_eq!(site.counted(HASHED), refused);
    assert!(site.login("alice", PASSWORD).await.is_err(), "as a guesser");
    site.login_from("192.0.2.2", "alice", PASSWORD)
        .await
        .unwrap();
    site.login("alice+ci", token.expose()).await.unwrap();
}

#[tokio::test]
async fn superusers_are_named_by_the_configuration_or_their_account() {
    let site = Site::with(AuthConfig {
        super_users: vec![namespace("root")],
        ..AuthConfig::default()
    });
    let site = site.await;
    site.user("root").await;
    site.user("alice").await;
    assert!(site.login("root", PASSWORD).await.unwrap().is_superuser());
    assert!(!site.login("alice", PASSWORD).await.unwrap().is_superuser());
}
