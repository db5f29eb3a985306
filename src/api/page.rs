//! Paging of lists as the distribution specification has it: `n`, `last`, and a `Link` to what
//! follows whose query is built fresh (one that is appended to makes clients go round in circles).

use std::borrow::Cow;

use super::query::{Query, encode};

/// Most entries of one answer, whatever `n` says.
pub(super) const MOST: usize = 10_000;

/// What a client asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PageRequest<'a> {
    pub(super) n: Option<usize>,
    /// Entries strictly after this text, whether it exists or not.
    pub(super) last: Option<Cow<'a, str>>,
}

/// `n` is not a number.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct InvalidNumber;

impl<'a> PageRequest<'a> {
    /// Reads `n` and `last`; an empty `last` is none.
    ///
    /// # Errors
    /// [`InvalidNumber`] for an `n` of anything but digits.
    pub(super) fn of(query: Query<'a>) -> Result<Self, InvalidNumber> {
        let n = query.value("n").map(|text| number(&text)).transpose()?;
        let last = query.value("last").filter(|last| !last.is_empty());
        Ok(Self { n, last })
    }

    /// How many entries the answer has at most.
    pub(super) fn limit(&self) -> usize {
        self.n.unwrap_or(MOST).min(MOST)
    }

    /// Cuts the page out of a list in byte order, and says whether more follow it.
    pub(super) fn cut<'l, T>(&self, all: &'l [T], text: impl Fn(&T) -> &str) -> (&'l [T], bool) {
        let last = self.last.as_deref();
        let start = last.map_or(0, |last| all.partition_point(|entry| text(entry) <= last));
        let rest = &all[start..];
        let page = &rest[..rest.len().min(self.limit())];
        // distribution-spec: n=0 is an empty list without a Link.
        (page, page.len() < rest.len() && !page.is_empty())
    }
}

fn number(text: &str) -> Result<usize, InvalidNumber> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Digits that exceed the type are more than any list has.
    digits
        .then(|| text.parse().unwrap_or(usize::MAX))
        .ok_or(InvalidNumber)
}

/// The value of a `Link` to the next page at `path`, which must be plain; `parameters` in order.
pub(super) fn next_link(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let query: Vec<String> = parameters
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encode((*value)?))))
        .collect();
    format!("<{path}?{}>; rel=\"next\"", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(n: Option<usize>, last: Option<&'static str>) -> PageRequest<'static> {
        PageRequest {
            n,
            last: last.map(Cow::Borrowed),
        }
    }

    #[test]
    fn a_page_starts_strictly_after_last() {
        let all = ["a", "b", "c", "d"];
        assert_eq!(
            request(Some(2), None).cut(&all, |text| text),
            (&all[..2], true)
        );
        assert_eq!(
            request(Some(2), Some("b")).cut(&all, |text| text),
            (&all[2..], false)
        );
        assert_eq!(
            request(Some(2), Some("bb")).cut(&all, |text| text),
            (&all[2..], false)
        );
        assert_eq!(
            request(None, Some("z")).cut(&all, |text| text),
            (&all[4..], false)
        );
        assert_eq!(
            request(Some(0), None).cut(&all, |text| text),
            (&all[..0], false)
        );
        assert_eq!(
            request(None, None).cut(&all, |text| text),
            (&all[..], false)
        );
    }

    #[test]
    fn n_is_digits_or_refused() {
        for text in ["-1", "", "x", "1.0", "+1", " 1"] {
            assert_eq!(number(text), Err(InvalidNumber), "{text:?}");
        }
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("99999999999999999999999999"), Ok(usize::MAX));
        assert_eq!(request(Some(usize::MAX), None).limit(), MOST);
    }

    /// PR-10: nothing of a name or tag can break out of the header.
    #[test]
    fn a_link_is_built_fresh_and_encoded() {
        let parameters = [("last", Some("a\"\r\n>&b")), ("n", Some("2")), ("ns", None)];
        assert_eq!(
            next_link("/v2/x/tags/list", &parameters),
            "</v2/x/tags/list?last=a%22%0D%0A%3E%26b&n=2>; rel=\"next\""
        );
    }
}
