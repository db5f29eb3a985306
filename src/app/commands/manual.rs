//! `entrepot man` and `entrepot completions`: what a package ships beside the program.
//!
//! Both are made from the command line itself, so they cannot tell of what is not there. The same program
//! always writes the same bytes.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::aot::{Bash, Fish, Generator, Zsh};

use super::{Output, Stop};
use crate::app::Error;
use crate::app::cli::{Cli, Shell};

/// Writes `entrepot.1` and a page for each command, `entrepot-cache-ls.1` and so on.
pub(super) fn pages(dir: &Path) -> Result<(), Stop> {
    let written = clap_mangen::generate_to(Cli::command(), dir);
    written.map_err(|error| Error::file("write manual pages into", dir, error))?;
    Ok(())
}

/// Prints the completions of one shell.
pub(super) fn completions(shell: Shell, output: &Output) -> Result<(), Stop> {
    let text = match shell {
        Shell::Bash => completion(Bash),
        Shell::Fish => completion(Fish),
        Shell::Zsh => completion(Zsh),
    };
    output.text(&text);
    Ok(())
}

fn completion(generator: impl Generator) -> Vec<u8> {
    let mut text = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(generator, &mut command, name, &mut text);
    text
}
