//! Accounts at the sources of mirrors: sealed where they are stored, opened for a run.

use super::{Error, Mirror};
use crate::model::{
    Credentials, MirrorSource, NamespaceId, PasswordSource, RepositoryId, Sealed, Secret,
};

/// Whose account it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    Repository(RepositoryId),
    /// An organisation that is a mirror as a whole.
    Organization(NamespaceId),
}

/// Which half of an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Half {
    Username,
    Password,
}

impl Mirror {
    /// Half of an account, to be stored; it opens for the same mirror only.
    pub fn seal(&self, whose: Whose, half: Half, text: &str) -> Sealed {
        let seal = &self.inner.seal;
        seal.seal(text.as_bytes(), &context(whose, half))
    }

    /// What was sealed; `None` if another installation did, or it was another mirror's.
    pub fn unseal(&self, whose: Whose, half: Half, sealed: &Sealed) -> Option<Secret> {
        let text = self.inner.seal.open(sealed, &context(whose, half))?;
        std::str::from_utf8(&text).ok().map(Secret::new)
    }

    /// The account of a source; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub(super) fn credentials(
        &self,
        whose: Whose,
        source: &MirrorSource,
    ) -> Result<Option<Credentials>, Error> {
        let Some(username) = &source.username else {
            return Ok(None);
        };
        let open = |half, sealed| self.unseal(whose, half, sealed).ok_or(Error::Sealed);
        let username = open(Half::Username, username)?;
        // The documents' least request gives an empty one.
        if username.expose().is_empty() {
            return Ok(None);
        }
        let password = match &source.password {
            Some(password) => open(Half::Password, password)?,
            None => Secret::new(""),
        };
        Ok(Some(Credentials {
            username: username.expose().to_owned(),
            password: PasswordSource::Value(password),
        }))
    }
}

fn context(whose: Whose, half: Half) -> Vec<u8> {
    let half = match half {
        Half::Username => "username",
        Half::Password => "password",
    };
    let whose = match whose {
        Whose::Repository(id) => format!("repository {id}"),
        Whose::Organization(id) => format!("organization {id}"),
    };
    format!("{half} at the source of the mirror {whose}").into_bytes()
}
