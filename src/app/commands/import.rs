//! `entrepot import`.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::transfer::Given;
use super::{Output, Site, Stop};
use crate::app::Error;
use crate::app::cli::ImportArgs;
use crate::app::operations::{Frame, ImportRow, ImportWish, Request, Row};
use crate::bundle;
use crate::model::ByteSize;

pub(super) fn run(given: ImportArgs, site: &Site, output: &Output) -> Result<(), Stop> {
    let files = in_order(given.files);
    let wish = ImportWish {
        files: files
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        signatures: given.signature.map(Into::into),
        into: given.into,
        map: given.map,
        apply_removals: given.apply_removals,
        allow_older: given.allow_older,
        keep_going: given.keep_going,
        dry_run: given.dry_run,
    };
    let (mut receipt, mut complete) = (Vec::new(), true);
    let (json, dry_run) = (given.json, given.dry_run);
    let files = without_known(files, site, output)?;
    site.carry_out_with(Request::Import(wish), files, output, |frame| {
        match frame {
            Frame::Row(row @ Row::Left(_)) => output.line(row.json()),
            Frame::Row(Row::Import(row)) => {
                complete = row.complete;
                match json {
                    true => output.line(Row::Import(row).json()),
                    false => tell(&row, dry_run, output),
                }
            }
            Frame::Bytes(bytes) => receipt.extend_from_slice(&bytes),
            Frame::Progress { text } => output.progress(text),
            Frame::Row(_) | Frame::Done { .. } | Frame::Failed { .. } => {}
        }
        Ok(())
    })?;
    if !receipt.is_empty() {
        keep(&receipt, given.receipt.as_deref(), output)?;
    }
    if complete { Ok(()) } else { Err(Stop::Partial) }
}

/// The files to be sent, without what of them is here already: an import that was interrupted does not read
/// it again.
fn without_known(files: Vec<PathBuf>, site: &Site, output: &Output) -> Result<Vec<Given>, Stop> {
    let description = files.iter().find_map(|path| bundle::description(path));
    let Some(description) = description.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Ok(files.into_iter().map(Given::Path).collect());
    };
    let mut list = Vec::new();
    let asked = site.carry_out_with(
        Request::Present {},
        vec![Given::Text(description)],
        output,
        |frame| {
            if let Frame::Bytes(bytes) = frame {
                list.extend_from_slice(&bytes);
            }
            Ok(())
        },
    );
    // What is wrong with a description is told when the bundle is judged.
    if let Err(Stop::Error(error)) = asked
        && !matches!(*error, Error::Refused(_))
    {
        return Err(Stop::Error(error));
    }
    let known: HashSet<String> = serde_json::from_slice(&list).unwrap_or_default();
    let known = Arc::new(known);
    let without = |path| Given::Without(path, Arc::clone(&known));
    Ok(files.into_iter().map(without).collect())
}

/// Volumes in the order of their numbers: a blob that no volume can hold goes on from one to the next.
fn in_order(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort_by_cached_key(|path| match path.is_file() {
        true => bundle::volume_number(path),
        false => None,
    });
    files
}

fn keep(receipt: &[u8], file: Option<&Path>, output: &Output) -> Result<(), Stop> {
    match file {
        Some(path) => {
            std::fs::write(path, receipt).map_err(|error| Error::file("write", path, error))?;
            output.progress(format_args!(
                "{} is the receipt, for the sender's --since",
                path.display()
            ));
        }
        None => {
            // A reader that left is no error of ours.
            let _ = std::io::stdout().lock().write_all(receipt);
        }
    }
    Ok(())
}

/// On stderr: standard output has the receipt.
fn tell(row: &ImportRow, dry_run: bool, output: &Output) {
    let signed = match &row.signed_by {
        Some(key) => format!("signed with the trusted key {key}"),
        None => "without a signature that was believed".to_owned(),
    };
    let (by, number) = (&row.by, row.sequence);
    output.progress(format_args!(
        "bundle {} of {by}, number {number}, {signed}",
        row.bundle
    ));
    let verb = match (dry_run, row.complete) {
        (true, _) => "would be imported",
        (false, true) => "imported",
        (false, false) => "imported as far as it is complete",
    };
    output.progress(format_args!(
        "{verb}: {} tags of {} repositories, {} manifests, {} new blobs of {}",
        row.tags,
        row.repositories,
        row.manifests,
        row.blobs,
        ByteSize(row.blob_bytes)
    ));
    let removed = if row.removed {
        "removed here too"
    } else {
        "kept here (--apply-removals ends them)"
    };
    for tag in &row.removals {
        output.progress(format_args!("{tag} was removed by the sender: {removed}"));
    }
}
