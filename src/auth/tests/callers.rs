//! Callers of the API and the web: tokens of applications, sessions, and what bounds them.

use super::*;
use crate::accounts::{ApplicationFields, NewOauthToken, NewOrganization};
use crate::auth::{Caller, Consent, Means, Presented, Scope, Scopes, Session, Target};
use crate::config::RobotAccess;
use crate::model::{NamespaceId, NamespaceKind, OauthApplicationId, RepositoryRecord, Visibility};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl Site {
    /// An organisation of the user and an application of it.
    async fn application(&self, name: &str, owner: UserId) -> (NamespaceId, OauthApplicationId) {
        let created = self
            .accounts
            .create_organization(NewOrganization::named(&namespace(name), Some(owner)))
            .await;
        let organization = created.unwrap();
        let fields = ApplicationFields {
            name: "portal".to_owned(),
            ..ApplicationFields::default()
        };
        let by = Performer::default();
        let made = self
            .accounts
            .create_application(organization, &fields, &by)
            .await;
        (organization, made.unwrap().0)
    }

    async fn oauth_token(
        &self,
        application: OauthApplicationId,
        user: UserId,
        scope: &str,
    ) -> Secret {
        let new = NewOauthToken {
            application,
            user,
            scope: scope.to_owned(),
            life: YEAR,
        };
        self.accounts.create_oauth_token(new).await.unwrap()
    }

    async fn calls(&self, authorization: Option<&str>, cookie: Option<&str>) -> Caller {
        let presented = Presented {
            authorization,
            cookie,
            address: "192.0.2.1".parse().unwrap(),
            basic: false,
        };
        self.auth.caller(&presented).await.unwrap()
    }

    async fn bears(&self, token: &Secret) -> Caller {
        let header = format!("Bearer {}", token.expose());
        self.calls(Some(&header), None).await
    }

    async fn browses(&self, session: &Session) -> Caller {
        let cookie = self.auth.seal_session(session);
        let header = format!("theme=dark; _csrf_token={}", cookie.expose());
        self.calls(None, Some(&header)).await
    }

    /// A private repository, as doors ask about it.
    async fn private(&self, organization: NamespaceId, name: &str) -> Target {
        let name = name.parse().unwrap();
        let mut record = RepositoryRecord::new(organization, name, self.clock.now());
        record.visibility = Visibility::Private;
        let id = self
            .store
            .write(move |tx| tx.repositories().create(&record))
            .await;
        let id = id.unwrap();
        let read = self.store.read(move |tx| {
            let namespace = tx.namespaces().record(organization)?.unwrap();
            let repository = tx.repositories().record(id)?.unwrap();
            Ok::<_, store::Error>(Target::new(
                organization,
                &namespace,
                Some((id, &repository)),
            ))
        });
        read.await.unwrap()
    }
}

#[tokio::test]
async fn who_shows_nothing_is_nobody() {
    let site = Site::new().await;
    for header in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Digest x"),
        Some("Bearer a b"),
    ] {
        let caller = site.calls(header, None).await;
        assert!(caller.identity.is_anonymous() && matches!(caller.means, Means::None));
        assert!(!caller.may_change(None) && !site.auth.is_fresh(&caller));
    }
}

/// SC-347: a token that is not good is no way to be nobody in particular.
#[tokio::test]
async fn a_token_that_is_not_good_is_noticed() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let (_, application) = site.application("acme", ann).await;
    let token = site.oauth_token(application, ann, "repo:read").await;
    let (lookup, rest) = token.expose().split_at(20);
    let others = [
        "short".to_owned(),
        "A".repeat(40),
        format!("{lookup}{}", "A".repeat(20)),
        format!("{}{rest}", "A".repeat(20)),
        format!("{}é", &token.expose()[..38]),
    ];
    let session = site.auth.begin_session(ann).await.unwrap().unwrap();
    for other in others {
        let caller = site.bears(&Secret::new(&other)).await;
        assert!(matches!(caller.means, Means::BadToken), "{other}");
        assert!(caller.identity.is_anonymous() && !caller.may_change(None));
        // A cookie beside it does not make up for it.
        let cookie = format!("_csrf_token={}", site.auth.seal_session(&session).expose());
        let header = format!("Bearer {other}");
        let caller = site.calls(Some(&header), Some(&cookie)).await;
        assert!(caller.identity.is_anonymous(), "{other}");
    }
}

/// SC-343: who consented is who acts; the usage log is told by which token.
#[tokio::test]
async fn a_token_acts_for_its_owner() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let (_, application) = site.application("acme", ann).await;
    let token = site
        .oauth_token(application, bob, "user:read repo:write")
        .await;
    let caller = site.bears(&token).await;
    assert_eq!(caller.identity.to_string(), "bob");
    assert_eq!(caller.scopes().to_string(), "repo:write user:read");
    assert!(caller.may_change(None) && site.auth.is_fresh(&caller));
    assert!(caller.identity.may_read_user(bob) && !caller.identity.may_read_user(ann));
    assert!(!caller.identity.may_admin_user(bob));
    let used = caller.performer().oauth.unwrap();
    assert_eq!(used.application, "portal");
    assert_eq!(used.client_id.len(), 20);
}

/// AZ-12, SC-342, SC-354: whatever ends a token ends it at the next request.
#[tokio::test]
async fn a_token_ends_with_everything_it_hangs_on() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let by = Performer::default();
    let accounts = &site.accounts;
    let (organization, application) = site.application("acme", ann).await;
    let record = accounts
        .application_by_id(application)
        .await
        .unwrap()
        .unwrap();
    let good = |caller: Caller| matches!(caller.means, Means::Oauth(_));

    let token = site.oauth_token(application, bob, "repo:read").await;
    assert!(good(site.bears(&token).await));
    let listed = accounts.tokens_of_user(bob, None, 10).await.unwrap();
    let uuid = &listed[0].1.uuid;
    accounts.revoke_token_of_user(ann, uuid).await.unwrap_err();
    assert!(good(site.bears(&token).await), "AZ-06");
    accounts.revoke_token_of_user(bob, uuid).await.unwrap();
    assert!(!good(site.bears(&token).await), "revoked");

    let token = site.oauth_token(application, bob, "repo:read").await;
    assert!(good(site.bears(&token).await));
    accounts.set_enabled(bob, false, &by).await.unwrap();
    assert!(!good(site.bears(&token).await), "disabled");
    accounts.set_enabled(bob, true, &by).await.unwrap();
    assert!(good(site.bears(&token).await));
    site.clock.advance(YEAR);
    assert!(!good(site.bears(&token).await), "expired");

    let tokens = [
        site.oauth_token(application, bob, "repo:read").await,
        site.oauth_token(application, ann, "repo:read").await,
    ];
    let client_id = &record.client_id;
    accounts
        .delete_application(organization, client_id, &by)
        .await
        .unwrap();
    for token in &tokens {
        assert!(!good(site.bears(token).await), "the application is gone");
    }
}

/// AZ-14, SC-314: on the doors of the API.
#[tokio::test]
async fn a_token_gives_no_more_than_its_scopes_and_its_owner() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let (organization, application) = site.application("acme", ann).await;
    let target = site.private(organization, "app").await;
    let kind = NamespaceKind::Organization;
    for scope in Scope::ALL {
        let token = site.oauth_token(application, ann, scope.name()).await;
        let identity = site.bears(&token).await.identity;
        let on = site.auth.on_repository(&identity, &target).await.unwrap();
        let within = site
            .auth
            .in_namespace(&identity, organization, kind)
            .await
            .unwrap();
        let reads = [Scope::RepoRead, Scope::RepoWrite, Scope::RepoAdmin].contains(&scope);
        let writes = [Scope::RepoWrite, Scope::RepoAdmin].contains(&scope);
        assert_eq!(on.may_read(), reads, "{scope}");
        assert_eq!(on.may_write(), writes, "{scope}");
        assert_eq!(on.may_admin(), scope == Scope::RepoAdmin, "{scope}");
        assert_eq!(within.is_admin(), scope == Scope::OrgAdmin, "{scope}");
        let creates = [Scope::RepoCreate, Scope::OrgAdmin].contains(&scope);
        assert_eq!(within.may_create(), creates, "{scope}");
        assert_eq!(
            identity.may_admin_user(ann),
            scope == Scope::UserAdmin,
            "{scope}"
        );
    }
    let all = Scopes::ALL.to_string();
    let token = site.oauth_token(application, bob, &all).await;
    let identity = site.bears(&token).await.identity;
    let on = site.auth.on_repository(&identity, &target).await.unwrap();
    assert!(!on.may_read(), "bob has nothing there");
    assert!(!identity.is_superuser(), "SC-352");
}

/// AZ-14: on the doors of the registry, with `$oauthtoken` as the name.
#[tokio::test]
async fn a_token_as_password_is_bounded_by_its_scopes() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let (organization, application) = site.application("acme", ann).await;
    let target = site.private(organization, "app").await;
    for (scope, may_pull, may_push) in [
        ("repo:read", true, false),
        ("repo:write", true, true),
        ("user:admin", false, false),
    ] {
        let token = site.oauth_token(application, ann, scope).await;
        let identity = site.login("$oauthtoken", token.expose()).await.unwrap();
        assert_eq!(identity.to_string(), "ann");
        let allowed = site.auth.rights(&identity, &target).await.unwrap();
        assert_eq!(
            (allowed.pull, allowed.push),
            (may_pull, may_push),
            "{scope}"
        );
        // The registry token made from it has the same bounds, and ends with it.
        let issued = site.auth.issue(&identity, &[pull()]).await.unwrap();
        let bearer = site.auth.bearer(&issued.token).await.unwrap();
        let allowed = site.auth.rights(&bearer.identity, &target).await.unwrap();
        assert_eq!(
            (allowed.pull, allowed.push),
            (may_pull, may_push),
            "{scope}"
        );
        let listed = site.accounts.tokens_of_user(ann, None, 10).await.unwrap();
        let uuid = &listed[0].1.uuid;
        site.accounts.revoke_token_of_user(ann, uuid).await.unwrap();
        assert!(site.auth.bearer(&issued.token).await.is_err(), "AZ-12");
        let refused = site.login("$oauthtoken", token.expose()).await;
        assert!(matches!(refused, Err(Error::OauthTokenRefused)));
    }
}

/// AZ-14: a push makes a namespace only by what could make one at the API.
#[tokio::test]
async fn a_namespace_is_made_by_who_may_own_one() {
    let config = AuthConfig {
        unrestricted: Some(vec![namespace("ann")]),
        ..AuthConfig::default()
    };
    let site = Site::with(config).await;
    let ann = site.user("ann").await;
    site.user("bob").await;
    let (_, application) = site.application("acme", ann).await;
    assert!(
        site.login("ann", PASSWORD)
            .await
            .unwrap()
            .may_make_namespaces()
    );
    assert!(
        !site
            .login("bob", PASSWORD)
            .await
            .unwrap()
            .may_make_namespaces(),
        "restricted"
    );
    let robot = site.robot("ann+ci").await;
    assert!(
        !site
            .login("ann+ci", robot.expose())
            .await
            .unwrap()
            .may_make_namespaces()
    );
    for (scope, may_make) in [("repo:admin repo:create", false), ("user:admin", true)] {
        let token = site.oauth_token(application, ann, scope).await;
        let identity = site.login("$oauthtoken", token.expose()).await.unwrap();
        assert_eq!(identity.may_make_namespaces(), may_make, "{scope}");
    }
}

#[tokio::test]
async fn when_a_token_was_used_is_written_later() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let (_, application) = site.application("acme", ann).await;
    let token = site.oauth_token(application, ann, "repo:read").await;
    let last = async || {
        let listed = site.accounts.tokens_of_user(ann, None, 10).await.unwrap();
        listed[0].1.last_accessed
    };
    site.advance(60);
    site.bears(&token).await;
    assert_eq!(last().await, None);
    let generation = site.accounts.generation();
    site.auth.write_uses().await.unwrap();
    assert_eq!(last().await, Some(site.clock.now()));
    assert_eq!(
        site.accounts.generation(),
        generation,
        "nothing is decided by it"
    );
}

/// AU-14, AU-15.
#[tokio::test]
async fn a_session_is_its_users_until_it_ends() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let session = site.auth.begin_session(ann).await.unwrap().unwrap();
    let caller = site.browses(&session).await;
    assert_eq!(caller.identity.to_string(), "ann");
    assert_eq!(caller.scopes(), Scopes::ALL);
    let token = session.csrf_token();
    assert!(caller.may_change(Some(token.expose())));
    for wrong in [None, Some(""), Some("x"), Some(&token.expose()[1..])] {
        assert!(!caller.may_change(wrong), "{wrong:?}");
    }
    assert!(site.auth.is_fresh(&caller));
    site.advance(10 * 60);
    assert!(!site.auth.is_fresh(&site.browses(&session).await));
    site.accounts
        .set_enabled(ann, false, &Performer::SYSTEM)
        .await
        .unwrap();
    assert!(site.browses(&session).await.identity.is_anonymous());
    site.accounts
        .set_enabled(ann, true, &Performer::SYSTEM)
        .await
        .unwrap();
    site.advance(31 * 24 * 3600);
    assert!(site.browses(&session).await.identity.is_anonymous());
}

/// AU-14: sign-out ends every session.
#[tokio::test]
async fn a_session_of_an_older_epoch_is_nobodys() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let session = site.auth.begin_session(ann).await.unwrap().unwrap();
    site.accounts.end_sessions(ann).await.unwrap();
    let caller = site.browses(&session).await;
    assert!(caller.identity.is_anonymous() && matches!(caller.means, Means::None));
    let anew = site.auth.begin_session(ann).await.unwrap().unwrap();
    assert!(!site.browses(&anew).await.identity.is_anonymous());
}

#[tokio::test]
async fn a_session_of_nobody_has_a_token_and_nothing_else() {
    let site = Site::new().await;
    let session = site.auth.anonymous_session();
    let caller = site.browses(&session).await;
    assert!(caller.identity.is_anonymous() && !site.auth.is_fresh(&caller));
    assert!(caller.may_change(Some(session.csrf_token().expose())));
    let other = site.auth.anonymous_session().csrf_token();
    assert!(!caller.may_change(Some(other.expose())));
}

/// RFC 6749 section 4.1.2.
#[tokio::test]
async fn a_code_is_good_once_and_for_minutes() {
    let site = Site::new().await;
    let consent = Consent {
        application: OauthApplicationId(1),
        user: UserId(1),
        redirect_uri: "https://app.example/".to_owned(),
        scopes: Scopes::parse("repo:read").unwrap(),
    };
    let code = site.auth.make_code(consent.clone());
    assert_eq!(code.expose().len(), 40);
    assert_eq!(site.auth.redeem_code("x"), None);
    assert_eq!(site.auth.redeem_code(code.expose()), Some(consent.clone()));
    assert_eq!(site.auth.redeem_code(code.expose()), None);
    let late = site.auth.make_code(consent);
    site.advance(600);
    assert_eq!(site.auth.redeem_code(late.expose()), None);
}

#[tokio::test]
async fn an_encrypted_password_logs_a_client_in_and_nobody_at_the_web() {
    let site = Site::with(AuthConfig {
        encrypted_passwords_only: true,
        ..AuthConfig::default()
    });
    let site = site.await;
    let ann = site.user("ann").await;
    site.user("bob").await;
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let password = Secret::new(PASSWORD);
    site.auth.sign_in("ann", &password, address).await.unwrap();
    let refused = site.login("ann", PASSWORD).await;
    assert!(matches!(refused, Err(Error::PlainPasswordRefused)));
    let encrypted = site.auth.encrypt_password(ann, &password);
    assert!(site.login("ann", encrypted.expose()).await.is_ok());
    assert!(
        site.login("ann", encrypted.expose()).await.is_ok(),
        "remembered"
    );
    assert!(site.login("bob", encrypted.expose()).await.is_err());
    let refused = site.auth.sign_in("ann", &encrypted, address).await;
    assert!(matches!(refused, Err(Error::PasswordRefused)));
    site.advance(3600);
    site.accounts
        .set_password(ann, &Secret::new("another:horse"), &Performer::SYSTEM)
        .await
        .unwrap();
    assert!(site.login("ann", encrypted.expose()).await.is_err());
}

/// AU-07: the web slows guessers down as everything else does.
#[tokio::test]
async fn signing_in_is_slower_after_failures() {
    let site = Site::new().await;
    site.user("ann").await;
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let wrong = site
        .auth
        .sign_in("ann", &Secret::new("wrong"), address)
        .await;
    assert!(matches!(wrong, Err(Error::PasswordRefused)));
    let refused = site
        .auth
        .sign_in("ann", &Secret::new(PASSWORD), address)
        .await;
    assert!(matches!(refused, Err(Error::Throttled { .. })));
    let refused = site.login("ann", PASSWORD).await;
    assert!(
        matches!(refused, Err(Error::Throttled { .. })),
        "one count for both"
    );
    site.advance(1);
    site.auth
        .sign_in("ann", &Secret::new(PASSWORD), address)
        .await
        .unwrap();
}

/// SC-066: Quay's words.
#[tokio::test]
async fn robots_that_are_disallowed_are_told_so() {
    let site = Site::with(AuthConfig {
        robots: RobotAccess::Only(["ann+kept".parse().unwrap()].into()),
        ..AuthConfig::default()
    });
    let site = site.await;
    site.user("ann").await;
    let (kept, other) = (site.robot("ann+kept").await, site.robot("ann+other").await);
    assert!(site.login("ann+kept", kept.expose()).await.is_ok());
    let refused = site.login("ann+other", other.expose()).await.unwrap_err();
    let expected = "Robot accounts have been disabled. Please contact your administrator.";
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test]
async fn a_superusers_token_is_one_only_with_the_scope() {
    let site = Site::with(AuthConfig {
        super_users: vec![namespace("root"), namespace("both")],
        global_readonly: vec![namespace("both")],
        superusers_full_access: true,
        ..AuthConfig::default()
    });
    let site = site.await;
    let (ann, root, both) = (
        site.user("ann").await,
        site.user("root").await,
        site.user("both").await,
    );
    let (organization, application) = site.application("acme", ann).await;
    let target = site.private(organization, "app").await;
    let identity = async |user, scope: &str| {
        let token = site.oauth_token(application, user, scope).await;
        site.bears(&token).await.identity
    };
    let with = identity(root, "super:user repo:admin").await;
    assert!(with.is_superuser());
    assert!(
        site.auth
            .on_repository(&with, &target)
            .await
            .unwrap()
            .may_admin()
    );
    let without = identity(root, "repo:admin org:admin").await;
    assert!(!without.is_superuser());
    assert!(
        !site
            .auth
            .on_repository(&without, &target)
            .await
            .unwrap()
            .may_read()
    );
    let alone = identity(root, "super:user").await;
    assert!(
        !site
            .auth
            .on_repository(&alone, &target)
            .await
            .unwrap()
            .may_read()
    );
    // Quay: of the two lists the narrower wins.
    let reader = identity(both, &Scopes::ALL.to_string()).await;
    assert!(!reader.is_superuser());
    let permits = site.auth.on_repository(&reader, &target).await.unwrap();
    assert!(permits.may_read() && !permits.may_write() && !permits.may_admin());
}
