//! Patterns of tags: matched in linear time.
#![no_main]

use entrepot::mirror::Glob;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric();
    let matches = Glob::new(pattern).matches(text);
    if pattern.chars().all(is_plain) {
        assert_eq!(matches, pattern == text);
    }
});
