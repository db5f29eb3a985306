//! Manifests of an import, kept in one unnamed file until they are looked at: they may be many, and
//! memory is not to grow with them (AG-02: at most 64 MiB of it, AG-10).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::Error;
use crate::oci::Digest;

/// More bytes of manifests than this are in no bundle.
const MOST: u64 = 64 << 20;

/// Documents by their digests.
pub(super) struct Spool {
    file: Arc<File>,
    at: HashMap<Digest, (u64, usize)>,
    end: u64,
}

impl Spool {
    /// Makes the file in `folder` and takes its name away: it goes with the process.
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
        let mut number = [0; 8];
        getrandom::fill(&mut number)
            .map_err(|_| Error::refused("the system gives no random bytes"))?;
        let path = folder.join(format!("manifests.{:016x}", u64::from_be_bytes(number)));
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = made.map_err(|error| Error::file("make", &path, error))?;
        std::fs::remove_file(&path).map_err(|error| Error::file("unlink", &path, error))?;
        Ok(Self {
            file: Arc::new(file),
            at: HashMap::new(),
            end: 0,
        })
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.at.contains_key(digest)
    }

    /// Keeps a document whose digest was compared.
    pub(super) async fn put(
        &mut self,
        file: &str,
        digest: Digest,
        bytes: Bytes,
    ) -> Result<(), Error> {
        if self.has(&digest) {
            return Ok(());
        }
        let (start, length) = (self.end, bytes.len());
        if start + length as u64 > MOST {
            let reason = format!("its manifests have more than {MOST} bytes");
            return Err(Error::hostile(file, reason));
        }
        let spool = self.file.clone();
        blocking(move || spool.write_all_at(&bytes, start)).await?;
        self.at.insert(digest, (start, length));
        self.end += length as u64;
        Ok(())
    }

    pub(super) async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let Some(&(start, length)) = self.at.get(digest) else {
            return Ok(None);
        };
        let spool = self.file.clone();
        let read = move || {
            let mut bytes = vec![0; length];
            spool.read_exact_at(&mut bytes, start)?;
            Ok(bytes)
        };
        Ok(Some(blocking(read).await?.into()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    done.map_err(|error| Error::file("use", Path::new("the file of manifests"), error))
}
