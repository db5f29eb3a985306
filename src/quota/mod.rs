//! How much a namespace and the disk may hold, and what goes first when it is too much.
//!
//! Called by `registry`, which carries out what is decided here: this room counts and decides, and
//! never deletes. The cap of a namespace covers the bytes it holds, the bytes its fills have
//! reserved, and the bytes of files that are unlinked but still open, at every moment; the disk's
//! reserve covers all namespaces together.

mod evict;
mod ledger;
mod limits;
mod marks;
mod metrics;
mod policy;

pub use evict::{Candidate, Gain, Verdict, order, spared, used, verdict};
pub use ledger::{DiskSpace, Ledger, Lingering, Reservation, Shortage};
pub use limits::{CacheCap, Enforcement, Quota, Quotas};
pub use marks::Pressure;
pub use metrics::Metrics;
pub use policy::{PinSet, Policy};

use crate::model::ByteSize;

/// The free space never touched when nothing is configured: 1 GiB, or 5 % of a smaller volume.
pub fn default_disk_reserve(total: ByteSize) -> ByteSize {
    ByteSize(ByteSize::gib(1).bytes().min(total.bytes() / 20))
}
