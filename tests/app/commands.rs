//! The command line, with and without a running server.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::process::{Place, Process, is_absent};
use crate::harness::soon;

/// An upstream with `library/app:v1` and a place whose configuration caches it as docker.io.
async fn stage() -> (Origin, Place, Image) {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&caching(&origin));
    (origin, place, image)
}

fn caching(origin: &Origin) -> String {
    format!(
        "REGISTRY_MIRRORS: []\nPROXY_CACHES:\n  - organization: docker.io\n    \
         upstream: docker.io\n    endpoint: {}\n",
        origin.url("")
    )
}

async fn pull(process: &Process, image: &Image) {
    let digest = |bytes: &bytes::Bytes| entrepot::oci::Digest::of(bytes).to_string();
    let blobs = image.blobs().map(|blob| format!("blobs/{}", digest(blob)));
    for path in std::iter::once("manifests/v1".to_owned()).chain(blobs) {
        let url = process.url(&format!("/v2/docker.io/library/app/{path}"));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = soon(&url, client.get(&url).send()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        soon(&url, answer.bytes()).await.unwrap();
    }
}

const NAME: &str = "docker.io/library/app:v1";

/// The same commands do the same by the socket of a server and without one.
#[tokio::test]
async fn cache_commands_work_with_and_without_a_server() {
    let (origin, place, image) = stage().await;
    let mut server = place.serve().await;
    pull(&server, &image).await;
    for offline in [false, true] {
        if offline {
            server.signal(Signal::TERM);
            assert!(server.ended().await.success());
        }
        let list = place.run_well(&["cache", "ls"]).await;
        assert!(list.contains("docker.io"), "{list}");
        let list = place.run_well(&["cache", "ls", "docker.io"]).await;
        assert!(
            list.contains(NAME) && list.contains(&image.digest().to_string()),
            "{list}"
        );
        // Docker Hub's short name is the same repository.
        place.run_well(&["cache", "pin", "docker.io/app:v1"]).await;
        let json = place.run_well(&["cache", "ls", NAME, "--json"]).await;
        let row: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
        assert_eq!(
            (&row["pinned"], &row["tag"]),
            (&true.into(), &"v1".into()),
            "{json}"
        );
        let json = place.run_well(&["cache", "unpin", NAME, "--json"]).await;
        assert!(json.contains("\"outcome\":\"unpinned\""), "{json}");
        let validations = origin.count("HEAD", "/v2/library/app/manifests/v1");
        place.run_well(&["cache", "refresh", NAME]).await;
        assert_eq!(
            origin.count("HEAD", "/v2/library/app/manifests/v1"),
            validations + 1
        );
        place.run_well(&["sweep"]).await;
        let status = place.run_well(&["status"]).await;
        assert!(status.contains("\nNAMESPACE "), "{status}");
        assert_eq!(status.contains("no server runs"), offline, "{status}");
    }
}

#[tokio::test]
async fn rm_lets_go_of_what_it_names_and_nothing_else() {
    let (origin, place, image) = stage().await;
    origin.push_manifest("library/app", Some("same"), &image.manifest);
    let server = place.serve().await;
    pull(&server, &image).await;
    let refused = place.run_badly(&["cache", "rm", "docker.io"]).await;
    assert!(refused.contains("--all"), "{refused}");
    let refused = place
        .run_badly(&["cache", "rm", "docker.io/library/app:nosuch"])
        .await;
    assert!(refused.contains("not held"), "{refused}");
    let other = entrepot::oci::Digest::of(b"other");
    let refused = place
        .run_badly(&["cache", "rm", &format!("{NAME}@{other}")])
        .await;
    assert!(refused.contains("points to"), "{refused}");
    place
        .run_well(&["cache", "rm", &format!("{NAME}@{}", image.digest())])
        .await;
    assert!(
        !place
            .run_well(&["cache", "ls", "docker.io"])
            .await
            .contains(NAME)
    );
    pull(&server, &image).await;
    let digest = format!("docker.io/library/app@{}", image.digest());
    place.run_well(&["cache", "rm", &digest]).await;
    pull(&server, &image).await;
    place.run_well(&["cache", "rm", "docker.io", "--all"]).await;
    let left = place.run_well(&["cache", "ls", "--json"]).await;
    assert!(left.contains("\"held_bytes\":0"), "{left}");
    assert_eq!(origin.count("GET", "/v2/library/app/manifests/"), 3);
}

/// CR-09: at once, with a message that names the directory and the process.
#[tokio::test]
async fn a_second_server_is_refused() {
    let (_origin, place, _) = stage().await;
    let server = place.serve().await;
    let refused = place.run_badly(&["serve"]).await;
    assert!(
        refused.contains("is in use by another entrepot process"),
        "{refused}"
    );
    drop(server);
}

/// A lock that is held and nobody who answers: said, not waited for.
#[tokio::test]
async fn a_silent_holder_is_named() {
    let (_origin, place, _) = stage().await;
    let server = place.serve().await;
    std::fs::remove_file(place.path("data/control.sock")).unwrap();
    let refused = place.run_badly(&["cache", "ls"]).await;
    assert!(
        refused.contains("does not answer on its control socket"),
        "{refused}"
    );
    drop(server);
}

#[tokio::test]
async fn no_command_but_serve_makes_a_data_directory() {
    let (_origin, place, _) = stage().await;
    for arguments in [
        &["cache", "ls"][..],
        &["sweep"],
        &["status"],
        &["user", "list"],
        &["user", "create", "ann", "--generate"],
        &["gc"],
    ] {
        let refused = place.run_badly(arguments).await;
        let told = "holds no data of entrepot: start the server once";
        assert!(refused.contains(told), "{refused}");
    }
    assert!(place.run(&["check-config"]).await.status.success());
    assert!(is_absent(&place.path("data")));
}

/// LC-04: every mistake with its line, and nothing done.
#[tokio::test]
async fn check_config_prints_every_mistake() {
    let place = Place::new("LISTNE: x\nHOT_CACHE: 10 Gb\n");
    let output = place.run(&["check-config"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("config.yaml:5:1: LISTNE"), "{text}");
    assert!(
        text.contains("config.yaml:6") && text.contains("HOT_CACHE"),
        "{text}"
    );
    let refused = place.run_badly(&["serve"]).await;
    assert!(
        refused.contains("LISTNE") && refused.contains("HOT_CACHE"),
        "{refused}"
    );
    assert!(is_absent(&place.path("data")));
    std::fs::write(place.path("good.yaml"), "LISTEN: 0.0.0.0:0\n").unwrap();
    let text = place.run_well(&["check-config", "good.yaml"]).await;
    assert!(
        text.contains("warning: good.yaml:1") && text.contains("clear text"),
        "{text}"
    );
}

/// SC-217, SC-220: the keys that the product documents recommend are taken as they are printed; what has nothing
/// to do here is told as such.
#[tokio::test]
async fn check_config_takes_the_recommended_keys_of_quotas() {
    let place = Place::new(
        "FEATURE_GARBAGE_COLLECTION: true\nFEATURE_QUOTA_MANAGEMENT: true\nQUOTA_BACKFILL: true\n\
         QUOTA_TOTAL_DELAY_SECONDS: 1800\nPERMANENTLY_DELETE_TAGS: true\n\
         RESET_CHILD_MANIFEST_EXPIRATION: true\nDEFAULT_SYSTEM_REJECT_QUOTA_BYTES: 102400000\n",
    );
    let text = place.run_well(&["check-config"]).await;
    let mut warned: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "))
        .collect();
    warned.retain(|line| !line.contains("QUOTA_BACKFILL") && !line.contains("QUOTA_TOTAL_DELAY"));
    assert_eq!(warned, Vec::<&str>::new());
    assert_eq!(text.matches("warning: ").count(), 2, "{text}");
}

#[tokio::test]
async fn help_is_there_for_every_command() {
    let place = Place::new("");
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["check-config", "--help"],
        &["cache", "--help"],
        &["cache", "rm", "--help"],
        &["user", "create", "--help"],
        &["robot", "create", "--help"],
        &["permission", "set", "--help"],
        &["repository", "visibility", "--help"],
        &["organization", "create", "--help"],
        &["gc", "--help"],
        &["check", "--help"],
        &["scrub", "--help"],
        &["tls", "self-signed", "--help"],
    ] {
        let text = place.run_well(arguments).await;
        assert!(
            text.contains("Usage: entrepot") && text.contains("--config"),
            "{arguments:?}"
        );
    }
    assert!(!place.run(&["nosuch"]).await.status.success());
}

#[tokio::test]
async fn what_is_written_is_for_its_owner_alone() {
    let (_origin, place, _) = stage().await;
    let server = place.serve().await;
    let mode = |name: &str| {
        let metadata = std::fs::symlink_metadata(place.path(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    for name in [
        "data/lock",
        "data/entrepot.redb",
        "data/control.sock",
        "data/secret.key",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    drop(server);
}
