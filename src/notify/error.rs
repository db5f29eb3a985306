//! What can go wrong with telling.

use crate::store;

/// Why something could not be told, or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such notice")]
    NoticeUnknown,
    #[error("there are {most} messages already; delete one first")]
    TooManyMessages { most: usize },
    #[error("a message has from 1 to {most} bytes of text")]
    MessageSize { most: usize },
    #[error("the system gives no random bytes")]
    NoRandomness,
    #[error(transparent)]
    Store(#[from] store::Error),
}
