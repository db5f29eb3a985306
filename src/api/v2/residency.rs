//! A piece of a held blob as `http` sends it: the mapped bytes, and how to keep a worker from waiting
//! for the disk while they are sent.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::blob::{self, BlobFile};
use crate::http::{Region, Residency};
use crate::oci::ByteRange;

/// `range` of a blob, ready for sendfile.
pub(super) fn region(file: &BlobFile, range: ByteRange) -> Result<Region, blob::Error> {
    let blob::Region {
        bytes,
        file: descriptor,
        offset,
    } = file.region(range)?;
    Ok(Region {
        bytes,
        file: descriptor,
        offset,
        residency: Some(Arc::new(PageCache(file.clone()))),
    })
}

/// What the page cache has of one blob.
struct PageCache(BlobFile);

impl PageCache {
    /// The range as far as the blob has it: reading ahead may ask for more.
    fn range(&self, offset: u64, len: u64) -> ByteRange {
        let end = offset.saturating_add(len).min(self.0.len());
        ByteRange {
            start: offset.min(end),
            end,
        }
    }
}

impl Residency for PageCache {
    fn is_resident(&self, offset: u64, len: u64) -> bool {
        self.0.is_resident(self.range(offset, len))
    }

    fn make_resident(&self, offset: u64, len: u64) -> BoxFuture<'static, ()> {
        let (file, range) = (self.0.clone(), self.range(offset, len));
        async move {
            if let Err(error) = file.make_resident(range).await {
                tracing::debug!(%error, "reading ahead failed; sending will tell");
            }
        }
        .boxed()
    }
}
