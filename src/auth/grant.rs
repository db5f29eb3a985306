//! What a token may be used for: actions on named repositories, as its claims hold them.
//!
//! A grant bounds what its bearer may do and gives nothing by itself: rights are read at every request
//! ([`super::Auth::rights`]) and what holds is the intersection.

use serde::{Deserialize, Serialize};

use crate::oci::{Action, Actions, RepositoryName};

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
            let chosen = Action::ALL.into_iter().enumerate();
            let chosen = chosen.filter(|(at, _)| bits & 1 << at != 0);
            let grant = Grant {
                name: "acme/app".parse().unwrap(),
                actions: chosen.map(|(_, action)| action).collect(),
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
