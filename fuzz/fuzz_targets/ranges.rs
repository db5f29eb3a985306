//! Ranges: each lies within what is there.
#![no_main]

use entrepot::oci::{RangeRequest, Satisfied, UploadRange};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &str)| {
    let (size, text) = input;
    if let Some(request) = RangeRequest::parse(text) {
        let ranges = match request.satisfy(size) {
            Satisfied::One(range) => vec![range],
            Satisfied::Many(ranges) => ranges,
            Satisfied::Whole | Satisfied::None => Vec::new(),
        };
        for range in ranges {
            assert!(range.start < range.end && range.end <= size);
            range.content_range(size);
        }
    }
    if let Ok(range) = text.parse::<UploadRange>() {
        assert!(range.start() < range.end());
    }
});
