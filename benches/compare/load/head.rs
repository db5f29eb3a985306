//! The head of an answer, as far as it says where the body ends.

use crate::failure::{Doing as _, Failure, Outcome};

/// A head that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Length of the body that follows.
    pub(crate) length: u64,
    /// Where to go on, as a path below the same server.
    pub(crate) location: Option<String>,
    /// Length of the head itself, its empty line included.
    pub(super) size: usize,
    /// The connection ends after this answer.
    pub(super) is_last: bool,
}

impl Head {
    /// Reads the head at the start of `bytes`; `None` if it is not all there. `is_bare` says that no
    /// body follows, whatever the head states.
    ///
    /// # Errors
    /// If it is no head of HTTP/1.1, or says the length in a way that none of the servers needs.
    pub(super) fn parse(bytes: &[u8], is_bare: bool) -> Outcome<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).doing("read a head")?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|rest| rest.get(..3)).unwrap_or_default();
        let status = status.parse().doing("read a status")?;
        let (mut length, mut is_last, mut location) = (None, false, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse().doing("read a length")?);
            } else if name.eq_ignore_ascii_case("connection") {
                is_last = value.trim().eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("location") {
                location = Some(path_of(value.trim()).to_owned());
            }
        }
        // A 204 has no length (RFC 9110, 8.6).
        if is_bare || status == 204 {
            length = Some(0);
        }
        let length = length.ok_or_else(|| Failure::new("an answer without Content-Length"))?;
        Ok(Some(Self {
            status,
            length,
            location,
            size: end + 4,
            is_last,
        }))
    }
}

/// The path and the query of a Location, with or without the server in front of them.
fn path_of(location: &str) -> &str {
    let Some((_, rest)) = location.split_once("://") else {
        return location;
    };
    rest.find('/').map_or("/", |slash| &rest[slash..])
}
