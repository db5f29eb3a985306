//! Collection, check and scrub as the operator sees them, with and without a server.

use entrepot::oci::Digest;
use serde_json::Value;

use super::accounts::{APP, cache, json, stop};
use crate::harness::content::Image;
use crate::harness::soon;

/// GC-01: what a run does is told; nothing due is nothing done.
#[tokio::test]
async fn a_collection_tells_what_it_did_or_would_do() {
    let (place, server) = cache().await;
    let mut server = Some(server);
    for _ in ["with a server", "without"] {
        for arguments in [&["gc", "--json"][..], &["gc", "--dry-run", "--json"]] {
            let rows = json(&place, arguments).await;
            assert_eq!(rows.len(), 1, "{rows:?}");
            let row = (&rows[0]["manifests"], &rows[0]["complete"]);
            assert_eq!(row, (&0.into(), &true.into()), "{rows:?}");
        }
        let text = place.run_well(&["gc"]).await;
        assert!(text.contains("manifests removed: 0"), "{text}");
        let text = place.run_well(&["gc", "--dry-run"]).await;
        assert!(
            text.contains("would be freed on disk: 0 B in 0 files"),
            "{text}"
        );
        assert!(text.contains("kept for now: "), "{text}");
        if let Some(server) = server.take() {
            stop(server).await;
        }
    }
}

/// CR-07, CR-08: a sound site has nothing to tell; a file of nobody is told and removed on request.
#[tokio::test]
async fn what_is_wrong_with_the_files_is_told_and_put_right() {
    let (place, server) = cache().await;
    stop(server).await;
    assert_eq!(place.run_well(&["check"]).await, "");
    let read = json(&place, &["scrub", "--bandwidth", "none", "--json"]).await;
    assert_eq!(
        (&read[0]["damaged"], &read[0]["absent"]),
        (&0.into(), &0.into())
    );
    let digest = Digest::of(b"stray").to_string();
    let hash = digest.strip_prefix("sha256:").unwrap();
    let folder = place.path(&format!("data/blobs/sha256/{}", &hash[..2]));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(hash), "stray").unwrap();
    let told = place.run(&["check"]).await;
    let told = (told.status.code(), String::from_utf8(told.stdout).unwrap());
    assert!(told.0 == Some(1) && told.1.contains(hash), "{told:?}");
    assert!(told.1.contains("--repair puts it right"), "{told:?}");
    let rows = json(&place, &["check", "--repair", "--json"]).await;
    assert_eq!(rows[0]["repaired"], true, "{rows:?}");
    let sum = (&rows[1]["findings"], &rows[1]["repaired"]);
    assert_eq!(sum, (&1.into(), &1.into()), "{rows:?}");
    assert_eq!(place.run_well(&["check"]).await, "");
    let rows = json(&place, &["check", "--json"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let sum = (&rows[0]["findings"], &rows[0]["manifests"]);
    assert_eq!(sum, (&0.into(), &1.into()), "{rows:?}");
}

/// DK-07: what is damaged or gone is named, with who has it.
#[tokio::test]
async fn a_scrub_names_what_is_damaged_and_who_has_it() {
    let (place, server) = cache().await;
    let image = Image::with_layers(1, &[1_000]);
    let digest = Digest::of(image.blobs().next().unwrap());
    let url = server.url(&format!("/v2/{APP}/blobs/{digest}"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let pulled = soon(&url, client.get(&url).send()).await.unwrap();
    assert_eq!(pulled.status(), 200);
    soon(&url, pulled.bytes()).await.unwrap();
    stop(server).await;
    let hex = digest.hex();
    let file = place.path(&format!("data/blobs/sha256/{}/{hex}", &hex[..2]));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let scrub = async |more: &[&str]| {
        let words = [&["scrub", "--bandwidth", "none"], more].concat();
        let output = place.run(&words).await;
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = scrub(&[]).await;
    let line = format!("damaged: blob {digest} of docker.io; it will be fetched again\n");
    assert!(text.starts_with(&line), "{text}");
    // It was set aside.
    let text = scrub(&["--json"]).await;
    let rows = text.lines().map(serde_json::from_str::<Value>);
    let rows: Vec<Value> = rows.collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0]["digest"], digest.to_string());
    assert_eq!(
        (&rows[0]["state"], &rows[0]["lost"]),
        (&"absent".into(), &false.into())
    );
    assert_eq!(rows[0]["repositories"], serde_json::json!(["docker.io"]));
    assert_eq!(rows[1]["absent"], 1, "{rows:?}");
}
