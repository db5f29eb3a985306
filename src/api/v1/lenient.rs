//! Values of bodies in the forms that clients send them: numbers and switches as text, too, as the
//! product documents print some of them.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// What stands for a number or a switch.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Loose {
    Number(i64),
    Switch(bool),
    Text(String),
}

/// A whole number, also as text; nothing for `null` and an empty text.
///
/// # Errors
/// For anything else.
pub(in crate::api) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    match Option::<Loose>::deserialize(from)? {
        None => Ok(None),
        Some(Loose::Number(number)) => Ok(Some(number)),
        Some(Loose::Text(text)) if text.trim().is_empty() => Ok(None),
        Some(Loose::Text(text)) => match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(D::Error::custom(format!(
                "'{text}' is not of type 'integer'"
            ))),
        },
        Some(Loose::Switch(_)) => Err(D::Error::custom("a boolean is not of type 'integer'")),
    }
}

/// A switch, also as text; nothing for `null`.
///
/// # Errors
/// For anything else.
pub(in crate::api) fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    match Option::<Loose>::deserialize(from)? {
        None => Ok(None),
        Some(Loose::Switch(switch)) => Ok(Some(switch)),
        Some(Loose::Text(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(D::Error::custom(format!(
                "'{text}' is not of type 'boolean'"
            ))),
        },
        Some(Loose::Number(number)) => Err(D::Error::custom(format!(
            "{number} is not of type 'boolean'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Form {
        #[serde(default, deserialize_with = "whole")]
        count: Option<i64>,
        #[serde(default, deserialize_with = "switch")]
        is_on: Option<bool>,
    }

    #[test]
    fn numbers_and_switches_are_read_in_either_form() {
        let read = |text: &str| serde_json::from_str::<Form>(text);
        for (text, count, is_on) in [
            ("{}", None, None),
            (r#"{"count": 5, "is_on": true}"#, Some(5), Some(true)),
            (
                r#"{"count": " 5 ", "is_on": "False"}"#,
                Some(5),
                Some(false),
            ),
            (r#"{"count": "", "is_on": null}"#, None, None),
            (r#"{"count": null}"#, None, None),
        ] {
            assert_eq!(read(text).unwrap(), Form { count, is_on }, "{text}");
        }
        for text in [
            r#"{"count": "five"}"#,
            r#"{"count": true}"#,
            r#"{"count": 1.5}"#,
            r#"{"count": []}"#,
            r#"{"is_on": 1}"#,
            r#"{"is_on": "yes"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
