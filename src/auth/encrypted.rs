//! Encrypted passwords: what a person puts into a client's file in place of the password (Quay).
//!
//! It is the password, sealed under the installation's key for one user. Whoever finds it can log in a
//! client with it, but does not learn the password, and cannot sign in at the web. It ends with the
//! password that it is of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::accounts::SealKey;
use crate::model::{Sealed, Secret, UserId};

pub(super) struct Encrypted {
    key: SealKey,
    /// `FEATURE_REQUIRE_ENCRYPTED_BASIC_AUTH`
    pub(super) required: bool,
}

impl Encrypted {
    pub(super) fn new(root: &SealKey, required: bool) -> Self {
        Self {
            key: root.derived("encrypted passwords"),
            required,
        }
    }

    pub(super) fn seal(&self, user: UserId, password: &Secret) -> Secret {
        let sealed = self.key.seal(password.expose().as_bytes(), &context(user));
        Secret::new(URL_SAFE_NO_PAD.encode(sealed.0))
    }

    /// The password in `shown`, if it is an encrypted one of this user.
    pub(super) fn open(&self, user: UserId, shown: &Secret) -> Option<Secret> {
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(shown.expose()).ok()?);
        let opened = self.key.open(&sealed, &context(user))?;
        std::str::from_utf8(&opened).ok().map(Secret::new)
    }
}

fn context(user: UserId) -> Vec<u8> {
    format!("password of user {user}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_password_opens_for_its_user_only() {
        let root = SealKey::from_bytes(&[7; 32]);
        let encrypted = Encrypted::new(&root, false);
        let password = Secret::new("correct:horse");
        let sealed = encrypted.seal(UserId(1), &password);
        assert!(!sealed.expose().contains("horse"));
        assert_eq!(encrypted.open(UserId(1), &sealed), Some(password.clone()));
        assert_eq!(encrypted.open(UserId(2), &sealed), None);
        assert_eq!(encrypted.open(UserId(1), &password), None);
    }
}
