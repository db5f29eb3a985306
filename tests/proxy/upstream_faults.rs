//! Everything that upstreams do wrong: the client is told in the specification's words, nothing wrong is
//! kept, and the next pull works.

use std::time::Duration;

use bytes::Bytes;
use entrepot::oci::Digest;

use super::{BLOBS, BY_TAG, LARGE, LATER, MANIFESTS, assert_is, blob, manifest, stage, stage_with};
use super::{patient, way};
use crate::harness::content::{Image, OCI_INDEX, bytes, document};
use crate::harness::origin::{Auth, Bearer, Fault, Origin};
use crate::harness::site::{Answer, Site};
use crate::harness::{pass_time, soon};

const EVERYTHING: &str = "/v2/";

fn status(status: u16) -> Fault {
    Fault::Status(status, vec![], "<html>secret-host.internal</html>")
}

/// Ends the faults, and what was learned of them.
async fn heal(origin: &Origin, site: &Site) {
    origin.heal();
    origin.release();
    site.clock.advance(LATER);
    pass_time(Duration::from_secs(120)).await;
    site.settled().await;
}

/// Nothing of it is here: no manifest, no blob, not even by digest.
async fn holds_nothing(origin: &Origin, site: &Site, image: &Image) -> bool {
    let asked = origin.requests().len();
    let digests = image.blobs().map(blob).chain([manifest(image.digest())]);
    for path in digests {
        // A hit would cost upstream nothing.
        if site.get(&path).await.status != 200 {
            return false;
        }
    }
    origin.requests().len() == asked + 3
}

fn is_told(answer: &Answer, code: u16) {
    let expected = match code {
        404 if answer.code() == "NAME_UNKNOWN" => "NAME_UNKNOWN",
        404 => "MANIFEST_UNKNOWN",
        429 => "TOOMANYREQUESTS",
        _ => "UNAVAILABLE",
    };
    assert_is(answer, code, expected);
    assert!(
        !answer.text().contains("secret-host"),
        "upstream's words stay in the log"
    );
    assert!(!answer.text().contains("127.0.0.1"));
}

/// PR-01, CA-05, WB-03: what upstream may answer to a manifest, and what the client is told.
#[tokio::test]
async fn a_bad_answer_for_a_manifest_is_told_and_forgotten() {
    let deep = format!(
        r#"{{"manifests":[],"x":{}{}}}"#,
        "[".repeat(80),
        "]".repeat(80)
    );
    let huge = format!(r#"{{"manifests":[],"x":"{}"}}"#, "y".repeat(5 << 20));
    let both = r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#;
    for (fault, code) in [
        (Fault::WrongBytes, 502),
        (Fault::CutAt(100), 503),
        (Fault::WrongLength(10), 503),
        (Fault::Gzip, 502),
        (Fault::Html, 502),
        (Fault::Endless, 502),
        (Fault::HangUp, 503),
        (Fault::Content(OCI_INDEX, huge.into()), 502),
        (Fault::Content(OCI_INDEX, deep.into()), 502),
        (Fault::Content(OCI_INDEX, both.into()), 502),
        (Fault::Content(OCI_INDEX, Bytes::new()), 502),
        (
            Fault::Content("application/json", Bytes::from_static(b"[]")),
            502,
        ),
        (Fault::Redirect(format!("{BY_TAG}?again")), 404),
        (status(400), 502),
        (status(401), 404),
        (status(403), 404),
        (status(404), 404),
        (status(429), 429),
        (status(500), 503),
        (status(501), 502),
        (status(503), 503),
    ] {
        let name = format!("{fault:?}").chars().take(60).collect::<String>();
        let (origin, site, image) = stage(&[1_000]).await;
        origin.always("GET", MANIFESTS, fault.clone());
        // What is wrong with a body is not to be seen by HEAD.
        let is_seen = matches!(
            fault,
            Fault::Status(..) | Fault::HangUp | Fault::Html | Fault::Gzip
        );
        origin.always("HEAD", MANIFESTS, fault);
        for reference in ["v1", &image.digest().to_string()] {
            let answer = site.get(&manifest(reference)).await;
            is_told(&answer, code);
            let head = site.head(&manifest(reference)).await;
            assert!(
                head.status.as_u16() >= 400 || !is_seen,
                "{name}: {}",
                head.status
            );
            assert!(head.body.is_empty(), "{name}");
        }
        heal(&origin, &site).await;
        assert!(holds_nothing(&origin, &site, &image).await, "{name}");
        site.pull("docker.io/library/app", "v1").await;
    }
}

/// Redirects that never arrive.
#[tokio::test]
async fn a_redirect_loop_is_a_bad_gateway() {
    let (origin, site, image) = stage(&[1_000]).await;
    for (path, of) in [
        (BY_TAG.to_owned(), MANIFESTS),
        (blob(&image.layers[0]), BLOBS),
    ] {
        let round = Fault::Redirect(path.replace("/docker.io", ""));
        origin.always("GET", of, round);
        assert_is(&site.get(&path).await, 502, "UNAVAILABLE");
        assert!(origin.count("GET", of) <= 12, "{}", origin.count("GET", of));
    }
    heal(&origin, &site).await;
    site.pull("docker.io/library/app", "v1").await;
}

/// PR-02, CA-05: what upstream may answer to a blob. No body that is wrong comes to its end.
#[tokio::test]
async fn a_bad_answer_for_a_blob_is_never_a_whole_one() {
    for knows_manifest in [true, false] {
        for fault in [
            Fault::WrongBytes,
            Fault::WrongLength(10),
            Fault::CutAt(100),
            Fault::Gzip,
            Fault::Html,
            Fault::Endless,
            Fault::HangUp,
            Fault::Content("application/octet-stream", bytes(99, LARGE)),
            Fault::Content("application/octet-stream", bytes(99, LARGE + 1)),
            Fault::Content("application/octet-stream", bytes(99, 10)),
            Fault::Content("application/octet-stream", Bytes::new()),
            status(400),
            status(401),
            status(403),
            status(404),
            status(416),
            status(429),
            status(500),
        ] {
            let name = format!("{fault:?}").chars().take(60).collect::<String>();
            let (origin, site, image) = stage(&[LARGE]).await;
            let layer = &image.layers[0];
            if knows_manifest {
                site.get(BY_TAG).await;
            }
            origin.always("GET", BLOBS, fault);
            let came = site.get_broken(&blob(layer)).await;
            // Without a manifest it is upstream who says how long the whole is.
            let is_short = came.len() < LARGE || came == layer;
            assert!(is_short || !knows_manifest, "{name}");
            let tail = site
                .get_piece(&blob(layer), &[("range", "bytes=-10")])
                .await;
            assert_eq!(
                tail, None,
                "{name}: the end of a blob is sent only if all of it is right"
            );
            heal(&origin, &site).await;
            let asked = origin.count("GET", BLOBS);
            let answer = site.get(&blob(layer)).await;
            assert!(
                answer.body == layer,
                "{name}: {} {}",
                answer.status,
                way(&answer)
            );
            assert!(origin.count("GET", BLOBS) > asked, "{name}: it was no hit");
            assert!(site.get(&blob(layer)).await.body == layer);
        }
    }
}

/// A refusal before the first byte is told in the specification's words.
#[tokio::test]
async fn a_refused_blob_is_told() {
    for (fault, code, word) in [
        (Fault::Gzip, 502, "UNAVAILABLE"),
        (Fault::WrongLength(10), 502, "UNAVAILABLE"),
        (status(400), 502, "UNAVAILABLE"),
        (status(401), 404, "NAME_UNKNOWN"),
        (status(403), 404, "NAME_UNKNOWN"),
        (status(404), 404, "BLOB_UNKNOWN"),
        (status(429), 429, "TOOMANYREQUESTS"),
        (status(500), 503, "UNAVAILABLE"),
        (Fault::HangUp, 503, "UNAVAILABLE"),
    ] {
        let (origin, site, image) = stage(&[LARGE]).await;
        site.get(BY_TAG).await;
        origin.always("GET", BLOBS, fault);
        let answer = site.get(&blob(&image.layers[0])).await;
        assert_is(&answer, code, word);
        assert!(!answer.text().contains("secret-host"));
    }
}

/// CA-04: a body that breaks off goes on where it was, over and over, and comes once.
#[tokio::test]
async fn a_cut_body_resumes_by_range() {
    let (origin, site, _) = stage(&[10]).await;
    let content = bytes(7, 1_000_000);
    origin.push_blob("library/app", &content);
    origin.always("GET", BLOBS, Fault::CutAt(150_000));
    let answer = site.get(&blob(&content)).await;
    assert!(answer.body == content);
    let ranges: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.header("range").cloned().unwrap_or_default())
        .collect();
    let expected: Vec<_> = std::iter::once(String::new())
        .chain((1..=6).map(|cut| format!("bytes={}-", cut * 150_000)))
        .collect();
    assert_eq!(ranges, expected);
    let received = [("organization", "docker.io")];
    let received = site
        .metric("entrepot_proxy_fetched_bytes_total", &received)
        .await;
    assert_eq!(received, 1_000_000.0, "each byte came once");
}

/// CA-05: a whole answer to a Range request is taken for what it is.
#[tokio::test]
async fn a_200_to_a_range_request_is_read_from_its_beginning() {
    let (origin, site, image) = stage(&[LARGE]).await;
    let layer = &image.layers[0];
    origin.once("GET", BLOBS, Fault::CutAt(400_000));
    origin.once("GET", BLOBS, Fault::IgnoreRange);
    assert!(site.get(&blob(layer)).await.body == layer);
    assert_eq!(origin.count("GET", BLOBS), 2);
    assert_eq!(
        origin.last("GET", BLOBS).header("range").unwrap(),
        "bytes=400000-"
    );
}

/// CA-05: a piece from elsewhere is none of the blob.
#[tokio::test]
async fn a_wrong_content_range_never_enters_the_cache() {
    for range in [
        "bytes 0-599999/1000000",
        "bytes 400001-999999/1000000",
        "nonsense",
    ] {
        let (origin, site, image) = stage(&[LARGE]).await;
        let layer = &image.layers[0];
        origin.once("GET", BLOBS, Fault::CutAt(400_000));
        origin.once("GET", BLOBS, Fault::ContentRange(range));
        let came = site.get_broken(&blob(layer)).await;
        assert!(
            came.len() <= 400_000 && came == layer[..came.len()],
            "{range}"
        );
        assert!(site.get(&blob(layer)).await.body == layer, "{range}");
    }
}

/// Bytes of before that upstream does not go on with are thrown away, for those who come now as well.
#[tokio::test]
async fn bytes_that_cannot_be_gone_on_with_are_fetched_anew() {
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, patient).await;
    let layer = &image.layers[0];
    site.get(BY_TAG).await;
    origin.once("GET", BLOBS, Fault::CutAt(400_000));
    origin.once("GET", BLOBS, status(404));
    site.get_broken(&blob(layer)).await;
    site.clock.advance(LATER);
    origin.once("GET", BLOBS, status(416));
    origin.once("GET", BLOBS, Fault::StallAt(200_000));
    // The first was given bytes that upstream does not stand by: it has to come again.
    let first = site.begin(&blob(layer), &[]).await;
    origin.wait_stalled(1).await;
    let second = site.begin(&blob(layer), &[]).await;
    assert_eq!(second.status(), 200, "it joins the new fetch");
    origin.release();
    assert!(soon("the second body", second.bytes()).await.unwrap() == layer);
    drop(first);
    assert!(site.get(&blob(layer)).await.body == layer);
}

/// CA-06: silence in the middle is a cut; silence before the head is told in time.
#[tokio::test]
async fn stalls_end_at_their_deadlines() {
    let short = |config: &mut entrepot::config::Config| {
        config.deadlines.headers = Duration::from_millis(150);
        config.deadlines.idle = Duration::from_millis(150);
    };
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, short).await;
    let layer = &image.layers[0];
    origin.once("GET", BLOBS, Fault::StallAt(500_000));
    assert!(site.get(&blob(layer)).await.body == layer);
    assert_eq!(
        origin.last("GET", BLOBS).header("range").unwrap(),
        "bytes=500000-"
    );
    origin.once("GET", BLOBS, Fault::StallBeforeHeaders);
    assert_eq!(
        site.get(&blob(&image.config)).await.body,
        image.config,
        "asked once more"
    );
    origin.always("GET", MANIFESTS, Fault::StallBeforeHeaders);
    assert_is(&site.get(BY_TAG).await, 504, "UNAVAILABLE");
    heal(&origin, &site).await;
    origin.once("GET", MANIFESTS, Fault::StallAt(10));
    assert_is(&site.get(BY_TAG).await, 504, "UNAVAILABLE");
    heal(&origin, &site).await;
    site.pull("docker.io/library/app", "v1").await;
}

/// UP-07 and 13.6: an upstream whose tokens never please is no reason to ask the client for one.
#[tokio::test]
async fn a_401_loop_ends_and_is_not_passed_on() {
    let (origin, site, image) = stage(&[10]).await;
    origin.require(Auth::Bearer(Bearer::default()));
    let challenge = format!("Bearer realm=\"{}\",service=\"x\"", origin.url("/token"));
    let refusal = Fault::Status(401, vec![("WWW-Authenticate", challenge)], "{}");
    origin.always("GET", EVERYTHING, refusal.clone());
    origin.always("HEAD", EVERYTHING, refusal);
    for path in [
        BY_TAG.to_owned(),
        manifest(image.digest()),
        blob(&image.layers[0]),
    ] {
        assert_is(&site.get(&path).await, 404, "NAME_UNKNOWN");
    }
    assert!(origin.requests().len() < 20, "{}", origin.requests().len());
    origin.heal();
    // CA-07: a refusal is not remembered as absence.
    site.pull("docker.io/library/app", "v1").await;
}

/// 13.4: a 404 is remembered for half a minute, a signature's for ten seconds; then it is asked again.
#[tokio::test]
async fn absence_is_remembered_briefly() {
    let (origin, site, image) = stage(&[10]).await;
    let signature = format!("sha256-{}.sig", image.digest().hex());
    let absent = bytes(55, 10);
    for (path, seconds) in [
        (manifest("v2"), 30),
        (manifest(signature), 10),
        (blob(&absent), 10),
    ] {
        let asked = || origin.requests().len();
        let before = asked();
        for _ in 0..5 {
            assert_eq!(site.get(&path).await.status, 404);
            assert_eq!(site.head(&path).await.status, 404);
        }
        site.clock.advance(Duration::from_secs(seconds - 1));
        assert_eq!(site.get(&path).await.status, 404);
        assert_eq!(asked(), before + 1, "{path}");
        site.clock.advance(Duration::from_secs(1));
        assert_eq!(site.get(&path).await.status, 404);
        assert_eq!(asked(), before + 2, "{path}");
    }
    // Other things of that repository are not absent with it.
    site.pull("docker.io/library/app", "v1").await;
    origin.push_image("library/app", "v2", &image);
    site.clock.advance(LATER);
    assert_eq!(site.get(&manifest("v2")).await.status, 200);
}

/// A blob that its manifest names and upstream has lost is absent to HEAD too, once that is known.
#[tokio::test]
async fn a_lost_blob_is_absent_to_get_and_head() {
    let (origin, site, image) = stage(&[1_000]).await;
    let path = blob(&image.layers[0]);
    site.get(BY_TAG).await;
    origin.always("GET", BLOBS, status(404));
    assert_is(&site.get(&path).await, 404, "BLOB_UNKNOWN");
    assert_eq!(site.head(&path).await.status, 404);
}

/// PR-01: by digest the answer is what has the digest; by tag what upstream says of it is no proof.
#[tokio::test]
async fn a_lying_digest_header_convinces_nobody() {
    let (origin, site, image) = stage(&[10]).await;
    let lie = Digest::of(b"something else").to_string();
    let header = vec![("Docker-Content-Digest", Some(lie.clone()))];
    origin.always("GET", MANIFESTS, Fault::Headers(header));
    let by_tag = site.get(BY_TAG).await;
    assert_eq!(
        by_tag.header("docker-content-digest"),
        image.digest().to_string()
    );
    origin.heal();
    assert_is(&site.get(&manifest(lie)).await, 404, "MANIFEST_UNKNOWN");
}

/// PR-01: a document that names the digest it is asked for by, its own, has another one.
#[tokio::test]
async fn an_index_that_names_itself_is_refused() {
    let adjust = |rule: &mut entrepot::model::UpstreamRule| {
        rule.platforms = entrepot::model::PlatformPolicy::All;
    };
    let (origin, site, image) = stage_with(&[10], adjust, |_| {}).await;
    let digest = image.digest();
    let child = serde_json::json!({"mediaType": OCI_INDEX, "digest": digest, "size": 10});
    let itself = document(
        OCI_INDEX,
        &serde_json::json!({"schemaVersion": 2, "manifests": [child]}),
    );
    let lie = Fault::Content(OCI_INDEX, itself.bytes.clone());
    origin.always("GET", &format!("{MANIFESTS}{digest}"), lie);
    assert_is(&site.get(&manifest(digest)).await, 502, "UNAVAILABLE");
    // By a tag it is an index like any other, and what it says is at `digest` is not there.
    origin.push_manifest("library/app", Some("self"), &itself);
    assert_eq!(site.get(&manifest("self")).await.body, itself.bytes);
    assert_is(&site.get(&manifest(digest)).await, 502, "UNAVAILABLE");
    heal(&origin, &site).await;
    assert_eq!(site.get(&manifest(digest)).await.body, image.manifest.bytes);
}

/// A fault that passes is not seen by anybody.
#[tokio::test]
async fn a_passing_fault_is_repeated_away() {
    for fault in [status(500), Fault::HangUp, status(503)] {
        let (origin, site, _) = stage(&[LARGE]).await;
        origin.once("GET", MANIFESTS, fault.clone());
        origin.once("GET", BLOBS, fault);
        site.pull("docker.io/library/app", "v1").await;
    }
}
