//! Keys of the lists of tags by when they began, the newest first.

use super::{Key, read_number};
use crate::model::{RepositoryId, TagList};

/// The start of every key of a list, both of its places and of its blocks.
pub(in crate::store) fn tag_list(repository: RepositoryId, list: TagList) -> Key {
    let list = match list {
        TagList::All => 1,
        TagList::Live => 2,
    };
    [&repository.0.to_be_bytes()[..], &[list]].concat()
}

/// A place, or a block of places, in a list.
pub(in crate::store) fn tag_place(repository: RepositoryId, list: TagList, place: u64) -> Key {
    [&tag_list(repository, list)[..], &(!place).to_be_bytes()].concat()
}

/// The place in a key of [`tag_place`].
pub(in crate::store) fn read_tag_place(key: &[u8]) -> Option<u64> {
    read_number(key.get(9..)?).map(|inverted| !inverted)
}
