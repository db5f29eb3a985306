//! From a node to a value: what people write for texts, switches, durations, sizes, files.
//!
//! Called by the section files through `Fields`. Every function returns a reason that says what
//! would be right; places and keys are added by the caller. What names a place in a network is in
//! `address`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Node, Value};
use crate::model::ByteSize;

/// A value, or why it is none.
pub(super) type Parsed<T> = Result<T, String>;

/// Bytes read of a file that holds one value.
const VALUE_FILE_BYTES: u64 = 64 << 10;

/// A text; numbers and switches must be in quotes, or digits would be lost.
pub(super) fn text(node: &Node) -> Parsed<String> {
    match &node.value {
        Value::Text(text) if text.is_empty() => Err("is empty".to_owned()),
        Value::Text(text) if text.contains('\0') => Err("holds a null character".to_owned()),
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Float | Value::Bool(_) => {
            let kind = node.value.kind();
            Err(format!("expected a text, found {kind}; write it in quotes"))
        }
        other => Err(format!("expected a text, found {}", other.kind())),
    }
}

/// A text that `FromStr` reads.
pub(super) fn parsed<T: std::str::FromStr>(node: &Node) -> Parsed<T>
where
    T::Err: std::fmt::Display,
{
    let text = text(node)?;
    text.parse()
        .map_err(|error| format!("{text:?} cannot be used: {error}"))
}

/// A switch; the words of YAML 1.1 count too, as they do for Quay.
pub(super) fn switch(node: &Node) -> Parsed<bool> {
    match &node.value {
        Value::Bool(value) => Ok(*value),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(format!("{text:?} is not a switch; write true or false")),
        },
        other => Err(format!("expected true or false, found {}", other.kind())),
    }
}

/// A whole number from `least` to `most`.
pub(super) fn integer(node: &Node, least: u64, most: u64) -> Parsed<u64> {
    let number = match &node.value {
        Value::Integer(number) => *number,
        Value::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("{text:?} is not a whole number"))?,
        other => return Err(format!("expected a whole number, found {}", other.kind())),
    };
    match u64::try_from(number) {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("{number} is out of range; write {least} to {most}")),
    }
}

/// A duration with a unit, from `least` to `most`.
pub(super) fn duration(node: &Node, least: Duration, most: Duration) -> Parsed<Duration> {
    let text = match &node.value {
        Value::Text(text) => text.trim(),
        Value::Integer(number) => {
            return Err(format!("{number} has no unit; write {number}s for seconds"));
        }
        other => return Err(format!("expected a duration, found {}", other.kind())),
    };
    let found = parse_duration(text)?;
    if (least..=most).contains(&found) {
        return Ok(found);
    }
    let (least, most) = (show_duration(least), show_duration(most));
    Err(format!("{text:?} is out of range; write {least} to {most}"))
}

/// A number of seconds, plain or with a unit, from zero to `most`.
pub(super) fn seconds(node: &Node, most: Duration) -> Parsed<Duration> {
    match &node.value {
        Value::Text(text) if text.trim().parse::<u64>().is_err() => {
            duration(node, Duration::ZERO, most)
        }
        _ => integer(node, 0, most.as_secs()).map(Duration::from_secs),
    }
}

/// What `parse` makes of it, or `none` for no such thing.
pub(super) fn optional<T>(node: &Node, parse: impl Fn(&Node) -> Parsed<T>) -> Parsed<Option<T>> {
    if is_none(node) {
        return Ok(None);
    }
    let parsed = parse(node).map_err(|reason| format!("{reason}, or none"))?;
    Ok(Some(parsed))
}

/// Whether it says that there is none of it.
pub(super) fn is_none(node: &Node) -> bool {
    match &node.value {
        Value::Text(text) => matches!(text.trim(), "none" | "0" | "0s"),
        Value::Integer(number) => *number == 0,
        _ => false,
    }
}

/// A duration in Quay's form: a whole number and `s`, `m` (minutes), `h`, `d`, `w` or `y`; ours adds
/// `ms`.
///
/// # Errors
/// What is wrong with the text, and which texts are right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let fail = |what: &str| format!("{text:?} {what}; write 500ms, 30s, 5m, 12h, 1d, 2w or 1y");
    let millis: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        "y" => 31_536_000_000,
        "" => return Err(fail("has no unit")),
        _ => return Err(fail("is not a duration")),
    };
    let number: u64 = number.parse().map_err(|_| fail("is not a duration"))?;
    let millis = number.checked_mul(millis);
    let millis = millis.ok_or_else(|| fail("is too long"))?;
    Ok(Duration::from_millis(millis))
}

/// A duration in the form it is written in.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    let unit = units
        .iter()
        .find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
    match unit {
        None if millis == 0 => "0s".to_owned(),
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

/// A number of bytes from `least` to `most`.
pub(super) fn size(node: &Node, least: ByteSize, most: ByteSize) -> Parsed<ByteSize> {
    let found = match &node.value {
        Value::Text(text) => text.parse::<ByteSize>()?,
        Value::Integer(number) => ByteSize(
            u64::try_from(*number).map_err(|_| format!("{number} is not a number of bytes"))?,
        ),
        other => {
            let kind = other.kind();
            return Err(format!("expected a size such as 10 GiB, found {kind}"));
        }
    };
    if (least..=most).contains(&found) {
        return Ok(found);
    }
    Err(format!("{found} is out of range; write {least} to {most}"))
}

/// Bytes a second: a size with an optional `/s`, or `kbit`, `Mbit`, `Gbit`.
pub(super) fn bandwidth(node: &Node) -> Parsed<ByteSize> {
    let (least, most) = (ByteSize::kib(1), ByteSize::gib(1024));
    let Value::Text(text) = &node.value else {
        return size(node, least, most);
    };
    let amount = text.trim();
    let amount = amount.strip_suffix("/s").unwrap_or(amount).trim_end();
    let bits = [
        ("kbit", 1_000),
        ("mbit", 1_000_000),
        ("gbit", 1_000_000_000),
    ];
    let lower = amount.to_ascii_lowercase();
    let bits = bits
        .iter()
        .find_map(|(unit, bits)| Some((lower.strip_suffix(unit)?.trim_end(), bits / 8)));
    let mut node = node.clone();
    if let Some((number, bytes)) = bits {
        let number: f64 = number
            .parse()
            .map_err(|_| format!("{text:?} is not a rate such as 10 Mbit/s"))?;
        node.value = Value::Integer((number * f64::from(bytes)) as i128);
    } else {
        node.value = Value::Text(amount.to_owned());
    }
    size(&node, least, most)
}

/// A path.
pub(super) fn path(node: &Node) -> Parsed<PathBuf> {
    text(node).map(PathBuf::from)
}

/// A file that can be read now and holds `marker`.
pub(super) fn pem_file(node: &Node, marker: &str) -> Parsed<PathBuf> {
    let path = path(node)?;
    let shown = path.display();
    let content = fs::read(&path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let found = content
        .windows(marker.len())
        .any(|bytes| bytes == marker.as_bytes());
    if found {
        return Ok(path);
    }
    Err(format!("{shown} holds no {marker:?}; a PEM file is meant"))
}

/// The value that a file holds: its content without the line end.
pub(super) fn content(path: &Path) -> Parsed<String> {
    let shown = path.display();
    let fail = |error| format!("cannot read {shown}: {error}");
    let file = fs::File::open(path).map_err(fail)?;
    let mut content = String::new();
    let mut file = file.take(VALUE_FILE_BYTES + 1);
    file.read_to_string(&mut content).map_err(fail)?;
    if content.len() as u64 > VALUE_FILE_BYTES {
        return Err(format!("{shown} is larger than 64 KiB"));
    }
    let value = content.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(format!("{shown} is empty"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::document::Place;
    use super::*;

    fn node(text: &str) -> Node {
        let value = Value::Text(text.to_owned());
        let place = Place::BuiltIn;
        Node { place, value }
    }

    #[test]
    fn durations_have_quays_units() {
        let read = |text: &str| duration(&node(text), Duration::ZERO, Duration::MAX);
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("2w", 1_209_600),
            ("1y", 31_536_000),
        ] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(read("500ms"), Ok(Duration::from_millis(500)));
        for text in ["1", "s", "1.5s", "-1s", "1 month", "99999999999999y"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_secs(7200)), "2h");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn rates_are_bytes_or_bits_a_second() {
        let read = |text: &str| bandwidth(&node(text)).map(ByteSize::bytes);
        assert_eq!(read("2MB"), Ok(2_000_000));
        assert_eq!(read("2 MiB/s"), Ok(2 << 20));
        assert_eq!(read("10 Mbit/s"), Ok(1_250_000));
        assert_eq!(read("1.5mbit"), Ok(187_500));
        for text in ["fast", "x Mbit/s", "-1 Mbit", "0", "1 kbit"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
