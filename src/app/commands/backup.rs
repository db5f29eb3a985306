//! `entrepot backup`.

use std::path::Path;

use tokio::sync::mpsc;

use super::transfer::Meter;
use super::{Output, Site, Stop};
use crate::app::Error;
use crate::app::cli::BackupArgs;
use crate::app::operations::{BackupWish, Frame, Request, Row, SnapshotRow};
use crate::backup::{
    self, BLOBS, BlobLine, Counts, Draft, Folder, GenerationName, Links, Manifest, Pruned, Taken,
};
use crate::bundle::Input;
use crate::config::Config;
use crate::model::{ByteSize, Clock, Timestamp};
use crate::oci::Digest;

pub(super) fn run(given: &BackupArgs, site: &Site, output: &Output) -> Result<(), Stop> {
    if given.list {
        return list(given, output);
    }
    if given.verify {
        return verify(given, output);
    }
    let config = site.config(output)?;
    let folder = Folder::create(&given.dir, &config.data_dir)?;
    let mut backup = Backup {
        given,
        config: &config,
        output,
        folder,
        tally: Tally::default(),
    };
    let taken = Clock::System.now();
    // Most of it beforehand, so that files are held only for the little that comes meanwhile.
    backup.copy_ahead(site)?;
    let name = backup.take(site, taken)?;
    let pruned = match given.keep {
        Some(keep) => backup.folder.prune(keep.get())?,
        None => Pruned::default(),
    };
    tell(&name, &backup.tally, &pruned, given, output);
    match backup.tally.absent.is_empty() {
        true => Ok(()),
        false => Err(Stop::Partial),
    }
}

/// What became of the blobs.
#[derive(Default)]
struct Tally {
    counts: Counts,
    linked: u64,
    copied: u64,
    copied_bytes: u64,
    /// Gone or damaged already.
    absent: Vec<Digest>,
}

/// A backup under way.
struct Backup<'a> {
    given: &'a BackupArgs,
    config: &'a Config,
    output: &'a Output,
    folder: Folder,
    tally: Tally,
}

impl Backup<'_> {
    /// Copies what is there now. What is gone or damaged is looked at again with the snapshot.
    fn copy_ahead(&mut self, site: &Site) -> Result<(), Stop> {
        let mut list = Vec::new();
        let wish = BackupWish {
            cached: self.given.cached,
            rows: false,
        };
        let (_, input) = mpsc::channel(1);
        site.run(
            self.config,
            Request::Backup(wish),
            input,
            self.output,
            |frame| {
                if let Frame::Bytes(bytes) = frame {
                    list.extend_from_slice(&bytes);
                }
                Ok(())
            },
        )?;
        let lines = lines_of(list)?;
        self.copy(&lines)?;
        self.tally.absent.clear();
        self.folder.sync()?;
        Ok(())
    }

    /// Copies blobs that are not here yet.
    fn copy(&mut self, lines: &[BlobLine]) -> Result<(), Error> {
        let total = lines.iter().map(|line| line.size_bytes).sum();
        let mut meter = Meter::new(total, "copied, or here already");
        let links = if self.given.copy {
            Links::Avoided
        } else {
            Links::Made
        };
        for line in lines {
            let mut counted = 0;
            let taken = self
                .folder
                .take(&self.config.data_dir, line, links, |bytes| {
                    counted += bytes;
                    meter.count(bytes);
                })?;
            meter.count(line.size_bytes.saturating_sub(counted));
            match taken {
                Taken::Present => {}
                Taken::Linked => self.tally.linked += 1,
                Taken::Copied => {
                    self.tally.copied += 1;
                    self.tally.copied_bytes += line.size_bytes;
                }
                Taken::Absent | Taken::Damaged => self.tally.absent.push(line.digest),
            }
        }
        Ok(())
    }

    /// Takes the snapshot and what of its blobs is still missing.
    fn take(&mut self, site: &Site, taken: Timestamp) -> Result<GenerationName, Stop> {
        let mut draft = self.folder.begin()?;
        let mut snapshot = None;
        let wish = BackupWish {
            cached: self.given.cached,
            rows: true,
        };
        let (done, input) = mpsc::channel(1);
        let config = self.config;
        site.run(config, Request::Backup(wish), input, self.output, |frame| {
            match frame {
                Frame::Row(Row::Part(part)) => draft.begin_file(&part.name)?,
                Frame::Bytes(bytes) => draft.write(&bytes)?,
                Frame::Row(Row::Snapshot(row)) => {
                    let lines = lines_of(draft.written(BLOBS)?)?;
                    self.copy(&lines)?;
                    snapshot = Some(row);
                    // Nothing has to be held any more; the channel has a place for this.
                    let _ = done.try_send(Input::End);
                }
                _ => {}
            }
            Ok(())
        })?;
        let snapshot = snapshot.ok_or_else(|| Error::Control {
            reason: "the answer ended without a snapshot".to_owned(),
        })?;
        self.tally.counts = snapshot.counts;
        draft.add_files_of(&config.data_dir, !self.given.without_secrets)?;
        self.folder.sync()?;
        Ok(self.finish(draft, snapshot, taken)?)
    }

    fn finish(
        &self,
        draft: Draft,
        snapshot: SnapshotRow,
        taken: Timestamp,
    ) -> Result<GenerationName, backup::Error> {
        draft.finish(Manifest {
            format: backup::FORMAT,
            version: snapshot.version,
            schema: snapshot.schema,
            taken: taken.to_string(),
            cached: self.given.cached,
            secrets: !self.given.without_secrets,
            counts: snapshot.counts,
            absent: self.tally.absent.clone(),
            files: std::collections::BTreeMap::new(),
        })
    }
}

fn lines_of(list: Vec<u8>) -> Result<Vec<BlobLine>, Error> {
    let list = String::from_utf8(list).ok();
    let lines = list.and_then(|list| BlobLine::read_all(&list));
    lines.ok_or_else(|| Error::Control {
        reason: "the list of blobs is not understood".to_owned(),
    })
}

fn tell(
    name: &GenerationName,
    tally: &Tally,
    pruned: &Pruned,
    given: &BackupArgs,
    output: &Output,
) {
    let counts = &tally.counts;
    if given.json {
        let removed: Vec<String> = pruned.generations.iter().map(ToString::to_string).collect();
        output.line(serde_json::json!({
            "generation": name.to_string(),
            "counts": counts,
            "linked": tally.linked,
            "copied": tally.copied,
            "copied_bytes": tally.copied_bytes,
            "absent": tally.absent,
            "secrets": !given.without_secrets,
            "cached": given.cached,
            "removed_generations": removed,
            "removed_blobs": pruned.blobs,
            "removed_bytes": pruned.blob_bytes,
        }));
        return;
    }
    let bytes = ByteSize(counts.blob_bytes);
    output.line(format_args!(
        "backup {name}: {} tags of {} repositories, {} rows; {} blobs, {bytes}",
        counts.tags, counts.repositories, counts.rows, counts.blobs
    ));
    output.line(format_args!(
        "new: {} linked, {} copied ({})",
        tally.linked,
        tally.copied,
        ByteSize(tally.copied_bytes)
    ));
    if !pruned.generations.is_empty() || pruned.blobs > 0 {
        output.line(format_args!(
            "removed: {} backups, {} blobs ({})",
            pruned.generations.len(),
            pruned.blobs,
            ByteSize(pruned.blob_bytes)
        ));
    }
    for digest in &tally.absent {
        output.line(format_args!(
            "not in it: {digest} is gone or damaged here; `entrepot scrub` tells whose it is"
        ));
    }
    if given.without_secrets {
        output.progress(LOST);
    }
}

/// What a backup without secrets lacks.
pub(super) const LOST: &str = "without secret.key: after a restore users keep their passwords, but robots, app \
    tokens and applications need new tokens, caches and mirrors their upstream passwords; bundles are signed with \
    a new key";

fn list(given: &BackupArgs, output: &Output) -> Result<(), Stop> {
    let folder = Folder::existing(&given.dir)?;
    for name in folder.generations()? {
        let generation = match folder.generation(Some(&name)) {
            Ok(generation) => generation,
            Err(error) => {
                output.error(format_args!("{name}: {error}"));
                continue;
            }
        };
        let Manifest {
            version, counts, ..
        } = &generation.manifest;
        match given.json {
            true => {
                let mut row = serde_json::to_value(&generation.manifest).expect("it was JSON");
                row["generation"] = name.to_string().into();
                output.line(row);
            }
            false => output.line(format_args!(
                "{name}  {} tags, {} blobs ({}), by {version}",
                counts.tags,
                counts.blobs,
                ByteSize(counts.blob_bytes)
            )),
        }
    }
    Ok(())
}

fn verify(given: &BackupArgs, output: &Output) -> Result<(), Stop> {
    let folder = Folder::existing(Path::new(&given.dir))?;
    let meter = std::cell::RefCell::new(Meter::new(0, "read"));
    let mut begin = |total| *meter.borrow_mut() = Meter::new(total, "read");
    let mut progress = |bytes| meter.borrow_mut().count(bytes);
    let mut found = |fault: backup::Fault| {
        let what = fault
            .digest
            .map_or_else(String::new, |digest| format!("blob {digest}: "));
        match given.json {
            true => output.line(serde_json::json!({
                "generation": fault.generation.to_string(),
                "digest": fault.digest,
                "fault": fault.reason,
            })),
            false => output.line(format_args!("{}: {what}{}", fault.generation, fault.reason)),
        }
    };
    let which = given.generation.as_ref();
    let verified = backup::verify(&folder, which, &mut begin, &mut progress, &mut found)?;
    match given.json {
        true => output.line(serde_json::json!({
            "generations": verified.generations,
            "blobs": verified.blobs,
            "bytes": verified.bytes,
            "faults": verified.faults,
        })),
        false => output.line(format_args!(
            "{} backups and {} blobs ({}) read: {} faults",
            verified.generations,
            verified.blobs,
            ByteSize(verified.bytes),
            verified.faults
        )),
    }
    match verified.faults {
        0 => Ok(()),
        _ => Err(Stop::Told),
    }
}
