//! Policies by which tags become immutable: kept, changed, and applied to tags that are there and that come.
//!
//! Called by `/api/v1`, and by whatever points a tag of a local repository. A pattern is matched against the
//! whole tag (`patterns`). Removing a policy frees no tag.

use serde_json::{Value, json};

use super::hot::Touched;
use super::patterns::{Over, Patterns};
use super::pointing::reschedule;
use super::told::{Told, scope_line};
use super::{Error, PolicyFault, Registry};
use crate::model::{
    ImmutabilityPolicy, LogKind, NamespaceId, Performer, PolicyScope, RepositoryId, TagRecord,
    Timestamp, Unit, Uuid,
};
use crate::oci::Tag;
use crate::store::{ReadTx, WriteTx};

/// Policies of one scope.
const MOST: usize = 50;

/// Tags looked at in one transaction, and repositories read in one go.
const TAGS: usize = 200;
const REPOSITORIES: usize = 500;

impl Patterns {
    /// Whether a policy holds for a tag; one whose pattern cannot be read holds for none.
    fn holds(&self, policy: &ImmutabilityPolicy, tag: &Tag) -> bool {
        let pattern = self.compile(Over::Whole, &policy.tag_pattern);
        pattern.is_ok_and(|pattern| pattern.is_match(tag.as_str()) == policy.matches)
    }
}

impl Registry {
    /// The policies of a scope.
    ///
    /// # Errors
    /// The store's.
    pub async fn immutability_policies(
        &self,
        scope: PolicyScope,
    ) -> Result<Vec<(Uuid, ImmutabilityPolicy)>, Error> {
        let list = |tx: &ReadTx| Ok(tx.immutability().list(scope, MOST)?);
        self.inner.store.read(list).await
    }

    /// One policy of a scope.
    ///
    /// # Errors
    /// [`PolicyFault::Unknown`] if the scope has none of that id (AZ-06).
    pub async fn immutability_policy(
        &self,
        scope: PolicyScope,
        id: Uuid,
    ) -> Result<ImmutabilityPolicy, Error> {
        let read = |tx: &ReadTx| {
            let policy = tx.immutability().record(scope, id)?;
            policy.ok_or(Error::Policy(PolicyFault::Unknown))
        };
        self.inner.store.read(read).await
    }

    /// Gives a scope a policy; tags that it holds for become immutable, those that are there page by page
    /// before this returns.
    ///
    /// # Errors
    /// [`PolicyFault`] if it cannot be; [`Error::NameUnknown`] if the scope is gone.
    pub async fn add_immutability_policy(
        &self,
        scope: PolicyScope,
        policy: ImmutabilityPolicy,
        by: &Performer,
    ) -> Result<Uuid, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
        let id = Uuid::random(bytes);
        self.put_policy(scope, id, policy, by, LogKind::CreateImmutabilityPolicy)
            .await?;
        Ok(id)
    }

    /// Changes a policy of a scope, as if it was new.
    ///
    /// # Errors
    /// As [`Registry::add_immutability_policy`]; [`PolicyFault::Unknown`].
    pub async fn change_immutability_policy(
        &self,
        scope: PolicyScope,
        id: Uuid,
        policy: ImmutabilityPolicy,
        by: &Performer,
    ) -> Result<(), Error> {
        self.put_policy(scope, id, policy, by, LogKind::UpdateImmutabilityPolicy)
            .await
    }

    /// Removes a policy; what it made immutable stays so.
    ///
    /// # Errors
    /// [`PolicyFault::Unknown`].
    pub async fn delete_immutability_policy(
        &self,
        scope: PolicyScope,
        id: Uuid,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        let delete = move |tx: &mut WriteTx<'_>| {
            if tx.immutability().record(scope, id)?.is_none() {
                return Err(Error::Policy(PolicyFault::Unknown));
            }
            tx.immutability().remove(scope, id)?;
            let more = json!({"policy_uuid": id.to_string()});
            let line = scope_line(
                tx,
                scope,
                LogKind::DeleteImmutabilityPolicy,
                (now, &by),
                more,
            )?;
            Ok(tx.logs().append(&line)?)
        };
        self.inner.store.write(delete).await
    }

    async fn put_policy(
        &self,
        scope: PolicyScope,
        id: Uuid,
        policy: ImmutabilityPolicy,
        by: &Performer,
        kind: LogKind,
    ) -> Result<(), Error> {
        self.inner
            .patterns
            .compile(Over::Whole, &policy.tag_pattern)?;
        let (record, performer, now) = (policy.clone(), by.clone(), self.inner.clock.now());
        let put = move |tx: &mut WriteTx<'_>| {
            let held = tx.immutability().list(scope, MOST)?;
            let is_new = kind == LogKind::CreateImmutabilityPolicy;
            if !is_new && !held.iter().any(|(of, _)| *of == id) {
                return Err(Error::Policy(PolicyFault::Unknown));
            }
            let mut others = held.iter().filter(|(of, _)| *of != id);
            if others.any(|(_, other)| other.tag_pattern == record.tag_pattern) {
                return Err(PolicyFault::Duplicate.into());
            }
            if is_new && held.len() >= MOST {
                return Err(PolicyFault::TooMany.into());
            }
            tx.immutability().put(scope, id, &record)?;
            let line = scope_line(tx, scope, kind, (now, &performer), told_policy(&record))?;
            Ok(tx.logs().append(&line)?)
        };
        self.inner.store.write(put).await?;
        // Whoever asked may leave; what was promised to be immutable becomes so.
        let (registry, by) = (self.clone(), by.clone());
        let applied = tokio::spawn(async move { registry.apply(scope, &policy, &by).await });
        applied
            .await
            .unwrap_or(Err(Error::Store(crate::store::Error::Closed)))
    }

    /// Makes the tags immutable that a policy holds for.
    async fn apply(
        &self,
        scope: PolicyScope,
        policy: &ImmutabilityPolicy,
        by: &Performer,
    ) -> Result<(), Error> {
        let count = match scope {
            PolicyScope::Repository(repository) => self.apply_to(repository, policy).await?,
            PolicyScope::Namespace(namespace) => self.apply_to_all(namespace, policy).await?,
        };
        if count == 0 {
            return Ok(());
        }
        let mut more = told_policy(policy);
        more["count"] = count.into();
        let (by, now) = (by.clone(), self.inner.clock.now());
        let tell = move |tx: &mut WriteTx<'_>| {
            let kind = LogKind::TagsMadeImmutableByPolicy;
            let line = scope_line(tx, scope, kind, (now, &by), more.clone())?;
            Ok::<_, Error>(tx.logs().append(&line)?)
        };
        self.inner.store.write(tell).await
    }

    async fn apply_to_all(
        &self,
        namespace: NamespaceId,
        policy: &ImmutabilityPolicy,
    ) -> Result<u64, Error> {
        let (mut count, mut after) = (0, String::new());
        loop {
            let (page, next) = self
                .repositories_of(namespace, &after, REPOSITORIES)
                .await?;
            for entry in page {
                count += self.apply_to(entry.repository, policy).await?;
            }
            match next {
                Some(next) => after = next,
                None => return Ok(count),
            }
        }
    }

    async fn apply_to(
        &self,
        repository: RepositoryId,
        policy: &ImmutabilityPolicy,
    ) -> Result<u64, Error> {
        let (mut count, mut after) = (0, None);
        loop {
            let (registry, policy, behind) = (self.clone(), policy.clone(), after.clone());
            let protect = move |tx: &mut WriteTx<'_>| {
                let page = tx.tags().list(repository, behind.as_ref(), TAGS)?;
                let last = page.last().map(|(tag, _)| tag.clone());
                let mut touched = Touched::default();
                for (tag, before) in page {
                    if before.immutable || !registry.inner.patterns.holds(&policy, &tag) {
                        continue;
                    }
                    let record = TagRecord {
                        immutable: true,
                        ..before.clone()
                    };
                    tx.tags().put(repository, &tag, &record)?;
                    reschedule(tx, repository, &tag, &before, &record)?;
                    touched.tags.push(tag);
                }
                let (registry, made) = (registry.clone(), touched.tags.len() as u64);
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, Error>((last, made))
            };
            let (last, made) = self.inner.store.write(protect).await?;
            count += made;
            match last {
                Some(last) => after = Some(last),
                None => return Ok(count),
            }
        }
    }

    /// Whether a policy makes a tag immutable that begins in the unit's repository.
    pub(super) fn covers(&self, tx: &ReadTx, unit: &Unit, tag: &Tag) -> Result<bool, Error> {
        self.covers_in(tx, unit.namespace, unit.repository, tag)
    }

    pub(super) fn is_covered(
        &self,
        tx: &ReadTx,
        told: &Told,
        tag: &Tag,
        repository: RepositoryId,
    ) -> Result<bool, Error> {
        self.covers_in(tx, told.namespace_id, repository, tag)
    }

    fn covers_in(
        &self,
        tx: &ReadTx,
        namespace: NamespaceId,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<bool, Error> {
        if !self.inner.rules.load().immutable_tags {
            return Ok(false);
        }
        let scopes = [
            PolicyScope::Namespace(namespace),
            PolicyScope::Repository(repository),
        ];
        for scope in scopes {
            let policies = tx.immutability().list(scope, MOST)?;
            let mut policies = policies.iter();
            if policies.any(|(_, policy)| self.inner.patterns.holds(policy, tag)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the line of a tag that a policy has made immutable.
    pub(super) fn tell_covered(
        &self,
        tx: &mut WriteTx<'_>,
        told: &Told,
        tag: &Tag,
        at: Timestamp,
        by: &Performer,
    ) -> Result<(), Error> {
        let more = json!({
            "tag": tag,
            "repo": told.name,
            "namespace": told.namespace,
            "immutable": true,
        });
        let line = told.line(LogKind::TagMadeImmutableByPolicy, at, by, more);
        Ok(tx.logs().append(&line)?)
    }
}

fn told_policy(policy: &ImmutabilityPolicy) -> Value {
    json!({"tag_pattern": policy.tag_pattern, "tag_pattern_matches": policy.matches})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pattern: &str, matches: bool, tag: &str) -> bool {
        let policy = ImmutabilityPolicy {
            tag_pattern: pattern.to_owned(),
            matches,
        };
        Patterns::new().holds(&policy, &tag.parse().unwrap())
    }

    #[test]
    fn a_pattern_is_matched_against_the_whole_tag() {
        assert!(holds("v[0-9]+", true, "v12"));
        assert!(!holds("v[0-9]+", true, "v12-rc"));
        assert!(holds("a|b", true, "b") && !holds("a|b", true, "ab"));
        assert!(holds("v.*", false, "latest") && !holds("v.*", false, "v1"));
    }
}
