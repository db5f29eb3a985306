//! What `entrepot doctor` finds: nothing in a sound installation, and each of the things that go wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use entrepot::oci::Digest;
use redb::{Database, ReadableTable as _, TableDefinition};
use rustix::process::Signal;
use serde_json::Value;

use super::{CONFIG, blob_path, copy_tree, has, push, rename, rows, stop, tree};
use crate::harness::content::Image;
use crate::harness::process::Place;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// What goes wrong in a data folder whose server does not run.
type Damage = fn(&Path);

fn store(data: &Path) -> std::path::PathBuf {
    data.join("entrepot.redb")
}

/// Changes rows behind the server's back.
fn rows_of(
    data: &Path,
    table: &'static str,
    change: impl Fn(&mut redb::Table<'_, &'static [u8], &'static [u8]>),
) {
    let database = Database::open(store(data)).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&mut transaction.open_table(Table::new(table)).unwrap());
    transaction.commit().unwrap();
    // As a server leaves it.
    drop(database);
}

fn remove_first(data: &Path, table: &'static str) {
    rows_of(data, table, |rows| {
        let key = rows.first().unwrap().unwrap().0.value().to_vec();
        assert!(rows.remove(&*key).unwrap().is_some());
    });
}

fn put_first(data: &Path, table: &'static str, value: &[u8]) {
    rows_of(data, table, |rows| {
        let key = rows.first().unwrap().unwrap().0.value().to_vec();
        rows.insert(&*key, value).unwrap();
    });
}

fn layer() -> Digest {
    Digest::of(&image().layers[0])
}

fn image() -> Image {
    Image::with_layers(1, &[3_000])
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What is done, by which check it is found, how bad it is, and a word of what is said.
const DAMAGES: &[(&str, Damage, &str, &str, &str)] = &[
    (
        "a blob is gone",
        |data| fs::remove_file(blob_path(data, &layer())).unwrap(),
        "store",
        "lost",
        "has no file",
    ),
    (
        "a blob is cut short",
        |data| fs::write(blob_path(data, &layer()), "short").unwrap(),
        "store",
        "repairable",
        "instead of 3000",
    ),
    (
        "a blob has grown",
        |data| fs::write(blob_path(data, &layer()), [0; 3_001]).unwrap(),
        "store",
        "repairable",
        "3001 bytes",
    ),
    (
        "a file of nobody",
        |data| {
            let path = blob_path(data, &Digest::of(b"stray"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "stray").unwrap();
        },
        "store",
        "repairable",
        "is of no blob",
    ),
    (
        "the folder of blobs is gone",
        |data| fs::remove_dir_all(data.join("blobs")).unwrap(),
        "store",
        "lost",
        "has no file",
    ),
    (
        "the folder of an algorithm is a file",
        |data| {
            fs::remove_dir_all(data.join("blobs/sha512")).unwrap();
            fs::write(data.join("blobs/sha512"), "").unwrap();
        },
        "data_folder",
        "repairable",
        "is no folder",
    ),
    (
        "the secret is gone",
        |data| fs::remove_file(data.join("secret.key")).unwrap(),
        "secret_key",
        "lost",
        "is gone",
    ),
    (
        "the secret is cut short",
        |data| fs::write(data.join("secret.key"), [7; 31]).unwrap(),
        "secret_key",
        "lost",
        "has 31 bytes",
    ),
    (
        "the secret is open",
        |data| chmod(&data.join("secret.key"), 0o644),
        "secret_key",
        "repairable",
        "mode 644",
    ),
    (
        "the folder is open",
        |data| chmod(data, 0o755),
        "data_folder",
        "repairable",
        "mode 755",
    ),
    (
        "the store is open",
        |data| chmod(&store(data), 0o640),
        "data_folder",
        "repairable",
        "mode 640",
    ),
    (
        "the store is cut short",
        |data| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(store(data))
                .unwrap();
            file.set_len(file.metadata().unwrap().len() / 3).unwrap();
        },
        "store",
        "lost",
        "",
    ),
    (
        "the store is empty",
        |data| fs::write(store(data), "").unwrap(),
        "store",
        "lost",
        "is empty",
    ),
    (
        "the store is gone",
        |data| fs::remove_file(store(data)).unwrap(),
        "store",
        "lost",
        "is gone",
    ),
    (
        "the store is a text",
        |data| fs::write(store(data), "no database at all").unwrap(),
        "store",
        "lost",
        "cannot be opened",
    ),
    (
        "the store is another program's",
        |data| {
            fs::remove_file(store(data)).unwrap();
            drop(Database::create(store(data)).unwrap());
        },
        "store",
        "lost",
        "another program",
    ),
    (
        "the store has no first page",
        |data| {
            let mut bytes = fs::read(store(data)).unwrap();
            bytes[..4096].fill(0);
            fs::write(store(data), bytes).unwrap();
        },
        "store",
        "lost",
        "",
    ),
    (
        "a page of the store is empty",
        |data| {
            let mut bytes = fs::read(store(data)).unwrap();
            let needle = b"schemaVersion";
            let at = bytes
                .windows(needle.len())
                .position(|window| window == needle)
                .unwrap();
            let page = at / 4096 * 4096;
            bytes[page..page + 4096].fill(0);
            fs::write(store(data), bytes).unwrap();
        },
        "store",
        "lost",
        "",
    ),
    (
        "the store is of a newer release",
        |data| {
            rows_of(data, "meta.v1", |rows| {
                rows.insert(&b"schema"[..], &1_000_u64.to_be_bytes()[..])
                    .unwrap();
            });
        },
        "store",
        "repairable",
        "newer release",
    ),
    (
        "a file in quarantine",
        |data| fs::write(data.join("quarantine/sha256-00"), "x").unwrap(),
        "leftovers",
        "repairable",
        "in quarantine",
    ),
    (
        "a restore that was cut",
        |data| fs::write(data.join("restoring"), "x").unwrap(),
        "leftovers",
        "repairable",
        "cut",
    ),
    (
        "an index lacks a row",
        |data| remove_first(data, "tag_targets.v1"),
        "store",
        "repairable",
        "lacks a row",
    ),
    (
        "an index has a row of nothing",
        |data| {
            rows_of(data, "blob_holders.v1", |rows| {
                let mut key = rows.first().unwrap().unwrap().0.value().to_vec();
                *key.last_mut().unwrap() ^= 0x40;
                rows.insert(&*key, &b""[..]).unwrap();
            });
        },
        "store",
        "repairable",
        "nothing stands behind",
    ),
    (
        "the bytes of a namespace are counted wrongly",
        |data| remove_first(data, "repository_usage.v1"),
        "store",
        "repairable",
        "bytes",
    ),
    (
        "the document of a manifest is gone",
        |data| remove_first(data, "manifest_bodies.v1"),
        "store",
        "lost",
        "gone or damaged",
    ),
    (
        "the document of a manifest is another",
        |data| put_first(data, "manifest_bodies.v1", b"{}"),
        "store",
        "lost",
        "gone or damaged",
    ),
    (
        "the clock was in the future",
        |data| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(store(data))
                .unwrap();
            let future = std::time::Duration::from_secs(4_000_000_000);
            file.set_modified(std::time::UNIX_EPOCH + future).unwrap();
        },
        "clock",
        "repairable",
        "was written at",
    ),
];

/// The symptoms that are no notes, and the status.
async fn symptoms(place: &Place, arguments: &[&str]) -> (Option<i32>, Vec<Value>, Value) {
    let words = [&["doctor", "--json"], arguments].concat();
    let (code, mut rows) = rows(place, &words).await;
    let verdict = rows.pop().unwrap();
    rows.retain(|row| row["severity"] != "note");
    (code, rows, verdict)
}

/// LC-10, DK-09: each of these is found, by its check, without a server; the status says how bad it is; not
/// a byte is changed by looking. A sound folder has nothing, beside a server and without.
#[tokio::test]
async fn every_damage_is_found_and_none_where_there_is_none() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    push(&server, "local/app", "a", &image()).await;
    push(&server, "local/app", "b", &Image::small(2)).await;
    place
        .run_well(&["user", "create", "ann", "--generate"])
        .await;
    let (code, found, verdict) = symptoms(&place, &[]).await;
    assert_eq!(
        (code, found.len()),
        (Some(0), 0),
        "beside a server: {found:?}"
    );
    assert!(
        verdict["checks"].as_array().unwrap().len() >= 8,
        "{verdict}"
    );
    stop(server).await;
    let (code, found, verdict) = symptoms(&place, &[]).await;
    assert_eq!((code, found.len()), (Some(0), 0), "without one: {found:?}");
    assert_eq!(verdict["verdict"], "fine");
    assert!(DAMAGES.len() >= 20);
    for (number, (what, damage, check, severity, part)) in DAMAGES.iter().enumerate() {
        let name = format!("d{number}");
        let data = place.path(&name);
        copy_tree(&place.path("data"), &data);
        for folder in ["blobs/sha256", "blobs/sha512", "quarantine"] {
            fs::create_dir_all(data.join(folder)).unwrap();
        }
        chmod(&data, 0o700);
        damage(&data);
        let before = tree(&data);
        let (code, found, verdict) = symptoms(&place, &["--data-dir", &name]).await;
        let told = found.iter().any(|row| {
            row["check"] == *check
                && row["severity"] == *severity
                && row["what"].as_str().unwrap().contains(part)
                && !row["then"].as_str().unwrap().is_empty()
        });
        assert!(told, "{what}: {found:?}");
        let status = if *severity == "lost" { 2 } else { 1 };
        assert_eq!(code, Some(status), "{what}: {found:?}");
        assert_eq!(verdict["verdict"], *severity, "{what}");
        assert!(tree(&data) == before, "{what}: looking changed something");
        fs::remove_dir_all(&data).unwrap();
    }
}

/// LC-10: what a file says that nobody can read is told with its line; a certificate with its end.
#[tokio::test]
async fn configuration_and_certificate_are_looked_at() {
    let place = Place::new(&format!("{CONFIG}LISTNE: 1\n"));
    let (code, found, _) = symptoms(&place, &[]).await;
    assert_eq!(
        (code, &found[0]["check"]),
        (Some(1), &"configuration".into())
    );
    let key = rcgen::KeyPair::generate().unwrap();
    for (until, part) in [(2020, "has ended at 2020-01-01"), (2099, "")] {
        let mut wish = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        wish.not_before = rcgen::date_time_ymd(2019, 1, 1);
        wish.not_after = rcgen::date_time_ymd(until, 1, 1);
        fs::write(place.path("tls.crt"), wish.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(place.path("tls.key"), key.serialize_pem()).unwrap();
        chmod(&place.path("tls.key"), 0o600);
        place.configure(&format!(
            "{CONFIG}TLS_CERTIFICATE: tls.crt\nTLS_KEY: tls.key\n"
        ));
        let (code, found, _) = symptoms(&place, &[]).await;
        let of_certificate: Vec<_> = found
            .iter()
            .filter(|row| row["check"] == "certificate")
            .collect();
        match part {
            "" => assert!(of_certificate.is_empty(), "{found:?}"),
            part => {
                assert_eq!(code, Some(1));
                assert!(
                    of_certificate[0]["what"].as_str().unwrap().contains(part),
                    "{found:?}"
                );
            }
        }
    }
    chmod(&place.path("tls.key"), 0o644);
    let (_, found, _) = symptoms(&place, &[]).await;
    let text = format!("{found:?}");
    assert!(text.contains("can be read by everyone"), "{text}");
}

/// LC-10: a server that hangs, one that was killed, and an upstream that is not there.
#[tokio::test]
async fn servers_and_upstreams_that_do_not_answer_are_told() {
    let place = Place::new(CONFIG);
    let mut server = place.serve().await;
    push(&server, "local/app", "a", &image()).await;
    fs::remove_file(place.path("data/control.sock")).unwrap();
    let (code, found, _) = symptoms(&place, &[]).await;
    assert_eq!(
        (code, &found[0]["check"]),
        (Some(1), &"lock".into()),
        "{found:?}"
    );
    let told = found[0]["what"].as_str().unwrap();
    assert!(told.contains(&format!("process {}", server.id())), "{told}");
    server.signal(Signal::KILL);
    server.ended().await;
    // Not closed is nothing that anybody has to do something about.
    let (code, found, _) = symptoms(&place, &[]).await;
    assert_eq!((code, found.len()), (Some(0), 0), "{found:?}");
    let server = place.serve().await;
    has(&server, "local/app", "a", &image()).await;
    stop(server).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    place.configure(&format!(
        "PROXY_CACHES:\n- {{organization: far, upstream: far.example, endpoint: \"http://{address}\"}}\n"
    ));
    let (code, found, _) = symptoms(&place, &[]).await;
    assert_eq!(
        (code, found.len()),
        (Some(0), 0),
        "only asked for: {found:?}"
    );
    let (code, found, _) = symptoms(&place, &["--online"]).await;
    assert_eq!(
        (code, &found[0]["check"]),
        (Some(1), &"upstreams".into()),
        "{found:?}"
    );
}

/// LC-08: metadata older than the blobs, blobs older than the metadata, and both rolled back together.
#[tokio::test]
async fn skews_of_metadata_and_blobs_are_told_item_by_item() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    let (old, new) = (image(), Image::with_layers(2, &[4_000]));
    push(&server, "local/app", "old", &old).await;
    stop(server).await;
    copy_tree(&place.path("data"), &place.path("before"));
    let server = place.serve().await;
    push(&server, "local/app", "new", &new).await;
    stop(server).await;
    let mix = |name: &str, store: &str, blobs: &str| {
        copy_tree(&place.path(store), &place.path(name));
        fs::remove_dir_all(place.path(name).join("blobs")).unwrap();
        copy_tree(
            &place.path(blobs).join("blobs"),
            &place.path(name).join("blobs"),
        );
        chmod(&place.path(name), 0o700);
    };
    let digests: Vec<String> = new
        .blobs()
        .map(|blob| Digest::of(blob).to_string())
        .collect();
    for (name, store, blobs, status, part) in [
        ("older-store", "before", "data", 1, "is of no blob"),
        ("older-blobs", "data", "before", 2, "has no file"),
    ] {
        mix(name, store, blobs);
        let (code, found, _) = symptoms(&place, &["--data-dir", name]).await;
        assert_eq!(
            (code, found.len()),
            (Some(status), digests.len()),
            "{found:?}"
        );
        for digest in &digests {
            let told = found.iter().any(|row| {
                let what = row["what"].as_str().unwrap();
                what.contains(digest) && what.contains(part)
            });
            assert!(told, "{digest}: {found:?}");
        }
    }
    place
        .run_well(&["check", "--repair", "--data-dir", "older-store"])
        .await;
    mix("rolled-back", "before", "before");
    for name in ["older-store", "rolled-back"] {
        let (code, found, _) = symptoms(&place, &["--data-dir", name]).await;
        assert_eq!((code, found.len()), (Some(0), 0), "{name}: {found:?}");
        rename(place.path("data"), place.path("elsewhere"));
        rename(place.path(name), place.path("data"));
        let server = place.serve().await;
        has(&server, "local/app", "old", &old).await;
        stop(server).await;
        rename(place.path("data"), place.path(name));
        rename(place.path("elsewhere"), place.path("data"));
    }
    // With blobs older than the metadata, what is there is served, and what is pushed again is back.
    rename(place.path("data"), place.path("elsewhere"));
    rename(place.path("older-blobs"), place.path("data"));
    let server = place.serve().await;
    has(&server, "local/app", "old", &old).await;
    push(&server, "local/app", "new", &new).await;
    has(&server, "local/app", "new", &new).await;
    stop(server).await;
    let (code, found, _) = symptoms(&place, &[]).await;
    assert_eq!((code, found.len()), (Some(0), 0), "{found:?}");
}
