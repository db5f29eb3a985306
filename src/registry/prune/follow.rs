//! The walk through a namespace's repositories that follows policies.
//!
//! Called by `jobs`, by the operator's command and by the API's preview, a step at a time: a step looks at one
//! page of a repository's tags, the newest first, and ends or tells those that go. The writer is held for some
//! 2 ms at a time. A walk that is cut off is begun again at any repository; what it ended stays ended, and the
//! next one takes the rest (GC-08).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::choose::{Choice, Seen};
use super::companions::{Gone, companions};
use super::{Follow, Origin, Prune, PruneStep, PruneWalk, PrunedTag, of_scope};
use crate::model::{
    LogKind, NamespaceId, Performer, PolicyScope, PrunePolicy, RepositoryId, RepositoryRecord,
    RepositoryState, TagList, TagRecord, Timestamp, Unit,
};
use crate::oci::{RepositoryName, Tag};
use crate::registry::hot::Touched;
use crate::registry::patterns::Over;
use crate::registry::pointing::Change;
use crate::registry::told::Told;
use crate::registry::{Error, Registry};
use crate::store::{self, ReadTx, WriteTx};

/// Repositories read in one go (Quay).
const REPOSITORIES: usize = 50;

/// Tags looked at in one step.
const TAGS: usize = 500;

/// How long a transaction goes on with further tags, as the collector's.
const STOP: Duration = Duration::from_millis(2);

/// A walk under way.
pub struct Pruning {
    registry: Registry,
    walk: PruneWalk,
    follow: Follow,
    mode: Prune,
    /// Repositories that were read and not begun.
    ahead: VecDeque<(RepositoryName, RepositoryId)>,
    /// There are none behind those.
    is_last: bool,
    open: Option<Open>,
    has_policies: bool,
}

/// The repository that is walked through.
struct Open {
    unit: (NamespaceId, RepositoryId),
    name: RepositoryName,
    /// What was in force when it was opened.
    policies: Arc<[(Origin, PrunePolicy)]>,
    choice: Choice,
    /// The place of the last tag that was looked at.
    before: Option<u64>,
    /// Those that are told to go.
    gone: Gone,
}

/// What a look at a page found.
struct Looked {
    open: Open,
    chosen: Vec<PrunedTag>,
    examined: usize,
}

impl Registry {
    /// The walk through all of a scope.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if the scope is gone.
    pub async fn prune_walk(&self, scope: PolicyScope) -> Result<PruneWalk, Error> {
        let repository = match scope {
            PolicyScope::Namespace(namespace) => return Ok(PruneWalk::of(namespace)),
            PolicyScope::Repository(repository) => repository,
        };
        let read = move |tx: &ReadTx| {
            let record = tx.repositories().record(repository)?;
            record.ok_or(Error::NameUnknown)
        };
        let record = self.inner.store.read(read).await?;
        Ok(PruneWalk {
            only: Some(record.name),
            ..PruneWalk::of(record.namespace)
        })
    }

    /// Begins a walk.
    ///
    /// # Errors
    /// [`crate::registry::PolicyFault::Pattern`] if the one policy that is to be followed has a pattern that is none.
    pub fn prune(&self, walk: PruneWalk, follow: Follow, mode: Prune) -> Result<Pruning, Error> {
        if let Follow::Only(PrunePolicy {
            tag_pattern: Some(pattern),
            ..
        }) = &follow
        {
            self.inner.patterns.compile(Over::Part, pattern)?;
        }
        Ok(Pruning {
            registry: self.clone(),
            walk,
            follow,
            mode,
            ahead: VecDeque::new(),
            is_last: false,
            open: None,
            has_policies: false,
        })
    }

    /// What is said of a repository, whether or not anything is ever pruned there.
    fn in_force(
        &self,
        tx: &ReadTx,
        follow: &Follow,
        (namespace, repository): (NamespaceId, RepositoryId),
    ) -> Result<Vec<(Origin, PrunePolicy)>, store::Error> {
        if let Follow::Only(policy) = follow {
            return Ok(vec![(Origin::Asked, policy.clone())]);
        }
        let mut policies = Vec::new();
        if matches!(follow, Follow::Configured | Follow::All) {
            let configured = self.inner.rules.load().prune.clone();
            policies.extend(configured.map(|policy| (Origin::Configuration, policy)));
        }
        if matches!(follow, Follow::Own | Follow::All) {
            let scope = PolicyScope::Namespace(namespace);
            policies.extend(Origin::of(of_scope(tx, scope)?, Origin::Namespace));
            let scope = PolicyScope::Repository(repository);
            policies.extend(Origin::of(of_scope(tx, scope)?, Origin::Repository));
        }
        Ok(policies)
    }

    /// When a manifest was last pulled, as far as that is known.
    fn last_pulled(&self, tx: &ReadTx, unit: &Unit) -> Result<Option<Timestamp>, store::Error> {
        let written = tx.recency().record(unit)?.map(|record| record.last_used);
        Ok(written.max(self.inner.recency.used_at(unit)))
    }

    fn look(&self, tx: &ReadTx, mut open: Open, mode: Prune) -> Result<Looked, store::Error> {
        let ((namespace, repository), now) = (open.unit, self.inner.clock.now());
        let page = tx
            .tags()
            .places_before(repository, TagList::Live, open.before, TAGS)?;
        open.before = page.last().map(|(place, _)| *place);
        let (examined, minds_pulls) = (page.len(), open.choice.minds_pulls());
        let mut chosen = Vec::new();
        for (_, place) in page {
            let Some(record) = tx.tags().current(repository, &place.tag)? else {
                continue;
            };
            let digest = record.digest;
            let unit = Unit {
                namespace,
                repository,
                digest,
            };
            let last_pulled = match minds_pulls {
                true => self.last_pulled(tx, &unit)?,
                false => None,
            };
            let seen = Seen {
                tag: &place.tag,
                since: record.since,
                last_pulled,
                is_fixed: is_fixed(&record, now),
            };
            let Some(why) = open.choice.look(&seen, now) else {
                continue;
            };
            let pruned = PrunedTag {
                repository: open.name.clone(),
                tag: place.tag,
                digest,
                since: record.since,
                why,
                companion_of: None,
            };
            let with = match mode {
                Prune::Tell => {
                    open.gone.note(tx, repository, &pruned)?;
                    companions(tx, repository, &pruned, &open.gone, now)?
                }
                Prune::End => Vec::new(),
            };
            chosen.push(pruned);
            chosen.extend(with);
        }
        Ok(Looked {
            open,
            chosen,
            examined,
        })
    }

    /// Ends what was chosen, unless it has changed since, or what it was chosen by; returns what has ended,
    /// companions included.
    async fn end_chosen(
        &self,
        open: &Open,
        follow: &Follow,
        chosen: Vec<PrunedTag>,
    ) -> Result<Vec<PrunedTag>, Error> {
        let (unit, repository) = (open.unit, open.unit.1);
        let (chosen, mut from, mut ended) = (Arc::<[_]>::from(chosen), 0, Vec::new());
        while from < chosen.len() {
            let (registry, chosen) = (self.clone(), Arc::clone(&chosen));
            let (policies, follow) = (Arc::clone(&open.policies), follow.clone());
            let change = self.change(Performer::SYSTEM.actor);
            let end = move |tx: &mut WriteTx<'_>| {
                let _timer = registry
                    .inner
                    .metrics
                    .prune_transaction_seconds
                    .start_timer();
                // Somebody may have taken a policy back to stop it; what has changed begins a run of its own.
                if registry.in_force(tx, &follow, unit)? != *policies {
                    return Ok((chosen.len(), Vec::new()));
                }
                let (done, gone) = end_some(tx, repository, &chosen[from..], &change)?;
                let touched = Touched {
                    tags: gone.iter().map(|pruned| pruned.tag.clone()).collect(),
                    digests: vec![],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, Error>((done, gone))
            };
            let (done, mut gone) = self.inner.store.write(end).await?;
            self.inner.metrics.pruned_tags.inc_by(gone.len() as u64);
            from += done;
            ended.append(&mut gone);
        }
        Ok(ended)
    }
}

impl Pruning {
    /// The name of the last repository that was gone through, to begin behind another time.
    pub fn behind(&self) -> &str {
        &self.walk.after
    }

    /// Whether the namespace, or any repository that was passed, has a policy, even if nothing is pruned there
    /// for now.
    pub const fn has_policies(&self) -> bool {
        self.has_policies
    }

    /// Looks at the next page of tags; `None` when the walk is at its end.
    ///
    /// # Errors
    /// The store's; what has ended stays so. Unless it could not tell which repository is next, the next step
    /// goes on behind the one that failed.
    ///
    /// # Cancel safety
    /// Dropped, the transaction under way is carried out; the walk cannot go on.
    pub async fn step(&mut self) -> Result<Option<PruneStep>, Error> {
        let open = match self.open.take() {
            Some(open) => open,
            None => match self.next_repository().await? {
                Some(open) => open,
                None => return Ok(None),
            },
        };
        let name = open.name.to_string();
        let outcome = self.look_and_end(open).await;
        if !matches!(outcome, Ok((_, Some(_)))) {
            // It is gone through, or cannot be: the walk goes on behind it.
            self.walk.after = name;
        }
        let (step, open) = outcome?;
        self.open = open;
        Ok(Some(step))
    }

    /// One page of a repository; what is left of it, if anything is.
    async fn look_and_end(&self, open: Open) -> Result<(PruneStep, Option<Open>), Error> {
        let (registry, mode) = (self.registry.clone(), self.mode);
        let look = move |tx: &ReadTx| registry.look(tx, open, mode);
        let Looked {
            open,
            chosen,
            examined,
        } = self.registry.inner.store.scan(look).await?;
        let tags = match self.mode {
            Prune::Tell => chosen,
            Prune::End => {
                let (registry, follow) = (&self.registry, &self.follow);
                registry.end_chosen(&open, follow, chosen).await?
            }
        };
        let step = PruneStep {
            examined: examined as u64,
            tags,
        };
        Ok((step, (examined == TAGS).then_some(open)))
    }

    /// The next repository where anything can be taken.
    async fn next_repository(&mut self) -> Result<Option<Open>, Error> {
        loop {
            let Some((name, repository)) = self.ahead.pop_front() else {
                if self.is_last {
                    return Ok(None);
                }
                self.read_ahead().await?;
                continue;
            };
            let (registry, follow) = (&self.registry, &self.follow);
            let unit = (self.walk.namespace, repository);
            let read = |tx: &ReadTx| {
                let policies = registry.in_force(tx, follow, unit)?;
                let may = !policies.is_empty() && prunable(tx, repository)?.is_some();
                Ok::<_, store::Error>((policies, may))
            };
            let (mut policies, may) = registry.inner.store.read(read).await?;
            self.has_policies |= !policies.is_empty();
            if !may {
                policies.clear();
            }
            let choice = Choice::begin(&policies, &registry.inner.patterns);
            if choice.is_empty() {
                self.walk.after = name.to_string();
                continue;
            }
            return Ok(Some(Open {
                unit,
                name,
                policies: policies.into(),
                choice,
                before: None,
                gone: Gone::default(),
            }));
        }
    }

    async fn read_ahead(&mut self) -> Result<(), Error> {
        let (walk, store) = (self.walk.clone(), &self.registry.inner.store);
        let read = move |tx: &ReadTx| {
            let page = match &walk.only {
                Some(name) => {
                    let found = tx.repositories().by_name(walk.namespace, name)?;
                    found.map(|id| (name.clone(), id)).into_iter().collect()
                }
                None => tx
                    .repositories()
                    .list_behind(walk.namespace, &walk.after, REPOSITORIES)?,
            };
            // One of a namespace counts for repositories to come.
            let scope = PolicyScope::Namespace(walk.namespace);
            Ok::<_, store::Error>((page, !of_scope(tx, scope)?.is_empty()))
        };
        let (page, has_policies): (Vec<(RepositoryName, RepositoryId)>, bool) =
            store.scan(read).await?;
        self.has_policies |= has_policies;
        self.is_last = self.walk.only.is_some() || page.len() < REPOSITORIES;
        self.ahead = page.into();
        Ok(())
    }
}

/// A repository whose tags may be taken: local, in its normal state, of somebody who is there and enabled.
fn prunable(
    tx: &ReadTx,
    repository: RepositoryId,
) -> Result<Option<RepositoryRecord>, store::Error> {
    let record = tx.repositories().record(repository)?;
    let Some(record) = record.filter(|record| record.state == RepositoryState::Normal) else {
        return Ok(None);
    };
    let namespace = tx.namespaces().record(record.namespace)?;
    let Some(namespace) = namespace.filter(|it| it.is_local() && it.deleted.is_none()) else {
        return Ok(None);
    };
    // Quay: what belongs to a disabled account is left as it is.
    let is_enabled = match namespace.kind {
        crate::model::NamespaceKind::User(id) => {
            tx.users().record(id)?.is_some_and(|user| user.enabled)
        }
        _ => true,
    };
    Ok(is_enabled.then_some(record))
}

pub(super) fn is_fixed(record: &TagRecord, now: Timestamp) -> bool {
    record.immutable || record.pinned || record.has_expired(now)
}

/// Ends some of what was chosen; how many were looked at, and what has ended.
fn end_some(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    chosen: &[PrunedTag],
    change: &Change,
) -> Result<(usize, Vec<PrunedTag>), Error> {
    let (begun, mut ended) = (Instant::now(), Vec::new());
    if prunable(tx, repository)?.is_none() {
        return Ok((chosen.len(), ended));
    }
    let told = Told::of(tx, repository)?;
    for (done, pruned) in chosen.iter().enumerate() {
        if done > 0 && begun.elapsed() > STOP {
            return Ok((done, ended));
        }
        let current = tx.tags().current(repository, &pruned.tag)?;
        let is_same = |current: &TagRecord| {
            (current.digest, current.since) == (pruned.digest, pruned.since)
                && !is_fixed(current, change.at)
        };
        if !current.is_some_and(|current| is_same(&current)) {
            continue;
        }
        end_tag(tx, repository, &pruned.tag, change, &told)?;
        ended.push(pruned.clone());
        for companion in companions(tx, repository, pruned, &Gone::default(), change.at)? {
            end_tag(tx, repository, &companion.tag, change, &told)?;
            ended.push(companion);
        }
    }
    Ok((chosen.len(), ended))
}

fn end_tag(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    tag: &Tag,
    change: &Change,
    told: &Told,
) -> Result<(), Error> {
    change.end(tx, repository, tag)?;
    let more = json!({
        "performer": "autoprune worker",
        "namespace": told.namespace,
        "repo": told.name,
        "tag": tag,
    });
    let kind = LogKind::AutopruneTagDelete;
    let line = told.line(kind, change.at, &Performer::SYSTEM, more);
    Ok(tx.logs().append(&line)?)
}
