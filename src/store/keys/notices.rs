//! Keys of inboxes: the newest notice of each stands first.

use super::{Key, number, read_number};
use crate::model::NamespaceId;

/// Ends what a notice is about: the texts hold no such byte.
const END: u8 = 0;

/// A notice in the inbox of a namespace.
pub(in crate::store) fn notice(target: NamespaceId, sequence: u64) -> Key {
    [target.0.to_be_bytes(), (!sequence).to_be_bytes()].concat()
}

/// A notice by what it is about.
pub(in crate::store) fn notice_about(about: &str, target: NamespaceId, sequence: u64) -> Key {
    [notices_about(about), notice(target, sequence)].concat()
}

/// The start of every key of notices about something.
pub(in crate::store) fn notices_about(about: &str) -> Key {
    [about.as_bytes(), &[END]].concat()
}

/// The namespace and the sequence in a key of [`notice`].
pub(in crate::store) fn read_notice(key: &[u8]) -> Option<(NamespaceId, u64)> {
    let (target, rest) = number(key)?;
    Some((NamespaceId(target), !read_number(rest)?))
}

/// The namespace and the sequence in a key of [`notice_about`].
pub(in crate::store) fn read_notice_about(key: &[u8]) -> Option<(NamespaceId, u64)> {
    let (_, place) = key.split_last_chunk::<16>()?;
    read_notice(place)
}

/// A message to everyone.
pub(in crate::store) fn message(sequence: u64) -> Key {
    sequence.to_be_bytes().to_vec()
}
