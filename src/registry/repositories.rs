//! Repositories of local namespaces: found with what decides about access, made, changed, deleted.
//!
//! Called by the doors and by the operator's commands. Every change has its line in the usage log.

use std::sync::Arc;

use serde_json::{Value, json};

use super::told::Told;
use super::{Error, Placed, Registry};
use crate::model::{
    Actor, Grantee, LogEntry, LogKind, Member, MirrorStatus, NamespaceId, NamespaceKind, Performer,
    RepositoryId, RepositoryRecord, RepositoryState, Role, SyncState, Visibility,
};
use crate::oci::RepositoryName;
use crate::store::WriteTx;

/// Repositories that one transaction takes away.
const AT_ONCE: usize = 100;

impl Registry {
    /// Returns what the store says of a repository, or `None`.
    ///
    /// # Errors
    /// The store's.
    pub async fn repository_record(
        &self,
        id: RepositoryId,
    ) -> Result<Option<Arc<RepositoryRecord>>, Error> {
        if let Some(record) = self.inner.hot.record(id) {
            return Ok(Some(record));
        }
        let read = self.inner.hot.generation(id);
        let found = self.inner.store.read(|tx| tx.repositories().record(id));
        let Some(record) = found.await?.map(Arc::new) else {
            return Ok(None);
        };
        self.inner.hot.fill_record(read, id, record.clone());
        Ok(Some(record))
    }

    /// Returns the name by which clients know a repository, or `None` if it is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn full_name(&self, id: RepositoryId) -> Result<Option<RepositoryName>, Error> {
        self.inner
            .store
            .read(|tx| {
                let Some(record) = tx.repositories().record(id)? else {
                    return Ok(None);
                };
                let namespace = tx.namespaces().record(record.namespace)?;
                let full = namespace.map(|it| format!("{}/{}", it.name, record.name));
                Ok(full.and_then(|full| full.parse().ok()))
            })
            .await
    }

    /// Makes a repository of a local namespace, or returns the one that is there.
    ///
    /// Who makes it in a namespace not his own gets the role admin on it (Quay).
    ///
    /// # Errors
    /// [`Error::ReadOnly`] if the namespace is a cache, whoever made it one, [`Error::OrganizationMirror`] if it is a
    /// mirror as a whole, [`Error::NameUnknown`] if it is gone.
    pub async fn create_repository(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
        visibility: Visibility,
        by: &Performer,
    ) -> Result<Placed, Error> {
        let wanted = RepositoryRecord {
            visibility,
            ..RepositoryRecord::new(namespace, name.clone(), self.inner.clock.now())
        };
        let (placed, _) = self.make(wanted, by).await?;
        Ok(placed)
    }

    /// Makes a repository of a local namespace that is not there yet.
    ///
    /// # Errors
    /// [`Error::Exists`]; as [`Registry::create_repository`].
    pub async fn add_repository(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
        visibility: Visibility,
        description: String,
        by: &Performer,
    ) -> Result<Placed, Error> {
        let wanted = RepositoryRecord {
            visibility,
            description: Some(description),
            ..RepositoryRecord::new(namespace, name.clone(), self.inner.clock.now())
        };
        match self.make(wanted, by).await? {
            (placed, true) => Ok(placed),
            (_, false) => Err(Error::Exists),
        }
    }

    /// Makes a repository that a mirrored organisation's source has, or returns the one that was made for it, and
    /// whether it was made now. Only the mirror pushes into it.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is another of that name; [`Error::OrganizationMirror`] if the organisation is no such
    /// mirror any more; as [`Registry::create_repository`].
    pub async fn create_mirrored(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
        visibility: Visibility,
        by: &Performer,
    ) -> Result<(Placed, bool), Error> {
        let wanted = RepositoryRecord {
            visibility,
            state: RepositoryState::OrgMirror,
            ..RepositoryRecord::new(namespace, name.clone(), self.inner.clock.now())
        };
        let (placed, is_new) = self.make(wanted, by).await?;
        let record = self.repository_record(placed.repository).await?;
        match record.is_some_and(|record| record.state == RepositoryState::OrgMirror) {
            true => Ok((placed, is_new)),
            false => Err(Error::Exists),
        }
    }

    /// The repository of that name, and whether it was made here.
    async fn make(
        &self,
        wanted: RepositoryRecord,
        by: &Performer,
    ) -> Result<(Placed, bool), Error> {
        let (namespace, by) = (wanted.namespace, by.clone());
        let create = move |tx: &mut WriteTx<'_>| {
            if let Some(repository) = tx.repositories().by_name(namespace, &wanted.name)? {
                return Ok((repository, false));
            }
            let owner = tx.namespaces().record(namespace)?;
            let owner = owner.filter(|owner| owner.deleted.is_none());
            if !owner.ok_or(Error::NameUnknown)?.is_local() {
                return Err(Error::ReadOnly);
            }
            // What is not there upstream is not here either.
            if tx.proxy_caches().record(namespace)?.is_some() {
                return Err(Error::ReadOnly);
            }
            let is_mirrored = tx.mirrors().of_organization(namespace)?.is_some();
            if is_mirrored != (wanted.state == RepositoryState::OrgMirror) {
                return Err(Error::OrganizationMirror);
            }
            let repository = tx.repositories().create(&wanted)?;
            grant_maker(tx, namespace, repository, &by.actor)?;
            if let Some(maker) = member(&by.actor) {
                tx.prototypes().apply(namespace, repository, maker)?;
            }
            let told = Told::of(tx, repository)?;
            let more = json!({"repo": told.name, "namespace": told.namespace});
            let line = told.line(LogKind::CreateRepo, wanted.created, &by, more);
            tx.logs().append(&line)?;
            Ok((repository, true))
        };
        let (repository, made) = self.inner.store.write(create).await?;
        let placed = Placed {
            namespace,
            repository,
        };
        Ok((placed, made))
    }

    /// Makes a repository public or private, from the commit on.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub async fn set_visibility(
        &self,
        id: RepositoryId,
        visibility: Visibility,
        by: &Performer,
    ) -> Result<(), Error> {
        let (kind, more) = (LogKind::ChangeRepoVisibility, visibility.as_str());
        self.change_repository(id, by, (kind, "visibility", more), move |record| {
            record.visibility = visibility;
        })
        .await
    }

    /// Says what may be done to a repository, whoever asks, from the commit on. One that is no mirror any more is
    /// not copied into: a run under way ends.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone; [`Error::OrganizationMirror`].
    pub async fn set_state(
        &self,
        id: RepositoryId,
        state: RepositoryState,
        by: &Performer,
    ) -> Result<(), Error> {
        let (registry, by, now) = (self.clone(), by.clone(), self.inner.clock.now());
        let set = move |tx: &mut WriteTx<'_>| {
            let before = tx.repositories().record(id)?.ok_or(Error::NameUnknown)?;
            let is_mirrored = tx.mirrors().of_organization(before.namespace)?.is_some();
            if is_mirrored || before.state == RepositoryState::OrgMirror {
                return Err(Error::OrganizationMirror);
            }
            registry.put_state(tx, id, state)?;
            if state != RepositoryState::Mirror {
                end_run(tx, id)?;
            }
            let told = Told::of(tx, id)?;
            let more = json!({
                "repo": told.name,
                "namespace": told.namespace,
                "state_changed": state.as_str(),
            });
            let line = told.line(LogKind::ChangeRepoState, now, &by, more);
            Ok(tx.logs().append(&line)?)
        };
        self.inner.store.write(set).await
    }

    /// Says within a transaction of the caller's what may be done to a repository. Nothing is told of it.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub fn put_state(
        &self,
        tx: &mut WriteTx<'_>,
        id: RepositoryId,
        state: RepositoryState,
    ) -> Result<(), Error> {
        let record = tx.repositories().record(id)?.ok_or(Error::NameUnknown)?;
        tx.repositories()
            .put(id, &RepositoryRecord { state, ..record })?;
        let registry = self.clone();
        tx.after_commit(move || registry.inner.hot.record_changed(id));
        Ok(())
    }

    /// Says whether content of a repository is meant to be signed; nothing else follows from it.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub async fn set_trust(
        &self,
        id: RepositoryId,
        trusted: bool,
        by: &Performer,
    ) -> Result<(), Error> {
        let told = (LogKind::ChangeRepoTrust, "trust_enabled", trusted);
        self.change_repository(id, by, told, move |record| record.trusted = trusted)
            .await
    }

    /// Says of a repository what is in it.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub async fn describe(
        &self,
        id: RepositoryId,
        description: &str,
        by: &Performer,
    ) -> Result<(), Error> {
        let told = (LogKind::SetRepoDescription, "description", description);
        let description = description.to_owned();
        self.change_repository(id, by, told, move |record| {
            record.description = Some(description.clone());
        })
        .await
    }

    /// Has a repository be there for nobody, at once; its name is free, and a new repository of that name
    /// inherits nothing, because ids are never reused. Its rows go in later rounds ([`Registry::purge`]),
    /// and so do its bytes.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub async fn delete_repository(&self, id: RepositoryId, by: &Performer) -> Result<(), Error> {
        let (registry, by, now) = (self.clone(), by.clone(), self.inner.clock.now());
        let doom = move |tx: &mut WriteTx<'_>| {
            let told = Told::of(tx, id)?;
            let record = tx.repositories().doom(id)?.ok_or(Error::NameUnknown)?;
            let more = json!({"repo": told.name, "namespace": told.namespace});
            let line = LogEntry::new(LogKind::DeleteRepo, now, &by)
                .within(record.namespace)
                .with(more);
            tx.logs().append(&line)?;
            let (registry, name) = (registry.clone(), (record.namespace, record.name));
            tx.after_commit(move || registry.inner.hot.repository_gone(&name, id));
            Ok::<_, Error>(())
        };
        self.inner.store.write(doom).await?;
        self.collect_soon();
        Ok(())
    }

    /// Has every repository of a namespace be there for nobody, as when the namespace is deleted.
    ///
    /// # Errors
    /// The store's; those that are gone stay so.
    pub async fn delete_repositories(&self, namespace: NamespaceId) -> Result<(), Error> {
        loop {
            let registry = self.clone();
            let doom = move |tx: &mut WriteTx<'_>| {
                let page = tx.repositories().list(namespace, None, AT_ONCE)?;
                for (name, id) in &page {
                    tx.repositories().doom(*id)?;
                    let (registry, key, id) = (registry.clone(), (namespace, name.clone()), *id);
                    tx.after_commit(move || registry.inner.hot.repository_gone(&key, id));
                }
                Ok::<_, Error>(page.len())
            };
            if self.inner.store.write(doom).await? < AT_ONCE {
                self.collect_soon();
                return Ok(());
            }
        }
    }

    /// Changes the record of a repository, and tells it under the key that the kind has for it.
    async fn change_repository(
        &self,
        id: RepositoryId,
        by: &Performer,
        (kind, key, value): (LogKind, &'static str, impl Into<Value>),
        change: impl Fn(&mut RepositoryRecord) + Send + 'static,
    ) -> Result<(), Error> {
        let (registry, by, value) = (self.clone(), by.clone(), value.into());
        let now = self.inner.clock.now();
        self.inner
            .store
            .write(move |tx| {
                let mut record = tx.repositories().record(id)?.ok_or(Error::NameUnknown)?;
                change(&mut record);
                tx.repositories().put(id, &record)?;
                let told = Told::of(tx, id)?;
                let more = json!({"repo": told.name, "namespace": told.namespace, key: value});
                tx.logs().append(&told.line(kind, now, &by, more))?;
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.record_changed(id));
                Ok(())
            })
            .await
    }
}

/// Has the run of a mirror under way be over; the next is due as it was.
fn end_run(tx: &mut WriteTx<'_>, id: RepositoryId) -> Result<(), Error> {
    let Some(status) = tx.mirrors().status(id)? else {
        return Ok(());
    };
    if !matches!(status.state, SyncState::Syncing | SyncState::SyncNow) {
        return Ok(());
    }
    let mut ended = MirrorStatus {
        state: SyncState::Fail,
        expires: None,
        not_before: None,
        generation: status.generation + 1,
        ..status
    };
    ended.report.message = "the repository was made no mirror".to_owned();
    Ok(tx.mirrors().put_status(id, &ended)?)
}

/// Whose default permissions apply.
fn member(by: &Actor) -> Option<Member> {
    match by {
        Actor::System | Actor::Anonymous => None,
        Actor::User { id, .. } => Some(Member::User(*id)),
        Actor::Robot { id, .. } => Some(Member::Robot(*id)),
    }
}

fn grant_maker(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    repository: RepositoryId,
    by: &Actor,
) -> Result<(), Error> {
    let grantee = match by {
        Actor::System | Actor::Anonymous => return Ok(()),
        Actor::User { id, .. } => Grantee::User(*id),
        Actor::Robot { id, .. } => Grantee::Robot(*id),
    };
    let kind = tx.namespaces().record(namespace)?.map(|record| record.kind);
    let is_own = matches!((kind, by), (Some(NamespaceKind::User(owner)), Actor::User { id, .. }) if owner == *id);
    if !is_own {
        tx.permissions().put(repository, grantee, Role::Admin)?;
    }
    Ok(())
}
