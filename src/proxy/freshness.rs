//! When a tag may be served without asking upstream. Digests never come here: they cannot change.

use std::time::Duration;

use crate::model::{Timestamp, UpstreamRule};

/// How far a validation may lie ahead of the clock before it is not believed (the clock was wrong).
const AHEAD: Duration = Duration::from_secs(300);

/// What a held tag's age means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Freshness {
    /// Served as it is.
    Fresh,
    /// Validated first, served anyway if upstream cannot tell.
    Stale,
    /// As stale, but refused under `strict_expiration` if upstream cannot tell.
    Expired,
}

/// Judges a tag last validated at `validated`.
pub(super) fn judge(rule: &UpstreamRule, validated: Timestamp, now: Timestamp) -> Freshness {
    if validated.since(now) > AHEAD {
        return Freshness::Stale;
    }
    let age = now.since(validated);
    if rule.expiration.is_some_and(|expiration| age > expiration) {
        Freshness::Expired
    } else if age < rule.fresh {
        Freshness::Fresh
    } else {
        Freshness::Stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PlatformPolicy, ProxyChoice};

    fn rule(fresh: u64, expiration: Option<u64>) -> UpstreamRule {
        UpstreamRule {
            organization: "a".parse().unwrap(),
            upstream: "a.example".parse().unwrap(),
            endpoint: None,
            credentials: None,
            insecure: false,
            ca_file: None,
            proxy: ProxyChoice::None,
            expiration: expiration.map(Duration::from_secs),
            fresh: Duration::from_secs(fresh),
            strict_expiration: false,
            anonymous_pull: true,
            quota: None,
            platforms: PlatformPolicy::Requested,
            pin: vec![],
            max_connections: 8,
            bandwidth: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + seconds * 1000)
    }

    #[test]
    fn a_tag_is_fresh_then_stale_then_expired() {
        let rule = rule(60, Some(3600));
        let judged = |seconds| judge(&rule, at(0), at(seconds));
        assert_eq!(judged(0), Freshness::Fresh);
        assert_eq!(judged(59), Freshness::Fresh);
        assert_eq!(judged(60), Freshness::Stale);
        assert_eq!(judged(3600), Freshness::Stale);
        assert_eq!(judged(3601), Freshness::Expired);
    }

    #[test]
    fn zero_means_every_pull_and_never() {
        assert_eq!(judge(&rule(0, None), at(0), at(0)), Freshness::Stale);
        assert_eq!(
            judge(&rule(0, None), at(0), at(1_000_000)),
            Freshness::Stale
        );
    }

    /// RS-05: a clock that was years ahead leaves no tag fresh for years.
    #[test]
    fn a_validation_from_the_future_is_not_believed() {
        assert_eq!(judge(&rule(60, None), at(200), at(0)), Freshness::Fresh);
        assert_eq!(judge(&rule(60, None), at(301), at(0)), Freshness::Stale);
    }
}
