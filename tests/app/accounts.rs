//! Commands about users, robots, grants, repositories and organizations, with and without a server.

use entrepot::model::{Clock, NamespaceName, RepositoryRecord};
use entrepot::oci::RepositoryName;
use entrepot::store::{self, Options, Store, WriteTx};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::process::{Place, Process};
use crate::harness::soon;

/// A place with a password in a file, whose server has run.
async fn stage() -> (Place, Process) {
    let place = Place::new("PROXY_CACHES: []\n");
    std::fs::write(place.path("password"), "correct-horse\n").unwrap();
    let server = place.serve().await;
    (place, server)
}

pub(crate) async fn stop(mut server: Process) {
    server.signal(Signal::TERM);
    assert!(server.ended().await.success());
}

pub(super) async fn json(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let text = place.run_well(arguments).await;
    let rows = text.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().unwrap()
}

/// AU-05: the first user is made by the operator, and there is none before.
#[tokio::test]
async fn users_are_made_and_changed_with_and_without_a_server() {
    let (place, server) = stage().await;
    assert_eq!(place.run_well(&["user", "list"]).await, "");
    let mut server = Some(server);
    for (name, first) in [("ann", true), ("bob", false)] {
        let email = format!("{name}@example.org");
        let made = place
            .run(&[
                "user",
                "create",
                name,
                "--email",
                &email,
                "--superuser",
                "--password-file",
                "password",
            ])
            .await;
        let said = String::from_utf8(made.stderr).unwrap();
        assert!(made.status.success(), "{said}");
        assert!(made.stdout.is_empty() && !said.contains("horse"), "{said}");
        assert_eq!(said.contains("the first one"), first, "{said}");
        let rows = json(&place, &["user", "list", "--json"]).await;
        let row = rows.last().unwrap();
        assert_eq!((&row["name"], &row["email"]), (&name.into(), &email.into()));
        assert_eq!(
            (&row["superuser"], &row["enabled"]),
            (&true.into(), &true.into())
        );
        assert!(row["created"].as_str().unwrap().ends_with('Z'), "{row}");
        let password = place
            .run_well(&["user", "passwd", name, "--generate"])
            .await;
        assert_eq!(password.trim_end().len(), 24);
        let table = place.run_well(&["user", "list"]).await;
        assert!(table.starts_with("USER") && table.contains(name), "{table}");
        if let Some(server) = server.take() {
            stop(server).await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_user_is_told_and_changes_nothing() {
    let (place, _server) = stage().await;
    place.run_well(&["organization", "create", "acme"]).await;
    place
        .run_well(&["user", "create", "ann", "--generate"])
        .await;
    std::fs::write(place.path("short"), "short\n").unwrap();
    std::fs::write(place.path("empty"), "\n").unwrap();
    for (name, file, part) in [
        ("ann", "password", "the name ann is taken by a user"),
        (
            "acme",
            "password",
            "the name acme is taken by an organisation",
        ),
        ("eve", "short", "password"),
        ("eve", "empty", "its first line is empty"),
        ("eve", "nosuch", "cannot read the password in nosuch"),
        ("a", "password", "2 to 255 lower-case letters"),
    ] {
        let refused = place
            .run_badly(&["user", "create", name, "--password-file", file])
            .await;
        assert!(refused.contains(part), "{name} {file}: {refused}");
        assert!(!refused.contains("short\n"), "{refused}");
    }
    let refused = place
        .run_badly(&["user", "passwd", "eve", "--password-file", "password"])
        .await;
    assert!(refused.contains("there is no user eve"), "{refused}");
    for (command, what) in [
        ("user", "the user's"),
        ("organization", "the organization's"),
    ] {
        let unread = place.run(&[command, "create", "Alice"]).await;
        let said = String::from_utf8(unread.stderr).unwrap();
        let part = format!("{what} name is not valid: it is 2 to 255 lower-case letters");
        assert!(!unread.status.success() && said.contains(&part), "{said}");
    }
    let rows = json(&place, &["user", "list", "--json"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
}

/// What `GET /v2/` answers whoever logs in so.
async fn login(server: &Process, name: &str, password: &str) -> u16 {
    let url = server.url("/v2/");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client.get(&url).basic_auth(name, Some(password)).send();
    soon(&url, asked).await.unwrap().status().as_u16()
}

/// AU-05: whoever is disabled is logged out at once, its robots too, and nothing is lost.
#[tokio::test]
async fn a_user_is_disabled_and_enabled_again() {
    let (place, server) = stage().await;
    place
        .run_well(&["user", "create", "ann", "--password-file", "password"])
        .await;
    let token = place.run_well(&["robot", "create", "ann+ci"]).await;
    for (command, enabled, status) in [("disable", false, 401), ("enable", true, 200)] {
        place.run_well(&["user", command, "ann"]).await;
        let rows = json(&place, &["user", "list", "--json"]).await;
        assert_eq!(rows[0]["enabled"], enabled, "{rows:?}");
        assert_eq!(login(&server, "ann", "correct-horse").await, status);
        assert_eq!(login(&server, "ann+ci", token.trim_end()).await, status);
        let refused = place.run_badly(&["user", command, "eve"]).await;
        assert!(refused.contains("there is no user eve"), "{refused}");
    }
}

#[tokio::test]
async fn a_robot_gets_another_token_and_keeps_its_grants() {
    let (place, server) = stage().await;
    place
        .run_well(&["user", "create", "ann", "--generate"])
        .await;
    place.run_well(&["repository", "create", "ann/app"]).await;
    let grant = ["robot", "create", "ann+ci", "--write", "ann/app"];
    let old = place.run_well(&grant).await;
    let made = place.run(&["robot", "regenerate", "ann+ci"]).await;
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(
        made.status.success() && said.contains("docker login"),
        "{said}"
    );
    assert!(said.contains("localhost:"), "{said}");
    let new = String::from_utf8(made.stdout).unwrap();
    assert_eq!(new.trim_end().len(), 64);
    assert_eq!(login(&server, "ann+ci", old.trim_end()).await, 401);
    assert_eq!(login(&server, "ann+ci", new.trim_end()).await, 200);
    let table = place.run_well(&["permission", "ls", "ann/app"]).await;
    assert!(
        table.contains("ann+ci") && table.contains("write"),
        "{table}"
    );
    let refused = place.run_badly(&["robot", "regenerate", "ann+x9"]).await;
    assert!(refused.contains("there is no robot ann+x9"), "{refused}");
}

/// A robot of a CI is granted something before the first push, by what the refusal says.
#[tokio::test]
async fn a_repository_is_made_before_its_first_push() {
    let (place, server) = stage().await;
    place.run_well(&["organization", "create", "acme"]).await;
    let robot = ["robot", "create", "acme+ci", "--write", "acme/app"];
    let granted = ["permission", "set", "acme/app", "acme+ci", "write"];
    for arguments in [&robot[..], &granted] {
        let refused = place.run_badly(arguments).await;
        let way = "`entrepot repository create acme/app`";
        assert!(refused.contains(way), "{refused}");
    }
    let mut server = Some(server);
    for (repository, public) in [("acme/app", false), ("acme/team/open", true)] {
        let mut create = vec!["repository", "create", repository];
        create.extend(public.then_some("--public"));
        place.run_well(&create).await;
        let rows = json(&place, &["repository", "ls", "acme", "--json"]).await;
        let row = rows.iter().find(|row| row["repository"] == repository);
        let visibility = if public { "public" } else { "private" };
        assert_eq!(row.unwrap()["visibility"], visibility, "{rows:?}");
        let refused = place.run_badly(&create).await;
        assert!(refused.contains("exists already"), "{refused}");
        if let Some(server) = server.take() {
            stop(server).await;
        }
    }
    place.run_well(&robot).await;
    let rows = json(&place, &["permission", "ls", "acme/app", "--json"]).await;
    assert_eq!(rows[0]["name"], "acme+ci", "{rows:?}");
}

#[tokio::test]
async fn organizations_are_listed_without_users_and_caches() {
    let (place, _server) = cache().await;
    assert_eq!(place.run_well(&["organization", "ls"]).await, "");
    place.run_well(&["organization", "create", "acme"]).await;
    let rows = json(&place, &["organization", "ls", "--json"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["organization"], "acme");
    assert!(
        rows[0]["created"].as_str().unwrap().ends_with('Z'),
        "{rows:?}"
    );
    let refused = place
        .run_badly(&["repository", "create", "docker.io/library/x"])
        .await;
    assert!(refused.contains("docker.io is a cache"), "{refused}");
}

/// The token is all that is on standard output, so that it can be piped into `docker login`.
#[tokio::test]
async fn a_robots_token_is_told_once() {
    let (place, server) = stage().await;
    place
        .run_well(&["user", "create", "ann", "--generate"])
        .await;
    place
        .run_well(&["organization", "create", "acme", "--owner", "ann"])
        .await;
    let mut server = Some(server);
    for name in ["acme+ci", "ann+laptop"] {
        let made = place
            .run(&["robot", "create", name, "--description", "builds"])
            .await;
        let said = String::from_utf8(made.stderr).unwrap();
        assert!(made.status.success(), "{said}");
        let token = String::from_utf8(made.stdout).unwrap();
        let token = token.trim_end();
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        assert!(token.len() == 64 && token.bytes().all(plain), "{token}");
        assert!(!said.contains(token), "{said}");
        let login = format!("docker login --username '{name}' --password-stdin");
        assert!(said.contains(&login), "{said}");
        let (namespace, _) = name.split_once('+').unwrap();
        let list = place
            .run_well(&["robot", "list", namespace, "--json"])
            .await;
        assert!(list.contains(name) && list.contains("builds"), "{list}");
        assert!(!list.contains(token), "{list}");
        let refused = place.run_badly(&["robot", "create", name]).await;
        assert!(refused.contains("exists already"), "{refused}");
        place.run_well(&["robot", "rm", name]).await;
        assert_eq!(place.run_well(&["robot", "list", namespace]).await, "");
        let refused = place.run_badly(&["robot", "rm", name]).await;
        assert!(
            refused.contains(&format!("there is no robot {name}")),
            "{refused}"
        );
        if let Some(server) = server.take() {
            stop(server).await;
        }
    }
    let refused = place.run_badly(&["robot", "create", "nobody+ci"]).await;
    assert!(
        refused.contains("there is no user and no organization nobody"),
        "{refused}"
    );
    let refused = place
        .run_badly(&["organization", "create", "other", "--owner", "eve"])
        .await;
    assert!(refused.contains("there is no user eve"), "{refused}");
}

/// A cache that holds `library/app`, a user, and a robot of the cache.
pub(crate) async fn cache() -> (Place, Process) {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[1_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&format!(
        "PROXY_CACHES:\n- {{organization: docker.io, upstream: docker.io, endpoint: \"{}\"}}\n",
        origin.url("")
    ));
    let server = place.serve().await;
    let url = server.url("/v2/docker.io/library/app/manifests/v1");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = soon(&url, client.get(&url).send()).await.unwrap();
    assert_eq!(answer.status(), 200);
    place
        .run_well(&["user", "create", "ann", "--generate"])
        .await;
    (place, server)
}

pub(crate) const APP: &str = "docker.io/library/app";

#[tokio::test]
async fn grants_are_set_listed_and_taken_back() {
    let (place, server) = cache().await;
    place
        .run_well(&["robot", "create", "docker.io+ci", "--read", APP])
        .await;
    let rows = json(&place, &["permission", "ls", APP, "--json"]).await;
    assert_eq!(rows.len(), 1);
    let row = (&rows[0]["name"], &rows[0]["role"]);
    assert_eq!(row, (&"docker.io+ci".into(), &"read".into()));
    let mut server = Some(server);
    for (role, other) in [("write", "read"), ("admin", "write")] {
        // Docker Hub's short name is the same repository.
        for role in [other, role] {
            place
                .run_well(&["permission", "set", "docker.io/app", "ann", role])
                .await;
        }
        let table = place.run_well(&["permission", "ls", APP]).await;
        let line = table.lines().find(|line| line.starts_with("ann")).unwrap();
        assert!(line.ends_with(role), "{table}");
        if let Some(server) = server.take() {
            stop(server).await;
        }
    }
    place.run_well(&["permission", "rm", APP, "ann"]).await;
    let rows = json(&place, &["permission", "ls", APP, "--json"]).await;
    assert_eq!(rows.len(), 1);
    for (arguments, part) in [
        (
            &["permission", "rm", APP, "ann"][..],
            "nothing is granted to ann",
        ),
        (
            &["permission", "set", APP, "eve", "read"],
            "there is no user eve",
        ),
        (
            &["permission", "set", APP, "ann+x9", "read"],
            "is a robot of ann",
        ),
        (
            &["permission", "set", APP, "docker.io+nosuch", "read"],
            "there is no robot",
        ),
        (
            &["permission", "set", APP, "team:nosuch", "read"],
            "has no team nosuch",
        ),
        (
            &["permission", "ls", "docker.io/library/nosuch"],
            "there is no repository",
        ),
        (
            &["robot", "create", "ann+x9", "--write", APP],
            "is a robot of ann",
        ),
    ] {
        let refused = place.run_badly(arguments).await;
        assert!(refused.contains(part), "{arguments:?}: {refused}");
    }
    // The refused robot was not made.
    assert_eq!(place.run_well(&["robot", "list", "ann"]).await, "");
    let unknown = place.run(&["permission", "set", APP, "ann", "own"]).await;
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("it is read, write or admin"), "{said}");
}

#[tokio::test]
async fn repositories_are_listed_and_a_caches_visibility_is_its_own() {
    let (place, server) = cache().await;
    let mut server = Some(server);
    for _ in ["with a server", "without"] {
        let rows = json(&place, &["repository", "ls", "--json"]).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let row = (&rows[0]["repository"], &rows[0]["visibility"]);
        assert_eq!(row, (&APP.into(), &"cache".into()));
        assert_eq!(place.run_well(&["repository", "ls", "ann"]).await, "");
        for (repository, part) in [
            (APP, "anonymous_pull in PROXY_CACHES"),
            ("ann/app", "there is no repository ann/app"),
            ("eve/app", "there is no user and no organization eve"),
        ] {
            let refused = place
                .run_badly(&["repository", "visibility", repository, "public"])
                .await;
            assert!(refused.contains(part), "{refused}");
        }
        if let Some(server) = server.take() {
            stop(server).await;
        }
    }
}

/// Makes an empty repository, as a push does.
async fn make_repository(place: &Place, namespace: &str, name: &str) {
    let registry = prometheus::Registry::new();
    let options = Options {
        cache_bytes: 1 << 20,
    };
    let store = Store::open(&place.path("data/entrepot.redb"), &options, &registry).unwrap();
    let (namespace, name) = (namespace.parse().unwrap(), name.parse().unwrap());
    let (namespace, name): (NamespaceName, RepositoryName) = (namespace, name);
    let make = move |tx: &mut WriteTx<'_>| -> Result<(), store::Error> {
        let (id, _) = tx.namespaces().by_name(&namespace)?.unwrap();
        let now = Clock::System.now();
        tx.repositories()
            .create(&RepositoryRecord::new(id, name.clone(), now))?;
        Ok(())
    };
    store.write(make).await.unwrap();
    let closed = store.closed();
    drop(store);
    soon("the end of the store", closed).await;
}

#[tokio::test]
async fn a_repository_is_opened_to_everyone_and_closed_again() {
    let (place, server) = stage().await;
    place.run_well(&["organization", "create", "acme"]).await;
    stop(server).await;
    make_repository(&place, "acme", "team/app").await;
    for visibility in ["public", "private"] {
        let changed = place
            .run(&["repository", "visibility", "acme/team/app", visibility])
            .await;
        let said = String::from_utf8(changed.stderr).unwrap();
        let who = match visibility {
            "public" => "everyone may pull",
            _ => "only those to whom it is granted may pull",
        };
        assert!(changed.status.success() && said.contains(who), "{said}");
        let rows = json(&place, &["repository", "ls", "acme", "--json"]).await;
        let row = (&rows[0]["repository"], &rows[0]["visibility"]);
        assert_eq!(row, (&"acme/team/app".into(), &visibility.into()));
    }
}

/// Users come from an htpasswd file with the passwords they have, with a server and without; a file that is
/// wrong in one line imports nobody.
#[tokio::test]
async fn users_are_imported_with_their_passwords() {
    let (place, server) = stage().await;
    // Of "correct-horse" and "correct-mule", at the lowest cost there is.
    let [horse, mule] =
        ["correct-horse", "correct-mule"].map(|text| bcrypt::hash(text, 4).unwrap());
    let write = |text: String| std::fs::write(place.path("users"), text).unwrap();
    write(format!("alice:{horse}\nBad Name:{mule}\ncarol:$apr1$x$y\n"));
    let refused = place.run(&["import-users", "users"]).await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(said.contains("line 2") && said.contains("line 3"), "{said}");
    assert_eq!(place.run_well(&["user", "list"]).await, "");

    write(format!("# users\nalice:{horse}\nbob:{mule}\n"));
    let shown = place
        .run_well(&["import-users", "--dry-run", "users"])
        .await;
    assert_eq!(shown, "alice\nbob\n");
    assert_eq!(place.run_well(&["user", "list"]).await, "");
    place.run_well(&["import-users", "users"]).await;
    let rows = json(&place, &["user", "list", "--json"]).await;
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["alice", "bob"]);
    // Twice: the second time, the hash is one of ours.
    for _ in 0..2 {
        assert_eq!(login(&server, "alice", "correct-horse").await, 200);
        assert_eq!(login(&server, "bob", "correct-mule").await, 200);
    }
    assert_eq!(login(&server, "alice", "correct-mule").await, 401);
    stop(server).await;

    write(format!("bob:{horse}\ndora:{mule}\n"));
    let again = place.run(&["import-users", "users"]).await;
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(
        said.contains("bob is there already") && said.contains("1 of 2"),
        "{said}"
    );
    let options = Options {
        cache_bytes: 1 << 20,
    };
    let store = Store::open(
        &place.path("data/entrepot.redb"),
        &options,
        &prometheus::Registry::new(),
    );
    let hash = |name: &str| {
        let name: NamespaceName = name.parse().unwrap();
        move |tx: &store::ReadTx| tx.users().by_name(&name)
    };
    let store = store.unwrap();
    let kept = async |name| {
        let found = store.read(hash(name)).await.unwrap().unwrap().1;
        found.password.unwrap()
    };
    assert!(
        kept("bob").await.starts_with("$argon2id$"),
        "AU-06: hashed anew at the login"
    );
    assert!(kept("dora").await.starts_with("$2b$"));
}
