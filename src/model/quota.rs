//! What a namespace may hold, as somebody has said by the API.

use serde::{Deserialize, Serialize};

/// The quota of a namespace, with the limits at which something happens.
///
/// In a cache the quota itself is the cap. Elsewhere nothing happens but at its limits (Quay).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct QuotaRecord {
    /// By which the API knows it: unique in the installation.
    pub id: u64,
    /// 1 to 2^63 - 1.
    pub limit_bytes: u64,
    /// The oldest first.
    pub limits: Vec<QuotaLimit>,
}

/// What happens at a part of a quota.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct QuotaLimit {
    /// Unique in the installation.
    pub id: u64,
    pub kind: LimitKind,
    /// 1 to 100.
    pub percent: u8,
}

/// What happens at a limit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum LimitKind {
    /// The administrators are told.
    Warning,
    /// Nothing more is taken.
    Reject,
}

impl LimitKind {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "Warning",
            Self::Reject => "Reject",
        }
    }

    /// The kind of that name, in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Warning, Self::Reject];
        all.into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}

impl QuotaRecord {
    /// Bytes at which a limit is reached, rounded down.
    pub fn allowance(&self, limit: &QuotaLimit) -> u64 {
        let bytes = u128::from(self.limit_bytes) * u128::from(limit.percent) / 100;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The most that may be held: the lowest limit that rejects; `None` if none does.
    pub fn most(&self) -> Option<u64> {
        let rejecting = self.of_kind(LimitKind::Reject);
        rejecting.map(|limit| self.allowance(limit)).min()
    }

    /// The limits of a kind.
    pub fn of_kind(&self, kind: LimitKind) -> impl Iterator<Item = &QuotaLimit> {
        self.limits.iter().filter(move |limit| limit.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(id: u64, kind: LimitKind, percent: u8) -> QuotaLimit {
        QuotaLimit { id, kind, percent }
    }

    #[test]
    fn the_lowest_rejecting_limit_is_the_most_that_may_be_held() {
        let mut quota = QuotaRecord {
            id: 1,
            limit_bytes: 1001,
            limits: vec![limit(1, LimitKind::Warning, 50)],
        };
        assert_eq!(quota.most(), None, "a warning refuses nothing");
        quota.limits.push(limit(2, LimitKind::Reject, 100));
        quota.limits.push(limit(3, LimitKind::Reject, 80));
        assert_eq!(quota.most(), Some(800));
        quota.limit_bytes = 8_388_608_000_000_000_000;
        assert_eq!(quota.most(), Some(6_710_886_400_000_000_000));
    }

    #[test]
    fn kinds_are_found_in_any_case() {
        assert_eq!(LimitKind::named("reject"), Some(LimitKind::Reject));
        assert_eq!(LimitKind::named("WARNING"), Some(LimitKind::Warning));
        assert_eq!(LimitKind::named("block"), None);
    }
}
