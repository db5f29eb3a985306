//! What is wrong with a configuration, and where.
//!
//! Made by every file of this room through `report`; shown by `serve` at start and by `check-config`.
//! Texts say what was found and what would be right, and never show the value of a secret.

use std::fmt;
use std::sync::Arc;

/// Where a remark points.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// The file's name, or `environment`, `command line`, `built-in configuration`.
    pub origin: Arc<str>,
    /// Counted from one.
    pub line: Option<usize>,
    /// Counted from one.
    pub column: Option<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

/// A mistake: the configuration cannot be used.
///
/// Shown as `config.yaml:41:5: PROXY_CACHES[2].quota: "10 Gb" has no known unit; write KiB, ...`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    pub at: Location,
    /// The path of the key, empty if the mistake is one of the text itself.
    pub key: String,
    /// What was wrong and what would be right.
    pub reason: String,
}

/// Something that works but is probably not meant, or opens more than it seems to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    pub at: Location,
    pub key: String,
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.at, &self.key, &self.reason)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, &self.at, &self.key, &self.text)
    }
}

impl std::error::Error for ConfigError {}

fn show(f: &mut fmt::Formatter<'_>, at: &Location, key: &str, text: &str) -> fmt::Result {
    if key.is_empty() {
        write!(f, "{at}: {text}")
    } else {
        write!(f, "{at}: {key}: {text}")
    }
}
