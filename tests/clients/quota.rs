//! A quota as whoever pushes sees it: the walk of the guide, by podman.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::clients::cli::Cli;
use crate::harness::clients::source::Source;
use crate::harness::clients::{Client, require};
use crate::harness::images::{Dialect, Image};
use crate::harness::people::password;
use crate::harness::site::Site;

const QUOTA: &str = "/organization/testorg/quota";

/// The words of the guide.
const DENIED: &str = ": denied: Quota has been exceeded on namespace";

/// Has an engine hold an image of its own; its number there.
async fn loads(engine: &Cli, name: &str) -> String {
    let image = Image::for_this_machine(name, Dialect::Oci, &[45_000]);
    Source::image(&image).write_layout(&engine.path(name), "v1");
    let loaded = engine.does(format!("pull oci:{name}:v1")).await;
    let id = loaded.stdout.lines().last().expect("the image's number");
    id.to_owned()
}

/// A site of an organisation, and who may change its quota.
struct Stage {
    site: Site,
    root: String,
    ann: String,
}

impl Stage {
    async fn new() -> Self {
        let site = Site::start(|_| {}).await;
        let (root, ann) = (site.superuser("root").await, site.user("ann").await);
        site.organization("testorg", Some(ann)).await;
        Self {
            root: site.oauth_token(root, "super:user").await,
            ann: site.oauth_token(ann, "user:admin org:admin").await,
            site,
        }
    }

    /// Asks as the superuser, who is answered with this status.
    async fn set(&self, method: Method, path: &str, body: Value, status: u16) {
        let root = self.site.api(&self.root);
        let answer = root.send(method, path, Some(body)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }

    /// The kinds of what ann is told, the newest first.
    async fn notices(&self) -> Vec<Value> {
        let ann = self.site.api(&self.ann);
        let told = ann.get("/user/notifications").await.json();
        let told = told["notifications"].as_array().unwrap().iter();
        told.map(|notice| notice["kind"].clone()).collect()
    }
}

/// SC-206, SC-224, SC-230, SC-232, SC-233: a warning, and then a refusal in the words of the guide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn podman_is_told_that_the_quota_is_exceeded() {
    let Some([program]) = require([Client::Podman]) else {
        return;
    };
    let stage = Stage::new().await;
    let podman = Cli::new(Client::Podman, &program);
    let address = stage.site.address();
    let login = format!("--username ann --password {}", password("ann"));
    podman
        .does(format!("login --tls-verify=false {login} {address}"))
        .await;
    let (first, second) = (loads(&podman, "one").await, loads(&podman, "two").await);
    let push = |id: &str, tag: &str| {
        format!("push --tls-verify=false {id} {address}/testorg/ubuntu:{tag}")
    };
    let limit = |bytes: u64| json!({ "limit_bytes": bytes });
    stage.set(Method::POST, QUOTA, limit(50_000), 201).await;
    let quota = stage.site.api(&stage.ann).get(QUOTA).await.json()[0]["id"].clone();
    let (quota, limits) = (format!("{QUOTA}/{quota}"), format!("{QUOTA}/{quota}/limit"));
    for (kind, percent) in [("Reject", 80), ("Warning", 50)] {
        let body = json!({"type": kind, "threshold_percent": percent});
        stage.set(Method::POST, &limits, body, 201).await;
    }
    // The layer alone is more than what is let in.
    let refused = podman.fails_to(push(&first, "18.04")).await;
    assert!(refused.contains(DENIED), "{refused}");

    stage.set(Method::PUT, &quota, limit(65_000), 200).await;
    podman.does(push(&first, "18.04")).await;
    assert_eq!(stage.notices().await, ["quota_warning"]);
    // What it holds is more than what a smaller quota lets in: nothing is even begun.
    stage.set(Method::PUT, &quota, limit(50_000), 200).await;
    let refused = podman.fails_to(push(&second, "20.04")).await;
    let begin = "initiating layer upload to /v2/testorg/ubuntu/blobs/uploads/";
    assert!(refused.contains(begin), "{refused}");
    assert!(refused.contains(DENIED), "{refused}");
    assert_eq!(stage.notices().await, ["quota_error", "quota_warning"]);
}
