//! Secrets at rest.

use super::*;
use crate::model::{Performer, SigningKeyRecord};

/// AU-10: the store's file alone tells no secret.
#[tokio::test]
async fn the_file_holds_no_secret_in_clear() {
    let site = Site::new().await;
    let accounts = &site.accounts;
    let password = "a-password-to-be-searched-for";
    let ann = NewUser {
        password: Some(Secret::new(password)),
        ..new_user("ann-to-be-searched-for")
    };
    let ann = accounts.create_user(ann).await.unwrap();
    let name = robot("ann-to-be-searched-for+ci");
    let made = accounts.create_robot(&name, "", &Performer::SYSTEM).await;
    let (_, robot_token) = made.unwrap();
    let regenerated = accounts
        .regenerate_robot_token(&name, &Performer::SYSTEM)
        .await;
    let regenerated = regenerated.unwrap();
    let (_, code) = accounts
        .create_app_token(ann, "ci", None, &Performer::default())
        .await
        .unwrap();
    let by = &Performer::SYSTEM;
    let namespace = accounts.user(ann).await.unwrap().unwrap().namespace;
    let fields = ApplicationFields {
        name: "portal-to-be-searched-for".to_owned(),
        ..ApplicationFields::default()
    };
    let made = accounts.create_application(namespace, &fields, by).await;
    let (application, record) = made.unwrap();
    let client_secret = accounts.client_secret(&record).unwrap();
    let new = NewOauthToken {
        application,
        user: ann,
        scope: "repo:read".to_owned(),
        life: std::time::Duration::from_secs(60),
    };
    let oauth_token = accounts.create_oauth_token(new).await.unwrap();
    let private_key = b"a-private-key-to-be-searched-for";
    let key = SigningKeyRecord {
        created: site.clock.now(),
        retired: None,
        private_key: accounts.seal_key().seal(private_key, b"signing key 1"),
    };
    site.write(move |tx| tx.signing_keys().put("1", &key)).await;

    let lookup = code.expose()[..60].to_owned();
    let secrets = [
        password.as_bytes(),
        robot_token.expose().as_bytes(),
        regenerated.expose().as_bytes(),
        &code.expose().as_bytes()[60..],
        client_secret.expose().as_bytes(),
        &oauth_token.expose().as_bytes()[20..],
        private_key,
    ]
    .map(<[u8]>::to_vec);
    let path = file(&site.directory);
    let closed = site.store().closed();
    let Site {
        accounts,
        directory,
        ..
    } = site;
    drop(accounts);
    closed.await;
    let file = std::fs::read(&path).unwrap();
    let holds = |text: &[u8]| file.windows(text.len()).any(|window| window == text);
    assert!(holds(b"ann-to-be-searched-for"), "the search finds names");
    assert!(holds(lookup.as_bytes()), "the search finds lookups");
    assert!(
        holds(b"portal-to-be-searched-for"),
        "the search finds applications"
    );
    for secret in secrets {
        assert!(!holds(&secret), "{}", String::from_utf8_lossy(&secret));
    }
    drop(directory);
}

#[tokio::test]
async fn a_token_moved_to_another_row_or_opened_by_another_key_is_broken() {
    let site = Site::new().await;
    site.user("ann").await;
    site.robot("ann+a1").await;
    site.robot("ann+b2").await;
    let load = async |name| {
        let found = site.accounts.robot_by_name(&robot(name)).await;
        found.unwrap().unwrap().1
    };
    let mut record = load("ann+a1").await;
    record.token = load("ann+b2").await.token;
    let opened = site.accounts.robot_token(&record);
    let noun = Noun::Robot;
    assert!(matches!(opened, Err(Error::SealBroken { noun: found }) if found == noun));
    let own = load("ann+a1").await;
    let stranger = SealKey::from_bytes(&[10; 32]);
    assert!(secret::open_robot_token(&stranger, &own).is_err());
    let shown = Secret::new("A");
    assert!(!site.accounts.is_robot_token(&own, &shown).unwrap());
}
