//! Where a configuration comes from: a file, or what is built in.
//!
//! `ConfigSource::find` follows the order of `--config`, `./config.yaml`,
//! `/etc/entrepot/config.yaml`, built-in. Nothing here looks into the text.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The configuration of a site that says nothing: a pull-through cache for this machine.
pub(super) const BUILT_IN: &str = include_str!("../../config/edge.yaml");

/// Files looked for when none is named.
const USUAL: [&str; 2] = ["config.yaml", "/etc/entrepot/config.yaml"];

/// A configuration is small; more is a mistake in the path.
const MOST_BYTES: u64 = 1 << 20;

/// A text to load.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConfigSource {
    /// `config/edge.yaml`, as it was when the program was built.
    BuiltIn,
    File(PathBuf),
    /// A text that is no file, with the name that messages give it.
    Text {
        name: String,
        text: String,
    },
}

/// Settings of the command line; they win over everything else.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Flags {
    /// `--listen`, which may be repeated.
    pub listen: Vec<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
}

impl ConfigSource {
    /// The file named by `--config`, or else the first usual one that exists, or else the built-in.
    pub fn find(named: Option<PathBuf>) -> Self {
        Self::find_among(named, &USUAL.map(Path::new))
    }

    fn find_among(named: Option<PathBuf>, usual: &[&Path]) -> Self {
        // A file that exists but cannot be read is taken, so that it is reported.
        let there = |path: &&&Path| path.symlink_metadata().is_ok();
        named
            .or_else(|| usual.iter().find(there).map(|path| path.to_path_buf()))
            .map_or(Self::BuiltIn, Self::File)
    }

    /// The path, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::BuiltIn | Self::Text { .. } => None,
        }
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::BuiltIn => "built-in configuration".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Text { name, .. } => name.clone(),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub(super) fn read(&self) -> Result<String, String> {
        match self {
            Self::BuiltIn => Ok(BUILT_IN.to_owned()),
            Self::Text { text, .. } => Ok(text.clone()),
            Self::File(path) => read_file(path),
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory; name the file in it".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    if text.len() as u64 > MOST_BYTES {
        return Err("is larger than 1 MiB".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_wins_then_the_first_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&two, "").unwrap();
        let usual = [one.as_path(), two.as_path()];
        let named = Some(PathBuf::from("x"));
        let found = ConfigSource::find_among(named, &usual);
        assert_eq!(found, ConfigSource::File("x".into()));
        let found = ConfigSource::find_among(None, &usual);
        assert_eq!(found, ConfigSource::File(two.clone()));
        let found = ConfigSource::find_among(None, &usual[..1]);
        assert_eq!(found, ConfigSource::BuiltIn);
    }

    #[test]
    fn a_file_that_cannot_be_text_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        let read = |path: &Path| ConfigSource::File(path.to_owned()).read().unwrap_err();
        assert_eq!(read(&path), "there is no such file");
        assert!(read(folder.path()).contains("directory"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(read(&path), "is not UTF-8 text");
        std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
        assert_eq!(read(&path), "is larger than 1 MiB");
    }
}
