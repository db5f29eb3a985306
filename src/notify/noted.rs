//! What was noted and not written yet: bounded, and quick to add to.
//!
//! Of equal acts of one minute the first few get a line each; the others get one line with a count. Equal
//! are acts of one kind, in one place, of one thing, by one performer: a cluster that pulls one tag ten
//! thousand times in a minute makes a handful of lines (SC-240). If there are more different acts than there is
//! memory for, they are told without what they were done to, and beyond that they are counted as lost.
//!
//! Shards have a lock each, held for a look into one map, so that noting does not wait for noting.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::pull::Pulled;
use crate::model::{
    Actor, LogEntry, LogKind, NamespaceId, RepositoryId, RobotId, Timestamp, UserId,
};
use crate::oci::Reference;

/// Equal acts of a minute that get a line of their own.
pub(super) const OWN_LINES: u32 = 4;

const SHARDS: usize = 16;

/// Different acts that a shard tells apart; as many again are told without what they were done to.
const ACTS: usize = 1024;

/// Lines of their own that a shard holds.
const LINES: usize = 1024;

/// With so many lines in a shard they are written before the interval ends.
const EARLY: usize = 256;

const MINUTE: i64 = 60_000;

/// What makes acts equal.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Act {
    kind: LogKind,
    namespace: Option<NamespaceId>,
    repository: Option<RepositoryId>,
    who: Who,
    what: What,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum What {
    Reference(Reference),
    /// The metadata of the line.
    Text(String),
    Any,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Who {
    System,
    Anonymous,
    User(UserId),
    Robot(RobotId),
}

/// A line that is to be written.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// Boxed: most lines are pulls, and those of others are much smaller.
    Pulled(Box<Pulled>),
    Entry(LogEntry),
}

/// Everything noted.
pub(super) struct Noted {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// Told when much has been noted.
    pub(super) wanted: Notify,
}

#[derive(Default)]
struct Shard {
    lines: Vec<Line>,
    acts: HashMap<Act, Equal>,
}

/// Equal acts of a minute.
struct Equal {
    minute: i64,
    times: u32,
    /// The line of those that have none of their own.
    more: Option<Line>,
}

impl Act {
    /// The pull of a reference.
    pub(super) fn pull(
        namespace: NamespaceId,
        repository: RepositoryId,
        reference: &Reference,
        actor: &Actor,
    ) -> Self {
        Self {
            kind: LogKind::PullRepo,
            namespace: Some(namespace),
            repository: Some(repository),
            who: Who::of(actor),
            what: What::Reference(reference.clone()),
        }
    }

    /// What a line tells, but for when and from where.
    pub(super) fn of(entry: &LogEntry) -> Self {
        Self {
            kind: entry.kind,
            namespace: entry.namespace,
            repository: entry.repository,
            who: Who::of(&entry.performer),
            what: What::Text(entry.metadata_text().to_owned()),
        }
    }
}

impl Who {
    const fn of(actor: &Actor) -> Self {
        match actor {
            Actor::System => Self::System,
            Actor::Anonymous => Self::Anonymous,
            Actor::User { id, .. } => Self::User(*id),
            Actor::Robot { id, .. } => Self::Robot(*id),
        }
    }
}

impl Line {
    pub(super) fn entry(&self) -> LogEntry {
        match self {
            Self::Pulled(pulled) => pulled.entry(),
            Self::Entry(entry) => entry.clone(),
        }
    }

    pub(super) const fn at(&self) -> Timestamp {
        match self {
            Self::Pulled(pulled) => pulled.at,
            Self::Entry(entry) => entry.at,
        }
    }

    pub(super) const fn count(&self) -> u32 {
        match self {
            Self::Pulled(pulled) => pulled.count,
            Self::Entry(entry) => entry.count,
        }
    }

    const fn add_one(&mut self) {
        let count = match self {
            Self::Pulled(pulled) => &mut pulled.count,
            Self::Entry(entry) => &mut entry.count,
        };
        *count = count.saturating_add(1);
    }
}

impl Noted {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            wanted: Notify::new(),
        }
    }

    /// Notes an act; `line` makes its line, with or without what it was done to. `false` if there is no
    /// memory for it.
    pub(super) fn note(&self, mut act: Act, at: Timestamp, line: impl Fn(bool) -> Line) -> bool {
        let minute = at.as_millis().div_euclid(MINUTE);
        let shard = self.hasher.hash_one(&act) as usize % SHARDS;
        // Lines and counts are whole after every step: a panic elsewhere leaves them so.
        let mut shard = self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_known = |shard: &Shard, act: &Act, most: usize| {
            shard.acts.len() < most || shard.acts.contains_key(act)
        };
        let in_detail = is_known(&shard, &act, ACTS);
        if !in_detail {
            act.what = What::Any;
            if !is_known(&shard, &act, 2 * ACTS) {
                return false;
            }
        }
        shard.add(act, minute, || line(in_detail));
        if shard.lines.len() == EARLY || shard.acts.len() == ACTS * 3 / 4 {
            self.wanted.notify_one();
        }
        true
    }

    /// Takes all lines out, in the order of their times. Acts of the minute of `now` stay counted.
    pub(super) fn take(&self, now: Timestamp) -> Vec<Line> {
        let minute = now.as_millis().div_euclid(MINUTE);
        let mut lines = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            lines.append(&mut shard.lines);
            shard.acts.retain(|_, equal| {
                lines.extend(equal.more.take());
                equal.minute == minute
            });
        }
        lines.sort_by_key(Line::at);
        lines
    }
}

impl Shard {
    fn add(&mut self, act: Act, minute: i64, line: impl FnOnce() -> Line) {
        let is_full = self.lines.len() >= LINES;
        let begin = || Equal {
            minute,
            times: 0,
            more: None,
        };
        let equal = self.acts.entry(act).or_insert_with(begin);
        if equal.minute != minute {
            // With no room for the line of the last minute, that of this one is the same.
            match equal.more.take() {
                Some(more) if is_full => {
                    *equal = Equal {
                        more: Some(more),
                        ..begin()
                    }
                }
                more => {
                    self.lines.extend(more);
                    *equal = begin();
                }
            }
        }
        equal.times = equal.times.saturating_add(1);
        match &mut equal.more {
            Some(more) => more.add_one(),
            None if equal.times <= OWN_LINES && !is_full => self.lines.push(line()),
            none => *none = Some(line()),
        }
    }
}
