//! Upload sessions as texts: all that is known of one stands in its id.
//!
//! A session costs nothing before its first byte, neither a row nor a file, because clients open many
//! that they never use (skopeo after a failed mount). So the id carries repository, owner, algorithm
//! and start, under a MAC of this installation: it can be neither guessed nor carried to another
//! repository or person (AZ-03), and it means the same after a restart.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::blob::UploadKey;
use crate::model::{Actor, RepositoryId, Timestamp};
use crate::oci::Algorithm;

/// Bytes of the MAC that are kept: 128 bits cannot be found by asking.
const MAC_BYTES: usize = 16;
const KEY_BYTES: usize = 16;
const FIELD_BYTES: usize = KEY_BYTES + 8 + 8 + 1 + 8 + 1;

/// Makes and reads the ids of upload sessions.
pub(super) struct Sessions(hmac::Key);

/// What an id says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Session {
    /// The name of its file.
    pub(super) key: UploadKey,
    pub(super) started: Timestamp,
    pub(super) repository: RepositoryId,
    pub(super) owner: Owner,
    pub(super) algorithm: Algorithm,
}

/// Whose session it is: the kind of principal and its number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Owner(u8, u64);

impl Owner {
    pub(super) const fn of(actor: &Actor) -> Self {
        match actor {
            Actor::System => Self(0, 0),
            Actor::Anonymous => Self(1, 0),
            Actor::User { id, .. } => Self(2, id.0),
            Actor::Robot { id, .. } => Self(3, id.0),
        }
    }
}

impl Sessions {
    /// With the installation's own secret.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The id of a session.
    pub(super) fn print(&self, session: &Session) -> String {
        let mut bytes = Vec::with_capacity(FIELD_BYTES + MAC_BYTES);
        bytes.extend_from_slice(session.key.as_bytes());
        bytes.extend_from_slice(&session.started.as_millis().to_be_bytes());
        bytes.extend_from_slice(&session.repository.0.to_be_bytes());
        bytes.push(session.owner.0);
        bytes.extend_from_slice(&session.owner.1.to_be_bytes());
        bytes.push(match session.algorithm {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512 => 2,
        });
        let mac = hmac::sign(&self.0, &bytes);
        bytes.extend_from_slice(&mac.as_ref()[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The session of an id; `None` for one that was not made here.
    pub(super) fn parse(&self, id: &str) -> Option<Session> {
        // Bounded before it is decoded: ids come from clients.
        if id.len() > 2 * (FIELD_BYTES + MAC_BYTES) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
        let (fields, mac) = bytes.split_at_checked(FIELD_BYTES)?;
        let expected = hmac::sign(&self.0, fields);
        let same =
            aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..MAC_BYTES], mac);
        same.ok()?;
        let (key, rest) = fields.split_first_chunk::<KEY_BYTES>()?;
        let (started, rest) = rest.split_first_chunk()?;
        let (repository, rest) = rest.split_first_chunk()?;
        let (&kind, rest) = rest.split_first()?;
        let (owner, rest) = rest.split_first_chunk()?;
        let algorithm = match rest {
            [1] => Algorithm::Sha256,
            [2] => Algorithm::Sha512,
            _ => return None,
        };
        Some(Session {
            key: UploadKey::from_bytes(*key),
            started: Timestamp::from_millis(i64::from_be_bytes(*started)),
            repository: RepositoryId(u64::from_be_bytes(*repository)),
            owner: Owner(kind, u64::from_be_bytes(*owner)),
            algorithm,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session() -> Session {
        Session {
            key: UploadKey::from_bytes([7; 16]),
            started: Timestamp::from_millis(1_767_225_600_000),
            repository: RepositoryId(9),
            owner: Owner(2, 3),
            algorithm: Algorithm::Sha512,
        }
    }

    #[test]
    fn an_id_tells_its_session_to_who_made_it() {
        let sessions = Sessions::new(&[1; 32]);
        let id = sessions.print(&session());
        assert_eq!(sessions.parse(&id), Some(session()));
        assert_eq!(Sessions::new(&[2; 32]).parse(&id), None);
    }

    /// AZ-03: no byte of an id can be changed.
    #[test]
    fn a_changed_id_is_no_session() {
        let sessions = Sessions::new(&[1; 32]);
        let id = sessions.print(&session());
        for at in 0..id.len() {
            let mut changed = id.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character holds bits that base64 leaves unused: those it refuses.
            assert_eq!(sessions.parse(&changed), None, "{at}");
        }
        assert_eq!(sessions.parse(&id[..id.len() - 4]), None);
        assert_eq!(sessions.parse(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            prop_assert_eq!(Sessions::new(&[1; 32]).parse(&text), None);
        }
    }
}
