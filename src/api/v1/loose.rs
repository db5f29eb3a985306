//! Fields of bodies in the forms that people write them: numbers and truths as text, too.
//!
//! The product documents print requests in which they are (DESIGN, "Wire").

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// A field that may be left out; one that is `null` is there, and empty.
pub(super) fn nullable<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// A whole number that may be left out, `null` or text.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = match &value {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    };
    number
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{value} is not of type 'integer'")))
}

/// A truth that may be left out, `null` or text.
pub(super) fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match &value {
        Value::Null => Ok(None),
        Value::Bool(truth) => Ok(Some(*truth)),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        value => Err(D::Error::custom(format!(
            "{value} is not of type 'boolean'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Body {
        #[serde(deserialize_with = "nullable")]
        text: Option<Option<String>>,
        #[serde(deserialize_with = "number")]
        number: Option<u64>,
        #[serde(deserialize_with = "truth")]
        truth: Option<bool>,
    }

    fn read(value: Value) -> Result<Body, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn text_stands_for_numbers_and_truths() {
        assert_eq!(read(json!({})).unwrap(), Body::default());
        let full = Body {
            text: Some(Some("x".to_owned())),
            number: Some(7),
            truth: Some(true),
        };
        let plain = json!({"text": "x", "number": 7, "truth": true});
        assert_eq!(read(plain).unwrap(), full);
        let written = json!({"text": "x", "number": "7", "truth": "True"});
        assert_eq!(read(written).unwrap(), full);
        let empty = read(json!({"text": null, "number": null, "truth": null})).unwrap();
        assert_eq!(empty.text, Some(None));
        assert_eq!((empty.number, empty.truth), (None, None));
        for bad in [
            json!({"number": -1}),
            json!({"number": "x"}),
            json!({"truth": 1}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
