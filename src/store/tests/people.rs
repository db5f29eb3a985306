//! Users, robots, teams, grants and tokens: keys that sort and read back, indexes that agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::{
    AppTokenId, AppTokenRecord, Doomed, Grantee, Member, NamespaceKind, NamespaceRecord,
    PrototypeId, RepositoryRecord, RobotId, RobotRecord, Role, Sealed, SigningKeyRecord, TeamId,
    TeamRecord, TeamRole, UserId,
};
use crate::store::keys::{self, Key};

// === Keys ===

/// Small numbers, so that they collide and later parts of a key decide; and the largest.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_u64, 254..258_u64, Just(u64::MAX)]
}

fn members() -> impl Strategy<Value = Member> {
    (any::<bool>(), numbers()).prop_map(|(user, id)| match user {
        true => Member::User(UserId(id)),
        false => Member::Robot(RobotId(id)),
    })
}

fn grantees() -> impl Strategy<Value = Grantee> {
    (0..3, numbers()).prop_map(|(kind, id)| match kind {
        0 => Grantee::User(UserId(id)),
        1 => Grantee::Robot(RobotId(id)),
        _ => Grantee::Team(TeamId(id)),
    })
}

/// Sorting values and sorting their keys gives the same order.
fn sorts_alike<T: Clone + Debug + Ord>(
    values: &[T],
    key: impl Fn(&T) -> Key,
) -> Result<(), TestCaseError> {
    let mut by_value = values.to_vec();
    by_value.sort();
    let mut by_key = values.to_vec();
    by_key.sort_by_key(|value| key(value));
    prop_assert_eq!(by_value, by_key);
    Ok(())
}

proptest! {
    #[test]
    fn memberships_sort_both_ways(v in vec((numbers(), members(), numbers()), 0..20)) {
        let by_team: Vec<_> = v.iter().map(|&(team, member, _)| (team, member)).collect();
        sorts_alike(&by_team, |(team, member)| keys::team_member(TeamId(*team), *member))?;
        let by_member: Vec<_> = v.iter().map(|&(team, member, of)| (member, of, team)).collect();
        sorts_alike(&by_member, |(member, of, team)| {
            keys::member_team(*member, NamespaceId(*of), TeamId(*team))
        })?;
    }

    #[test]
    fn grants_sort_both_ways(v in vec((numbers(), grantees()), 0..20)) {
        sorts_alike(&v, |(of, grantee)| keys::grant(RepositoryId(*of), *grantee))?;
        let v: Vec<_> = v.into_iter().map(|(of, grantee)| (grantee, of % 3, of)).collect();
        sorts_alike(&v, |(grantee, within, of)| {
            keys::granted(*grantee, NamespaceId(*within), RepositoryId(*of))
        })?;
    }

    #[test]
    fn what_was_written_reads_back(
        (first, second) in (numbers(), numbers()),
        (member, grantee) in (members(), grantees()),
    ) {
        let (namespace, repository) = (NamespaceId(first), RepositoryId(first));
        let key = keys::team_member(TeamId(first), member);
        prop_assert_eq!(keys::read_team_member(&key), Some(member));
        let key = keys::member_team(member, namespace, TeamId(second));
        prop_assert_eq!(keys::read_member_team(&key), Some((namespace, TeamId(second))));
        let key = keys::grant(repository, grantee);
        prop_assert_eq!(keys::read_grant(&key), Some(grantee));
        let key = keys::granted(grantee, NamespaceId(second), repository);
        let read = keys::read_granted(&key);
        prop_assert_eq!(read, Some((NamespaceId(second), repository)));
        let key = keys::namespace_team(namespace, TeamId(second));
        prop_assert_eq!(keys::read_namespace_team(&key), Some(TeamId(second)));
        let key = keys::namespace_member(namespace, member);
        prop_assert_eq!(keys::read_namespace_member(&key), Some(member));
        let key = keys::namespace_grantee(namespace, grantee);
        prop_assert_eq!(keys::read_namespace_grantee(&key), Some(grantee));
        let key = keys::prototype(namespace, PrototypeId(second));
        prop_assert_eq!(keys::read_prototype(&key), Some(PrototypeId(second)));
        for doomed in [Doomed::Namespace(namespace), Doomed::User(UserId(second))] {
            prop_assert_eq!(keys::read_purge(&keys::purge(doomed)), Some(doomed));
        }
        let key = keys::user_app_token(UserId(first), AppTokenId(second));
        prop_assert_eq!(keys::read_user_app_token(&key), Some(AppTokenId(second)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = (keys::read_team_member(&bytes), keys::read_member_team(&bytes));
        let _ = (keys::read_grant(&bytes), keys::read_granted(&bytes));
        let _ = (keys::read_user_app_token(&bytes), keys::read_name(&bytes));
    }
}

// === Nouns ===

async fn write<T: Send + 'static>(
    site: &Site,
    f: impl Fn(&mut WriteTx<'_>) -> Result<T, Error> + Send + 'static,
) -> T {
    site.store.write(f).await.unwrap()
}

fn team(namespace: NamespaceId, name: &str) -> TeamRecord {
    TeamRecord::new(namespace, name.to_owned(), TeamRole::Member)
}

fn robot(namespace: NamespaceId, name: &str) -> RobotRecord {
    RobotRecord {
        namespace,
        name: name.parse().unwrap(),
        description: String::new(),
        created: at(1),
        last_accessed: None,
        token: Sealed(vec![1]),
        federation: Vec::new(),
    }
}

fn token(user: UserId, lookup: &str) -> AppTokenRecord {
    AppTokenRecord {
        user,
        uuid: format!("uuid of {lookup}"),
        title: "title".to_owned(),
        lookup: lookup.to_owned(),
        secret: Sealed(vec![1]),
        created: at(1),
        expires: None,
        last_accessed: None,
    }
}

#[tokio::test]
async fn a_user_comes_and_goes_with_its_namespace() {
    let site = Site::new();
    let ann = "ann".parse().unwrap();
    let (id, record) = write(&site, move |tx| tx.users().create(&ann, at(1))).await;
    let (namespace, name) = (record.namespace, record.name.clone());
    let read = |tx: &ReadTx| {
        let kind = tx.namespaces().record(namespace)?.map(|found| found.kind);
        assert_eq!(kind, Some(NamespaceKind::User(id)));
        assert_eq!(tx.users().by_name(&name)?, Some((id, record.clone())));
        Ok::<_, Error>(())
    };
    site.store.read(read).await.unwrap();
    let (taken, again) = (name.clone(), name.clone());
    let refused = site
        .store
        .write(move |tx| tx.users().create(&taken, at(2)))
        .await;
    assert!(matches!(refused, Err(Error::Exists { .. })));
    let next = write(&site, move |tx| {
        tx.users().remove(id)?;
        tx.users().remove(id)?;
        tx.namespaces().remove(namespace)?;
        assert_eq!(tx.namespaces().record(namespace)?, None);
        assert!(!tx.users().has_any()?);
        tx.users().create(&again, at(3))
    });
    let (next, record) = next.await;
    assert_ne!((next, record.namespace), (id, namespace), "ids are new");
}

#[tokio::test]
async fn an_address_moves_with_its_user() {
    let site = Site::new();
    let names = ["ann", "bob"].map(|name| name.parse().unwrap());
    let users = write(&site, move |tx| {
        Ok([
            tx.users().create(&names[0], at(1))?,
            tx.users().create(&names[1], at(1))?,
        ])
    });
    let [(ann, mut record), (bob, other)] = users.await;
    record.email = Some("A@b.c".to_owned());
    let first = record.clone();
    write(&site, move |tx| tx.users().put(ann, &first)).await;
    let mut taken = other.clone();
    taken.email = Some("a@B.c".to_owned());
    let refused = site
        .store
        .write(move |tx| tx.users().put(bob, &taken))
        .await;
    assert!(matches!(refused, Err(Error::Exists { .. })));
    record.email = Some("a@b.c".to_owned());
    let second = record.clone();
    write(&site, move |tx| tx.users().put(ann, &second)).await;
    let found = site.store.read(|tx| tx.users().by_email("A@B.C")).await;
    assert_eq!(
        found.unwrap(),
        Some((ann, record.clone())),
        "case may change"
    );
    record.email = None;
    let found = write(&site, move |tx| {
        tx.users().put(ann, &record)?;
        tx.users().by_email("a@b.c")
    });
    assert_eq!(found.await, None);
}

#[tokio::test]
async fn robots_and_teams_are_named_within_their_namespace() {
    let site = Site::new();
    let other = NamespaceId(2);
    let ids = write(&site, move |tx| {
        for (id, name) in [(ORGANIZATION, "acme"), (other, "other")] {
            let kind = NamespaceKind::Organization;
            let record = NamespaceRecord::new(name.parse().unwrap(), kind, at(1));
            assert_eq!(tx.namespaces().create(&record)?, id);
        }
        tx.teams().create(&team(other, "devs"))?;
        tx.robots().create(&robot(other, "other+ci"))?;
        Ok((
            tx.teams().create(&team(ORGANIZATION, "devs"))?,
            tx.robots().create(&robot(ORGANIZATION, "acme+ci"))?,
        ))
    });
    let (devs, ci) = ids.await;
    let read = |tx: &ReadTx| {
        let listed = tx.teams().list(ORGANIZATION, None, 9)?;
        assert_eq!(listed, [(devs, team(ORGANIZATION, "devs"))]);
        assert_eq!(tx.teams().list(ORGANIZATION, Some("devs"), 9)?, []);
        let listed = tx.robots().list(ORGANIZATION, None, 9)?;
        assert_eq!(listed, [(ci, robot(ORGANIZATION, "acme+ci"))]);
        let found = tx.robots().by_name(ORGANIZATION, "ci")?;
        assert_eq!(found.map(|(id, _)| id), Some(ci));
        tx.teams().by_name(ORGANIZATION, "dev")
    };
    assert_eq!(site.store.read(read).await.unwrap(), None);
    let again = |tx: &mut WriteTx<'_>| tx.teams().create(&team(ORGANIZATION, "devs"));
    let refused = site.store.write(again).await;
    assert!(matches!(refused, Err(Error::Exists { .. })));
    let again = |tx: &mut WriteTx<'_>| tx.robots().create(&robot(ORGANIZATION, "acme+ci"));
    let refused = site.store.write(again).await;
    assert!(matches!(refused, Err(Error::Exists { .. })));
    let left = write(&site, move |tx| {
        tx.teams().remove(devs)?;
        tx.robots().remove(ci)?;
        let next = tx.teams().create(&team(ORGANIZATION, "devs"))?;
        assert_ne!(next, devs);
        tx.robots().list(ORGANIZATION, None, 9)
    });
    assert_eq!(left.await, []);
}

#[tokio::test]
async fn app_tokens_are_found_by_lookup_and_by_user() {
    let site = Site::new();
    let (ann, bob) = (UserId(1), UserId(2));
    let ids = write(&site, move |tx| {
        Ok([
            tx.app_tokens().create(&token(ann, "one"))?,
            tx.app_tokens().create(&token(bob, "two"))?,
            tx.app_tokens().create(&token(ann, "three"))?,
        ])
    });
    let [one, two, three] = ids.await;
    let taken = move |tx: &mut WriteTx<'_>| tx.app_tokens().create(&token(bob, "one"));
    let refused = site.store.write(taken).await;
    assert!(matches!(refused, Err(Error::Exists { .. })));
    let read = |tx: &ReadTx| {
        let found = tx.app_tokens().by_lookup("two")?;
        assert_eq!(found, Some((two, token(bob, "two"))));
        let page = tx.app_tokens().of_user(ann, Some(one), 9)?;
        assert_eq!(page, [(three, token(ann, "three"))]);
        Ok::<_, Error>(())
    };
    site.store.read(read).await.unwrap();
    let left = write(&site, move |tx| {
        tx.app_tokens().remove_of_user(ann)?;
        tx.app_tokens().remove(one)?;
        assert_eq!(tx.app_tokens().by_lookup("one")?, None);
        assert_eq!(tx.app_tokens().record(three)?, None);
        tx.app_tokens().of_user(bob, None, 9)
    });
    assert_eq!(left.await, [(two, token(bob, "two"))]);
}

#[tokio::test]
async fn signing_keys_are_kept_by_their_id() {
    let site = Site::new();
    let key = |retired| SigningKeyRecord {
        created: at(1),
        retired,
        private_key: Sealed(vec![1]),
    };
    let retired = key(Some(at(2)));
    let (first, second) = (key(None), retired.clone());
    write(&site, move |tx| {
        tx.signing_keys().put("b", &first)?;
        tx.signing_keys().put("a", &first)?;
        tx.signing_keys().put("a", &second)
    })
    .await;
    let list = |tx: &ReadTx| tx.signing_keys().list();
    let expected = [("a".to_owned(), retired), ("b".to_owned(), key(None))];
    assert_eq!(site.store.read(list).await.unwrap(), expected);
    let left = write(&site, |tx| {
        tx.signing_keys().remove("a")?;
        tx.signing_keys().record("a")
    });
    assert_eq!(left.await, None);
}

// === Indexes after random work ===

const TEAMS: u64 = 3;
const REPOSITORIES: u64 = 3;

#[derive(Clone, Debug)]
enum Act {
    Join(u64, usize),
    Leave(u64, usize),
    LeaveAll(usize),
    RemoveTeam(u64),
    Grant(u64, usize, Role),
    Revoke(u64, usize),
    ClearGrantee(usize),
    ClearRepository(u64),
}

const MEMBERS: [Member; 3] = [
    Member::User(UserId(1)),
    Member::User(UserId(2)),
    Member::Robot(RobotId(1)),
];

const GRANTEES: [Grantee; 5] = [
    Grantee::User(UserId(1)),
    Grantee::Robot(RobotId(1)),
    Grantee::Team(TeamId(1)),
    Grantee::Team(TeamId(2)),
    Grantee::Team(TeamId(3)),
];

fn acts() -> impl Strategy<Value = Act> {
    let (t, m) = (1..=TEAMS, 0..MEMBERS.len());
    let (r, g) = (1..=REPOSITORIES, 0..GRANTEES.len());
    let roles = prop_oneof![Just(Role::Read), Just(Role::Write), Just(Role::Admin)];
    prop_oneof![
        4 => (t.clone(), m.clone()).prop_map(|(t, m)| Act::Join(t, m)),
        1 => (t.clone(), m.clone()).prop_map(|(t, m)| Act::Leave(t, m)),
        1 => m.prop_map(Act::LeaveAll),
        1 => t.prop_map(Act::RemoveTeam),
        4 => (r.clone(), g.clone(), roles).prop_map(|(r, g, role)| Act::Grant(r, g, role)),
        1 => (r.clone(), g.clone()).prop_map(|(r, g)| Act::Revoke(r, g)),
        1 => g.prop_map(Act::ClearGrantee),
        1 => r.prop_map(Act::ClearRepository),
    ]
}

/// What should be there.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// Teams 1 and 2 are of namespace 1, team 3 of namespace 2; a removed one never comes back.
    teams: BTreeSet<u64>,
    memberships: BTreeSet<(u64, Member)>,
    grants: BTreeMap<(u64, Grantee), Role>,
}

impl Expected {
    fn act(&mut self, act: &Act) {
        match *act {
            Act::Join(team, member) => {
                if self.teams.contains(&team) {
                    self.memberships.insert((team, MEMBERS[member]));
                }
            }
            Act::Leave(team, member) => {
                self.memberships.remove(&(team, MEMBERS[member]));
            }
            Act::LeaveAll(member) => self.memberships.retain(|(_, of)| *of != MEMBERS[member]),
            Act::RemoveTeam(team) => {
                self.teams.remove(&team);
                let grantee = Grantee::Team(TeamId(team));
                self.memberships.retain(|(of, _)| *of != team);
                self.grants.retain(|(_, to), _| *to != grantee);
            }
            Act::Grant(repository, to, role) => {
                self.grants.insert((repository, GRANTEES[to]), role);
            }
            Act::Revoke(repository, to) => {
                self.grants.remove(&(repository, GRANTEES[to]));
            }
            Act::ClearGrantee(to) => self.grants.retain(|(_, of), _| *of != GRANTEES[to]),
            Act::ClearRepository(of) => self.grants.retain(|(on, _), _| *on != of),
        }
    }

    /// Compares both directions of both indexes.
    fn check(&self, tx: &ReadTx) -> Result<(), Error> {
        for team in 1..=TEAMS {
            let of = self.memberships.iter().filter(|(of, _)| *of == team);
            let expected: Vec<_> = of.map(|(_, member)| *member).collect();
            assert_eq!(tx.teams().members(TeamId(team), None, 9)?, expected);
        }
        for member in MEMBERS {
            let of = self.memberships.iter().filter(|(_, of)| *of == member);
            let teams: Vec<_> = of.map(|(team, _)| *team).collect();
            for namespace in [1, 2] {
                let within = teams.iter().filter(|team| 1 + **team / 3 == namespace);
                let expected: Vec<_> = within.map(|team| TeamId(*team)).collect();
                let found = tx.teams().of_member(member, NamespaceId(namespace), 9)?;
                assert_eq!(found, expected);
            }
        }
        for on in 1..=REPOSITORIES {
            let of = self.grants.iter().filter(|((of, _), _)| *of == on);
            let expected: Vec<_> = of.map(|((_, to), role)| (*to, *role)).collect();
            let found = tx.permissions().of_repository(RepositoryId(on), None, 9)?;
            assert_eq!(found, expected);
        }
        for to in GRANTEES {
            let of = self.grants.keys().filter(|(_, of)| *of == to);
            let expected: Vec<_> = of.map(|(on, _)| (home(*on), RepositoryId(*on))).collect();
            assert_eq!(tx.permissions().of_grantee(to, None, 9)?, expected);
        }
        for namespace in [NamespaceId(1), NamespaceId(2)] {
            self.check_within(tx, namespace)?;
        }
        Ok(())
    }

    /// Compares what is listed and counted below a namespace.
    fn check_within(&self, tx: &ReadTx, namespace: NamespaceId) -> Result<(), Error> {
        let is_within = |team: u64| NamespaceId(1 + team / 3) == namespace;
        let teams = self.teams.iter().filter(|team| is_within(**team));
        let listed = tx.teams().by_age(namespace, None, 9)?;
        let listed: Vec<_> = listed.into_iter().map(|(team, _)| team.0).collect();
        assert_eq!(listed, teams.copied().collect::<Vec<_>>());
        let members: BTreeSet<_> = self
            .memberships
            .iter()
            .filter(|(team, _)| is_within(*team))
            .map(|(_, member)| *member)
            .collect();
        let listed = tx.teams().members_within(namespace, None, 9)?;
        assert_eq!(listed, members.iter().copied().collect::<Vec<_>>());
        for member in MEMBERS {
            let found = tx.teams().is_member(namespace, member)?;
            assert_eq!(found, members.contains(&member));
        }
        let granted = self.grants.keys().filter(|(on, _)| home(*on) == namespace);
        let granted: BTreeSet<_> = granted.copied().collect();
        let grantees: BTreeSet<_> = granted.iter().map(|(_, to)| *to).collect();
        let listed = tx.permissions().grantees(namespace, None, 9)?;
        assert_eq!(listed, grantees.into_iter().collect::<Vec<_>>());
        for to in GRANTEES {
            let of = granted.iter().filter(|(_, of)| *of == to);
            let expected: Vec<_> = of.map(|(on, _)| RepositoryId(*on)).collect();
            let found = tx.permissions().of_grantee_within(to, namespace, None, 9)?;
            assert_eq!(found, expected);
        }
        for team in &self.teams {
            let record = tx
                .teams()
                .record(TeamId(*team))?
                .expect("the team is there");
            let members = self.memberships.iter().filter(|(of, _)| of == team).count();
            let to = Grantee::Team(TeamId(*team));
            let grants = self.grants.keys().filter(|(_, of)| *of == to).count();
            let counts = (record.members as usize, record.repositories as usize);
            assert_eq!(counts, (members, grants));
        }
        Ok(())
    }
}

/// The namespace of a repository: 1 for the first two, 2 for the third.
fn home(repository: u64) -> NamespaceId {
    NamespaceId(1 + repository / 3)
}

fn run(tx: &mut WriteTx<'_>, act: &Act) -> Result<(), Error> {
    match *act {
        Act::Join(team, member) => tx.teams().add_member(TeamId(team), MEMBERS[member]),
        Act::Leave(team, member) => tx.teams().remove_member(TeamId(team), MEMBERS[member]),
        Act::LeaveAll(member) => tx.teams().leave(MEMBERS[member], 99).map(|_| ()),
        Act::RemoveTeam(team) => tx.teams().remove(TeamId(team)),
        Act::Grant(on, to, role) => tx.permissions().put(RepositoryId(on), GRANTEES[to], role),
        Act::Revoke(on, to) => {
            let removed = tx.permissions().remove(RepositoryId(on), GRANTEES[to]);
            removed.map(|_| ())
        }
        Act::ClearGrantee(to) => tx.permissions().clear_grantee(GRANTEES[to], 99).map(|_| ()),
        Act::ClearRepository(on) => tx.permissions().clear_repository(RepositoryId(on)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn indexes_agree_after_any_work(writes in vec(vec(acts(), 1..6), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let site = Site::new();
            let mut expected = Expected {
                teams: (1..=TEAMS).collect(),
                ..Expected::default()
            };
            write(&site, |tx| {
                for id in 1..=REPOSITORIES {
                    let name = id.to_string().parse().unwrap();
                    let record = RepositoryRecord::new(home(id), name, at(1));
                    assert_eq!(tx.repositories().create(&record)?, RepositoryId(id));
                }
                for id in 1..=TEAMS {
                    let record = team(NamespaceId(1 + id / 3), &id.to_string());
                    assert_eq!(tx.teams().create(&record)?, TeamId(id));
                }
                Ok(())
            })
            .await;
            for acts in writes {
                acts.iter().for_each(|act| expected.act(act));
                let inside = expected.clone();
                write(&site, move |tx| {
                    acts.iter().try_for_each(|act| run(tx, act))?;
                    inside.check(tx)
                })
                .await;
                site.store.read(|tx| expected.check(tx)).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_namespace_that_is_removed_frees_its_name() {
    let site = Site::new();
    let name: crate::model::NamespaceName = "acme".parse().unwrap();
    let record = NamespaceRecord::new(name, NamespaceKind::Organization, at(1));
    let ids = write(&site, move |tx| {
        let first = tx.namespaces().create(&record)?;
        tx.namespaces().remove(first)?;
        tx.namespaces().remove(first)?;
        assert_eq!(tx.namespaces().by_name(&record.name)?, None);
        Ok((first, tx.namespaces().create(&record)?))
    });
    let (first, second) = ids.await;
    assert_ne!(first, second);
}
