//! One event, one line: no control characters, at most 8 KiB (DO-10).
//!
//! Called by `sink` for each formatted event. A name that holds a line feed or a terminal's escape
//! sequence cannot forge a line or colour a terminal.

use std::fmt::Write;

use serde_json::Value;

use super::LogFormat;

/// Bytes of a line, its line feed included.
pub(super) const MOST_BYTES: usize = 8 << 10;

/// What stands where a text was cut.
const CUT: &str = "...";

/// The line for an event that the subscriber formatted, without a line feed.
pub(super) fn of_event(format: LogFormat, event: &str) -> String {
    let event = event.trim_end_matches('\n');
    let room = MOST_BYTES - 1;
    let line = escape(format, event);
    match format {
        _ if line.len() <= room => line,
        LogFormat::Text => cut(&line, room),
        LogFormat::Json => shorten_json(event, room),
    }
}

/// Replaces control characters, those of Unicode's second block and line separators too.
fn escape(format: LogFormat, text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if !is_control(character) {
            escaped.push(character);
            continue;
        }
        let number = u32::from(character);
        // Within JSON controls stand in strings only, where this is their escape (RFC 8259, 7).
        let written = match format {
            LogFormat::Json => write!(escaped, "\\u{number:04x}"),
            LogFormat::Text => write!(escaped, "\\u{{{number:x}}}"),
        };
        written.expect("a String takes all that is written");
    }
    escaped
}

/// Controls, separators that some viewers break lines at, and marks that reorder text.
const fn is_control(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The beginning of a text that fits into `bytes`, with a mark.
fn cut(text: &str, bytes: usize) -> String {
    let mut end = bytes.saturating_sub(CUT.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &text[..end])
}

/// A JSON object whose long strings were cut until it fits, so that it stays JSON.
fn shorten_json(event: &str, room: usize) -> String {
    let mut value: Value = serde_json::from_str(event).unwrap_or(Value::Null);
    for most in [2048, 512, 64, 8] {
        shorten(&mut value, most);
        let line = escape(LogFormat::Json, &value.to_string());
        if line.len() <= room {
            return line;
        }
    }
    r#"{"level":"ERROR","message":"a log line was too long"}"#.to_owned()
}

fn shorten(value: &mut Value, most: usize) {
    match value {
        Value::String(text) if text.len() > most => *text = cut(text, most),
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, most)),
        Value::Object(members) => members.values_mut().for_each(|item| shorten(item, most)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_forged_line_stays_within_its_own() {
        let line = of_event(
            LogFormat::Text,
            "pull name=a\nERROR \x1b[31mroot\u{9b}1m\r\n",
        );
        assert_eq!(
            line,
            "pull name=a\\u{a}ERROR \\u{1b}[31mroot\\u{9b}1m\\u{d}"
        );
    }

    #[test]
    fn a_long_event_is_cut_and_stays_json() {
        let event =
            serde_json::json!({ "fields": { "message": "x\u{7f}".repeat(20_000) }, "n": 1 });
        let line = of_event(LogFormat::Json, &event.to_string());
        assert!(line.len() < MOST_BYTES);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["n"], 1);
        assert!(value["fields"]["message"].as_str().unwrap().ends_with(CUT));
        let many = vec!["y"; 10_000];
        let line = of_event(
            LogFormat::Json,
            &serde_json::json!({ "many": many }).to_string(),
        );
        assert!(serde_json::from_str::<Value>(&line).is_ok() && line.len() < MOST_BYTES);
    }

    proptest! {
        /// DO-10: no raw control, one line, at most 8 KiB, whatever is logged.
        #[test]
        fn any_event_is_one_bounded_line(text in "\\PC*|[\\x00-\\x1f\\x7f-\\u{a0}]*|.{0,3000}") {
            for format in [LogFormat::Text, LogFormat::Json] {
                let event = match format {
                    LogFormat::Text => text.clone(),
                    LogFormat::Json => serde_json::json!({ "message": text }).to_string(),
                };
                let line = of_event(format, &event);
                prop_assert!(line.len() < MOST_BYTES);
                prop_assert!(!line.chars().any(char::is_control));
                if format == LogFormat::Json {
                    prop_assert!(serde_json::from_str::<Value>(&line).is_ok());
                }
            }
        }
    }
}
