//! Who comes in without a password, with which kind of account, and how far a superuser gets.
//!
//! Called by `Config::load`; `auth`, `accounts` and `api` take the fields they obey. Who may do what
//! in which repository is no configuration: it is in the store.

use std::collections::BTreeSet;

use super::features::Features;
use super::fields::Fields;
use super::pushes::namespace;
use super::report::Report;
use super::value;
use crate::model::{NamespaceName, RobotName};

/// Who comes in, with what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessConfig {
    /// What is public can be pulled without an account (`FEATURE_ANONYMOUS_ACCESS`).
    pub anonymous: bool,
    /// The namespace of references that have none; `None`: such a reference is refused.
    pub library: Option<NamespaceName>,
    /// Superusers act in every namespace as its owner.
    pub superusers_full_access: bool,
    pub robots: RobotAccess,
    /// `$app` and an application's token log a user in (`FEATURE_APP_SPECIFIC_TOKENS`).
    pub app_tokens: bool,
    /// The referrers API answers (`FEATURE_REFERRERS_API`).
    pub referrers: bool,
}

/// Which robots may be made and log in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum RobotAccess {
    #[default]
    All,
    /// Only these; none of them: no robot at all.
    Only(BTreeSet<RobotName>),
}

impl RobotAccess {
    /// Whether a robot of that name may be made and log in.
    pub fn admits(&self, robot: &RobotName) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(robot),
        }
    }

    /// The robots excepted from a refusal of all, if all are refused.
    pub(super) const fn excepted(&self) -> Option<&BTreeSet<RobotName>> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names),
        }
    }
}

impl AccessConfig {
    pub(super) fn read(fields: &Fields, features: &Features, report: &mut Report<'_>) -> Self {
        let library = fields.read(report, "LIBRARY_NAMESPACE", namespace);
        Self {
            anonymous: features.anonymous_access,
            library: features
                .library_support
                .then(|| library.unwrap_or_else(default_library)),
            superusers_full_access: features.super_users && features.superusers_full_access,
            robots: robots(fields, report),
            app_tokens: features.app_specific_tokens,
            referrers: features.referrers_api,
        }
    }
}

fn default_library() -> NamespaceName {
    "library".parse().expect("the name is well formed")
}

/// `ROBOTS_DISALLOW` and the exceptions to it.
fn robots(fields: &Fields, report: &mut Report<'_>) -> RobotAccess {
    let disallow = fields.read(report, "ROBOTS_DISALLOW", value::switch);
    let key = "ROBOTS_WHITELIST";
    let names = fields.list(report, key, value::parsed::<RobotName>);
    let names: BTreeSet<RobotName> = names.into_iter().flatten().collect();
    if disallow == Some(true) {
        return RobotAccess::Only(names);
    }
    if !names.is_empty() {
        let text = "has no effect while ROBOTS_DISALLOW is false: every robot may log in";
        report.warn(fields.place_of(key), key, text);
    }
    RobotAccess::All
}
