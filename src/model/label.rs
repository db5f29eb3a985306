//! Labels of manifests.

use serde::{Deserialize, Serialize};

/// A label of a manifest in a repository.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LabelRecord {
    pub key: String,
    pub value: String,
    pub media_type: LabelMedia,
    pub source: LabelSource,
}

/// What a label's value is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum LabelMedia {
    Text,
    Json,
}

impl LabelMedia {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Json => "application/json",
        }
    }

    /// The kind of that name, if there is one.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Text, Self::Json];
        all.into_iter().find(|media| media.as_str() == name)
    }

    /// What a value that came without a type is (Quay: JSON if it reads as a list or an object).
    pub fn of_value(value: &str) -> Self {
        let begins = value.trim_start().starts_with(['{', '[']);
        match begins && serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok() {
            true => Self::Json,
            false => Self::Text,
        }
    }
}

/// Where a label comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum LabelSource {
    /// The image itself: it cannot be taken off.
    Manifest,
    /// Somebody added it.
    Api,
    /// This registry: it cannot be taken off.
    Internal,
}

impl LabelSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Api => "api",
            Self::Internal => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_and_objects_are_json() {
        for value in ["{}", " [1, 2]", r#"{"a": {"b": null}}"#] {
            assert_eq!(LabelMedia::of_value(value), LabelMedia::Json, "{value}");
        }
        for value in ["", "1", "true", "{", "[1", "{}x", "text"] {
            assert_eq!(LabelMedia::of_value(value), LabelMedia::Text, "{value}");
        }
    }
}
