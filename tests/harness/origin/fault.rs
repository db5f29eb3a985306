//! What can go wrong, and for which requests.

use bytes::Bytes;

use super::wire::Recorded;

/// One way to misbehave.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This answer instead of any other.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// This content, whatever was asked for.
    Content(&'static str, Bytes),
    /// No Content-Length: the end of the connection ends the body.
    Unsized,
    /// 307 instead of content.
    Redirect(String),
    /// Closes the connection without an answer.
    HangUp,
    /// Waits for `release` before the answer's first byte.
    StallBeforeHeaders,
    /// Sends this much of the body and waits for `release`.
    StallAt(usize),
    /// Sends this much of the body and closes the connection.
    CutAt(usize),
    /// Right length, wrong first byte.
    WrongBytes,
    /// Announces this many bytes more than there are, and closes.
    WrongLength(usize),
    /// 200 with a chunked body without end.
    Endless,
    /// Says that the body is gzip.
    Gzip,
    /// A web page with 200, as captive portals send.
    Html,
    /// 200 with everything.
    IgnoreRange,
    /// This Content-Range instead of the true one.
    ContentRange(&'static str),
    /// Sets these headers, or leaves them out.
    Headers(Vec<(&'static str, Option<String>)>),
}

impl Fault {
    /// Whether it spoils content: refusals and errors pass it by.
    const fn needs_content(&self) -> bool {
        !matches!(
            self,
            Self::Status(..)
                | Self::Content(..)
                | Self::HangUp
                | Self::StallBeforeHeaders
                | Self::Endless
                | Self::Html
        )
    }
}

/// A fault for the next so many requests of a method and path.
pub(super) struct Rule {
    left: usize,
    method: &'static str,
    prefix: String,
    fault: Fault,
}

impl Rule {
    pub(super) fn new(times: usize, method: &'static str, prefix: &str, fault: Fault) -> Self {
        Self {
            left: times,
            method,
            prefix: prefix.to_owned(),
            fault,
        }
    }
}

/// The fault of the first rule that matches and is not used up; uses it once.
pub(super) fn take(rules: &mut [Rule], request: &Recorded, is_content: bool) -> Option<Fault> {
    let rule = rules.iter_mut().find(|rule| {
        let fits = is_content || !rule.fault.needs_content();
        rule.left > 0 && fits && request.is(rule.method, &rule.prefix)
    })?;
    if rule.left != usize::MAX {
        rule.left -= 1;
    }
    Some(rule.fault.clone())
}
