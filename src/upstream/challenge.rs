//! `WWW-Authenticate`, parsed (RFC 9110 §11.6.1).
//!
//! A field may hold several challenges and there may be several fields; parameters come quoted or bare, in
//! any order. What does not parse is skipped: one odd challenge must not hide a good one.

use ::http::HeaderMap;
use ::http::header::WWW_AUTHENTICATE;

/// A way to authenticate that an upstream offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Challenge {
    Bearer(BearerChallenge),
    Basic,
}

/// Where a bearer token comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BearerChallenge {
    /// URL of the token endpoint, as it was written.
    pub(super) realm: String,
    /// Some registries (nvcr.io) have none.
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

impl Challenge {
    /// The challenge to take up: the first Bearer that names a realm, else Basic.
    pub(super) fn preferred(headers: &HeaderMap) -> Option<Self> {
        let mut offered = Self::all(headers);
        let bearer = offered
            .iter()
            .position(|challenge| matches!(challenge, Self::Bearer(_)));
        match bearer {
            Some(at) => Some(offered.swap_remove(at)),
            None => offered.pop(),
        }
    }

    fn all(headers: &HeaderMap) -> Vec<Self> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(parse)
            .collect()
    }
}

/// The known challenges of one field.
fn parse(field: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = field;
    let mut scheme: Option<(&str, Vec<(String, String)>)> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, behind) = token(rest);
        if word.is_empty() {
            match rest.char_indices().nth(1) {
                // A stray character: skip it.
                Some((next, _)) => {
                    rest = &rest[next..];
                    continue;
                }
                None => break,
            }
        }
        match parameter_value(behind) {
            Some((value, behind)) => {
                if let Some((_, parameters)) = &mut scheme {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = behind;
            }
            None => {
                challenges.extend(scheme.take().and_then(finish));
                scheme = Some((word, Vec::new()));
                rest = behind;
            }
        }
    }
    challenges.extend(scheme.and_then(finish));
    challenges
}

fn finish((scheme, parameters): (&str, Vec<(String, String)>)) -> Option<Challenge> {
    let find = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Some(Challenge::Bearer(BearerChallenge {
        realm: find("realm")?,
        service: find("service"),
        scope: find("scope"),
    }))
}

/// Splits a leading token (RFC 9110 §5.6.2) off.
fn token(text: &str) -> (&str, &str) {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    text.split_at(text.bytes().take_while(|b| is_token(b)).count())
}

/// Reads `= value` if it stands at the start of `text`: quoted with escapes, or bare up to a comma or space
/// (a bare URL holds characters that no token may, yet registries send it).
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start().strip_prefix('=')?.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    // The quote was never closed: what there is, is the value.
    Some((value, ""))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn preferred(fields: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(field));
        }
        Challenge::preferred(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer(BearerChallenge {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }))
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull""#;
        let scope = Some("repository:library/alpine:pull");
        let whole = bearer(
            "https://auth.docker.io/token",
            Some("registry.docker.io"),
            scope,
        );
        assert_eq!(preferred(&[hub]), whole);
        let nvidia = r#"Bearer realm="https://nvcr.io/proxy_auth?x=1&y=a,b",scope="repository:nvidia/cuda:pull""#;
        let scope = Some("repository:nvidia/cuda:pull");
        assert_eq!(
            preferred(&[nvidia]),
            bearer("https://nvcr.io/proxy_auth?x=1&y=a,b", None, scope)
        );
        assert_eq!(preferred(&[r#"Basic realm="ecr""#]), Some(Challenge::Basic));
        assert_eq!(preferred(&["basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn order_quotes_case_and_space_do_not_matter() {
        let want = bearer("https://a/t", Some("s"), Some("x y"));
        for field in [
            r#"bearer scope="x y", service=s, realm=https://a/t"#,
            r#"BEARER Realm = "https://a/t" , Service = "s", error="invalid_token", scope="x y""#,
            r#"Bearer realm="https://\a/t",service="s",scope="x y"#,
            r#", ,Bearer realm="https://a/t",,service="s" scope="x y""#,
        ] {
            assert_eq!(preferred(&[field]), want, "{field}");
        }
    }

    #[test]
    fn bearer_wins_over_basic_wherever_it_stands() {
        let want = bearer("https://a/t", None, None);
        assert_eq!(
            preferred(&[r#"Basic realm="x", Bearer realm="https://a/t""#]),
            want
        );
        assert_eq!(
            preferred(&[r#"Bearer realm="https://a/t", Basic realm="x""#]),
            want
        );
        let several = [
            r#"Negotiate abc=="#,
            r#"Basic realm="x""#,
            r#"Bearer realm="https://a/t""#,
        ];
        assert_eq!(preferred(&several), want);
        assert_eq!(
            preferred(&["Bearer service=s", "Basic"]),
            Some(Challenge::Basic)
        );
        assert_eq!(
            preferred(&["Negotiate", "", "Bearer", "Bearer realm=\"\""]),
            None
        );
    }

    proptest! {
        #[test]
        fn any_field_is_parsed_without_a_panic(field in r#"[Bb=", \\a-zé]{0,60}"#) {
            parse(&field);
        }
    }
}
