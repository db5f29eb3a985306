//! Growing delay after failed passwords (AU-07).
//!
//! Two counts are kept: of an account as tried from one source, and of a source whatever account it
//! tries. Both must be at rest. An account is never delayed everywhere: who guesses at it from one
//! address leaves its owner free on every other, and the table is keyed so that no attacker can fill
//! somebody else's row. Guessing from many addresses at once is bounded by the price of a hash and
//! their number running side by side, which `accounts` limits.
//!
//! Robots and app tokens are not delayed: 64 and 120 random characters cannot be guessed, and a delay
//! would only stop honest jobs behind the same address.
//!
//! An attempt counts as failed from its beginning until it is told to have succeeded, so that hanging
//! up before the answer saves nothing. Rows are forgotten least recently used first.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};

use crate::model::{Timestamp, UserId};

const ACCOUNTS: u64 = 65_536;
const SOURCES: u64 = 16_384;
const TURNS: usize = 64;

/// After `k` failures: `5 * (2^k - 1) / 10` seconds (Quay).
const STEP: Duration = Duration::from_millis(500);

/// One account from one source.
const OF_ACCOUNT: Pace = Pace {
    free: 0,
    longest: Duration::from_secs(15 * 60),
    forgiven_every: Duration::from_secs(15 * 60),
};

/// One source: some mistakes are nobody's fault where many share an address.
const OF_SOURCE: Pace = Pace {
    free: 4,
    longest: Duration::from_secs(60),
    forgiven_every: Duration::from_secs(60),
};

/// Where attempts come from: an IPv4 address, or the /64 network that one IPv6 site has whole.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
        })
    }
}

/// Whose password is tried.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Account {
    /// However it was called: by its name or its e-mail address.
    Known(UserId),
    Unknown(Box<str>),
}

pub(super) struct Throttle {
    accounts: Cache<(Account, Source), Failures>,
    sources: Cache<Source, Failures>,
    turns: [Mutex<()>; TURNS],
}

/// The right of a source to try one password; others of the same source wait.
pub(super) struct Turn<'throttle> {
    throttle: &'throttle Throttle,
    source: Source,
    _alone: MutexGuard<'throttle, ()>,
}

/// A password being tried.
pub(super) struct Attempt<'turn> {
    turn: &'turn Turn<'turn>,
    account: Account,
    source_before: Option<Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

struct Pace {
    /// Failures without any delay.
    free: u32,
    longest: Duration,
    /// Every so long without a failure, one is forgotten.
    forgiven_every: Duration,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            accounts: table(ACCOUNTS),
            sources: table(SOURCES),
            turns: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Waits until no other password of the same source is being tried.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the queue.
    pub(super) async fn turn(&self, source: Source) -> Turn<'_> {
        let mut hasher = DefaultHasher::new();
        source.hash(&mut hasher);
        let share = hasher.finish() % TURNS as u64;
        let turn = &self.turns[usize::try_from(share).expect("less than 64")];
        Turn {
            throttle: self,
            source,
            _alone: turn.lock().await,
        }
    }
}

fn table<K: Eq + Hash + Send + Sync + 'static>(rows: u64) -> Cache<K, Failures> {
    Cache::builder()
        .max_capacity(rows)
        // The default policy keeps what was used often and turns new rows away when it is full.
        .eviction_policy(EvictionPolicy::lru())
        .build()
}

impl Turn<'_> {
    /// Begins an attempt, which counts as failed until [`Attempt::succeeded`].
    ///
    /// # Errors
    /// How long this source has to wait.
    pub(super) fn begin(&self, account: Account, now: Timestamp) -> Result<Attempt<'_>, Duration> {
        let key = (account, self.source);
        let of_account = self.throttle.accounts.get(&key);
        let of_source = self.throttle.sources.get(&self.source);
        let wait = OF_ACCOUNT
            .wait(of_account, now)
            .max(OF_SOURCE.wait(of_source, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        let failed = OF_ACCOUNT.failed(of_account, now);
        self.throttle.accounts.insert(key.clone(), failed);
        let failed = OF_SOURCE.failed(of_source, now);
        self.throttle.sources.insert(self.source, failed);
        Ok(Attempt {
            turn: self,
            account: key.0,
            source_before: of_source,
        })
    }
}

impl Attempt<'_> {
    /// The password was right: the account starts anew, the source keeps its other failures, so that
    /// an account of one's own buys no guesses at those of others.
    pub(super) fn succeeded(self) {
        let Turn {
            throttle, source, ..
        } = self.turn;
        throttle.accounts.invalidate(&(self.account, *source));
        match self.source_before {
            Some(before) => throttle.sources.insert(*source, before),
            None => throttle.sources.invalidate(source),
        }
    }
}

impl Pace {
    fn count(&self, failures: Option<Failures>, now: Timestamp) -> u32 {
        let Some(failures) = failures else { return 0 };
        let forgiven = now.since(failures.last).as_secs() / self.forgiven_every.as_secs();
        failures
            .count
            .saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// How much longer to wait; zero to go ahead.
    fn wait(&self, failures: Option<Failures>, now: Timestamp) -> Duration {
        let Some(last) = failures.map(|failures| failures.last) else {
            return Duration::ZERO;
        };
        let over = self.count(failures, now).saturating_sub(self.free);
        self.delay(over).saturating_sub(now.since(last))
    }

    fn delay(&self, failures: u32) -> Duration {
        let steps = 2_u32
            .checked_pow(failures)
            .map_or(u32::MAX, |power| power - 1);
        STEP.saturating_mul(steps).min(self.longest)
    }

    fn failed(&self, before: Option<Failures>, now: Timestamp) -> Failures {
        Failures {
            count: self.count(before, now).saturating_add(1),
            last: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VICTIM: Account = Account::Known(UserId(7));

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::default() + Duration::from_millis(millis)
    }

    /// Tries every tenth of a second for `seconds`; how many wrong passwords were looked at.
    async fn guesses(throttle: &Throttle, seconds: u64, account: impl Fn(u64) -> Account) -> usize {
        let turn = throttle.turn(source("192.0.2.1")).await;
        let tries = (0..10 * seconds).map(|tenth| turn.begin(account(tenth), at(100 * tenth)));
        tries.filter(Result::is_ok).count()
    }

    /// AU-07: at most 10 guesses in the first minute, and hardly any in the hours after it.
    #[tokio::test]
    async fn a_guesser_is_slowed_down_more_and_more() {
        let first = guesses(&Throttle::new(), 60, |_| VICTIM).await;
        assert!((2..=10).contains(&first), "{first}");
        let hours = guesses(&Throttle::new(), 4 * 3600, |_| VICTIM).await;
        assert!(hours <= 40, "{hours}");
    }

    /// AU-07: trying another account each time does not help.
    #[tokio::test]
    async fn a_source_that_tries_many_accounts_is_slowed_down() {
        let name = |n| Account::Unknown(format!("user{n}").into());
        let first = guesses(&Throttle::new(), 60, name).await;
        assert!((2..=10).contains(&first), "{first}");
        let hour = guesses(&Throttle::new(), 3600, name).await;
        assert!(hour <= 2 * 60 + 10, "{hour}");
    }

    /// AU-07: the victim logs in from elsewhere as if nothing had happened.
    #[tokio::test]
    async fn guesses_at_one_address_delay_nobody_at_another() {
        let throttle = Throttle::new();
        guesses(&throttle, 60, |_| VICTIM).await;
        let now = at(59_950);
        assert!(
            throttle
                .turn(source("192.0.2.1"))
                .await
                .begin(VICTIM, now)
                .is_err()
        );
        let turn = throttle.turn(source("192.0.2.2")).await;
        turn.begin(VICTIM, now).expect("no delay").succeeded();
        assert!(turn.begin(VICTIM, now).is_ok());
    }

    #[tokio::test]
    async fn success_resets_the_account_and_not_the_source() {
        let throttle = Throttle::new();
        let turn = throttle.turn(source("192.0.2.1")).await;
        let mut clock = 0;
        for guess in 0..5 {
            let account = Account::Unknown(format!("user{guess}").into());
            assert!(turn.begin(account, at(clock)).is_ok());
        }
        // The fifth failure is the first over the free ones: half a second.
        let wait = turn.begin(VICTIM, at(clock)).err();
        assert_eq!(wait, Some(Duration::from_millis(500)));
        clock += 500;
        turn.begin(VICTIM, at(clock)).expect("waited").succeeded();
        let own = turn.begin(VICTIM, at(clock));
        own.expect("success forgets its account").succeeded();
        assert!(turn.begin(VICTIM, at(clock)).is_ok());
        let wait = turn.begin(Account::Known(UserId(8)), at(clock)).err();
        assert_eq!(
            wait,
            Some(Duration::from_millis(1500)),
            "six of the source are left"
        );
    }

    #[tokio::test]
    async fn an_attempt_that_is_given_up_counts_as_failed() {
        let throttle = Throttle::new();
        let turn = throttle.turn(source("192.0.2.1")).await;
        drop(turn.begin(VICTIM, at(0)));
        assert!(turn.begin(VICTIM, at(499)).is_err());
        assert!(turn.begin(VICTIM, at(500)).is_ok());
    }

    #[test]
    fn a_network_of_one_site_is_one_source() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn delays_are_quays_and_end_somewhere() {
        let seconds = |k| OF_ACCOUNT.delay(k).as_secs_f64();
        assert_eq!([0, 1, 5].map(seconds), [0.0, 0.5, 15.5]);
        assert_eq!(seconds(40), 900.0);
        assert_eq!(OF_SOURCE.delay(u32::MAX), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn the_table_is_bounded() {
        let throttle = Throttle::new();
        for address in 0..40_000_u32 {
            let source = Source::from(IpAddr::from(address.to_be_bytes()));
            drop(throttle.turn(source).await.begin(VICTIM, at(0)));
        }
        throttle.sources.run_pending_tasks();
        assert!(throttle.sources.entry_count() <= SOURCES);
    }
}
