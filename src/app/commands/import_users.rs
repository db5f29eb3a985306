//! `entrepot import-users`.

use std::io::Read as _;
use std::path::Path;

use super::listing::carry_out;
use super::output::Output;
use super::{Site, Stop};
use crate::app::htpasswd;
use crate::app::operations::{Clear, ImportedUser, Request};
use crate::model::Secret;

/// Users of one request: a line of the control socket and a transaction each.
const AT_ONCE: usize = 200;

/// Longest file that is read: more than a million users.
const FILE_BYTES: u64 = 128 << 20;

pub(super) fn run(file: &Path, dry_run: bool, site: &Site, output: &Output) -> Result<(), Stop> {
    let text = read(file, output)?;
    let entries = htpasswd::parse(&text).map_err(|mistakes| {
        for mistake in mistakes {
            output.error(format_args!("entrepot: {}: {mistake}", file.display()));
        }
        output.error("entrepot: nobody was imported");
        Stop::Told
    })?;
    if dry_run {
        for entry in &entries {
            output.line(&entry.name);
        }
        return Ok(());
    }
    let users: Vec<ImportedUser> = entries
        .into_iter()
        .map(|entry| ImportedUser {
            name: entry.name,
            hash: Clear(Secret::new(entry.hash)),
        })
        .collect();
    for users in users.chunks(AT_ONCE) {
        let users = users.to_vec();
        carry_out(Request::ImportUsers { users }, site, output)?;
    }
    Ok(())
}

fn read(file: &Path, output: &Output) -> Result<String, Stop> {
    let mut text = String::new();
    let done = match file == Path::new("-") {
        true => std::io::stdin().take(FILE_BYTES).read_to_string(&mut text),
        false => std::fs::File::open(file)
            .and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text)),
    };
    done.map(|_| text).map_err(|error| {
        output.error(format_args!(
            "entrepot: cannot read {}: {error}",
            file.display()
        ));
        Stop::Told
    })
}
