//! Reads backups back, without restoring them.

use std::collections::BTreeMap;
use std::io;

use super::place::{digest_of, open_beneath};
use super::{BlobLine, Error, Folder, Generation, GenerationName};
use crate::blob;
use crate::oci::Digest;

/// Something that is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The first generation that it concerns.
    pub generation: GenerationName,
    /// The blob, if it is one.
    pub digest: Option<Digest>,
    pub reason: String,
}

/// What was read back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Verified {
    pub generations: u64,
    pub blobs: u64,
    pub bytes: u64,
    pub faults: u64,
}

/// Compares every file of one generation, or of all, and every blob they need, with its sum; tells
/// `found` of each that is another, and `progress` of bytes as they are read, behind their sum.
///
/// # Errors
/// Only where nothing can be found out.
pub fn verify(
    folder: &Folder,
    which: Option<&GenerationName>,
    begin: &mut dyn FnMut(u64),
    progress: &mut dyn FnMut(u64),
    found: &mut dyn FnMut(Fault),
) -> Result<Verified, Error> {
    let names = match which {
        Some(name) => vec![folder.generation(Some(name))?.name],
        None => folder.generations()?,
    };
    if names.is_empty() {
        folder.generation(None)?;
    }
    let mut verified = Verified::default();
    let mut blobs: BTreeMap<BlobLine, GenerationName> = BTreeMap::new();
    for name in names {
        verified.generations += 1;
        let mut tell = |reason: Error| {
            verified.faults += 1;
            found(Fault {
                generation: name.clone(),
                digest: None,
                reason: reason.to_string(),
            });
        };
        let generation = match Generation::open(folder.root(), &name) {
            Ok(generation) => generation,
            Err(error) => {
                tell(error);
                continue;
            }
        };
        for file in generation.files() {
            if let Err(error) = generation.file(file) {
                tell(error);
            }
        }
        for file in [super::ROWS, super::BLOBS] {
            if !generation.manifest.files.contains_key(file) {
                tell(Error::refused(format!("the manifest names no {file}")));
            }
        }
        for line in generation.blobs().unwrap_or_default() {
            blobs.entry(line).or_insert_with(|| name.clone());
        }
    }
    begin(blobs.keys().map(|line| line.size_bytes).sum());
    for (line, generation) in blobs {
        verified.blobs += 1;
        match look_at(folder, &line, progress) {
            Ok(()) => verified.bytes += line.size_bytes,
            Err(reason) => {
                verified.faults += 1;
                found(Fault {
                    generation,
                    digest: Some(line.digest),
                    reason,
                });
            }
        }
    }
    Ok(verified)
}

fn look_at(folder: &Folder, line: &BlobLine, progress: &mut dyn FnMut(u64)) -> Result<(), String> {
    let file = open_beneath(folder.root(), &blob::place_of(&line.digest));
    let Some(mut file) = file.map_err(|error| error.to_string())? else {
        return Err("it is gone".to_owned());
    };
    let read = digest_of(&mut file, &line.digest, |piece| {
        progress(piece.len() as u64);
        Ok::<(), io::Error>(())
    });
    match read {
        Ok((found, length)) if found == line.digest && length == line.size_bytes => Ok(()),
        Ok(_) => Err("its bytes are not those of its digest".to_owned()),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}
