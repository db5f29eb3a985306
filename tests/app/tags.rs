//! Commands that undo mistakes with tags, with and without a server, on what clients pushed.

use entrepot::model::{ManifestRecord, NamespaceName, TagRecord, Timestamp};
use entrepot::oci::{Digest, RepositoryName};
use entrepot::store::{self, Options, Store, WriteTx};
use reqwest::{Client, Method, StatusCode};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::content::Image;
use crate::harness::process::{Place, Process};
use crate::harness::soon;

pub(super) const REPO: &str = "local/team/app";
const V1: &str = "local/team/app:v1";

/// A server whose organisation `local` takes pushes from everyone, and a client.
pub(super) struct Stage {
    pub(super) place: Place,
    server: Process,
    client: Client,
}

impl Stage {
    async fn new() -> Self {
        Self::with("").await
    }

    /// The same with more in its configuration.
    pub(super) async fn with(more: &str) -> Self {
        let place = Place::new(&format!(
            "ANONYMOUS_PUSH: [local]\n\
             PROXY_CACHES:\n- {{organization: hub, upstream: docker.io, endpoint: \"http://127.0.0.1:9\"}}\n{more}",
        ));
        let server = place.serve().await;
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            place,
            server,
            client,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &[u8]) -> reqwest::Response {
        let url = match path.starts_with('/') {
            true => self.server.url(path),
            false => self.server.url(&format!("/v2/{REPO}/{path}")),
        };
        let asked = self.client.request(method, &url).body(body.to_vec());
        let asked = asked.header("content-type", "application/vnd.oci.image.manifest.v1+json");
        soon(&url, asked.send()).await.unwrap()
    }

    /// Pushes an image as clients do: each blob by POST and PUT, then the manifest under the tag.
    pub(super) async fn push(&self, image: &Image, tag: &str) {
        for blob in image.blobs() {
            let begun = self.ask(Method::POST, "blobs/uploads/", b"").await;
            assert_eq!(begun.status(), StatusCode::ACCEPTED);
            let location = begun.headers()["location"].to_str().unwrap();
            let sign = if location.contains('?') { '&' } else { '?' };
            let end = format!("{location}{sign}digest={}", Digest::of(blob));
            let put = self.ask(Method::PUT, &end, blob).await;
            assert_eq!(put.status(), StatusCode::CREATED);
        }
        let path = format!("manifests/{tag}");
        let put = self.ask(Method::PUT, &path, &image.manifest.bytes).await;
        assert_eq!(put.status(), StatusCode::CREATED);
    }

    async fn delete(&self, reference: &str) -> StatusCode {
        let path = format!("manifests/{reference}");
        self.ask(Method::DELETE, &path, b"").await.status()
    }

    /// Whether the tag leads to the image, manifest and blobs.
    async fn serves(&self, tag: &str, image: &Image) -> bool {
        let manifest = self
            .ask(Method::GET, &format!("manifests/{tag}"), b"")
            .await;
        if manifest.status() != StatusCode::OK {
            return false;
        }
        for blob in image.blobs() {
            let path = format!("blobs/{}", Digest::of(blob));
            if self
                .ask(Method::GET, &path, b"")
                .await
                .bytes()
                .await
                .unwrap()
                != *blob
            {
                return false;
            }
        }
        manifest.bytes().await.unwrap() == image.manifest.bytes
    }

    /// Kills the server, and starts the next one over what it left.
    pub(super) async fn killed(mut self) -> Self {
        self.server.signal(Signal::KILL);
        self.server.ended().await;
        self.server = self.place.serve().await;
        self
    }

    /// Ends the server; commands work on what it left.
    pub(super) async fn stop(self) -> Place {
        let Self {
            place, mut server, ..
        } = self;
        server.signal(Signal::TERM);
        assert!(server.ended().await.success());
        place
    }
}

async fn json(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let text = place.run_well(arguments).await;
    let rows = text.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().unwrap()
}

/// The tags of the repository: name, digest.
async fn tags(place: &Place) -> Vec<(String, String)> {
    let rows = json(place, &["tag", "ls", REPO, "--json"]).await;
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(row, "tag"), text(row, "digest")))
        .collect()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn tags_and_their_history_are_listed() {
    let stage = Stage::new().await;
    let (old, new) = (Image::small(1), Image::small(2));
    stage.push(&old, "v1").await;
    stage.push(&old, "v2").await;
    stage.push(&new, "v1").await;
    assert_eq!(stage.delete("v2").await, StatusCode::ACCEPTED);
    let place = &stage.place;
    let rows = json(place, &["tag", "ls", REPO, "--json"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["repository"], REPO);
    assert_eq!(rows[0]["digest"], new.digest().to_string());
    assert_eq!(rows[0]["by"], "(anonymous)");
    assert_eq!(
        (&rows[0]["expires"], &rows[0]["immutable"]),
        (&Value::Null, &false.into())
    );
    assert!(time(&rows[0]["since"]) > Timestamp::default());
    let table = place.run_well(&["tag", "ls", REPO]).await;
    assert!(table.starts_with("TAG") && table.contains("v1"), "{table}");

    let place = stage.stop().await;
    let rows = json(&place, &["tag", "history", REPO, "--json"]).await;
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["tag"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["v2", "v1"], "the newest end first");
    let rows = json(&place, &["tag", "history", V1, "--json"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(row["digest"], old.digest().to_string());
    assert_eq!(
        (&row["by"], &row["ended_by"], &row["restored"]),
        (&"(anonymous)".into(), &"(anonymous)".into(), &false.into())
    );
    assert!(time(&row["from"]) <= time(&row["to"]));
    let week = std::time::Duration::from_secs(7 * 86_400);
    assert_eq!(time(&row["until"]), time(&row["to"]) + week * 2);
    let table = place.run_well(&["tag", "history", V1]).await;
    assert!(table.contains("RESTORABLE UNTIL"), "{table}");
}

#[tokio::test]
async fn a_tag_that_was_moved_goes_back_and_forth() {
    let stage = Stage::new().await;
    let (old, new) = (Image::small(1), Image::small(2));
    stage.push(&old, "v1").await;
    stage.push(&new, "v1").await;
    let told = stage.place.run_well(&["tag", "restore", V1]).await;
    assert_eq!(told, format!("{V1}@{}: restored\n", old.digest()));
    assert!(stage.serves("v1", &old).await);
    let there = format!("{V1}@{}", old.digest());
    let refused = stage.place.run_badly(&["tag", "restore", &there]).await;
    assert!(refused.contains("as it is"), "{refused}");

    let place = stage.stop().await;
    place.run_well(&["tag", "restore", V1]).await;
    assert_eq!(
        tags(&place).await,
        [("v1".to_owned(), new.digest().to_string())]
    );
    let rows = json(&place, &["tag", "history", V1, "--json"]).await;
    assert_eq!(rows[0]["digest"], old.digest().to_string());
    assert_eq!(
        (&rows[0]["by"], &rows[0]["restored"]),
        (&"(system)".into(), &true.into())
    );
}

/// A deletion by digest hides the manifest and ends its tags; both come back.
#[tokio::test]
async fn what_was_deleted_is_pulled_again_after_its_restoration() {
    let stage = Stage::new().await;
    let image = Image::small(1);
    stage.push(&image, "v1").await;
    let digest = image.digest().to_string();
    assert_eq!(stage.delete(&digest).await, StatusCode::ACCEPTED);
    assert!(!stage.serves(&digest, &image).await);
    stage.place.run_well(&["tag", "restore", V1]).await;
    assert!(stage.serves("v1", &image).await && stage.serves(&digest, &image).await);

    assert_eq!(stage.delete(&digest).await, StatusCode::ACCEPTED);
    let place = stage.stop().await;
    let other = format!("{REPO}:again@{digest}");
    place.run_well(&["tag", "restore", &other]).await;
    let server = place.serve().await;
    let client = Client::builder().no_proxy().build().unwrap();
    let stage = Stage {
        place,
        server,
        client,
    };
    assert!(stage.serves("again", &image).await && !stage.serves("v1", &image).await);
}

/// AZ-08: by tag, by digest, moved, restored over, expired.
#[tokio::test]
async fn an_immutable_tag_stays_where_it_is() {
    let stage = Stage::new().await;
    let (old, new) = (Image::small(1), Image::small(2));
    stage.push(&old, "v1").await;
    stage.push(&new, "v1").await;
    let place = &stage.place;
    let told = place.run_well(&["tag", "immutable", V1]).await;
    assert_eq!(told, format!("{V1}: immutable\n"));
    let digest = new.digest().to_string();
    for reference in ["v1", &digest] {
        assert_eq!(stage.delete(reference).await, StatusCode::CONFLICT);
    }
    let moved = stage.ask(Method::PUT, "manifests/v1", &old.manifest.bytes);
    assert_eq!(moved.await.status(), StatusCode::CONFLICT);
    for arguments in [&["restore", V1][..], &["expire", V1, "--after", "2d"]] {
        let arguments = [&["tag"], arguments].concat();
        let refused = place.run_badly(&arguments).await;
        assert!(refused.contains("is immutable"), "{refused}");
    }
    assert!(stage.serves("v1", &new).await);

    let place = stage.stop().await;
    let rows = json(&place, &["tag", "ls", REPO, "--json"]).await;
    assert_eq!(rows[0]["immutable"], true);
    place.run_well(&["tag", "mutable", V1]).await;
    place.run_well(&["tag", "restore", V1]).await;
    assert_eq!(tags(&place).await[0].1, old.digest().to_string());
}

#[tokio::test]
async fn a_tag_ends_when_the_operator_says() {
    let stage = Stage::new().await;
    for tag in ["v1", "v2"] {
        stage.push(&Image::small(1), tag).await;
    }
    expire(&stage.place).await;
    let place = stage.stop().await;
    expire(&place).await;
}

async fn expire(place: &Place) {
    let (v2, at) = (format!("{REPO}:v2"), "2999-01-31T18:00:00Z");
    let told = place
        .run_well(&["tag", "expire", V1, &v2, "--at", at])
        .await;
    let expected = format!("{V1}: expires {at}\n{v2}: expires {at}\n");
    assert_eq!(told, expected);
    place
        .run_well(&["tag", "expire", &v2, "--after", "20h"])
        .await;
    let rows = json(place, &["tag", "ls", REPO, "--json"]).await;
    assert_eq!(rows[0]["expires"], at);
    let hours = time(&rows[1]["expires"]).since(time(&rows[1]["since"]));
    assert!((72_000..80_000).contains(&hours.as_secs()), "{rows:?}");
    let told = place.run_well(&["tag", "expire", V1, "--never"]).await;
    assert_eq!(told, format!("{V1}: does not expire\n"));
    let rows = json(place, &["tag", "ls", REPO, "--json"]).await;
    assert_eq!(rows[0]["expires"], Value::Null);
    let past = ["tag", "expire", V1, "--at", "1999-01-31T18:00:00Z"];
    let refused = place.run_badly(&past).await;
    assert!(refused.contains("has passed"), "{refused}");
    for wrong in [
        &["--at", "tomorrow"][..],
        &["--after", "20"],
        &[],
        &["--never", "--at", at],
    ] {
        let arguments = [&["tag", "expire", V1], wrong].concat();
        let refused = place.run(&arguments).await;
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_with_a_tag_is_told() {
    let stage = Stage::new().await;
    let image = Image::small(1);
    stage.push(&image, "v1").await;
    refuse(&stage.place).await;
    let place = stage.stop().await;
    refuse(&place).await;
    assert_eq!(
        tags(&place).await,
        [("v1".to_owned(), image.digest().to_string())]
    );
}

async fn refuse(place: &Place) {
    let never = format!("{V1}@{}", Digest::of(b"never pushed"));
    let other = format!("{REPO}:v2");
    let cache = "hub is a cache: where its tags point";
    for (arguments, part) in [
        (&["restore", V1][..], "has no history"),
        (&["restore", &other], "has no history"),
        (&["restore", &never], "the repository has no manifest"),
        (&["restore", REPO], "names no tag"),
        (&["history", "local"], "names no repository"),
        (&["history", &never], "not of a digest"),
        (&["immutable", &other], "there is no tag local/team/app:v2"),
        (&["expire", &other, "--never"], "there is no tag"),
        (&["ls", "local/other"], "there is no repository local/other"),
        (
            &["ls", "eve/app"],
            "there is no user and no organization eve",
        ),
        (&["ls", "hub/app"], cache),
        (&["history", "hub/app:v1"], cache),
        (&["restore", "hub/app:v1"], cache),
        (&["immutable", "hub/app:v1"], cache),
        (&["mutable", "hub/app:v1"], cache),
        (&["expire", "hub/app:v1", "--never"], cache),
    ] {
        let arguments = [&["tag"], arguments].concat();
        let refused = place.run_badly(&arguments).await;
        assert!(refused.contains(part), "{arguments:?}: {refused}");
    }
}

/// CR-08, GC-06: the operator knows repositories and namespaces by their names.
#[tokio::test]
async fn a_check_names_what_it_found() {
    let stage = Stage::new().await;
    let image = Image::small(1);
    stage.push(&image, "v1").await;
    let place = stage.stop().await;
    assert_eq!(place.run_well(&["check"]).await, "");
    let [lost, stray] = [&b"lost"[..], b"stray"].map(Digest::of);
    damage(&place, lost, stray).await;
    let told = place.run(&["check"]).await;
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8(told.stdout).unwrap();
    for part in [
        format!("tag {REPO}:gone points to {lost}, which is not there\n"),
        format!(
            "nothing needs the manifest {REPO}@{stray}, and the collector was not told; --repair"
        ),
        "local is said to hold".to_owned(),
    ] {
        assert!(told.contains(&part), "{part}: {told}");
    }
}

/// A tag that points nowhere, an account that is wrong, a manifest that nothing needs and whose review
/// is lost.
async fn damage(place: &Place, lost: Digest, stray: Digest) {
    let registry = prometheus::Registry::new();
    let options = Options {
        cache_bytes: 1 << 20,
    };
    let store = Store::open(&place.path("data/entrepot.redb"), &options, &registry).unwrap();
    let (namespace, name) = REPO.split_once('/').unwrap();
    let (namespace, name): (NamespaceName, RepositoryName) =
        (namespace.parse().unwrap(), name.parse().unwrap());
    let break_it = move |tx: &mut WriteTx<'_>| -> Result<(), store::Error> {
        let (namespace, _) = tx.namespaces().by_name(&namespace)?.unwrap();
        let repository = tx.repositories().by_name(namespace, &name)?.unwrap();
        let record = TagRecord::new(lost, Timestamp::default(), Default::default());
        let gone = "gone".parse().unwrap();
        tx.tags().put(repository, &gone, &record)?;
        tx.usage().add(namespace, 1)?;
        let record = ManifestRecord {
            media_type: "application/vnd.oci.image.index.v1+json".parse().unwrap(),
            size_bytes: 5,
            children: vec![],
            blobs: vec![],
            subject: None,
            created: Timestamp::default(),
            pushed: Timestamp::default(),
            deleted: None,
            expires_after_s: None,
            layers_bytes: None,
        };
        tx.manifests().put(repository, &stray, &record, b"stray")
    };
    store.write(break_it).await.unwrap();
    let closed = store.closed();
    drop(store);
    soon("the end of the store", closed).await;
}
