//! Rights as accounts give them, read at every request.

use std::collections::HashSet;

use super::super::{Allowed, Target};
use super::*;
use crate::accounts::NewOrganization;
use crate::model::{
    Grantee, Member, NamespaceId, NamespaceKind, NamespaceRecord, RepositoryId, RepositoryRecord,
    Role, TeamRecord, TeamRole,
};

const READS: &str = "entrepot_auth_rights_reads_total";

/// An organisation of alice's with one private repository, and bob who has nothing there.
struct Acme {
    site: Site,
    namespace: NamespaceId,
    repository: RepositoryId,
    alice: Identity,
    bob: Identity,
    bob_id: UserId,
}

impl Acme {
    async fn new() -> Self {
        let site = Site::new().await;
        let owner = site.user("alice").await;
        let bob_id = site.user("bob").await;
        let name = namespace("acme");
        let namespace = site
            .accounts
            .create_organization(NewOrganization::named(&name, Some(owner)))
            .await;
        let namespace = namespace.unwrap();
        let now = site.clock.now();
        let record = RepositoryRecord::new(namespace, "app".parse().unwrap(), now);
        let create = move |tx: &mut store::WriteTx<'_>| tx.repositories().create(&record);
        let repository: Result<_, store::Error> = site.store.write(create).await;
        Self {
            repository: repository.unwrap(),
            alice: site.login("alice", PASSWORD).await.unwrap(),
            bob: site.login("bob", PASSWORD).await.unwrap(),
            bob_id,
            namespace,
            site,
        }
    }

    fn target(&self) -> Target {
        let now = self.site.clock.now();
        let kind = NamespaceKind::Organization;
        let record = NamespaceRecord::new(namespace("acme"), kind, now);
        let repository = RepositoryRecord::new(self.namespace, "app".parse().unwrap(), now);
        Target::new(
            self.namespace,
            &record,
            Some((self.repository, &repository)),
        )
    }

    async fn of(&self, identity: &Identity) -> Allowed {
        self.site
            .auth
            .rights(identity, &self.target())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn owners_have_everything_and_strangers_nothing() {
    let acme = Acme::new().await;
    assert_eq!(acme.of(&acme.alice).await, Allowed::ALL);
    assert_eq!(acme.of(&acme.bob).await, Allowed::NONE);
    assert_eq!(acme.of(&Identity::Anonymous).await, Allowed::NONE);
}

/// AZ-12: what is granted and taken away counts at the next request, a token held or not.
#[tokio::test]
async fn grants_and_revocations_count_at_once() {
    let acme = Acme::new().await;
    let bob = Grantee::User(acme.bob_id);
    for role in [Role::Read, Role::Write] {
        acme.site
            .accounts
            .grant(acme.repository, bob, role, &Performer::SYSTEM)
            .await
            .unwrap();
        let allowed = acme.of(&acme.bob).await;
        assert_eq!((allowed.pull, allowed.push), (true, role == Role::Write));
    }
    acme.site
        .accounts
        .revoke(acme.repository, bob, &Performer::SYSTEM)
        .await
        .unwrap();
    assert_eq!(acme.of(&acme.bob).await, Allowed::NONE);
}

/// AZ-12: leaving a team is felt at once.
#[tokio::test]
async fn a_creator_makes_repositories_while_in_the_team() {
    let acme = Acme::new().await;
    let team = TeamRecord::new(acme.namespace, "makers".to_owned(), TeamRole::Creator);
    let team = acme
        .site
        .accounts
        .create_team(&team, &Performer::SYSTEM)
        .await
        .unwrap();
    let bob = Member::User(acme.bob_id);
    acme.site
        .accounts
        .add_member(team, bob, &Performer::SYSTEM)
        .await
        .unwrap();
    let missing = Target {
        repository: None,
        ..acme.target()
    };
    let allowed = acme.site.auth.rights(&acme.bob, &missing).await.unwrap();
    assert!(allowed.push && allowed.create && !allowed.admin);
    assert!(
        !acme.of(&acme.bob).await.push,
        "others' repositories are theirs"
    );
    acme.site
        .accounts
        .remove_member(team, bob, &Performer::SYSTEM)
        .await
        .unwrap();
    let allowed = acme.site.auth.rights(&acme.bob, &missing).await.unwrap();
    assert_eq!(allowed, Allowed::NONE);
}

#[tokio::test]
async fn rights_are_read_once_until_something_changes() {
    let acme = Acme::new().await;
    for _ in 0..10 {
        acme.of(&acme.bob).await;
    }
    assert_eq!(acme.site.counted(READS), 1);
    acme.site.user("carol").await;
    acme.of(&acme.bob).await;
    assert_eq!(acme.site.counted(READS), 2);
    acme.of(&Identity::Anonymous).await;
    assert_eq!(acme.site.counted(READS), 2, "nobody has nothing to read");
}

#[tokio::test]
async fn anonymous_push_is_set_while_running() {
    let acme = Acme::new().await;
    acme.site
        .auth
        .set_anonymous_push(HashSet::from([acme.namespace]));
    for identity in [&Identity::Anonymous, &acme.bob] {
        let allowed = acme.of(identity).await;
        assert!(allowed.push && allowed.delete && allowed.create && !allowed.admin);
    }
    acme.site.auth.set_anonymous_push(HashSet::new());
    assert_eq!(acme.of(&Identity::Anonymous).await, Allowed::NONE);
}

/// AZ-13: a robot has what it is granted, not what its owner has.
#[tokio::test]
async fn a_robot_has_what_it_is_granted() {
    let acme = Acme::new().await;
    let token = acme.site.robot("acme+ci").await;
    let robot = acme.site.login("acme+ci", token.expose()).await.unwrap();
    assert_eq!(acme.of(&robot).await, Allowed::NONE);
    let Identity::Robot { id, .. } = robot else {
        panic!("{robot} is a robot");
    };
    let grantee = Grantee::Robot(id);
    acme.site
        .accounts
        .grant(acme.repository, grantee, Role::Write, &Performer::SYSTEM)
        .await
        .unwrap();
    let allowed = acme.of(&robot).await;
    assert!(allowed.push && allowed.delete && !allowed.admin && !allowed.create);
}
