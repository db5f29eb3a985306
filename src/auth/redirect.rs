//! Where an application may have people sent back to (AU-11, AU-12).

use url::Url;

/// Longest address that is looked at.
const BYTES: usize = 2048;

/// Whether people may be sent to `asked` by an application that registered `registered`; `local` is the
/// page of this site that shows a token, which is always allowed.
///
/// Scheme, host and port are those that were registered, the path is the one that was or lies below it,
/// and nothing in the rest can lead elsewhere. Quay lets the path begin with the registered text, so that
/// `/~ann` stood for `/~anneliese` as well: on a host of many, that is somebody else.
pub fn is_redirect_allowed(registered: &str, asked: &str, local: &str) -> bool {
    if asked == local && !local.is_empty() {
        return true;
    }
    // Parsers skip tabs and line ends and take '\' for '/': a text with such means two things.
    let plain = |text: &str| {
        let graphic = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        !text.is_empty() && text.len() <= BYTES && graphic
    };
    if !plain(registered) || !plain(asked) {
        return false;
    }
    let (Ok(known), Ok(wanted)) = (Url::parse(registered), Url::parse(asked)) else {
        return false;
    };
    let has_user = |url: &Url| !url.username().is_empty() || url.password().is_some();
    if has_user(&known) || has_user(&wanted) || wanted.fragment().is_some() {
        return false;
    }
    let same_site = known.scheme() == wanted.scheme()
        && known.has_host()
        && known.host_str() == wanted.host_str()
        && known.port_or_known_default() == wanted.port_or_known_default();
    let (Some(known), Some(wanted)) = (path(registered), path(asked)) else {
        return false;
    };
    let rest = wanted.strip_prefix(known);
    same_site && rest.is_some_and(is_harmless)
}

/// The path as it was written, before anything made sense of it.
fn path(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let start = rest.find('/').unwrap_or(end);
    Some(rest.get(start..end)?.trim_end_matches('/'))
}

fn is_harmless(rest: &str) -> bool {
    let lies_below = rest.is_empty() || rest.starts_with('/');
    lies_below && !rest.contains("..") && !rest.contains(['@', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTERED: &str = "https://app.example/callback";
    const LOCAL: &str = "https://registry.example/oauth/localapp";

    #[test]
    fn what_was_registered_and_what_lies_below_it_is_allowed() {
        for good in [
            REGISTERED,
            "https://app.example/callback/",
            "https://app.example/callback/github",
            "https://app.example/callback?next=1",
            "https://app.example:443/callback",
            LOCAL,
        ] {
            assert!(is_redirect_allowed(REGISTERED, good, LOCAL), "{good}");
        }
        assert!(is_redirect_allowed(
            "http://localhost:8000",
            "http://localhost:8000/x",
            LOCAL
        ));
        assert!(is_redirect_allowed("", LOCAL, LOCAL));
    }

    /// AU-12: nothing leads off the site that was registered.
    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "/callback",
            "//app.example/callback",
            "http://app.example/callback",
            "https://app.example/",
            "https://app.example/call",
            "https://app.example/callbackevil",
            "https://app.example/callback-evil/x",
            "https://app.example:8443/callback",
            "https://app.example.evil/callback",
            "https://evil/https://app.example/callback",
            "https://evil#https://app.example/callback",
            "https://evil?https://app.example/callback",
            "https://app.example@evil/callback",
            "https://app.example:x@evil/callback",
            "https://user@app.example/callback",
            "https://app.example\\@evil/callback",
            "https://app.example/callback/../evil",
            "https://app.example/callback/..%2fevil",
            "https://app.example/callback/%2e%2e/evil",
            "https://app.example/callback@evil",
            "https://app.example/callback\r\nLocation: https://evil",
            "https://app.example/callback\t",
            "https://app.example/callback#token",
            "https:app.example/callback",
            "https:/app.example/callback",
            "https:///app.example/callback",
            "javascript:alert(1)//app.example/callback",
            "data:text/html,x",
            "https://аpp.example/callback",
            "https://registry.example/oauth/localapp?x",
            "https://registry.example/oauth/localapp/",
        ] {
            assert!(!is_redirect_allowed(REGISTERED, bad, LOCAL), "{bad}");
        }
        for registered in ["", "app.example", "javascript:alert(1)", "mailto:a@b.c"] {
            assert!(
                !is_redirect_allowed(registered, registered, LOCAL),
                "{registered}"
            );
        }
    }
}
