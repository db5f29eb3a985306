//! The regular expressions of policies, compiled once and remembered.
//!
//! Asked by what policies cover. They are matched in linear time, and a compiled form has bounded size (DO-05):
//! whoever writes one cannot make a push or a run slow.

use std::sync::Arc;

use moka::sync::Cache;
use regex::{Regex, RegexBuilder};

use super::PolicyFault;

/// Longest pattern, in characters (Quay).
const PATTERN_CHARACTERS: usize = 256;

/// Memory of a compiled pattern.
const COMPILED_BYTES: usize = 1 << 20;

/// Compiled patterns that are remembered.
const REMEMBERED: u64 = 256;

/// What of a tag a pattern speaks of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Over {
    /// All of it: policies that make tags immutable (Quay: full match).
    Whole,
    /// Any part of it: policies by which tags end (Quay: search).
    Part,
}

/// Compiled patterns by their text.
pub(super) struct Patterns(Cache<(Over, String), Arc<Regex>>);

impl Patterns {
    pub(super) fn new() -> Self {
        Self(Cache::new(REMEMBERED))
    }

    /// # Errors
    /// [`PolicyFault::Pattern`] with what is wrong, if it is none, or too long or too large.
    pub(super) fn compile(&self, over: Over, pattern: &str) -> Result<Arc<Regex>, PolicyFault> {
        let key = (over, pattern.to_owned());
        if let Some(known) = self.0.get(&key) {
            return Ok(known);
        }
        let length = pattern.chars().count();
        if !(1..=PATTERN_CHARACTERS).contains(&length) {
            let text = format!("it has 1 to {PATTERN_CHARACTERS} characters");
            return Err(PolicyFault::Pattern(text));
        }
        let build = |text: &str| RegexBuilder::new(text).size_limit(COMPILED_BYTES).build();
        // By itself first: a pattern may not end the group that holds it.
        let compiled = build(pattern).and_then(|part| match over {
            Over::Part => Ok(part),
            Over::Whole => build(&format!("^(?:{pattern})$")),
        });
        let compiled = compiled.map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or("it cannot be read");
            PolicyFault::Pattern(last.trim_start_matches("error: ").to_owned())
        })?;
        let compiled = Arc::new(compiled);
        self.0.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DO-05: a pattern costs no more than its length, and takes bounded memory.
    #[test]
    fn a_pattern_that_is_none_or_too_large_is_refused() {
        let patterns = Patterns::new();
        for pattern in [
            "",
            "(",
            "a)|(?:b",
            "(?P<x",
            &"a".repeat(257),
            "(\\w{1000}){1000}",
        ] {
            for over in [Over::Whole, Over::Part] {
                let refused = patterns.compile(over, pattern);
                assert!(matches!(refused, Err(PolicyFault::Pattern(_))), "{pattern}");
            }
        }
        let compiled = patterns.compile(Over::Whole, "(a+)+b").unwrap();
        assert!(compiled.is_match("aab"));
    }

    #[test]
    fn a_part_is_looked_for_and_a_whole_is_compared() {
        let patterns = Patterns::new();
        let is_match = |over, pattern: &str, tag: &str| {
            let compiled = patterns.compile(over, pattern).unwrap();
            compiled.is_match(tag)
        };
        assert!(is_match(Over::Part, "v[0-9]", "rev1-a"));
        assert!(!is_match(Over::Whole, "v[0-9]", "rev1-a"));
        assert!(!is_match(Over::Part, "^v[0-9]", "rev1-a"));
        // The guide's own example: a `v`, any number of times, at the beginning.
        assert!(is_match(Over::Part, "^v*", "latest"));
    }
}
