//! People, sessions, web and usage log as the file says them.

use std::time::Duration;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn every_key_of_people_is_read() {
    let people = good(
        "GLOBAL_READONLY_SUPER_USERS: [auditor]\nFEATURE_RESTRICTED_USERS: true\n\
         RESTRICTED_USERS_WHITELIST: [alice]\nFRESH_LOGIN_TIMEOUT: 1h\nSESSION_TIMEOUT: 12h\n\
         SESSION_COOKIE_SECURE: true\nAPP_SPECIFIC_TOKEN_EXPIRATION: 24h\n\
         OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT: 5\nLOCAL_OAUTH_HANDLER: /show\n\
         DIRECT_OAUTH_CLIENTID_WHITELIST: [ABC]\nFEATURE_PERMANENT_SESSIONS: false\n\
         UNAPPROVED_SERVICE_KEY_TTL_SEC: 60\nEXPIRED_SERVICE_KEY_TTL_SEC: 2h\n",
    )
    .people;
    let expected = PeopleConfig {
        global_readonly: vec!["auditor".parse().unwrap()],
        restricted_but: Some(vec!["alice".parse().unwrap()]),
        fresh_login: HOUR,
        session: 12 * HOUR,
        permanent_sessions: false,
        secure_cookie: true,
        app_token_life: Some(24 * HOUR),
        application_tokens: Some(5),
        local_oauth_handler: "/show".to_owned(),
        direct_oauth_clients: vec!["ABC".to_owned()],
        unapproved_key_life: HOUR / 60,
        expired_key_life: 2 * HOUR,
    };
    assert_eq!(people, expected);
    assert_eq!(good("").people.restricted_but, None);
}

#[test]
fn a_whitelist_without_its_switch_is_told() {
    let warnings = warnings("RESTRICTED_USERS_WHITELIST: [alice]\n");
    assert!(
        warnings[0].contains("FEATURE_RESTRICTED_USERS"),
        "{warnings:?}"
    );
}

#[test]
fn every_key_of_the_web_is_read() {
    let web = good(
        "BROWSER_API_CALLS_XHR_ONLY: false\nCORS_ORIGIN: https://ui.example.org\n\
         AVATAR_KIND: gravatar\nREGISTRY_TITLE: Depot\nREGISTRY_TITLE_SHORT: D\n\
         CONTACT_INFO: [\"mailto:a@example.org\"]\nSEARCH_RESULTS_PER_PAGE: 5\n\
         SEARCH_MAX_RESULT_PAGE_COUNT: 3\n",
    )
    .web;
    let expected = WebConfig {
        xhr_only: false,
        cors_origins: vec!["https://ui.example.org".to_owned()],
        avatars: AvatarKind::Gravatar,
        title: "Depot".to_owned(),
        short_title: "D".to_owned(),
        contact: vec!["mailto:a@example.org".to_owned()],
        search_page: 5,
        search_pages: 3,
    };
    assert_eq!(web, expected);
}

#[test]
fn every_key_of_the_usage_log_is_read() {
    let audit = good(
        "ACTION_LOG_ROTATION_THRESHOLD: 90d\nACTION_LOG_AUDIT_LOGINS: false\n\
         ACTION_LOG_AUDIT_LOGIN_FAILURES: true\nACTION_LOG_AUDIT_PULL_FAILURES: true\n\
         ACTION_LOG_AUDIT_PUSH_FAILURES: true\nACTION_LOG_AUDIT_DELETE_FAILURES: true\n",
    )
    .audit;
    let expected = AuditConfig {
        keep: Some(90 * 24 * HOUR),
        logins: false,
        login_failures: true,
        pull_failures: true,
        push_failures: true,
        delete_failures: true,
    };
    assert_eq!(audit, expected);
    let forever = good("ACTION_LOG_ROTATION_THRESHOLD: none\n").audit;
    assert_eq!(forever.keep, None);
}

#[test]
fn what_is_wrong_is_told_with_what_would_be_right() {
    for (text, hint) in [
        ("FRESH_LOGIN_TIMEOUT: 0s\n", "1s to 1d"),
        ("SESSION_TIMEOUT: 5\n", "5s for seconds"),
        ("LOCAL_OAUTH_HANDLER: show\n", "/oauth/localapp"),
        ("CORS_ORIGIN: example.org\n", "https://host"),
        ("CORS_ORIGIN: https://example.org/\n", "https://host"),
        ("AVATAR_KIND: cats\n", "local or gravatar"),
        ("SEARCH_RESULTS_PER_PAGE: 0\n", "1 to 100"),
        ("ACTION_LOG_ROTATION_THRESHOLD: 1h\n", "or none"),
        ("OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT: 0\n", "1 to"),
    ] {
        let errors = load(text).unwrap_err();
        assert_eq!(errors.len(), 1, "{text}");
        assert!(errors[0].reason.contains(hint), "{}", errors[0].reason);
    }
}
