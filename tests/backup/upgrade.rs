//! Data folders of earlier releases under today's binary, and today's under an earlier one's eyes.
//!
//! `tests/fixtures/data-schema-N.tar.gz` is a whole data folder whose store has schema N, with the image
//! [`image`] as `local/app:one` and the user `ann`. When the schema gets a new number, its fixture is
//! written by the ignored test below, before the release, and never changed afterwards. The first schema
//! knew no pushes; rows as it wrote them are in the tests of `store`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableTable as _, TableDefinition, TableHandle as _};

use super::{CONFIG, has, push, rename, rows, said, stop, tree};
use crate::harness::content::Image;
use crate::harness::process::{Place, is_absent};
use crate::harness::soon;
use crate::harness::strace::{Injected, has_strace};
use crate::harness::volume::Volume;

/// The schemas of releases whose folders must open.
const SCHEMAS: [u64; 3] = [2, 3, 4];

/// Today's.
const NEWEST: u64 = 4;

type Table<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

fn image() -> Image {
    Image::with_layers(11, &[2_000])
}

fn archive(schema: u64) -> PathBuf {
    let name = format!("tests/fixtures/data-schema-{schema}.tar.gz");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A place whose data folder is that of a release with this schema.
fn place_of(schema: u64) -> Place {
    let place = Place::new(CONFIG);
    unpack(schema, &place.path("data"));
    place
}

fn unpack(schema: u64, to: &Path) {
    let file = fs::File::open(archive(schema)).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    archive.unpack(to).unwrap();
    // The archive holds files only; a server makes the folder so.
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Everything that was in the fixture is there and is served.
async fn is_whole(place: &Place) {
    let server = place.serve().await;
    has(&server, "local/app", "one", &image()).await;
    let login = reqwest::Client::builder().no_proxy().build().unwrap();
    let login = login.get(server.url("/v2/auth?service=entrepot"));
    let login = login.basic_auth("ann", Some("correct-horse"));
    assert_eq!(soon("a login", login.send()).await.unwrap().status(), 200);
    push(&server, "local/app", "two", &Image::small(5)).await;
    stop(server).await;
    assert_eq!(place.run_well(&["check"]).await, "");
}

fn schema_of(store: &Path) -> u64 {
    let database = Database::open(store).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    let meta = transaction.open_table(Table::new("meta.v1")).unwrap();
    let row = meta.get(&b"schema"[..]).unwrap().unwrap();
    u64::from_be_bytes(row.value().try_into().unwrap())
}

/// LC-05: a folder of every released schema opens, and all of it is there; a copy of what it was is kept.
#[tokio::test]
async fn folders_of_every_release_open() {
    for schema in SCHEMAS {
        let place = place_of(schema);
        let before = fs::read(place.path("data/entrepot.redb")).unwrap();
        is_whole(&place).await;
        assert_eq!(schema_of(&place.path("data/entrepot.redb")), NEWEST);
        let copy = place.path(&format!("data/entrepot.redb.schema-{schema}"));
        match schema {
            NEWEST => assert!(is_absent(&copy)),
            _ => assert!(fs::read(copy).unwrap() == before, "schema {schema}"),
        }
        let (code, told) = rows(&place, &["doctor", "--json"]).await;
        assert_eq!(code, Some(0), "{told:?}");
    }
}

/// LC-05: a start that dies at the n-th call of an upgrade, for every n, has damaged nothing: the next one
/// brings it to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_is_killed_anywhere_is_brought_to_its_end() {
    if !has_strace() {
        return;
    }
    let mut deaths = 0;
    for call in ["fdatasync", "rename", "fsync"] {
        for n in 1.. {
            let place = place_of(2);
            let before = fs::read(place.path("data/entrepot.redb")).unwrap();
            let died = place.serve_under(call, n, Injected::Kill).await;
            deaths += usize::from(died);
            let copy = place.path("data/entrepot.redb.schema-2");
            if !is_absent(&copy) {
                assert!(fs::read(copy).unwrap() == before, "{call} {n}: half a copy");
            }
            is_whole(&place).await;
            if !died || n == 40 {
                break;
            }
        }
    }
    assert!(deaths >= 6, "{deaths}");
}

/// LC-05: without room for the copy nothing is changed, and it is said how much is needed.
#[tokio::test]
async fn an_upgrade_without_room_changes_nothing() {
    let place = Place::new(CONFIG);
    let data = place.path("data");
    let Some(volume) = Volume::mount(&data, 24 << 20, 4_000) else {
        return;
    };
    unpack(2, &data);
    volume.fill(64 << 10);
    let told = place.run_badly(&["serve"]).await;
    assert!(
        told.contains("a copy is kept") && told.contains("nothing was changed"),
        "{told}"
    );
    assert!(is_absent(&data.join("entrepot.redb.schema-2")));
    assert_eq!(schema_of(&data.join("entrepot.redb")), 2);
    volume.clear();
    is_whole(&place).await;
}

/// LC-05: what a newer release wrote is refused by every command, and not a byte of it changes.
#[tokio::test]
async fn a_newer_folder_is_refused_and_left_alone() {
    let place = place_of(NEWEST);
    set_schema(&place.path("data/entrepot.redb"), NEWEST + 1);
    let before = tree(&place.path("data"));
    for command in [
        &["serve"][..],
        &["check"],
        &["backup", "backups"],
        &["user", "list"],
    ] {
        let told = place.run_badly(command).await;
        assert!(told.contains("newer release"), "{command:?}: {told}");
        let after = tree(&place.path("data"));
        let store = |tree: &[(PathBuf, u32, Vec<u8>)]| {
            let of_store = |(path, ..): &&(PathBuf, u32, Vec<u8>)| !path.ends_with("lock");
            tree.iter().filter(of_store).cloned().collect::<Vec<_>>()
        };
        assert!(store(&after) == store(&before), "{command:?}");
    }
    let output = place.run(&["doctor"]).await;
    assert!(said(&output).contains("newer release"), "{}", said(&output));
}

/// A backup of an earlier release is restored and brought up to date.
#[tokio::test]
async fn a_backup_of_an_earlier_schema_is_restored() {
    let place = place_of(NEWEST);
    place.run_well(&["backup", "backups"]).await;
    rename(place.path("data"), place.path("old"));
    let generation = super::newest(&place.path("backups"));
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(generation.join("manifest.json")).unwrap()).unwrap();
    let mut dumped = fs::read(generation.join("store.rows")).unwrap();
    let wanted = [&b"schema\0\0\0\x08"[..], &NEWEST.to_be_bytes()].concat();
    let at = dumped
        .windows(wanted.len())
        .position(|window| window == wanted)
        .unwrap();
    dumped[at + wanted.len() - 1] = 3;
    fs::write(generation.join("store.rows"), &dumped).unwrap();
    manifest["schema"] = 3.into();
    let digest = entrepot::oci::Digest::of(&dumped).hex();
    manifest["files"]["store.rows"]["sha256"] = digest.into();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let sum = entrepot::oci::Digest::of(&bytes).hex();
    fs::write(generation.join("manifest.json"), &bytes).unwrap();
    fs::write(
        generation.join("manifest.json.sha256"),
        format!("{sum}  manifest.json\n"),
    )
    .unwrap();
    place.run_well(&["restore", "backups"]).await;
    assert_eq!(schema_of(&place.path("data/entrepot.redb")), NEWEST);
    assert!(is_absent(
        &place.path("data/entrepot.redb.restoring.schema-3")
    ));
    is_whole(&place).await;
}

fn set_schema(store: &Path, schema: u64) {
    let database = Database::open(store).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(Table::new("meta.v1"))
        .unwrap()
        .insert(&b"schema"[..], &schema.to_be_bytes()[..])
        .unwrap();
    transaction.commit().unwrap();
}

/// Tables that a schema did not have yet.
const LATER: &[(u64, &[&str])] = &[
    (
        4,
        &[
            "mirrors.v1",
            "mirror_statuses.v1",
            "mirror_tags.v1",
            "org_mirrors.v1",
            "org_mirror_statuses.v1",
            "org_mirror_repositories.v1",
            "mirror_job_order.v1",
        ],
    ),
    (
        3,
        &["repository_usage.v1", "quotas.v1", "prune_policies.v1"],
    ),
];

/// Makes a store what it was under an earlier schema.
fn set_back(store: &Path, schema: u64) {
    set_schema(store, schema);
    let database = Database::open(store).unwrap();
    let transaction = database.begin_write().unwrap();
    let there: Vec<_> = transaction.list_tables().unwrap().collect();
    for (since, tables) in LATER {
        for table in there.iter().filter(|table| tables.contains(&table.name())) {
            if *since > schema {
                let definition: Table<'_> = TableDefinition::new(table.name());
                assert!(transaction.delete_table(definition).unwrap());
            }
        }
    }
    if schema < 3 {
        // A manifest that was pushed counted for its namespace, which has one here.
        let mut usage = transaction.open_table(Table::new("usage.v1")).unwrap();
        let local = usage
            .iter()
            .unwrap()
            .map(|row| row.unwrap())
            .map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
            .find(|(key, value)| {
                key.len() == 8 && key.iter().any(|byte| *byte > 0) && value[1..] != [0]
            })
            .unwrap();
        let held: u64 = postcard::from_bytes(&local.1[1..]).unwrap();
        let held = held + image().manifest.bytes.len() as u64;
        let value = postcard::to_extend(&held, vec![1]).unwrap();
        usage.insert(&*local.0, &*value).unwrap();
    }
    transaction.commit().unwrap();
    let mut database = database;
    database.compact().unwrap();
}

/// Writes the fixtures that are not there: `cargo test --test entrepot -- --ignored fixtures_are_written`.
#[tokio::test]
#[ignore = "writes into the source folder"]
async fn fixtures_are_written() {
    for schema in SCHEMAS
        .into_iter()
        .filter(|schema| !archive(*schema).exists())
    {
        let place = Place::new(CONFIG);
        fs::write(place.path("password"), "correct-horse\n").unwrap();
        let server = place.serve().await;
        push(&server, "local/app", "one", &image()).await;
        stop(server).await;
        let words = ["user", "create", "ann", "--password-file", "password"];
        place.run_well(&words).await;
        set_back(&place.path("data/entrepot.redb"), schema);
        fs::create_dir_all(archive(schema).parent().unwrap()).unwrap();
        let packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let mut packed = tar::Builder::new(packed);
        for (path, mode, bytes) in tree(&place.path("data")) {
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            packed.append_data(&mut header, path, &bytes[..]).unwrap();
        }
        let packed = packed.into_inner().unwrap().finish().unwrap();
        assert!(packed.len() < 200_000);
        fs::write(archive(schema), packed).unwrap();
    }
}
