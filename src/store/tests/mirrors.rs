//! What mirrors promise: a mirror, its status and its tags go together, a few at a time, and no neighbour's.

use super::*;
use crate::model::{
    DiscoveredRecord, MirrorOptions, MirrorRecord, MirrorSource, MirrorStatus, MirrorTagRecord,
    OrgMirrorKind, OrgMirrorRecord, SyncState, TagChoice, Visibility,
};
use crate::oci::{RepositoryName, Tag};

fn source() -> MirrorSource {
    MirrorSource {
        reference: "quay.io/org/app".to_owned(),
        username: None,
        password: None,
        verify_tls: true,
        unsigned_images: false,
        http_proxy: None,
        https_proxy: None,
        no_proxy: None,
    }
}

fn mirror() -> MirrorRecord {
    MirrorRecord {
        enabled: true,
        source: source(),
        tags: TagChoice {
            globs: vec!["*".to_owned()],
            ..TagChoice::default()
        },
        interval_s: 60,
        robot: None,
        deadline_s: 300,
        architectures: Vec::new(),
        options: MirrorOptions::default(),
        created: at(1),
        configured: false,
    }
}

fn tag(number: usize) -> Tag {
    format!("v{number}").parse().unwrap()
}

#[tokio::test]
async fn a_mirror_goes_with_its_tags_and_no_neighbours() {
    let site = Site::new();
    let (first, second) = (RepositoryId(1), RepositoryId(2));
    let put = move |tx: &mut WriteTx<'_>| {
        for id in [first, second] {
            tx.mirrors().put(id, &mirror())?;
            tx.mirrors()
                .put_status(id, &MirrorStatus::new(Some(at(5))))?;
            for number in 0..5 {
                let told = MirrorTagRecord {
                    run: 1,
                    at: at(2),
                    digest: Some(digest("a")),
                    failure: None,
                };
                tx.mirrors().put_tag(id, &tag(number), &told)?;
            }
        }
        Ok::<_, Error>(())
    };
    site.store.write(put).await.unwrap();
    let listed = site.store.read(|tx| {
        let mirrors = tx.mirrors();
        Ok::<_, Error>((
            mirrors.list(Some(first), 9)?,
            mirrors.tags(first, Some(&tag(2)), 9)?,
        ))
    });
    let (mirrors, tags) = listed.await.unwrap();
    assert_eq!(mirrors, [(second, MirrorStatus::new(Some(at(5))))]);
    assert_eq!(
        tags.iter().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>(),
        ["v3", "v4"]
    );
    let remove = move |tx: &mut WriteTx<'_>| tx.mirrors().remove(first, 3);
    assert_eq!(site.store.write(remove).await.unwrap(), 3);
    assert_eq!(site.store.write(remove).await.unwrap(), 2);
    let left = site.store.read(|tx| {
        let mirrors = tx.mirrors();
        assert_eq!(
            (mirrors.record(first)?, mirrors.status(first)?),
            (None, None)
        );
        assert_eq!(mirrors.record(second)?, Some(mirror()));
        Ok::<_, Error>((
            mirrors.tags(first, None, 9)?.len(),
            mirrors.tags(second, None, 9)?.len(),
        ))
    });
    assert_eq!(left.await.unwrap(), (0, 5));
}

#[tokio::test]
async fn an_organisation_goes_with_what_was_found() {
    let site = Site::new();
    let other = NamespaceId(2);
    let record = OrgMirrorRecord {
        enabled: true,
        kind: OrgMirrorKind::Harbor,
        source: source(),
        namespace: "library".to_owned(),
        repositories: Vec::new(),
        architectures: Vec::new(),
        visibility: Visibility::Private,
        delete_stale: false,
        interval_s: 60,
        robot: None,
        deadline_s: 300,
        created: at(1),
    };
    let kept = record.clone();
    let put = move |tx: &mut WriteTx<'_>| {
        for namespace in [ORGANIZATION, other] {
            tx.mirrors().put_organization(namespace, &record)?;
            tx.mirrors()
                .put_discovery(namespace, &MirrorStatus::new(None))?;
            for name in ["b", "a/c", "a"] {
                let name: RepositoryName = name.parse().unwrap();
                let found = DiscoveredRecord {
                    namespace,
                    discovered: at(2),
                    repository: None,
                    status: MirrorStatus {
                        state: SyncState::Skip,
                        ..MirrorStatus::new(None)
                    },
                };
                tx.mirrors().put_discovered(namespace, &name, &found)?;
            }
        }
        Ok::<_, Error>(())
    };
    site.store.write(put).await.unwrap();
    let site = site.reopened();
    let names = |namespace| {
        let found = site
            .store
            .read(move |tx| tx.mirrors().all_discovered(namespace, None, 9));
        async move {
            let found = found.await.unwrap().into_iter();
            found.map(|(name, _)| name.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(ORGANIZATION).await, ["a", "a/c", "b"]);
    let remove = |tx: &mut WriteTx<'_>| tx.mirrors().remove_organization(ORGANIZATION, 2);
    assert_eq!(site.store.write(remove).await.unwrap(), 2);
    assert_eq!(site.store.write(remove).await.unwrap(), 1);
    assert_eq!(names(ORGANIZATION).await, Vec::<String>::new());
    assert_eq!(names(other).await.len(), 3);
    let left = site.store.read(|tx| {
        let mirrors = tx.mirrors();
        assert_eq!(mirrors.discovery(ORGANIZATION)?, None);
        Ok::<_, Error>((
            mirrors.of_organization(ORGANIZATION)?,
            mirrors.of_organization(other)?,
        ))
    });
    assert_eq!(left.await.unwrap(), (None, Some(kept)));
}
