//! `entrepot explain` and `entrepot top`: what operators are told without anything happening.

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::content::Image;
use crate::harness::origin::{Fault, Origin};
use crate::harness::process::{Place, Process};
use crate::harness::soon;

fn caching(origin: &Origin, more: &str) -> String {
    format!(
        "REGISTRY_MIRRORS: []\nANONYMOUS_PUSH: [local]\nPROXY_CACHES:\n  - organization: docker.io\n    \
         upstream: docker.io\n    endpoint: {}\n{more}",
        origin.url("")
    )
}

async fn explain(place: &Place, reference: &str) -> Value {
    let json = place.run_well(&["explain", reference, "--json"]).await;
    serde_json::from_str(json.trim()).unwrap()
}

async fn get(process: &Process, path: &str) -> u16 {
    let url = process.url(&format!("/v2/docker.io/{path}"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    soon(&url, async {
        let answer = client.get(&url).send().await.unwrap();
        let status = answer.status().as_u16();
        answer.bytes().await.unwrap();
        status
    })
    .await
}

async fn pull(process: &Process, repository: &str, tag: &str, image: &Image) {
    assert_eq!(
        get(process, &format!("{repository}/manifests/{tag}")).await,
        200
    );
    for blob in image.blobs() {
        let digest = entrepot::oci::Digest::of(blob);
        assert_eq!(
            get(process, &format!("{repository}/blobs/{digest}")).await,
            200
        );
    }
}

/// Waits until a blob's row is committed, a moment after its last byte is out.
async fn explained_whole(place: &Place, reference: &str) -> Value {
    soon("all of it", async {
        loop {
            let told = explain(place, reference).await;
            if told["held_bytes"] == told["size_bytes"] {
                return told;
            }
        }
    })
    .await
}

/// From unknown over fetched to held, with a server and without, and upstream hears nothing of the questions.
#[tokio::test]
async fn a_pull_is_explained_before_and_after_it_happens() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&caching(&origin, "    fresh_s: 3600\n"));
    let mut process = place.serve().await;

    let before = explain(&place, "docker.io/app:v1").await;
    assert_eq!(before["course"], "fetched", "{before}");
    assert_eq!(before["belongs"], "configured_cache");
    assert_eq!(before["repository"], "library/app");
    assert_eq!(before["rule"]["remote_name"], "library/app");
    assert_eq!(before["pullers"], "everyone");
    assert_eq!(origin.requests().len(), 0, "nothing is asked upstream");

    pull(&process, "library/app", "v1", &image).await;
    let asked = origin.requests().len();
    let held = explained_whole(&place, "docker.io/app:v1").await;
    assert_eq!(held["course"], "held", "{held}");
    assert_eq!(held["digest"], image.digest().to_string());
    assert_eq!(held["size_bytes"], image.size(), "{held}");
    assert_eq!(
        held["alone_bytes"],
        image.size(),
        "nobody shares it: {held}"
    );
    assert!(held["fresh_for_s"].as_u64().unwrap() <= 3600, "{held}");
    assert_eq!(
        (held["pinned"].as_bool(), held["expired"].as_bool()),
        (Some(false), Some(false))
    );
    assert!(
        held["validated"].is_string() && held["last_used"].is_string(),
        "{held}"
    );
    let text = place.run_well(&["explain", "docker.io/app:v1"]).await;
    for said in [
        "nobody is asked",
        "fresh for",
        "everyone",
        "would be freed",
        "all of it here",
        "up, as far",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
    // By digest it never grows old; the tag that clients put where there is none is not here.
    let by_digest = format!("docker.io/app@{}", image.digest());
    assert_eq!(explain(&place, &by_digest).await["course"], "held");
    let latest = explain(&place, "docker.io/app").await;
    assert_eq!(
        (&latest["course"], &latest["reference"]),
        (&"fetched".into(), &"docker.io/app:latest".into())
    );

    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    let offline = explain(&place, "docker.io/app:v1").await;
    assert_eq!(
        (&offline["course"], &offline["digest"]),
        (&held["course"], &held["digest"])
    );
    assert_eq!(origin.requests().len(), asked, "nothing was asked upstream");
}

/// What two repositories share would not be freed by the going of one.
#[tokio::test]
async fn shared_layers_are_named_and_not_counted_as_freed() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "v1", &image);
    origin.push_image("team/copy", "v1", &image);
    let place = Place::new(&caching(&origin, "    fresh_s: 3600\n"));
    let process = place.serve().await;
    pull(&process, "library/app", "v1", &image).await;
    pull(&process, "team/copy", "v1", &image).await;
    explained_whole(&place, "docker.io/team/copy:v1").await;
    let told = explained_whole(&place, "docker.io/app:v1").await;
    assert_eq!(
        told["shared_with"][0]["repository"], "docker.io/team/copy",
        "{told}"
    );
    assert!(told["alone_bytes"].as_u64().unwrap() < 50_000, "{told}");
    assert!(
        told["blobs"]
            .as_array()
            .unwrap()
            .iter()
            .all(|blob| blob["shared"] == true),
        "{told}"
    );
}

/// What stands in the way is told: no upstream that answers, no organisation, no repository.
#[tokio::test]
async fn what_stands_in_the_way_is_told() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&caching(&origin, ""));
    let mut process = place.serve().await;
    pull(&process, "library/app", "v1", &image).await;
    // Upstream is asked at each pull of a tag, if nothing else is said.
    let checked = explain(&place, "docker.io/app:v1").await;
    assert_eq!(checked["course"], "checked", "{checked}");

    let unknown = explain(&place, "nobody/app:v1").await;
    assert_eq!(
        (&unknown["course"], &unknown["belongs"]),
        (&"absent".into(), &"unknown".into())
    );
    assert!(
        unknown["answer"]
            .as_str()
            .unwrap()
            .contains("no organisation is called nobody")
    );
    let local = explain(&place, "local/app:v1").await;
    assert_eq!(
        (&local["course"], &local["belongs"]),
        (&"absent".into(), &"local".into()),
        "{local}"
    );
    let text = place.run_well(&["explain", "local/app:v1"]).await;
    assert!(text.contains("there is no repository app"), "{text}");
    let refused = place.run_badly(&["explain", "docker.io"]).await;
    assert!(refused.contains("names no repository"), "{refused}");

    assert_eq!(get(&process, "library/app/manifests/none").await, 404);
    let absent = explain(&place, "docker.io/app:none").await;
    assert_eq!(absent["course"], "known_absent", "{absent}");

    let config = std::fs::read_to_string(place.path("config.yaml")).unwrap();
    std::fs::write(
        place.path("config.yaml"),
        format!("{config}OFFLINE: true\n"),
    )
    .unwrap();
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    assert_eq!(explain(&place, "docker.io/app:v1").await["course"], "held");
    assert_eq!(
        explain(&place, "docker.io/app:v2").await["course"],
        "not_asked"
    );
}

/// A fill that runs is seen by both, with its progress and those who wait for it.
#[tokio::test]
async fn a_running_fill_is_seen() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[400_000]);
    origin.push_image("library/app", "v1", &image);
    let layer = entrepot::oci::Digest::of(&image.layers[0]);
    let place = Place::new(&caching(&origin, "    fresh_s: 3600\n"));
    let refused = place.run_badly(&["top", "--once"]).await;
    assert!(refused.contains("no server answers"), "{refused}");
    let process = place.serve().await;
    assert_eq!(get(&process, "library/app/manifests/v1").await, 200);
    origin.once(
        "GET",
        &format!("/v2/library/app/blobs/{layer}"),
        Fault::StallAt(200_000),
    );
    let url = process.url(&format!("/v2/docker.io/library/app/blobs/{layer}"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut waiting = soon("the head", client.get(&url).send()).await.unwrap();
    let mut came = 0;
    while came < 199_999 {
        came += soon("a piece", waiting.chunk())
            .await
            .unwrap()
            .unwrap()
            .len();
    }
    let json = place.run_well(&["top", "--json"]).await;
    let look: Value = serde_json::from_str(json.trim()).unwrap();
    let fills = look["fills"].as_array().unwrap();
    let fill = fills
        .iter()
        .find(|fill| fill["digest"] == layer.to_string());
    let fill = fill.unwrap_or_else(|| panic!("no fill in {look}"));
    assert!(fill["arrived_bytes"].as_u64().unwrap() >= 199_999, "{fill}");
    assert_eq!(fill["total_bytes"], 400_000, "{fill}");
    assert_eq!(
        (&fill["askers"], &fill["repository"]),
        (&1.into(), &"docker.io/library/app".into())
    );
    assert!(look["connections"].as_u64().unwrap() >= 1, "{look}");
    assert!(look["manifest_requests"].as_u64().unwrap() >= 1, "{look}");
    let organizations = look["organizations"].as_array().unwrap();
    let hub = organizations
        .iter()
        .find(|organization| organization["name"] == "docker.io")
        .unwrap();
    assert!(
        hub["upstream"].is_object() && hub["requests"].as_u64().unwrap() >= 1,
        "{hub}"
    );

    let text = place.run_well(&["top"]).await;
    assert!(
        text.contains("docker.io/library/app") && text.contains("1 asker"),
        "{text}"
    );
    assert!(
        text.contains("% of ") && !text.contains('\u{1b}'),
        "no terminal, no drawing: {text}"
    );

    let told = explain(&place, "docker.io/app:v1").await;
    let blobs = told["blobs"].as_array().unwrap();
    let blob = blobs
        .iter()
        .find(|blob| blob["digest"] == layer.to_string())
        .unwrap();
    assert_eq!(blob["state"], "partial", "{blob}");
    assert!(blob["held_bytes"].as_u64().unwrap() >= 199_999, "{blob}");
    origin.release();
}
