//! What a check finds, in words: repositories and namespaces by their names.

use super::Failure;
use super::message::DamageRow;
use crate::model::{ByteSize, NamespaceId, PolicyScope, RepositoryId, Review};
use crate::registry::{self, Damage, Finding, Registry};
use crate::store::{Number, ReadTx, RowFault};

/// Repositories named with damaged content, at most.
const NAMED: usize = 3;

/// Says what is wrong.
pub(in crate::app) async fn describe(
    registry: &Registry,
    finding: &Finding,
) -> Result<String, Failure> {
    Ok(match finding {
        Finding::MissingFile { digest, size_bytes } => {
            let size = ByteSize(*size_bytes);
            format!("blob {digest} ({size}) has no file; it can be fetched or pushed again")
        }
        Finding::WrongLength {
            digest,
            row_bytes,
            file_bytes,
        } => format!("the file of blob {digest} has {file_bytes} bytes instead of {row_bytes}"),
        Finding::OrphanFile { digest, size_bytes } => {
            let size = ByteSize(*size_bytes);
            format!("a file of {size} is of no blob: {digest}")
        }
        Finding::UnlinkedBlob { digest } => format!("blob {digest} is in no repository"),
        Finding::WrongUsage {
            namespace,
            stored_bytes,
            counted_bytes,
        } => {
            let name = namespace_name(registry, *namespace).await?;
            format!("{name} is said to hold {stored_bytes} bytes and holds {counted_bytes}")
        }
        Finding::WrongTotal {
            stored_bytes,
            counted_bytes,
        } => format!(
            "all blobs are said to have {stored_bytes} bytes together and have {counted_bytes}"
        ),
        Finding::DamagedManifest { repository, digest } => {
            let name = repository_name(registry, *repository).await?;
            format!("manifest {name}@{digest} is gone or damaged")
        }
        Finding::DanglingTag {
            repository,
            tag,
            digest,
        } => {
            let name = repository_name(registry, *repository).await?;
            format!("tag {name}:{tag} points to {digest}, which is not there")
        }
        Finding::Forgotten { review } => {
            let what = subject(registry, review).await?;
            format!("nothing needs {what}, and the collector was not told")
        }
        Finding::MissingIndexRow { fault } => {
            format!("the index of {} lacks a row", fault.index)
        }
        Finding::StrayIndexRow { fault } => {
            format!(
                "the index of {} has a row that nothing stands behind",
                fault.index
            )
        }
        Finding::WrongLinkCount { wrong } => {
            let name = namespace_name(registry, wrong.namespace).await?;
            format!(
                "{name} is said to have blob {} in {} of its repositories and has it in {}",
                wrong.digest, wrong.stored, wrong.counted
            )
        }
        Finding::WrongNumber { wrong } => {
            let name = repository_name(registry, wrong.repository).await?;
            let what = match wrong.number {
                Number::Bytes => "bytes",
                Number::Stars => "stars",
                Number::TagPlaces => "lines in a part of its tag history",
            };
            format!(
                "{name} is said to have {} {what} and has {}",
                wrong.stored, wrong.counted
            )
        }
        Finding::WrongRow { wrong } => {
            let whose = match wrong.scope {
                Some(PolicyScope::Namespace(id)) => namespace_name(registry, id).await?,
                Some(PolicyScope::Repository(id)) => repository_name(registry, id).await?,
                None => "the site".to_owned(),
            };
            match wrong.fault {
                RowFault::Unreadable => format!("a row cannot be read: {} of {whose}", wrong.of),
                RowFault::Ownerless => format!("there is a row of nobody: {} of {whose}", wrong.of),
            }
        }
    })
}

/// Whether it tells of content that is gone and that no upstream has.
pub(in crate::app) async fn is_lost(
    registry: &Registry,
    finding: &Finding,
) -> Result<bool, Failure> {
    let repository = match finding {
        Finding::MissingFile { digest, .. } => return Ok(registry.is_pushed(digest).await?),
        Finding::DamagedManifest { repository, .. } | Finding::DanglingTag { repository, .. } => {
            *repository
        }
        _ => return Ok(false),
    };
    let read = |tx: &ReadTx| tx.repositories().record(repository);
    let record = registry.store().read(read).await;
    let record = record.map_err(registry::Error::from)?;
    Ok(record.is_none_or(|record| !record.fetched))
}

/// Says whose content is damaged.
pub(super) async fn damage(registry: &Registry, damage: &Damage) -> Result<DamageRow, Failure> {
    let (kind, mut repositories) = match damage.manifest_of {
        Some(id) => ("manifest", vec![repository_name(registry, id).await?]),
        None => (
            "blob",
            registry.who_has_blob(&damage.digest, NAMED + 1).await?,
        ),
    };
    let more = repositories.len() > NAMED;
    repositories.truncate(NAMED);
    Ok(DamageRow {
        digest: damage.digest,
        kind: kind.to_owned(),
        state: (if damage.absent { "absent" } else { "damaged" }).to_owned(),
        lost: damage.lost,
        repositories,
        more,
    })
}

/// What a review is about.
async fn subject(registry: &Registry, review: &Review) -> Result<String, Failure> {
    let name = repository_name(registry, review.repository()).await?;
    Ok(match review {
        Review::Tag { tag, .. } => format!("the tag {name}:{tag}"),
        Review::Lifetime { sequence, .. } => format!("line {sequence} of the history of {name}"),
        Review::Manifest { digest, .. } => format!("the manifest {name}@{digest}"),
        Review::Blob { digest, .. } => format!("blob {digest} in {name}"),
    })
}

async fn repository_name(registry: &Registry, id: RepositoryId) -> Result<String, Failure> {
    let name = registry.full_name(id).await?;
    Ok(name.map_or_else(
        || format!("(a repository that is gone: number {id})"),
        |name| name.to_string(),
    ))
}

async fn namespace_name(registry: &Registry, id: NamespaceId) -> Result<String, Failure> {
    let read = |tx: &ReadTx| tx.namespaces().record(id);
    let record = registry.store().read(read).await;
    let record = record.map_err(registry::Error::from)?;
    Ok(record.map_or_else(
        || format!("(a namespace that is gone: number {id})"),
        |record| record.name.to_string(),
    ))
}
