//! What a mirror copies, as people write it: `host/path`, or the address of the page where they saw it.
//!
//! Called by whoever takes a reference from somebody, and by each run. Only texts are looked at here; whether the
//! host may be called is decided when it is.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::model::UpstreamName;
use crate::oci::{ParseError, RepositoryName};

/// A repository of another registry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SourceReference {
    /// In lower case, with the port if one was given; `docker.io` for all of Docker Hub's names.
    pub host: String,
    pub repository: RepositoryName,
    /// It was given with `http://`.
    pub plain: bool,
}

impl fmt::Display for SourceReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)
    }
}

impl FromStr for SourceReference {
    type Err = ParseError;

    /// Takes `host[:port]/path`, `docker://host/path`, an `http` or `https` URL of either, and the pages that
    /// Quay (`/repository/org/name`), Harbor (`/harbor/projects/1/repositories/name`) and Docker Hub
    /// (`/r/org/name`, `/_/name`) show a repository at.
    ///
    /// One component at docker.io means `library/`. A tag or a digest is refused: what is copied is said by
    /// patterns.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("reference", format!("{text:?}: {reason}"));
        let given = text.trim();
        let (scheme, rest) = match given.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, given),
        };
        let plain = match scheme.as_deref() {
            None | Some("https" | "docker") => false,
            Some("http") => true,
            Some(_) => return Err(fail("give host/path, or an https URL")),
        };
        let is_page = matches!(scheme.as_deref(), Some("http" | "https"));
        let rest = match is_page {
            true => rest.split(['?', '#']).next().unwrap_or_default(),
            false => rest,
        };
        let (host, path) = rest
            .split_once('/')
            .ok_or_else(|| fail("it is host/path"))?;
        let host = host_of(host).ok_or_else(|| fail("there is no such host"))?;
        let path = path.trim_matches('/');
        let path = match is_page {
            true => shown_at(&host, path),
            false => path,
        };
        if path.contains([':', '@']) {
            return Err(fail("leave the tag or digest out; patterns say which tags"));
        }
        let host = match host.as_str() {
            "hub.docker.com" | "www.docker.com" => "docker.io".to_owned(),
            _ => host,
        };
        let name: RepositoryName = path.parse()?;
        let repository = match host == "docker.io" && name.components().count() == 1 {
            true => name.below("library")?,
            false => name,
        };
        Ok(Self {
            host,
            repository,
            plain,
        })
    }
}

/// The repository that a registry's page shows, else the path as it is.
fn shown_at<'a>(host: &str, path: &'a str) -> &'a str {
    if let Some(rest) = path.strip_prefix("repository/") {
        // Quay's pages: /repository/org/name, and /repository/org/name/tag/latest or ?tab=tags.
        let end = rest.match_indices('/').nth(1).map(|(at, _)| at);
        return end.map_or(rest, |end| &rest[..end]);
    }
    match host {
        "hub.docker.com" => {
            let rest = path.strip_prefix("r/").or_else(|| path.strip_prefix("_/"));
            rest.unwrap_or(path).trim_end_matches("/tags")
        }
        _ => path,
    }
}

/// A host with its port, in lower case; `None` if it is none, or more than that.
fn host_of(text: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{text}/")).ok()?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    let is_host = is_bare && !text.is_empty() && !text.contains(char::is_whitespace);
    is_host.then(|| UpstreamName::normalise_host(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let reference: SourceReference = text.parse().unwrap_or_else(|error| panic!("{error}"));
        reference.to_string()
    }

    #[test]
    fn references_and_pages_lead_to_the_same_repository() {
        for (text, expected) in [
            (
                "quay.io/prometheus/node-exporter",
                "quay.io/prometheus/node-exporter",
            ),
            (" QUAY.io/org/name/ ", "quay.io/org/name"),
            ("https://quay.io/repository/org/name", "quay.io/org/name"),
            (
                "https://quay.io/repository/org/name?tab=tags",
                "quay.io/org/name",
            ),
            (
                "https://quay.io/repository/org/name/tag/latest",
                "quay.io/org/name",
            ),
            ("https://quay.io/org/name", "quay.io/org/name"),
            ("docker://ghcr.io/a/b/c", "ghcr.io/a/b/c"),
            ("docker.io/alpine", "docker.io/library/alpine"),
            (
                "registry-1.docker.io/bitnami/redis",
                "docker.io/bitnami/redis",
            ),
            (
                "https://hub.docker.com/r/bitnami/redis",
                "docker.io/bitnami/redis",
            ),
            (
                "https://hub.docker.com/_/alpine/tags",
                "docker.io/library/alpine",
            ),
            ("localhost:5000/app", "localhost:5000/app"),
            ("quay.io/repository", "quay.io/repository"),
            ("[::1]:5000/app", "[::1]:5000/app"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let plain: SourceReference = "http://10.0.0.1:5000/app".parse().unwrap();
        assert!(plain.plain);
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        for text in [
            "",
            "alpine",
            "quay.io/",
            "quay.io/org/name:v1",
            "quay.io/org/name@sha256:00",
            "ftp://quay.io/org/name",
            "user@quay.io/org/name",
            "quay .io/org/name",
            "quay.io/Org/Name",
            "/org/name",
        ] {
            assert!(text.parse::<SourceReference>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _ = text.parse::<SourceReference>();
        }
    }
}
