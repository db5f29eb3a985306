//! The account at an upstream: a name, and a password that may live in a file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use ::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Error, Refusal};
use crate::model::{Credentials, PasswordSource, Secret};

/// Configured credentials. A password file is read again when its modification time changes.
#[derive(Debug)]
pub(super) struct Account {
    credentials: Credentials,
    read: Mutex<Option<(SystemTime, Secret)>>,
}

impl Account {
    pub(super) const fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            read: Mutex::new(None),
        }
    }

    /// The `Authorization` value for Basic (RFC 7617), marked sensitive so that nobody prints it.
    pub(super) async fn basic(&self) -> Result<HeaderValue, Error> {
        let password = match &self.credentials.password {
            PasswordSource::Value(secret) => secret.clone(),
            PasswordSource::File(path) => self.read_file(path).await?,
        };
        let pair = format!("{}:{}", self.credentials.username, password.expose());
        let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)));
        let mut value = value.expect("base64 is visible ASCII");
        value.set_sensitive(true);
        Ok(value)
    }

    async fn read_file(&self, path: &Path) -> Result<Secret, Error> {
        let fail = |reason: String| {
            Error::Unauthorized(Refusal::PasswordFile {
                path: path.to_owned(),
                reason,
            })
        };
        let known = self
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let path = path.to_owned();
        let load = move || load(&path, known);
        let loaded = tokio::task::spawn_blocking(load).await;
        let (modified, secret) = loaded
            .map_err(|error| fail(error.to_string()))?
            .map_err(|error| fail(error.to_string()))?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read = Some((modified, secret.clone()));
        Ok(secret)
    }
}

/// What is known already if the file is unchanged, else its first line.
fn load(path: &Path, known: Option<(SystemTime, Secret)>) -> std::io::Result<(SystemTime, Secret)> {
    let modified = std::fs::metadata(path)?.modified()?;
    if let Some(known) = known.filter(|(then, _)| *then == modified) {
        return Ok(known);
    }
    let text = std::fs::read_to_string(path)?;
    Ok((
        modified,
        Secret::new(text.lines().next().unwrap_or_default()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_file_is_read_again_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let account = Account::new(Credentials {
            username: "org|name".to_owned(),
            password: PasswordSource::File(path.clone()),
        });
        let missing = account.basic().await.unwrap_err();
        assert!(matches!(
            missing,
            Error::Unauthorized(Refusal::PasswordFile { .. })
        ));

        let write = |text: &str, seconds: u64| {
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        };
        write("first\n", 1000);
        let first = account.basic().await.unwrap();
        assert_eq!(
            first.to_str().unwrap(),
            format!("Basic {}", STANDARD.encode("org|name:first"))
        );
        assert_eq!(format!("{first:?}"), "Sensitive");
        write("unseen\n", 1000);
        assert_eq!(account.basic().await.unwrap(), first);
        write("second", 2000);
        assert_ne!(account.basic().await.unwrap(), first);
    }
}
