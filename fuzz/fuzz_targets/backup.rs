//! Lines of a backup's lists, and names of its folders.
#![no_main]

use entrepot::backup::{BlobLine, GenerationName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(lines) = BlobLine::read_all(text) {
        for line in lines {
            assert_eq!(BlobLine::read(line.text().trim_end()), Some(line));
        }
    }
    if let Ok(name) = text.parse::<GenerationName>() {
        assert_eq!(name.to_string(), text);
        assert!(!text.contains('/'));
    }
});
