//! The files of an export.
//!
//! The server, or this process, gives bytes; here they become volumes. A volume has the ending `.partial`
//! until it is whole. Beside them lies what was asked for, so that the same command goes on where an
//! earlier one broke off.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Stop;
use super::transfer::Meter;
use crate::app::Error;
use crate::app::operations::{ExportRow, ExportWish, Resume, VolumeRow};
use crate::model::Timestamp;
use crate::oci::{Algorithm, Digest, Hasher};

/// Bytes hashed at a time when an export goes on.
const PIECE: usize = 256 * 1024;

/// What lies beside an export that is not complete.
#[derive(Deserialize, Eq, PartialEq, Serialize)]
struct State {
    wish: ExportWish,
    bundle: Digest,
    sequence: u64,
    created: Timestamp,
    volumes: u32,
}

/// The files of an export.
pub(super) struct Volumes {
    output: PathBuf,
    /// What was asked for.
    wish: ExportWish,
    /// What an earlier export left.
    earlier: Option<State>,
    is_split: bool,
    current: Option<Current>,
    /// Lines of sha256sum.
    sums: Vec<String>,
    meter: Meter,
}

/// The volume that is being written.
struct Current {
    /// `None`: standard output.
    file: Option<File>,
    path: PathBuf,
    hasher: Hasher,
    left: u64,
}

impl Volumes {
    pub(super) fn new(output: PathBuf, wish: &ExportWish) -> Self {
        Self {
            output,
            is_split: wish.split.is_some(),
            wish: wish.clone(),
            earlier: None,
            current: None,
            sums: Vec::new(),
            meter: Meter::new(0, "written"),
        }
    }

    /// Looks for what an earlier export of the same things left.
    pub(super) fn go_on(&mut self, wish: &mut ExportWish) -> Result<(), Stop> {
        let path = with_suffix(&self.output, ".resume");
        let state = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<State>(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::file("read", path, error).into()),
        };
        let Some(state) = state.filter(|state| state.wish == *wish) else {
            return match self.name(1).exists() {
                true => {
                    let name = self.name(1);
                    let reason =
                        format!("{} is there already; choose another name", name.display());
                    Err(Error::Refused(reason).into())
                }
                false => Ok(()),
            };
        };
        let first = (1..=state.volumes).find(|number| !self.name(*number).exists());
        let volume = first.unwrap_or(state.volumes + 1);
        let unfinished = with_suffix(&self.name(volume), ".partial");
        wish.created = Some(state.created);
        wish.sequence = Some(state.sequence);
        wish.resume = Some(Resume {
            bundle: state.bundle,
            volume,
            bytes: fs::metadata(unfinished).map_or(0, |metadata| metadata.len()),
        });
        self.earlier = Some(state);
        Ok(())
    }

    /// Notes what is being written.
    pub(super) fn begin(&mut self, row: &ExportRow, is_piped: bool) -> Result<(), Stop> {
        self.meter = Meter::new(row.volumes.iter().sum(), "written");
        if is_piped {
            return Ok(());
        }
        let count = u32::try_from(row.volumes.len()).unwrap_or(u32::MAX);
        if let Some(earlier) = &self.earlier {
            if earlier.bundle == row.bundle {
                let paths = (1..=count).map(|number| self.name(number));
                let paths: Vec<PathBuf> = paths.take_while(|path| path.exists()).collect();
                for path in paths {
                    let (hasher, length) = hash(&path)?;
                    self.meter.count(length);
                    self.sums.push(sum_line(&path, hasher));
                }
                return Ok(());
            }
            // The content has changed: what was written belongs to another bundle.
            for number in 1..=earlier.volumes {
                let path = self.name(number);
                remove(&path)?;
                remove(&with_suffix(&path, ".partial"))?;
            }
        }
        let state = State {
            wish: self.wish.clone(),
            bundle: row.bundle,
            sequence: row.sequence,
            created: row.created,
            volumes: count,
        };
        let path = with_suffix(&self.output, ".resume");
        let bytes = serde_json::to_vec(&state).expect("texts and numbers are always JSON");
        fs::write(&path, bytes).map_err(|error| Error::file("write", path, error))?;
        Ok(())
    }

    /// Begins a volume, or goes on with it.
    pub(super) fn volume(&mut self, row: &VolumeRow, is_piped: bool) -> Result<(), Stop> {
        self.finish()?;
        let path = self.name(row.number);
        let mut current = Current {
            file: None,
            path: path.clone(),
            hasher: Hasher::new(Algorithm::Sha256),
            left: row.bytes - row.from.min(row.bytes),
        };
        if !is_piped {
            let unfinished = with_suffix(&path, ".partial");
            let failed = |error| Error::file("write", &unfinished, error);
            let opened = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&unfinished);
            let mut file = opened.map_err(failed)?;
            file.set_len(row.from).map_err(failed)?;
            if row.from > 0 {
                (current.hasher, _) = hash(&unfinished)?;
                self.meter.count(row.from);
            }
            file.seek(io::SeekFrom::End(0)).map_err(failed)?;
            current.file = Some(file);
        }
        self.current = Some(current);
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &Bytes) -> Result<(), Stop> {
        let Some(current) = &mut self.current else {
            let reason = "bytes came without their volume".to_owned();
            return Err(Error::Control { reason }.into());
        };
        let written = match &mut current.file {
            Some(file) => file.write_all(bytes),
            None => io::stdout().lock().write_all(bytes),
        };
        written.map_err(|error| Error::file("write", &current.path, error))?;
        current.hasher.update(bytes);
        current.left = current.left.saturating_sub(bytes.len() as u64);
        self.meter.count(bytes.len() as u64);
        Ok(())
    }

    /// Gives the volume that was written its name.
    #[expect(
        clippy::disallowed_methods,
        reason = "a file of the operator, whole before it has its name"
    )]
    fn finish(&mut self) -> Result<(), Stop> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        if current.left > 0 {
            let reason = "a volume ends too early".to_owned();
            return Err(Error::Control { reason }.into());
        }
        match current.file {
            Some(file) => {
                let unfinished = with_suffix(&current.path, ".partial");
                let named = file
                    .sync_all()
                    .and_then(|()| fs::rename(&unfinished, &current.path));
                named.map_err(|error| Error::file("write", &current.path, error))?;
            }
            None => {
                let flushed = io::stdout().lock().flush();
                flushed.map_err(|error| Error::file("write", &current.path, error))?;
            }
        }
        self.sums.push(sum_line(&current.path, current.hasher));
        Ok(())
    }

    /// Ends the export; returns the sums of its volumes, which lie beside them too.
    pub(super) fn end(&mut self, is_piped: bool) -> Result<Vec<String>, Stop> {
        self.finish()?;
        if !is_piped {
            let path = with_suffix(&self.output, ".sha256");
            let text = self
                .sums
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>();
            fs::write(&path, text).map_err(|error| Error::file("write", path, error))?;
            remove(&with_suffix(&self.output, ".resume"))?;
        }
        Ok(std::mem::take(&mut self.sums))
    }

    /// `site.tar`, or `site.001.tar`.
    fn name(&self, number: u32) -> PathBuf {
        if !self.is_split {
            return self.output.clone();
        }
        let stem = self.output.file_stem().unwrap_or_default();
        let mut name = stem.to_os_string();
        name.push(format!(".{number:03}"));
        if let Some(extension) = self.output.extension() {
            name.push(".");
            name.push(extension);
        }
        self.output.with_file_name(name)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> Result<(), Stop> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, error).into())
        }
        _ => Ok(()),
    }
}

/// Hashes a file; tells how long it is.
fn hash(path: &Path) -> Result<(Hasher, u64), Stop> {
    let failed = |error| Error::file("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hasher, mut length) = (Hasher::new(Algorithm::Sha256), 0);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok((hasher, length)),
            read => {
                hasher.update(&piece[..read]);
                length += read as u64;
            }
        }
    }
}

/// As sha256sum prints it, for `sha256sum -c`.
fn sum_line(path: &Path, hasher: Hasher) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{}  {name}", hasher.finish().hex())
}
