//! SIGHUP: the configuration changes under a running server, or it does not.

use rustix::process::Signal;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::process::{Place, Process};
use crate::harness::soon;

fn cache(organization: &str, origin: &Origin) -> String {
    let url = origin.url("");
    format!("  - organization: {organization}\n    upstream: {organization}\n    endpoint: {url}\n")
}

async fn status(process: &Process, repository: &str) -> u16 {
    let url = process.url(&format!("/v2/{repository}/manifests/v1"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    soon(&url, client.get(&url).send())
        .await
        .unwrap()
        .status()
        .as_u16()
}

/// LC-04: a new cache counts at once; a configuration with mistakes counts not at all.
#[tokio::test]
async fn sighup_applies_a_new_cache_and_refuses_a_bad_one() {
    let origin = Origin::start().await;
    origin.push_image("team/app", "v1", &Image::small(1));
    let head = "REGISTRY_MIRRORS: []\nPROXY_CACHES:\n";
    let one = format!("{head}{}", cache("one.example", &origin));
    let both = format!("{one}{}", cache("two.example", &origin));
    let place = Place::new(&one);
    let mut process = place.serve().await;
    assert_eq!(status(&process, "one.example/team/app").await, 200);
    assert_eq!(status(&process, "two.example/team/app").await, 404);

    place.configure(&both);
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    assert_eq!(status(&process, "two.example/team/app").await, 200);

    place.configure(&format!("{one}    quota: 10 Gb\nLISTNE: x\n"));
    process.signal(Signal::HUP);
    let line = process.logs("quota").await;
    assert!(line.contains("config.yaml:"), "{line}");
    process.logs("LISTNE").await;
    process.logs("the configuration stays as it was").await;
    assert_eq!(status(&process, "two.example/team/app").await, 200);

    place.configure(&format!("{one}HOT_CACHE: 32 MiB\nLOG_LEVEL: debug\n"));
    process.signal(Signal::HUP);
    let line = process.logs("only after a restart").await;
    assert!(line.contains("HOT_CACHE"), "{line}");
    process.logs("configuration reloaded").await;
    // An organisation that is no cache any more still serves what it holds.
    assert_eq!(status(&process, "two.example/team/app").await, 200);
    assert_eq!(status(&process, "two.example/team/other").await, 404);
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
}

/// LC-04: a hundred reloads, every other of them with a mistake, and no request notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_fail_no_request() {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("team/app", "v1", &image);
    let good = format!(
        "REGISTRY_MIRRORS: []\nPROXY_CACHES:\n{}    fresh_s: 3600\n",
        cache("one.example", &origin)
    );
    let place = Place::new(&good);
    let mut process = place.serve().await;
    assert_eq!(status(&process, "one.example/team/app").await, 200);
    let url = process.url("/v2/one.example/team/app/manifests/v1");
    let (done, asking) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (url, asking) = (url.clone(), asking.clone());
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            tokio::spawn(async move {
                let mut asked = 0;
                while !*asking.borrow() {
                    let answer = soon(&url, client.get(&url).send()).await.unwrap();
                    assert_eq!(answer.status(), 200);
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for turn in 0..100 {
        let (yaml, told) = match turn % 2 {
            // Another mistake each time: the same line is not logged a hundred times.
            0 => (
                format!("{good}LISTNE_{turn}: x\n"),
                format!("LISTNE_{turn}"),
            ),
            _ => (
                format!("{good}LOG_LEVEL: info\n"),
                "configuration reloaded".to_owned(),
            ),
        };
        place.configure(&yaml);
        process.signal(Signal::HUP);
        process.logs(&told).await;
    }
    done.send(true).unwrap();
    for client in clients {
        assert!(soon("a client", client).await.unwrap() > 0);
    }
}
