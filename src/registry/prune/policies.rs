//! The policies of namespaces and repositories: kept, changed, told.
//!
//! Called by `/api/v1`. Each change is one transaction with its line of the usage log, in which the next run of the
//! namespace is brought forward; a run under way ends nothing more by what is no longer in force.

use serde_json::{Value, json};

use super::{MOST, of_scope};
use crate::model::{
    Job, JobRecord, LogKind, NamespaceId, Performer, PolicyScope, PrunePolicy, PruneRule,
    Timestamp, Uuid,
};
use crate::registry::patterns::Over;
use crate::registry::told::scope_line;
use crate::registry::{Error, PruneFault, Registry};
use crate::store::{self, ReadTx, WriteTx};

/// Policies read in one go.
const PAGE: usize = 200;

/// A change of a scope's policies, inside its transaction.
#[derive(Clone)]
struct Change {
    scope: PolicyScope,
    id: Uuid,
    by: Performer,
    at: Timestamp,
}

/// What a change does, for the usage log.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Act {
    Create,
    Update,
    Delete,
}

impl Act {
    const fn kind(self, scope: PolicyScope) -> LogKind {
        match (self, scope) {
            (Self::Create, PolicyScope::Namespace(_)) => LogKind::CreateNamespaceAutoprunePolicy,
            (Self::Update, PolicyScope::Namespace(_)) => LogKind::UpdateNamespaceAutoprunePolicy,
            (Self::Delete, PolicyScope::Namespace(_)) => LogKind::DeleteNamespaceAutoprunePolicy,
            (Self::Create, PolicyScope::Repository(_)) => LogKind::CreateRepositoryAutoprunePolicy,
            (Self::Update, PolicyScope::Repository(_)) => LogKind::UpdateRepositoryAutoprunePolicy,
            (Self::Delete, PolicyScope::Repository(_)) => LogKind::DeleteRepositoryAutoprunePolicy,
        }
    }
}

impl Registry {
    /// The policies of a scope, in the order of their ids.
    ///
    /// # Errors
    /// The store's.
    pub async fn prune_policies(
        &self,
        scope: PolicyScope,
    ) -> Result<Vec<(Uuid, PrunePolicy)>, Error> {
        let list = |tx: &ReadTx| of_scope(tx, scope);
        Ok(self.inner.store.read(list).await?)
    }

    /// One policy of a scope.
    ///
    /// # Errors
    /// [`PruneFault::Unknown`] if the scope has none of that id (AZ-06).
    pub async fn prune_policy(&self, scope: PolicyScope, id: Uuid) -> Result<PrunePolicy, Error> {
        let read = |tx: &ReadTx| {
            let policy = tx.prune_policies().record(scope, id)?;
            policy.ok_or(Error::Prune(PruneFault::Unknown))
        };
        self.inner.store.read(read).await
    }

    /// Gives a scope a policy.
    ///
    /// # Errors
    /// [`PruneFault`], [`crate::registry::PolicyFault::Pattern`]; [`Error::NameUnknown`] if the scope is gone.
    pub async fn add_prune_policy(
        &self,
        scope: PolicyScope,
        policy: PrunePolicy,
        by: &Performer,
    ) -> Result<Uuid, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
        let id = Uuid::random(bytes);
        self.put_prune_policy((scope, id), policy, by, Act::Create)
            .await?;
        Ok(id)
    }

    /// Changes a policy of a scope.
    ///
    /// # Errors
    /// As [`Registry::add_prune_policy`]; [`PruneFault::Unknown`].
    pub async fn change_prune_policy(
        &self,
        scope: PolicyScope,
        id: Uuid,
        policy: PrunePolicy,
        by: &Performer,
    ) -> Result<(), Error> {
        self.put_prune_policy((scope, id), policy, by, Act::Update)
            .await
    }

    /// Removes a policy; what has ended by it can be restored as any tag.
    ///
    /// # Errors
    /// [`PruneFault::Unknown`].
    pub async fn delete_prune_policy(
        &self,
        scope: PolicyScope,
        id: Uuid,
        by: &Performer,
    ) -> Result<(), Error> {
        let change = self.prune_change((scope, id), by);
        let delete = move |tx: &mut WriteTx<'_>| {
            if tx.prune_policies().record(scope, id)?.is_none() {
                return Err(PruneFault::Unknown.into());
            }
            tx.prune_policies().remove(scope, id)?;
            // A cache that was local once may still have some.
            if let Ok(namespace) = local_namespace(tx, scope) {
                tx.jobs().hasten(Job::Prune(namespace), change.at)?;
            }
            change.tell(tx, Act::Delete, json!({"policy_uuid": id.to_string()}))
        };
        self.inner.store.write(delete).await
    }

    /// Queues a prune run of every namespace that has a policy and no run ahead, and one by the configuration's policy,
    /// which may have changed; returns how many policies were looked at. For the start: what was queued may have been
    /// dropped while the feature was off.
    ///
    /// # Errors
    /// The store's.
    pub async fn queue_prunes(&self) -> Result<u64, Error> {
        let (now, mut after, mut looked) = (self.inner.clock.now(), None, 0);
        let is_configured = self.rules().prune.is_some();
        let queue_configured = move |tx: &mut WriteTx<'_>| {
            let job = Job::PruneAll;
            match tx.jobs().record(job)? {
                Some(record) if is_configured && record.due > now => {
                    tx.jobs().put(job, &JobRecord { due: now, ..record })
                }
                Some(_) => Ok(()),
                None => tx.jobs().enqueue(job, now),
            }
        };
        let queued: Result<(), store::Error> = self.inner.store.write(queue_configured).await;
        queued?;
        loop {
            let queue = move |tx: &mut WriteTx<'_>| {
                let page = tx.prune_policies().all(after, PAGE)?;
                for (scope, _) in &page {
                    // What is being deleted, or was made a cache, is left alone.
                    if let Ok(namespace) = local_namespace(tx, *scope) {
                        let job = Job::Prune(namespace);
                        if tx.jobs().record(job)?.is_none() {
                            tx.jobs().enqueue(job, now)?;
                        }
                    }
                }
                Ok::<_, Error>(page)
            };
            let page = self.inner.store.write(queue).await?;
            looked += page.len() as u64;
            match page.last() {
                Some(last) => after = Some(*last),
                None => return Ok(looked),
            }
        }
    }

    fn prune_change(&self, (scope, id): (PolicyScope, Uuid), by: &Performer) -> Change {
        Change {
            scope,
            id,
            by: by.clone(),
            at: self.inner.clock.now(),
        }
    }

    async fn put_prune_policy(
        &self,
        of: (PolicyScope, Uuid),
        policy: PrunePolicy,
        by: &Performer,
        act: Act,
    ) -> Result<(), Error> {
        if let Some(pattern) = &policy.tag_pattern {
            self.inner.patterns.compile(Over::Part, pattern)?;
        }
        let change = self.prune_change(of, by);
        let put = move |tx: &mut WriteTx<'_>| {
            let namespace = local_namespace(tx, change.scope)?;
            change.admit(tx, &policy, act)?;
            tx.prune_policies().put(change.scope, change.id, &policy)?;
            tx.jobs().hasten(Job::Prune(namespace), change.at)?;
            change.tell(tx, act, told(&policy))
        };
        self.inner.store.write(put).await
    }
}

impl Change {
    /// Refuses a policy that is there already, and more than [`MOST`].
    fn admit(&self, tx: &ReadTx, policy: &PrunePolicy, act: Act) -> Result<(), Error> {
        let held = of_scope(tx, self.scope)?;
        if act == Act::Update && !held.iter().any(|(id, _)| *id == self.id) {
            return Err(PruneFault::Unknown.into());
        }
        let mut others = held.iter().filter(|(id, _)| *id != self.id);
        if others.any(|(_, other)| other == policy) {
            return Err(match self.scope {
                PolicyScope::Namespace(_) => PruneFault::OfNamespace.into(),
                PolicyScope::Repository(_) => PruneFault::OfRepository.into(),
            });
        }
        match act == Act::Create && held.len() >= MOST {
            true => Err(PruneFault::TooMany.into()),
            false => Ok(()),
        }
    }

    fn tell(&self, tx: &mut WriteTx<'_>, act: Act, more: Value) -> Result<(), Error> {
        let kind = act.kind(self.scope);
        let line = scope_line(tx, self.scope, kind, (self.at, &self.by), more)?;
        Ok(tx.logs().append(&line)?)
    }
}

/// The namespace of a scope; not of a cache, whose tags follow an upstream and whose content goes by its use.
fn local_namespace(tx: &ReadTx, scope: PolicyScope) -> Result<NamespaceId, Error> {
    let namespace = match scope {
        PolicyScope::Namespace(namespace) => namespace,
        PolicyScope::Repository(repository) => {
            let record = tx.repositories().record(repository)?;
            record.ok_or(Error::NameUnknown)?.namespace
        }
    };
    let record = tx.namespaces().record(namespace)?;
    match record.ok_or(Error::NameUnknown)?.is_local() {
        true => Ok(namespace),
        false => Err(PruneFault::Cache.into()),
    }
}

/// What the log tells of a policy (`quay-log-kinds`).
fn told(policy: &PrunePolicy) -> Value {
    json!({
        "method": policy.rule.method(),
        "value": value(policy.rule),
        "tag_pattern": policy.tag_pattern,
        "tag_pattern_matches": policy.matches,
    })
}

fn value(rule: PruneRule) -> Value {
    match rule {
        PruneRule::NumberOfTags(most) => most.into(),
        PruneRule::CreationDate(age) | PruneRule::LastPulled(age) => age.to_string().into(),
    }
}
