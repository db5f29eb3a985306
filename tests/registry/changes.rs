//! What changes content, tried by who may not, and by the owner where nobody may: immutable tags, what
//! was deleted, what is read-only.

use std::time::Duration;

use entrepot::model::{Actor, Member, Performer, RepositoryState, TeamRole};
use entrepot::oci::{Digest, Tag};
use entrepot::registry::Budget;

use reqwest::Method;
use serde_json::json;

use super::access::{stage, ways};
use crate::harness::content::{Document, Image, OCI_MANIFEST, bytes, document, index};
use crate::harness::people::{Asked, Who};
use crate::harness::site::Site;

/// AZ-07: who may make repositories, or read one, overwrites no tag of it, whatever it is called.
#[tokio::test]
async fn no_tag_is_overwritten_without_the_right_to_write() {
    let stage = stage().await;
    let site = &stage.site;
    let (acme, _) = site
        .registry()
        .namespace(&"acme".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let (maker_id, maker) = site.robot("acme+maker").await;
    site.team(
        acme,
        "makers",
        TeamRole::Creator,
        &[Member::Robot(maker_id)],
    )
    .await;
    let mut unable = vec![
        ("a maker", maker.clone()),
        ("a reader", stage.reader.clone()),
    ];
    unable.extend(stage.outsiders.clone());
    let other = Image::small(2);
    let mut refused = 0;
    for tag in ["latest", "v1", "LATEST", "0"] {
        site.put_manifest_as(&stage.owner, "acme/secret", tag, &stage.image.manifest)
            .await;
        for (role, who) in &unable {
            for reference in [tag.to_owned(), format!("{}?tag={tag}", other.digest())] {
                let put = site
                    .put_manifest_as(who, "acme/secret", &reference, &other.manifest)
                    .await;
                assert!(
                    [401, 403].contains(&put.status.as_u16()),
                    "{role}: {}",
                    put.status
                );
                refused += 1;
            }
            let path = format!("/v2/acme/secret/manifests/{tag}");
            let deleted = site.ask_as(who, &Asked::new(Method::DELETE, &*path)).await;
            assert!([401, 403].contains(&deleted.status.as_u16()), "{role}");
        }
        let path = format!("/v2/acme/secret/manifests/{tag}");
        let now = site.get_as(&stage.owner, &path).await;
        assert_eq!(
            now.header("docker-content-digest"),
            stage.image.digest().to_string()
        );
    }
    assert_eq!(refused, 4 * 8 * 2);
    // What a maker makes is his.
    site.push_as(&maker, "acme/made", "v1", &other).await;
    site.put_manifest_as(&maker, "acme/made", "v2", &other.manifest)
        .await;
    let path = "/v2/acme/made/manifests/v2";
    assert_eq!(
        site.ask_as(&maker, &Asked::new(Method::DELETE, path))
            .await
            .status,
        202
    );
}

/// An image whose tags expire after a while (Quay's label).
fn expiring(seed: u64, after: &str) -> Image {
    let config = json!({"architecture": "amd64", "os": "linux", "seed": seed,
        "config": {"Labels": {"quay.expires-after": after}}});
    let config = ::bytes::Bytes::from(config.to_string());
    let media_type = "application/vnd.oci.image.config.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": media_type, "digest": Digest::of(&config).to_string(), "size": config.len()}});
    Image {
        manifest: document(OCI_MANIFEST, &manifest),
        config,
        layers: Vec::new(),
    }
}

/// AZ-08: an immutable tag stays where it is: pushed over, pushed by `?tag=`, deleted by tag and by
/// digest, expired, and restored to something else; and restoring what it is takes nothing from it.
#[tokio::test]
async fn an_immutable_tag_stays() {
    let site = Site::start(|_| {}).await;
    site.user("ann").await;
    let ann = Who::user("ann");
    let (first, second) = (expiring(1, "1h"), expiring(2, "1h"));
    let name = "ann/app";
    site.push_as(&ann, name, "v1", &first).await;
    site.push_as(&ann, name, "v1", &second).await;
    let repository = site.repository_id(name).await;
    let tag: Tag = "v1".parse().unwrap();
    let set = site.registry().set_tag_immutable(repository, &tag, true);
    assert!(set.await.unwrap());
    let by = Actor::System;
    for _ in 0..2 {
        let pushed = site
            .put_manifest_as(&ann, name, "v1", &first.manifest)
            .await;
        assert_eq!(
            (pushed.status.as_u16(), pushed.code().as_str()),
            (409, "TAG_IMMUTABLE")
        );
        let by_query = format!("{}?tag=v1", first.digest());
        let pushed = site
            .put_manifest_as(&ann, name, &by_query, &first.manifest)
            .await;
        assert_eq!(
            (pushed.status.as_u16(), pushed.code().as_str()),
            (409, "TAG_IMMUTABLE")
        );
        for reference in ["v1".to_owned(), second.digest().to_string()] {
            let path = format!("/v2/{name}/manifests/{reference}");
            let deleted = site.ask_as(&ann, &Asked::new(Method::DELETE, path)).await;
            assert_eq!(
                (deleted.status.as_u16(), deleted.code().as_str()),
                (409, "TAG_IMMUTABLE")
            );
        }
        let blob = Digest::of(&second.config);
        let path = format!("/v2/{name}/blobs/{blob}");
        let deleted = site.ask_as(&ann, &Asked::new(Method::DELETE, path)).await;
        assert_eq!(deleted.status, 405, "a part of what it points to");
        let restored = site
            .registry()
            .restore_tag(repository, &tag, &first.digest(), &by)
            .await;
        assert!(restored.is_err());
        // What it already points to is no change, and does not free it.
        let same = site
            .put_manifest_as(&ann, name, "v1", &second.manifest)
            .await;
        assert_eq!(same.status, 201);
        let same = site
            .registry()
            .restore_tag(repository, &tag, &second.digest(), &by)
            .await;
        same.unwrap();
    }
    site.clock.advance(Duration::from_secs(3 * 3600));
    let collected = site.registry().collect(Budget::UNBOUNDED).await.unwrap();
    assert_eq!(collected.expired_tags, 0);
    let now = site.get_as(&ann, &format!("/v2/{name}/manifests/v1")).await;
    assert_eq!(
        now.header("docker-content-digest"),
        second.digest().to_string()
    );
}

/// AZ-08: an image of an index under an immutable tag is part of what the tag points to.
#[tokio::test]
async fn no_part_of_an_immutable_index_is_deleted() {
    let site = Site::start(|_| {}).await;
    site.user("ann").await;
    let ann = Who::user("ann");
    let image = Image::small(1);
    site.push_as(&ann, "ann/app", &image.digest().to_string(), &image)
        .await;
    let index = index(&[(&image, "amd64")]);
    let outer = json!({"schemaVersion": 2, "mediaType": index.media_type, "manifests": [
        {"mediaType": index.media_type, "digest": index.digest().to_string(), "size": index.bytes.len()}]});
    let outer: Document = document(index.media_type, &outer);
    let inner_name = index.digest().to_string();
    for (reference, document) in [(inner_name.as_str(), &index), ("v1", &outer)] {
        let put = site
            .put_manifest_as(&ann, "ann/app", reference, document)
            .await;
        assert_eq!(put.status, 201, "{}", put.text());
    }
    let repository = site.repository_id("ann/app").await;
    let tag: Tag = "v1".parse().unwrap();
    let delete =
        |digest: Digest| Asked::new(Method::DELETE, format!("/v2/ann/app/manifests/{digest}"));
    let registry = site.registry();
    assert!(
        registry
            .set_tag_immutable(repository, &tag, true)
            .await
            .unwrap()
    );
    for digest in [image.digest(), index.digest(), outer.digest()] {
        let deleted = site.ask_as(&ann, &delete(digest)).await;
        assert_eq!(
            (deleted.status.as_u16(), deleted.code().as_str()),
            (409, "TAG_IMMUTABLE")
        );
    }
    assert!(
        registry
            .set_tag_immutable(repository, &tag, false)
            .await
            .unwrap()
    );
    assert_eq!(site.ask_as(&ann, &delete(image.digest())).await.status, 202);
}

/// AZ-09: what was deleted in one repository is not back because another one has it, over restarts.
#[tokio::test]
async fn what_was_deleted_stays_deleted_while_others_have_it() {
    let mut site = Site::start(|_| {}).await;
    site.user("ann").await;
    let image = Image::small(1);
    let scope = ["one", "two"].map(|it| format!("repository:ann/{it}:pull,push,delete"));
    let scope = scope.each_ref().map(String::as_str);
    let ann = site.token_as(&Who::user("ann"), &scope).await;
    for name in ["ann/one", "ann/two"] {
        site.push_as(&ann, name, "v1", &image).await;
        for path in paths_of(name, &image) {
            assert_eq!(site.get_as(&ann, &path).await.status, 200);
        }
    }
    for path in paths_of("ann/one", &image) {
        let deleted = site.ask_as(&ann, &Asked::new(Method::DELETE, &*path)).await;
        assert_eq!(deleted.status, 202, "{path}: {}", deleted.text());
    }
    for _ in 0..3 {
        for (kept, gone) in paths_of("ann/two", &image)
            .iter()
            .zip(&paths_of("ann/one", &image))
        {
            for (kept, gone) in ways(kept).iter().zip(&ways(gone)) {
                let kept = site.ask_as(&ann, kept).await;
                assert!(
                    kept.status.is_success() || kept.status == 304,
                    "{}",
                    kept.status
                );
                assert_eq!(site.ask_as(&ann, gone).await.status, 404);
            }
        }
        site.registry().collect(Budget::UNBOUNDED).await.unwrap();
        site.restart().await;
    }
}

fn paths_of(name: &str, image: &Image) -> Vec<String> {
    let manifest = format!("/v2/{name}/manifests/{}", image.digest());
    let blob = |blob| format!("/v2/{name}/blobs/{}", Digest::of(blob));
    [manifest]
        .into_iter()
        .chain(image.blobs().map(|it| blob(it)))
        .collect()
}

/// Quay's states: what is read-only takes no push from anybody, not even where anyone may push.
#[tokio::test]
async fn a_read_only_repository_takes_nothing() {
    let site =
        Site::start(|config| config.pushes.anonymous = vec!["guests".parse().unwrap()]).await;
    let image = Image::small(1);
    site.push_as(&Who::Nobody, "guests/app", "v1", &image).await;
    let repository = site.repository_id("guests/app").await;
    let (registry, by) = (site.registry(), Performer::default());
    let frozen = registry.set_state(repository, RepositoryState::ReadOnly, &by);
    frozen.await.unwrap();
    let blob = site
        .push_blob_as(&Who::Nobody, "guests/app", &bytes(3, 10))
        .await;
    assert_eq!(blob.status, 403, "{}", blob.text());
    let tag = site
        .put_manifest_as(&Who::Nobody, "guests/app", "v2", &image.manifest)
        .await;
    assert_eq!(tag.status, 403);
    let path = "/v2/guests/app/manifests/v1";
    assert_eq!(
        site.ask_as(&Who::Nobody, &Asked::new(Method::DELETE, path))
            .await
            .status,
        403
    );
    assert_eq!(site.get(path).await.status, 200);
}
