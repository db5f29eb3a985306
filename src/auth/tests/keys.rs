//! Signing keys over time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::TokenFault;
use super::*;

/// Tokens live an hour, keys sign a minute.
fn quick() -> AuthConfig {
    AuthConfig {
        key_rotation: Duration::from_secs(60),
        ..AuthConfig::default()
    }
}

async fn stored(site: &Site) -> Vec<String> {
    let keys = site.store.read(|tx| tx.signing_keys().list()).await;
    let keys: Result<_, store::Error> = keys;
    keys.unwrap().into_iter().map(|(id, _)| id).collect()
}

/// AU-04: keys change while tokens are issued and used, and no request notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotation_under_load_fails_no_request() {
    let site = Arc::new(Site::with(quick()).await);
    let old = site.token(&Identity::Anonymous).await;
    let done = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (site, done) = (Arc::clone(&site), Arc::clone(&done));
            let (served, old) = (Arc::clone(&served), old.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let token = site.token(&Identity::Anonymous).await;
                    site.auth.bearer(&token).await.unwrap();
                    site.auth.bearer(&old).await.unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 1..=20 {
        // Somebody is served between any two rotations.
        while served.load(Ordering::Relaxed) < 4 * round {
            tokio::task::yield_now().await;
        }
        site.advance(60);
        site.auth.rotate_if_due().await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.unwrap();
    }
    assert_eq!(stored(&site).await.len(), 21);
}

/// A key goes when the last token it signed has ended, and not before.
#[tokio::test]
async fn a_retired_key_verifies_until_its_last_token_ends() {
    let site = Site::with(quick()).await;
    site.token(&Identity::Anonymous).await;
    let first = stored(&site).await;
    site.advance(59);
    site.auth.rotate_if_due().await.unwrap();
    assert_eq!(stored(&site).await, first, "not due");
    let last = site.token(&Identity::Anonymous).await;
    site.advance(1);
    site.auth.rotate_if_due().await.unwrap();
    assert_eq!(stored(&site).await.len(), 2);
    site.advance(3628);
    site.auth.rotate_if_due().await.unwrap();
    site.auth.bearer(&last).await.unwrap();
    site.advance(120);
    site.auth.rotate_if_due().await.unwrap();
    assert!(!stored(&site).await.contains(&first[0]));
    assert!(site.auth.bearer(&last).await.is_err());
}

/// A key that was turned to is durable: another process over the same store believes its tokens.
#[tokio::test]
async fn keys_outlive_the_process() {
    let site = Site::new().await;
    let token = site.token(&Identity::Anonymous).await;
    let again = auth(&site, site.accounts.clone());
    again.bearer(&token).await.unwrap();
    assert_eq!(stored(&site).await.len(), 1);
}

/// Keys sealed by another installation sign and verify nothing here, and are replaced.
#[tokio::test]
async fn keys_that_cannot_be_opened_are_replaced() {
    let site = Site::new().await;
    let token = site.token(&Identity::Anonymous).await;
    let before = stored(&site).await;
    let other = under_another_key(&site).await;
    let refused = other.bearer(&token).await;
    assert!(
        matches!(refused, Err(Error::Token(TokenFault::Key))),
        "{refused:?}"
    );
    let token = other.issue(&Identity::Anonymous, &[]).await.unwrap().token;
    other.bearer(&token).await.unwrap();
    let after = stored(&site).await;
    assert!(after.len() == 1 && after != before);
}

/// AZ-15: what cannot be found out is a failure, and neither a right nor a refusal.
#[tokio::test]
async fn a_secret_that_cannot_be_opened_is_no_wrong_password() {
    let site = Site::new().await;
    site.user("alice").await;
    let token = site.robot("alice+ci").await;
    let other = under_another_key(&site).await;
    let failed = other.basic("alice+ci", &token, [192, 0, 2, 1].into()).await;
    assert!(!failed.unwrap_err().is_refusal());
    let wrong = site.login("alice+ci", "wrong").await;
    assert!(wrong.unwrap_err().is_refusal());
}

/// AU-10: neither half of a private key lies in the store as it is.
#[tokio::test]
async fn the_private_key_is_sealed() {
    let site = Site::new().await;
    site.auth.rotate_if_due().await.unwrap();
    let ring = site.auth.0.tokens.keys().ring().await.unwrap();
    let private = ring.signing().encoding.as_bytes();
    let keys: Result<_, store::Error> = site.store.read(|tx| tx.signing_keys().list()).await;
    let (_, record) = keys.unwrap().remove(0);
    let sealed = &record.private_key.0;
    assert!(sealed.len() > private.len());
    assert!(
        !sealed
            .windows(16)
            .any(|bytes| private.windows(16).any(|part| part == bytes))
    );
}

/// The site's store with an installation key that is not its own.
async fn under_another_key(site: &Site) -> Auth {
    let parts = accounts::Parts {
        store: site.store.clone(),
        clock: site.clock.clone(),
        seal: SealKey::from_bytes(&[8; 32]),
        metrics: accounts::Metrics::new(&prometheus::Registry::new()).unwrap(),
    };
    auth(site, Accounts::new(parts).await.unwrap())
}

/// One more process over the site's store.
fn auth(site: &Site, accounts: Accounts) -> Auth {
    Auth::new(Parts {
        store: site.store.clone(),
        accounts,
        clock: site.clock.clone(),
        config: AuthConfig::default(),
        metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
    })
}
