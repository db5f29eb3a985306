//! Pushes and deletions, which a cache refuses: `405 UNSUPPORTED`, before any byte of the body is read.
//!
//! 405 on the first request of a push makes every client give up at once and show the message.

use super::READ;
use super::error::Failure;
use crate::oci::Endpoint;
use crate::proxy::Source;

/// The refusal of a write, naming the organisation as what it is.
pub(super) fn refuse(endpoint: &Endpoint, source: &Source) -> Failure {
    let organization = source.organization();
    let message = match source.is_cache() {
        true => format!("{organization} is a cache of another registry; push there instead"),
        false => format!("{organization} is read-only: it was a cache of another registry"),
    };
    // An upload session can neither be begun nor asked for.
    let allow = match endpoint {
        Endpoint::Uploads { .. } | Endpoint::Upload { .. } => "",
        _ => READ,
    };
    Failure::method(allow, message)
}
