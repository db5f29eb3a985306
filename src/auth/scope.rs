//! Scopes: what an OAuth token may be used for, of what its owner may do.
//!
//! Called by everything that decides about a caller. A scope bounds and gives nothing (AZ-14); a
//! session has them all. Names, titles and texts are Quay's, since tools and people compare them.

use std::fmt;

/// Longest text of scopes that is looked at.
const TEXT_BYTES: usize = 512;

/// One thing that an application may ask for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    RepoRead,
    RepoWrite,
    RepoAdmin,
    RepoCreate,
    UserRead,
    UserAdmin,
    OrgAdmin,
    SuperUser,
}

impl Scope {
    /// In the order that people are shown them.
    pub const ALL: [Self; 8] = [
        Self::RepoRead,
        Self::RepoWrite,
        Self::RepoAdmin,
        Self::RepoCreate,
        Self::UserRead,
        Self::UserAdmin,
        Self::OrgAdmin,
        Self::SuperUser,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::RepoRead => "repo:read",
            Self::RepoWrite => "repo:write",
            Self::RepoAdmin => "repo:admin",
            Self::RepoCreate => "repo:create",
            Self::UserRead => "user:read",
            Self::UserAdmin => "user:admin",
            Self::OrgAdmin => "org:admin",
            Self::SuperUser => "super:user",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::RepoRead => "View all visible repositories",
            Self::RepoWrite => "Read/Write to any accessible repositories",
            Self::RepoAdmin => "Administer Repositories",
            Self::RepoCreate => "Create Repositories",
            Self::UserRead => "Read User Information",
            Self::UserAdmin => "Administer User",
            Self::OrgAdmin => "Administer Organization",
            Self::SuperUser => "Super User Access",
        }
    }

    pub const fn description(self) -> &'static str {
        match self {
            Self::RepoRead => {
                "This application will be able to view and pull all repositories visible to the \
                 granting user or robot account"
            }
            Self::RepoWrite => {
                "This application will be able to view, push and pull to all repositories to which \
                 the granting user or robot account has write access"
            }
            Self::RepoAdmin => {
                "This application will have administrator access to all repositories to which the \
                 granting user or robot account has access"
            }
            Self::RepoCreate => {
                "This application will be able to create repositories in to any namespaces that \
                 the granting user or robot account is allowed to create repositories"
            }
            Self::UserRead => {
                "This application will be able to read user information such as username and email \
                 address."
            }
            Self::UserAdmin => {
                "This application will be able to administer your account including creating \
                 robots and granting them permissions to your repositories. You should have \
                 absolute trust in the requesting application before granting this permission."
            }
            Self::OrgAdmin => {
                "This application will be able to administer your organizations including creating \
                 robots, creating teams, adjusting team membership, and changing billing settings. \
                 You should have absolute trust in the requesting application before granting this \
                 permission."
            }
            Self::SuperUser => {
                "This application will be able to administer your installation including managing \
                 users, managing organizations and other features found in the superuser panel. You \
                 should have absolute trust in the requesting application before granting this \
                 permission."
            }
        }
    }

    /// The name of a picture in the icon font that Quay's pages use.
    pub const fn icon(self) -> &'static str {
        match self {
            Self::RepoRead | Self::RepoWrite | Self::RepoAdmin => "fa-hdd-o",
            Self::RepoCreate => "fa-plus",
            Self::UserRead => "fa-user",
            Self::UserAdmin | Self::OrgAdmin => "fa-gear",
            Self::SuperUser => "fa-street-view",
        }
    }

    /// Whether whoever holds it can take over what they do not own yet.
    pub const fn is_dangerous(self) -> bool {
        matches!(self, Self::UserAdmin | Self::OrgAdmin | Self::SuperUser)
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Itself and what it implies.
    const fn with_implied(self) -> u8 {
        match self {
            Self::RepoWrite => Self::RepoWrite.bit() | Self::RepoRead.bit(),
            Self::RepoAdmin => Self::RepoAdmin.bit() | Self::RepoWrite.with_implied(),
            scope => scope.bit(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of scopes, as it was asked for; what the members imply is in it, but not named by it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Scopes(u8);

impl Scopes {
    pub const NONE: Self = Self(0);
    /// Of who is there in person: a session, a password, a robot.
    pub const ALL: Self = Self(u8::MAX);

    /// The scopes of a text, separated by spaces or commas; one that is unknown makes all invalid
    /// (Quay). An empty text is the empty set.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES {
            return None;
        }
        let names = text.split([' ', ',']).filter(|name| !name.is_empty());
        names
            .map(Scope::of_name)
            .try_fold(Self::NONE, |set, scope| Some(set.with(scope?)))
    }

    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Whether a holder may do what `scope` is for, by name or by implication.
    pub fn contains(self, scope: Scope) -> bool {
        self.all_implied() & scope.bit() != 0
    }

    /// Whether everything that `other` allows is allowed here.
    pub fn covers(self, other: Self) -> bool {
        let wanted = other.all_implied();
        self.all_implied() & wanted == wanted
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members by name, without what they imply.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        let named = move |scope: &Scope| self.0 & scope.bit() != 0;
        Scope::ALL.into_iter().filter(named)
    }

    /// Its members and what they imply, as people are told when they are asked.
    pub fn implied(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }

    fn all_implied(self) -> u8 {
        self.iter()
            .fold(0, |bits, scope| bits | scope.with_implied())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, Self::with)
    }
}

/// The names, separated by spaces.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Scopes {
        Scopes::parse(text).unwrap()
    }

    /// SC-314: the eight scopes, each by its name.
    #[test]
    fn scopes_are_separated_by_spaces_or_commas_and_all_known() {
        let all =
            "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";
        assert_eq!(parse(all), Scopes::ALL);
        assert_eq!(parse(&all.replace(' ', ",")), Scopes::ALL);
        assert_eq!(
            parse(" repo:read,  user:read,"),
            parse("user:read repo:read")
        );
        assert_eq!(parse(""), Scopes::NONE);
        for bad in [
            "repo:read repo:fly",
            "direct_user_login",
            "Repo:Read",
            "repo:read;user:read",
        ] {
            assert_eq!(Scopes::parse(bad), None, "{bad}");
        }
        assert_eq!(Scopes::parse(&"repo:read ".repeat(100)), None);
    }

    #[test]
    fn a_scope_implies_the_weaker_ones_of_its_kind() {
        let admin = parse("repo:admin");
        for scope in Scope::ALL {
            let implied = [Scope::RepoAdmin, Scope::RepoWrite, Scope::RepoRead].contains(&scope);
            assert_eq!(admin.contains(scope), implied, "{scope}");
        }
        assert!(!parse("user:admin").contains(Scope::UserRead));
        assert!(!parse("repo:write").contains(Scope::RepoAdmin));
        assert_eq!(parse("repo:write").implied().count(), 2);
    }

    #[test]
    fn a_set_covers_what_it_implies_and_no_more() {
        assert!(parse("repo:admin user:read").covers(parse("repo:write")));
        assert!(!parse("repo:write").covers(parse("repo:admin")));
        assert!(!parse("repo:admin").covers(parse("repo:read user:read")));
        assert!(Scopes::ALL.covers(parse("super:user")));
    }

    #[test]
    fn a_set_is_written_as_it_was_asked_for() {
        let set = parse("user:read,repo:admin");
        assert_eq!(set.to_string(), "repo:admin user:read");
        assert_eq!(parse(&set.to_string()), set);
        assert_eq!(Scopes::NONE.to_string(), "");
    }

    #[test]
    fn the_dangerous_ones_are_those_that_reach_beyond_repositories() {
        let dangerous: Vec<_> = Scope::ALL
            .into_iter()
            .filter(|it| it.is_dangerous())
            .collect();
        assert_eq!(
            dangerous,
            [Scope::UserAdmin, Scope::OrgAdmin, Scope::SuperUser]
        );
    }
}
