//! Passwords: which are allowed, how they are hashed, and that hashing never takes over the machine.
//!
//! Argon2id, so that guessing costs memory (AU-06). Hashing runs on the blocking pool, a few at a time
//! (AU-08); the others wait. Who checks the password of a user that does not exist pays the same as
//! with one that does (AU-09).

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

use super::{Error, Metrics};
use crate::model::Secret;

/// Fewest and most bytes of a password.
const BYTES: std::ops::RangeInclusive<usize> = 8..=4096;

/// Most passwords hashed at one time, on however large a machine: 6 x 19 MiB stay below 128 MiB.
const MOST_AT_ONCE: usize = 6;

/// Highest cost of a bcrypt hash that is taken over: each one more doubles the time.
const BCRYPT_COST: u32 = 15;

/// What one hash costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl PasswordCost {
    /// OWASP's first choice for Argon2id where memory is short: 19 MiB, two passes, one lane.
    pub const DEFAULT: Self = Self {
        memory_kib: 19 * 1024,
        passes: 2,
    };
}

/// Hashes passwords and compares them.
pub(super) struct Passwords {
    hasher: Arc<Argon2<'static>>,
    /// A hash of nobody's: no password is known to give it.
    nobody: String,
    turns: Arc<Semaphore>,
    metrics: Metrics,
}

impl Passwords {
    pub(super) fn new(cost: PasswordCost, metrics: Metrics) -> Self {
        let PasswordCost { memory_kib, passes } = cost;
        let params = Params::new(memory_kib, passes, 1, None)
            .expect("Argon2 knows this much memory and this many passes");
        // Sixteen bytes of salt, thirty-two of hash.
        let nobody = format!(
            "$argon2id$v=19$m={memory_kib},t={passes},p=1${}${}",
            "c2FsdHNhbHRzYWx0c2FsdA",
            "A".repeat(43)
        );
        Self {
            hasher: Arc::new(Argon2::new(Algorithm::Argon2id, Version::V0x13, params)),
            nobody,
            turns: Arc::new(Semaphore::new(turns())),
            metrics,
        }
    }

    /// The PHC string of a new password, with a salt of its own.
    pub(super) async fn hash(&self, password: &Secret) -> Result<String, Error> {
        check(password.expose())?;
        let (hasher, password) = (Arc::clone(&self.hasher), password.clone());
        self.in_turn(move || {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).expect("the system has a source of randomness");
            hasher
                .hash_password_with_salt(password.expose().as_bytes(), &salt)
                .expect("a password of these bounds and such a salt can be hashed")
                .to_string()
        })
        .await
        .ok_or(Error::Stopping)
    }

    /// Whether this password gives that hash; without a hash, nobody's is tried at the same cost.
    pub(super) async fn verify(&self, hash: Option<&str>, password: &Secret) -> bool {
        // No hash is of such a password, whoever's it is.
        if password.expose().len() > *BYTES.end() {
            return false;
        }
        let (hasher, password) = (Arc::clone(&self.hasher), password.clone());
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        if is_bcrypt(&hash) {
            let verify = move || bcrypt::verify(password.expose(), &hash).unwrap_or(false);
            return self.in_turn(verify).await.unwrap_or(false);
        }
        let verify = move || match PasswordHash::new(&hash) {
            Ok(hash) => {
                let verified = hasher.verify_password(password.expose().as_bytes(), &hash);
                verified.is_ok()
            }
            Err(error) => {
                tracing::error!(%error, "a password's hash is damaged");
                false
            }
        };
        self.in_turn(verify).await.unwrap_or(false)
    }

    /// Runs `job` on the blocking pool when it is its turn; `None` if the runtime shuts down.
    ///
    /// # Cancel safety
    /// Dropped while it waits, `job` does not run. Dropped later, it keeps its turn until it is done.
    async fn in_turn<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let waiting = Waiting::new(&self.metrics);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        drop(waiting);
        let timer = self.metrics.hash_seconds.clone();
        let job = move || {
            let _turn = turn;
            timer.observe_closure_duration(job)
        };
        tokio::task::spawn_blocking(job).await.ok()
    }
}

/// Whether a hash is one of bcrypt, as other registries and htpasswd keep them. Such hashes come in by
/// import only, and go at the first login ([`super::Accounts::verify_password`]).
pub(super) fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"]
        .iter()
        .any(|version| hash.starts_with(version))
}

/// Checks that a hash of bcrypt is whole, and that trying it does not hold the machine.
pub(super) fn check_bcrypt(hash: &str) -> Result<(), Error> {
    let wrong = |reason| {
        Err(Error::Invalid {
            what: "the password's hash",
            reason,
        })
    };
    if !is_bcrypt(hash) {
        return wrong("it is one of bcrypt, as htpasswd -B makes it");
    }
    match hash.parse::<bcrypt::HashParts>() {
        Ok(parts) if parts.get_cost() <= BCRYPT_COST => Ok(()),
        Ok(_) => wrong("its cost is 15 at most: with more, a login would take seconds"),
        Err(_) => wrong("it is not whole"),
    }
}

/// Counts as waiting while it lives.
struct Waiting<'a>(&'a Metrics);

impl<'a> Waiting<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.waiting_hashes.inc();
        Self(metrics)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting_hashes.dec();
    }
}

/// How many passwords are hashed at one time: half the cores, so that a flood of logins leaves the
/// other half to pulls.
fn turns() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, MOST_AT_ONCE)
}

/// Checks that a password may be taken.
fn check(password: &str) -> Result<(), Error> {
    let reason = if !BYTES.contains(&password.len()) {
        "it has 8 to 4096 bytes"
    } else if password.contains(char::is_whitespace) {
        "it contains no white space"
    } else {
        return Ok(());
    };
    Err(Error::Invalid {
        what: "the password",
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::tests::CHEAP;

    fn passwords(cost: PasswordCost) -> Passwords {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        Passwords::new(cost, metrics)
    }

    fn secret(text: impl Into<String>) -> Secret {
        Secret::new(text)
    }

    #[tokio::test]
    async fn a_hash_of_another_registry_verifies_too() {
        let passwords = passwords(CHEAP);
        let hash = bcrypt::hash("correct-horse", 4).unwrap();
        let hash = hash.replacen("$2b$", "$2y$", 1);
        for (text, is_it) in [("correct-horse", true), ("wrong-horse", false)] {
            assert_eq!(passwords.verify(Some(&hash), &secret(text)).await, is_it);
        }
        assert!(
            !passwords
                .verify(Some("$2y$04$x"), &secret("correct-horse"))
                .await
        );
        assert!(check_bcrypt(&hash).is_ok());
        let costly = hash.replacen("$04$", "$31$", 1);
        for bad in ["$2y$04$x", "$apr1$x$y", "{SHA}x", "", &costly] {
            assert!(check_bcrypt(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let passwords = passwords(CHEAP);
        let [first, second] = [
            passwords.hash(&secret("correct-horse")).await.unwrap(),
            passwords.hash(&secret("correct-horse")).await.unwrap(),
        ];
        assert_ne!(first, second, "each has a salt of its own");
        assert!(first.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{first}");
        assert!(
            passwords
                .verify(Some(&first), &secret("correct-horse"))
                .await
        );
        assert!(
            !passwords
                .verify(Some(&first), &secret("correct-horsf"))
                .await
        );
        assert!(
            !passwords
                .verify(Some("damaged"), &secret("correct-horse"))
                .await
        );
    }

    /// AU-06: nothing is cut off.
    #[tokio::test]
    async fn long_passwords_differ_in_any_byte() {
        let passwords = passwords(CHEAP);
        let long = |byte_73: char, length: usize| {
            let (head, tail) = ("p".repeat(72), "p".repeat(length - 73));
            secret(format!("{head}{byte_73}{tail}"))
        };
        for length in [73, 80, 4096] {
            let hash = passwords.hash(&long('a', length)).await.unwrap();
            assert!(passwords.verify(Some(&hash), &long('a', length)).await);
            assert!(!passwords.verify(Some(&hash), &long('b', length)).await);
        }
        assert!(passwords.hash(&long('a', 4097)).await.is_err());
    }

    #[tokio::test]
    async fn short_ones_and_white_space_are_refused() {
        let passwords = passwords(CHEAP);
        for bad in ["", "1234567", "1234 5678", "12345678\n", "1234\u{a0}5678"] {
            let hashed = passwords.hash(&secret(bad)).await;
            assert!(matches!(hashed, Err(Error::Invalid { .. })), "{bad:?}");
        }
        assert!(passwords.hash(&secret("12345678")).await.is_ok());
        assert!(passwords.hash(&secret("é€é")).await.is_err(), "seven bytes");
    }

    /// AU-09, by counted work: one hash of the same cost, whether there is a user or not.
    #[tokio::test]
    async fn nobody_costs_what_somebody_costs() {
        let passwords = passwords(CHEAP);
        let hash = passwords.hash(&secret("correct-horse")).await.unwrap();
        let somebody = PasswordHash::new(&hash).unwrap();
        let nobody = PasswordHash::new(&passwords.nobody).unwrap();
        let lengths = |hash: &PasswordHash| {
            (
                hash.salt.as_ref().map(|salt| salt.len()),
                hash.hash.as_ref().map(|hash| hash.len()),
            )
        };
        assert_eq!(somebody.params.to_string(), nobody.params.to_string());
        assert_eq!(lengths(&somebody), lengths(&nobody));
        let before = passwords.metrics.hash_seconds.get_sample_count();
        assert!(!passwords.verify(None, &secret("correct-horse")).await);
        assert!(!passwords.verify(Some(&hash), &secret("wrong-horse")).await);
        let hashed = passwords.metrics.hash_seconds.get_sample_count() - before;
        assert_eq!(hashed, 2);
    }

    /// AU-08.
    #[tokio::test]
    async fn passwords_are_hashed_a_few_at_a_time() {
        let passwords = Arc::new(passwords(CHEAP));
        assert!((1..=MOST_AT_ONCE).contains(&passwords.turns.available_permits()));
        let all = passwords.turns.available_permits() as u32;
        let taken = passwords.turns.acquire_many(all).await.unwrap();
        let waiting = Arc::clone(&passwords);
        let login = tokio::spawn(async move { waiting.verify(None, &secret("password")).await });
        while passwords.metrics.waiting_hashes.get() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!login.is_finished());
        assert_eq!(passwords.metrics.hash_seconds.get_sample_count(), 0);
        drop(taken);
        assert!(!login.await.unwrap());
        assert_eq!(passwords.metrics.hash_seconds.get_sample_count(), 1);
        assert_eq!(passwords.metrics.waiting_hashes.get(), 0);
    }

    #[tokio::test]
    async fn the_default_cost_is_memory_hard() {
        let passwords = passwords(PasswordCost::DEFAULT);
        let hash = passwords.hash(&secret("correct-horse")).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(
            passwords
                .verify(Some(&hash), &secret("correct-horse"))
                .await
        );
    }
}
