//! Sessions of browsers: everything a session knows travels in its sealed cookie, and nothing is kept.
//!
//! A session names a user, the epoch of the user's sessions in which it began, and when the password was
//! shown last. Sign-out and a new password move the epoch, and every session of an older one is nobody's
//! at the next request (AU-14). A session of nobody carries only its CSRF token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::identity::Holder;
use super::{Auth, Error, Identity};
use crate::accounts::SealKey;
use crate::model::{Sealed, Secret, Timestamp, UserId};

/// The cookie's name (Quay).
pub const SESSION_COOKIE: &str = "_csrf_token";

/// Longest cookie that is looked at; ours have some 250 characters.
const COOKIE_BYTES: usize = 1024;

/// Random bytes of a CSRF token (Quay).
const TOKEN_BYTES: usize = 48;

const CONTEXT: &[u8] = b"web session";

/// What a browser carries.
#[derive(Clone, Debug)]
pub struct Session {
    pub login: Option<Login>,
    /// What a change must show, so that no other site can make this browser do it.
    csrf: Vec<u8>,
    /// The same for answers of login services, which come back by way of the browser.
    oauth_csrf: Vec<u8>,
    began: Timestamp,
}

/// A user who showed a password.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Login {
    pub user: UserId,
    /// Of the user's sessions, as it was then.
    pub epoch: u64,
    /// When the password was shown last.
    pub at: Timestamp,
}

/// What is sealed.
#[derive(Deserialize, Serialize)]
struct Carried {
    login: Option<Login>,
    csrf: Vec<u8>,
    oauth_csrf: Vec<u8>,
    began: Timestamp,
}

impl Session {
    /// A session of nobody, with fresh tokens.
    pub(super) fn anonymous(now: Timestamp) -> Self {
        Self {
            login: None,
            csrf: random(),
            oauth_csrf: random(),
            began: now,
        }
    }

    /// A session of somebody who has just shown a password. It takes over nothing of the one before,
    /// so that nobody can plant a session that will later be somebody's (AU-14).
    pub(super) fn of(login: Login) -> Self {
        Self {
            login: Some(login),
            ..Self::anonymous(login.at)
        }
    }

    /// What a change must show in `X-CSRF-Token` or `_csrf_token`.
    pub fn csrf_token(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(&self.csrf))
    }

    /// What login services carry as `state`.
    pub fn oauth_csrf_token(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(&self.oauth_csrf))
    }

    /// Whether `shown` is the CSRF token of this session, in a time that tells nothing (AU-09).
    pub fn is_csrf_token(&self, shown: &str) -> bool {
        same(self.csrf_token().expose(), shown)
    }

    /// The text of the cookie.
    pub(super) fn seal(&self, key: &SealKey) -> Secret {
        let carried = Carried {
            login: self.login,
            csrf: self.csrf.clone(),
            oauth_csrf: self.oauth_csrf.clone(),
            began: self.began,
        };
        let bytes =
            postcard::to_stdvec(&carried).expect("a session is made of what postcard knows");
        Secret::new(URL_SAFE_NO_PAD.encode(key.seal(&bytes, CONTEXT).0))
    }

    /// When the session began; a login begins one.
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// The session in a cookie that was sealed under this key; whether it has ended, and whether its
    /// user still has it, is not looked at.
    pub(super) fn open(cookie: &str, key: &SealKey) -> Option<Self> {
        if cookie.len() > COOKIE_BYTES {
            return None;
        }
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(cookie).ok()?);
        let bytes = key.open(&sealed, CONTEXT)?;
        let carried: Carried = postcard::from_bytes(&bytes).ok()?;
        Some(Self {
            login: carried.login,
            csrf: carried.csrf,
            oauth_csrf: carried.oauth_csrf,
            began: carried.began,
        })
    }
}

impl Auth {
    /// A session for a browser that has none.
    pub fn anonymous_session(&self) -> Session {
        Session::anonymous(self.0.clock.now())
    }

    /// The user of that id, if it is somebody.
    ///
    /// # Errors
    /// The store's.
    pub async fn identity(&self, user: UserId) -> Result<Option<Identity>, Error> {
        let living = self.0.basic.lookup.living(Holder::User(user)).await?;
        Ok(living.map(|living| living.identity))
    }

    /// A session of a user who has just shown the password.
    ///
    /// # Errors
    /// The store's; `None` if the user is gone or disabled.
    pub async fn begin_session(&self, user: UserId) -> Result<Option<Session>, Error> {
        let living = self.0.basic.lookup.living(Holder::User(user)).await?;
        let now = self.0.clock.now();
        Ok(living.map(|living| {
            let (epoch, at) = (living.session_epoch, now);
            Session::of(Login { user, epoch, at })
        }))
    }

    /// The text of a session's cookie.
    pub fn seal_session(&self, session: &Session) -> Secret {
        session.seal(&self.0.session_key)
    }

    /// The session in a `Cookie` header, if it was made here and has not ended by its age.
    pub(super) fn open_session(&self, header: &str) -> Option<Session> {
        let session = Session::open(cookie(header)?, &self.0.session_key)?;
        let age = self.0.clock.now().since(session.began());
        (age < self.0.session_life).then_some(session)
    }
}

/// The session's cookie in a `Cookie` header (RFC 6265 section 4.2.1).
fn cookie(header: &str) -> Option<&str> {
    header.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == SESSION_COOKIE).then_some(value)
    })
}

fn same(one: &str, other: &str) -> bool {
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal;
    equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn random() -> Vec<u8> {
    let mut bytes = vec![0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealKey {
        SealKey::from_bytes(&[7; 32]).derived("sessions")
    }

    const LOGIN: Login = Login {
        user: UserId(7),
        epoch: 3,
        at: Timestamp::from_millis(1),
    };

    #[test]
    fn a_session_reads_back_from_its_cookie() {
        let session = Session::of(LOGIN);
        let cookie = session.seal(&key());
        let read = Session::open(cookie.expose(), &key()).unwrap();
        assert_eq!(read.login, Some(LOGIN));
        assert!(read.is_csrf_token(session.csrf_token().expose()));
        assert_eq!(read.oauth_csrf_token(), session.oauth_csrf_token());
        assert!(cookie.expose().len() < COOKIE_BYTES / 2);
    }

    #[test]
    fn a_cookie_that_was_not_sealed_here_is_none() {
        let cookie = Session::of(LOGIN).seal(&key());
        let other = SealKey::from_bytes(&[8; 32]).derived("sessions");
        assert!(Session::open(cookie.expose(), &other).is_none());
        let mut changed = cookie.expose().to_owned();
        let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
        changed.push(last);
        for bad in [changed.as_str(), "", "abc", "!", &"A".repeat(2000)] {
            assert!(Session::open(bad, &key()).is_none(), "{bad}");
        }
    }

    /// AU-14: a login takes over no token of the session before it.
    #[test]
    fn no_two_sessions_have_the_same_token() {
        let [one, other] = [(); 2].map(|()| Session::anonymous(LOGIN.at).csrf_token());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 64, "48 bytes");
        let session = Session::anonymous(LOGIN.at);
        assert!(!session.is_csrf_token(session.oauth_csrf_token().expose()));
        assert!(!session.is_csrf_token(""));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let header = "a=b; _csrf_token=xyz=; c=d";
        assert_eq!(cookie(header), Some("xyz="));
        assert_eq!(cookie("x_csrf_token=1; _csrf_tokens=2"), None);
        assert_eq!(cookie(""), None);
    }
}
