//! Where the documents and Quay's source differ: what the documents show is followed, unless it is a plain
//! slip of theirs. What belongs to one resource stands with it.

use serde_json::{Value, json};

use super::guide::Guide;
use crate::harness::browser::Browser;
use crate::harness::people::Who;

/// quay-api section 41: the documents' words for a change without the session's token.
#[tokio::test]
async fn a_change_without_a_token_is_refused_in_the_words_of_the_documents() {
    let guide = Guide::new().await;
    let words = json!({"error": "CSRF token is invalid or missing."});
    let body = json!({"title": "MyAppToken"});
    guide
        .ask("", "POST /user/apptoken", body.clone())
        .await
        .refuses(403, &words);
    // Who is known is named behind them.
    let browser = Browser::signed_in(&guide.site, "ann").await;
    let other = Browser::new(&guide.site);
    other.set_cookie(browser.cookie());
    let answer = other.post("/api/v1/user/apptoken", body).await;
    let text = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("CSRF token is invalid or missing. (authorized: "),
        "{text}"
    );
}

/// quay-api section 41: the token of the registry's own door, under both of its names.
#[tokio::test]
async fn a_token_of_the_registry_has_the_fields_of_every_client() {
    let guide = Guide::new().await;
    let path = "/v2/auth?service=entrepot&scope=repository:ann/app:pull,push";
    let answer = guide.site.get_as(&Who::user("ann"), path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    let mut names = crate::harness::api::fields(&told);
    names.sort_unstable();
    assert_eq!(names, ["access_token", "expires_in", "issued_at", "token"]);
    assert_eq!(told["token"], told["access_token"]);
}

/// quay-api section 41: dates of both kinds; those of the documents' second kind are read as well.
#[tokio::test]
async fn dates_of_both_kinds_make_the_same_window() {
    let guide = Guide::new().await;
    let logs = json!({
        "start_time": "Mon, 01 Jan 2024 00:00:00 -0000",
        "end_time": "Wed, 19 Jun 2024 00:00:00 -0000",
        "logs": [],
    });
    for window in [
        "starttime=01/01/2024&endtime=06/18/2024",
        "starttime=2024-01-01&endtime=2024-06-18",
    ] {
        for base in ["/user", "/organization/acme"] {
            let path = format!("{base}/logs?{window}");
            let shown = guide.get(&guide.ann, &path).await.is(200, &logs);
            let told = &shown.json()["start_time"];
            assert_eq!(*told, "Mon, 01 Jan 2024 00:00:00 -0000", "{path}");
        }
    }
}

/// quay-api section 41: a token for a program is made by the page of the documents and by the API.
#[tokio::test]
async fn a_token_of_an_application_is_made_by_the_page_and_by_the_api() {
    let guide = Guide::new().await;
    let all = "/organization/acme/applications";
    let body = json!({"name": "portal"});
    let made = guide.ask(&guide.ann, &format!("POST {all}"), body).await;
    let made = made.succeeds(200).json();
    let client_id = made["client_id"].as_str().unwrap();
    let browser = Browser::signed_in(&guide.site, "ann").await;
    let local = guide.site.url("/oauth/localapp");
    let fields = [
        ("response_type", "token"),
        ("client_id", client_id),
        ("redirect_uri", local.as_str()),
        ("scope", "repo:read repo:create"),
    ];
    let answer = browser.form("/oauth/authorizeapp", &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    let place = answer.header("location");
    let by_page = crate::harness::browser::parameter(place, "access_token").unwrap();
    let line = format!("POST {all}/{client_id}/tokens");
    let body = json!({"name": "ci", "scope": "repo:read repo:create"});
    let by_api = guide
        .ask(&guide.ann, &line, body)
        .await
        .succeeds(200)
        .json();
    for token in [by_page.as_str(), by_api["token"].as_str().unwrap()] {
        let list = json!({"repositories": []});
        let path = "/repository?namespace=acme";
        guide.get(token, path).await.is(200, &list);
        let nothing = guide
            .ask(token, "DELETE /organization/acme", Value::Null)
            .await;
        let _ = nothing.refuses(403, &super::forbidden(&guide.site));
    }
}
