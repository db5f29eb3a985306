//! The scopes of registry tokens: what a client asks a token for.
//!
//! `repository:<name>:<actions>` and `registry:catalog:*`. The name may hold a `host:port`, so the type ends
//! at the first colon and the actions begin at the last. A type or an action that is not known here asks for
//! nothing (the token is narrower for it); a known type with a broken name is an error. Nothing here widens:
//! what is granted is an intersection, made by `auth`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ParseError, RepositoryName, limits};

/// One thing that may be done to a resource.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Pull,
    Push,
    Delete,
    /// `*`: every other, and to manage it.
    #[serde(rename = "*")]
    All,
}

impl Action {
    /// Every action, in the order they are written.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Delete, Self::All];

    /// The action on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::All => "*",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Pull => 1,
            Self::Push => 2,
            Self::Delete => 4,
            Self::All => 8,
        }
    }
}

/// A set of actions.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Actions(u8);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);

    /// Reads a list separated by commas; what is not known is left out.
    pub fn parse(text: &str) -> Self {
        let known = |word: &str| Action::ALL.into_iter().find(|it| it.as_str() == word);
        text.split(',').filter_map(known).collect()
    }

    /// Whether `action` may be done: it is in the set, or [`Action::All`] is.
    pub const fn allows(self, action: Action) -> bool {
        self.0 & (action.bit() | Action::All.bit()) != 0
    }

    /// What both sets allow.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        match (self.allows(Action::All), other.allows(Action::All)) {
            (true, _) => other,
            (_, true) => self,
            _ => Self(self.0 & other.0),
        }
    }

    /// What either set allows.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions as written, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let written = Action::ALL.into_iter();
        written.filter(move |action| self.0 & action.bit() != 0)
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        let bits = actions.into_iter().map(Action::bit);
        Self(bits.fold(0, std::ops::BitOr::bitor))
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, action) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", action.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// What a scope is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resource {
    /// `repository:<name>`, with its namespace and without a host.
    Repository(RepositoryName),
    /// `registry:catalog`
    Catalog,
}

impl Resource {
    /// The type on the wire.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Catalog => "registry",
        }
    }

    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Repository(name) => name.as_str(),
            Self::Catalog => "catalog",
        }
    }
}

/// Actions on one resource. Its text is the scope of a challenge, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scope {
    pub resource: Resource,
    pub actions: Actions,
}

impl Scope {
    /// Reads one scope; `None` if it is of no type that is known here, or empty.
    ///
    /// `host` is the name of this registry, which clients may write before a repository's.
    ///
    /// # Errors
    /// If the scope is too long, is not of three parts, or names a repository against the grammar.
    pub fn parse(text: &str, host: Option<&str>) -> Result<Option<Self>, ParseError> {
        let fail = |reason: String| ParseError::new("scope", reason);
        if text.len() > limits::SCOPE_BYTES {
            let (found, most) = (text.len(), limits::SCOPE_BYTES);
            return Err(fail(format!("{found} bytes, {most} are allowed")));
        }
        if text.is_empty() {
            return Ok(None);
        }
        let parts = text
            .split_once(':')
            .and_then(|(kind, rest)| Some((kind, rest.rsplit_once(':')?)));
        let Some((kind, (name, actions))) = parts else {
            return Err(fail("it is not type:name:actions".to_owned()));
        };
        let resource = match (kind, name) {
            ("repository", name) => {
                let name = host.map_or(name, |host| without_host(name, host));
                Resource::Repository(name.parse()?)
            }
            ("registry", "catalog") => Resource::Catalog,
            _ => return Ok(None),
        };
        let actions = Actions::parse(actions);
        Ok(Some(Self { resource, actions }))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = (self.resource.kind(), self.resource.name());
        write!(f, "{kind}:{name}:{}", self.actions)
    }
}

/// `name` without `<host>/` before it; hosts are compared without regard to case.
pub fn without_host<'a>(name: &'a str, host: &str) -> &'a str {
    match name.split_once('/') {
        Some((first, rest)) if !host.is_empty() && first.eq_ignore_ascii_case(host) => rest,
        _ => name,
    }
}

/// The scopes of one request: each resource once, in the order they came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Reads every `scope` parameter of a request; one parameter may hold several, separated by spaces.
    ///
    /// # Errors
    /// If one is broken, or there are more than [`limits::SCOPES`], repeated and unknown ones counted.
    pub fn parse<T: AsRef<str>>(
        parameters: impl IntoIterator<Item = T>,
        host: Option<&str>,
    ) -> Result<Self, ParseError> {
        let (mut scopes, mut count) = (Self::default(), 0_usize);
        for parameter in parameters {
            for text in parameter.as_ref().split(' ').filter(|it| !it.is_empty()) {
                count += 1;
                if count > limits::SCOPES {
                    let reason = format!("more than {} in one request", limits::SCOPES);
                    return Err(ParseError::new("scope", reason));
                }
                scopes.0.extend(Scope::parse(text, host)?);
            }
        }
        scopes.merge();
        Ok(scopes)
    }

    fn merge(&mut self) {
        let mut merged: Vec<Scope> = Vec::with_capacity(self.0.len());
        for scope in self.0.drain(..) {
            match merged.iter_mut().find(|it| it.resource == scope.resource) {
                Some(known) => known.actions = known.actions.union(scope.actions),
                None => merged.push(scope),
            }
        }
        self.0 = merged;
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    pub const fn len(&self) -> usize {
        self.0.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOST: Option<&str> = Some("reg.example:8443");

    fn written(parameters: &[&str]) -> Vec<String> {
        let scopes = Scopes::parse(parameters, HOST).unwrap();
        scopes.iter().map(Scope::to_string).collect()
    }

    #[test]
    fn scopes_of_clients_are_understood() {
        for (text, expected) in [
            ("repository:a/b:pull", "repository:a/b:pull"),
            ("repository:a/b:push,pull", "repository:a/b:pull,push"),
            ("repository:a/b:*", "repository:a/b:*"),
            ("repository:a/b:delete,delete", "repository:a/b:delete"),
            (
                "repository:reg.example:8443/a/b:pull",
                "repository:a/b:pull",
            ),
            (
                "repository:REG.example:8443/a/b:pull",
                "repository:a/b:pull",
            ),
            ("registry:catalog:*", "registry:catalog:*"),
            // What is not known asks for nothing.
            ("repository:a/b:", "repository:a/b:"),
            ("repository:a/b:admin", "repository:a/b:"),
            ("repository:a/b:pull,PUSH,p*", "repository:a/b:pull"),
            ("repository:a/b:pull, push", "repository:a/b:pull"),
        ] {
            let scope = Scope::parse(text, HOST).unwrap().unwrap();
            assert_eq!(scope.to_string(), expected, "{text}");
        }
        for nothing in [
            "",
            "repository(plugin):a/b:pull",
            "Repository:a/b:pull",
            "registry:other:*",
            "registry:catalog/x:*",
            "aws:x:y",
            "::",
        ] {
            assert_eq!(Scope::parse(nothing, HOST), Ok(None), "{nothing}");
        }
    }

    /// AU-03: parsing is strict; no text is read as more than it says.
    #[test]
    fn hostile_scopes_are_refused() {
        let long = format!("repository:{}:pull", "a".repeat(2000));
        for text in [
            "repository",
            "repository:a",
            "repository::pull",
            "repository:*:pull",
            "repository:*:*",
            "repository:a/*:pull",
            "repository:a/../b:pull",
            "repository:/a:pull",
            "repository:a/:pull",
            "repository:A:pull",
            "repository:a:b:pull",
            "repository:other.example:8443/a/b:pull",
            "repository:reg.example:8443/reg.example:8443/a:pull",
            "repository:reg.example:8443/:pull",
            "repository:a%2fb:pull",
            "repository:a\0b:pull",
            "repository:a\nb:pull",
            &long,
        ] {
            assert!(Scope::parse(text, HOST).is_err(), "{text}");
        }
    }

    #[test]
    fn several_scopes_are_told_apart_and_merged() {
        assert_eq!(
            written(&[
                "repository:a/b:pull repository:c/d:pull,push",
                "",
                "  ",
                "repository:a/b:push  registry:catalog:*",
                "repository(x):a/b:*",
            ]),
            [
                "repository:a/b:pull,push",
                "repository:c/d:pull,push",
                "registry:catalog:*"
            ]
        );
        assert!(written(&[]).is_empty());
    }

    /// AU-03: 10,000 entries, in one parameter or in many, cost no more than a hundred.
    #[test]
    fn lists_of_scopes_are_bounded() {
        let many = "repository:a/b:pull ".repeat(10_000);
        assert!(Scopes::parse([&many], None).is_err());
        assert!(Scopes::parse(std::iter::repeat("x:y:z"), None).is_err());
        let most = "repository:a/b:pull ".repeat(limits::SCOPES);
        assert_eq!(Scopes::parse([&most], None).unwrap().len(), 1);
        let spaces = " ".repeat(1 << 20);
        assert!(Scopes::parse([&spaces], None).unwrap().is_empty());
    }

    fn actions() -> impl Strategy<Value = Actions> {
        (0_u8..16).prop_map(Actions)
    }

    proptest! {
        /// AU-03: an intersection allows exactly what both sides allow.
        #[test]
        fn an_intersection_never_widens(a in actions(), b in actions()) {
            for action in Action::ALL {
                let both = a.allows(action) && b.allows(action);
                prop_assert_eq!(a.intersection(b).allows(action), both);
                prop_assert_eq!(b.intersection(a).allows(action), both);
                let either = a.allows(action) || b.allows(action);
                prop_assert_eq!(a.union(b).allows(action), either);
            }
            prop_assert_eq!(Actions::parse(&a.to_string()), a);
        }

        #[test]
        fn any_scope_is_read_without_a_panic(
            text in "(repository|registry|r)?:?(reg\\.example:8443/)?[a-zA-Z/:*.é]{0,12}:?(pull|push|\\*|,|x| ){0,4}",
        ) {
            for scope in Scopes::parse([&text], HOST).iter().flatten() {
                let again = Scope::parse(&scope.to_string(), None).unwrap();
                prop_assert_eq!(again.as_ref(), Some(scope));
                prop_assert!(text.contains(scope.resource.name()));
            }
        }
    }
}
