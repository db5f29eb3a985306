//! Tokens from issue to end.

use super::super::TokenFault;
use super::*;

const SIGNATURES: &str = "entrepot_auth_signature_checks_total";

/// The provider of the JWT crate is there: it panics at its first use where there is none or two.
#[tokio::test]
async fn a_token_that_was_signed_is_believed() {
    let site = Site::new().await;
    let id = site.user("alice").await;
    let alice = site.login("alice", PASSWORD).await.unwrap();
    let issued = site.auth.issue(&alice, &[pull()]).await.unwrap();
    assert_eq!(
        (issued.expires_in, issued.issued_at),
        (3600, site.clock.now())
    );
    let bearer = site.auth.bearer(&issued.token).await.unwrap();
    assert_eq!(bearer.identity, alice);
    assert_eq!(
        bearer.identity.holder(),
        super::super::identity::Holder::User(id)
    );
    assert_eq!(*bearer.access, [pull()]);
    assert_eq!(bearer.granted(&"acme/app".parse().unwrap()), pull().actions);
    assert!(bearer.granted(&"acme/other".parse().unwrap()).is_empty());
}

#[tokio::test]
async fn a_token_seen_before_costs_no_signature_check() {
    let site = Site::new().await;
    let token = site.token(&Identity::Anonymous).await;
    for _ in 0..10 {
        site.auth.bearer(&token).await.unwrap();
    }
    assert_eq!(site.counted(SIGNATURES), 1);
    let other = site.auth.issue(&Identity::Anonymous, &[]).await.unwrap();
    site.auth.bearer(&other.token).await.unwrap();
    assert_eq!(site.counted(SIGNATURES), 2);
}

/// An hour, and half a minute for clocks that differ; remembered or not.
#[tokio::test]
async fn a_token_ends_when_it_says() {
    let site = Site::new().await;
    let [seen, unseen] = [
        site.token(&Identity::Anonymous).await,
        site.auth
            .issue(&Identity::Anonymous, &[])
            .await
            .unwrap()
            .token,
    ];
    site.auth.bearer(&seen).await.unwrap();
    site.advance(3629);
    site.auth.bearer(&seen).await.unwrap();
    site.advance(1);
    for token in [seen, unseen] {
        let refused = site.auth.bearer(&token).await;
        assert!(
            matches!(refused, Err(Error::Token(TokenFault::Expired))),
            "{refused:?}"
        );
    }
}

/// AU-04: what one installation signs, another does not believe.
#[tokio::test]
async fn two_installations_have_different_keys() {
    let (one, other) = (Site::new().await, Site::new().await);
    let token = one.token(&Identity::Anonymous).await;
    let refused = other.auth.bearer(&token).await;
    assert!(
        matches!(refused, Err(Error::Token(TokenFault::Key))),
        "{refused:?}"
    );
    assert_eq!(other.counted(SIGNATURES), 0);
}

/// AZ-12: a token of a disabled or deleted account is worth nothing at the next request.
#[tokio::test]
async fn a_token_dies_with_its_account() {
    let site = Site::new().await;
    let alice = site.user("alice").await;
    let secret = site.robot("alice+ci").await;
    let user = site.login("alice", PASSWORD).await.unwrap();
    let robot = site.login("alice+ci", secret.expose()).await.unwrap();
    let tokens = [site.token(&user).await, site.token(&robot).await];
    for token in &tokens {
        site.auth.bearer(token).await.unwrap();
    }
    site.accounts
        .set_enabled(alice, false, &Performer::SYSTEM)
        .await
        .unwrap();
    for token in &tokens {
        let refused = site.auth.bearer(token).await;
        assert!(
            matches!(refused, Err(Error::Token(TokenFault::Holder))),
            "{refused:?}"
        );
    }
    site.accounts
        .set_enabled(alice, true, &Performer::SYSTEM)
        .await
        .unwrap();
    for token in &tokens {
        site.auth.bearer(token).await.unwrap();
    }
    site.delete_robot("alice+ci").await;
    assert!(site.auth.bearer(&tokens[0]).await.is_ok());
    assert!(site.auth.bearer(&tokens[1]).await.is_err());
}

/// AZ-16: a later account of the same name inherits no token.
#[tokio::test]
async fn a_new_robot_of_an_old_name_is_somebody_else() {
    let site = Site::new().await;
    site.user("alice").await;
    let secret = site.robot("alice+ci").await;
    let robot = site.login("alice+ci", secret.expose()).await.unwrap();
    let token = site.token(&robot).await;
    site.delete_robot("alice+ci").await;
    site.robot("alice+ci").await;
    assert!(site.auth.bearer(&token).await.is_err());
    assert!(site.login("alice+ci", secret.expose()).await.is_err());
}

#[tokio::test]
async fn a_token_that_nobody_could_send_is_not_issued() {
    let site = Site::new().await;
    let many = vec![pull(); 1000];
    let refused = site.auth.issue(&Identity::Anonymous, &many).await;
    assert!(matches!(refused, Err(Error::TokenTooLong)));
}

/// AU-07: tokens for nobody cost no row; the one key was made before.
#[tokio::test]
async fn tokens_for_nobody_write_nothing() {
    let site = Site::new().await;
    site.auth.rotate_if_due().await.unwrap();
    let before = written(&site);
    for _ in 0..100 {
        let token = site.token(&Identity::Anonymous).await;
        site.auth.bearer(&token).await.unwrap();
    }
    assert_eq!(written(&site), before);
}

/// Commits of the store.
fn written(site: &Site) -> u64 {
    let families = site.metrics.gather();
    let commits = families
        .iter()
        .find(|family| family.name() == "entrepot_store_commit_duration_seconds");
    commits.unwrap().get_metric()[0]
        .get_histogram()
        .get_sample_count()
}
