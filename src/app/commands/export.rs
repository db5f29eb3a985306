//! `entrepot export` and `entrepot inventory`.

use std::io::{self, Write as _};
use std::path::Path;

use super::transfer::Given;
use super::volumes::Volumes;
use super::{Output, Site, Stop};
use crate::app::Error;
use crate::app::cli::ExportArgs;
use crate::app::operations::{ExportRow, ExportWish, Frame, Request, Row};
use crate::model::ByteSize;

pub(super) fn inventory(site: &Site, output: &Output) -> Result<(), Stop> {
    site.carry_out(Request::Inventory {}, output, |frame| match frame {
        Frame::Bytes(bytes) => {
            // A reader that left is no error of ours.
            let _ = io::stdout().lock().write_all(&bytes);
        }
        Frame::Progress { text } => output.progress(text),
        Frame::Row(_) | Frame::Done { .. } | Frame::Failed { .. } => {}
    })
}

pub(super) fn run(given: ExportArgs, site: &Site, output: &Output) -> Result<(), Stop> {
    let mut wish = ExportWish {
        patterns: given.patterns,
        split: given.split,
        keep_going: given.keep_going,
        dry_run: given.dry_run,
        created: given.created,
        sequence: given.sequence,
        by: given.by,
        since: given.since.as_ref().map(|path| path.display().to_string()),
        resume: None,
    };
    let is_piped = given.output == Path::new("-");
    if is_piped && wish.split.is_some() {
        let reason = "volumes are files: --split needs --output FILE";
        return Err(Error::Refused(reason.to_owned()).into());
    }
    let mut volumes = Volumes::new(given.output, &wish);
    if !is_piped && !wish.dry_run {
        volumes.go_on(&mut wish)?;
    }
    let files = given.since.map(Given::Path).into_iter().collect();
    let mut showing = Showing {
        volumes,
        output: *output,
        is_piped,
        json: given.json,
        dry_run: wish.dry_run,
        keep_going: wish.keep_going,
        partial: false,
    };
    let request = Request::Export(wish);
    site.carry_out_with(request, files, output, |frame| showing.take(frame))?;
    if !showing.dry_run {
        let sums = showing.volumes.end(is_piped)?;
        sums.iter().for_each(|line| showing.say(line));
    }
    match showing.partial {
        true => Err(Stop::Partial),
        false => Ok(()),
    }
}

/// What becomes of the frames of an export.
struct Showing {
    volumes: Volumes,
    output: Output,
    is_piped: bool,
    json: bool,
    dry_run: bool,
    keep_going: bool,
    /// Something was left out.
    partial: bool,
}

impl Showing {
    fn take(&mut self, frame: Frame) -> Result<(), Stop> {
        match frame {
            Frame::Row(Row::Left(row)) => {
                self.partial = true;
                self.say(&Row::Left(row).json().to_string());
            }
            Frame::Row(Row::Export(row)) => {
                match self.json {
                    true => self.say(&Row::Export(row.clone()).json().to_string()),
                    false => tell(&row, &|line: &str| self.say(line)),
                }
                if !self.dry_run && (row.missing == 0 || self.keep_going) {
                    self.volumes.begin(&row, self.is_piped)?;
                }
            }
            Frame::Row(Row::Volume(row)) => self.volumes.volume(&row, self.is_piped)?,
            Frame::Bytes(bytes) => self.volumes.write(&bytes)?,
            Frame::Progress { text } => self.output.progress(text),
            Frame::Row(_) | Frame::Done { .. } | Frame::Failed { .. } => {}
        }
        Ok(())
    }

    /// On standard output, unless that is where the bundle goes.
    fn say(&self, line: &str) {
        match self.is_piped {
            true => self.output.progress(line),
            false => self.output.line(line),
        }
    }
}

fn tell(row: &ExportRow, say: &impl Fn(&str)) {
    let bytes = ByteSize(row.volumes.iter().sum());
    let signed = match &row.signed_by {
        Some(key) => format!("signed with the key {key}"),
        None => "not signed (`entrepot keys make` makes a key)".to_owned(),
    };
    say(&format!(
        "bundle {} number {}, {signed}",
        row.bundle, row.sequence
    ));
    say(&format!(
        "{} tags of {} repositories: {} manifests, {} blobs; {bytes} in {} volumes",
        row.tags,
        row.repositories,
        row.manifests,
        row.blobs,
        row.volumes.len()
    ));
    if row.known > 0 {
        let known = ByteSize(row.known_bytes);
        say(&format!(
            "left out, since the receiver has it: {} blobs, {known}",
            row.known
        ));
    }
    if row.removed_tags > 0 {
        say(&format!(
            "tags that are told as removed: {}",
            row.removed_tags
        ));
    }
    if row.missing > 0 {
        say(&format!("images that are not here whole: {}", row.missing));
    }
}
