//! Bodies: read whole, within bounds, and told what is wrong with them in the words of a JSON schema.

use std::time::Duration;

use ::http::StatusCode;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;
use crate::http::{ReadError, ReadLimits, RequestBody, read_all};

/// Quay: the body of a robot is the largest, and has at most 1 MiB.
const LIMITS: ReadLimits = ReadLimits {
    bytes: 1 << 20,
    wait: Duration::from_secs(30),
};

/// Reads what the client sends.
pub(super) async fn receive(body: RequestBody) -> Result<Bytes, ApiError> {
    read_all(body, LIMITS).await.map_err(|error| {
        let status = match error {
            ReadError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            ReadError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            ReadError::Broken(_) => StatusCode::BAD_REQUEST,
        };
        ApiError::message(status, error)
    })
}

/// What the body says, whatever it says its type is: the documents' commands name none.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Err(ApiError::invalid("Missing JSON body"));
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::refused(format!("Failed to decode JSON object: {error}")))?;
    if value.is_null() {
        return Err(ApiError::invalid("Missing JSON body"));
    }
    serde_json::from_value(value)
        .map_err(|error| ApiError::invalid(in_schema_words(&error.to_string())))
}

/// What the parser says, as the validators say it that clients know.
fn in_schema_words(error: &str) -> String {
    if let Some(rest) = error.strip_prefix("missing field `")
        && let Some((field, _)) = rest.split_once('`')
    {
        return format!("'{field}' is a required property");
    }
    if let Some(rest) = error.strip_prefix("invalid type: ")
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return format!("{found} is not of type {expected}");
    }
    error.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Form {
        name: String,
        #[serde(default)]
        count: Option<u64>,
    }

    fn detail(text: &str) -> String {
        match read::<Form>(text.as_bytes()).unwrap_err() {
            ApiError::Exception { detail, .. } => detail.unwrap(),
            ApiError::Message { message, .. } => message.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let read: Form = read(br#"{"name": "x", "count": 2, "more": []}"#).unwrap();
        assert_eq!((read.name.as_str(), read.count), ("x", Some(2)));
        assert_eq!(detail("{}"), "'name' is a required property");
        assert_eq!(detail(" "), "Missing JSON body");
        assert_eq!(detail("null"), "Missing JSON body");
        assert_eq!(
            detail(r#"{"name": 3}"#),
            "integer `3` is not of type a string"
        );
        assert!(detail("{").contains("Failed to decode JSON object"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read::<Form>(&bytes);
        }
    }
}
