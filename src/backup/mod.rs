//! Backups: a folder with the rows of the store by time, and the blobs that they need, each once.
//!
//! ```text
//! DIR/
//!   entrepot-backup.json              what this folder is; locked while somebody works on it
//!   blobs/sha256/ab/<hex>             shared by all generations; hard links where the volume allows
//!   generations/20261122T093143Z/     one backup
//!     manifest.json                   release, schema, time, counts, bytes and SHA-256 of what follows
//!     manifest.json.sha256            its own sum, as `sha256sum -c` reads it
//!     store.rows                      every row of the store (`store::dump`)
//!     blobs.list                      digest and size of every blob that belongs to it, a line each
//!     secret.key  bundles.*           the installation's secret and the keys of bundles
//!   generations/.new-<random>/        one on its way; a cut one is removed by the next backup
//! ```
//!
//! Called by `app` for `entrepot backup` and `entrepot restore`. A generation gets its name when all of it
//! is durable, its blobs included, so a cut backup is never taken for a whole one (LC-06). Files are for
//! their owner alone. A restore looks at every sum and at every digest before the result is a store, goes
//! through no link, and takes no path from what it reads (LC-07). Knows neither the control socket nor the
//! registry: rows come as bytes, blobs are read where `blob` says they lie.

mod draft;
mod error;
mod folder;
mod generation;
mod manifest;
mod place;
mod restore;
mod verify;

pub use draft::Draft;
pub use error::Error;
pub use folder::{Folder, Links, Pruned, Taken};
pub use generation::{Generation, GenerationName};
pub use manifest::{BlobLine, Counts, FORMAT, Manifest};
pub use restore::{Restored, Restoring};
pub use verify::{Fault, Verified, verify};

/// The rows of the store, in a generation.
pub const ROWS: &str = "store.rows";

/// The blobs that belong to it.
pub const BLOBS: &str = "blobs.list";
