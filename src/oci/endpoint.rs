//! The `/v2/` path grammar, split from the right because a repository name holds slashes.

use super::{Digest, ParseError, Reference, RepositoryName};

/// What a path under `/v2/` names; its words have passed their grammars.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// end-1: `/v2/`
    Ping,
    /// `/v2/auth`: the token service.
    Token,
    /// `/v2/_catalog`
    Catalog,
    /// end-3, 7, 9: `/v2/<name>/manifests/<reference>`
    Manifest {
        name: RepositoryName,
        reference: Reference,
    },
    /// end-2, 10: `/v2/<name>/blobs/<digest>`
    Blob {
        name: RepositoryName,
        digest: Digest,
    },
    /// end-4, 11: `/v2/<name>/blobs/uploads/`
    Uploads { name: RepositoryName },
    /// end-5, 6, 13, 14: `/v2/<name>/blobs/uploads/<id>`
    Upload {
        name: RepositoryName,
        upload: String,
    },
    /// end-8: `/v2/<name>/tags/list`
    Tags { name: RepositoryName },
    /// end-12: `/v2/<name>/referrers/<digest>`
    Referrers {
        name: RepositoryName,
        digest: Digest,
    },
}

/// Why a path under `/v2/` names nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EndpointError {
    #[error("no such path")]
    NotFound,
    #[error(transparent)]
    Name(ParseError),
    #[error(transparent)]
    Digest(ParseError),
    #[error(transparent)]
    Tag(ParseError),
}

impl Endpoint {
    /// Parses a path as it stands in the request line; it is percent-decoded once, here.
    ///
    /// # Errors
    /// [`EndpointError::NotFound`] for a path of no endpoint, else the word that breaks its grammar.
    pub fn parse(path: &str) -> Result<Self, EndpointError> {
        let path = percent_decode(path).ok_or(EndpointError::NotFound)?;
        let rest = match path.as_str() {
            "/v2" | "/v2/" => return Ok(Self::Ping),
            "/v2/auth" => return Ok(Self::Token),
            "/v2/_catalog" => return Ok(Self::Catalog),
            path => path.strip_prefix("/v2/").ok_or(EndpointError::NotFound)?,
        };
        Self::parse_named(rest)
    }

    fn parse_named(rest: &str) -> Result<Self, EndpointError> {
        let name = |text: &str| text.parse::<RepositoryName>().map_err(EndpointError::Name);
        let digest = |text: &str| text.parse::<Digest>().map_err(EndpointError::Digest);
        if let Some(repository) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags {
                name: name(repository)?,
            });
        }
        let uploads = rest
            .strip_suffix("/blobs/uploads/")
            .or_else(|| rest.strip_suffix("/blobs/uploads"));
        if let Some(repository) = uploads {
            return Ok(Self::Uploads {
                name: name(repository)?,
            });
        }
        let (head, last) = rest.rsplit_once('/').ok_or(EndpointError::NotFound)?;
        if let Some(repository) = head.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload {
                name: name(repository)?,
                upload: last.to_owned(),
            });
        }
        if let Some(repository) = head.strip_suffix("/manifests") {
            let reference = last.parse().map_err(|error| match last.contains(':') {
                true => EndpointError::Digest(error),
                false => EndpointError::Tag(error),
            })?;
            return Ok(Self::Manifest {
                name: name(repository)?,
                reference,
            });
        }
        if let Some(repository) = head.strip_suffix("/blobs") {
            return Ok(Self::Blob {
                name: name(repository)?,
                digest: digest(last)?,
            });
        }
        if let Some(repository) = head.strip_suffix("/referrers") {
            return Ok(Self::Referrers {
                name: name(repository)?,
                digest: digest(last)?,
            });
        }
        Err(EndpointError::NotFound)
    }

    /// A closed set of words for metrics and logs.
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Token => "token",
            Self::Catalog => "catalog",
            Self::Manifest { .. } => "manifest",
            Self::Blob { .. } => "blob",
            Self::Uploads { .. } => "uploads",
            Self::Upload { .. } => "upload",
            Self::Tags { .. } => "tags",
            Self::Referrers { .. } => "referrers",
        }
    }

    /// The repository it names, if it names one.
    pub const fn name(&self) -> Option<&RepositoryName> {
        match self {
            Self::Ping | Self::Token | Self::Catalog => None,
            Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Tags { name }
            | Self::Referrers { name, .. } => Some(name),
        }
    }
}

/// Decodes `%xx` once; `None` for a broken escape or what is not UTF-8 afterwards.
fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn names_may_hold_the_words_of_the_grammar() {
        let manifest = |repository: &str, tag: &str| Endpoint::Manifest {
            name: name(repository),
            reference: tag.parse().unwrap(),
        };
        let parsed = |path: &str| Endpoint::parse(path).unwrap();
        assert_eq!(
            parsed("/v2/foo/manifests/manifests/latest"),
            manifest("foo/manifests", "latest")
        );
        assert_eq!(
            parsed("/v2/a/tags/manifests/list"),
            manifest("a/tags", "list")
        );
        assert_eq!(
            parsed("/v2/a/tags/list/tags/list"),
            Endpoint::Tags {
                name: name("a/tags/list")
            }
        );
        assert_eq!(
            parsed("/v2/blobs/blobs/uploads"),
            Endpoint::Uploads {
                name: name("blobs")
            }
        );
        assert_eq!(parsed("/v2"), Endpoint::Ping);
        assert_eq!(parsed("/v2/_catalog"), Endpoint::Catalog);
    }

    #[test]
    fn escapes_are_decoded_once() {
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        assert_eq!(
            Endpoint::parse(&format!("/v2/a/blobs/sha256%3A{HEX}")),
            Ok(Endpoint::Blob {
                name: name("a"),
                digest
            })
        );
        assert_eq!(
            Endpoint::parse("/v2/a%2Fb/tags/list"),
            Ok(Endpoint::Tags { name: name("a/b") })
        );
        for path in [
            "/v2/a%252Fb/tags/list",
            "/v2/a%2/tags/list",
            "/v2/%ff/tags/list",
        ] {
            assert!(Endpoint::parse(path).is_err(), "{path}");
        }
    }

    /// PR-04: what breaks a grammar is refused with the word that breaks it.
    #[test]
    fn hostile_paths_are_refused() {
        let parse = Endpoint::parse;
        assert!(matches!(
            parse("/v2/a/../b/tags/list"),
            Err(EndpointError::Name(_))
        ));
        assert!(matches!(
            parse("/v2//tags/list"),
            Err(EndpointError::Name(_))
        ));
        assert!(matches!(
            parse("/v2/a/blobs/sha256:xx"),
            Err(EndpointError::Digest(_))
        ));
        assert!(matches!(
            parse("/v2/a/manifests/sha256:xx"),
            Err(EndpointError::Digest(_))
        ));
        assert!(matches!(
            parse("/v2/a/manifests/.x"),
            Err(EndpointError::Tag(_))
        ));
        assert!(matches!(
            parse("/v2/a/manifests/"),
            Err(EndpointError::Tag(_))
        ));
        for path in [
            "/",
            "/v1/",
            "/v2/a",
            "/v2/a/b",
            "/v2x/a/tags/list",
            "/v2/tags/list",
        ] {
            assert_eq!(parse(path), Err(EndpointError::NotFound), "{path}");
        }
    }
}
