//! Ids of one tenant in the paths of another, and what lists, searches and refusals tell strangers.

use entrepot::model::{LogEntry, LogKind, Performer, Visibility};
use reqwest::Method;
use serde_json::{Value, json};

use super::tenants::{HIDDEN, Tenants};
use super::{Door, doors, send, send_as};

/// What everybody may look up by a name or an id.
const PUBLIC: [&str; 7] = [
    "/api/v1/app/{client_id}",
    "/api/v1/detachexternal/{service_id}",
    "/api/v1/entities/link/{username}",
    "/api/v1/entities/{prefix}",
    "/api/v1/error/{error_type}",
    "/api/v1/externallogin/{service_id}",
    "/api/v1/users/{username}",
];

/// Parameters that are made up by the server: nobody makes anything by naming one.
const OPAQUE: [&str; 11] = [
    "{client_id}",
    "{token_uuid}",
    "{policy_uuid}",
    "{prototypeid}",
    "{manifestref}",
    "{labelid}",
    "{code}",
    "{uuid}",
    "{access_token_uuid}",
    "{assigned_authorization_uuid}",
    "/user/starred/{repository}",
];

/// A body in which every door finds what it asks for.
fn body(tenants: &Tenants, door: &Door) -> Value {
    if door.path.ends_with("/federation") {
        return json!([{"issuer": "https://evil.example", "subject": "s"}]);
    }
    json!({
        "role": "admin", "name": "taken", "description": "taken", "redirect_uri": "https://evil.example",
        "application_uri": "", "scope": "repo:read", "tagPattern": "^x$", "tagPatternMatches": true,
        "manifest_digest": tenants.image.digest().to_string(), "is_alive": true, "visibility": "public",
        "state": "READ_ONLY", "dismissed": true, "key": "taken", "value": "v", "title": "taken",
        "namespace": "umbra", "repository": "zqvault", "upstream_registry": "quay.io",
        "username": "taken", "password": "taken-taken", "email": "taken@example.org",
        "delegate": {"name": "zqinner", "kind": "team"}, "message": {"content": "x"},
    })
}

fn is_opaque(door: &Door) -> bool {
    OPAQUE.iter().any(|name| door.path.contains(name))
}

/// AZ-06: every door with an id in its path, every method of it, with the id of another tenant in the path
/// of one's own: nothing is there, nothing is told, and nothing of the other's is changed.
#[tokio::test]
async fn an_id_of_another_tenant_is_nothing_in_ones_own_path() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let before = tenants.belongings().await;
    let mut doors = doors(site).await;
    doors.retain(|door| {
        let names = door
            .path
            .replace("{orgname}", "")
            .replace("{repository}", "");
        let names_something = names.contains('{') || door.path.contains("/user/starred/{");
        let is_mine = door.is_api() && door.need != "superuser";
        names_something && is_mine && !PUBLIC.contains(&door.path.as_str())
    });
    assert!(doors.len() > 60, "{}", doors.len());
    // What makes something of ann's own of that name comes last.
    let order = [Method::GET, Method::DELETE, Method::POST, Method::PUT];
    doors.sort_by_key(|door| order.iter().position(|method| *method == door.method));
    for door in &doors {
        let path = door.at(|name| tenants.value(door, name, "acme"));
        let body = body(&tenants, door);
        let answer = send_as(site, &tenants.ann, &door.method, &path, &body).await;
        let (status, text) = (answer.status, answer.text());
        let what = format!("{} {path}: {status} {text}", door.method);
        if door.method != Method::PUT || is_opaque(door) {
            assert!(status.is_client_error(), "{what}");
        }
        for secret in &tenants.secrets {
            assert!(!text.contains(secret), "{what}");
        }
    }
    for (before, after) in before.iter().zip(&tenants.belongings().await) {
        assert_eq!(before, after);
    }
    for path in [
        "/organization/umbra/logs",
        "/repository/umbra/zqvault/logs",
        "/user/logs",
    ] {
        let told = site.api(&tenants.bob).get(path).await;
        assert!(
            !told.text().contains("\"name\": \"ann\""),
            "{path}: {}",
            told.text()
        );
    }
}

/// AZ-06: the id is one's own and what is below it another's.
#[tokio::test]
async fn an_id_of_another_tenant_is_nothing_below_ones_own() {
    let tenants = Tenants::new().await;
    let (site, api) = (&tenants.site, tenants.site.api(&tenants.ann));
    let made = json!({"name": "mine", "redirect_uri": "https://ann.example"});
    let made = api
        .post("/organization/acme/applications", made)
        .await
        .json();
    let client = made["client_id"].as_str().unwrap();
    let token = &tenants.ids["token_uuid"];
    let digest = api.get("/repository/acme/app/tag/").await.json();
    let digest = digest["tags"][0]["manifest_digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let label = &tenants.ids["labelid"];
    for path in [
        format!("/organization/acme/applications/{client}/tokens/{token}"),
        format!("/repository/acme/app/manifest/{digest}/labels/{label}"),
    ] {
        assert_eq!(api.delete(&path).await.status, 404, "{path}");
    }
    let robot = "umbra+zqdeep";
    let team = api.put("/organization/acme/team/devs", json!({"role": "admin"}));
    assert_eq!(team.await.status, 200);
    let role = json!({"role": "admin"});
    let delegate = json!({"name": robot, "kind": "user"});
    let taken = [
        (
            format!("/organization/acme/team/devs/members/{robot}"),
            Method::PUT,
            json!({}),
        ),
        (
            format!("/repository/acme/app/permissions/user/{robot}"),
            Method::PUT,
            role.clone(),
        ),
        (
            "/repository/acme/app/permissions/team/zqinner".to_owned(),
            Method::PUT,
            role,
        ),
        (
            "/organization/acme/prototypes".to_owned(),
            Method::POST,
            json!({"role": "admin", "delegate": delegate}),
        ),
        (
            "/organization/acme/prototypes".to_owned(),
            Method::POST,
            json!({"role": "admin", "delegate": {"name": "ann", "kind": "user"}, "activating_user": delegate}),
        ),
    ];
    for (path, method, body) in taken {
        let answer = api.send(method, &path, Some(body)).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    let bobs = site
        .api(&tenants.bob)
        .get("/organization/umbra/robots")
        .await;
    assert_eq!(bobs.json()["robots"][0]["name"], robot);
}

/// AZ-10: no list, search or completion tells nobody, or somebody who belongs elsewhere, of what is private.
#[tokio::test]
async fn what_is_private_is_in_no_list() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let mut doors = doors(site).await;
    doors.retain(|door| !door.changes());
    let query = "namespace=umbra&query=zq&public=true&includeTeams=true&includeOrgs=true\
                 &last_modified=true&popularity=true&includeUsage=true&permissions=true&token=true\
                 &sort=password_hash&order_by=password_hash&performer=bob&includePending=true";
    let mut seen = 0;
    for door in &doors {
        let path = door.at(|name| tenants.value(door, name, "umbra"));
        for query in [query.to_owned(), format!("{query}&starred=true")] {
            let path = format!("{path}?{query}");
            for token in [None, Some(&tenants.dora), Some(&tenants.ann)] {
                let bearer = token.map(|token| format!("Bearer {token}"));
                let headers = bearer.iter().map(|it| ("authorization", it.as_str()));
                let headers: Vec<_> = headers.collect();
                let answer = site.get_with(&path, &headers).await;
                let text = String::from_utf8_lossy(&answer.body);
                assert!(!text.contains(HIDDEN), "{path}: {} {text}", answer.status);
                seen += usize::from(answer.status == 200);
            }
        }
    }
    assert!(seen > 60, "{seen} were answered");
    let own = site.api(&tenants.bob).get("/find/all?query=zqvault").await;
    assert!(own.text().contains("zqvault"), "bob finds what is his");
}

/// AZ-10: who is in an organisation is told to who belongs to it.
#[tokio::test]
async fn membership_is_completed_for_members_only() {
    let tenants = Tenants::new().await;
    let path = "/entities/bob?namespace=umbra";
    let of = async |token: &str| {
        let found = tenants.site.api(token).get(path).await.json();
        found["results"][0].get("is_org_member").cloned()
    };
    assert_eq!(of(&tenants.bob).await, Some(json!(true)));
    assert_eq!(of(&tenants.ann).await, None);
    let nobody = tenants.site.api_of_nobody().get(path).await.json();
    assert_eq!(nobody["results"][0]["name"], "bob");
    assert_eq!(nobody["results"][0].get("is_org_member"), None);
}

/// AZ-11: at every door of a repository, a private one, one that is not there, and one of a namespace that is
/// not there are one and the same: status, headers and body.
#[tokio::test]
async fn private_and_missing_repositories_are_refused_alike() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let mut doors = doors(site).await;
    doors.retain(|door| door.path.contains("{repository}"));
    assert!(doors.len() > 35, "{}", doors.len());
    for door in &doors {
        let told = async |repository: &str, token: Option<&str>| {
            let path = door.at(|name| match name {
                "repository" => repository.to_owned(),
                name => tenants.value(door, name, "umbra"),
            });
            let body = body(&tenants, door);
            let answer = match token {
                Some(token) => send_as(site, token, &door.method, &path, &body).await,
                None => send(site, &door.method, &path, &[], body.to_string()).await,
            };
            assert!(answer.status.is_client_error(), "{} {path}", door.method);
            answer.told(&[repository])
        };
        for token in [None, Some(tenants.dora.as_str())] {
            let there = told("umbra/zqvault", token).await;
            for missing in ["umbra/zqvalut", "ombra/zqvault"] {
                let missing = told(missing, token).await;
                assert_eq!(there, missing, "{} {}", door.method, door.path);
            }
        }
    }
}

/// AZ-10: a place in one listing is none in another, whoever brings it.
#[tokio::test]
async fn a_page_token_is_good_for_its_listing_only() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    let (umbra, _) = site
        .registry()
        .namespace(&"umbra".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let line = |n: u32| {
        let at = site.clock.now();
        let line = LogEntry::new(LogKind::CreateRepo, at, &Performer::SYSTEM).within(umbra);
        line.with(json!({"repo": format!("zq{n}")}))
    };
    crate::api::logs::tell(site, (0..25).map(line).collect()).await;
    let first = site.api(&tenants.bob).get("/organization/umbra/logs").await;
    let token = first.json()["next_page"].as_str().unwrap().to_owned();
    let ann = site.api(&tenants.ann);
    for path in [
        "/organization/acme/logs",
        "/user/logs",
        "/repository/acme/app/logs",
        "/repository?namespace=acme",
        "/user/starred",
    ] {
        let joint = if path.contains('?') { '&' } else { '?' };
        let stolen = ann.get(&format!("{path}{joint}next_page={token}")).await;
        let plain = ann.get(path).await;
        assert_eq!(stolen.text(), plain.text(), "{path}");
        assert!(!stolen.text().contains(HIDDEN));
    }
}

/// AZ-10: behind what the token of a list of private repositories stands is told by no other list.
#[tokio::test]
async fn a_place_among_private_repositories_is_none_among_public_ones() {
    let tenants = Tenants::new().await;
    let site = &tenants.site;
    for n in 0..101 {
        let name = format!("umbra/zq{n:03}");
        site.repository(&name, Visibility::Private).await;
    }
    site.repository("acme/open", Visibility::Public).await;
    let list = site
        .api(&tenants.bob)
        .get("/repository?namespace=umbra")
        .await;
    let token = list.json()["next_page"].as_str().unwrap().to_owned();
    let path = format!("/repository?public=true&next_page={token}");
    let found = site.api(&tenants.dora).get(&path).await.json();
    assert_eq!(
        found["repositories"][0]["name"], "open",
        "from the first on"
    );
}
