//! Cron expressions: the next time is always later.
#![no_main]

use entrepot::mirror::Calendar;
use entrepot::model::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (i64, &str)| {
    let (now, text) = input;
    // Between 1970 and 2100, as clocks say.
    let now = Timestamp::from_millis(now.rem_euclid(4_102_444_800_000));
    if let Ok(calendar) = Calendar::new(text)
        && let Some(next) = calendar.next(now)
    {
        assert!(next > now);
    }
});
