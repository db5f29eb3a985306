//! Every block of commands in the pages about installing, building and monitoring is run, or says what it would need.
//!
//! A comment above the block says which: `run` (here), `run: server` (here, with a server), `run: CI` (`.ci/run`
//! has the same lines), `needs: ...`. Commands of entrepot are checked against the program in each of them.

use std::path::Path;

use tokio::process::Command;

use crate::harness::clients::variable;
use crate::harness::process::Place;
use crate::harness::soon;

use super::{has, source, text};

const PAGES: [&str; 3] = ["docs/install.md", "docs/building.md", "docs/monitoring.md"];

/// A block: its comment, its lines.
fn blocks(page: &str) -> Vec<(String, Vec<String>)> {
    let text = text(page);
    let mut lines = text.lines();
    let mut found = Vec::new();
    let mut before = "";
    while let Some(line) = lines.next() {
        if line == "```console" {
            let comment = before
                .strip_prefix("<!-- ")
                .and_then(|text| text.strip_suffix(" -->"));
            let comment = comment.unwrap_or_else(|| panic!("{page}: a block without a comment"));
            let block = lines.by_ref().take_while(|line| *line != "```");
            found.push((comment.to_owned(), block.map(str::to_owned).collect()));
        }
        before = line;
    }
    assert!(!found.is_empty(), "{page}");
    found
}

/// Runs a block as a shell does that stops at the first failure.
async fn shell(place: &Place, lines: &[String]) {
    let program = Path::new(env!("CARGO_BIN_EXE_entrepot")).parent().unwrap();
    let mut path = program.as_os_str().to_owned();
    path.push(":");
    path.push(variable("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command
        .args(["-euc", &lines.join("\n")])
        .current_dir(place.directory.path())
        .env_clear()
        .env("PATH", path)
        .kill_on_drop(true);
    // Cargo asks for these.
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        command.envs(variable(name).map(|value| (name, value)));
    }
    let output = soon(&lines.join("; "), command.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{lines:?}: {said}");
}

#[tokio::test]
async fn blocks_of_commands_do_what_the_pages_say() {
    if !has("curl") || !has("python3") {
        return;
    }
    let mut ran = 0;
    for (comment, lines) in PAGES.into_iter().flat_map(blocks) {
        let place = Place::new("");
        std::os::unix::fs::symlink(source("packaging"), place.path("packaging")).unwrap();
        match comment.as_str() {
            "run" => shell(&place, &lines).await,
            "run: server" => {
                let variables = [("ENTREPOT_LISTEN_METRICS", "127.0.0.1:0")];
                let mut process = place.serve_with(&variables).await;
                let metrics = process.prints("metrics on http://").await;
                let metrics = metrics.strip_suffix("/metrics").unwrap();
                let here = |line: &String| {
                    let line = line.replace("127.0.0.1:8080", &process.address.to_string());
                    line.replace("127.0.0.1:9091", metrics)
                };
                let lines: Vec<String> = lines.iter().map(here).collect();
                shell(&place, &lines).await;
            }
            "run: CI" => {
                let script = text(".ci/run")
                    .replace("$target", "target")
                    .replace('"', "");
                for line in &lines {
                    assert!(script.contains(line), ".ci/run does not run: {line}");
                }
            }
            other => assert!(other.starts_with("needs: "), "{other}"),
        }
        ran += usize::from(comment.starts_with("run"));
    }
    assert!(ran >= 9, "{ran}");
}

/// A command that is shown is one there is, also where it cannot be run here.
#[tokio::test]
async fn commands_in_the_pages_exist() {
    let place = Place::new("");
    let mut checked = 0;
    for (_, lines) in PAGES.into_iter().flat_map(blocks) {
        for line in lines {
            let Some((_, command)) = line.split_once("entrepot ") else {
                continue;
            };
            let ours = line.starts_with("entrepot ") || line.contains("/usr/bin/entrepot ");
            if !ours {
                continue;
            }
            let command = command.rsplit("/usr/bin/entrepot ").next().unwrap();
            let words = command.split(" > ").next().unwrap().split(' ');
            let words: Vec<&str> = words.chain(["--help"]).collect();
            place.run_well(&words).await;
            checked += 1;
        }
    }
    assert!(checked > 8, "{checked}");
}

/// Files that the pages name are there.
#[test]
fn pages_name_files_that_exist() {
    for page in PAGES {
        let text = text(page);
        for target in text
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
        {
            let path = target.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") {
                assert!(source("docs").join(path).exists(), "{page}: {target}");
            }
        }
    }
}
