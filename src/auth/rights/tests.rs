//! Who may do what, as a table of everybody and everything.

use super::*;
use crate::model::UserId;

const NORMAL: Policy = Policy {
    anonymous_access: true,
    superusers_full_access: false,
};
const PULL: Allowed = Allowed {
    pull: true,
    ..Allowed::NONE
};
const WRITE: Allowed = Allowed {
    push: true,
    delete: true,
    ..PULL
};
const ADMIN: Allowed = Allowed {
    admin: true,
    ..WRITE
};
const KINDS: [NamespaceKind; 2] = [NamespaceKind::Organization, NamespaceKind::User(UserId(1))];

fn target(kind: NamespaceKind, repository: Option<(Visibility, RepositoryState)>) -> Target {
    Target {
        namespace: NamespaceId(1),
        kind,
        anonymous_pull: false,
        repository: repository.map(|(seen, state)| (RepositoryId(1), seen, state)),
        fetched: false,
    }
}

fn normal(kind: NamespaceKind, visibility: Visibility) -> Target {
    target(kind, Some((visibility, RepositoryState::Normal)))
}

const ORDINARY: Standing = Standing {
    superuser: false,
    global_readonly: false,
    restricted: false,
    scopes: Scopes::ALL,
};

fn known(role: Option<Role>, may_create: bool, member: bool) -> Asker {
    Asker::Known {
        standing: ORDINARY,
        rights: Rights {
            role,
            may_create,
            member,
        },
    }
}

fn superuser() -> Asker {
    let Asker::Known { rights, .. } = known(None, false, false) else {
        unreachable!("known is known");
    };
    let standing = Standing {
        superuser: true,
        ..ORDINARY
    };
    Asker::Known { standing, rights }
}

fn standing_as(asker: Asker, standing: Standing) -> Asker {
    match asker {
        Asker::Known { rights, .. } => Asker::Known { standing, rights },
        Asker::Anonymous => Asker::Anonymous,
    }
}

fn everyone() -> Vec<Asker> {
    let roles = [None, Some(Role::Read), Some(Role::Write), Some(Role::Admin)];
    let known = roles.into_iter().flat_map(|role| {
        [(false, false), (true, true), (false, true)]
            .map(|(creates, member)| known(role, creates, member))
    });
    known.chain([Asker::Anonymous, superuser()]).collect()
}

/// What roles and visibility give in a local repository.
#[test]
fn roles_and_visibility_in_a_local_repository() {
    for kind in KINDS {
        let rows = [
            (Asker::Anonymous, Allowed::NONE, PULL),
            (known(None, false, false), Allowed::NONE, PULL),
            (known(None, false, true), Allowed::NONE, PULL),
            (known(Some(Role::Read), false, false), PULL, PULL),
            (known(Some(Role::Write), false, false), WRITE, WRITE),
            (known(Some(Role::Admin), false, false), ADMIN, ADMIN),
            (superuser(), Allowed::NONE, PULL),
        ];
        for (asker, private, public) in rows {
            let at = |visibility| decide(asker, &normal(kind, visibility), NORMAL, false);
            assert_eq!(at(Visibility::Private), private, "{asker:?}");
            assert_eq!(at(Visibility::Public), public, "{asker:?}");
        }
    }
}

/// A creator pushes into what is not there yet, and into nothing that others made.
#[test]
fn a_missing_repository_is_pushed_by_who_may_create_it() {
    let missing = target(NamespaceKind::Organization, None);
    let creator = known(None, true, true);
    let allowed = decide(creator, &missing, NORMAL, false);
    assert!(allowed.push && allowed.pull && allowed.create && !allowed.delete);
    let existing = normal(NamespaceKind::Organization, Visibility::Private);
    let allowed = decide(creator, &existing, NORMAL, false);
    assert!(allowed.create && !allowed.push && !allowed.pull);
    for asker in [Asker::Anonymous, known(None, false, true), superuser()] {
        assert_eq!(decide(asker, &missing, NORMAL, false), Allowed::NONE);
    }
}

/// Quay's repository states: a read-only repository and a mirror take nothing from anybody, and one
/// that is being deleted is there for nobody.
#[test]
fn nobody_writes_to_a_repository_that_is_not_normal() {
    let full = Policy {
        superusers_full_access: true,
        ..NORMAL
    };
    let at = |state, asker, is_open| {
        let repository = Some((Visibility::Public, state));
        let target = target(NamespaceKind::Organization, repository);
        decide(asker, &target, full, is_open)
    };
    for (asker, is_open) in everyone()
        .into_iter()
        .flat_map(|it| [(it, false), (it, true)])
    {
        for state in [
            RepositoryState::ReadOnly,
            RepositoryState::Mirror,
            RepositoryState::OrgMirror,
        ] {
            let allowed = at(state, asker, is_open);
            let pulls = allowed.pull && !allowed.push && !allowed.delete;
            assert!(pulls, "{state:?} {asker:?}");
        }
        let gone = at(RepositoryState::MarkedForDeletion, asker, is_open);
        assert_eq!(gone, Allowed::NONE, "{asker:?}");
    }
}

/// AZ-05: nobody pushes into a cache, its owner included.
#[test]
fn nobody_writes_to_a_cache() {
    let full = Policy {
        superusers_full_access: true,
        ..NORMAL
    };
    for (asker, is_open) in everyone()
        .into_iter()
        .flat_map(|it| [(it, false), (it, true)])
    {
        for repository in [None, Some((Visibility::Public, RepositoryState::Normal))] {
            let target = target(NamespaceKind::Cache, repository);
            let allowed = decide(asker, &target, full, is_open);
            assert!(
                !allowed.push && !allowed.delete && !allowed.create,
                "{asker:?}"
            );
        }
    }
}

/// DESIGN, "Who may pull from a cache"; what a repository of it says about visibility is nothing.
#[test]
fn a_cache_is_pulled_by_everyone_or_by_members_and_readers() {
    let closed = normal(NamespaceKind::Cache, Visibility::Public);
    let open = Target {
        anonymous_pull: true,
        ..closed
    };
    let rows = [
        (Asker::Anonymous, false),
        (known(None, false, false), false),
        (known(None, false, true), true),
        (known(Some(Role::Read), false, false), true),
        (superuser(), true),
    ];
    for (asker, pulls) in rows {
        assert_eq!(
            decide(asker, &closed, NORMAL, false).pull,
            pulls,
            "{asker:?}"
        );
        assert!(decide(asker, &open, NORMAL, false).pull, "{asker:?}");
    }
}

/// DESIGN, "Who may pull from a cache": caches made by the API, and what remains of them, are open to
/// members and readers, and written by nobody.
#[test]
fn what_an_organisation_caches_is_pulled_by_its_members_and_by_readers() {
    let full = Policy {
        superusers_full_access: true,
        ..NORMAL
    };
    let private = Some((Visibility::Private, RepositoryState::Normal));
    for repository in [None, private] {
        let fetched = Target {
            fetched: true,
            ..target(NamespaceKind::Organization, repository)
        };
        let rows = [
            (Asker::Anonymous, false),
            (known(None, false, false), false),
            (known(None, false, true), true),
            (known(Some(Role::Read), false, false), true),
            (superuser(), false),
        ];
        for (asker, pulls) in rows {
            let allowed = decide(asker, &fetched, NORMAL, false);
            assert_eq!(allowed.pull, pulls, "{asker:?}");
        }
        for (asker, is_open) in everyone()
            .into_iter()
            .flat_map(|it| [(it, false), (it, true)])
        {
            let allowed = decide(asker, &fetched, full, is_open);
            let writes = allowed.push || allowed.delete || allowed.create;
            assert!(!writes, "{asker:?}");
        }
    }
}

#[test]
fn without_anonymous_access_nobody_is_nobody() {
    let policy = Policy {
        anonymous_access: false,
        ..NORMAL
    };
    let cache = Target {
        anonymous_pull: true,
        ..target(NamespaceKind::Cache, None)
    };
    let public = normal(NamespaceKind::Organization, Visibility::Public);
    for (target, is_open) in [(cache, false), (public, false), (public, true)] {
        assert_eq!(
            decide(Asker::Anonymous, &target, policy, is_open),
            Allowed::NONE
        );
        let stranger = known(None, false, false);
        assert!(decide(stranger, &target, policy, is_open).pull);
    }
}

/// `ANONYMOUS_PUSH` gives everything but settings, and takes nothing from who has more.
#[test]
fn everyone_writes_where_anonymous_push_is_on() {
    for repository in [None, Some((Visibility::Private, RepositoryState::Normal))] {
        let target = target(NamespaceKind::Organization, repository);
        let allowed = decide(Asker::Anonymous, &target, NORMAL, true);
        assert_eq!(allowed, open());
        let owner = known(Some(Role::Admin), true, true);
        assert_eq!(decide(owner, &target, NORMAL, true), Allowed::ALL);
    }
}

#[test]
fn superusers_have_others_content_only_if_the_operator_says_so() {
    let policy = Policy {
        superusers_full_access: true,
        ..NORMAL
    };
    let private = normal(NamespaceKind::User(UserId(9)), Visibility::Private);
    assert_eq!(decide(superuser(), &private, NORMAL, false), Allowed::NONE);
    assert_eq!(decide(superuser(), &private, policy, false), Allowed::ALL);
    let stranger = known(None, false, false);
    assert_eq!(decide(stranger, &private, policy, false), Allowed::NONE);
}

/// AU-03: what is asked for shrinks to what is allowed, and `*` widens nothing.
#[test]
fn actions_shrink_to_what_is_allowed() {
    let asked = |actions: &[Action]| actions.iter().copied().collect::<Actions>();
    let everything = asked(&[Action::All]);
    assert_eq!(PULL.within(everything), asked(&[Action::Pull]));
    assert_eq!(Allowed::ALL.within(everything), asked(&Action::ALL));
    assert_eq!(Allowed::NONE.within(everything), Actions::NONE);
    let both = asked(&[Action::Pull, Action::Push]);
    assert_eq!(Allowed::ALL.within(both), both);
    assert_eq!(PULL.within(both), asked(&[Action::Pull]));
    assert_eq!(
        WRITE.within(asked(&[Action::Delete])),
        asked(&[Action::Delete])
    );
}

/// AZ-14: a token gives what its scopes are for and what its owner may, not one or the other.
#[test]
fn scopes_bound_what_a_token_may_do() {
    let private = normal(NamespaceKind::Organization, Visibility::Private);
    let with = |text: &str| Standing {
        scopes: Scopes::parse(text).unwrap(),
        ..ORDINARY
    };
    let rows = [
        ("", Allowed::NONE),
        ("user:admin org:admin super:user", Allowed::NONE),
        ("repo:read", PULL),
        ("repo:write", WRITE),
        ("repo:admin", ADMIN),
    ];
    for (scopes, expected) in rows {
        let admin = standing_as(known(Some(Role::Admin), false, true), with(scopes));
        assert_eq!(decide(admin, &private, NORMAL, false), expected, "{scopes}");
        let reader = standing_as(known(Some(Role::Read), false, true), with(scopes));
        let least = Allowed {
            pull: expected.pull,
            ..Allowed::NONE
        };
        assert_eq!(decide(reader, &private, NORMAL, false), least, "{scopes}");
    }
    let missing = target(NamespaceKind::Organization, None);
    let creator = known(None, true, true);
    let may = |scopes| decide(standing_as(creator, with(scopes)), &missing, NORMAL, false).push;
    assert!(may("repo:create") && !may("repo:admin"), "SC-344");
}

/// Quay: `GLOBAL_READONLY_SUPER_USERS` read everything and write nothing, their own included.
#[test]
fn a_global_reader_reads_everything_and_writes_nothing() {
    let standing = Standing {
        global_readonly: true,
        ..ORDINARY
    };
    for kind in [
        NamespaceKind::Organization,
        NamespaceKind::User(UserId(1)),
        NamespaceKind::Cache,
    ] {
        for role in [None, Some(Role::Admin)] {
            let reader = standing_as(known(role, true, true), standing);
            let private = normal(kind, Visibility::Private);
            assert_eq!(decide(reader, &private, NORMAL, false), PULL, "{kind:?}");
            let allowed = decide(reader, &target(kind, None), NORMAL, false);
            assert_eq!(allowed, PULL, "{kind:?}");
        }
    }
}

/// Quay: `FEATURE_RESTRICTED_USERS`.
#[test]
fn a_restricted_user_makes_nothing_of_his_own() {
    let standing = Standing {
        restricted: true,
        ..ORDINARY
    };
    let owner = standing_as(known(Some(Role::Admin), true, false), standing);
    let own = normal(NamespaceKind::User(UserId(1)), Visibility::Private);
    let allowed = decide(owner, &own, NORMAL, false);
    assert!(allowed.pull && allowed.admin && !allowed.push && !allowed.create);
}
