//! Lists that come in pages, linked by `Link` headers (RFC 8288).

use std::collections::HashSet;

use ::http::HeaderMap;
use ::http::header::LINK;
use url::Url;

use super::Error;
use super::document::Document;

/// Most pages of one list.
const MOST_PAGES: usize = 1000;
/// Largest page.
pub(super) const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The way through the pages of a list; notices when it goes round in a circle.
pub(super) struct Pages {
    seen: HashSet<Url>,
}

impl Pages {
    pub(super) fn starting_at(url: &Url) -> Self {
        Self {
            seen: HashSet::from([url.clone()]),
        }
    }

    /// Where the page behind `document` is. The link is opaque: quay.io ignores `last` and pages by a
    /// parameter of its own.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if it leads elsewhere, back, or on for ever: part of a list is not a list.
    pub(super) fn behind(&mut self, document: &Document) -> Result<Option<Url>, Error> {
        let Some(next) = next_link(&document.headers) else {
            return Ok(None);
        };
        let joined = document.url.join(&next);
        let mut next = joined.map_err(|_| Error::unexpected("a list whose next page is no URL"))?;
        if next.origin() != document.url.origin() {
            return Err(Error::unexpected(
                "a list whose next page is on another host",
            ));
        }
        super::redirect::strip(&mut next)
            .map_err(|()| Error::unexpected("a list whose next page is no URL"))?;
        if self.seen.len() >= MOST_PAGES {
            return Err(Error::Unexpected(format!(
                "a list of more than {MOST_PAGES} pages"
            )));
        }
        if !self.seen.insert(next.clone()) {
            return Err(Error::unexpected("a list whose pages go round in a circle"));
        }
        Ok(Some(next))
    }
}

/// The target of the link with `rel=next`.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let fields = headers.get_all(LINK).iter();
    let mut fields = fields.filter_map(|value| value.to_str().ok());
    fields.find_map(next_in)
}

fn next_in(field: &str) -> Option<String> {
    let mut rest = field;
    while let Some((_, behind)) = rest.split_once('<') {
        let (target, behind) = behind.split_once('>')?;
        let (parameters, more) = match behind.find('<') {
            Some(next) => behind.split_at(next),
            None => (behind, ""),
        };
        if is_next(parameters) {
            return Some(target.trim().to_owned());
        }
        rest = more;
    }
    None
}

fn is_next(parameters: &str) -> bool {
    parameters.split([';', ',']).any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel")
            && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_links_are_found_among_others() {
        let want = Some("/v2/a/tags/list?n=2&last=b,c".to_owned());
        for field in [
            r#"</v2/a/tags/list?n=2&last=b,c>; rel="next""#,
            r#"</v2/a/tags/list?n=2&last=b,c>;rel=next"#,
            r#"</x>; rel="prev", </v2/a/tags/list?n=2&last=b,c>; title="t"; REL="last Next""#,
        ] {
            assert_eq!(next_in(field), want, "{field}");
        }
        for field in [
            "",
            "</x>",
            r#"</x>; rel="prev""#,
            r#"</x; rel="next""#,
            r#"x; rel="next""#,
        ] {
            assert_eq!(next_in(field), None, "{field}");
        }
    }

    fn document(url: &str, link: &str) -> Document {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, format!("<{link}>; rel=\"next\"").parse().unwrap());
        Document {
            bytes: bytes::Bytes::new(),
            headers,
            url: Url::parse(url).unwrap(),
        }
    }

    #[test]
    fn pages_lead_on_but_never_away_or_back() {
        let first = "https://a.test/v2/x/tags/list";
        let mut pages = Pages::starting_at(&Url::parse(first).unwrap());
        let next = pages
            .behind(&document(first, "?next_page=abc"))
            .unwrap()
            .unwrap();
        assert_eq!(next.as_str(), "https://a.test/v2/x/tags/list?next_page=abc");
        assert!(pages.behind(&document(first, "https://b.test/")).is_err());
        assert!(pages.behind(&document(first, "http://a.test/")).is_err());
        assert!(pages.behind(&document(next.as_str(), first)).is_err());
        for page in 0..MOST_PAGES - 2 {
            assert!(
                pages
                    .behind(&document(first, &format!("?page={page}")))
                    .is_ok()
            );
        }
        assert!(pages.behind(&document(first, "?one-too-many")).is_err());
    }
}
