//! How an answer came about, as `Cache-Status` (RFC 9211) tells it.

use std::fmt;

use crate::upstream::FailureKind;

/// The ways an answer comes about, a closed set for metrics.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// Held, and nobody was asked.
    Hit,
    /// Held, and upstream confirmed it for this request.
    Validated,
    /// Held, and upstream could not confirm it.
    Stale,
    /// Fetched for this request.
    Miss,
    /// Fetched by a request that this one joined.
    Joined,
    /// Upstream had moved the tag; the new content was fetched.
    Moved,
    /// Passed on without being kept.
    Uncached,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Validated,
        Self::Stale,
        Self::Miss,
        Self::Joined,
        Self::Moved,
        Self::Uncached,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Validated => "validated",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Moved => "moved",
            Self::Uncached => "uncached",
        }
    }

    /// Whether the bytes were here before the request.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Hit | Self::Validated | Self::Stale)
    }
}

/// Why held content was served although it wanted validation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StaleReason {
    /// The deadline passed; the check goes on behind.
    Slow,
    /// A check failed a moment ago.
    Recent,
    /// The first 404 of the two that end a tag.
    Missing,
    Offline,
    Failed(FailureKind),
    /// The new content could not be kept or fetched.
    Store,
}

impl StaleReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "upstream-slow",
            Self::Recent => "checked-a-moment-ago",
            Self::Missing => "upstream-404-once",
            Self::Offline => "offline",
            Self::Failed(kind) => kind.as_str(),
            Self::Store => "store",
        }
    }
}

/// How one answer came about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CacheStatus {
    outcome: Outcome,
    stale: Option<StaleReason>,
}

impl CacheStatus {
    pub(super) const HIT: Self = Self::of(Outcome::Hit);

    pub(super) const fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            stale: None,
        }
    }

    pub(super) const fn stale(reason: StaleReason) -> Self {
        Self {
            outcome: Outcome::Stale,
            stale: Some(reason),
        }
    }

    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether upstream could not confirm what was served.
    pub const fn is_stale(&self) -> bool {
        matches!(self.outcome, Outcome::Stale)
    }

    /// The value of the header for the commonest answers, without making one.
    pub const fn as_static(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::Hit => Some("entrepot; hit"),
            Outcome::Validated => Some("entrepot; fwd=stale; detail=validated"),
            Outcome::Miss => Some("entrepot; fwd=uri-miss; stored"),
            Outcome::Joined => Some("entrepot; fwd=uri-miss; collapsed; stored"),
            Outcome::Moved => Some("entrepot; fwd=stale; stored; detail=moved"),
            Outcome::Uncached => Some("entrepot; fwd=uri-miss; detail=no-room"),
            Outcome::Stale => None,
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_static(), self.stale) {
            (Some(text), _) => f.write_str(text),
            (None, Some(reason)) => write!(f, "entrepot; hit; detail=stale-{}", reason.as_str()),
            (None, None) => f.write_str("entrepot; hit; detail=stale"),
        }
    }
}
