//! Accounts of people.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, NamespaceName, Timestamp};

/// A person's account, which owns the namespace of its name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UserRecord {
    pub name: NamespaceName,
    /// The namespace of the same name, which has what users and organisations have alike: invoices and
    /// the time machine.
    pub namespace: NamespaceId,
    pub email: Option<String>,
    /// Whether mail to the address reached the person, or nobody asks for that.
    pub verified: bool,
    /// PHC string of the password's hash; `None` for an account that logs in by other means only.
    pub password: Option<String>,
    /// A disabled account keeps its content and can do nothing.
    pub enabled: bool,
    /// Beside those that the configuration names.
    pub superuser: bool,
    pub created: Timestamp,
    /// A session is good only while it shows this number: raising it ends all of them.
    pub session_epoch: u64,
    /// When the person was last known to use the account, to within a minute or so.
    pub last_accessed: Option<Timestamp>,
    pub profile: Profile,
    /// What the person is asked at the next visit.
    pub prompts: Vec<Prompt>,
}

impl UserRecord {
    /// An account as it begins: enabled and verified, with neither password nor e-mail address.
    pub const fn new(name: NamespaceName, namespace: NamespaceId, created: Timestamp) -> Self {
        Self {
            name,
            namespace,
            email: None,
            verified: true,
            password: None,
            enabled: true,
            superuser: false,
            created,
            session_epoch: 0,
            last_accessed: None,
            profile: Profile::EMPTY,
            prompts: Vec::new(),
        }
    }
}

/// What a person says about itself (Quay: user metadata).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Profile {
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub company: Option<String>,
    pub location: Option<String>,
}

impl Profile {
    pub const EMPTY: Self = Self {
        given_name: None,
        family_name: None,
        company: None,
        location: None,
    };
}

/// Something a person is asked (Quay: user prompts).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Prompt {
    /// Whether the name that was made up for the account is the right one.
    ConfirmUsername,
    EnterName,
    EnterCompany,
}

impl Prompt {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmUsername => "confirm_username",
            Self::EnterName => "enter_name",
            Self::EnterCompany => "enter_company",
        }
    }
}
