//! What each namespace may hold, and who has said so: the configuration, the API, or nobody.
//!
//! Lives in memory, loaded at start and told of every change after its commit; the ledger's caps follow
//! from it. Called by `registry`, whose services change quotas, and read by whoever shows them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Ledger;
use crate::model::{NamespaceId, QuotaRecord};

/// What holds for quotas of namespaces that are no caches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Enforcement {
    /// Pushes are refused (`FEATURE_QUOTA_MANAGEMENT`, `FEATURE_VERIFY_QUOTA`).
    pub refuses: bool,
    /// What a namespace may hold that has no quota of its own (`DEFAULT_SYSTEM_REJECT_QUOTA_BYTES`).
    pub default_bytes: Option<u64>,
}

/// Who says what a cache may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CacheCap {
    /// The configuration, which may name no cap.
    Configured(Option<u64>),
    /// The quota that it has by the API.
    ByQuota,
}

/// The quota of a namespace as it is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Quota {
    /// Its own, made by the API.
    Own(QuotaRecord),
    /// The configured cap of a cache, in bytes.
    Configured(u64),
    /// What the configuration says of every namespace, in bytes.
    Default(u64),
}

impl Quota {
    /// The most that the quota speaks of, in bytes.
    pub const fn limit_bytes(&self) -> u64 {
        match self {
            Self::Own(record) => record.limit_bytes,
            Self::Configured(bytes) | Self::Default(bytes) => *bytes,
        }
    }
}

/// The quotas of all namespaces; cheap to clone.
#[derive(Clone, Debug)]
pub struct Quotas {
    ledger: Ledger,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    enforcement: Enforcement,
    caches: HashMap<NamespaceId, CacheCap>,
    own: HashMap<NamespaceId, QuotaRecord>,
}

impl Quotas {
    /// None yet; caps are set in `ledger`.
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            known: Arc::default(),
        }
    }

    /// Takes in what is stored, at start.
    pub fn load(&self, own: impl IntoIterator<Item = (NamespaceId, QuotaRecord)>) {
        let mut known = self.lock();
        known.own.extend(own);
        known.apply_all(&self.ledger, BTreeSet::new());
    }

    /// Says what holds outside of caches from now on.
    pub fn enforce(&self, enforcement: Enforcement) {
        let mut known = self.lock();
        known.enforcement = enforcement;
        let default = enforcement.default_bytes.filter(|_| enforcement.refuses);
        self.ledger.set_default_limit(default);
        known.apply_all(&self.ledger, BTreeSet::new());
    }

    /// Says which namespaces are caches, and who caps them.
    pub fn set_caches(&self, caches: HashMap<NamespaceId, CacheCap>) {
        let mut known = self.lock();
        let before = std::mem::replace(&mut known.caches, caches);
        known.apply_all(&self.ledger, before.into_keys().collect());
    }

    /// Says what quota a namespace has by the API from now on, after the commit.
    pub fn set(&self, namespace: NamespaceId, own: Option<QuotaRecord>) {
        let mut known = self.lock();
        match own {
            Some(record) => _ = known.own.insert(namespace, record),
            None => _ = known.own.remove(&namespace),
        }
        known.apply(&self.ledger, namespace);
    }

    /// The quota of a namespace, whoever has said it.
    pub fn of(&self, namespace: NamespaceId) -> Option<Quota> {
        let known = self.lock();
        let own = || known.own.get(&namespace).cloned().map(Quota::Own);
        match known.caches.get(&namespace) {
            Some(CacheCap::Configured(bytes)) => bytes.map(Quota::Configured),
            Some(CacheCap::ByQuota) => own(),
            None => own().or_else(|| known.enforcement.default_bytes.map(Quota::Default)),
        }
    }

    /// Whether the configuration says what the namespace may hold, so that the API does not.
    pub fn is_configured(&self, namespace: NamespaceId) -> bool {
        let cap = self.lock().caches.get(&namespace).copied();
        matches!(cap, Some(CacheCap::Configured(_)))
    }

    /// Whether there is a default for namespaces without a quota of their own.
    pub fn has_default(&self) -> bool {
        self.lock().enforcement.default_bytes.is_some()
    }

    /// Whether nothing more may be pushed into a namespace: it holds its most, or more.
    pub fn is_full(&self, namespace: NamespaceId) -> bool {
        let most = self.ledger.limit(namespace);
        most.is_some_and(|most| self.ledger.used(namespace) >= most)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change is one assignment: a panic elsewhere leaves them whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn apply_all(&self, ledger: &Ledger, mut namespaces: BTreeSet<NamespaceId>) {
        namespaces.extend(self.caches.keys().chain(self.own.keys()));
        for namespace in namespaces {
            self.apply(ledger, namespace);
        }
    }

    fn apply(&self, ledger: &Ledger, namespace: NamespaceId) {
        let own = self.own.get(&namespace);
        match (self.caches.get(&namespace), own) {
            (Some(CacheCap::Configured(bytes)), _) => ledger.set_limit(namespace, *bytes),
            (Some(CacheCap::ByQuota), own) => {
                ledger.set_limit(namespace, own.map(|own| own.limit_bytes));
            }
            (None, Some(own)) => {
                let most = own.most().filter(|_| self.enforcement.refuses);
                ledger.set_limit(namespace, most);
            }
            (None, None) => ledger.follow_default(namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LimitKind, QuotaLimit};
    use crate::quota::DiskSpace;

    struct Endless;

    impl DiskSpace for Endless {
        fn free_bytes(&self) -> Option<u64> {
            None
        }
    }

    const ORG: NamespaceId = NamespaceId(1);
    const CACHE: NamespaceId = NamespaceId(2);

    fn quotas(default_bytes: Option<u64>) -> Quotas {
        let quotas = Quotas::new(Ledger::new(Arc::new(Endless), 0));
        quotas.enforce(Enforcement {
            refuses: true,
            default_bytes,
        });
        quotas
    }

    fn record(limit_bytes: u64, percents: &[u8]) -> QuotaRecord {
        let limit = |percent: &u8| QuotaLimit {
            id: u64::from(*percent),
            kind: LimitKind::Reject,
            percent: *percent,
        };
        QuotaRecord {
            id: 7,
            limit_bytes,
            limits: percents.iter().map(limit).collect(),
        }
    }

    #[test]
    fn outside_of_caches_only_rejecting_limits_cap() {
        let quotas = quotas(None);
        quotas.set(ORG, Some(record(100, &[])));
        assert_eq!(quotas.ledger.limit(ORG), None);
        quotas.set(ORG, Some(record(100, &[80])));
        assert_eq!(quotas.ledger.limit(ORG), Some(80));
        quotas.enforce(Enforcement::default());
        assert_eq!(quotas.ledger.limit(ORG), None, "nothing is refused");
        assert_eq!(quotas.of(ORG), Some(Quota::Own(record(100, &[80]))));
    }

    /// SC-215, SC-216: the default counts where there is no quota, and again when one is gone.
    #[test]
    fn the_default_caps_what_has_no_quota_of_its_own() {
        let quotas = quotas(Some(50));
        assert_eq!(quotas.of(ORG), Some(Quota::Default(50)));
        assert_eq!(quotas.ledger.limit(ORG), Some(50));
        quotas.set(ORG, Some(record(100, &[90])));
        assert_eq!(quotas.ledger.limit(ORG), Some(90));
        quotas.set(ORG, None);
        assert_eq!(quotas.ledger.limit(ORG), Some(50));
    }

    #[test]
    fn a_cache_is_capped_by_its_quota_itself_and_by_no_default() {
        let quotas = quotas(Some(50));
        quotas.set_caches(HashMap::from([(CACHE, CacheCap::ByQuota)]));
        assert_eq!((quotas.ledger.limit(CACHE), quotas.of(CACHE)), (None, None));
        quotas.set(CACHE, Some(record(100, &[10])));
        assert_eq!(quotas.ledger.limit(CACHE), Some(100));
        let configured = CacheCap::Configured(Some(30));
        quotas.set_caches(HashMap::from([(CACHE, configured)]));
        assert_eq!(quotas.of(CACHE), Some(Quota::Configured(30)));
        assert_eq!(quotas.ledger.limit(CACHE), Some(30));
        quotas.set_caches(HashMap::new());
        assert_eq!(quotas.ledger.limit(CACHE), Some(10), "a cache no longer");
    }

    #[test]
    fn what_holds_its_most_is_full() {
        let quotas = quotas(None);
        quotas.set(ORG, Some(record(100, &[100])));
        quotas.ledger.load(ORG, 99);
        assert!(!quotas.is_full(ORG));
        let upload = quotas.ledger.reserve(ORG, 1).unwrap();
        assert!(quotas.is_full(ORG), "uploads count");
        drop(upload);
        assert!(!quotas.is_full(ORG));
        assert!(!quotas.is_full(CACHE), "it has no limit");
    }
}
