//! What owners, teams, grants and robots may do.

use super::*;

const NOTHING: Rights = Rights {
    role: None,
    may_create: false,
    member: false,
};

const RULES: Rights = Rights {
    role: Some(Role::Admin),
    may_create: true,
    member: false,
};

/// An organisation with two repositories and somebody of each kind.
struct Acme {
    site: Site,
    acme: NamespaceId,
    app: RepositoryId,
    tools: RepositoryId,
}

impl Acme {
    async fn new() -> Self {
        let site = Site::new().await;
        let owner = site.user("owner").await;
        let acme = site.organization("acme", owner).await;
        Self {
            app: site.repository(acme, "app").await,
            tools: site.repository(acme, "tools").await,
            acme,
            site,
        }
    }

    fn accounts(&self) -> &Accounts {
        &self.site.accounts
    }

    async fn rights(
        &self,
        who: impl Into<Principal>,
        repository: impl Into<Option<RepositoryId>>,
    ) -> Rights {
        let rights = self
            .accounts()
            .rights(who.into(), self.acme, repository.into());
        rights.await.unwrap()
    }

    /// A user in a new team of that role.
    async fn in_team(&self, name: &str, role: TeamRole) -> (UserId, TeamId) {
        let user = self.site.user(name).await;
        let team = self.site.team(self.acme, name, role).await;
        let member = Member::User(user);
        self.accounts()
            .add_member(team, member, &Performer::SYSTEM)
            .await
            .unwrap();
        (user, team)
    }

    async fn grant(&self, grantee: Grantee, role: Role) {
        let granted = self
            .accounts()
            .grant(self.app, grantee, role, &Performer::SYSTEM)
            .await;
        granted.unwrap();
    }
}

impl From<UserId> for Principal {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

impl From<RobotId> for Principal {
    fn from(robot: RobotId) -> Self {
        Self::Robot(robot)
    }
}

#[tokio::test]
async fn a_user_rules_its_own_namespace_and_no_other() {
    let site = Site::new().await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let own = site.namespace("ann").await;
    let repository = site.repository(own, "app").await;
    for target in [None, Some(repository)] {
        let rights = site.accounts.rights(ann.into(), own, target).await;
        assert_eq!(rights.unwrap(), RULES);
        let rights = site.accounts.rights(bob.into(), own, target).await;
        assert_eq!(rights.unwrap(), NOTHING);
    }
    let granted = site
        .accounts
        .grant(
            repository,
            Grantee::User(ann),
            Role::Read,
            &Performer::SYSTEM,
        )
        .await;
    assert!(matches!(granted, Err(Error::GrantToOwner)));
}

#[tokio::test]
async fn teams_give_what_their_role_says_on_the_whole_organization() {
    let acme = Acme::new().await;
    let (admin, _) = acme.in_team("admins", TeamRole::Admin).await;
    let (creator, _) = acme.in_team("creators", TeamRole::Creator).await;
    let (member, _) = acme.in_team("members", TeamRole::Member).await;
    let outsider = acme.site.user("outsider").await;
    let in_team = Rights {
        member: true,
        ..NOTHING
    };
    for target in [None, Some(acme.app)] {
        let rights = acme.rights(admin, target).await;
        assert_eq!(
            rights,
            Rights {
                member: true,
                ..RULES
            }
        );
        let rights = acme.rights(creator, target).await;
        let creates = Rights {
            may_create: true,
            ..in_team
        };
        assert_eq!(rights, creates);
        assert_eq!(acme.rights(member, target).await, in_team);
        assert_eq!(acme.rights(outsider, target).await, NOTHING);
    }
}

#[tokio::test]
async fn the_highest_grant_counts_and_on_its_repository_only() {
    let acme = Acme::new().await;
    let (member, team) = acme.in_team("members", TeamRole::Member).await;
    acme.grant(Grantee::User(member), Role::Read).await;
    assert_eq!(acme.rights(member, acme.app).await.role, Some(Role::Read));
    acme.grant(Grantee::Team(team), Role::Write).await;
    assert_eq!(acme.rights(member, acme.app).await.role, Some(Role::Write));
    acme.grant(Grantee::User(member), Role::Admin).await;
    assert_eq!(acme.rights(member, acme.app).await.role, Some(Role::Admin));
    assert_eq!(acme.rights(member, acme.tools).await.role, None);
    assert_eq!(acme.rights(member, None).await.role, None);

    let (first, rest) = (Grantee::User(member), Grantee::Team(team));
    let page = acme.accounts().list_grants(acme.app, None, 1).await;
    assert_eq!(page.unwrap(), [(first, Role::Admin)]);
    let page = acme.accounts().list_grants(acme.app, Some(first), 9).await;
    assert_eq!(page.unwrap(), [(rest, Role::Write)]);
    let revoked = acme
        .accounts()
        .revoke(acme.app, first, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_eq!(revoked, Some(Role::Admin));
    assert_eq!(acme.rights(member, acme.app).await.role, Some(Role::Write));
    let revoked = acme
        .accounts()
        .revoke(acme.app, first, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_eq!(revoked, None);
}

#[tokio::test]
async fn an_outsider_may_be_granted_something_and_stays_no_member() {
    let acme = Acme::new().await;
    let outsider = acme.site.user("outsider").await;
    acme.grant(Grantee::User(outsider), Role::Write).await;
    let expected = Rights {
        role: Some(Role::Write),
        ..NOTHING
    };
    assert_eq!(acme.rights(outsider, acme.app).await, expected);
}

#[tokio::test]
async fn robots_and_teams_are_granted_something_at_home_only() {
    let acme = Acme::new().await;
    let owner = acme.site.user("second").await;
    let other = acme.site.organization("other", owner).await;
    let (foreign, home) = (
        acme.site.robot("other+ci").await,
        acme.site.robot("acme+ci").await,
    );
    let team = acme.site.team(other, "devs", TeamRole::Member).await;
    for (grantee, noun) in [
        (Grantee::Robot(foreign), Noun::Robot),
        (Grantee::Team(team), Noun::Team),
    ] {
        let refused = acme
            .accounts()
            .grant(acme.app, grantee, Role::Read, &Performer::SYSTEM)
            .await;
        assert!(matches!(refused, Err(Error::Foreign { noun: found }) if found == noun));
    }
    for grantee in [
        Grantee::User(UserId(99)),
        Grantee::Robot(RobotId(99)),
        Grantee::Team(TeamId(99)),
    ] {
        let refused = acme
            .accounts()
            .grant(acme.app, grantee, Role::Read, &Performer::SYSTEM)
            .await;
        assert!(matches!(refused, Err(Error::Unknown { .. })), "{grantee:?}");
    }
    let gone = acme
        .accounts()
        .grant(
            RepositoryId(99),
            Grantee::Robot(home),
            Role::Read,
            &Performer::SYSTEM,
        )
        .await;
    let noun = Noun::Repository;
    assert!(matches!(gone, Err(Error::Unknown { noun: found }) if found == noun));
    acme.grant(Grantee::Robot(home), Role::Read).await;
    let expected = Rights {
        role: Some(Role::Read),
        ..NOTHING
    };
    assert_eq!(acme.rights(home, acme.app).await, expected);
    assert_eq!(acme.rights(home, None).await, NOTHING);
    assert_eq!(acme.rights(foreign, acme.app).await, NOTHING);
}

#[tokio::test]
async fn a_robot_in_a_team_is_a_member() {
    let acme = Acme::new().await;
    let robot = acme.site.robot("acme+ci").await;
    let (_, team) = acme.in_team("creators", TeamRole::Creator).await;
    let member = Member::Robot(robot);
    acme.accounts()
        .add_member(team, member, &Performer::SYSTEM)
        .await
        .unwrap();
    let expected = Rights {
        role: None,
        may_create: true,
        member: true,
    };
    assert_eq!(acme.rights(robot, acme.app).await, expected);
}

/// AZ-12.
#[tokio::test]
async fn what_is_taken_back_counts_at_once() {
    let acme = Acme::new().await;
    let (member, team) = acme.in_team("writers", TeamRole::Member).await;
    acme.grant(Grantee::Team(team), Role::Write).await;
    assert_eq!(acme.rights(member, acme.app).await.role, Some(Role::Write));

    acme.accounts()
        .set_enabled(member, false, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_eq!(acme.rights(member, acme.app).await, NOTHING);
    acme.accounts()
        .set_enabled(member, true, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_eq!(acme.rights(member, acme.app).await.role, Some(Role::Write));

    let out = Member::User(member);
    acme.accounts()
        .remove_member(team, out, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_eq!(acme.rights(member, acme.app).await, NOTHING);
    acme.accounts()
        .add_member(team, out, &Performer::SYSTEM)
        .await
        .unwrap();
    acme.accounts()
        .delete_team(team, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_eq!(acme.rights(member, acme.app).await, NOTHING);
    let grants = acme.accounts().list_grants(acme.app, None, 9).await;
    assert_eq!(grants.unwrap(), []);
}

#[tokio::test]
async fn robots_of_a_disabled_user_can_do_nothing() {
    let site = Site::new().await;
    let ann = site.user("ann").await;
    let own = site.namespace("ann").await;
    let app = site.repository(own, "app").await;
    let ci = site.robot("ann+ci").await;
    let accounts = &site.accounts;
    let granted = accounts
        .grant(app, Grantee::Robot(ci), Role::Write, &Performer::SYSTEM)
        .await;
    granted.unwrap();
    let rights = accounts.rights(ci.into(), own, Some(app)).await.unwrap();
    assert_eq!(rights.role, Some(Role::Write));
    accounts
        .set_enabled(ann, false, &Performer::SYSTEM)
        .await
        .unwrap();
    let rights = accounts.rights(ci.into(), own, Some(app)).await.unwrap();
    assert_eq!(rights, NOTHING);
    let rights = accounts.rights(ann.into(), own, Some(app)).await.unwrap();
    assert_eq!(rights, NOTHING);
}

/// AZ-06: ids that do not belong together give nothing, also to an admin.
#[tokio::test]
async fn a_repository_of_another_namespace_gives_nothing() {
    let acme = Acme::new().await;
    let (admin, _) = acme.in_team("admins", TeamRole::Admin).await;
    let foreign = acme.site.namespace("admins").await;
    let repository = acme.site.repository(foreign, "app").await;
    assert_eq!(acme.rights(admin, repository).await, NOTHING);
    assert_eq!(acme.rights(admin, RepositoryId(99)).await, NOTHING);
    assert_eq!(acme.rights(UserId(99), acme.app).await, NOTHING);
    assert_eq!(acme.rights(RobotId(99), acme.app).await, NOTHING);
    let none = NamespaceId(99);
    let rights = acme.accounts().rights(admin.into(), none, None).await;
    assert_eq!(rights.unwrap(), NOTHING);
}

/// What a decision reads is bounded, because what somebody is in is.
#[tokio::test]
async fn nobody_is_in_more_teams_than_a_decision_reads() {
    let acme = Acme::new().await;
    let ann = acme.site.user("ann").await;
    let (namespace, app, member) = (acme.acme, acme.app, Member::User(ann));
    let last = acme
        .site
        .write(move |tx| {
            let mut last = TeamId(0);
            for n in 0..TEAMS_OF_A_MEMBER {
                last = tx.teams().create(&TeamRecord::new(
                    namespace,
                    format!("team-{n}"),
                    TeamRole::Member,
                ))?;
                tx.teams().add_member(last, member)?;
            }
            let grantee = Grantee::Team(last);
            tx.permissions().put(app, grantee, Role::Write)?;
            Ok(last)
        })
        .await;
    let one_more = acme
        .site
        .team(namespace, "one-more", TeamRole::Member)
        .await;
    let refused = acme
        .accounts()
        .add_member(one_more, member, &Performer::SYSTEM)
        .await;
    let limit = TEAMS_OF_A_MEMBER;
    assert!(matches!(refused, Err(Error::TooManyTeams { limit: found }) if found == limit));
    acme.accounts()
        .add_member(last, member, &Performer::SYSTEM)
        .await
        .unwrap();
    let rights = acme.rights(ann, app).await;
    assert_eq!(rights.role, Some(Role::Write), "the last team counts");

    let other = acme.site.organization("other", ann).await;
    let teams = move |tx: &crate::store::ReadTx| tx.teams().of_member(member, other, 999);
    let teams: Result<_, crate::store::Error> = acme.site.store().read(teams).await;
    assert_eq!(teams.unwrap().len(), 1, "each organisation by itself");
}
