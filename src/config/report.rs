//! Collects every mistake and warning of one load.
//!
//! Passed through all parsers of this room, so that a load tells everything at once (LC-04).

use std::fmt;
use std::sync::Arc;

use super::document::{Document, Place};
use super::error::{ConfigError, Location, Warning};

/// Remarks whose line is looked up; a file with more has other worries.
const MOST_LOCATED: usize = 200;

/// The mistakes and warnings found so far.
pub(super) struct Report<'a> {
    document: &'a Document,
    origin: Arc<str>,
    located: usize,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Report<'a> {
    /// A report on `document`, whose file is called `origin`; its flaws are the first mistakes.
    pub(super) fn new(document: &'a Document, origin: &str) -> Self {
        let origin: Arc<str> = origin.into();
        let errors = document.flaws.iter().map(|flaw| ConfigError {
            at: Location {
                origin: origin.clone(),
                line: flaw.line,
                column: flaw.column,
            },
            key: String::new(),
            reason: flaw.reason.clone(),
        });
        Self {
            document,
            errors: errors.collect(),
            origin,
            located: 0,
            warnings: Vec::new(),
        }
    }

    pub(super) fn mistake(&mut self, place: Place, key: &str, reason: impl fmt::Display) {
        let (at, key) = self.locate(place, key);
        let reason = reason.to_string();
        self.errors.push(ConfigError { at, key, reason });
    }

    pub(super) fn warn(&mut self, place: Place, key: &str, text: impl fmt::Display) {
        let (at, key) = self.locate(place, key);
        let text = text.to_string();
        self.warnings.push(Warning { at, key, text });
    }

    /// The line of a place, as it is named in a message about another one.
    pub(super) fn line(&self, place: Place) -> String {
        match self.document.locate(place) {
            Some((line, _)) => format!("line {line}"),
            None => self.origin(place).to_string(),
        }
    }

    /// The mistakes and warnings in the order of the file.
    pub(super) fn finish(mut self) -> (Vec<ConfigError>, Vec<Warning>) {
        let order = |at: &Location| (at.line.is_none(), at.line, at.column);
        self.errors.sort_by_key(|error| order(&error.at));
        self.warnings.sort_by_key(|warning| order(&warning.at));
        (self.errors, self.warnings)
    }

    fn origin(&self, place: Place) -> Arc<str> {
        match place {
            Place::Document { .. } => self.origin.clone(),
            Place::BuiltIn => "built-in configuration".into(),
            Place::Environment => "environment".into(),
            Place::Credential => "credentials directory".into(),
            Place::CommandLine => "command line".into(),
        }
    }

    /// The location, and the key as it is spelled there.
    fn locate(&mut self, place: Place, key: &str) -> (Location, String) {
        self.located += 1;
        let found = (self.located <= MOST_LOCATED).then(|| self.document.locate(place));
        let found = found.flatten();
        let at = Location {
            origin: self.origin(place),
            line: found.map(|(line, _)| line),
            column: found.map(|(_, column)| column),
        };
        let key = match place {
            Place::Environment if !is_variable(key) => format!("ENTREPOT_{key}"),
            Place::CommandLine => format!("--{}", key.to_ascii_lowercase().replace('_', "-")),
            _ => key.to_owned(),
        };
        (at, key)
    }
}

/// Whether a name is that of a variable already: `HTTPS_PROXY`, `ENTREPOT_X`.
fn is_variable(key: &str) -> bool {
    key.starts_with("ENTREPOT_") || key.to_ascii_uppercase().ends_with("_PROXY")
}
