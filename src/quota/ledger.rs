//! The running account of bytes: held, reserved, and unlinked but open.
//!
//! It lives in memory: what is held is rebuilt from the store at start and moved by after-commit
//! hooks, reservations belong to running fills and vanish with them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Pressure;
use crate::model::NamespaceId;

/// How much room the volume of the data directory has; the ledger asks it before each reservation.
pub trait DiskSpace: Send + Sync {
    /// Bytes free to us now; `None` if it cannot be told, and then only quotas bound us.
    fn free_bytes(&self) -> Option<u64>;
}

/// What is missing for a reservation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Shortage {
    #[error("it would never fit: {wanted} bytes against a quota of {limit}")]
    Never { wanted: u64, limit: u64 },
    #[error("{missing} bytes are missing under the namespace's quota")]
    Quota { missing: u64 },
    #[error("{missing} bytes are missing above the disk's reserve")]
    Disk { missing: u64 },
}

impl Shortage {
    /// Bytes that eviction would have to free for another try.
    pub const fn missing(&self) -> Option<u64> {
        match self {
            Self::Never { .. } => None,
            Self::Quota { missing } | Self::Disk { missing } => Some(*missing),
        }
    }
}

/// The account of every namespace; cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    accounts: Mutex<HashMap<NamespaceId, Account>>,
    /// The cap of namespaces that follow the default; [`UNCAPPED`] for none.
    default_limit: AtomicU64,
    /// Bytes promised to fills and not yet written: free space that is spoken for.
    unwritten: AtomicU64,
    disk: Arc<dyn DiskSpace>,
    disk_reserve: AtomicU64,
    /// Something was taken past a high mark.
    pressed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    held: u64,
    reserved: u64,
    lingering: u64,
    cap: Cap,
}

/// What an account may come to.
#[derive(Clone, Copy, Debug, Default)]
enum Cap {
    /// What is said of every account.
    #[default]
    Default,
    Own(Option<u64>),
}

/// As a default limit: none.
const UNCAPPED: u64 = u64::MAX;

impl Account {
    const fn used(&self) -> u64 {
        self.held + self.reserved + self.lingering
    }

    /// What lingers is on its way out: nothing more has to go for it.
    fn pressure(&self, cap: Option<u64>) -> Pressure {
        cap.map_or_else(Pressure::default, |limit| {
            Pressure::under_quota(limit, self.held + self.reserved)
        })
    }
}

impl Ledger {
    pub fn new(disk: Arc<dyn DiskSpace>, disk_reserve: u64) -> Self {
        let shared = Shared {
            accounts: Mutex::default(),
            default_limit: AtomicU64::new(UNCAPPED),
            unwritten: AtomicU64::new(0),
            disk,
            disk_reserve: AtomicU64::new(disk_reserve),
            pressed: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Says what a namespace holds, as read from the store at start.
    pub fn load(&self, namespace: NamespaceId, held: u64) {
        self.account(namespace, |account| account.held = held);
    }

    /// Sets or lifts the cap of a namespace, whatever the default is.
    pub fn set_limit(&self, namespace: NamespaceId, limit: Option<u64>) {
        self.account(namespace, |account| account.cap = Cap::Own(limit));
    }

    /// Has a namespace capped as the default says.
    pub fn follow_default(&self, namespace: NamespaceId) {
        self.account(namespace, |account| account.cap = Cap::Default);
    }

    /// Sets or lifts the cap of every namespace that has none of its own.
    pub fn set_default_limit(&self, limit: Option<u64>) {
        let limit = limit.unwrap_or(UNCAPPED);
        self.shared.default_limit.store(limit, Ordering::Relaxed);
    }

    pub fn set_disk_reserve(&self, bytes: u64) {
        self.shared.disk_reserve.store(bytes, Ordering::Relaxed);
    }

    pub fn limit(&self, namespace: NamespaceId) -> Option<u64> {
        self.account(namespace, |account| self.cap_of(account))
    }

    /// Bytes held, reserved and lingering together.
    pub fn used(&self, namespace: NamespaceId) -> u64 {
        self.account(namespace, |account| account.used())
    }

    /// Bytes held, as the store counts them.
    pub fn held(&self, namespace: NamespaceId) -> u64 {
        self.account(namespace, |account| account.held)
    }

    /// Bytes by which the disk's free space is under its reserve, fills included.
    pub fn disk_deficit(&self) -> u64 {
        self.disk_lacks(0)
    }

    /// Bytes by which the disk is too small for so many more.
    pub fn disk_lacks(&self, bytes: u64) -> u64 {
        self.missing_of(self.shared.disk.free_bytes(), bytes)
    }

    /// Bytes by which a namespace is over its cap (a cap that was lowered).
    pub fn excess(&self, namespace: NamespaceId) -> u64 {
        self.account(namespace, |account| {
            let cap = self.cap_of(account);
            cap.map_or(0, |limit| account.used().saturating_sub(limit))
        })
    }

    /// How near a namespace is to its cap.
    pub fn pressure(&self, namespace: NamespaceId) -> Pressure {
        self.account(namespace, |account| account.pressure(self.cap_of(account)))
    }

    /// How near the disk is to its reserve, fills included.
    pub fn disk_pressure(&self) -> Pressure {
        let lingering = self.lock().values().map(|account| account.lingering).sum();
        self.pressure_of_disk(self.shared.disk.free_bytes(), lingering)
    }

    /// Resolves when something has been taken past a high mark since it last did.
    pub async fn pressed(&self) {
        self.shared.pressed.notified().await;
    }

    /// Takes `bytes` for a fill, or says what is missing.
    ///
    /// # Errors
    /// [`Shortage`]; nothing is taken then.
    pub fn reserve(&self, namespace: NamespaceId, bytes: u64) -> Result<Reservation, Shortage> {
        let mut reservation = self.nothing(namespace);
        reservation.cover(bytes)?;
        Ok(reservation)
    }

    /// A reservation of no bytes, to be made larger with [`Reservation::cover`].
    pub fn nothing(&self, namespace: NamespaceId) -> Reservation {
        Reservation {
            ledger: self.clone(),
            namespace,
            bytes: 0,
            written: 0,
        }
    }

    /// The reservation of bytes that lie on the disk already, whether they fit or not: what an earlier
    /// process left.
    pub fn adopt(&self, namespace: NamespaceId, bytes: u64) -> Reservation {
        self.account(namespace, |account| account.reserved += bytes);
        Reservation {
            ledger: self.clone(),
            namespace,
            bytes,
            written: bytes,
        }
    }

    /// Counts bytes that stopped being held by a commit.
    pub fn subtract_held(&self, namespace: NamespaceId, bytes: u64) {
        self.account(namespace, |account| {
            account.held = account.held.saturating_sub(bytes)
        });
    }

    /// Counts bytes of a file that is about to be unlinked until the guard is dropped, which is when
    /// the last open handle is gone.
    pub fn linger(&self, namespace: NamespaceId, bytes: u64) -> Lingering {
        self.account(namespace, |account| account.lingering += bytes);
        Lingering {
            ledger: self.clone(),
            namespace,
            bytes,
        }
    }

    /// Takes `bytes` more for content that has `wanted` bytes in all.
    fn take(&self, namespace: NamespaceId, bytes: u64, wanted: u64) -> Result<(), Shortage> {
        let mut accounts = self.lock();
        let account = accounts.entry(namespace).or_default();
        if let Some(limit) = self.cap_of(account) {
            if wanted > limit {
                return Err(Shortage::Never { wanted, limit });
            }
            let missing = (account.used() + bytes).saturating_sub(limit);
            if missing > 0 {
                return Err(Shortage::Quota { missing });
            }
        }
        let free = self.shared.disk.free_bytes();
        let missing = self.missing_of(free, bytes);
        if missing > 0 {
            return Err(Shortage::Disk { missing });
        }
        account.reserved += bytes;
        self.shared.unwritten.fetch_add(bytes, Ordering::Relaxed);
        let pressure = account.pressure(self.cap_of(account));
        if pressure.is_high || self.pressure_of_disk(free, 0).is_high {
            self.shared.pressed.notify_one();
        }
        Ok(())
    }

    fn cap_of(&self, account: &Account) -> Option<u64> {
        let default = || self.shared.default_limit.load(Ordering::Relaxed);
        match account.cap {
            Cap::Own(limit) => limit,
            Cap::Default => Some(default()).filter(|limit| *limit != UNCAPPED),
        }
    }

    /// What `bytes` more would take from the reserve of a disk with that much free.
    fn missing_of(&self, free: Option<u64>, bytes: u64) -> u64 {
        let (spoken_for, reserve) = self.spoken_for();
        free.map_or(0, |free| {
            (bytes + spoken_for + reserve).saturating_sub(free)
        })
    }

    fn pressure_of_disk(&self, free: Option<u64>, lingering: u64) -> Pressure {
        let (spoken_for, reserve) = self.spoken_for();
        free.map_or_else(Pressure::default, |free| {
            Pressure::of_disk(free + lingering, spoken_for, reserve)
        })
    }

    /// Free space that fills will write, and that nobody may.
    fn spoken_for(&self) -> (u64, u64) {
        let unwritten = self.shared.unwritten.load(Ordering::Relaxed);
        (unwritten, self.shared.disk_reserve.load(Ordering::Relaxed))
    }

    fn account<T>(&self, namespace: NamespaceId, change: impl FnOnce(&mut Account) -> T) -> T {
        change(self.lock().entry(namespace).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NamespaceId, Account>> {
        // Every change is one assignment: a panic elsewhere leaves the map whole.
        self.shared
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("accounts", &*self.lock())
            .finish_non_exhaustive()
    }
}

/// Bytes taken for one fill; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    ledger: Ledger,
    namespace: NamespaceId,
    bytes: u64,
    written: u64,
}

impl Reservation {
    pub const fn namespace(&self) -> NamespaceId {
        self.namespace
    }

    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more until it covers `total` bytes, for content whose size was not known.
    ///
    /// # Errors
    /// [`Shortage`]; what was taken before stays taken.
    pub fn cover(&mut self, total: u64) -> Result<(), Shortage> {
        let more = total.saturating_sub(self.bytes);
        if more > 0 {
            self.ledger.take(self.namespace, more, total)?;
            self.bytes += more;
        }
        Ok(())
    }

    /// Gives back what was not written; tells how many bytes stay.
    pub fn keep_written(&mut self) -> u64 {
        self.shrink(self.written);
        self.bytes
    }

    /// Gives back all but `total` bytes, which lie on the disk.
    pub fn shrink(&mut self, total: u64) {
        let less = self.bytes.saturating_sub(total);
        let unwritten = self.bytes - self.written;
        self.ledger
            .shared
            .unwritten
            .fetch_sub(unwritten, Ordering::Relaxed);
        self.ledger.account(self.namespace, |account| {
            account.reserved = account.reserved.saturating_sub(less);
        });
        self.bytes -= less;
        self.written = self.bytes;
    }

    /// Counts `bytes` as held in place of all that was reserved, in one step: nobody ever sees both.
    pub fn hold(mut self, bytes: u64) {
        let (reserved, unwritten) = (self.bytes, self.bytes - self.written);
        self.ledger
            .shared
            .unwritten
            .fetch_sub(unwritten, Ordering::Relaxed);
        self.ledger.account(self.namespace, |account| {
            account.reserved = account.reserved.saturating_sub(reserved);
            account.held += bytes;
        });
        (self.bytes, self.written) = (0, 0);
    }

    /// Says that `total` bytes of it lie on the disk by now, where free space already shows them.
    pub fn written(&mut self, total: u64) {
        let total = total.min(self.bytes);
        let more = total.saturating_sub(self.written);
        self.ledger
            .shared
            .unwritten
            .fetch_sub(more, Ordering::Relaxed);
        self.written += more;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let unwritten = self.bytes - self.written;
        self.ledger
            .shared
            .unwritten
            .fetch_sub(unwritten, Ordering::Relaxed);
        self.ledger.account(self.namespace, |account| {
            account.reserved = account.reserved.saturating_sub(self.bytes);
        });
    }
}

/// Bytes of an unlinked file that somebody still reads.
#[derive(Debug)]
pub struct Lingering {
    ledger: Ledger,
    namespace: NamespaceId,
    bytes: u64,
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.ledger.account(self.namespace, |account| {
            account.lingering = account.lingering.saturating_sub(self.bytes);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Volume(AtomicU64);

    impl DiskSpace for Volume {
        fn free_bytes(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Relaxed))
        }
    }

    const ORG: NamespaceId = NamespaceId(1);

    fn ledger(free: u64, reserve: u64, limit: Option<u64>) -> (Ledger, Arc<Volume>) {
        let volume = Arc::new(Volume(AtomicU64::new(free)));
        let ledger = Ledger::new(volume.clone(), reserve);
        ledger.set_limit(ORG, limit);
        (ledger, volume)
    }

    #[test]
    fn held_reserved_and_lingering_share_one_cap() {
        let (ledger, _) = ledger(1000, 0, Some(100));
        ledger.load(ORG, 40);
        let lingering = ledger.linger(ORG, 30);
        let reservation = ledger.reserve(ORG, 30).unwrap();
        assert_eq!(
            ledger.reserve(ORG, 1).unwrap_err(),
            Shortage::Quota { missing: 1 }
        );
        drop(lingering);
        assert_eq!(
            ledger.reserve(ORG, 31).unwrap_err(),
            Shortage::Quota { missing: 1 }
        );
        drop(reservation);
        assert_eq!(ledger.used(ORG), 40);
        let never = ledger.reserve(ORG, 101).unwrap_err();
        assert_eq!(
            (never, never.missing()),
            (
                Shortage::Never {
                    wanted: 101,
                    limit: 100
                },
                None
            )
        );
    }

    /// DK-03, DK-04: the reserve stays free whatever fills were promised.
    #[test]
    fn the_disk_reserve_counts_promised_bytes_until_they_are_written() {
        let (ledger, volume) = ledger(100, 20, None);
        let mut first = ledger.reserve(ORG, 50).unwrap();
        assert_eq!(
            ledger.reserve(ORG, 40).unwrap_err(),
            Shortage::Disk { missing: 10 }
        );
        first.written(50);
        volume.0.store(50, Ordering::Relaxed);
        assert_eq!(
            ledger.reserve(ORG, 40).unwrap_err(),
            Shortage::Disk { missing: 10 }
        );
        drop(ledger.reserve(ORG, 30).unwrap());
        drop(first);
        assert_eq!(ledger.disk_deficit(), 0);
        volume.0.store(5, Ordering::Relaxed);
        assert_eq!(ledger.disk_deficit(), 15);
    }

    /// What is held and reserved presses; what lingers is on its way out.
    #[tokio::test]
    async fn taking_past_a_high_mark_is_told() {
        let (ledger, volume) = ledger(10_000, 0, Some(4000));
        let first = ledger.reserve(ORG, 3900).unwrap();
        assert!(futures_util::FutureExt::now_or_never(ledger.pressed()).is_none());
        assert_eq!(ledger.pressure(ORG).surplus, 100);
        let second = ledger.reserve(ORG, 1).unwrap();
        ledger.pressed().await;
        assert_eq!(
            ledger.pressure(ORG),
            Pressure {
                is_high: true,
                surplus: 101
            }
        );
        drop(second);
        let lingering = ledger.linger(ORG, 90);
        assert!(!ledger.pressure(ORG).is_high);
        ledger.set_disk_reserve(5000);
        volume.0.store(11_310, Ordering::Relaxed);
        assert!(!ledger.disk_pressure().is_high);
        volume.0.store(11_309, Ordering::Relaxed);
        assert_eq!(
            ledger.disk_pressure(),
            Pressure {
                is_high: true,
                surplus: 2501
            }
        );
        ledger.set_limit(ORG, None);
        let third = ledger.reserve(ORG, 1).unwrap();
        ledger.pressed().await;
        drop((first, third, lingering));
    }

    #[test]
    fn a_reservation_grows_to_cover_what_comes() {
        let (ledger, _) = ledger(1000, 0, Some(10));
        let mut reservation = ledger.reserve(ORG, 0).unwrap();
        reservation.cover(8).unwrap();
        reservation.cover(4).unwrap();
        assert_eq!((reservation.bytes(), ledger.used(ORG)), (8, 8));
        let (wanted, limit) = (12, 10);
        let never = Shortage::Never { wanted, limit };
        assert_eq!(reservation.cover(wanted), Err(never), "however much goes");
        let other = ledger.reserve(ORG, 2).unwrap();
        assert_eq!(reservation.cover(9), Err(Shortage::Quota { missing: 1 }));
        assert_eq!((reservation.bytes(), ledger.used(ORG)), (8, 10));
        drop(other);
    }

    /// The bytes of a commit are never in the account twice, nor out of it.
    #[test]
    fn a_reservation_becomes_held_in_one_step() {
        let (ledger, volume) = ledger(20, 5, Some(10));
        let reservation = ledger.reserve(ORG, 8).unwrap();
        assert_eq!((ledger.used(ORG), ledger.held(ORG)), (8, 0));
        reservation.hold(6);
        assert_eq!((ledger.used(ORG), ledger.held(ORG)), (6, 6));
        volume.0.store(9, Ordering::Relaxed);
        ledger.reserve(ORG, 4).unwrap();
        assert_eq!(ledger.disk_deficit(), 0, "nothing is promised any more");
    }

    #[test]
    fn what_an_earlier_process_left_counts_although_it_does_not_fit() {
        let (ledger, _) = ledger(100, 0, Some(10));
        let left = ledger.adopt(ORG, 12);
        assert_eq!((ledger.used(ORG), ledger.excess(ORG)), (12, 2));
        assert_eq!(ledger.disk_deficit(), 0, "it lies on the disk already");
        drop(left);
        assert_eq!(ledger.used(ORG), 0);
    }

    #[test]
    fn what_stopped_half_way_keeps_what_it_wrote() {
        let (ledger, _) = ledger(100, 0, Some(10));
        let mut reservation = ledger.reserve(ORG, 8).unwrap();
        reservation.written(3);
        reservation.shrink(5);
        assert_eq!((reservation.bytes(), ledger.used(ORG)), (5, 5));
        drop(reservation);
        assert_eq!(ledger.used(ORG), 0);
        assert_eq!(ledger.shared.unwritten.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_lowered_cap_shows_its_excess() {
        let (ledger, _) = ledger(1000, 0, Some(10));
        ledger.load(ORG, 8);
        assert_eq!(ledger.excess(ORG), 0);
        ledger.set_limit(ORG, Some(5));
        assert_eq!(ledger.excess(ORG), 3);
        ledger.set_limit(ORG, None);
        assert_eq!(ledger.excess(ORG), 0);
    }
}
