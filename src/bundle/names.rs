//! What repositories of a bundle are called here.

use super::Error;
use crate::oci::RepositoryName;

/// How names change on the way in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mapping {
    /// A namespace that everything goes into, in place of its own; or, with a repository, the place of
    /// images that have no other name.
    pub into: Option<String>,
    /// Beginnings of names, whole components each, and what stands there instead.
    pub map: Vec<(String, String)>,
}

impl Mapping {
    /// The repository that images without a repository of their own belong to.
    pub(super) fn whole(&self) -> Option<RepositoryName> {
        let into = self.into.as_deref().filter(|into| into.contains('/'))?;
        into.parse().ok()
    }

    /// What a repository is called here. The longest beginning that fits counts.
    ///
    /// # Errors
    /// If that is no name of a repository in a namespace.
    pub(super) fn apply(&self, name: &RepositoryName) -> Result<RepositoryName, Error> {
        let fits = |from: &str| {
            let rest = name.as_str().strip_prefix(from)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        };
        let fitting = self.map.iter().filter(|(from, _)| fits(from).is_some());
        let text = match fitting.max_by_key(|(from, _)| from.len()) {
            Some((from, to)) => format!("{to}{}", fits(from).unwrap_or_default()),
            None => match self.into.as_deref() {
                None => return Ok(name.clone()),
                Some(into) if into.contains('/') => into.to_owned(),
                Some(into) => match name.split_first() {
                    Some((_, below)) => format!("{into}/{below}"),
                    None => format!("{into}/{name}"),
                },
            },
        };
        let parsed = text.parse::<RepositoryName>();
        let parsed =
            parsed.map_err(|error| Error::refused(format!("{name} as {text}: {error}")))?;
        match parsed.split_first() {
            Some(_) => Ok(parsed),
            None => Err(Error::refused(format!(
                "{name} as {text}: it has no namespace"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AG-13.
    #[test]
    fn names_change_as_they_are_told_to() {
        let mapping = |into: Option<&str>, map: &[(&str, &str)]| Mapping {
            into: into.map(str::to_owned),
            map: map
                .iter()
                .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
                .collect(),
        };
        let maps = [("acme", "corp"), ("acme/app", "other/thing")];
        for (mapping, name, wanted) in [
            (mapping(None, &[]), "acme/app", Some("acme/app")),
            (
                mapping(Some("corp"), &[]),
                "docker.io/library/alpine",
                Some("corp/library/alpine"),
            ),
            (
                mapping(Some("corp/x"), &[]),
                "docker.io/library/alpine",
                Some("corp/x"),
            ),
            (mapping(None, &maps), "acme/app", Some("other/thing")),
            (
                mapping(None, &maps),
                "acme/app/web",
                Some("other/thing/web"),
            ),
            (mapping(None, &maps), "acme/apple", Some("corp/apple")),
            (mapping(Some("in"), &maps), "zeta/apple", Some("in/apple")),
            (mapping(None, &[("acme/app", "Bad")]), "acme/app", None),
            (mapping(None, &[("acme/app", "lonely")]), "acme/app", None),
        ] {
            let name = name.parse().unwrap();
            let named = mapping.apply(&name).ok().map(|name| name.to_string());
            assert_eq!(named.as_deref(), wanted, "{mapping:?} {name}");
        }
    }
}
