//! Names that look like others, and what refusals tell of names.

use reqwest::Method;
use serde_json::json;

use super::tenants::Tenants;
use crate::harness::api::Api;

/// No name at all, and more than a few that would look like `acme`.
const LOOKALIKES: [&str; 22] = [
    "Acme",
    "ACME",
    "acmE",
    "аcme",
    "ａcme",
    "acme ",
    " acme",
    "acme\u{200b}",
    "acme\0",
    "acme\n",
    "acme%20",
    "a..b",
    "a__",
    "_a",
    "-a",
    "a-",
    "acme/app",
    "acme\\app",
    "..",
    "a+b",
    "ac\u{0301}me",
    "acme\u{202e}",
];

async fn refused(api: Api<'_>, method: Method, path: &str, body: serde_json::Value) {
    let answer = api.send(method, path, Some(body.clone())).await;
    assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
}

/// AZ-17: there is one form of every name, and whatever is not in it names nothing that could be made.
#[tokio::test]
async fn no_name_is_made_that_looks_like_another() {
    let tenants = Tenants::new().await;
    let api = tenants.site.api(&tenants.ann);
    for name in LOOKALIKES {
        let body = json!({"name": name, "email": "x@example.org"});
        refused(api, Method::POST, "/organization/", body).await;
        if !["acme/app", "a__"].contains(&name) {
            let body = json!({"namespace": "acme", "repository": name, "visibility": "private", "description": ""});
            refused(api, Method::POST, "/repository", body).await;
        }
        if name == ".." {
            // Clients take it for the folder above.
            continue;
        }
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        refused(
            api,
            Method::PUT,
            &format!("/organization/acme/robots/{escaped}"),
            json!({}),
        )
        .await;
        refused(
            api,
            Method::PUT,
            &format!("/user/robots/{escaped}"),
            json!({}),
        )
        .await;
        let role = json!({"role": "member"});
        refused(
            api,
            Method::PUT,
            &format!("/organization/acme/team/{escaped}"),
            role,
        )
        .await;
    }
    // One address, however it is written.
    let taken = api.put("/user/", json!({"email": "BOB@Example.ORG"})).await;
    assert_eq!(taken.status, 400, "{}", taken.text());
}

/// AZ-17: no other case, form or encoding of a name leads to what bears it.
#[tokio::test]
async fn no_other_spelling_leads_to_what_has_a_name() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let api = site.api(&tenants.ann);
    for spelled in [
        "Acme",
        "ACME",
        "acme%20",
        "%20acme",
        "acme%00",
        "acme%0a",
        "acme%2f",
        "acme%2F..",
        "acme%5c",
        "acme.",
        "%61cme%20",
        "ac%CC%81me",
        "%EF%BD%81cme",
        "acme%252f",
        "acme;x",
        "acme%3Fx",
        "acme%23",
    ] {
        for path in [
            format!("/organization/{spelled}"),
            format!("/organization/{spelled}/robots"),
            format!("/organization/{spelled}/logs"),
            format!("/repository/{spelled}/app"),
            format!("/repository/{spelled}/app/tag/"),
            format!("/repository/{spelled}/app/permissions/user/"),
        ] {
            let answer = api.get(&path).await;
            assert!(
                [403, 404].contains(&answer.status.as_u16()),
                "{path}: {}",
                answer.status
            );
        }
    }
    // An escape of a letter is that letter: one name, one resource, one decision.
    assert_eq!(api.get("/organization/%61cme").await.status, 200);
    assert_eq!(
        site.api(&tenants.dora)
            .get("/organization/%61cme/robots")
            .await
            .status,
        403
    );
    for path in [
        "/repository/umbra%2Fzqvault/tag",
        "/repository/umbra/..%2Fumbra/zqvault",
    ] {
        let answer = api.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
}

/// AZ-11: who rules an organisation learns of no robot of another's by trying to make use of it.
#[tokio::test]
async fn robots_of_others_are_told_from_missing_ones_by_nobody() {
    let tenants = Tenants::new().await;
    let api = tenants.site.api(&tenants.ann);
    let team = api.put("/organization/acme/team/devs", json!({"role": "member"}));
    assert_eq!(team.await.status, 200);
    let delegate = |name: &str| json!({"name": name, "kind": "user"});
    let prototype = |name: &str| json!({"role": "read", "delegate": delegate(name)});
    let activating = |name: &str| json!({"role": "read", "delegate": delegate("ann"), "activating_user": delegate(name)});
    let (there, missing) = ("umbra+zqdeep", "umbra+zqpeed");
    let prototypes = "/organization/acme/prototypes".to_owned();
    let of = |name: &str| {
        let member = format!("/organization/acme/team/devs/members/{name}");
        let grant = format!("/repository/acme/app/permissions/user/{name}");
        [
            (Method::PUT, member.clone(), json!({})),
            (Method::DELETE, member, json!({})),
            (Method::GET, grant.clone(), json!({})),
            (Method::PUT, grant.clone(), json!({"role": "read"})),
            (Method::DELETE, grant.clone(), json!({})),
            (Method::GET, format!("{grant}/transitive"), json!({})),
            (
                Method::GET,
                format!("/organization/acme/members/{name}"),
                json!({}),
            ),
            (
                Method::DELETE,
                format!("/organization/acme/members/{name}"),
                json!({}),
            ),
            (Method::POST, prototypes.clone(), prototype(name)),
            (Method::POST, prototypes.clone(), activating(name)),
        ]
    };
    for ((method, path, body), (_, other, absent)) in of(there).into_iter().zip(of(missing)) {
        let there_is = api.send(method.clone(), &path, Some(body)).await;
        let there_is_none = api.send(method.clone(), &other, Some(absent)).await;
        assert!(there_is.status.is_client_error(), "{method} {path}");
        assert_eq!(
            there_is.told(&[there]),
            there_is_none.told(&[missing]),
            "{method} {path}"
        );
    }
}
