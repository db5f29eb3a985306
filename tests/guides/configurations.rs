//! What the pages show as configuration is taken, as it stands.

use super::blocks::blocks;
use super::{pages, text};
use crate::harness::process::Place;

/// Files that configurations of the pages name, by the folders they are said to be in.
const FOLDERS: [&str; 2] = ["/etc/entrepot/", "/run/secrets/"];
const SECRETS: [&str; 3] = ["hub.password", "team.password", "redhat"];

#[tokio::test]
async fn configurations_in_the_pages_are_taken() {
    let place = Place::new("");
    place.run_well(&["tls", "self-signed"]).await;
    std::fs::copy(place.path("entrepot.crt"), place.path("clients.crt")).unwrap();
    for name in SECRETS {
        std::fs::write(place.path(name), "secret\n").unwrap();
    }
    let mut checked = 0;
    for page in pages() {
        for block in blocks(&page, &text(&page)) {
            // What is not ours begins with small letters.
            let key = block.lines.first().map_or("", String::as_str);
            if block.language != "yaml" || !key.starts_with(|c: char| c.is_ascii_uppercase()) {
                continue;
            }
            let yaml = block.lines.join("\n");
            let yaml = FOLDERS
                .iter()
                .fold(yaml, |yaml, folder| yaml.replace(folder, ""));
            std::fs::write(place.path("shown.yaml"), yaml).unwrap();
            let output = place.run(&["check-config", "shown.yaml"]).await;
            let said =
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{}: {said}", block.place());
            checked += 1;
        }
    }
    assert!(checked >= 11, "{checked}");
}
