//! What somebody may do somewhere: the one place that decides it.
//!
//! [`decide`] is a pure function of what `accounts` knows of the principal, of the repository as it is
//! now, and of the configuration. Only the first is remembered, under the generation of the accounts,
//! so that every change of accounts, visibility or state counts at the next request (AZ-12, AZ-16). A
//! failure to find out is an error and never a decision (AZ-15).

use std::collections::HashSet;

use arc_swap::ArcSwap;
use moka::sync::Cache;

use super::scope::{Scope, Scopes};
use super::{Error, Identity, Metrics};
use crate::accounts::{Accounts, Principal, Rights};
use crate::model::{
    NamespaceId, NamespaceKind, NamespaceRecord, RepositoryId, RepositoryRecord, RepositoryState,
    Role, Visibility,
};
use crate::oci::{Action, Actions};

/// Decisions remembered; about 100 bytes each.
const REMEMBERED: u64 = 65_536;

/// What is asked about: a namespace, and a repository of it where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub namespace: NamespaceId,
    pub kind: NamespaceKind,
    /// Of a cache: whether everyone may pull.
    pub anonymous_pull: bool,
    /// `None` for one that does not exist (yet).
    pub repository: Option<(RepositoryId, Visibility, RepositoryState)>,
    /// Its content comes from an upstream: members of its organisation may pull, and nobody writes.
    pub fetched: bool,
}

impl Target {
    /// The target as its records have it.
    pub fn new(
        namespace: NamespaceId,
        record: &NamespaceRecord,
        repository: Option<(RepositoryId, &RepositoryRecord)>,
    ) -> Self {
        Self {
            namespace,
            kind: record.kind,
            anonymous_pull: record.anonymous_pull,
            repository: repository.map(|(id, record)| (id, record.visibility, record.state)),
            fetched: repository.is_some_and(|(_, record)| record.fetched),
        }
    }
}

/// What may be done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Allowed {
    pub pull: bool,
    pub push: bool,
    pub delete: bool,
    /// Settings and grants.
    pub admin: bool,
    /// Making repositories in the namespace.
    pub create: bool,
}

impl Allowed {
    pub const NONE: Self = Self {
        pull: false,
        push: false,
        delete: false,
        admin: false,
        create: false,
    };
    pub const ALL: Self = Self {
        pull: true,
        push: true,
        delete: true,
        admin: true,
        create: true,
    };

    /// Whether `action` may be done; [`Action::All`] is to manage what also takes pushes.
    pub const fn allows(self, action: Action) -> bool {
        match action {
            Action::Pull => self.pull,
            Action::Push => self.push,
            Action::Delete => self.delete,
            Action::All => self.admin && self.pull && self.push && self.delete,
        }
    }

    /// What of this remains for such a person with such credentials.
    fn bounded(self, standing: Standing) -> Self {
        let Standing {
            global_readonly,
            restricted,
            scopes,
            ..
        } = standing;
        let creates = scopes.contains(Scope::RepoCreate) || scopes.contains(Scope::OrgAdmin);
        let writes = !global_readonly && !restricted;
        Self {
            pull: self.pull && scopes.contains(Scope::RepoRead),
            push: self.push && writes && scopes.contains(Scope::RepoWrite),
            delete: self.delete && writes && scopes.contains(Scope::RepoWrite),
            admin: self.admin && !global_readonly && scopes.contains(Scope::RepoAdmin),
            create: self.create && writes && creates,
        }
    }

    /// What of `asked` is allowed: a token never says more than its holder could do when it was
    /// issued (AU-03). `*` stands for every action and shrinks to those that are allowed.
    #[must_use]
    pub fn within(self, asked: Actions) -> Actions {
        let wanted = Action::ALL.into_iter();
        wanted
            .filter(|action| asked.allows(*action) && self.allows(*action))
            .filter(|action| *action != Action::All || asked.iter().any(|it| it == Action::All))
            .collect()
    }
}

/// What of the configuration bears on rights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// `FEATURE_ANONYMOUS_ACCESS`
    pub(super) anonymous_access: bool,
    /// `FEATURE_SUPERUSERS_FULL_ACCESS`
    pub(super) superusers_full_access: bool,
}

/// Who asks, as far as the decision goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asker {
    Anonymous,
    Known { standing: Standing, rights: Rights },
}

/// What somebody is, apart from what is granted to them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Standing {
    superuser: bool,
    global_readonly: bool,
    /// Whether they are restricted, and this would be theirs.
    restricted: bool,
    scopes: Scopes,
}

impl Standing {
    fn of(identity: &Identity, kind: NamespaceKind) -> Self {
        let own = match (identity, kind) {
            (Identity::User { id, .. }, NamespaceKind::User(owner)) => *id == owner,
            // A robot has rights in the namespace that it belongs to only.
            (Identity::Robot { .. }, NamespaceKind::User(_)) => true,
            _ => false,
        };
        Self {
            superuser: identity.is_superuser(),
            global_readonly: identity.is_global_readonly(),
            restricted: own && identity.is_restricted(),
            scopes: identity.scopes(),
        }
    }
}

pub(super) struct Rules {
    policy: Policy,
    /// `ANONYMOUS_PUSH`: whoever reaches the port may push there.
    open: ArcSwap<HashSet<NamespaceId>>,
    remembered: Cache<(Principal, NamespaceId, Option<RepositoryId>), (u64, Rights)>,
    accounts: Accounts,
    metrics: Metrics,
}

impl Rules {
    pub(super) fn new(policy: Policy, accounts: Accounts, metrics: Metrics) -> Self {
        Self {
            policy,
            open: ArcSwap::default(),
            remembered: Cache::new(REMEMBERED),
            accounts,
            metrics,
        }
    }

    pub(super) const fn admits_anonymous(&self) -> bool {
        self.policy.anonymous_access
    }

    pub(super) fn set_open(&self, namespaces: HashSet<NamespaceId>) {
        self.open.store(namespaces.into());
    }

    pub(super) async fn of(&self, identity: &Identity, target: &Target) -> Result<Allowed, Error> {
        let asker = match identity.principal() {
            None => Asker::Anonymous,
            Some(principal) => Asker::Known {
                standing: Standing::of(identity, target.kind),
                rights: self.of_principal(principal, target).await?,
            },
        };
        let is_open = self.open.load().contains(&target.namespace);
        Ok(decide(asker, target, self.policy, is_open))
    }

    pub(super) const fn policy(&self) -> Policy {
        self.policy
    }

    /// What is granted to somebody, remembered until the accounts change.
    pub(super) async fn of_principal(
        &self,
        principal: Principal,
        target: &Target,
    ) -> Result<Rights, Error> {
        let repository = target.repository.map(|(id, ..)| id);
        let key = (principal, target.namespace, repository);
        // Taken before the rows are read: what changes meanwhile makes this answer an old one.
        let generation = self.accounts.generation();
        if let Some((read, rights)) = self.remembered.get(&key)
            && read == generation
        {
            return Ok(rights);
        }
        let rights = self
            .accounts
            .rights(principal, target.namespace, repository)
            .await?;
        self.metrics.rights.inc();
        self.remembered.insert(key, (generation, rights));
        Ok(rights)
    }
}

fn decide(asker: Asker, target: &Target, policy: Policy, is_open: bool) -> Allowed {
    if asker == Asker::Anonymous && !policy.anonymous_access {
        return Allowed::NONE;
    }
    match target.kind {
        NamespaceKind::Cache => in_cache(asker, target),
        NamespaceKind::Organization | NamespaceKind::User(_) => {
            let own = own(asker, target, policy);
            let open = if is_open && !target.fetched {
                open()
            } else {
                published(target)
            };
            let made = made_by_upstream(asker, target);
            writable(union(union(own, made), open), target)
        }
    }
}

/// A cache is written by what it caches only. Those configured are owned by the superusers.
fn in_cache(asker: Asker, target: &Target) -> Allowed {
    let own = match asker {
        Asker::Anonymous => Allowed::NONE,
        Asker::Known { standing, rights } => {
            let owner = standing.superuser || rights.role == Some(Role::Admin);
            let reader = rights.member || rights.role.is_some() || standing.global_readonly;
            let own = Allowed {
                pull: reader || owner,
                admin: owner,
                ..Allowed::NONE
            };
            own.bounded(standing)
        }
    };
    Allowed {
        pull: target.anonymous_pull || own.pull,
        ..own
    }
}

/// What the asker has by name: as owner, through teams or by grants, as far as the credentials go.
fn own(asker: Asker, target: &Target, policy: Policy) -> Allowed {
    let Asker::Known { standing, rights } = asker else {
        return Allowed::NONE;
    };
    if standing.superuser && policy.superusers_full_access {
        return Allowed::ALL.bounded(standing);
    }
    let has = |role| rights.role >= Some(role);
    let by_role = Allowed {
        pull: has(Role::Read) || standing.global_readonly,
        push: has(Role::Write),
        delete: has(Role::Write),
        admin: has(Role::Admin),
        create: rights.may_create,
    };
    let own = by_role.bounded(standing);
    // Who may make a repository pushes into one that is not there yet, and reads what arrived
    // meanwhile: clients ask for both in the one token of a push.
    let makes = target.repository.is_none() && own.create;
    Allowed {
        pull: own.pull || makes,
        push: own.push || makes,
        ..own
    }
}

/// What everyone has where anyone may push.
const fn open() -> Allowed {
    Allowed {
        admin: false,
        ..Allowed::ALL
    }
}

/// What everyone has in a public repository.
const fn published(target: &Target) -> Allowed {
    Allowed {
        pull: matches!(target.repository, Some((_, Visibility::Public, _))),
        ..Allowed::NONE
    }
}

/// What members of an organisation have in what it caches (DESIGN, "Who may pull from a cache").
const fn made_by_upstream(asker: Asker, target: &Target) -> Allowed {
    let pull = match asker {
        Asker::Known { rights, .. } => target.fetched && rights.member,
        Asker::Anonymous => false,
    };
    Allowed {
        pull,
        ..Allowed::NONE
    }
}

/// Takes away what the state of the repository, or where its content comes from, forbids to everybody.
const fn writable(allowed: Allowed, target: &Target) -> Allowed {
    if target.fetched {
        return Allowed {
            push: false,
            delete: false,
            create: false,
            ..allowed
        };
    }
    match target.repository {
        Some((_, _, RepositoryState::Normal)) | None => allowed,
        // A mirror is written by what it mirrors only.
        Some((
            _,
            _,
            RepositoryState::ReadOnly | RepositoryState::Mirror | RepositoryState::OrgMirror,
        )) => Allowed {
            push: false,
            delete: false,
            ..allowed
        },
        Some((_, _, RepositoryState::MarkedForDeletion)) => Allowed::NONE,
    }
}

const fn union(one: Allowed, other: Allowed) -> Allowed {
    Allowed {
        pull: one.pull || other.pull,
        push: one.push || other.push,
        delete: one.delete || other.delete,
        admin: one.admin || other.admin,
        create: one.create || other.create,
    }
}

#[cfg(test)]
mod tests;
