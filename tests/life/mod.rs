//! What happens to a site over time: crashes, restarts, changes of its configuration, its end.

mod clock;
mod crash;
mod damage;
mod hostile;
mod kill;
mod power;
mod push_crash;
mod push_faults;
mod push_load;
mod push_recovery;
mod push_resume;
mod read_only;
mod reload;
mod restart;
mod slow_disk;

use bytes::Bytes;
use entrepot::oci::Digest;

use crate::harness::origin::Origin;
use crate::harness::process::Process;
use crate::harness::soon;

/// The configuration of one cache, `docker.io`, with `more` below it.
pub(crate) fn caching(origin: &Origin, more: &str) -> String {
    format!(
        "REGISTRY_MIRRORS: []\nPROXY_CACHES:\n  - organization: docker.io\n    \
         upstream: docker.io\n    endpoint: {}\n{more}",
        origin.url("")
    )
}

/// An answer that came whole.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) cache_status: String,
}

/// Sends a GET; an error is a connection that was refused or broke off.
pub(crate) async fn get(process: &Process, path: &str) -> Result<Got, reqwest::Error> {
    let url = process.url(&format!("/v2/docker.io/library/app/{path}"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    soon(&url, async {
        let response = client.get(&url).send().await?;
        let cache_status = response.headers().get("cache-status");
        let cache_status = cache_status.map_or("", |value| value.to_str().unwrap());
        Ok(Got {
            status: response.status().as_u16(),
            cache_status: cache_status.to_owned(),
            body: response.bytes().await?,
        })
    })
    .await
}

/// Pulls an image, each answer of which must be right if it came whole; an error if one broke off.
pub(crate) async fn pull(process: &Process, tag: &str) -> Result<Bytes, reqwest::Error> {
    let manifest = get(process, &format!("manifests/{tag}")).await?;
    assert_eq!(manifest.status, 200, "{:?}", manifest.body);
    let document: serde_json::Value = serde_json::from_slice(&manifest.body).unwrap();
    let layers = document["layers"].as_array().unwrap().iter();
    for blob in layers.chain([&document["config"]]) {
        let digest = blob["digest"].as_str().unwrap();
        let answer = get(process, &format!("blobs/{digest}")).await?;
        assert_eq!(answer.status, 200, "{digest}");
        assert_eq!(Digest::of(&answer.body).to_string(), digest);
    }
    Ok(manifest.body)
}
