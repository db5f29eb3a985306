//! Redirects, followed by hand so that each hop is judged.

use ::http::StatusCode;
use ::http::header::LOCATION;
use url::Url;

use super::{Error, is_public};
use crate::outbound::Response;

/// Most hops behind the first request.
pub(super) const MOST_HOPS: usize = 5;

/// Where a request goes and what that place may know.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) url: Url,
    /// Still at the endpoint: scheme, host and port. Once left it stays left, so that no detour brings
    /// `Authorization` along (UP-02).
    pub(super) home: bool,
    /// Someone at a public address named this URL: it must be public too (UP-04).
    pub(super) guarded: bool,
}

impl Hop {
    /// The hop that `response` sends us to, or `None` if it is no redirect.
    pub(super) fn next(&self, response: &Response, insecure: bool) -> Result<Option<Self>, Error> {
        let is_redirect = matches!(
            response.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        if !is_redirect {
            return Ok(None);
        }
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        let location = location.ok_or(Error::Redirect("it does not say where to"))?;
        let sender_is_public = response.peer().is_some_and(is_public);
        self.towards(location, sender_is_public, insecure).map(Some)
    }

    fn towards(
        &self,
        location: &str,
        sender_is_public: bool,
        insecure: bool,
    ) -> Result<Self, Error> {
        let joined = self.url.join(location);
        let mut url = joined.map_err(|_| Error::Redirect("its Location is no URL"))?;
        check_scheme(&url, insecure)?;
        strip(&mut url).map_err(|()| Error::Redirect("its Location has no host"))?;
        let same = url.origin() == self.url.origin();
        Ok(Self {
            home: self.home && same,
            guarded: self.guarded || (!same && sender_is_public),
            url,
        })
    }
}

/// UP-03: https never becomes http, unless the upstream is marked insecure.
pub(super) fn check_scheme(url: &Url, insecure: bool) -> Result<(), Error> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if insecure => Ok(()),
        "http" => Err(Error::Redirect("https does not lead to http")),
        _ => Err(Error::Redirect("neither https nor http")),
    }
}

/// Takes out user, password and fragment: they must not turn into headers.
pub(super) fn strip(url: &mut Url) -> Result<(), ()> {
    url.set_fragment(None);
    url.set_password(None)?;
    url.set_username("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(url: &str) -> Hop {
        Hop {
            url: Url::parse(url).unwrap(),
            home: true,
            guarded: false,
        }
    }

    fn towards(from: &Hop, location: &str) -> Hop {
        from.towards(location, true, false).unwrap()
    }

    /// UP-02: scheme, host or port changes, and the way back.
    #[test]
    fn home_is_left_with_scheme_host_or_port_and_never_found_again() {
        let start = hop("https://registry.test/v2/a/blobs/x");
        for inside in [
            "/other",
            "../../../z",
            "https://registry.test:443/y",
            "//REGISTRY.test/y",
        ] {
            assert!(towards(&start, inside).home, "{inside}");
        }
        for outside in [
            "https://registry.test:444/y",
            "https://registry.test./y",
            "//cdn.test/y",
            "https://registry.test@cdn.test/",
            "https:\\\\cdn.test/",
        ] {
            assert!(!towards(&start, outside).home, "{outside}");
        }
        let away = towards(&start, "https://cdn.test/");
        assert!(!towards(&away, "https://registry.test/v2/a/blobs/x").home);
        let plain = start.towards("http://registry.test/y", true, true).unwrap();
        assert!(!plain.home);
    }

    /// UP-03: downgrades and other schemes.
    #[test]
    fn downgrades_and_odd_schemes_are_refused() {
        let start = hop("https://registry.test/");
        let odd = [
            "http://registry.test/",
            "ftp://a/",
            "file:///etc/passwd",
            "data:,x",
            "https://",
        ];
        for location in odd {
            let outcome = start.towards(location, true, false);
            assert!(
                matches!(outcome, Err(Error::Redirect(_))),
                "{location}: {outcome:?}"
            );
        }
        assert!(start.towards("http://a/", true, true).is_ok());
    }

    /// UP-04: a public registry may send us to public addresses only; one of the site, anywhere.
    #[test]
    fn public_senders_lead_to_public_addresses() {
        let start = hop("https://registry.test/");
        assert!(
            start
                .towards("https://cdn.test/", true, false)
                .unwrap()
                .guarded
        );
        assert!(!start.towards("/here", true, false).unwrap().guarded);
        assert!(
            !start
                .towards("https://cdn.test/", false, false)
                .unwrap()
                .guarded
        );
    }

    #[test]
    fn users_in_a_location_do_not_become_credentials() {
        let next = towards(
            &hop("https://registry.test/"),
            "https://u:p@registry.test/x?y#z",
        );
        assert_eq!(next.url.as_str(), "https://registry.test/x?y");
    }
}
