//! Every byte of every value: a version, then the record.
//!
//! Records are postcard. A descriptor is JSON, because it leaves out fields that are empty, which
//! postcard, having no field names, could not read back. A record that changes its form gets the
//! next version ([`Stored`]) and is upgraded as it is read (`upgrade`), so that old rows need no
//! rewriting.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;
use super::tables::Table;

/// The form of what is written as JSON.
const JSON_VERSION: u8 = 1;

/// What can be a value.
pub(super) trait Stored: DeserializeOwned + Serialize {
    /// The form that is written.
    const VERSION: u8 = 1;

    /// Reads the form of an older version; `None` if there never was such a version.
    fn read_old(_version: u8, _payload: &[u8]) -> Option<postcard::Result<(Self, &[u8])>> {
        None
    }
}

/// Bytes of `record` as a value.
pub(super) fn encode<T: Stored>(record: &T) -> Vec<u8> {
    postcard::to_extend(record, vec![T::VERSION])
        .expect("records are made of types that postcard knows")
}

/// The record in `bytes`, a value of `table`.
///
/// # Errors
/// [`Error::Corrupt`] if the version is unknown, or the bytes are not exactly one record.
pub(super) fn decode<T: Stored>(table: Table, bytes: &[u8]) -> Result<T, Error> {
    let (&version, payload) = bytes
        .split_first()
        .ok_or_else(|| corrupt(table, "it is empty"))?;
    let read = match version == T::VERSION {
        true => Some(postcard::take_from_bytes(payload)),
        false => T::read_old(version, payload),
    };
    match read {
        Some(Ok((record, []))) => Ok(record),
        Some(Ok(_)) => Err(corrupt(table, "bytes follow the record")),
        Some(Err(error)) => Err(corrupt(table, error)),
        None => Err(corrupt(table, format!("unknown version {version}"))),
    }
}

/// Bytes of `record` as a value that keeps its field names.
pub(super) fn encode_json<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = vec![JSON_VERSION];
    serde_json::to_writer(&mut bytes, record)
        .expect("writing to a Vec cannot fail, and map keys are texts");
    bytes
}

/// The record in `bytes`, a value of `table` that [`encode_json`] wrote.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_json<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, Error> {
    match bytes.split_first() {
        Some((&JSON_VERSION, payload)) => {
            serde_json::from_slice(payload).map_err(|error| corrupt(table, error))
        }
        Some((version, _)) => Err(corrupt(table, format!("unknown version {version}"))),
        None => Err(corrupt(table, "it is empty")),
    }
}

fn corrupt(table: Table, reason: impl ToString) -> Error {
    Error::Corrupt {
        table: table.name(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{ManifestRecord, TagRecord, Timestamp};
    use crate::oci::{Descriptor, Digest, MediaType};

    #[test]
    fn records_read_back_as_they_were_written() {
        let manifest = ManifestRecord {
            media_type: MediaType::OCI_MANIFEST,
            size_bytes: 7,
            children: vec![Digest::of(b"child")],
            blobs: vec![(Digest::of(b"blob"), 9)],
            subject: None,
            created: Timestamp::from_millis(-1),
            pushed: Timestamp::from_millis(2),
            deleted: None,
            expires_after_s: Some(60),
            layers_bytes: None,
        };
        let bytes = encode(&manifest);
        assert_eq!(bytes[0], 2, "values begin with the version");
        assert_eq!(
            decode::<ManifestRecord>(Table::Manifests, &bytes).unwrap(),
            manifest
        );
    }

    #[test]
    fn descriptors_with_and_without_their_optional_fields_read_back() {
        let plain = Descriptor::new(MediaType::OCI_MANIFEST, Digest::of(b"x"), 1);
        let full = Descriptor {
            artifact_type: Some("a/b".to_owned()),
            annotations: Some(BTreeMap::from([("k".to_owned(), "v".to_owned())])),
            platform: Some("linux/arm64/v8".parse().unwrap()),
            urls: vec!["https://example.org/".to_owned()],
            ..plain.clone()
        };
        for descriptor in [plain, full] {
            let bytes = encode_json(&descriptor);
            let read: Descriptor = decode_json(Table::Referrers, &bytes).unwrap();
            assert_eq!(read, descriptor);
        }
    }

    #[test]
    fn an_unknown_version_and_a_tail_are_damage() {
        let mut bytes = encode(&7_u64);
        bytes.push(0);
        for damaged in [&bytes[..], &[2, 7], &[]] {
            let read = decode::<u64>(Table::Usage, damaged);
            assert!(matches!(read, Err(Error::Corrupt { .. })), "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = decode::<ManifestRecord>(Table::Manifests, &bytes);
            let _ = decode::<TagRecord>(Table::Tags, &bytes);
            let _ = decode_json::<Descriptor>(Table::Referrers, &bytes);
        }
    }
}
