//! Keys of this registry and of others, and what is asked of the signature of a bundle.

use serde::{Deserialize, Serialize};

use super::keys::{KeyId, PublicKey, Signature, SigningKey};
use super::{Bundles, Error};

/// What is asked of signatures.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signatures {
    /// One of a trusted key, or the bundle is refused.
    Require,
    /// The same is said, and the bundle taken all the same.
    Warn,
    /// They are not looked at.
    Off,
}

/// A key as it is shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyLine {
    /// As minisign prints it.
    pub id: String,
    /// Whether bundles are signed with it here; others are trusted only.
    pub own: bool,
    /// What minisign takes behind `-P`.
    pub public: String,
}

impl KeyLine {
    fn of(key: &PublicKey, own: bool) -> Self {
        Self {
            id: key.id.to_string(),
            own,
            public: key.line(),
        }
    }
}

/// What came of looking at a signature.
pub(super) struct Judged {
    /// The trusted key that made it.
    pub(super) signer: Option<KeyId>,
    /// What is wrong and was not asked about.
    pub(super) warning: Option<String>,
}

impl Bundles {
    /// Makes the key that exports are signed with from now on.
    ///
    /// # Errors
    /// If there is one: bundles that were signed with it would be believed no more.
    pub async fn make_key(&self) -> Result<KeyLine, Error> {
        let folder = self.folder.clone();
        self.blocking(move || {
            if let Some(key) = folder.signing_key()? {
                let id = key.public().id;
                return Err(Error::refused(format!(
                    "there is a signing key already: {id}"
                )));
            }
            let key = SigningKey::make()?;
            folder.keep_signing_key(&key)?;
            Ok(KeyLine::of(&key.public(), true))
        })
        .await
    }

    /// Our key and those that are trusted.
    pub async fn list_keys(&self) -> Result<Vec<KeyLine>, Error> {
        let folder = self.folder.clone();
        self.blocking(move || {
            let own = folder
                .signing_key()?
                .map(|key| KeyLine::of(&key.public(), true));
            let others = folder.others()?;
            let others = others.iter().map(|key| KeyLine::of(key, false));
            Ok(own.into_iter().chain(others).collect())
        })
        .await
    }

    /// Trusts a key, given as a file of minisign or its line.
    pub async fn trust_key(&self, text: &str) -> Result<KeyLine, Error> {
        let (folder, key) = (self.folder.clone(), PublicKey::read(text)?);
        self.blocking(move || {
            folder.trust(&key)?;
            Ok(KeyLine::of(&key, false))
        })
        .await
    }

    /// Trusts a key no more.
    ///
    /// # Errors
    /// If it was not trusted.
    pub async fn distrust_key(&self, id: &str) -> Result<(), Error> {
        let (folder, id) = (self.folder.clone(), id.to_owned());
        self.blocking(move || match folder.distrust(&id)? {
            true => Ok(()),
            false => Err(Error::refused(format!("no key {id} of others is trusted"))),
        })
        .await
    }

    /// Looks at the signature of a description (AG-08). Without a word of the operator one is required as
    /// soon as a key is trusted or there is our own.
    ///
    /// # Errors
    /// If it is required and not there, or not of a trusted key.
    pub(super) async fn judge(
        &self,
        asked: Option<Signatures>,
        file: &str,
        description: Option<&[u8]>,
        signature: Option<&[u8]>,
    ) -> Result<Judged, Error> {
        let folder = self.folder.clone();
        let trusted = self.blocking(move || folder.trusted()).await?;
        let asked = asked.unwrap_or(match trusted.is_empty() {
            true => Signatures::Warn,
            false => Signatures::Require,
        });
        if asked == Signatures::Off {
            return Ok(Judged {
                signer: None,
                warning: None,
            });
        }
        match signer(&trusted, description, signature) {
            Ok(signer) => Ok(Judged {
                signer: Some(signer),
                warning: None,
            }),
            Err(reason) if asked == Signatures::Warn => Ok(Judged {
                signer: None,
                warning: Some(format!("{file}: {reason}")),
            }),
            Err(reason) => Err(Error::hostile(
                file,
                format!("{reason}, and signatures are required (--signature require)"),
            )),
        }
    }
}

fn signer(
    trusted: &[PublicKey],
    description: Option<&[u8]>,
    signature: Option<&[u8]>,
) -> Result<KeyId, String> {
    let (Some(description), Some(signature)) = (description, signature) else {
        return Err("it is not signed".to_owned());
    };
    let signature = Signature::read(&String::from_utf8_lossy(signature))?;
    let id = signature.id;
    let Some(key) = trusted.iter().find(|key| key.id == id) else {
        return Err(format!(
            "it is signed with the key {id}, which is not trusted here"
        ));
    };
    match key.verifies(&signature, description) {
        true => Ok(id),
        false => Err(format!(
            "its signature is not one of the key {id} over this description"
        )),
    }
}
