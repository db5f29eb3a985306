//! Keys of the usage log: the newest line of every listing stands first, the oldest day of the counts.

use super::{Key, SIGN, number, read_number};
use crate::model::{LogKind, LogScope, Timestamp};

/// What counts all kinds together: no kind has this number.
const ALL_KINDS: u16 = 0;

/// Ends the name of a performer: no name holds this byte.
const END_OF_NAME: u8 = 0;

/// A line of the log. Later ones sort first; among those of one moment, the one written last.
pub(in crate::store) fn log(at: Timestamp, sequence: u64) -> Key {
    [later_first(at), (!sequence).to_be_bytes()].concat()
}

/// A line of the log below what it is filed under.
pub(in crate::store) fn scoped_log(scope: LogScope, at: Timestamp, sequence: u64) -> Key {
    [log_scope(scope), log(at, sequence)].concat()
}

/// A line of the log below what it is filed under and who did it.
pub(in crate::store) fn performer_log(
    scope: LogScope,
    performer: &str,
    at: Timestamp,
    sequence: u64,
) -> Key {
    [log_performer(scope, performer), log(at, sequence)].concat()
}

/// The start of every key of lines that are filed under `scope`.
pub(in crate::store) fn log_scope(scope: LogScope) -> Key {
    let (kind, id) = match scope {
        LogScope::Namespace(id) => (1, id.0),
        LogScope::Repository(id) => (2, id.0),
    };
    [&[kind][..], &id.to_be_bytes()].concat()
}

/// The start of every key of lines of somebody that are filed under `scope`.
pub(in crate::store) fn log_performer(scope: LogScope, performer: &str) -> Key {
    [
        &log_scope(scope)[..],
        performer.as_bytes(),
        &[END_OF_NAME][..],
    ]
    .concat()
}

/// The start of every key of lines written at `at`; those of later lines sort before it.
pub(in crate::store) fn log_time(at: Timestamp) -> Key {
    later_first(at).to_vec()
}

/// How many acts of one kind, or of all, there were on one day, below what they are filed under
/// (`None`: everything) and who did them (`None`: everyone).
pub(in crate::store) fn log_count(
    day: i32,
    scope: Option<LogScope>,
    performer: Option<&str>,
    kind: Option<LogKind>,
) -> Key {
    let kind = kind.map_or(ALL_KINDS, LogKind::number);
    [
        log_counts(day, scope, performer),
        kind.to_be_bytes().to_vec(),
    ]
    .concat()
}

/// The start of every count of a day below a scope and a performer.
pub(in crate::store) fn log_counts(
    day: i32,
    scope: Option<LogScope>,
    performer: Option<&str>,
) -> Key {
    let scope = scope.map_or_else(|| vec![0; 9], log_scope);
    let performer = performer.unwrap_or_default().as_bytes();
    [&log_day(day)[..], &scope, performer, &[END_OF_NAME]].concat()
}

/// The start of every count of a day.
pub(in crate::store) fn log_day(day: i32) -> Key {
    (day ^ i32::MIN).to_be_bytes().to_vec()
}

/// The time and the sequence in a key of [`log`].
pub(in crate::store) fn read_log(key: &[u8]) -> Option<(Timestamp, u64)> {
    let (at, rest) = number(key)?;
    let at = Timestamp::from_millis((!at ^ SIGN) as i64);
    Some((at, !read_number(rest)?))
}

/// The time and the sequence in a key of [`scoped_log`] or [`performer_log`].
pub(in crate::store) fn read_filed_log(key: &[u8]) -> Option<(Timestamp, u64)> {
    let (_, line) = key.split_last_chunk::<16>()?;
    read_log(line)
}

/// The kind in a key of [`log_count`]; `None` within for all kinds.
pub(in crate::store) fn read_log_count(key: &[u8]) -> Option<Option<LogKind>> {
    let (_, kind) = key.split_last_chunk()?;
    match u16::from_be_bytes(*kind) {
        ALL_KINDS => Some(None),
        number => LogKind::of_number(number).map(Some),
    }
}

const fn later_first(at: Timestamp) -> [u8; 8] {
    (!(at.as_millis() as u64 ^ SIGN)).to_be_bytes()
}
