//! Damage to rows that stand by themselves is told, and the rows go: nothing else does.

use super::*;
use crate::model::{
    ImmutabilityPolicy, Job, Lane, LimitKind, Performer, PrunePolicy, PruneRule, Timestamp,
};
use crate::registry::QuotaEditor;
use crate::registry::gc::tests::local::{Image, Site};
use crate::store::RowFault;

const ROWS: [Standing; 4] = [
    Standing::Job,
    Standing::Quota,
    Standing::PrunePolicy,
    Standing::ImmutabilityPolicy,
];

/// An organisation with a quota, a policy of each kind, and a job that follows from one.
async fn full_site() -> Site {
    let site = Site::new().await;
    let placed = site.place("app").await;
    site.push(&placed, &Image::new(&[1]), Some("v1")).await;
    let (namespace, by) = (site.namespace, Performer::SYSTEM);
    let registry = &site.registry;
    let editor = QuotaEditor::Silent;
    registry
        .make_quota(namespace, 1_000_000, &editor)
        .await
        .unwrap();
    let kind = LimitKind::Reject;
    registry
        .make_limit(namespace, 1, kind, 80, &editor)
        .await
        .unwrap();
    let scope = PolicyScope::Namespace(namespace);
    let policy = PrunePolicy {
        rule: PruneRule::NumberOfTags(3),
        tag_pattern: None,
        matches: true,
    };
    registry.add_prune_policy(scope, policy, &by).await.unwrap();
    let policy = ImmutabilityPolicy {
        tag_pattern: "v.*".to_owned(),
        matches: true,
    };
    registry
        .add_immutability_policy(scope, policy, &by)
        .await
        .unwrap();
    assert!(site.checked(Repair::No).await.is_empty());
    site
}

async fn spoil(site: &Site, of: Standing, fault: RowFault) {
    let spoil = move |tx: &mut WriteTx<'_>| tx.audit().spoil(of, fault);
    let spoiled: Result<(), store::Error> = site.registry.store().write(spoil).await;
    spoiled.unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_told_and_removed() {
    for of in ROWS {
        let site = full_site().await;
        spoil(&site, of, RowFault::Unreadable).await;
        let scope = Some(PolicyScope::Namespace(site.namespace));
        for repair in [Repair::No, Repair::Yes] {
            let found = site.checked(repair).await;
            let is_it = |finding: &Finding| {
                matches!(finding, Finding::WrongRow { wrong }
                    if (wrong.of, wrong.fault, wrong.scope) == (of, RowFault::Unreadable, scope))
            };
            assert!(is_it(&found[0]), "{of}: {found:?}");
            // A job that cannot be read is due at no time: what says when it is goes with it.
            let more = usize::from(of == Standing::Job);
            assert_eq!(found.len(), 1 + more, "{of}: {found:?}");
        }
        assert!(site.checked(Repair::No).await.is_empty(), "{of}");
        let quota = site.registry.quotas().of(site.namespace);
        assert_eq!(quota.is_none(), of == Standing::Quota);
    }
}

#[tokio::test]
async fn a_row_of_what_is_gone_is_told_and_removed() {
    for of in ROWS {
        let site = full_site().await;
        spoil(&site, of, RowFault::Ownerless).await;
        for repair in [Repair::No, Repair::Yes] {
            let found = site.checked(repair).await;
            let is_it = |finding: &Finding| {
                matches!(finding, Finding::WrongRow { wrong }
                    if (wrong.of, wrong.fault) == (of, RowFault::Ownerless))
            };
            assert!(found.iter().any(is_it), "{of}: {found:?}");
        }
        assert!(site.checked(Repair::No).await.is_empty(), "{of}");
        let job = Job::Prune(site.namespace);
        let left = site.registry.store().read(|tx| tx.jobs().record(job));
        let left: Option<_> = left.await.unwrap();
        assert!(left.is_some(), "the others stay");
    }
}

/// A job that is due is found again, though the order had lost it.
#[tokio::test]
async fn a_job_that_the_order_had_lost_is_due_again() {
    let site = full_site().await;
    let wipe = |tx: &mut WriteTx<'_>| tx.audit().wipe(store::Index::JobOrder);
    site.registry.store().write(wipe).await.unwrap();
    let due = |tx: &store::ReadTx| {
        tx.jobs()
            .due(Lane::Upkeep, Timestamp::from_millis(i64::MAX), 9)
    };
    assert!(site.registry.store().read(due).await.unwrap().is_empty());
    assert_eq!(site.checked(Repair::Yes).await.len(), 1);
    let found = site.registry.store().read(due).await.unwrap();
    let jobs: Vec<Job> = found.into_iter().map(|(_, job)| job).collect();
    assert_eq!(jobs, [Job::Prune(site.namespace)]);
}
