//! What a token may be used for: actions on named repositories, as its claims hold them.
//!
//! A grant bounds what its bearer may do and gives nothing by itself: rights are read at every request
//! ([`super::Auth::rights`]) and what holds is the intersection.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oci::RepositoryName;

/// One thing that may be done to a repository, as scopes name them (distribution, token scopes).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Pull,
    Push,
    Delete,
    /// Every other, and to manage it.
    #[serde(rename = "*")]
    All,
}

impl Action {
    /// Every action, in the order they are written.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Delete, Self::All];

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

    /// Whether `action` may be done: it is in the set, or [`Action::All`] is.
    pub const fn allows(self, action: Action) -> bool {
        self.0 & (action.bit() | Action::All.bit()) != 0
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

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Actions on one repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The full name, namespace included.
    pub name: RepositoryName,
    pub actions: Actions,
}

/// A grant as the `access` claim has it (distribution, token specification).
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct AccessClaim {
    #[serde(rename = "type")]
    kind: Kind,
    name: RepositoryName,
    actions: Vec<Action>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Repository,
}

impl From<&Grant> for AccessClaim {
    fn from(grant: &Grant) -> Self {
        Self {
            kind: Kind::Repository,
            name: grant.name.clone(),
            actions: grant.actions.iter().collect(),
        }
    }
}

impl From<AccessClaim> for Grant {
    fn from(claim: AccessClaim) -> Self {
        Self {
            name: claim.name,
            actions: claim.actions.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_reads_back_as_the_grant_it_was() {
        for bits in 0..16 {
            let grant = Grant {
                name: "acme/app".parse().unwrap(),
                actions: Actions(bits),
            };
            let text = serde_json::to_string(&AccessClaim::from(&grant)).unwrap();
            let claim: AccessClaim = serde_json::from_str(&text).unwrap();
            assert_eq!(Grant::from(claim), grant, "{text}");
        }
    }

    #[test]
    fn a_claim_is_written_as_the_token_specification_has_it() {
        let grant = Grant {
            name: "acme/app".parse().unwrap(),
            actions: [Action::All, Action::Pull].into_iter().collect(),
        };
        let text = serde_json::to_string(&AccessClaim::from(&grant)).unwrap();
        let expected = r#"{"type":"repository","name":"acme/app","actions":["pull","*"]}"#;
        assert_eq!(text, expected);
    }
}
