//! Tags of a repository: list, pin, take note of upstream's 404, end.

use super::hot::Touched;
use super::{Error, Registry};
use crate::model::{Actor, RepositoryId, TagRecord, Timestamp};
use crate::oci::Tag;
use crate::store;

/// Most rows read in one go.
const PAGE: usize = 1000;

impl Registry {
    /// Lists a page of a repository's tags in byte order, those strictly after `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_tags(
        &self,
        repository: RepositoryId,
        after: Option<Tag>,
        limit: usize,
    ) -> Result<Vec<(Tag, TagRecord)>, Error> {
        let limit = limit.min(PAGE);
        Ok(self
            .inner
            .store
            .scan(move |tx| tx.tags().list(repository, after.as_ref(), limit))
            .await?)
    }

    /// Lists all tags of a repository in byte order, read page by page.
    ///
    /// # Errors
    /// The store's.
    pub async fn all_tags(&self, repository: RepositoryId) -> Result<Vec<Tag>, Error> {
        let mut tags: Vec<Tag> = Vec::new();
        loop {
            let page = self
                .list_tags(repository, tags.last().cloned(), PAGE)
                .await?;
            let last = page.len() < PAGE;
            tags.extend(page.into_iter().map(|(tag, _)| tag));
            if last {
                return Ok(tags);
            }
        }
    }

    /// Changes a tag's row in place; `false` if the tag does not exist.
    async fn change_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        change: impl Fn(&mut TagRecord) + Send + 'static,
    ) -> Result<bool, Error> {
        let (registry, tag) = (self.clone(), tag.clone());
        Ok(self
            .inner
            .store
            .write(move |tx| {
                let Some(mut record) = tx.tags().current(repository, &tag)? else {
                    return Ok(false);
                };
                change(&mut record);
                tx.tags().put(repository, &tag, &record)?;
                let touched = Touched {
                    tags: vec![tag.clone()],
                    digests: vec![],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, store::Error>(true)
            })
            .await?)
    }

    /// Pins a tag, so that what it leads to is never evicted, or unpins it; `false` if there is no
    /// such tag.
    ///
    /// # Errors
    /// The store's.
    pub async fn pin_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        pinned: bool,
    ) -> Result<bool, Error> {
        self.change_tag(repository, tag, move |record| record.pinned = pinned)
            .await
    }

    /// Notes that upstream answered 404 for a tag; the first such answer since it last confirmed the
    /// tag, at `validated`, counts.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_missing(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        validated: Timestamp,
    ) -> Result<(), Error> {
        let now = self.inner.clock.now();
        self.change_tag(repository, tag, move |record| {
            let before = record.missing_since.filter(|first| *first >= validated);
            record.missing_since = before.or(Some(now));
        })
        .await
        .map(drop)
    }

    /// Ends a tag; its manifest stays, readable by digest. `false` if there is no such tag.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_tag(&self, repository: RepositoryId, tag: &Tag) -> Result<bool, Error> {
        let change = self.change(Actor::System);
        let (registry, tag) = (self.clone(), tag.clone());
        Ok(self
            .inner
            .store
            .write(move |tx| {
                if change.end(tx, repository, &tag)?.is_none() {
                    return Ok(false);
                }
                let touched = Touched {
                    tags: vec![tag.clone()],
                    digests: vec![],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, store::Error>(true)
            })
            .await?)
    }
}
