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

    /// The same of a form, whose text has the form of a query.
    pub(super) const fn of_text(text: &'a str) -> Self {
        Self(text)
    }

    /// The first value of a parameter, percent-decoded; `+` stays `+`, because clients send artifact
    /// types with a raw one.
    pub(super) fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.values(name).next()
    }

    /// The first value of a parameter as browsers and most tools write it: `+` is a space
    /// (`application/x-www-form-urlencoded`).
    pub(super) fn form_value(&self, name: &str) -> Option<Cow<'a, str>> {
        let pairs = self.0.split('&');
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(match value.contains('+') {
            true => decode(&value.replace('+', " ")).into_owned().into(),
            false => decode(value),
        })
    }

    /// Every value of a parameter, in order, read as [`Query::value`] reads the first. They are as many as
    /// fit into a request target, which `http` bounds; whoever works for each of them counts them first.
    pub(super) fn values<'n>(
        &self,
        name: &'n str,
    ) -> impl Iterator<Item = Cow<'a, str>> + use<'a, 'n> {
        let pairs = self.0.split('&');
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| decode(value))
    }

    /// The first value of a parameter that is a media type. No such type holds a space, so a space is a `+`
    /// that a form encoder, or a proxy that decodes as one, has lost: both readings of a raw `+` are the same.
    pub(super) fn media_type(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.value(name)?;
        Some(match value.contains(' ') {
            true => value.replace(' ', "+").into(),
            false => value,
        })
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
    fn a_form_writes_spaces_as_plus() {
        let form = |query: &str| Query(query).form_value("x").map(Cow::into_owned);
        assert_eq!(form("x=a+b%2Bc").as_deref(), Some("a b+c"));
        assert_eq!(form("y=1&x=%61").as_deref(), Some("a"));
        assert_eq!(form("y"), None);
    }

    /// oci-registry 6.2: a raw plus, an escaped one, and one that became a space on the way.
    #[test]
    fn a_media_type_is_read_with_its_plus_however_it_came() {
        for text in ["a/b+json", "a/b%2Bjson", "a%2Fb%20json", "a/b%2bjson"] {
            let query = format!("artifactType={text}");
            let read = Query(&query).media_type("artifactType");
            assert_eq!(read.as_deref(), Some("a/b+json"), "{text}");
        }
        assert_eq!(Query("x=1").media_type("artifactType"), None);
    }

    /// oci-registry 5.3: digests come escaped, in either case, and are decoded once.
    #[test]
    fn digests_come_escaped() {
        for text in ["sha256%3Aab", "sha256%3aab", "sha256:ab"] {
            let query = format!("_state=x%3D%3D&digest={text}");
            assert_eq!(value(&query, "digest").as_deref(), Some("sha256:ab"));
        }
        assert_eq!(value("digest=a%253Ab", "digest").as_deref(), Some("a%3Ab"));
    }

    #[test]
    fn repeated_parameters_come_in_order() {
        let all = |query: &str| -> Vec<String> {
            Query(query).values("tag").map(Cow::into_owned).collect()
        };
        assert_eq!(all("tag=b&x=1&tag=a&tag&tags=c&tag=b"), ["b", "a", "", "b"]);
        assert!(all("").is_empty());
        assert_eq!(all(&"tag=x&".repeat(1000)).len(), 1000);
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
            let query = Query(&text);
            prop_assert_eq!(query.values("x").next(), query.value("x"));
            prop_assert!(query.media_type("x").is_none_or(|read| !read.contains(' ')));
        }
    }
}
