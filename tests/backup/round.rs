//! There and back again: what was served before is served after.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::json;

use super::{CONFIG, blob_path, has, newest, push, rename, row, rows, said, stop, tree};
use crate::app::accounts::{APP, cache};
use crate::harness::content::Image;
use crate::harness::process::{Place, is_absent};
use crate::harness::soon;
use entrepot::oci::Digest;

/// LC-06: taken while the server runs, restored into nothing, and everything is served; people and robots
/// come along.
#[tokio::test]
async fn a_backup_beside_the_server_is_a_whole_registry() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    let images = [1, 2, 3].map(|seed| Image::with_layers(seed, &[100_000, 2_000]));
    for (image, tag) in images.iter().zip(["a", "b", "c"]) {
        push(&server, "local/app", tag, image).await;
    }
    place
        .run_well(&["user", "create", "ann", "--generate"])
        .await;
    let robot = place.run_well(&["robot", "create", "ann+ci"]).await;
    place.run_well(&["keys", "make"]).await;
    let keys = place.run_well(&["keys", "ls"]).await;
    let told = row(&place, &["backup", "backups", "--json"]).await;
    assert_eq!(told["counts"]["tags"], 3, "{told}");
    assert_eq!(told["counts"]["blobs"], 9, "{told}");
    assert_eq!((&told["linked"], &told["copied"]), (&json!(9), &json!(0)));
    // What comes afterwards is not in it.
    push(&server, "local/app", "later", &Image::small(9)).await;
    stop(server).await;
    for (path, mode, _) in tree(&place.path("backups")) {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    let verified = row(&place, &["backup", "--verify", "--json", "backups"]).await;
    assert_eq!(
        (&verified["faults"], &verified["blobs"]),
        (&json!(0), &json!(9))
    );
    rename(place.path("data"), place.path("old"));
    let told = row(&place, &["restore", "backups", "--json"]).await;
    assert_eq!(told["findings"], json!([]), "{told}");
    assert_eq!(place.run_well(&["check"]).await, "");
    assert_eq!(place.run_well(&["keys", "ls"]).await, keys);
    let mode = fs::metadata(place.path("data"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    for (path, mode, _) in tree(&place.path("data")) {
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    let server = place.serve().await;
    for (image, tag) in images.iter().zip(["a", "b", "c"]) {
        has(&server, "local/app", tag, image).await;
    }
    let login = reqwest::Client::builder().no_proxy().build().unwrap();
    let login = login.get(server.url("/v2/auth?service=entrepot"));
    let login = login.basic_auth("ann+ci", Some(robot.trim_end()));
    assert_eq!(soon("a login", login.send()).await.unwrap().status(), 200);
    stop(server).await;
}

/// A second backup takes what is new; `--keep` forgets the oldest, and blobs with it.
#[tokio::test]
async fn generations_share_their_blobs_and_old_ones_go() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    let (first, second) = (
        Image::with_layers(1, &[5_000]),
        Image::with_layers(2, &[6_000]),
    );
    push(&server, "local/app", "a", &first).await;
    let one = row(&place, &["backup", "backups", "--copy", "--json"]).await;
    assert_eq!((&one["linked"], &one["copied"]), (&json!(0), &json!(2)));
    push(&server, "local/app", "b", &second).await;
    stop(server).await;
    // Without a server it is the same.
    let two = row(&place, &["backup", "backups", "--copy", "--json"]).await;
    assert_eq!((&two["linked"], &two["copied"]), (&json!(0), &json!(2)));
    assert_eq!(two["counts"]["blobs"], 4);
    let three = row(&place, &["backup", "backups", "--copy", "--json"]).await;
    assert_eq!(three["copied"], 0, "{three}");
    let (_, listed) = rows(&place, &["backup", "--list", "--json", "backups"]).await;
    assert_eq!(listed.len(), 3);
    // The oldest alone has nothing of the second image.
    let name = one["generation"].as_str().unwrap();
    let told = row(
        &place,
        &[
            "restore",
            "backups",
            "--generation",
            name,
            "--to",
            "elsewhere",
            "--json",
        ],
    )
    .await;
    assert_eq!(told["blobs"], 2, "{told}");
    for blob in second.blobs() {
        assert!(is_absent(&blob_path(
            &place.path("elsewhere"),
            &Digest::of(blob)
        )));
    }
    // A copy is no link.
    let blob = Digest::of(&second.layers[0]);
    let inode = |root: &str| {
        fs::metadata(blob_path(&place.path(root), &blob))
            .unwrap()
            .ino()
    };
    assert_ne!(inode("data"), inode("backups"));
    let kept = row(&place, &["backup", "backups", "--keep", "1", "--json"]).await;
    assert_eq!(kept["removed_generations"].as_array().unwrap().len(), 3);
    assert_eq!(kept["removed_blobs"], 0);
    // Blobs that no generation needs go too, also those that nobody listed.
    fs::write(
        blob_path(&place.path("backups"), &Digest::of(b"stray")),
        "stray",
    )
    .or_else(|_| {
        let path = blob_path(&place.path("backups"), &Digest::of(b"stray"));
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, "stray")
    })
    .unwrap();
    let kept = row(&place, &["backup", "backups", "--keep", "1", "--json"]).await;
    assert_eq!(
        (&kept["removed_blobs"], &kept["removed_bytes"]),
        (&json!(1), &json!(5))
    );
    row(&place, &["backup", "--verify", "--json", "backups"]).await;
}

/// What can be fetched again is left out, unless it is asked for; either way the result is sound.
#[tokio::test]
async fn cached_content_comes_along_if_it_is_asked_for() {
    let (place, server) = cache().await;
    let image = Image::with_layers(1, &[1_000]);
    let digest = Digest::of(image.blobs().next().unwrap());
    let url = server.url(&format!("/v2/{APP}/blobs/{digest}"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let pulled = soon(&url, client.get(&url).send()).await.unwrap();
    soon(&url, pulled.bytes()).await.unwrap();
    stop(server).await;
    let without = row(&place, &["backup", "without", "--json"]).await;
    assert_eq!(without["counts"]["blobs"], 0, "{without}");
    let with = row(&place, &["backup", "with", "--cached", "--json"]).await;
    assert!(with["counts"]["blobs"].as_u64().unwrap() > 0, "{with}");
    for (backup, manifests) in [("without", 0), ("with", 1)] {
        let to = format!("of-{backup}");
        let told = row(&place, &["restore", backup, "--to", &to, "--json"]).await;
        assert_eq!(told["findings"], json!([]), "{told}");
        let checked = row(&place, &["check", "--json", "--data-dir", &to]).await;
        let sum = (&checked["findings"], &checked["manifests"]);
        assert_eq!(sum, (&json!(0), &json!(manifests)), "{checked}");
        let has = !is_absent(&blob_path(&place.path(&to), &digest));
        assert_eq!(has, manifests == 1);
    }
}

/// LC-07: secrets come along readable by their owner only, or not at all.
#[tokio::test]
async fn secrets_stay_away_if_they_shall() {
    let place = Place::new(CONFIG);
    stop(place.serve().await).await;
    place.run_well(&["keys", "make"]).await;
    place.run_well(&["backup", "with"]).await;
    let output = place.run(&["backup", "without", "--without-secrets"]).await;
    assert!(
        said(&output).contains("need new tokens"),
        "{}",
        said(&output)
    );
    let secrets = ["secret.key", "bundles.signing.key"];
    for name in secrets {
        assert!(newest(&place.path("with")).join(name).exists(), "{name}");
        assert!(
            is_absent(&newest(&place.path("without")).join(name)),
            "{name}"
        );
    }
    let secret = fs::read(place.path("data/secret.key")).unwrap();
    for (path, _, bytes) in tree(&place.path("without")) {
        let has = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!has, "{}", path.display());
    }
    let output = place.run(&["restore", "without", "--to", "new"]).await;
    assert!(output.status.success() && said(&output).contains("need new tokens"));
    assert!(is_absent(&place.path("new/secret.key")));
    place.run_well(&["restore", "with", "--to", "newer"]).await;
    assert_eq!(fs::read(place.path("newer/secret.key")).unwrap(), secret);
}

/// A backup that was cut is none, and the next one goes on and clears up.
#[tokio::test]
async fn a_cut_backup_is_never_taken_for_a_whole_one() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    push(&server, "local/app", "a", &Image::small(1)).await;
    stop(server).await;
    place.run_well(&["backup", "backups"]).await;
    let whole = newest(&place.path("backups"));
    let cut = whole.with_file_name(".new-0123456789abcdef");
    super::copy_tree(&whole, &cut);
    fs::write(place.path("backups/blobs/.new-blob"), "half").unwrap();
    let (_, listed) = rows(&place, &["backup", "--list", "--json", "backups"]).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    row(&place, &["backup", "--verify", "--json", "backups"]).await;
    place.run_well(&["backup", "backups"]).await;
    assert!(is_absent(&cut) && is_absent(&place.path("backups/blobs/.new-blob")));
    // One whose first files only are there holds nothing to restore.
    fs::remove_dir_all(place.path("backups/generations")).unwrap();
    let told = place
        .run_badly(&["restore", "backups", "--to", "new"])
        .await;
    assert!(told.contains("holds no whole backup"), "{told}");
    assert!(is_absent(&place.path("new")));
}

/// A restore that broke off leaves no store, and goes on.
#[tokio::test]
async fn a_cut_restore_goes_on() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    let image = Image::with_layers(1, &[3_000, 4_000]);
    push(&server, "local/app", "a", &image).await;
    stop(server).await;
    place.run_well(&["backup", "backups", "--copy"]).await;
    let blob = blob_path(&place.path("backups"), &Digest::of(&image.layers[1]));
    let hidden = place.path("hidden");
    rename(&blob, &hidden);
    let told = place
        .run_badly(&["restore", "backups", "--to", "new"])
        .await;
    assert!(
        told.contains("it is gone") && told.contains(&Digest::of(&image.layers[1]).hex()),
        "{told}"
    );
    assert!(is_absent(&place.path("new/entrepot.redb")));
    let told = place.run_badly(&["check", "--data-dir", "new"]).await;
    assert!(told.contains("holds no data"), "{told}");
    // Half of what came is damaged meanwhile.
    let there = blob_path(&place.path("new"), &Digest::of(&image.layers[0]));
    if there.exists() {
        fs::write(&there, "other").unwrap();
    }
    rename(&hidden, &blob);
    place.run_well(&["restore", "backups", "--to", "new"]).await;
    assert_eq!(place.run_well(&["check", "--data-dir", "new"]).await, "");
    assert_eq!(fs::read(&there).unwrap(), image.layers[0]);
    // What is there now is not overwritten.
    let told = place
        .run_badly(&["restore", "backups", "--to", "new"])
        .await;
    assert!(told.contains("is not empty"), "{told}");
}

/// What is gone at the source is told, listed and left out; the rest is whole.
#[tokio::test]
async fn what_is_lost_already_is_told_and_the_rest_kept() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    let (sound, lost) = (
        Image::with_layers(1, &[3_000]),
        Image::with_layers(2, &[4_000]),
    );
    push(&server, "local/app", "sound", &sound).await;
    push(&server, "local/app", "lost", &lost).await;
    stop(server).await;
    let digest = Digest::of(&lost.layers[0]);
    fs::remove_file(blob_path(&place.path("data"), &digest)).unwrap();
    let (code, told) = rows(&place, &["backup", "backups", "--json"]).await;
    assert_eq!(code, Some(3), "{told:?}");
    assert_eq!(told[0]["absent"], json!([digest.to_string()]));
    row(&place, &["backup", "--verify", "--json", "backups"]).await;
    let (code, told) = rows(&place, &["restore", "backups", "--to", "new", "--json"]).await;
    assert_eq!(code, Some(3), "{told:?}");
    let findings = told[0]["findings"].to_string();
    assert!(findings.contains(&digest.to_string()), "{findings}");
    rename(place.path("data"), place.path("old"));
    rename(place.path("new"), place.path("data"));
    let server = place.serve().await;
    has(&server, "local/app", "sound", &sound).await;
    stop(server).await;
}
