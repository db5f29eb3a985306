//! Prune runs, as jobs: a namespace by its own policies, and everything by the configuration's.

use std::time::Duration;

use super::Rounds;
use super::lease::Outcome;
use super::run::Progress;
use crate::model::NamespaceId;
use crate::registry::{Follow, Prune, PruneWalk, Pruning};
use crate::store::{self, ReadTx};

/// Namespaces read in one go.
const NAMESPACES: usize = 500;

/// Whether policies are followed, and how often at most.
#[derive(Clone, Copy, Debug)]
pub struct PruneTimes {
    /// `FEATURE_AUTO_PRUNE`.
    pub enabled: bool,
    /// How often those of one namespace are.
    pub own: Duration,
    /// How often that of the configuration is.
    pub configured: Duration,
}

/// What came of a walk.
struct Walked {
    tags: u64,
    failures: u64,
}

impl Rounds {
    /// Queues the runs that should be on the queue, whatever was dropped while the feature was off.
    pub(super) async fn queue_prunes(&self) {
        if !self.prune_times.enabled {
            return;
        }
        if let Err(error) = self.registry.queue_prunes().await {
            tracing::warn!(%error, "prune runs could not be queued");
        }
    }

    /// Follows the policies of a namespace and of its repositories.
    pub(super) async fn prune(&self, namespace: NamespaceId, progress: &Progress) -> Outcome {
        let times = self.prune_times;
        if !times.enabled {
            // It is queued again by the first start with the feature on.
            return Outcome::Done;
        }
        if !self.registry.rules().may_collect {
            return Outcome::Again(times.own);
        }
        let walk = PruneWalk {
            after: progress.cursor(),
            ..PruneWalk::of(namespace)
        };
        let is_whole = walk.after.is_empty();
        let mut pruning = match self.registry.prune(walk, Follow::Own, Prune::End) {
            Ok(pruning) => pruning,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let walked = walk_through(&mut pruning, |behind| progress.set(behind)).await;
        match walked {
            Ok(Walked { failures: 0, tags }) => {
                tell(tags);
                match is_whole && !pruning.has_policies() {
                    true => Outcome::Done,
                    false => Outcome::Again(times.own),
                }
            }
            Ok(Walked { failures, .. }) => {
                progress.set("");
                Outcome::Failed(format!("{failures} repositories could not be pruned"))
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Follows the configuration's policy in every namespace.
    pub(super) async fn prune_all(&self, progress: &Progress) -> Outcome {
        let times = self.prune_times;
        if !times.enabled {
            return Outcome::Done;
        }
        let rules = self.registry.rules();
        if !rules.may_collect || rules.prune.is_none() {
            return Outcome::Again(times.configured);
        }
        let (mut after, mut tags, mut failures) = (read_cursor(&progress.cursor()), 0, 0);
        loop {
            let page = match self.some_namespaces(after).await {
                Ok(page) => page,
                Err(error) => return Outcome::Failed(error.to_string()),
            };
            for (namespace, is_local) in &page {
                if !is_local {
                    continue;
                }
                let walk = PruneWalk::of(*namespace);
                let begun = self.registry.prune(walk, Follow::Configured, Prune::End);
                let walked = match begun {
                    Ok(mut pruning) => walk_through(&mut pruning, |_| {}).await,
                    Err(error) => Err(error),
                };
                match walked {
                    Ok(walked) => {
                        tags += walked.tags;
                        failures += walked.failures;
                    }
                    Err(error) => return Outcome::Failed(error.to_string()),
                }
                progress.set(namespace.0.to_string());
            }
            match page.last() {
                Some((last, _)) => after = Some(*last),
                None => break,
            }
        }
        tell(tags);
        progress.set("");
        match failures {
            0 => Outcome::Again(times.configured),
            _ => Outcome::Failed(format!("{failures} repositories could not be pruned")),
        }
    }

    /// Some namespaces behind one, and whether each is pushed into.
    async fn some_namespaces(
        &self,
        after: Option<NamespaceId>,
    ) -> Result<Vec<(NamespaceId, bool)>, store::Error> {
        let read = move |tx: &ReadTx| tx.namespaces().list_after(after, NAMESPACES);
        let page = self.registry.store().scan(read).await?;
        let told = page.into_iter().map(|(id, record)| (id, record.is_local()));
        Ok(told.collect())
    }
}

/// The namespace behind which a run over all goes on.
fn read_cursor(cursor: &str) -> Option<NamespaceId> {
    cursor.parse().ok().map(NamespaceId)
}

/// Goes to the end of a walk. A repository that fails does not keep the others from their turn.
async fn walk_through(
    pruning: &mut Pruning,
    note: impl Fn(&str),
) -> Result<Walked, crate::registry::Error> {
    let mut walked = Walked {
        tags: 0,
        failures: 0,
    };
    loop {
        let behind = pruning.behind().to_owned();
        match pruning.step().await {
            Ok(Some(step)) => walked.tags += step.tags.len() as u64,
            Ok(None) => return Ok(walked),
            // It got no further: it is not one repository that fails.
            Err(error) if pruning.behind() == behind => return Err(error),
            Err(error) => {
                tracing::warn!(%error, repository = pruning.behind(), "a repository could not be pruned");
                walked.failures += 1;
            }
        }
        note(pruning.behind());
    }
}

fn tell(tags: u64) {
    if tags > 0 {
        tracing::info!(tags, "tags ended by policies");
    }
}
