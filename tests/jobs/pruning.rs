//! Tags that end by policies: pushed, pruned by the running queue, told, restored.

use std::time::Duration;

use entrepot::config::Config;
use entrepot::jobs::Intervals;
use entrepot::model::{
    Clock, Job, Performer, PolicyScope, PrunePolicy, PruneRule, RepositoryState, UserId,
};
use entrepot::oci::{Digest, Tag};
use entrepot::registry::{Follow, Prune};
use serde_json::{Value, json};

use super::{FAST, still, until};
use crate::harness::content::{Image, index};
use crate::harness::people::Who;
use crate::harness::site::{Answer, Site};

const SCOPES: &str = "repo:admin repo:create user:admin org:admin";
const APP: &str = "acme/app";
const ORGANIZATION: &str = "/organization/acme/autoprunepolicy/";
const REPOSITORY: &str = "/repository/acme/app/autoprunepolicy/";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// ann owns acme; the queue is looked at all the time.
struct Stage {
    site: Site,
    ann: UserId,
}

impl Stage {
    async fn new() -> Self {
        Self::with(FAST, |_| {}).await
    }

    async fn with(queue: Duration, adjust: impl FnOnce(&mut Config)) -> Self {
        let intervals = Intervals { queue, ..still() };
        let site = Site::start_turning(intervals, adjust).await;
        let ann = site.user("ann").await;
        site.organization("acme", Some(ann)).await;
        Self { site, ann }
    }

    /// Pushes an image of its own under each tag, an hour between them.
    async fn push(&self, repository: &str, tags: &[&str]) {
        for (seed, tag) in (1..).zip(tags) {
            self.site.clock.advance(HOUR);
            let image = Image::small(seed);
            self.site
                .push_as(&Who::user("ann"), repository, tag, &image)
                .await;
        }
    }

    /// Points tags `v0`, `v1` ... at one image, one after the other.
    async fn push_many(&self, count: usize) {
        let (image, by) = (Image::small(1), Performer::SYSTEM);
        self.site
            .push_as(&Who::user("ann"), APP, "v0", &image)
            .await;
        let id = self.site.repository_id(APP).await;
        for number in 1..count {
            let tag = format!("v{number}").parse().unwrap();
            let registry = self.site.registry();
            let tagged = registry.retag(id, &tag, &image.digest(), &by).await;
            tagged.unwrap();
        }
    }

    /// Asks as ann, whose tokens do not outlive the clock of these tests.
    async fn post(&self, path: &str, body: Value) -> Answer {
        let token = self.site.oauth_token(self.ann, SCOPES).await;
        self.site.api(&token).post(path, body).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        let token = self.site.oauth_token(self.ann, SCOPES).await;
        self.site.api(&token).put(path, body).await
    }

    async fn add(&self, base: &str, policy: Value) {
        let made = self.post(base, policy).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }

    async fn tags(&self, repository: &str) -> Vec<String> {
        let id = self.site.repository_id(repository).await;
        let tags = self.site.registry().all_tags(id).await.unwrap();
        tags.iter().map(ToString::to_string).collect()
    }

    /// Waits until these tags are left, and the run that left them has been noted.
    async fn left(&self, repository: &str, expected: &[&str]) {
        let what = format!("{repository} to have {expected:?} left");
        until(&what, async || self.tags(repository).await == expected).await;
    }

    /// Waits until no job is due or under way: whatever is to be pruned has been.
    async fn rest(&self) {
        let store = self.site.registry().store();
        until("the queue to rest", async || {
            let now = self.site.clock.now();
            let jobs = store.scan(|tx| tx.jobs().list(None, 100)).await.unwrap();
            let mut jobs = jobs.into_iter();
            jobs.all(|(_, record)| record.holder.is_none() && record.due > now)
        })
        .await;
    }
}

/// The tag under which cosign keeps what belongs to an image.
fn companion(image: Digest, ending: &str) -> String {
    format!("{}.{ending}", image.to_string().replace(':', "-"))
}

/// The tags that a preview tells, sorted.
fn told_tags(told: &Answer) -> Vec<String> {
    let body = told.json();
    let tags = body["tags"].as_array().unwrap().iter();
    let mut tags: Vec<_> = tags
        .map(|it| it["tag"].as_str().unwrap().to_owned())
        .collect();
    tags.sort();
    tags
}

/// A policy that leaves so many tags.
fn number(most: u64) -> PrunePolicy {
    PrunePolicy {
        rule: PruneRule::NumberOfTags(most),
        tag_pattern: None,
        matches: true,
    }
}

/// SC-441, SC-074, SC-489, and what becomes of the tags: each has a line in the log, and can be restored.
#[tokio::test]
async fn all_but_the_newest_end_and_can_be_restored() {
    let stage = Stage::new().await;
    stage.push(APP, &["v1", "v2", "v3", "v4"]).await;
    stage
        .add(
            ORGANIZATION,
            json!({"method": "number_of_tags", "value": 2}),
        )
        .await;
    stage.left(APP, &["v3", "v4"]).await;
    let lines = stage.site.lines("autoprune_tag_delete").await;
    let told: Vec<Value> = lines.iter().map(|line| line["metadata"].clone()).collect();
    let expected = |tag: &str| json!({"performer": "autoprune worker", "namespace": "acme", "repo": "app", "tag": tag});
    assert_eq!(told, [expected("v1"), expected("v2")]);
    let gone = Image::small(2).digest().to_string();
    let restore = json!({"manifest_digest": gone});
    let restored = stage
        .post("/repository/acme/app/tag/v2/restore", restore)
        .await;
    assert_eq!(restored.status, 200, "{}", restored.text());
    assert_eq!(stage.tags(APP).await, ["v2", "v3", "v4"]);
}

/// SC-442, SC-446: the age is that of where the tag points; a changed policy is followed at once, and the next
/// run comes an hour later.
#[tokio::test]
async fn what_is_older_ends_at_the_next_run() {
    let stage = Stage::new().await;
    stage.push(APP, &["old", "moved"]).await;
    stage.site.clock.advance(7 * DAY);
    stage.push(APP, &["moved", "new"]).await;
    stage
        .add(
            ORGANIZATION,
            json!({"method": "creation_date", "value": "7d"}),
        )
        .await;
    stage.left(APP, &["moved", "new"]).await;
    stage.rest().await;
    let token = stage.site.oauth_token(stage.ann, SCOPES).await;
    let listed = stage.site.api(&token).get(ORGANIZATION).await.json();
    let uuid = listed["policies"][0]["uuid"].as_str().unwrap().to_owned();
    let one = format!("{ORGANIZATION}{uuid}");
    let minute = json!({"method": "creation_date", "value": "1m"});
    let changed = stage.put(&one, minute).await;
    assert_eq!(changed.status, 204, "{}", changed.text());
    // Without the clock having moved.
    stage.left(APP, &["new"]).await;
    stage.rest().await;
    stage.site.clock.advance(2 * HOUR);
    stage.left(APP, &[]).await;
}

/// A policy that is taken back ends nothing from then on, though a run by it is under way.
#[tokio::test]
async fn a_policy_that_is_taken_back_ends_nothing_more() {
    let never = Duration::from_secs(30 * 86_400);
    let stage = Stage::with(never, |_| {}).await;
    stage.push_many(620).await;
    let registry = stage.site.registry();
    let scope = PolicyScope::Repository(stage.site.repository_id(APP).await);
    let (policy, by) = (number(3), Performer::SYSTEM);
    let id = registry.add_prune_policy(scope, policy, &by).await.unwrap();
    let walk = registry.prune_walk(scope).await.unwrap();
    let mut run = registry.prune(walk, Follow::Own, Prune::End).unwrap();
    let first = run.step().await.unwrap().unwrap();
    assert_eq!((first.examined, first.tags.len()), (500, 497));
    registry.delete_prune_policy(scope, id, &by).await.unwrap();
    let second = run.step().await.unwrap().unwrap();
    assert_eq!((second.examined, second.tags.len()), (120, 0));
    assert_eq!(stage.tags(APP).await.len(), 123);
}

/// SC-443, SC-444: the guide's patterns, which are looked for anywhere in the tag. Its `^v*` means any number of
/// `v`, none included, at the beginning: every tag.
#[tokio::test]
async fn a_pattern_says_which_tags_are_meant() {
    let stage = Stage::new().await;
    let tags = ["v1", "test-1", "dev", "v2", "prod"];
    for repository in ["acme/one", "acme/two", "acme/three"] {
        stage.push(repository, &tags).await;
    }
    let base = |name: &str| format!("/repository/acme/{name}/autoprunepolicy/");
    let policy = |pattern: &str, matches: bool| {
        json!({"method": "creation_date", "value": "1s", "tagPattern": pattern,
               "tagPatternMatches": matches})
    };
    stage.site.clock.advance(HOUR);
    stage.add(&base("one"), policy("^v[0-9]", true)).await;
    stage.left("acme/one", &["dev", "prod", "test-1"]).await;
    stage.add(&base("two"), policy("^test.*", false)).await;
    stage.left("acme/two", &["test-1"]).await;
    stage.add(&base("three"), policy("^v*", true)).await;
    stage.left("acme/three", &[]).await;
}

/// SC-445, SC-451: those of the organisation and of the repository add up, and reach no further.
#[tokio::test]
async fn policies_of_organisation_and_repository_add_up() {
    let stage = Stage::with(FAST, |_| {}).await;
    let tags = ["v1", "dev1", "v2", "dev2", "v3"];
    for repository in [APP, "acme/other"] {
        stage.push(repository, &tags).await;
    }
    let number = |value: u64, pattern: &str| json!({"method": "number_of_tags", "value": value, "tagPattern": pattern});
    stage.add(REPOSITORY, number(1, "^dev")).await;
    stage.left(APP, &["dev2", "v1", "v2", "v3"]).await;
    stage.rest().await;
    assert_eq!(stage.tags("acme/other").await.len(), 5);
    stage.add(ORGANIZATION, number(2, "^v")).await;
    stage.left(APP, &["dev2", "v2", "v3"]).await;
    stage
        .left("acme/other", &["dev1", "dev2", "v2", "v3"])
        .await;
}

/// SC-450: a user's own policies are for the user's own repositories.
#[tokio::test]
async fn a_user_has_policies_too() {
    let stage = Stage::new().await;
    for repository in ["ann/tool", APP] {
        stage.push(repository, &["v1", "v2"]).await;
    }
    let policy = json!({"method": "number_of_tags", "value": "1"});
    stage.add("/user/autoprunepolicy/", policy).await;
    stage.left("ann/tool", &["v2"]).await;
    stage.rest().await;
    assert_eq!(stage.tags(APP).await, ["v1", "v2"]);
}

/// GC-05: what is immutable, pinned, or in a repository that is only read, stays.
#[tokio::test]
async fn what_is_protected_stays() {
    let stage = Stage::new().await;
    let registry = stage.site.registry();
    stage.push(APP, &["fixed", "pinned", "free"]).await;
    stage.push("acme/frozen", &["v1"]).await;
    let id = stage.site.repository_id(APP).await;
    let tag = |name: &str| name.parse::<Tag>().unwrap();
    registry
        .set_tag_immutable(id, &tag("fixed"), true)
        .await
        .unwrap();
    registry.pin_tag(id, &tag("pinned"), true).await.unwrap();
    let frozen = stage.site.repository_id("acme/frozen").await;
    let by = Performer::SYSTEM;
    registry
        .set_state(frozen, RepositoryState::ReadOnly, &by)
        .await
        .unwrap();
    // Quay: what a disabled user has is left as it is.
    let (site, accounts) = (&stage.site, stage.site.accounts());
    let carl = site.user("carl").await;
    site.push_as(&Who::user("carl"), "carl/app", "v1", &Image::small(9))
        .await;
    let user = accounts.user(carl).await.unwrap().unwrap();
    accounts.set_enabled(carl, false, &by).await.unwrap();
    let policy = PrunePolicy {
        rule: PruneRule::CreationDate("1s".parse().unwrap()),
        tag_pattern: None,
        matches: true,
    };
    stage.site.clock.advance(HOUR);
    let scope = PolicyScope::Namespace(user.namespace);
    registry.add_prune_policy(scope, policy, &by).await.unwrap();
    stage
        .add(
            ORGANIZATION,
            json!({"method": "creation_date", "value": "1s"}),
        )
        .await;
    stage.left(APP, &["fixed", "pinned"]).await;
    stage.rest().await;
    assert_eq!(stage.tags("acme/frozen").await, ["v1"]);
    assert_eq!(stage.tags("carl/app").await, ["v1"]);
}

/// CA-15: signatures are not counted, and go with the last tag of their image.
#[tokio::test]
async fn companions_go_with_their_image() {
    let stage = Stage::new().await;
    let (site, who) = (&stage.site, Who::user("ann"));
    let (image, child, kept) = (Image::small(1), Image::small(2), Image::small(3));
    let signature = |image: &Image, ending: &str| companion(image.digest(), ending);
    for (tag, image) in [("v1", &image), ("also-v1", &image), ("child", &child)] {
        site.push_as(&who, APP, tag, image).await;
    }
    for (seed, (image, ending)) in (10..).zip([
        (&image, "sig"),
        (&image, "att"),
        (&child, "sig"),
        (&kept, "sig"),
    ]) {
        let tag = signature(image, ending);
        site.push_as(&who, APP, &tag, &Image::small(seed)).await;
    }
    let list = index(&[(&child, "amd64")]);
    let put = site.put_manifest_as(&who, APP, "list", &list).await;
    assert_eq!(put.status, 201, "{}", put.text());
    site.push_as(&who, APP, "newest", &kept).await;
    let two = json!({"method": "number_of_tags", "value": 2});
    let told = stage
        .post(&format!("{REPOSITORY}preview"), two.clone())
        .await;
    let mut expected = vec![
        "also-v1".to_owned(),
        "child".to_owned(),
        signature(&image, "att"),
        signature(&image, "sig"),
        "v1".to_owned(),
    ];
    expected.sort();
    assert_eq!(told_tags(&told), expected);
    let reasons = told.json()["tags"].to_string();
    assert!(
        reasons.contains("belongs to v1, which is not among the newest 2: this policy"),
        "{reasons}"
    );
    // As long as one tag has the image, its signatures stay.
    let three = json!({"method": "number_of_tags", "value": 2, "tagPattern": "^v1|^list|^newest"});
    let told = stage.post(&format!("{REPOSITORY}preview"), three).await;
    assert_eq!(told_tags(&told), ["v1"]);
    stage.add(REPOSITORY, two).await;
    let (child, kept) = (signature(&child, "sig"), signature(&kept, "sig"));
    let mut left = vec!["list", "newest", &child, &kept];
    left.sort_unstable();
    stage.left(APP, &left).await;
    let lines = stage.site.lines("autoprune_tag_delete").await;
    assert_eq!(lines.len(), 5, "each tag has its line");
}

/// CA-15: what belongs to the images of an index goes with the index, unless something that stays leads to them.
#[tokio::test]
async fn companions_of_an_indexs_images_go_with_it() {
    let stage = Stage::new().await;
    let (site, who) = (&stage.site, Who::user("ann"));
    let images = [1, 2, 3, 4].map(Image::small);
    let [own, newer, shared, tagged] = &images;
    for image in &images {
        let digest = image.digest().to_string();
        site.push_as(&who, APP, &digest, image).await;
        let signature = companion(image.digest(), "sig");
        site.push_as(&who, APP, &signature, &Image::small(9)).await;
    }
    site.push_as(&who, APP, "tagged", tagged).await;
    let old = index(&[(own, "amd64"), (shared, "arm64"), (tagged, "s390x")]);
    let new = index(&[(newer, "amd64"), (shared, "arm64")]);
    for (tag, list) in [("list-1", &old), ("list-2", &new)] {
        site.clock.advance(HOUR);
        let put = site.put_manifest_as(&who, APP, tag, list).await;
        assert_eq!(put.status, 201, "{}", put.text());
        let signature = companion(list.digest(), "sig");
        site.push_as(&who, APP, &signature, &Image::small(9)).await;
    }
    let policy = |most: u64, pattern: &str| json!({"method": "number_of_tags", "value": most, "tagPattern": pattern});
    let first = policy(1, "^list");
    let told = stage
        .post(&format!("{REPOSITORY}preview"), first.clone())
        .await;
    let of = |digest: Digest| companion(digest, "sig");
    let mut gone = vec![of(own.digest()), of(old.digest()), "list-1".to_owned()];
    gone.sort();
    assert_eq!(told_tags(&told), gone);
    stage.add(REPOSITORY, first).await;
    let mut left = vec!["list-2".to_owned(), "tagged".to_owned(), of(new.digest())];
    left.extend([newer, shared, tagged].map(|image| of(image.digest())));
    left.sort();
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    stage.left(APP, &left).await;
    // When all tags go, so does what belongs to them, whichever is looked at first.
    stage.rest().await;
    stage.site.clock.advance(DAY);
    let all = json!({"method": "creation_date", "value": "1h"});
    let told = stage
        .post(&format!("{REPOSITORY}preview"), all.clone())
        .await;
    assert_eq!(told_tags(&told), left);
    stage.add(REPOSITORY, all).await;
    stage.left(APP, &[]).await;
}

/// Ours: what is pulled stays, whatever its age.
#[tokio::test]
async fn what_is_not_pulled_for_long_ends() {
    let stage = Stage::new().await;
    stage.push(APP, &["used", "unused"]).await;
    stage.site.clock.advance(20 * DAY);
    let who = Who::user("ann");
    let pulled = stage
        .site
        .get_as(&who, &format!("/v2/{APP}/manifests/used"))
        .await;
    assert_eq!(pulled.status, 200);
    stage.push(APP, &["new"]).await;
    stage.site.clock.advance(15 * DAY);
    let policy = json!({"method": "last_pulled", "value": "30d"});
    stage.add(ORGANIZATION, policy).await;
    stage.left(APP, &["new", "used"]).await;
    // What was noted of the pull outlives the process.
    stage.site.registry().flush_recency().await.unwrap();
    let mut stage = stage;
    stage.site.restart().await;
    stage.rest().await;
    assert_eq!(stage.tags(APP).await, ["new", "used"]);
    stage.site.clock.advance(16 * DAY);
    stage.left(APP, &[]).await;
}

/// The configuration's policy is for everybody, beside what they have; a cache has nothing to end.
#[tokio::test]
async fn the_configured_policy_is_for_every_namespace() {
    let policy = PrunePolicy {
        rule: PruneRule::NumberOfTags(1),
        tag_pattern: Some("^v".to_owned()),
        matches: true,
    };
    let stage = Stage::with(FAST, |config| config.prune.policy = Some(policy)).await;
    stage.rest().await;
    for repository in [APP, "ann/tool"] {
        stage.push(repository, &["v1", "v2", "dev1", "dev2"]).await;
    }
    let policy = json!({"method": "number_of_tags", "value": 1, "tagPattern": "^dev"});
    stage.add(REPOSITORY, policy).await;
    stage.left(APP, &["dev2", "v1", "v2"]).await;
    stage.rest().await;
    stage.site.clock.advance(2 * DAY);
    stage.left(APP, &["dev2", "v2"]).await;
    stage.left("ann/tool", &["dev1", "dev2", "v2"]).await;
}

/// A policy that was written into the configuration is followed from the next start on, not a day later.
#[tokio::test]
async fn a_configured_policy_is_followed_at_the_start() {
    let mut stage = Stage::new().await;
    stage.push(APP, &["v1", "v2"]).await;
    stage.rest().await;
    stage.site.config.prune.policy = Some(number(1));
    stage.site.restart().await;
    stage.left(APP, &["v2"]).await;
}

/// CR-01: what was wanted before the process ended is done by the next one.
#[tokio::test]
async fn a_run_that_was_queued_outlives_the_process() {
    let never = Duration::from_secs(30 * 86_400);
    let mut stage = Stage::with(never, |_| {}).await;
    stage.push(APP, &["v1", "v2"]).await;
    stage
        .add(
            ORGANIZATION,
            json!({"method": "number_of_tags", "value": 1}),
        )
        .await;
    assert_eq!(stage.tags(APP).await, ["v1", "v2"]);
    stage.site.intervals.queue = FAST;
    stage.site.restart().await;
    stage.left(APP, &["v2"]).await;
}

/// RS-05: ten years back, and nothing is older than before; the queue goes on.
#[tokio::test]
async fn a_clock_that_is_set_back_prunes_nothing_and_stops_nothing() {
    let stage = Stage::new().await;
    stage.push(APP, &["v1"]).await;
    stage.site.clock.advance(DAY);
    stage
        .add(
            ORGANIZATION,
            json!({"method": "creation_date", "value": "2d"}),
        )
        .await;
    stage.rest().await;
    let Clock::Manual(now) = &stage.site.clock else {
        panic!("the clock of a test is moved");
    };
    let decade = 10 * 365 * 86_400_000;
    now.fetch_sub(decade, std::sync::atomic::Ordering::Relaxed);
    let policy = json!({"method": "number_of_tags", "value": 1, "tagPattern": "^dev"});
    stage.add(ORGANIZATION, policy).await;
    stage.push(APP, &["dev1", "dev2"]).await;
    stage.site.clock.advance(2 * HOUR);
    stage.left(APP, &["dev2", "v1"]).await;
}

/// With the feature off nothing is queued or done; turned on again, what is there is followed.
#[tokio::test]
async fn without_the_feature_nothing_ends() {
    let mut stage = Stage::new().await;
    stage.rest().await;
    stage.site.stop().await;
    stage.site.config.features.auto_prune = false;
    stage.site.start_again().await;
    stage.push(APP, &["v1", "v2"]).await;
    let repository = stage.site.repository_id(APP).await;
    let scope = PolicyScope::Repository(repository);
    let by = Performer::SYSTEM;
    let registry = stage.site.registry();
    registry
        .add_prune_policy(scope, number(1), &by)
        .await
        .unwrap();
    until("the job to be dropped", async || {
        let store = stage.site.registry().store();
        let jobs = store.scan(|tx| tx.jobs().list(None, 9)).await.unwrap();
        // That of the configuration's policy waits for its day.
        !jobs.iter().any(|(job, _)| matches!(job, Job::Prune(_)))
    })
    .await;
    assert_eq!(stage.tags(APP).await, ["v1", "v2"]);
    stage.site.stop().await;
    stage.site.config.features.auto_prune = true;
    stage.site.start_again().await;
    stage.left(APP, &["v2"]).await;
}

/// GC-08: more than one step's worth, ended in many short transactions, each tag once.
#[tokio::test]
async fn many_tags_end_a_few_at_a_time() {
    let stage = Stage::new().await;
    stage.push_many(621).await;
    stage
        .add(REPOSITORY, json!({"method": "number_of_tags", "value": 3}))
        .await;
    stage.left(APP, &["v618", "v619", "v620"]).await;
    // The last step is counted after its commit.
    stage.rest().await;
    let ended = stage
        .site
        .metric("entrepot_registry_pruned_tags_total", &[])
        .await;
    assert_eq!(ended, 618.0);
}
