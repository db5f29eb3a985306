//! Which rows are derived from which: the one place that says so.

use super::Index;
use crate::model::{
    JobRecord, Lane, ManifestRecord, RepositoryId, Review, TagLifetime, TagList, TagPlace,
    TagRecord, Timestamp,
};
use crate::oci::{Digest, Tag};
use crate::store::keys::{self, Key};
use crate::store::tables::Table;
use crate::store::{Error, blobs, codec};

/// A row of an index that another row has.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) index: Index,
    pub(super) key: Key,
    /// What the row must say; `None` if it is enough that it is there.
    pub(super) value: Option<Vec<u8>>,
}

/// The rows of indexes that a row has.
pub(super) fn derived(table: Table, key: &[u8], value: &[u8]) -> Result<Vec<Derived>, Error> {
    let damaged = || table.damaged_key();
    if table == Table::Stars {
        let user = keys::read_star_user(key).ok_or_else(damaged)?;
        let repository = keys::read_star(key).ok_or_else(damaged)?;
        let gazer = keys::stargazer(repository, user);
        return Ok(vec![marked((Index::Stargazers, gazer))]);
    }
    if table == Table::Jobs {
        return Ok(Vec::from_iter(of_job(key, value)));
    }
    let repository = keys::read_repository(key).ok_or_else(damaged)?;
    let content = || keys::read_content(key).ok_or_else(damaged);
    Ok(match table {
        Table::Tags => {
            let tag = keys::read_tag(key).ok_or_else(damaged)?;
            of_tag(repository, tag, &codec::decode(table, value)?)
        }
        Table::TagLifetimes => {
            let sequence = keys::read_lifetime(key).ok_or_else(damaged)?;
            of_lifetime(repository, sequence, codec::decode(table, value)?)
        }
        Table::Manifests => of_manifest(repository, &content()?, &codec::decode(table, value)?),
        Table::BlobLinks => {
            // What came from an upstream is not to be mounted from there.
            let is_pushed = blobs::decode_link(value)?.since != Timestamp::default();
            let holder = keys::holder(&content()?, repository);
            Vec::from_iter(is_pushed.then_some(marked((Index::BlobHolders, holder))))
        }
        _ => Vec::new(),
    })
}

/// One that cannot be read is due at no time, and told as what it is (`standing`).
fn of_job(key: &[u8], value: &[u8]) -> Option<Derived> {
    let job = keys::read_job(key)?;
    let record: JobRecord = codec::decode(Table::Jobs, value).ok()?;
    let index = match job.lane() {
        Lane::Upkeep => Index::JobOrder,
        Lane::Mirrors => Index::MirrorJobOrder,
    };
    Some(marked((index, keys::due_job(record.due, job))))
}

fn marked((index, key): (Index, Key)) -> Derived {
    Derived {
        index,
        key,
        value: None,
    }
}

/// The place of a line in a list.
pub(super) fn placed(
    repository: RepositoryId,
    list: TagList,
    place: u64,
    line: &TagPlace,
) -> Derived {
    Derived {
        index: Index::TagPlaces,
        key: keys::tag_place(repository, list, place),
        value: Some(codec::encode(line)),
    }
}

fn of_tag(repository: RepositoryId, tag: Tag, record: &TagRecord) -> Vec<Derived> {
    let target = keys::target(repository, &record.digest, &tag);
    let line = TagPlace {
        tag: tag.clone(),
        start: record.since,
        lifetime: None,
    };
    let places = [TagList::All, TagList::Live];
    let places = places.map(|list| placed(repository, list, record.place, &line));
    // An immutable tag does not end by itself.
    let expires = record.expires.filter(|_| !record.immutable);
    let expiry = expires.map(|due| keys::review(due, &Review::Tag { repository, tag }));
    let expiry = expiry.map(|key| marked((Index::TagExpiries, key)));
    [marked((Index::TagTargets, target))]
        .into_iter()
        .chain(places)
        .chain(expiry)
        .collect()
}

fn of_lifetime(repository: RepositoryId, sequence: u64, lifetime: TagLifetime) -> Vec<Derived> {
    let target = keys::lifetime_target(repository, &lifetime.digest, sequence);
    let tag = keys::lifetime_tag(repository, &lifetime.tag, sequence);
    let line = TagPlace {
        tag: lifetime.tag,
        start: lifetime.start,
        lifetime: Some(sequence),
    };
    vec![
        marked((Index::LifetimeTargets, target)),
        marked((Index::LifetimeTags, tag)),
        placed(repository, TagList::All, lifetime.place, &line),
    ]
}

fn of_manifest(repository: RepositoryId, digest: &Digest, record: &ManifestRecord) -> Vec<Derived> {
    let naming = |named: &Digest| keys::naming(repository, named, digest);
    let children = record.children.iter();
    let children = children.map(|child| (Index::ManifestParents, naming(child)));
    let blobs = record.blobs.iter();
    let blobs = blobs.map(|(blob, _)| (Index::BlobNamers, naming(blob)));
    // A deleted one is on nobody's list, and on it again when it is restored.
    let subject = record.subject.filter(|_| record.is_live());
    let subject = subject.map(|subject| (Index::Referrers, naming(&subject)));
    let holder = (Index::ManifestHolders, keys::holder(digest, repository));
    [holder]
        .into_iter()
        .chain(children)
        .chain(blobs)
        .chain(subject)
        .map(marked)
        .collect()
}

/// The row that a row of an index is derived from; `None` if it cannot be read.
pub(super) fn origin(index: Index, key: &[u8], value: &[u8]) -> Option<(Table, Key)> {
    let repository = || keys::read_repository(key);
    let held = || {
        let (digest, repository) = (keys::read_first_digest(key)?, keys::read_holder(key)?);
        Some(keys::content(repository, &digest))
    };
    let naming = || Some(keys::content(repository()?, &keys::read_naming(key)?));
    let lifetime = |sequence| Some(keys::lifetime(repository()?, sequence));
    Some(match index {
        Index::TagTargets => {
            let tag = keys::read_target(key)?;
            (Table::Tags, keys::tag(repository()?, &tag))
        }
        Index::TagPlaces => {
            let line: TagPlace = codec::decode(index.table(), value).ok()?;
            match line.lifetime {
                None => (Table::Tags, keys::tag(repository()?, &line.tag)),
                Some(sequence) => (Table::TagLifetimes, lifetime(sequence)?),
            }
        }
        Index::LifetimeTargets => {
            let sequence = keys::read_lifetime_target(key)?;
            (Table::TagLifetimes, lifetime(sequence)?)
        }
        Index::LifetimeTags => {
            let sequence = keys::read_lifetime_tag(key)?;
            (Table::TagLifetimes, lifetime(sequence)?)
        }
        Index::ManifestHolders => (Table::Manifests, held()?),
        Index::BlobHolders => (Table::BlobLinks, held()?),
        Index::ManifestParents | Index::BlobNamers | Index::Referrers => {
            (Table::Manifests, naming()?)
        }
        Index::TagExpiries => {
            let (_, review) = keys::read_review(key)?;
            let Review::Tag { repository, tag } = review else {
                return None;
            };
            (Table::Tags, keys::tag(repository, &tag))
        }
        Index::Stargazers => {
            let user = keys::read_stargazer(key)?;
            (Table::Stars, keys::star(user, repository()?))
        }
        Index::JobOrder | Index::MirrorJobOrder => {
            let (_, job) = keys::read_due_job(key)?;
            (Table::Jobs, keys::job(job))
        }
    })
}
