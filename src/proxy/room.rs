//! Room for fills: taken once upstream answers and before a byte is kept, and parked for what is left to be gone
//! on with.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::run::{Ended, Run};
use super::{Error, Proxy};
use crate::blob;
use crate::model::Timestamp;
use crate::oci::Digest;
use crate::quota::Reservation;
use crate::registry::SweepReport;

/// How long bytes of a fill that stopped half-way wait for another pull.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The accounts of fills that stopped half-way and whose bytes are kept, since when.
#[derive(Default)]
pub(super) struct Parked(Mutex<HashMap<Digest, (Timestamp, Reservation)>>);

impl Parked {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, (Timestamp, Reservation)>> {
        // Inserts and removes only: a panic elsewhere leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the account of the bytes that a fill left.
    pub(super) fn put(&self, digest: Digest, reservation: Reservation, now: Timestamp) {
        self.lock().insert(digest, (now, reservation));
    }

    /// Takes the account of the bytes that a fill left.
    pub(super) fn take(&self, digest: &Digest) -> Option<Reservation> {
        self.lock()
            .remove(digest)
            .map(|(_, reservation)| reservation)
    }

    fn take_older(&self, age: Duration, now: Timestamp) -> Vec<(Digest, (Timestamp, Reservation))> {
        let is_old = |_: &Digest, parked: &mut (Timestamp, _)| now.since(parked.0) >= age;
        self.lock().extract_if(is_old).collect()
    }

    fn has(&self, digest: &Digest) -> bool {
        self.lock().contains_key(digest)
    }
}

impl Proxy {
    /// Takes what an earlier process left of its fills into the accounts it belongs to, so that it can
    /// be gone on with and no cap is passed. What belongs to no account that can be told goes where an
    /// account has a cap.
    pub(super) async fn adopt_leftovers(&self) -> Result<(), Error> {
        let registry = self.registry();
        let left = registry.blobs().partials().await?;
        if left.is_empty() {
            return Ok(());
        }
        let digests = left.iter().map(|(digest, _)| *digest).collect();
        let owners = registry.namespaces_naming(digests).await?;
        let is_capped = self.caches().iter().any(|cache| cache.rule.quota.is_some());
        for (digest, len) in left {
            match owners.get(&digest) {
                Some(organization) => {
                    let reservation = registry.ledger().adopt(*organization, len);
                    self.inner.fills.parked.put(digest, reservation, self.now());
                }
                None if is_capped => _ = registry.blobs().discard_partial(&digest).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// Removes files that no row names, and unfinished ones that nobody works on: at once if an
    /// earlier process left them, after a day if they stopped half-way in this one.
    ///
    /// # Errors
    /// The store's or the disk's; what was removed stays removed.
    pub async fn sweep(&self) -> Result<SweepReport, Error> {
        self.drop_parked(FORGOTTEN).await?;
        let parked = &self.inner.fills.parked;
        let is_kept = |digest: &Digest| self.is_filling(digest) || parked.has(digest);
        Ok(self.registry().sweep(is_kept).await?)
    }

    /// Gives up the bytes of fills that stopped half-way that long ago; returns how many fills.
    async fn drop_parked(&self, age: Duration) -> Result<usize, blob::Error> {
        let parked = self.inner.fills.parked.take_older(age, self.now());
        let count = parked.len();
        for (digest, account) in parked {
            if !self.is_filling(&digest) {
                self.registry().blobs().discard_partial(&digest).await?;
            }
            drop(account);
        }
        Ok(count)
    }
}

impl Run {
    /// Room for the blob, what an earlier fill of it had included.
    ///
    /// Without it, the bytes of that fill must be given up: nothing lies there that no account has.
    pub(super) async fn reserve(&self) -> Result<Reservation, Ended> {
        let organization = self.order.source.organization;
        let ledger = self.proxy.registry().ledger();
        let parked = self.proxy.inner.fills.parked.take(&self.order.digest);
        let mut reservation = match parked {
            Some(parked) if parked.namespace() == organization => parked,
            _ => ledger.nothing(organization),
        };
        if self.is_of_an_image_too_large() {
            return Err(Ended::Unkept);
        }
        let expected = self.order.expected.unwrap_or(0);
        self.cover(&mut reservation, expected).await?;
        Ok(reservation)
    }

    /// Whether the whole image can never fit: keeping parts of it would only cost others their place.
    fn is_of_an_image_too_large(&self) -> bool {
        let organization = self.order.source.organization;
        let limit = self.proxy.registry().ledger().limit(organization);
        matches!((self.order.image, limit), (Some(image), Some(limit)) if image > limit)
    }

    /// Makes room for `total` bytes; where content cannot go, what other fills left goes.
    pub(super) async fn cover(
        &self,
        reservation: &mut Reservation,
        total: u64,
    ) -> Result<(), Ended> {
        let (registry, units) = (self.proxy.registry(), &self.order.units);
        match registry.cover(reservation, total, units).await {
            Err(error)
                if error.is_unkept() && self.proxy.drop_parked(Duration::ZERO).await? > 0 =>
            {
                Ok(registry.cover(reservation, total, units).await?)
            }
            covered => Ok(covered?),
        }
    }
}
