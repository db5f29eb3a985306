//! How many connections there are, and who waits for one.

use entrepot::oci::Digest;

use super::{Setup, collect, name, reference};
use crate::harness::content::{Image, bytes};
use crate::harness::origin::{Auth, Bearer, Fault, Origin};
use crate::harness::soon;

#[tokio::test]
async fn a_connection_is_used_again_also_after_refusals() {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("org/app", "latest", &image);
    origin.require(Auth::Bearer(Bearer::default()));
    let upstream = Setup::of(&origin).build();
    for _ in 0..5 {
        upstream
            .fetch_manifest(&name("org/app"), &reference("latest"))
            .await
            .unwrap();
        upstream
            .fetch_manifest(&name("org/app"), &reference("none"))
            .await
            .unwrap_err();
        let config = Digest::of(&image.config);
        let body = upstream
            .open_blob(&name("org/app"), &config, 0)
            .await
            .unwrap();
        collect(body).await.unwrap();
    }
    assert_eq!(
        origin.connections(),
        1,
        "{} requests",
        origin.requests().len()
    );
}

/// CA-09: a silent upstream holds no more connections than it may.
#[tokio::test]
async fn no_more_requests_are_in_flight_than_allowed() {
    let origin = Origin::start().await;
    let blob = bytes(1, 1000);
    let digest = origin.push_blob("org/app", &blob);
    origin.push_image("org/app", "latest", &Image::small(1));
    origin.always("GET", "/v2/org/app/blobs/", Fault::StallAt(10));
    let setup = Setup::of(&origin).connections(4);
    let upstream = setup.build();
    let mut fills = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let upstream = upstream.clone();
        fills.spawn(async move {
            let body = upstream
                .open_blob(&name("org/app"), &digest, 0)
                .await
                .unwrap();
            collect(body).await.unwrap().len()
        });
    }
    // Three stall; the fourth place is kept for short exchanges.
    origin.wait_for(3, "GET", "/v2/org/app/blobs/").await;
    let latest = reference("latest");
    let repository = name("org/app");
    soon("a manifest", upstream.head_manifest(&repository, &latest))
        .await
        .unwrap();
    assert_eq!(origin.count("GET", "/v2/org/app/blobs/"), 3);
    assert_eq!(setup.metric("entrepot_upstream_in_flight", &["cache"]), 3.0);
    assert!(origin.connections() <= 4);
    origin.heal();
    origin.release();
    let lengths = soon("all fills", fills.join_all()).await;
    assert_eq!(lengths, [1000; 10]);
    assert_eq!(setup.metric("entrepot_upstream_in_flight", &["cache"]), 0.0);
}
