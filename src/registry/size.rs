//! The size of everything that is held, as it was when somebody asked for it to be counted.
//!
//! Called by `api` for superusers. Every blob counts once, whatever number of repositories have it. The store
//! counts all along; what Quay calls a calculation notes the number and the time, behind its caller's back.

use std::sync::atomic::Ordering;

use super::{Error, Registry};
use crate::model::Timestamp;
use crate::store::{self, ReadTx, WriteTx};

/// Rows of the last outcome, among the settings.
const BYTES: &str = "registry_size_bytes";
const COUNTED: &str = "registry_size_counted_ms";

/// How large the registry was when it was last counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CountedSize {
    /// 0 before the first count.
    pub bytes: u64,
    pub counted: Option<Timestamp>,
    /// It is being counted now.
    pub is_counting: bool,
}

impl Registry {
    /// The outcome of the last count.
    ///
    /// # Errors
    /// The store's.
    pub async fn counted_size(&self) -> Result<CountedSize, Error> {
        let read = |tx: &ReadTx| {
            let bytes = tx.settings().number(BYTES)?;
            Ok::<_, store::Error>((bytes, tx.settings().number(COUNTED)?))
        };
        let (bytes, counted) = self.inner.store.read(read).await?;
        let counted = counted.and_then(|millis| i64::try_from(millis).ok());
        Ok(CountedSize {
            bytes: bytes.unwrap_or(0),
            counted: counted.map(Timestamp::from_millis),
            is_counting: self.inner.counting_size.load(Ordering::Acquire),
        })
    }

    /// Begins a count, unless one runs; whether it did. Must be called within a tokio runtime.
    pub fn begin_counting_size(&self) -> bool {
        if self.inner.counting_size.swap(true, Ordering::AcqRel) {
            return false;
        }
        let registry = self.clone();
        tokio::spawn(async move {
            let running = Running(registry);
            if let Err(error) = running.0.count_size().await {
                tracing::warn!(%error, "the size of the registry could not be counted");
            }
        });
        true
    }

    /// Counts now.
    ///
    /// # Errors
    /// The store's.
    pub async fn count_size(&self) -> Result<u64, Error> {
        let bytes = self.inner.store.read(|tx| tx.usage().of_all()).await?;
        let now = u64::try_from(self.inner.clock.now().as_millis()).unwrap_or(0);
        let note = move |tx: &mut WriteTx<'_>| {
            tx.settings().put_number(BYTES, bytes)?;
            tx.settings().put_number(COUNTED, now)
        };
        self.inner.store.write(note).await?;
        Ok(bytes)
    }
}

/// A count that runs, until it is dropped, whatever came of it.
struct Running(Registry);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.inner.counting_size.store(false, Ordering::Release);
    }
}
