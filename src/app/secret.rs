//! The installation's own secret: `DATA_DIR/secret.key`, 32 random bytes made once.
//!
//! What the store keeps of robots' tokens, app tokens and signing keys is encrypted under it, so that
//! the store alone tells none of them (AU-10), and upload sessions are signed with it (AU-04: no two
//! installations have the same). A copy of the data without it is a copy whose tokens must be made anew.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

use super::Error;
use crate::accounts::SealKey;

const BYTES: usize = 32;

/// The secret, from which keys are made, each for one use.
pub(super) struct InstallationSecret {
    bytes: [u8; BYTES],
    is_new: bool,
}

impl InstallationSecret {
    /// Reads the secret; makes it, durably, if there is none.
    ///
    /// # Errors
    /// If it cannot be read or made, or is no secret: a file of another length is never replaced,
    /// because what was encrypted under the right one would be lost.
    pub(super) fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("secret.key");
        match File::open(&path) {
            Ok(file) => Self::read(file, &path),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(data_dir, &path),
            Err(error) => Err(Error::file("open", &path, error)),
        }
    }

    fn read(mut file: File, path: &Path) -> Result<Self, Error> {
        let mut bytes = Vec::with_capacity(BYTES + 1);
        // One byte more than it has tells that it is too long.
        let read = (&mut file).take(BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::file("read", path, error))?;
        let bytes = bytes.try_into().map_err(|found: Vec<u8>| {
            Error::Refused(format!(
                "{} has {} bytes where {BYTES} belong; put the right file back, or delete it and make \
                 all robots' and app tokens anew",
                path.display(),
                found.len()
            ))
        })?;
        Ok(Self {
            bytes,
            is_new: false,
        })
    }

    /// Under another name first, so that a crash leaves either no secret or a whole one.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one rename of the secret, in the order of writes"
    )]
    fn create(data_dir: &Path, path: &Path) -> Result<Self, Error> {
        let failed = |what: &'static str| move |error| Error::file(what, path, error);
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::Refused(format!("the system gives no random bytes: {error}"))
        })?;
        let unfinished = data_dir.join("secret.key.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(failed("create"))?;
        file.write_all(&bytes).map_err(failed("write"))?;
        file.sync_all().map_err(failed("sync"))?;
        std::fs::rename(&unfinished, path).map_err(failed("rename"))?;
        let folder = File::open(data_dir).and_then(|folder| folder.sync_all());
        folder.map_err(failed("sync"))?;
        Ok(Self {
            bytes,
            is_new: true,
        })
    }

    /// Whether it was made just now.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The key under which the store's secrets are sealed.
    pub(super) fn seal_key(&self) -> SealKey {
        SealKey::from_bytes(&self.bytes)
    }

    /// The key that upload sessions are signed with.
    pub(super) fn session_key(&self) -> [u8; BYTES] {
        let mut key = [0; BYTES];
        Salt::new(HKDF_SHA256, b"entrepot")
            .extract(&self.bytes)
            .expand(&[b"upload-session.v1"], HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut key))
            .expect("HKDF-SHA-256 gives 32 bytes");
        key
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// AU-04: made once, for its owner alone, another for every installation.
    #[test]
    fn a_secret_is_made_once() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let made = InstallationSecret::open(one.path()).unwrap();
        let again = InstallationSecret::open(one.path()).unwrap();
        assert_eq!(made.bytes, again.bytes);
        assert_eq!(made.session_key(), again.session_key());
        assert_ne!(made.session_key(), made.bytes);
        assert_ne!(
            InstallationSecret::open(other.path()).unwrap().bytes,
            made.bytes
        );
        let mode = std::fs::metadata(one.path().join("secret.key"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_secret_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        for text in [&b""[..], &[7; 31], &[7; 33]] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(
                InstallationSecret::open(folder.path()),
                Err(Error::Refused(_))
            ));
            assert_eq!(std::fs::read(&path).unwrap(), text);
        }
    }
}
