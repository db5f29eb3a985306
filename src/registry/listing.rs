//! Lists of repositories for people, and what is told of each.
//!
//! Called by `/api/v1`, which leaves out what the caller may not see. Each call looks at a bounded number of
//! rows and says where to go on; the catalogue of all namespaces is in `catalogue`.

use super::{Catalogued, Error, Registry};
use crate::model::{
    LogScope, NamespaceId, NamespaceName, RepositoryId, TagList, Timestamp, UserId,
};
use crate::oci::RepositoryName;
use crate::store::{self, ReadTx, day};

/// Days whose acts make a repository popular.
const POPULAR_DAYS: i32 = 7;

/// What is to be told of repositories beside their records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub last_modified: bool,
    pub popularity: bool,
    /// Whether this user has starred it.
    pub starred_by: Option<UserId>,
    pub stars: bool,
}

/// What is told of a repository beside its record; mostly as far as it was asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// When the tag began that began last, of those that point somewhere.
    pub last_modified: Option<Timestamp>,
    /// Acts of the last seven days.
    pub popularity: u64,
    pub is_starred: bool,
    pub stars: u64,
    /// Bytes of its manifests and blobs.
    pub bytes: u64,
}

impl Registry {
    /// Repositories of a namespace behind the name `after`, in byte order, from at most `rows` rows, and the
    /// name to go on behind; `None` at the end.
    ///
    /// # Errors
    /// The store's.
    pub async fn repositories_of(
        &self,
        namespace: NamespaceId,
        after: &str,
        rows: usize,
    ) -> Result<(Vec<Catalogued>, Option<String>), Error> {
        let after = after.to_owned();
        let read = move |tx: &ReadTx| {
            let owner = tx.namespaces().record(namespace)?;
            let Some(owner) = owner.filter(|owner| owner.deleted.is_none()) else {
                return Ok((Vec::new(), None));
            };
            let page = tx.repositories().list_behind(namespace, &after, rows)?;
            let last = page.last().filter(|_| page.len() == rows);
            let next = last.map(|(name, _)| name.to_string());
            let mut found = Vec::with_capacity(page.len());
            for (_, repository) in page {
                let record = tx.repositories().record(repository)?;
                found.extend(record.map(|record| Catalogued {
                    namespace,
                    owner: owner.clone(),
                    repository,
                    record,
                }));
            }
            Ok::<_, store::Error>((found, next))
        };
        Ok(self.inner.store.scan(read).await?)
    }

    /// Repositories that a user has starred behind `after`, from at most `rows` stars, and the id to go on
    /// behind; `None` at the end.
    ///
    /// # Errors
    /// The store's.
    pub async fn starred(
        &self,
        user: UserId,
        after: Option<RepositoryId>,
        rows: usize,
    ) -> Result<(Vec<Catalogued>, Option<RepositoryId>), Error> {
        let read = move |tx: &ReadTx| {
            let page = tx.stars().of_user(user, after, rows)?;
            let next = page.last().filter(|_| page.len() == rows).copied();
            Ok::<_, store::Error>((catalogued(tx, &page)?, next))
        };
        Ok(self.inner.store.scan(read).await?)
    }

    /// The repositories of these ids that are there, in byte order of their names.
    ///
    /// # Errors
    /// The store's.
    pub async fn by_name(&self, ids: Vec<RepositoryId>) -> Result<Vec<Catalogued>, Error> {
        let read = move |tx: &ReadTx| catalogued(tx, &ids);
        let found: Result<Vec<_>, store::Error> = self.inner.store.scan(read).await;
        let mut found = found?;
        found.sort_by(|one, other| one.record.name.as_str().cmp(other.record.name.as_str()));
        Ok(found)
    }

    /// The repository of that name with its namespace, if there is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn catalogued(
        &self,
        namespace: &NamespaceName,
        name: &RepositoryName,
    ) -> Result<Option<Catalogued>, Error> {
        let Some((id, _)) = self.namespace(namespace).await? else {
            return Ok(None);
        };
        let Some(repository) = self.repository(id, name).await? else {
            return Ok(None);
        };
        let read = |tx: &ReadTx| catalogued(tx, &[repository]);
        let found: Result<Vec<_>, store::Error> = self.inner.store.read(read).await;
        Ok(found?.pop())
    }

    /// What is told of each of some repositories, in their order.
    ///
    /// # Errors
    /// The store's.
    pub async fn facts(
        &self,
        repositories: Vec<RepositoryId>,
        asked: Asked,
    ) -> Result<Vec<Facts>, Error> {
        let today = day(self.inner.clock.now());
        let read = move |tx: &ReadTx| {
            let facts = repositories.iter().map(|id| facts(tx, *id, asked, today));
            facts.collect::<Result<Vec<_>, store::Error>>()
        };
        Ok(self.inner.store.scan(read).await?)
    }
}

/// The repositories of these ids that are there.
pub(super) fn catalogued(
    tx: &ReadTx,
    ids: &[RepositoryId],
) -> Result<Vec<Catalogued>, store::Error> {
    let mut found = Vec::with_capacity(ids.len());
    for repository in ids.iter().copied() {
        let Some(record) = tx.repositories().record(repository)? else {
            continue;
        };
        // A deleted namespace's repositories go later; they are there for nobody at once.
        let owner = tx.namespaces().record(record.namespace)?;
        let owner = owner.filter(|owner| owner.deleted.is_none());
        found.extend(owner.map(|owner| Catalogued {
            namespace: record.namespace,
            owner,
            repository,
            record,
        }));
    }
    Ok(found)
}

fn facts(
    tx: &ReadTx,
    repository: RepositoryId,
    asked: Asked,
    today: i32,
) -> Result<Facts, store::Error> {
    let mut facts = Facts {
        bytes: tx.usage().of_repository(repository)?,
        ..Facts::default()
    };
    if asked.last_modified {
        let newest = tx.tags().places(repository, TagList::Live, 0, 1)?;
        facts.last_modified = newest.first().map(|(_, place)| place.start);
    }
    if asked.popularity {
        let scope = LogScope::Repository(repository);
        for day in (0..POPULAR_DAYS).map(|back| today - back) {
            facts.popularity += tx.logs().count(scope, day)?;
        }
    }
    if let Some(user) = asked.starred_by {
        facts.is_starred = tx.stars().has(user, repository)?;
    }
    if asked.stars {
        facts.stars = tx.stars().count(repository)?;
    }
    Ok(facts)
}

impl Registry {
    /// How many acts there were on each of the last `days` days on which there were any, the first first.
    ///
    /// # Errors
    /// The store's.
    pub async fn acts_by_day(
        &self,
        repository: RepositoryId,
        days: i32,
    ) -> Result<Vec<(i32, u64)>, Error> {
        let today = day(self.inner.clock.now());
        let read = move |tx: &ReadTx| {
            let scope = LogScope::Repository(repository);
            let mut acts = Vec::new();
            for day in today - days + 1..=today {
                let count = tx.logs().count(scope, day)?;
                acts.extend((count > 0).then_some((day, count)));
            }
            Ok::<_, store::Error>(acts)
        };
        Ok(self.inner.store.scan(read).await?)
    }
}
