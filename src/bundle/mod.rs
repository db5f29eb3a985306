//! Bundles: content carried across an air gap, as an OCI image layout in a tar archive.
//!
//! Called by `app` for the commands `export`, `import`, `inventory` and `keys`. A bundle is what others
//! can read too (`skopeo copy oci-archive:...`), with a signed description beside the layout: who, when,
//! which number, which tags, every digest. Promises: an export copies nothing aside and can be gone on
//! with at any byte; an import makes nothing visible before every byte was hashed, every manifest's parts
//! are there and the signature was looked at, keeps what it verified when it breaks off, and sets the
//! tags of a repository in one transaction. Nothing is ever unpacked to a path that an archive names.
//! It knows neither files of the operator nor the control socket: bytes come and go through channels.

mod apply;
mod archive;
mod choose;
mod error;
mod export;
mod folder;
mod front;
#[cfg(test)]
mod hostile;
mod import;
mod inventory;
mod keys;
mod layout;
mod names;
mod peek;
mod plan;
mod source;
mod spool;
mod stage;
mod tar;
mod tree;
mod trust;

use std::path::Path;
use std::sync::Arc;

pub use error::Error;
pub use export::{Export, ExportOptions, ExportSummary, send_bytes};
pub use import::{ImportOptions, ImportSummary};
pub use inventory::HAVE_BYTES;
pub use names::Mapping;
pub use peek::{description, send, volume_number};
pub use source::{Input, Source};
pub use trust::{KeyLine, Signatures};

use crate::accounts::Accounts;
use crate::registry::Registry;
use folder::Folder;

/// Bundles of one registry; cheap to clone.
#[derive(Clone)]
pub struct Bundles {
    registry: Registry,
    accounts: Accounts,
    folder: Folder,
    /// One import at a time: two would write the same blobs.
    importing: Arc<tokio::sync::Mutex<()>>,
}

impl Bundles {
    pub fn new(registry: Registry, accounts: Accounts, data_dir: &Path) -> Self {
        Self {
            registry,
            accounts,
            folder: Folder::of(data_dir),
            importing: Arc::default(),
        }
    }

    /// Does something with small files where it may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => Err(Error::refused(error.to_string())),
        }
    }
}
