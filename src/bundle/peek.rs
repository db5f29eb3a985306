//! Files of the operator, before their bytes are sent to an import: which volume a file is, and a layout
//! that lies unpacked in a directory as the archive that it would be.
//!
//! Runs in the process of the command, on a thread of its own; everything in here blocks. Nothing it says is
//! believed: the import judges all of it again.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::archive::{INDEX, INVENTORY, LAYOUT, SIGNATURE, VOLUME};
use super::inventory::{INVENTORY_BYTES, Volume};
use super::tar::{self, BLOCK, Kind};

/// Bytes sent at a time.
const PIECE: usize = 256 * 1024;

/// Largest file that is looked at in front of the content.
const FRONT: u64 = INVENTORY_BYTES as u64;

/// The number of a volume, so that volumes can be put into their order; `None` if it has none.
pub fn volume_number(path: &Path) -> Option<u32> {
    let bytes = find(path, VOLUME)?;
    let volume: Volume = serde_json::from_slice(&bytes).ok()?;
    Some(volume.volume)
}

/// The description of a bundle, to be asked what of it is here already; `None` if it has none.
pub fn description(path: &Path) -> Option<Vec<u8>> {
    find(path, INVENTORY)
}

/// A small file at the beginning of an archive.
fn find(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok().filter(|_| path.is_file())?;
    loop {
        let mut block = [0; BLOCK];
        file.read_exact(&mut block).ok()?;
        let header = tar::parse(&block).ok()??;
        if header.size > FRONT {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(tar::padded(header.size)).ok()?];
        file.read_exact(&mut bytes).ok()?;
        if header.path == name {
            bytes.truncate(usize::try_from(header.size).ok()?);
            return Some(bytes);
        }
    }
}

/// Sends the bytes of a file, of a layout in a directory, or of what is being piped in. Members of an
/// archive that are `known` are left out without being read (AG-04).
///
/// # Errors
/// If something cannot be read, or what lies in the directory is no file.
pub fn send(
    path: &Path,
    known: &HashSet<String>,
    mut out: impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    if path == Path::new("-") {
        return copy(&mut io::stdin().lock(), u64::MAX, &mut out).map(drop);
    }
    if fs::metadata(path)?.is_dir() {
        return send_folder(path, &mut out);
    }
    let mut file = File::open(path)?;
    if !known.is_empty() {
        send_members(&mut file, known, &mut out)?;
    }
    copy(&mut file, u64::MAX, &mut out).map(drop)
}

/// Sends members up to the end of the archive, or to the first that is not understood.
fn send_members(
    file: &mut File,
    known: &HashSet<String>,
    out: &mut impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let mut block = [0; BLOCK];
        let read = copy_into(file, &mut block)?;
        let header = match read {
            BLOCK => tar::parse(&block).ok().flatten(),
            _ => None,
        };
        match header {
            Some(header) if header.kind == Kind::File && known.contains(&header.path) => {
                let length = i64::try_from(tar::padded(header.size)).map_err(io::Error::other)?;
                file.seek(SeekFrom::Current(length))?;
            }
            // Whatever a name or size in a PAX record says, it is sent: that is only slower.
            Some(header) => {
                out(Bytes::copy_from_slice(&block))?;
                copy(file, tar::padded(header.size), out)?;
                if header.kind == Kind::Pax {
                    return Ok(());
                }
            }
            None if read == 0 => return Ok(()),
            None => return out(Bytes::copy_from_slice(&block[..read])),
        }
    }
}

/// Fills a buffer as far as the file goes.
fn copy_into(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn send_folder(folder: &Path, out: &mut impl FnMut(Bytes) -> io::Result<()>) -> io::Result<()> {
    let front = [LAYOUT, VOLUME, INVENTORY, SIGNATURE, INDEX];
    for name in front.into_iter().filter(|name| folder.join(name).exists()) {
        send_file(folder, Path::new(name), out)?;
    }
    for name in ["blobs", "entrepot/pieces"] {
        send_below(folder, Path::new(name), 0, out)?;
    }
    out(vec![0; 2 * BLOCK].into())
}

/// Files of a directory and of those in it, in the order of their names.
fn send_below(
    folder: &Path,
    below: &Path,
    depth: usize,
    out: &mut impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    let entries = match fs::read_dir(folder.join(below)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in entries {
        names.push(below.join(entry?.file_name()));
    }
    names.sort();
    for name in names {
        let kind = fs::symlink_metadata(folder.join(&name))?.file_type();
        match kind.is_dir() {
            true if depth < 3 => send_below(folder, &name, depth + 1, out)?,
            _ if kind.is_file() => send_file(folder, &name, out)?,
            _ => return Err(unfit(&name)),
        }
    }
    Ok(())
}

fn send_file(
    folder: &Path,
    name: &Path,
    out: &mut impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    let path = folder.join(name);
    let metadata = fs::symlink_metadata(&path)?;
    let text = name
        .to_str()
        .filter(|_| metadata.is_file())
        .ok_or_else(|| unfit(name))?;
    let size = metadata.len();
    out(tar::head(text, size).into())?;
    let sent = copy(&mut File::open(&path)?, size, out)?;
    if sent != size {
        return Err(io::Error::other(format!(
            "{} changed while it was read",
            path.display()
        )));
    }
    let padding = usize::try_from(tar::padded(size) - size).unwrap_or(0);
    match padding {
        0 => Ok(()),
        padding => out(vec![0; padding].into()),
    }
}

fn unfit(name: &Path) -> io::Error {
    io::Error::other(format!("{} is no plain file", name.display()))
}

/// Sends at most `most` bytes; returns how many there were.
fn copy(
    from: &mut impl Read,
    most: u64,
    out: &mut impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<u64> {
    let mut sent = 0;
    loop {
        let want = usize::try_from(most - sent)
            .unwrap_or(usize::MAX)
            .min(PIECE);
        let mut piece = vec![0; want];
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(sent),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        piece.truncate(read);
        sent += read as u64;
        out(piece.into())?;
    }
}
