//! Repositories of local namespaces: found with what decides about access, made by a push, changed.

use std::sync::Arc;

use super::{Error, Placed, Registry};
use crate::model::{
    Actor, Grantee, NamespaceId, NamespaceKind, RepositoryId, RepositoryRecord, RepositoryState,
    Role, Visibility,
};
use crate::oci::RepositoryName;
use crate::store::WriteTx;

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
    /// [`Error::ReadOnly`] if the namespace is a cache, whoever made it one, [`Error::NameUnknown`] if it is gone.
    pub async fn create_repository(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
        visibility: Visibility,
        by: &Actor,
    ) -> Result<Placed, Error> {
        let (name, by, now) = (name.clone(), by.clone(), self.inner.clock.now());
        let create = move |tx: &mut WriteTx<'_>| {
            if let Some(repository) = tx.repositories().by_name(namespace, &name)? {
                return Ok(repository);
            }
            let record = tx
                .namespaces()
                .record(namespace)?
                .ok_or(Error::NameUnknown)?;
            let record = match record.kind {
                NamespaceKind::Cache => return Err(Error::ReadOnly),
                // What is not there upstream is not here either.
                _ if tx.proxy_caches().record(namespace)?.is_some() => {
                    return Err(Error::ReadOnly);
                }
                NamespaceKind::Organization | NamespaceKind::User(_) => RepositoryRecord {
                    visibility,
                    ..RepositoryRecord::new(namespace, name.clone(), now)
                },
            };
            let repository = tx.repositories().create(&record)?;
            grant_maker(tx, namespace, repository, &by)?;
            Ok(repository)
        };
        let repository = self.inner.store.write(create).await?;
        Ok(Placed {
            namespace,
            repository,
        })
    }

    /// Makes a repository public or private, from the commit on.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub async fn set_visibility(
        &self,
        id: RepositoryId,
        visibility: Visibility,
    ) -> Result<(), Error> {
        self.change_repository(id, move |record| record.visibility = visibility)
            .await
    }

    /// Says what may be done to a repository, whoever asks, from the commit on.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub async fn set_state(&self, id: RepositoryId, state: RepositoryState) -> Result<(), Error> {
        self.change_repository(id, move |record| record.state = state)
            .await
    }

    async fn change_repository(
        &self,
        id: RepositoryId,
        change: impl Fn(&mut RepositoryRecord) + Send + 'static,
    ) -> Result<(), Error> {
        let registry = self.clone();
        self.inner
            .store
            .write(move |tx| {
                let mut record = tx.repositories().record(id)?.ok_or(Error::NameUnknown)?;
                change(&mut record);
                tx.repositories().put(id, &record)?;
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.record_changed(id));
                Ok(())
            })
            .await
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
