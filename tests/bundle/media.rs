//! Media as they are carried: pulled out, full, mounted for reading only, of a file system that minds names.
//!
//! The medium is a file system of its own ([`Disk`]), which stops answering when it is pulled out.

use super::Side;
use crate::harness::content::Image;
use crate::harness::disk::Disk;

/// What a FAT or exFAT medium takes in no name.
const NOT_IN_NAMES: &str = "\"*/:<>?\\|";

/// A registry with five images, and a medium in its place; `None` where none can be made.
async fn stage(bytes: u64) -> Option<(Side, Vec<Image>, Disk)> {
    let one = Side::new().await;
    let images: Vec<Image> = (1..6)
        .map(|seed| Image::with_layers(seed, &[700_000]))
        .collect();
    for (at, image) in images.iter().enumerate() {
        one.push("local/app", &format!("v{at}"), image).await;
    }
    let disk = Disk::mount(one.path("medium"), one.path("stick"), bytes)?;
    Some((one, images, disk))
}

fn names(side: &Side) -> Vec<String> {
    let entries = std::fs::read_dir(side.path("stick")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "lost+found").collect();
    names.sort();
    names
}

/// AG-15, AG-04: the medium is pulled out after the first volume. The one that cannot be read is named, what came
/// is kept, and the import goes on when the medium is back.
#[tokio::test]
async fn an_import_goes_on_when_the_medium_is_back() {
    let Some((one, images, disk)) = stage(64 << 20).await else {
        return;
    };
    one.export(&["local", "-o", "stick/b.tar", "--split", "1000000"])
        .await;
    let written = names(&one);
    for name in &written {
        let is_carried = !name.contains(|c: char| NOT_IN_NAMES.contains(c) || c.is_control());
        assert!(is_carried && !name.ends_with(['.', ' ']), "{name:?}");
    }
    let volumes: Vec<String> = (1..)
        .map(|number| format!("stick/b.{number:03}.tar"))
        .take_while(|name| one.path(name).exists())
        .collect();
    let volumes: Vec<&str> = volumes.iter().map(String::as_str).collect();
    assert!(volumes.len() > 2, "{written:?}");
    // What is read at all is on the medium, and not only in memory.
    std::fs::File::open(one.path("stick"))
        .and_then(|stick| Ok(rustix::fs::syncfs(&stick)?))
        .unwrap();
    let two = Side::new().await;
    let (first, rest) = volumes.split_first().unwrap();
    let refused = two.refuses(&one, &[first], &[]).await;
    assert!(refused.contains("is missing"), "{refused}");
    disk.cut();
    let refused = two.refuses(&one, rest, &[]).await;
    assert!(refused.contains(rest[0]), "it is named: {refused}");
    assert!(refused.contains("error"), "and why: {refused}");
    assert!(two.tags("local/app").await.is_empty(), "nothing is visible");
    disk.turn_on().await;
    two.imports(&one, rest, &[]).await;
    for (at, image) in images.iter().enumerate() {
        two.has("local/app", &format!("v{at}"), image).await;
    }
}

/// AG-15: a medium that is full, and one that takes no writes: said by name, and nothing is left that looks like
/// a bundle. One that is mounted for reading only is read.
#[tokio::test]
async fn an_export_that_does_not_fit_leaves_no_bundle() {
    let Some((one, images, disk)) = stage(3 << 20).await else {
        return;
    };
    let export = ["export", "local", "-o", "stick/b.tar"];
    let refused = one.place.run_badly(&export).await;
    assert!(refused.contains("stick/b.tar"), "{refused}");
    assert!(refused.contains("No space left"), "{refused}");
    let left = names(&one);
    assert!(!left.contains(&"b.tar".to_owned()), "{left:?}");
    for name in left {
        std::fs::remove_file(one.path("stick").join(name)).unwrap();
    }
    assert!(disk.remount("ro"));
    let refused = one.place.run_badly(&export).await;
    assert!(refused.contains("stick/b.tar"), "{refused}");
    assert!(refused.contains("Read-only file system"), "{refused}");
    assert!(names(&one).is_empty());

    assert!(disk.remount("rw"));
    let small = ["local/app:v0", "local/app:v1", "-o", "stick/b.tar"];
    one.export(&small).await;
    assert!(disk.remount("ro"));
    let two = Side::new().await;
    two.imports(&one, &["stick/b.tar"], &[]).await;
    for (at, image) in images.iter().enumerate().take(2) {
        two.has("local/app", &format!("v{at}"), image).await;
    }
}
