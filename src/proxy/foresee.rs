//! How a pull would be answered, without asking anybody.
//!
//! Called by `app` for `entrepot explain`. It follows the decisions of `manifests` and `validate`, which ask;
//! here nothing is asked, fetched or noted, so what upstream would say stays open.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::freshness::{self, Freshness};
use super::negative::Absent;
use super::{Cache, Proxy, Source};
use crate::model::Timestamp;
use crate::oci::Reference;
use crate::upstream::Standing;

/// What would happen first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Served from what is held; nobody is asked.
    Held,
    /// Upstream is asked where the tag points; what is held is served if it does not answer in time.
    Checked,
    /// The same, but nothing is served if upstream does not answer.
    CheckedStrictly,
    /// Fetched from upstream, which may have it or not.
    Fetched,
    /// Not here, and upstream said a moment ago that it has none either.
    KnownAbsent,
    /// Not here, or not to be served without upstream's word; and no upstream may be asked.
    NotAsked,
    /// Not here, and there is no upstream to ask.
    Absent,
}

/// How a pull would be answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Foreseen {
    pub course: Course,
    /// Of a tag of a cache that is held: how long it is still served without a check.
    pub fresh_for: Option<Duration>,
    /// It was last validated longer ago than `expiration_s`.
    pub expired: bool,
    /// How the upstream stands; `None` without one.
    pub upstream: Option<Standing>,
}

impl Source {
    /// The cache that the repository belongs to, if it is one's.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
    }
}

impl Cache {
    /// How its upstream stands, as the last answers left it.
    pub fn standing(&self) -> Standing {
        self.upstream.standing()
    }
}

impl Proxy {
    /// Whether upstreams are asked at all.
    pub fn asks(&self) -> bool {
        self.may_ask()
    }

    /// Says how a pull of `reference` would be answered; `validated` is when upstream last confirmed it, if it is
    /// a tag that is here, and `is_held` whether the manifest is.
    pub fn foresee(
        &self,
        source: &Source,
        reference: &Reference,
        (validated, is_held): (Option<Timestamp>, bool),
    ) -> Foreseen {
        let now = self.now();
        let Some(cache) = source.cache() else {
            return Foreseen {
                course: if is_held {
                    Course::Held
                } else {
                    Course::Absent
                },
                fresh_for: None,
                expired: false,
                upstream: None,
            };
        };
        let freshness = validated.map(|validated| freshness::judge(&cache.rule, validated, now));
        let course = match freshness {
            _ if !is_held => self.course_of_absent(source, reference, now),
            None | Some(Freshness::Fresh) => Course::Held,
            Some(Freshness::Expired) if cache.rule.strict_expiration => match self.may_ask() {
                true => Course::CheckedStrictly,
                false => Course::NotAsked,
            },
            Some(Freshness::Stale | Freshness::Expired) if !self.may_ask() => Course::Held,
            Some(Freshness::Stale | Freshness::Expired) => Course::Checked,
        };
        let fresh_for = validated.map(|validated| {
            let age = now.since(validated);
            cache.rule.fresh.saturating_sub(age)
        });
        Foreseen {
            course,
            fresh_for: fresh_for.filter(|_| freshness == Some(Freshness::Fresh)),
            expired: freshness == Some(Freshness::Expired),
            upstream: Some(cache.standing()),
        }
    }

    fn course_of_absent(&self, source: &Source, reference: &Reference, now: Timestamp) -> Course {
        let believed = self.inner.settings.load().deadlines.negative;
        let what = Absent::Manifest(source.organization, source.name.clone(), reference.clone());
        if !self.may_ask() {
            Course::NotAsked
        } else if self.inner.negative.is_absent(&what, believed, now) {
            Course::KnownAbsent
        } else {
            Course::Fetched
        }
    }
}
