//! The query of a request, read leniently: clients and proxies add parameters of their own, and no
//! unknown or broken one is ever a reason to refuse.

use std::borrow::Cow;

/// The text behind `?`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a ::http::Uri) -> Self {
        Self(uri.query().unwrap_or(""))
    }

    /// The first value of a parameter, percent-decoded; `+` stays `+`, because clients send artifact
    /// types with a raw one.
    pub(super) fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.0
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decode(value))
    }
}

/// Decodes `%xx`; what is no escape, or no UTF-8 afterwards, stays as it came.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = (byte == b'%')
            .then(|| tail.get(..2).and_then(byte_of))
            .flatten();
        match escape {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(digits[at]).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// Encodes a value so that [`Query::value`], and any other reader of queries, gives it back.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(query: &str, name: &str) -> Option<String> {
        Query(query).value(name).map(Cow::into_owned)
    }

    #[test]
    fn a_raw_plus_and_an_escaped_one_are_the_same() {
        let expected = Some("application/vnd.x+json".to_owned());
        assert_eq!(
            value("artifactType=application/vnd.x+json", "artifactType"),
            expected
        );
        assert_eq!(
            value(
                "a&artifactType=application%2Fvnd.x%2Bjson&b=",
                "artifactType"
            ),
            expected
        );
    }

    #[test]
    fn what_is_broken_stays_as_it_came() {
        assert_eq!(value("x=%zz%4", "x").as_deref(), Some("%zz%4"));
        assert_eq!(value("x=%ff", "x").as_deref(), Some("%ff"));
        assert_eq!(value("x", "x").as_deref(), Some(""));
        assert_eq!(value("xy=1", "x"), None);
        assert_eq!(value("", "x"), None);
    }

    proptest! {
        #[test]
        fn what_was_encoded_reads_back(text in ".*") {
            prop_assert_eq!(value(&format!("a=1&x={}&b", encode(&text)), "x"), Some(text));
        }

        #[test]
        fn any_query_is_read_without_a_panic(text in ".*") {
            Query(&text).value("x");
        }
    }
}
