//! The pages (`README.md` and `docs/`): what they tell to type works, and says what they show.
//!
//! A comment above each block of commands tells how that is known:
//!
//! | comment | |
//! |---|---|
//! | `run` | it is run here, as it stands |
//! | `run: server` | the same, with the page's server in place of the addresses of the page |
//! | `run: serves` | its command starts a server, which is the page's from there on |
//! | `file: NAME` | not of commands: it is what stands in that file |
//! | `run: CI` | `.ci/run` has the same lines |
//! | `test: room::file::name` | that test does the same with the client it names |
//! | `needs: ...` | it cannot be run by a test; this is what it would take |

mod blocks;
mod configurations;
mod marks;
mod story;
mod told;

use std::path::PathBuf;

use crate::package::{source, text};

/// Every page, by its path in the source tree.
fn pages() -> Vec<String> {
    let entries = std::fs::read_dir(source("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    pages.push("README.md".to_owned());
    pages.sort_unstable();
    assert!(pages.len() > 15, "{pages:?}");
    pages
}

/// The folder that the links of a page begin at.
fn folder(page: &str) -> PathBuf {
    source(page).parent().unwrap().to_owned()
}
