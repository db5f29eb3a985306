//! What people do through the API: repositories, tags, labels, policies; each with its line of the log.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{
    ImmutabilityPolicy, LabelMedia, LogFilter, LogKind, Performer, PolicyScope, RepositoryId,
    RepositoryState, TagList, Timestamp, UserId, Visibility,
};
use crate::oci::{Digest, Tag};
use crate::registry::gc::tests::local::{Image, Site, TIME_MACHINE};
use crate::registry::{
    Asked, Error, LabelFault, Placed, PolicyFault, Push, Repair, Searched, TagFilter, TagLine,
    TagQuery,
};
use crate::store;

const MINUTE: Duration = Duration::from_secs(60);

/// Tags of a test live as long as it runs.
fn tag(name: &str) -> &'static Tag {
    Box::leak(Box::new(name.parse().unwrap()))
}

fn nobody() -> &'static Performer {
    static NOBODY: LazyLock<Performer> = LazyLock::new(Performer::default);
    &NOBODY
}

/// The newest line of the log, and what it tells.
async fn told(site: &Site) -> (LogKind, Value) {
    told_last(site, 1).await.pop().expect("there is a line")
}

/// The newest lines of the log, the newest first.
async fn told_last(site: &Site, count: usize) -> Vec<(LogKind, Value)> {
    let filter = LogFilter {
        scope: None,
        performer: None,
        since: Timestamp::default(),
        until: site.clock.now() + Duration::from_millis(1),
    };
    let store = site.registry.store();
    let list = store.scan(move |tx| tx.logs().list(&filter, None, count));
    let lines: Result<Vec<_>, store::Error> = list.await;
    let lines = lines.unwrap().into_iter();
    lines
        .map(|(_, line)| (line.kind, Value::Object(line.metadata())))
        .collect()
}

/// A repository with as many tags, each of its own image, `t1` the first.
async fn stage(tags: u32) -> (Site, Placed, Vec<Image>) {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let images: Vec<_> = (1..=tags).map(|seed| Image::new(&[seed])).collect();
    for (number, image) in images.iter().enumerate() {
        site.clock.advance(MINUTE);
        let name = format!("t{}", number + 1);
        site.push(&placed, image, Some(&name)).await;
    }
    (site, placed, images)
}

async fn lines(
    site: &Site,
    repository: RepositoryId,
    list: TagList,
    filter: TagFilter,
    (skip, limit): (u64, usize),
) -> (Vec<TagLine>, bool) {
    let query = TagQuery {
        list,
        filter,
        skip,
        limit,
    };
    site.registry.tag_lines(repository, query).await.unwrap()
}

fn names(lines: &[TagLine]) -> Vec<String> {
    lines.iter().map(|line| line.tag.to_string()).collect()
}

#[tokio::test]
async fn a_repository_is_made_once_and_told_of() {
    let site = Site::new().await;
    let (registry, name) = (&site.registry, "team/app".parse().unwrap());
    let make = || {
        let text = "what it is".to_owned();
        registry.add_repository(site.namespace, &name, Visibility::Public, text, nobody())
    };
    let repository = make().await.unwrap().repository;
    let names = json!({"repo": "team/app", "namespace": "org"});
    assert_eq!(told(&site).await, (LogKind::CreateRepo, names));
    assert!(matches!(make().await, Err(Error::Exists)));
    registry
        .describe(repository, "more", nobody())
        .await
        .unwrap();
    assert_eq!(told(&site).await.1["description"], "more");
    let mirror = RepositoryState::Mirror;
    registry
        .set_state(repository, mirror, nobody())
        .await
        .unwrap();
    assert_eq!(told(&site).await.1["state_changed"], "MIRROR");
    let record = registry
        .repository_record(repository)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.description.as_deref(), Some("more"));
    assert_eq!(
        (record.visibility, record.state),
        (Visibility::Public, mirror)
    );
}

/// AZ-16: what is deleted is there for nobody, its name is free, and what comes after inherits nothing.
#[tokio::test]
async fn a_deleted_repository_is_gone_at_once_and_its_bytes_go_later() {
    let (site, placed, images) = stage(3).await;
    let (registry, name) = (&site.registry, "app".parse().unwrap());
    let protect = registry.protect_tag(placed.repository, tag("t1"), true, nobody());
    protect.await.unwrap();
    registry.star(UserId(1), placed.repository).await.unwrap();
    let found = registry.repository(site.namespace, &name).await.unwrap();
    assert_eq!(found, Some(placed.repository));
    let delete = || registry.delete_repository(placed.repository, nobody());
    delete().await.unwrap();
    assert_eq!(told(&site).await.0, LogKind::DeleteRepo);
    assert!(matches!(delete().await, Err(Error::NameUnknown)));
    assert_eq!(
        registry.repository(site.namespace, &name).await.unwrap(),
        None
    );
    let record = registry.repository_record(placed.repository).await.unwrap();
    assert!(record.is_none());
    assert_eq!(
        site.files().await.len(),
        4,
        "the bytes of three layers and a config"
    );

    let again = site.place("app").await;
    assert_ne!(again.repository, placed.repository);
    assert!(
        !registry
            .is_starred(UserId(1), again.repository)
            .await
            .unwrap()
    );
    site.push(&again, &images[0], Some("t1")).await;
    assert_eq!(
        registry.check(Repair::No, |_| {}).await.unwrap().findings,
        0
    );
    assert_eq!(registry.purge().await.unwrap(), 1);
    assert_eq!(registry.purge().await.unwrap(), 0);
    assert!(site.holds(&again, &images[0]).await);
    assert!(site.manifests(&placed).await.is_empty() && site.blobs(&placed).await.is_empty());
    assert_eq!(site.files().await.len(), 2);
    site.assert_accounts().await;
    assert_eq!(
        registry.check(Repair::No, |_| {}).await.unwrap().findings,
        0
    );
}

#[tokio::test]
async fn a_push_into_a_deleted_repository_fails() {
    let (site, placed, images) = stage(1).await;
    let delete = site.registry.delete_repository(placed.repository, nobody());
    delete.await.unwrap();
    let push = Push {
        raw: images[0].raw.clone(),
        manifest: (*images[0].manifest).clone(),
        tags: vec![tag("t2").clone()],
        by: nobody().clone(),
        condition: crate::registry::Condition::None,
    };
    let pushed = site.registry.push_manifest(&placed, push).await;
    assert!(matches!(pushed, Err(Error::NameUnknown)), "{pushed:?}");
}

/// SC-075, SC-490: every page of the history, the newest beginning first, whatever happened to the tags.
#[tokio::test]
async fn the_history_is_paged_by_number() {
    let (site, placed, images) = stage(5).await;
    let repository = placed.repository;
    site.clock.advance(MINUTE);
    let newest = images[4].digest();
    let retag = site
        .registry
        .retag(repository, tag("t2"), &newest, nobody());
    retag.await.unwrap();
    let remove = site.registry.remove_tag(repository, tag("t3"), nobody());
    remove.await.unwrap();
    let page = |list, at| lines(&site, repository, list, TagFilter::All, at);
    let (all, more) = page(TagList::All, (0, 9)).await;
    assert_eq!(names(&all), ["t2", "t5", "t4", "t3", "t2", "t1"]);
    assert!(!more && all[0].end.is_none());
    assert!(all[3].end.is_some() && all[4].end.is_some());
    let (second, more) = page(TagList::All, (2, 2)).await;
    assert_eq!((names(&second), more), (names(&all[2..4]), true));
    assert_eq!(page(TagList::All, (6, 2)).await, (vec![], false));
    let (live, _) = page(TagList::Live, (0, 9)).await;
    assert_eq!(names(&live), ["t2", "t5", "t4", "t1"]);
    let exact = TagFilter::Exactly(tag("t2").clone());
    let (one, _) = lines(&site, repository, TagList::All, exact.clone(), (0, 9)).await;
    assert_eq!(one, [all[0].clone(), all[4].clone()]);
    let (old, more) = lines(&site, repository, TagList::All, exact, (1, 1)).await;
    assert_eq!((old.as_slice(), more), (&all[4..5], false));
    let holding = TagFilter::Holding("2".to_owned());
    let (held, _) = lines(&site, repository, TagList::All, holding, (0, 9)).await;
    assert_eq!(names(&held), ["t2", "t2"]);
    let asked = Asked {
        last_modified: true,
        ..Asked::default()
    };
    let facts = site.registry.facts(vec![repository], asked).await.unwrap();
    assert_eq!(facts[0].last_modified, Some(all[0].start));
    site.later(TIME_MACHINE + MINUTE).await;
    let (left, _) = page(TagList::All, (0, 9)).await;
    assert_eq!(names(&left), ["t2", "t5", "t4", "t1"]);
}

/// SC-069, SC-071, SC-072: made, moved, deleted and brought back, each with its line.
#[tokio::test]
async fn tags_are_moved_by_digest() {
    let (site, placed, images) = stage(2).await;
    let (registry, repository) = (&site.registry, placed.repository);
    let (one, two) = (images[0].digest(), images[1].digest());
    let point = async |digest| {
        registry
            .retag(repository, tag("new"), &digest, nobody())
            .await
    };
    point(one).await.unwrap();
    let (kind, more) = told(&site).await;
    assert_eq!(
        (kind, &more["original_manifest_digest"]),
        (LogKind::CreateTag, &Value::Null)
    );
    point(two).await.unwrap();
    let (kind, more) = told(&site).await;
    assert_eq!(kind, LogKind::MoveTag);
    let expected = json!({
        "username": "(system)", "repo": "app", "namespace": "org", "tag": "new",
        "manifest_digest": two, "original_manifest_digest": one,
    });
    assert_eq!(more, expected);
    let missing = point(Digest::of(b"nothing")).await;
    assert!(matches!(missing, Err(Error::ManifestUnknown)));
    registry
        .remove_tag(repository, tag("new"), nobody())
        .await
        .unwrap();
    assert_eq!(told(&site).await.0, LogKind::DeleteTag);
    let again = registry.remove_tag(repository, tag("new"), nobody()).await;
    assert!(matches!(again, Err(Error::ManifestUnknown)));
    let revert = registry.revert_tag(repository, tag("new"), &one, nobody());
    revert.await.unwrap();
    assert_eq!(told(&site).await.0, LogKind::RevertTag);
    let found = registry
        .lookup_tag(repository, tag("new"))
        .await
        .unwrap()
        .unwrap();
    assert!(found.record.restored && found.record.digest == one);
}

/// AZ-08: an immutable tag is neither moved, deleted, expired, forgotten nor restored over.
#[tokio::test]
async fn an_immutable_tag_refuses_every_change() {
    let (site, placed, images) = stage(2).await;
    let (registry, repository, t1) = (&site.registry, placed.repository, tag("t1"));
    let by = nobody();
    registry
        .protect_tag(repository, t1, true, by)
        .await
        .unwrap();
    let (kind, more) = told(&site).await;
    assert_eq!(kind, LogKind::ChangeTagImmutability);
    assert_eq!(
        (&more["immutable"], &more["previous_immutable"]),
        (&json!(true), &json!(false))
    );
    let other = images[1].digest();
    let soon = Some(site.clock.now() + MINUTE);
    let refused = [
        registry.retag(repository, t1, &other, by).await,
        registry.remove_tag(repository, t1, by).await,
        registry.expire_tag(repository, t1, soon, by).await,
        registry.forget_tag(repository, t1, None, by).await,
        registry.revert_tag(repository, t1, &other, by).await,
    ];
    for outcome in refused {
        assert!(
            matches!(outcome, Err(Error::TagImmutable { .. })),
            "{outcome:?}"
        );
    }
    registry
        .protect_tag(repository, t1, false, by)
        .await
        .unwrap();
    registry.remove_tag(repository, t1, by).await.unwrap();
}

/// Quay: between an hour and two years after its beginning.
#[tokio::test]
async fn an_expiry_is_kept_within_bounds() {
    let (site, placed, _) = stage(1).await;
    let (registry, repository, t1) = (&site.registry, placed.repository, tag("t1"));
    let begun = site.clock.now();
    let expire = async |at| registry.expire_tag(repository, t1, at, nobody()).await;
    let ends = async || {
        registry
            .lookup_tag(repository, t1)
            .await
            .unwrap()
            .unwrap()
            .record
            .expires
    };
    assert!(matches!(expire(Some(begun)).await, Err(Error::ExpiryPast)));
    expire(Some(begun + MINUTE)).await.unwrap();
    assert_eq!(ends().await, Some(begun + MINUTE * 60));
    let (kind, more) = told(&site).await;
    assert_eq!(
        (kind, &more["old_expiration_date"]),
        (LogKind::ChangeTagExpiration, &Value::Null)
    );
    expire(Some(begun + TIME_MACHINE * 10_000)).await.unwrap();
    assert_eq!(ends().await, Some(begun + TIME_MACHINE * 7 * 104));
    expire(None).await.unwrap();
    assert_eq!(ends().await, None);
    let missing = registry.expire_tag(repository, tag("x"), None, nobody());
    assert!(matches!(missing.await, Err(Error::ManifestUnknown)));
}

#[tokio::test]
async fn what_is_forgotten_cannot_be_restored() {
    let (site, placed, images) = stage(2).await;
    let (registry, repository, by) = (&site.registry, placed.repository, nobody());
    let (one, two) = (images[0].digest(), images[1].digest());
    registry
        .retag(repository, tag("t1"), &two, by)
        .await
        .unwrap();
    let forget = async |digest| {
        let (registry, by) = (&site.registry, nobody());
        registry
            .forget_lifetimes(repository, tag("t1"), &digest, by)
            .await
    };
    forget(one).await.unwrap();
    assert_eq!(told(&site).await.0, LogKind::PermanentlyDeleteTag);
    assert!(matches!(forget(one).await, Err(Error::ManifestUnknown)));
    site.later(MINUTE * 61).await;
    assert!(!registry.is_kept(repository, &one).await.unwrap());
    registry
        .forget_tag(repository, tag("t2"), Some(two), by)
        .await
        .unwrap();
    site.collect().await;
    assert!(
        registry.is_kept(repository, &two).await.unwrap(),
        "t1 points there"
    );
    registry
        .forget_tag(repository, tag("t1"), None, by)
        .await
        .unwrap();
    site.collect().await;
    assert!(!registry.is_kept(repository, &two).await.unwrap());
    site.assert_accounts().await;
}

/// SC-306, SC-395, SC-396, AZ-06: a label is one manifest's, in one repository.
#[tokio::test]
async fn labels_are_added_and_taken_off() {
    let (site, placed, images) = stage(2).await;
    let (registry, repository, by) = (&site.registry, placed.repository, nobody());
    let (one, two) = (images[0].digest(), images[1].digest());
    let label = ("team", "blue", LabelMedia::Text);
    let (id, _) = registry
        .add_label(repository, &one, label, by)
        .await
        .unwrap();
    let (kind, more) = told(&site).await;
    assert_eq!(
        (kind, &more["id"]),
        (LogKind::ManifestLabelAdd, &json!(id.to_string()))
    );
    let foreign = registry.manifest_label(repository, &two, id).await;
    assert!(matches!(foreign, Err(Error::Label(LabelFault::Unknown))));
    let foreign = registry.delete_label(repository, &two, id, by).await;
    assert!(matches!(foreign, Err(Error::Label(LabelFault::Unknown))));
    let found = registry
        .manifest_labels(repository, &one)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.len(), found[0].0), (1, id));
    registry
        .delete_label(repository, &one, id, by)
        .await
        .unwrap();
    assert_eq!(told(&site).await.0, LogKind::ManifestLabelDelete);
    assert_eq!(
        registry.manifest_labels(repository, &one).await.unwrap(),
        Some(vec![])
    );
    let nothing = Digest::of(b"nothing");
    assert_eq!(
        registry
            .manifest_labels(repository, &nothing)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_policy_protects_tags_that_are_there_and_that_come() {
    let (site, placed, images) = stage(3).await;
    let (registry, repository, by) = (&site.registry, placed.repository, nobody());
    let scope = PolicyScope::Namespace(site.namespace);
    let policy = |pattern: &str| ImmutabilityPolicy {
        tag_pattern: pattern.to_owned(),
        matches: true,
    };
    let id = registry
        .add_immutability_policy(scope, policy("t[12]|rel.*"), by)
        .await
        .unwrap();
    let (kind, more) = told(&site).await;
    assert_eq!(
        (kind, &more["count"]),
        (LogKind::TagsMadeImmutableByPolicy, &json!(2))
    );
    let protected = async |name: &str| {
        let found = site
            .registry
            .lookup_tag(repository, tag(name))
            .await
            .unwrap();
        found.unwrap().record.immutable
    };
    assert!(protected("t1").await && protected("t2").await && !protected("t3").await);
    let push = Push {
        raw: images[0].raw.clone(),
        manifest: (*images[0].manifest).clone(),
        tags: vec![tag("rel-1").clone(), tag("dev").clone()],
        by: by.clone(),
        condition: crate::registry::Condition::None,
    };
    registry.push_manifest(&placed, push).await.unwrap();
    assert!(protected("rel-1").await && !protected("dev").await);
    let told = told_last(&site, 5).await;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| *kind).collect();
    assert!(
        kinds.contains(&LogKind::TagMadeImmutableByPolicy),
        "{kinds:?}"
    );
    let twice = registry.add_immutability_policy(scope, policy("t[12]|rel.*"), by);
    assert!(matches!(
        twice.await,
        Err(Error::Policy(PolicyFault::Duplicate))
    ));
    let other = PolicyScope::Repository(repository);
    let foreign = registry.delete_immutability_policy(other, id, by).await;
    assert!(
        matches!(foreign, Err(Error::Policy(PolicyFault::Unknown))),
        "AZ-06"
    );
    registry
        .delete_immutability_policy(scope, id, by)
        .await
        .unwrap();
    assert!(
        protected("t1").await,
        "what a policy made immutable stays so"
    );
}

#[tokio::test]
async fn names_are_found_by_their_parts() {
    let site = Site::new().await;
    for name in ["tools/build", "build", "app"] {
        site.place(name).await;
    }
    let search = async |text: &str| {
        let (found, next) = site
            .registry
            .search_repositories(text, Searched::default())
            .await
            .unwrap();
        assert!(next.is_none());
        found
            .iter()
            .map(|entry| entry.full_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(search("uil").await, ["org/build", "org/tools/build"]);
    assert_eq!(search("or/tools").await, ["org/tools/build"]);
    assert!(search("other/build").await.is_empty());
}
