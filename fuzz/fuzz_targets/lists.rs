//! Lists of images as `entrepot warm` reads them: Kubernetes manifests, Compose files, lines.
#![no_main]

use entrepot::config::{image_references, parse_duration};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = image_references(text);
    let _ = parse_duration(text);
});
