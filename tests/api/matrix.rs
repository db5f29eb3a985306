//! Every door tried as everybody: who is let in is what its row says, and nobody else.
//!
//! The doors, and what each demands, are read from `/api/v1/openapi.json`, which is made from the route
//! table: a door that is added is tried from then on (AZ-01, AZ-14, AZ-17).

use entrepot::model::{Grantee, Member, Role, TeamRole, Visibility};
use futures_util::stream::{self, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::api::Api;
use crate::harness::site::Site;

const EVERYTHING: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

/// A door as the description tells it.
struct Door {
    method: Method,
    path: String,
    need: String,
    scope: Option<String>,
}

/// Somebody, and all that the token is for.
struct Somebody {
    name: &'static str,
    token: String,
    /// The needs that let them in.
    may: &'static [&'static str],
}

const READER: &[&str] = &["anyone", "user", "repository:read"];
const WRITER: &[&str] = &["anyone", "user", "repository:read", "repository:write"];
const ADMIN: &[&str] = &[
    "anyone",
    "user",
    "repository:read",
    "repository:write",
    "repository:admin",
];
const OWNER: &[&str] = &[
    "anyone",
    "user",
    "repository:read",
    "repository:write",
    "repository:admin",
    "organization:member",
    "organization:admin",
];

struct Stage {
    site: Site,
    people: Vec<Somebody>,
}

/// An organisation with a repository, and people of every kind around it.
async fn stage() -> Stage {
    let site = Site::start(|config| {
        config.super_users = vec!["root".parse().unwrap()];
        let features = &mut config.features;
        features.user_rename = true;
        features.mailing = false;
        features.superuser_configdump = true;
        features.log_export = false;
    })
    .await;
    let owner = site.user("owner").await;
    let acme = site.organization("acme", Some(owner)).await;
    site.repository("acme/app", Visibility::Private).await;
    let mut people = Vec::new();
    let grants = [
        ("reader", Role::Read, READER),
        ("writer", Role::Write, WRITER),
        ("admin", Role::Admin, ADMIN),
    ];
    for (name, role, may) in grants {
        let id = site.user(name).await;
        site.grant("acme/app", Grantee::User(id), role).await;
        let token = site.oauth_token(id, EVERYTHING).await;
        people.push(Somebody { name, token, may });
    }
    let member = site.user("member").await;
    site.team(acme, "plain", TeamRole::Member, &[Member::User(member)])
        .await;
    let outsider = site.user("outsider").await;
    let root = site.user("root").await;
    let others: [(_, _, &'static [&'static str]); 4] = [
        ("outsider", outsider, &["anyone", "user"]),
        ("member", member, &["anyone", "user", "organization:member"]),
        ("owner", owner, OWNER),
        ("root", root, &["anyone", "user", "superuser"]),
    ];
    for (name, id, may) in others {
        let token = site.oauth_token(id, EVERYTHING).await;
        people.push(Somebody { name, token, may });
    }
    Stage { site, people }
}

impl Stage {
    async fn doors(&self) -> Vec<Door> {
        let document = self.site.api_of_nobody().get("/openapi.json").await.json();
        let mut doors = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let scope = operation["security"][0]["oauth2"][0].as_str();
                doors.push(Door {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    need: operation["x-need"].as_str().unwrap().to_owned(),
                    scope: scope.map(str::to_owned),
                });
            }
        }
        doors.retain(|door| door.path.starts_with("/api/v1/"));
        doors
    }

    fn person(&self, name: &str) -> &Somebody {
        self.people
            .iter()
            .find(|somebody| somebody.name == name)
            .unwrap()
    }
}

impl Door {
    /// A request: the organisation and its repository where they are named, what is not there elsewhere.
    fn path(&self) -> String {
        let mut path = self.path.strip_prefix("/api/v1").unwrap().to_owned();
        for (name, value) in [
            ("{repository}", "acme/app"),
            ("{orgname}", "acme"),
            ("{namespace}", "nosuch"),
        ] {
            path = path.replace(name, value);
        }
        while let Some(start) = path.find('{') {
            let end = start + path[start..].find('}').unwrap();
            path.replace_range(start..=end, "nosuch");
        }
        path
    }

    async fn ask(&self, api: Api<'_>) -> (u16, String) {
        let body = (self.method != Method::GET).then(|| json!({}));
        let answer = api.send(self.method.clone(), &self.path(), body).await;
        (
            answer.status.as_u16(),
            String::from_utf8_lossy(&answer.body).into_owned(),
        )
    }

    /// Whether it would take away what the other doors are tried with.
    fn is_final(&self) -> bool {
        let ends = [
            "/api/v1/repository/{repository}",
            "/api/v1/organization/{orgname}",
            "/api/v1/user/",
        ];
        self.method == Method::DELETE && ends.contains(&self.path.as_str())
            || self.path.ends_with("/signout")
    }
}

/// AZ-01: nobody, and somebody without the right, is refused at every door, and told nothing else.
#[tokio::test]
async fn nobody_comes_in_who_has_no_right() {
    let stage = stage().await;
    let doors = stage.doors().await;
    assert!(doors.len() > 120, "{} doors", doors.len());
    let site = &stage.site;
    let tries = doors
        .iter()
        .filter(|door| door.need != "anyone")
        .flat_map(|door| {
            let nobody = (door, "nobody", site.api_of_nobody());
            let refused = stage
                .people
                .iter()
                .filter(|who| !who.may.contains(&&*door.need));
            let refused = refused.map(move |who| (door, who.name, site.api(&who.token)));
            std::iter::once(nobody).chain(refused)
        });
    let wrong: Vec<String> = stream::iter(tries)
        .map(async |(door, name, api)| {
            let (status, text) = door.ask(api).await;
            let expected = match (name, &door.method) {
                ("nobody", &Method::GET) => status == 401,
                ("nobody", _) => status == 403 && text.contains("CSRF"),
                _ => status == 403,
            };
            // A feature that is off is off for everybody.
            let is_off = status == 404 && text.contains("not_found");
            (!expected && !is_off)
                .then(|| format!("{name} {} {}: {status} {text}", door.method, door.path))
        })
        .buffer_unordered(8)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// AU-03: a token lets its owner do what its scopes say, and nothing that they do not.
#[tokio::test]
async fn a_token_without_the_scope_opens_nothing() {
    let stage = stage().await;
    let scopes: Vec<&str> = EVERYTHING.split(' ').collect();
    let (owner, root) = (stage.site.accounts(), "root");
    let owner_id = owner.user_by_name("owner").await.unwrap().unwrap().0;
    let root_id = owner.user_by_name(root).await.unwrap().unwrap().0;
    for door in stage.doors().await {
        let Some(scope) = &door.scope else { continue };
        let implies = |other: &str| match (scope.as_str(), other) {
            ("repo:read", "repo:write" | "repo:admin") | ("repo:write", "repo:admin") => true,
            (scope, other) => scope == other,
        };
        let others: Vec<&str> = scopes
            .iter()
            .copied()
            .filter(|other| !implies(other))
            .collect();
        let id = if door.need == "superuser" {
            root_id
        } else {
            owner_id
        };
        let token = stage.site.oauth_token(id, &others.join(" ")).await;
        let (status, text) = door.ask(stage.site.api(&token)).await;
        let is_off = status == 404 && text.contains("not_found");
        assert!(
            status == 403 || is_off,
            "{} {} without {scope}: {status} {text}",
            door.method,
            door.path
        );
    }
}

/// Whoever has the right comes in: what then is wrong is the request, never who asks; and nothing that
/// is asked, however empty, is the server's fault.
#[tokio::test]
async fn whoever_has_the_right_comes_in() {
    let stage = stage().await;
    let mut doors = stage.doors().await;
    doors.retain(|door| !door.is_final());
    // What reads first, then what changes, then what removes.
    let order = [Method::GET, Method::PUT, Method::POST, Method::DELETE];
    doors.sort_by_key(|door| order.iter().position(|method| *method == door.method));
    for door in doors {
        let name = match door.need.as_str() {
            "anyone" | "user" => "outsider",
            "repository:read" => "reader",
            "repository:write" => "writer",
            "repository:admin" => "admin",
            "organization:member" => "member",
            "organization:admin" => "owner",
            "superuser" => "root",
            other => panic!("{other} is no need"),
        };
        let (status, text) = door.ask(stage.site.api(&stage.person(name).token)).await;
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        let guarded =
            said["error_type"] == "insufficient_scope" || said["error_type"] == "invalid_token";
        // Tokens of all are for superusers with access to everything, which these have not.
        let by_door = ["anyone", "user"].contains(&door.need.as_str())
            || door.path.ends_with("/superuser/apptokens");
        assert!(
            by_door || !guarded,
            "{name} {} {}: {status} {text}",
            door.method,
            door.path
        );
        assert!(
            status < 500 || status == 503 || status == 520,
            "{name} {} {}: {status} {text}",
            door.method,
            door.path
        );
    }
}
