//! Pages of the tag history: what tags point to and pointed to, the newest beginning first.
//!
//! Called by `/api/v1`. A page costs what it shows, whatever its number, unless it is filtered by a part of
//! names: then up to [`WALK`] lines are looked at.

use super::{Error, Registry};
use crate::model::{RepositoryId, TagList, TagPlace, Timestamp};
use crate::oci::{Digest, MediaType, Tag};
use crate::store::{self, ReadTx};

/// Lines looked at for a page that is filtered by a part of names.
const WALK: usize = 200_000;

/// Children of indexes that are looked for, for one page.
const CHILDREN: usize = 5_000;

/// Most lines read in one go.
const PAGE: usize = 1_000;

/// Which tags are listed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum TagFilter {
    #[default]
    All,
    Exactly(Tag),
    /// Those whose names hold a text.
    Holding(String),
}

/// A page that is asked for.
#[derive(Clone, Debug)]
pub struct TagQuery {
    pub list: TagList,
    pub filter: TagFilter,
    /// Lines before the page.
    pub skip: u64,
    /// Lines of the page.
    pub limit: usize,
}

/// A time for which a tag points, or pointed, somewhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TagLine {
    pub tag: Tag,
    pub digest: Digest,
    pub start: Timestamp,
    /// When it ended, or will end by itself.
    pub end: Option<Timestamp>,
    pub restored: bool,
    pub immutable: bool,
    /// Bytes of the image's layers, where it has layers.
    pub layers_bytes: Option<u64>,
    /// Of an index: its manifests, and whether each is here.
    pub children: Option<Vec<(Digest, bool)>>,
}

impl Registry {
    /// A page of a repository's tags, and whether more follow.
    ///
    /// # Errors
    /// The store's.
    pub async fn tag_lines(
        &self,
        repository: RepositoryId,
        query: TagQuery,
    ) -> Result<(Vec<TagLine>, bool), Error> {
        let now = self.inner.clock.now();
        let read = move |tx: &ReadTx| page(tx, repository, &query, now);
        Ok(self.inner.store.scan(read).await?)
    }

    /// The tags of a repository that point somewhere now in byte order, up to `limit`.
    ///
    /// # Errors
    /// The store's.
    pub async fn live_tags(
        &self,
        repository: RepositoryId,
        limit: usize,
    ) -> Result<Vec<TagLine>, Error> {
        let now = self.inner.clock.now();
        let read = move |tx: &ReadTx| {
            let mut children = CHILDREN;
            let mut lines = Vec::new();
            for (tag, record) in tx.tags().list(repository, None, limit)? {
                if record.has_expired(now) {
                    continue;
                }
                let place = TagPlace {
                    tag,
                    start: record.since,
                    lifetime: None,
                };
                lines.extend(line(tx, repository, place, &mut children)?);
            }
            Ok::<_, store::Error>(lines)
        };
        Ok(self.inner.store.scan(read).await?)
    }
}

fn page(
    tx: &ReadTx,
    repository: RepositoryId,
    query: &TagQuery,
    now: Timestamp,
) -> Result<(Vec<TagLine>, bool), store::Error> {
    let wanted = query.limit.saturating_add(1);
    let mut places = match &query.filter {
        TagFilter::All => {
            let page = tx
                .tags()
                .places(repository, query.list, query.skip, wanted)?;
            page.into_iter().map(|(_, place)| place).collect()
        }
        TagFilter::Exactly(tag) => of_tag(tx, repository, tag, query)?,
        TagFilter::Holding(text) => holding(tx, repository, text, query)?,
    };
    let has_more = places.len() > query.limit;
    places.truncate(query.limit);
    let (mut lines, mut children) = (Vec::with_capacity(places.len()), CHILDREN);
    for place in places {
        let is_live = place.lifetime.is_none();
        let line = line(tx, repository, place, &mut children)?;
        // It has ended by itself, and nobody has noted that yet.
        let ended = |line: &TagLine| is_live && line.end.is_some_and(|end| end <= now);
        lines.extend(line.filter(|line| query.list == TagList::All || !ended(line)));
    }
    Ok((lines, has_more))
}

/// The lines of one tag: where it points, then where it pointed, the last first.
fn of_tag(
    tx: &ReadTx,
    repository: RepositoryId,
    tag: &Tag,
    query: &TagQuery,
) -> Result<Vec<TagPlace>, store::Error> {
    let mut places = Vec::new();
    let mut skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    if let Some(record) = tx.tags().current(repository, tag)? {
        match skip.checked_sub(1) {
            Some(less) => skip = less,
            None => places.push(TagPlace {
                tag: tag.clone(),
                start: record.since,
                lifetime: None,
            }),
        }
    }
    if query.list == TagList::Live {
        return Ok(places);
    }
    let wanted = query.limit.saturating_add(1).saturating_sub(places.len());
    let most = skip.saturating_add(wanted);
    let numbers = tx.tags().lifetimes_of_tag(repository, tag, None, most)?;
    for number in numbers.into_iter().skip(skip) {
        if let Some(lifetime) = tx.tags().lifetime(repository, number)? {
            places.push(TagPlace {
                tag: lifetime.tag,
                start: lifetime.start,
                lifetime: Some(number),
            });
        }
    }
    Ok(places)
}

fn holding(
    tx: &ReadTx,
    repository: RepositoryId,
    text: &str,
    query: &TagQuery,
) -> Result<Vec<TagPlace>, store::Error> {
    let (mut found, mut skip, mut before) = (Vec::new(), query.skip, None);
    for _ in 0..WALK / PAGE {
        let page = tx
            .tags()
            .places_before(repository, query.list, before, PAGE)?;
        before = page.last().map(|(place, _)| *place);
        for (_, place) in page {
            if !place.tag.as_str().contains(text) {
                continue;
            }
            match skip.checked_sub(1) {
                Some(less) => skip = less,
                None => found.push(place),
            }
            if found.len() > query.limit {
                return Ok(found);
            }
        }
        if before.is_none() {
            break;
        }
    }
    Ok(found)
}

/// What is told of a line; `None` if its row is gone, which the check finds.
fn line(
    tx: &ReadTx,
    repository: RepositoryId,
    place: TagPlace,
    children: &mut usize,
) -> Result<Option<TagLine>, store::Error> {
    let found = match place.lifetime {
        None => tx.tags().current(repository, &place.tag)?.map(|record| {
            (
                record.digest,
                record.expires,
                record.restored,
                record.immutable,
            )
        }),
        Some(number) => tx.tags().lifetime(repository, number)?.map(|lifetime| {
            (
                lifetime.digest,
                Some(lifetime.end),
                lifetime.restored,
                false,
            )
        }),
    };
    let Some((digest, end, restored, immutable)) = found else {
        return Ok(None);
    };
    let manifest = tx.manifests().record(repository, &digest)?;
    let is_index = manifest.as_ref().is_some_and(|it| is_index(&it.media_type));
    let mut told = Vec::new();
    for child in manifest.iter().flat_map(|it| &it.children).take(*children) {
        let held = tx.manifests().record(repository, child)?;
        told.push((*child, held.is_some_and(|held| held.is_live())));
    }
    *children -= told.len();
    Ok(Some(TagLine {
        tag: place.tag,
        digest,
        start: place.start,
        end,
        restored,
        immutable,
        layers_bytes: manifest.filter(|_| !is_index).map(|it| {
            let blobs = || it.blobs.iter().map(|(_, bytes)| bytes).sum();
            it.layers_bytes.unwrap_or_else(blobs)
        }),
        children: is_index.then_some(told),
    }))
}

pub(super) fn is_index(media_type: &MediaType) -> bool {
    [MediaType::OCI_INDEX, MediaType::DOCKER_LIST].contains(media_type)
}
