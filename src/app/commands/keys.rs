//! `entrepot keys`.

use std::io::Read as _;
use std::path::Path;

use super::listing::{carry_out, list};
use super::output::Cell;
use super::{Output, Site, Stop};
use crate::app::Error;
use crate::app::cli::KeysCommand;
use crate::app::operations::{Request, Row};

/// Longest key file that is read.
const FILE_BYTES: u64 = 4096;

const HEAD: [&str; 3] = ["KEY", "USE", "PUBLIC KEY"];

pub(super) fn run(command: KeysCommand, site: &Site, output: &Output) -> Result<(), Stop> {
    let show = |request, json| list(request, json, (site, output), HEAD, cells);
    match command {
        KeysCommand::Make => show(Request::MakeKey {}, false),
        KeysCommand::Ls { json } => show(Request::ListKeys {}, json),
        KeysCommand::Trust { key } => {
            let text = read(&key)?;
            show(Request::TrustKey { text }, false)
        }
        KeysCommand::Rm { id } => carry_out(Request::DistrustKey { id }, site, output),
    }
}

fn cells(row: Row) -> Option<[Cell; 3]> {
    let Row::Key(key) = row else { return None };
    let purpose = if key.own { "signs" } else { "trusted" };
    Some([
        Cell::Text(key.id),
        Cell::of(purpose),
        Cell::Text(key.public),
    ])
}

/// The key itself, or what a file has.
fn read(key: &str) -> Result<String, Stop> {
    let path = Path::new(key);
    let mut text = String::new();
    let read = match key {
        "-" => std::io::stdin()
            .lock()
            .take(FILE_BYTES)
            .read_to_string(&mut text),
        _ if path.is_file() => std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text)),
        _ => return Ok(key.to_owned()),
    };
    read.map_err(|error| Error::file("read", path, error))?;
    Ok(text)
}
