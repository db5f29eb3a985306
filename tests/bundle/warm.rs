//! Images fetched before anybody asks for them.

use serde_json::Value;

use crate::harness::content::{Image, index};
use crate::harness::origin::Origin;
use crate::harness::process::Place;

fn caching(origin: &Origin) -> String {
    format!(
        "PROXY_CACHES:\n  - organization: hub\n    upstream: docker.io\n    endpoint: {}\n",
        origin.url("")
    )
}

async fn warm(place: &Place, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let arguments = [&["warm", "--json"], arguments].concat();
    let output = place.run(&arguments).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (output.status.code(), rows)
}

/// A list, with a server and without one: what is here is not fetched again, what is not there is told.
#[tokio::test]
async fn what_a_list_names_is_fetched() {
    let origin = Origin::start().await;
    let images = [1, 2].map(|seed| Image::with_layers(seed, &[30_000]));
    origin.push_image("library/app", "v1", &images[0]);
    origin.push_image("team/web", "latest", &images[1]);
    let place = Place::new(&caching(&origin));
    let mut server = place.serve().await;
    std::fs::write(
        place.path("list"),
        "app:v1 # ours\nhub/team/web\nnosuch/web\n",
    )
    .unwrap();
    let (code, rows) = warm(&place, &["list"]).await;
    assert_eq!(code, Some(1), "one of them is not there");
    let named = |image: &str| {
        rows.iter()
            .find(|row| row["image"] == image)
            .unwrap()
            .clone()
    };
    assert!(named("nosuch/web")["error"].is_string());
    assert_eq!(
        named("hub/team/web")["digest"],
        images[1].digest().to_string()
    );
    let row = named("app:v1");
    assert_eq!(row["digest"], images[0].digest().to_string());
    assert_eq!(
        (&row["blobs"], &row["bytes"]),
        (&2.into(), &row["fetched_bytes"])
    );
    let gets = origin.count("GET", "/v2/library/app/blobs/");
    assert_eq!(gets, 2);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.ended().await.success());
    std::fs::write(place.path("list"), "app:v1\n").unwrap();
    let (code, rows) = warm(&place, &["list"]).await;
    assert_eq!(
        (code, &rows[0]["fetched_bytes"]),
        (Some(0), &0.into()),
        "{rows:?}"
    );
    assert_eq!(origin.count("GET", "/v2/library/app/blobs/"), gets);
}

/// Kubernetes manifests and compose files; the platforms that are asked for.
#[tokio::test]
async fn manifests_of_clusters_are_read() {
    let origin = Origin::start().await;
    let images = [1, 2].map(|seed| Image::with_layers(seed, &[10_000]));
    for image in &images {
        origin.push_image("library/multi", "unused", image);
    }
    let both = index(&[(&images[0], "riscv64"), (&images[1], "s390x")]);
    origin.push_manifest("library/multi", Some("v1"), &both);
    let place = Place::new(&caching(&origin));
    let _server = place.serve().await;
    let text = "kind: Pod\nspec:\n  containers:\n  - image: multi:v1\n";
    std::fs::write(place.path("pod.yaml"), text).unwrap();
    let (code, rows) = warm(&place, &["pod.yaml"]).await;
    assert_eq!(
        (code, &rows[0]["blobs"]),
        (Some(0), &0.into()),
        "not this machine's: {rows:?}"
    );
    let (_, rows) = warm(&place, &["pod.yaml", "--platform", "linux/s390x"]).await;
    assert_eq!(
        (&rows[0]["manifests"], &rows[0]["blobs"]),
        (&2.into(), &2.into()),
        "{rows:?}"
    );
    let text = "services:\n  web:\n    image: docker.io/library/multi:v1\n";
    std::fs::write(place.path("compose.yaml"), text).unwrap();
    let both = ["--platform", "linux/s390x", "--platform", "linux/riscv64"];
    let (code, rows) = warm(&place, &[&["compose.yaml"][..], &both].concat()).await;
    assert_eq!((code, &rows[0]["blobs"]), (Some(0), &4.into()), "{rows:?}");
    for (name, text) in [("empty", "# nothing\n"), ("broken", "services: [\n")] {
        std::fs::write(place.path(name), text).unwrap();
        place.run_badly(&["warm", name]).await;
    }
}
