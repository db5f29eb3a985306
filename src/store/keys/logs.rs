//! Keys of the usage log: the newest line of every listing stands first.

use super::{Key, SIGN, number, read_number};
use crate::model::{LogKind, LogScope, Timestamp};

/// A line of the log. Later ones sort first; among those of one moment, the one written last.
pub(in crate::store) fn log(at: Timestamp, sequence: u64) -> Key {
    [later_first(at), (!sequence).to_be_bytes()].concat()
}

/// A line of the log below what it is filed under.
pub(in crate::store) fn scoped_log(scope: LogScope, at: Timestamp, sequence: u64) -> Key {
    [log_scope(scope), log(at, sequence)].concat()
}

/// The start of every key of lines that are filed under `scope`.
pub(in crate::store) fn log_scope(scope: LogScope) -> Key {
    let (kind, id) = match scope {
        LogScope::Namespace(id) => (1, id.0),
        LogScope::Repository(id) => (2, id.0),
    };
    [&[kind][..], &id.to_be_bytes()].concat()
}

/// The start of every key of lines written at `at`, or before it.
pub(in crate::store) fn log_time(at: Timestamp) -> Key {
    later_first(at).to_vec()
}

/// A count of lines of one kind on one day, below what they are filed under; `None` is everything.
pub(in crate::store) fn log_count(
    scope: Option<LogScope>,
    day: i32,
    kind: LogKind,
    performer: &str,
) -> Key {
    [
        &log_count_day(scope, day)[..],
        &kind.number().to_be_bytes(),
        performer.as_bytes(),
    ]
    .concat()
}

/// The start of every count of a day.
pub(in crate::store) fn log_count_day(scope: Option<LogScope>, day: i32) -> Key {
    let scope = scope.map_or_else(|| vec![0; 9], log_scope);
    [scope, (day ^ i32::MIN).to_be_bytes().to_vec()].concat()
}

/// The time and the sequence in a key of [`log`].
pub(in crate::store) fn read_log(key: &[u8]) -> Option<(Timestamp, u64)> {
    let (at, rest) = number(key)?;
    let at = Timestamp::from_millis((!at ^ SIGN) as i64);
    Some((at, !read_number(rest)?))
}

/// The time and the sequence in a key of [`scoped_log`].
pub(in crate::store) fn read_scoped_log(key: &[u8]) -> Option<(Timestamp, u64)> {
    read_log(number(key.split_first()?.1)?.1)
}

/// The kind and the performer in a key of [`log_count`].
pub(in crate::store) fn read_log_count(key: &[u8]) -> Option<(LogKind, String)> {
    let (number, performer) = key.get(13..)?.split_first_chunk()?;
    let kind = LogKind::of_number(u16::from_be_bytes(*number))?;
    Some((kind, std::str::from_utf8(performer).ok()?.to_owned()))
}

const fn later_first(at: Timestamp) -> [u8; 8] {
    (!(at.as_millis() as u64 ^ SIGN)).to_be_bytes()
}
