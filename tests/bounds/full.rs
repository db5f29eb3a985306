//! A volume that pushes have filled: what frees it goes on working.

use std::time::Duration;

use entrepot::jobs::Intervals;
use entrepot::model::ByteSize;
use entrepot::registry::Budget;
use reqwest::Method;
use serde_json::json;

use crate::harness::content::Image;
use crate::harness::people::{Asked, Who};
use crate::harness::site::{Answer, Site};
use crate::harness::soon;
use crate::harness::volume::Volume;

const MIB: u64 = 1 << 20;
const LAYER: usize = 2 << 20;
const REPOSITORY: &str = "acme/app";

/// Pushes images until one is refused for want of room; gives how many were taken.
async fn fill(site: &Site, ann: &Who) -> u64 {
    for number in 0.. {
        if let Err(refusal) = push(site, ann, number).await {
            assert_eq!(refusal.status, 507, "{}", refusal.text());
            return number;
        }
        site.clock.advance(Duration::from_secs(1));
    }
    unreachable!("a volume has an end");
}

/// Pushes an image, or gives the first answer that refused a part of it.
async fn push(site: &Site, ann: &Who, number: u64) -> Result<(), Box<Answer>> {
    let image = Image::with_layers(number, &[LAYER]);
    for blob in image.blobs() {
        taken(site.push_blob_as(ann, REPOSITORY, blob).await)?;
    }
    let tag = format!("v{number}");
    let put = site.put_manifest_as(ann, REPOSITORY, &tag, &image.manifest);
    taken(put.await)
}

fn taken(answer: Answer) -> Result<(), Box<Answer>> {
    match answer.status.as_u16() {
        201 => Ok(()),
        _ => Err(Box::new(answer)),
    }
}

async fn tags(site: &Site, ann: &Who) -> usize {
    let listed = site
        .get_as(ann, &format!("/v2/{REPOSITORY}/tags/list"))
        .await;
    listed.json()["tags"].as_array().map_or(0, Vec::len)
}

/// DK-03: with the volume full to the last byte, people log in, what is held is pulled, images are deleted and
/// pruned, and their bytes come back.
#[tokio::test]
async fn on_a_volume_that_pushes_filled_logins_deletes_and_prunes_work() {
    let folder = tempfile::Builder::new()
        .prefix("entrepot-")
        .tempdir()
        .unwrap();
    let data = folder.path().join("data");
    let Some(volume) = Volume::mount(&data, 48 * MIB, 2000) else {
        return;
    };
    let intervals = Intervals {
        queue: Duration::from_millis(2),
        ..Intervals::default()
    };
    let site = Site::start_turning(intervals, |config| {
        config.data_dir = data;
        config.disk_reserve = Some(ByteSize(4 * MIB));
        config.retention.time_machine = Duration::ZERO;
    })
    .await;
    let (id, ann) = (site.user("ann").await, Who::user("ann"));
    site.organization("acme", Some(id)).await;
    let pushed = fill(&site, &ann).await;
    assert!(pushed >= 10, "{pushed} images fit");
    volume.fill(0);
    assert_eq!(volume.free_bytes(), 0);

    site.token_as(&ann, &["repository:acme/app:pull"]).await;
    let path = format!("/v2/{REPOSITORY}/manifests/v0");
    assert_eq!(site.get_as(&ann, &path).await.status, 200);
    let deleted = pushed / 2;
    for number in 0..deleted {
        let path = format!("/v2/{REPOSITORY}/manifests/v{number}");
        let gone = site.ask_as(&ann, &Asked::new(Method::DELETE, path)).await;
        assert_eq!(gone.status, 202, "{}", gone.text());
    }
    let token = site.oauth_token(id, "org:admin repo:admin").await;
    let policy = json!({"method": "number_of_tags", "value": 1});
    let made = site
        .api(&token)
        .post("/organization/acme/autoprunepolicy/", policy)
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    soon("the end of all tags but one", async {
        while tags(&site, &ann).await > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    site.registry().collect(Budget::UNBOUNDED).await.unwrap();
    let (freed, deletable) = (volume.free_bytes(), (pushed - 1) * LAYER as u64);
    assert!(freed * 10 >= deletable * 9, "{freed} of {deletable} bytes");
    assert!(!site.registry().store().failed());
    let image = Image::with_layers(999, &[LAYER]);
    site.push_as(&ann, REPOSITORY, "again", &image).await;
}
