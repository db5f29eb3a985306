//! The guides: every block of commands is run as it stands, or says why it cannot be.

use super::{CONFIG, push, stop};
use crate::harness::content::Image;
use crate::harness::process::Place;

/// The blocks of a guide that are to be run.
fn blocks(guide: &str) -> Vec<String> {
    let path = format!("{}/docs/{guide}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let (mut found, mut block, mut before) = (Vec::new(), None::<String>, "");
    for line in text.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some("sh")) => block = Some(String::new()),
            (None, Some(_)) => {
                assert!(
                    before.starts_with("<!-- not run: "),
                    "{guide}: what follows {before:?}"
                );
                block = Some("#".to_owned());
            }
            (Some(lines), Some(_)) => {
                found.extend(Some(std::mem::take(lines)).filter(|lines| !lines.starts_with('#')));
                block = None;
            }
            (Some(lines), None) => {
                lines.push_str(line);
                lines.push('\n');
            }
            (None, None) => {}
        }
        before = line;
    }
    found
}

/// What the guides tell to type works, beside a server with something in it.
#[tokio::test]
async fn the_commands_of_the_guides_work() {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_entrepot"))
        .parent()
        .unwrap();
    for guide in ["backup.md", "upgrading.md", "troubleshooting.md"] {
        let place = Place::new(CONFIG);
        let server = place.serve().await;
        push(&server, "local/app", "a", &Image::small(1)).await;
        let blocks = blocks(guide);
        assert!(!blocks.is_empty(), "{guide}");
        for block in blocks {
            let output = tokio::process::Command::new("sh")
                .args(["-euc", &block])
                .current_dir(place.directory.path())
                .env_clear()
                .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
                .output();
            let output = output.await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{guide}: {block}{said}");
        }
        stop(server).await;
    }
}
