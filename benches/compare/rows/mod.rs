//! The rows of the table: what is measured, one file a kind.

mod api;
mod binary;
mod blobs;
mod collect;
mod eviction;
mod fan_out;
mod ingest;
mod manifests;
mod many;
mod memory;
mod mirror;
mod mirrored;
mod push;
mod soak;
mod stale;
mod start;
mod upkeep;

use crate::failure::{Failure, Outcome};
use crate::report::{Line, progress};
use crate::site::Site;

/// A part of the table that can be asked for alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Row {
    Manifest,
    SmallBlob,
    BigBlob,
    Tls,
    FanOut,
    Stale,
    Push,
    Images,
    Ingest,
    Memory,
    Start,
    Collection,
    Mirror,
    Upkeep,
    Eviction,
    Api,
    Binary,
    Soak,
}

impl Row {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 18] = [
        Self::Manifest,
        Self::SmallBlob,
        Self::BigBlob,
        Self::Tls,
        Self::FanOut,
        Self::Stale,
        Self::Push,
        Self::Images,
        Self::Ingest,
        Self::Memory,
        Self::Start,
        Self::Collection,
        Self::Mirror,
        Self::Upkeep,
        Self::Eviction,
        Self::Api,
        Self::Binary,
        Self::Soak,
    ];

    /// What it is called on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::SmallBlob => "blob-1m",
            Self::BigBlob => "blob-100m",
            Self::Tls => "tls",
            Self::FanOut => "fan-out",
            Self::Stale => "stale",
            Self::Push => "push",
            Self::Images => "images",
            Self::Ingest => "ingest",
            Self::Memory => "memory",
            Self::Start => "start",
            Self::Collection => "gc",
            Self::Mirror => "mirror",
            Self::Upkeep => "upkeep",
            Self::Eviction => "eviction",
            Self::Api => "api",
            Self::Binary => "binary",
            Self::Soak => "soak",
        }
    }

    /// Whether it is measured only when it is asked for.
    pub(crate) fn is_long(self) -> bool {
        self == Self::Soak
    }

    /// The row of this name.
    pub(crate) fn named(name: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|row| row.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Failure::new(format!("no row is called {name:?}; there are {names}"))
        })
    }

    /// Measures it.
    pub(crate) async fn measure(self, site: &Site) -> Outcome<Vec<Line>> {
        progress(self.name());
        match self {
            Self::Manifest => manifests::measure(site).await,
            Self::SmallBlob => blobs::small(site).await,
            Self::BigBlob => blobs::big(site).await,
            Self::Tls => blobs::tls(site).await,
            Self::FanOut => fan_out::measure(site).await,
            Self::Stale => stale::measure(site).await,
            Self::Push => push::manifests(site).await,
            Self::Images => push::images(site).await,
            Self::Ingest => ingest::measure(site).await,
            Self::Memory => memory::measure(site).await,
            Self::Start => start::measure(site).await,
            Self::Collection => collect::measure(site).await,
            Self::Mirror => mirror::measure(site).await,
            Self::Upkeep => upkeep::measure(site).await,
            Self::Eviction => eviction::measure(site).await,
            Self::Api => api::measure(site).await,
            Self::Binary => binary::measure(),
            Self::Soak => soak::measure(site).await,
        }
    }
}
