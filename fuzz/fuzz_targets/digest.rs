//! Digests: what is read is written the same, and names a place.
#![no_main]

use entrepot::oci::Digest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
});
