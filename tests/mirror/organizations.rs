//! Organisations that are mirrors as a whole: what the source lists is made here, and runs.

use entrepot::mirror::Discovery;
use entrepot::model::{
    DiscoveredRecord, Job, JobRecord, LogKind, MirrorStatus, NamespaceId, OrgMirrorKind,
    OrgMirrorRecord, RepositoryId, RepositoryState, SyncState, Timestamp, Visibility,
};
use entrepot::oci::RepositoryName;
use entrepot::store::{self, ReadTx};
use serde_json::{Value, json};

use super::{Stage, record, still};
use crate::harness::content::Image;
use crate::harness::origin::Fault;
use crate::harness::soon;

const QUAY: &str = "/api/v1/repository";
const HARBOR: &str = "/api/v2.0/projects/theirs/repositories";

/// An organisation that copies all of the source's `theirs`.
async fn organization(kind: OrgMirrorKind) -> (Stage, NamespaceId) {
    let allow = |config: &mut entrepot::config::Config| {
        config.outbound.ssrf_allowed_hosts = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let stage = Stage::with(still(), allow).await;
    let namespace = stage.site.organization("whole", None).await;
    let (robot, _) = stage.site.robot("whole+mirror").await;
    let mut source = record(&stage.origin, "any").source;
    source.reference = stage.origin.url("");
    let of = OrgMirrorRecord {
        enabled: true,
        kind,
        source,
        namespace: "theirs".to_owned(),
        repositories: vec!["app-*".to_owned()],
        architectures: Vec::new(),
        visibility: Visibility::Public,
        delete_stale: false,
        interval_s: 3_600,
        robot: Some(robot),
        deadline_s: 300,
        created: Timestamp::default(),
    };
    stage
        .write(move |tx| {
            tx.mirrors().put_organization(namespace, &of)?;
            let status = MirrorStatus::new(Some(Timestamp::default()));
            tx.mirrors().put_discovery(namespace, &status)?;
            // Queued for a day that does not come: the looks are the test's, never the queue's.
            let job = JobRecord::new(Timestamp::from_millis(253_402_300_799_000));
            tx.jobs().put(Job::MirrorDiscovery(namespace), &job)
        })
        .await;
    (stage, namespace)
}

fn answer(stage: &Stage, path: &'static str, body: &Value) {
    let body = serde_json::to_vec(body).unwrap();
    let content = Fault::Content("application/json", body.into());
    stage.origin.once("GET", path, content);
}

fn page(names: &[&str], next: Option<&str>) -> Value {
    let rows: Vec<Value> = names
        .iter()
        .map(|name| json!({"namespace": "theirs", "name": name, "is_public": true}))
        .collect();
    match next {
        Some(next) => json!({"repositories": rows, "next_page": next}),
        None => json!({"repositories": rows}),
    }
}

async fn look(stage: &Stage, namespace: NamespaceId) -> Option<Discovery> {
    let want = move |tx: &mut store::WriteTx<'_>| {
        let status = tx.mirrors().discovery(namespace)?.unwrap();
        let wanted = entrepot::mirror::wanted(status);
        tx.mirrors().put_discovery(namespace, &wanted)
    };
    stage.write(want).await;
    stage.mirrors().discover(namespace).await.unwrap()
}

/// Runs a mirror to its end, unless the queue, which was just woken, was first.
async fn ran(stage: &Stage, repository: RepositoryId) -> MirrorStatus {
    match stage.mirrors().run(repository).await {
        Ok(Some(status)) => return status,
        Ok(None) | Err(entrepot::mirror::Error::Busy) => {}
        Err(error) => panic!("{error}"),
    }
    soon("the end of the queue's run", async {
        loop {
            let status = stage.mirrors().status_of(repository).await.unwrap();
            match status.filter(|status| status.report.ended.is_some()) {
                Some(status) => return status,
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

async fn found(stage: &Stage, namespace: NamespaceId) -> Vec<(RepositoryName, DiscoveredRecord)> {
    let read = move |tx: &ReadTx| tx.mirrors().all_discovered(namespace, None, 99);
    let read: Result<_, store::Error> = stage.site.registry().store().read(read).await;
    read.unwrap()
}

#[tokio::test]
async fn what_a_quay_lists_is_made_here_and_runs() {
    let (stage, namespace) = organization(OrgMirrorKind::Quay).await;
    for name in ["app-one", "app-two", "other"] {
        stage
            .origin
            .push_image(&format!("theirs/{name}"), "v1", &Image::small(1));
    }
    answer(&stage, QUAY, &page(&["app-one", "other"], Some("token&1")));
    answer(&stage, QUAY, &page(&["app-two"], None));
    let discovery = look(&stage, namespace).await.unwrap();
    assert_eq!(
        discovery,
        Discovery {
            found: 2,
            made: 2,
            skipped: 0
        }
    );
    let asked = stage.origin.last("GET", QUAY);
    assert!(
        asked.query.contains("namespace=theirs") && asked.query.contains("next_page=token%261")
    );
    assert!(stage.mirrors().queue_due().await.unwrap() >= 2);
    for (name, of) in found(&stage, namespace).await {
        let repository = of.repository.unwrap();
        let status = ran(&stage, repository).await;
        assert_eq!(status.state, SyncState::Success, "{:?}", status.report);
        stage.site.pull(&format!("whole/{name}"), "v1").await;
        let here = stage
            .site
            .registry()
            .repository_record(repository)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (here.state, here.visibility),
            (RepositoryState::OrgMirror, Visibility::Public)
        );
    }
    // Tags that vanish stay (Quay), and so does what is skipped.
    stage.origin.untag("theirs/app-two", "v1");
    answer(&stage, QUAY, &page(&["app-two"], None));
    let discovery = look(&stage, namespace).await.unwrap();
    assert_eq!(
        discovery,
        Discovery {
            found: 1,
            made: 0,
            skipped: 1
        }
    );
    let states: Vec<SyncState> = found(&stage, namespace)
        .await
        .into_iter()
        .map(|(_, of)| of.status.state)
        .collect();
    assert_eq!(states, [SyncState::Skip, SyncState::Success]);
    stage.site.pull("whole/app-one", "v1").await;
    // An empty answer skips nothing, and a failure neither.
    answer(&stage, QUAY, &page(&[], None));
    assert_eq!(look(&stage, namespace).await, Some(Discovery::default()));
    stage
        .origin
        .once("GET", QUAY, Fault::Status(500, Vec::new(), "{}"));
    assert_eq!(look(&stage, namespace).await, None);
    let skipped = found(&stage, namespace).await;
    let skipped = skipped
        .iter()
        .filter(|(_, of)| of.status.state == SyncState::Skip);
    assert_eq!(skipped.count(), 1);
    // What comes back runs again.
    answer(&stage, QUAY, &page(&["app-one", "app-two"], None));
    look(&stage, namespace).await.unwrap();
    let back = found(&stage, namespace).await.remove(0).1;
    assert_eq!(back.status.state, SyncState::NeverRun);
}

#[tokio::test]
async fn a_harbor_is_listed_page_by_page() {
    let (stage, namespace) = organization(OrgMirrorKind::Harbor).await;
    let rows = |numbers: std::ops::Range<u32>| {
        let names = numbers.map(|number| json!({"name": format!("theirs/app-{number}")}));
        Value::Array(names.collect())
    };
    answer(&stage, HARBOR, &rows(0..100));
    answer(&stage, HARBOR, &rows(100..103));
    let discovery = look(&stage, namespace).await.unwrap();
    assert_eq!(
        discovery,
        Discovery {
            found: 103,
            made: 103,
            skipped: 0
        }
    );
    let asked = stage.origin.last("GET", HARBOR);
    assert!(
        asked.query.contains("page=2") && asked.query.contains("page_size=100"),
        "{asked:?}"
    );
    let name: RepositoryName = "app-7".parse().unwrap();
    let found = found(&stage, namespace).await;
    assert!(
        found
            .iter()
            .any(|(found, of)| *found == name && of.repository.is_some())
    );
    let logged = stage.site.app().audit().list(
        entrepot::model::LogFilter {
            scope: Some(entrepot::model::LogScope::Namespace(namespace)),
            performer: None,
            since: Timestamp::default(),
            until: Timestamp::from_millis(i64::MAX),
        },
        None,
        1000,
    );
    let lines = logged.await.unwrap().lines;
    let of = |kind: LogKind| lines.iter().filter(|line| line.entry.kind == kind).count();
    assert_eq!(of(LogKind::OrgMirrorRepoCreated), 103);
    assert_eq!(
        (
            of(LogKind::OrgMirrorSyncStarted),
            of(LogKind::OrgMirrorSyncSuccess)
        ),
        (1, 1)
    );
}
