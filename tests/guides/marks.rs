//! Every block of commands has its mark, and what marks and pages speak of is there.

use std::path::Path;

use super::blocks::{Block, Mark, blocks};
use super::{folder, pages, source, text};
use crate::harness::process::Place;

/// All blocks of all pages.
fn all() -> Vec<Block> {
    let of = |page: String| blocks(&page, &text(&page));
    pages().into_iter().flat_map(of).collect()
}

fn commands() -> Vec<Block> {
    all().into_iter().filter(Block::has_commands).collect()
}

#[test]
fn every_block_of_commands_is_known_to_work() {
    let told = text("tests/guides/told.rs");
    let script = text(".ci/run").replace("$target", "target");
    let script = script.replace('"', "");
    for block in commands() {
        let place = block.place();
        match block.mark() {
            mark if mark.is_run() => {
                assert!(!block.is_file(), "{place}: it is no file");
                let story = format!("Story::of(\"{}\")", block.page);
                assert!(told.contains(&story), "{place}: nobody tells it");
            }
            Mark::Ci => {
                for line in &block.lines {
                    assert!(
                        script.contains(line),
                        "{place}: .ci/run does not run: {line}"
                    );
                }
            }
            Mark::Test(names) => {
                for name in names.split(", ") {
                    assert!(is_a_test(name), "{place}: there is no test {name}");
                }
            }
            Mark::Needs(what) => assert!(!what.is_empty(), "{place}"),
            _ => unreachable!("it is run"),
        }
    }
}

/// Whether a test of that path is in the sources.
fn is_a_test(name: &str) -> bool {
    let Some((module, function)) = name.rsplit_once("::") else {
        return false;
    };
    let file = source(&format!("tests/{}.rs", module.replace("::", "/")));
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let head = format!("fn {function}() {{");
    lines.windows(2).any(|pair| {
        let is_marked = pair[0].starts_with("#[test") || pair[0].starts_with("#[tokio::test");
        is_marked && pair[1].ends_with(&head)
    })
}

#[test]
fn only_tests_that_are_there_are_tests() {
    assert!(is_a_test(
        "guides::marks::only_tests_that_are_there_are_tests"
    ));
    assert!(!is_a_test("guides::marks::is_a_test"));
    assert!(!is_a_test("guides::marks::another"));
    assert!(!is_a_test("guides::nowhere::another"));
}

/// A block of another language, or of none, is none that is looked at.
#[test]
fn every_block_has_a_language_that_is_known() {
    let known = ["console", "sh", "yaml", "json", "toml", "ini", "text"];
    for block in all() {
        let language = block.language.as_str();
        assert!(known.contains(&language), "{}: {language:?}", block.place());
    }
}

/// A block that no fence shows has no language, and nobody would look for its mark.
#[test]
fn no_block_is_told_by_its_indentation() {
    for page in pages() {
        let text = text(&page);
        let mut before = "";
        let mut is_fenced = false;
        for (number, line) in text.lines().enumerate() {
            is_fenced ^= line.trim_start().starts_with("```");
            let is_block = before.is_empty() && line.starts_with("    ");
            assert!(is_fenced || !is_block, "{page}:{}: {line}", number + 1);
            before = line;
        }
    }
}

/// A command that is shown is one there is, also where it cannot be run here.
#[tokio::test]
async fn commands_in_the_pages_exist() {
    let place = Place::new("");
    let mut checked = 0;
    for block in commands() {
        for line in block.typed() {
            let Some(command) = ours(line) else {
                continue;
            };
            let command = command.split(['|', '>', '<', '#', ';', ')']).next();
            let words = command.unwrap_or_default().split_whitespace();
            // What a shell puts in, and what follows it, is not known here.
            let words = words.take_while(|word| !word.contains(['$', '"', '\'', '\\']));
            let words: Vec<&str> = words.chain(["--help"]).collect();
            place.run_well(&words).await;
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

/// What follows the program's name where it is called.
fn ours(line: &str) -> Option<&str> {
    let begins = |before: &str| {
        let before = before.trim_end();
        let ends = ["/usr/bin/", "|", "&&", ";", "--", "=scratch", "gateway"];
        before.is_empty() || ends.iter().any(|end| before.ends_with(end))
    };
    let mut calls = line.match_indices("entrepot ");
    let (at, name) = calls.find(|(at, _)| begins(&line[..*at]))?;
    Some(&line[at + name.len()..])
}

/// Files that the pages name are there, and sections too.
#[test]
fn pages_name_files_that_exist() {
    for page in pages() {
        let text = text(&page);
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (path, section) = target.split_once('#').unwrap_or((target, ""));
            let path = match path {
                "" => source(&page),
                path => folder(&page).join(path),
            };
            assert!(path.exists(), "{page}: {target}");
            assert!(
                section.is_empty() || sections(&path).iter().any(|found| found == section),
                "{page}: {target}"
            );
        }
    }
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = text("README.md");
    for page in pages() {
        assert!(
            page == "README.md" || readme.contains(&format!("]({page})")),
            "{page}"
        );
    }
}

/// The names by which the sections of a page are linked to.
fn sections(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let heads = text.lines().filter(|line| line.starts_with('#'));
    heads
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}
