//! Manifests: what may be pushed is JSON to every parser, with the same parts.
#![no_main]

use bytes::Bytes;
use entrepot::oci::RawManifest;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok((raw, manifest)) = RawManifest::parse(Bytes::copy_from_slice(bytes), None) else {
        return;
    };
    if raw.check_push(&manifest).is_err() {
        return;
    }
    let other: Value = serde_json::from_slice(bytes).expect("what was parsed is JSON");
    let count = |key: &str| other[key].as_array().map_or(0, Vec::len);
    assert_eq!(manifest.layers.len(), count("layers") + count("blobs"));
    assert_eq!(manifest.manifests.len(), count("manifests"));
    assert_eq!(manifest.config.is_some(), other["config"].is_object());
});
