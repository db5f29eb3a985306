//! Uploads at the door: every way in and every wrong turn.

use entrepot::model::ByteSize;
use entrepot::oci::{Algorithm, Digest};
use reqwest::Method;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::content::{self, Image};
use crate::harness::files;
use crate::harness::local::{REPOSITORY, Way, streamed, with_digest};
use crate::harness::site::{Answer, Site};
use crate::harness::soon;
use crate::harness::volume::Volume;

const UPLOADS: &str = "/v2/local/app/blobs/uploads/";

pub(super) fn blob_path(digest: &Digest) -> String {
    format!("/v2/{REPOSITORY}/blobs/{digest}")
}

/// Files of uploads that have not ended.
pub(super) fn unfinished(site: &Site) -> usize {
    let folder = site.config.data_dir.join("uploads");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fn assert_empty_answer(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.body.is_empty());
    if status != 204 {
        assert_eq!(answer.header("content-length"), "0");
    }
    assert_eq!(
        answer.header("docker-distribution-api-version"),
        "registry/2.0"
    );
}

#[tokio::test]
async fn a_blob_comes_in_by_every_way_under_every_algorithm() {
    let site = Site::local().await;
    let mut seed = 0;
    for way in Way::ALL {
        for algorithm in Algorithm::ALL {
            for len in [0, 1, 10_000, 300_000] {
                // What comes in pieces has some.
                if len == 0 && matches!(way, Way::Pieces | Way::PiecesAndPut) {
                    continue;
                }
                seed += 1;
                let bytes = content::bytes(seed, len);
                let digest = Digest::with(algorithm, &bytes);
                let answer = site.push_blob_by(way, REPOSITORY, &bytes, &digest).await;
                assert_empty_answer(&answer, 201);
                assert_eq!(answer.header("location"), blob_path(&digest), "{way:?}");
                assert_eq!(answer.header("docker-content-digest"), digest.to_string());
                let head = site.head(&blob_path(&digest)).await;
                assert_eq!(head.status, 200);
                assert_eq!(head.header("content-length"), len.to_string());
                assert_eq!(head.header("docker-content-digest"), digest.to_string());
                let pulled = site.get(&blob_path(&digest)).await;
                assert_eq!(pulled.body, bytes, "{way:?} {algorithm:?} {len}");
                assert_eq!(pulled.header("content-type"), "application/octet-stream");
            }
        }
    }
    assert_eq!(unfinished(&site), 0);
}

#[tokio::test]
async fn an_algorithm_that_is_named_first_is_the_one_that_is_hashed() {
    let site = Site::local().await;
    let bytes = content::bytes(1, 5000);
    for named in ["sha256", "sha512"] {
        for algorithm in Algorithm::ALL {
            let path = format!("{UPLOADS}?digest-algorithm={named}");
            let begun = site.send(Method::POST, &path, &[], "").await;
            assert_empty_answer(&begun, 202);
            let session = begun.header("location");
            assert_eq!(site.patch_stream(session, &bytes).await.status, 202);
            let digest = Digest::with(algorithm, &bytes);
            let ended = site.finish(session, digest, b"").await;
            assert_eq!(ended.status, 201, "{named} {algorithm:?}");
        }
    }
    let other = site
        .send(
            Method::POST,
            &format!("{UPLOADS}?digest-algorithm=md5"),
            &[],
            "",
        )
        .await;
    assert_eq!(
        (other.status.as_u16(), &*other.code()),
        (400, "DIGEST_INVALID")
    );
}

#[tokio::test]
async fn a_session_says_how_far_it_is() {
    let site = Site::local().await;
    for path in [UPLOADS, UPLOADS.trim_end_matches('/')] {
        let begun = site.send(Method::POST, path, &[], "a body of no use").await;
        assert_empty_answer(&begun, 202);
        assert_eq!(begun.header("range"), "0-0");
        assert!(!begun.header("docker-upload-uuid").is_empty());
        let session = begun.header("location");
        assert!(session.starts_with(UPLOADS), "{session}");
        assert_eq!(unfinished(&site), 0, "a session without a byte is free");
        let fresh = site.get(session).await;
        assert_empty_answer(&fresh, 204);
        assert_eq!(fresh.header("range"), "0-0");
    }
    let session = site.begin_upload(REPOSITORY).await;
    let patched = site.patch_at(&session, 0, &[7; 1000]).await;
    assert_empty_answer(&patched, 202);
    for method in [Method::GET, Method::HEAD] {
        let answer = site.send(method, &session, &[], "").await;
        assert_empty_answer(&answer, 204);
        assert_eq!(answer.header("range"), "0-999");
        assert_eq!(answer.header("location"), patched.header("location"));
        assert_eq!(
            answer.header("docker-upload-uuid"),
            patched.header("docker-upload-uuid")
        );
    }
    let odd = site.send(Method::POST, &session, &[], "").await;
    assert_eq!(odd.status, 405);
    assert_eq!(odd.header("allow"), "GET, HEAD, PATCH, PUT, DELETE");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let odd = site.send(method, UPLOADS, &[], "").await;
        assert_eq!((odd.status.as_u16(), odd.header("allow")), (405, "POST"));
    }
}

/// oci-registry 5.2: 416 with `Location` and `Range`, and the session is as it was (PR-12).
#[tokio::test]
async fn a_piece_out_of_order_is_refused_and_changes_nothing() {
    let site = Site::local().await;
    let bytes = content::bytes(3, 3000);
    let digest = Digest::of(&bytes);
    let session = site.begin_upload(REPOSITORY).await;
    let refused = |answer: Answer, len: usize| {
        assert_eq!(answer.status, 416, "{}", answer.text());
        assert_eq!(answer.code(), "BLOB_UPLOAD_INVALID");
        assert_eq!(
            answer.header("range"),
            format!("0-{}", len.saturating_sub(1))
        );
        assert_eq!(answer.header("location"), session);
    };
    refused(site.patch_at(&session, 1000, &bytes[1000..2000]).await, 0);
    assert_eq!(unfinished(&site), 0);
    assert_eq!(site.patch_at(&session, 0, &bytes[..1000]).await.status, 202);
    for start in [0, 999, 1001, 2000, 1 << 40] {
        refused(site.patch_at(&session, start, &bytes[..500]).await, 1000);
        let range = format!("{start}-{}", start + 499);
        let last = site
            .send(
                Method::PUT,
                &with_digest(&session, digest),
                &[("content-range", &range)],
                bytes.slice(..500),
            )
            .await;
        refused(last, 1000);
        assert_eq!(site.upload_len(&session).await, Some(1000));
    }
    assert_eq!(
        site.patch_at(&session, 1000, &bytes[1000..2000])
            .await
            .status,
        202
    );
    assert_eq!(
        site.finish(&session, digest, &bytes[2000..]).await.status,
        201
    );
    assert_eq!(site.get(&blob_path(&digest)).await.body, bytes);
}

#[tokio::test]
async fn a_length_that_is_not_the_stated_one_is_refused() {
    let site = Site::local().await;
    let session = site.begin_upload(REPOSITORY).await;
    for method in [Method::PATCH, Method::PUT] {
        let path = with_digest(&session, Digest::of(b""));
        for range in ["0-9", "0-1000", "0-0"] {
            let headers = [("content-range", range)];
            let stated = site
                .send(method.clone(), &path, &headers, vec![1; 100])
                .await;
            assert_eq!(stated.status, 400, "{range}");
            assert_eq!(stated.code(), "SIZE_INVALID");
        }
        for range in ["9-0", "-", "x-y", "-5", "bytes", "0-18446744073709551615"] {
            let headers = [("content-range", range)];
            let odd = site
                .send(method.clone(), &path, &headers, vec![1; 100])
                .await;
            assert_eq!(odd.status, 400, "{range}: {}", odd.text());
        }
        assert_eq!(site.upload_len(&session).await, Some(0));
    }
    // Without a declared length it is known at the end; what came is told, and can be gone on from.
    let headers = [("content-range", "0-9")];
    let longer = site
        .send(Method::PATCH, &session, &headers, streamed(&[1; 100]))
        .await;
    assert_eq!(
        (longer.status.as_u16(), &*longer.code()),
        (400, "SIZE_INVALID")
    );
    let len = site.upload_len(&session).await.unwrap();
    let whole = [1; 200];
    let rest = site.patch_at(&session, len, &whole[len..]).await;
    assert_eq!(rest.status, 202);
    let ended = site.finish(&session, Digest::of(&whole), b"").await;
    assert_eq!(ended.status, 201);
}

/// Docker says `bytes a-b/total` of other things; some clients say it here.
#[tokio::test]
async fn a_range_may_be_written_as_http_writes_it() {
    let site = Site::local().await;
    let session = site.begin_upload(REPOSITORY).await;
    for range in ["bytes 0-9/20", "bytes 10-19/*"] {
        let headers = [("content-range", range)];
        let answer = site
            .send(Method::PATCH, &session, &headers, vec![5; 10])
            .await;
        assert_eq!(answer.status, 202, "{range}: {}", answer.text());
    }
    let ended = site.finish(&session, Digest::of(&[5; 20]), b"").await;
    assert_eq!(ended.status, 201);
}

/// PR-01: what is not what it says is nowhere, by every way, under every algorithm; and nothing is left.
#[tokio::test]
async fn bytes_of_another_digest_are_refused_on_every_way() {
    let site = Site::local().await;
    for (seed, way) in (100..).zip(Way::ALL) {
        for algorithm in Algorithm::ALL {
            let bytes = content::bytes(seed, 5000);
            let wrong = Digest::with(algorithm, b"something else");
            let answer = site.push_blob_by(way, REPOSITORY, &bytes, &wrong).await;
            assert_eq!(answer.status, 400, "{way:?}");
            assert_eq!(answer.code(), "DIGEST_INVALID");
            for digest in [wrong, Digest::with(algorithm, &bytes)] {
                assert_eq!(site.head_status(&blob_path(&digest)).await, 404);
            }
        }
    }
    assert_eq!(unfinished(&site), 0);
    assert_eq!(files::bytes(&site.config.data_dir), 0);
    assert_eq!(site.registry().ledger().used(namespace(&site).await), 0);
}

pub(super) async fn namespace(site: &Site) -> entrepot::model::NamespaceId {
    let name = "local".parse().unwrap();
    site.registry().namespace(&name).await.unwrap().unwrap().0
}

/// PR-03: no digest but one of the grammar is looked at.
#[tokio::test]
async fn a_digest_that_is_none_is_refused_before_anything_is_kept() {
    let site = Site::local().await;
    let hex = Digest::of(b"x").hex().to_string();
    for digest in [
        String::new(),
        "sha256:".to_owned(),
        format!("md5:{}", &hex[..32]),
        format!("SHA256:{hex}"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha512:{hex}"),
        format!("sha256:{hex}%0a"),
        "sha256:..%2F..%2Fetc".to_owned(),
        format!("sha256%253A{hex}"),
    ] {
        let path = with_digest(UPLOADS, &digest);
        let whole = site.send(Method::POST, &path, &[], "x").await;
        let session = site.begin_upload(REPOSITORY).await;
        let ended = site.finish(&session, &digest, b"x").await;
        for answer in [whole, ended] {
            assert_eq!(answer.status, 400, "{digest}: {}", answer.text());
            assert_eq!(answer.code(), "DIGEST_INVALID", "{digest}");
        }
        assert_eq!(site.upload_len(&session).await, Some(0), "{digest}");
    }
    let session = site.begin_upload(REPOSITORY).await;
    let none = site.send(Method::PUT, &session, &[], "x").await;
    assert_eq!(none.code(), "DIGEST_INVALID");
    let escaped = format!("sha256%3A{hex}");
    assert_eq!(site.finish(&session, escaped, b"x").await.status, 201);
}

#[tokio::test]
async fn what_has_ended_is_unknown() {
    let site = Site::local().await;
    let bytes = content::bytes(9, 2000);
    let digest = Digest::of(&bytes);
    let cancelled = site.begin_upload(REPOSITORY).await;
    site.patch_at(&cancelled, 0, &bytes).await;
    assert_empty_answer(&site.delete(&cancelled).await, 204);
    let unused = site.begin_upload(REPOSITORY).await;
    assert_empty_answer(&site.delete(&unused).await, 204);
    let finished = site.begin_upload(REPOSITORY).await;
    assert_eq!(site.finish(&finished, digest, &bytes).await.status, 201);
    let failed = site.begin_upload(REPOSITORY).await;
    assert_eq!(site.finish(&failed, digest, b"other").await.status, 400);
    let elsewhere = site
        .begin_upload(REPOSITORY)
        .await
        .replace("/app/", "/other/");
    let made_up = format!("{UPLOADS}abcdef");
    for session in [cancelled, unused, finished, failed, elsewhere, made_up] {
        let answers = [
            site.get(&session).await,
            site.patch_at(&session, 0, &bytes).await,
            site.finish(&session, digest, &bytes).await,
            site.delete(&session).await,
        ];
        for answer in answers {
            assert_eq!(answer.status, 404, "{}", answer.text());
            assert_eq!(answer.code(), "BLOB_UPLOAD_UNKNOWN");
        }
    }
    assert_eq!(unfinished(&site), 0);
    assert_eq!(site.get(&blob_path(&digest)).await.body, bytes);
}

/// PR-17, CR-07: a session that nobody goes on with ends with its bytes.
#[tokio::test]
async fn an_upload_that_rests_too_long_is_gone_with_its_bytes() {
    let site = Site::local().await;
    let idle = site.begin_upload(REPOSITORY).await;
    let session = site.begin_upload(REPOSITORY).await;
    site.patch_at(&session, 0, &[1; 5000]).await;
    let folder = site.config.data_dir.join("uploads");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    // The file's own time is the system's; here it is the site's.
    let written = std::time::UNIX_EPOCH
        + std::time::Duration::from_millis(site.clock.now().as_millis().try_into().unwrap());
    let handle = std::fs::File::options().append(true).open(file.path());
    handle.unwrap().set_modified(written).unwrap();
    let rest = site.config.retention.upload_expiry;
    let minute = std::time::Duration::from_secs(60);
    site.clock.advance(rest - minute);
    assert_eq!(site.registry().expire_uploads().await.unwrap().uploads, 0);
    assert_eq!(site.upload_len(&session).await, Some(5000));
    assert_eq!(site.upload_len(&idle).await, Some(0));
    site.clock.advance(2 * minute);
    let expired = site.registry().expire_uploads().await.unwrap();
    assert_eq!((expired.uploads, expired.bytes), (1, 5000));
    assert_eq!(unfinished(&site), 0);
    for session in [&idle, &session] {
        assert_eq!(site.upload_len(session).await, None);
        assert_eq!(site.patch_at(session, 0, &[1; 5]).await.status, 404);
    }
    assert_eq!(site.registry().ledger().used(namespace(&site).await), 0);
}

/// oci-registry 5.4: a mount that fails is a session; one that works is a blob.
#[tokio::test]
async fn a_mount_gives_the_blob_or_a_session() {
    let site = Site::local().await;
    let bytes = content::bytes(2, 3000);
    let digest = site.push_blob("local/from", &bytes).await;
    for (to, query) in [
        ("local/one", format!("mount={digest}&from=local/from")),
        ("local/two", format!("mount={digest}")),
        (
            "local/three",
            format!("mount={digest}&from=local%2Ffrom&origin=x"),
        ),
        ("local/from", format!("mount={digest}&from=local/from")),
    ] {
        let path = format!("/v2/{to}/blobs/uploads/?{query}");
        let answer = site.send(Method::POST, &path, &[], "").await;
        assert_empty_answer(&answer, 201);
        let blob = format!("/v2/{to}/blobs/{digest}");
        assert_eq!(answer.header("location"), blob);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(site.get(&blob).await.body, bytes);
    }
    let missing = Digest::of(b"missing");
    for query in [
        format!("mount={missing}&from=local/from"),
        format!("mount={missing}"),
        format!("mount={digest}&from=local/nowhere"),
        format!("mount={digest}&from=nobody/nowhere"),
        format!("mount={digest}&from=..%2F.."),
        "mount=sha256:x&from=local/from".to_owned(),
        "mount=".to_owned(),
    ] {
        let path = format!("/v2/local/four/blobs/uploads/?{query}");
        let answer = site.send(Method::POST, &path, &[], "").await;
        assert_empty_answer(&answer, 202);
        let session = answer.header("location");
        let ended = site.finish(session, Digest::of(b"y"), b"y").await;
        assert_eq!(ended.status, 201, "{query}");
    }
    let hidden = format!("/v2/local/four/blobs/{digest}");
    assert_eq!(site.head_status(&hidden).await, 404);
    let file = files::blob(&site.config.data_dir, &digest);
    assert_eq!(std::fs::metadata(file).unwrap().len(), 3000);
}

/// DO-04
#[tokio::test]
async fn a_body_that_would_have_to_be_decoded_is_refused() {
    let site = Site::local().await;
    let session = site.begin_upload(REPOSITORY).await;
    let digest = Digest::of(b"x");
    let manifest = format!("/v2/{REPOSITORY}/manifests/v1");
    for coding in ["gzip", "zstd", "gzip, identity", "x"] {
        let headers = [("content-encoding", coding)];
        for (method, path) in [
            (Method::POST, with_digest(UPLOADS, digest)),
            (Method::PATCH, session.clone()),
            (Method::PUT, with_digest(&session, digest)),
            (Method::PUT, manifest.clone()),
        ] {
            let answer = site.send(method, &path, &headers, "x").await;
            assert_eq!(answer.status, 415, "{path}: {}", answer.text());
            assert_eq!(answer.code(), "UNSUPPORTED");
            assert_eq!(answer.header("accept-encoding"), "identity");
        }
    }
    let path = with_digest(&session, digest);
    let headers = [("content-encoding", "identity")];
    let plain = site.send(Method::PUT, &path, &headers, "x").await;
    assert_eq!(plain.status, 201);
}

#[tokio::test]
async fn a_client_that_expects_a_word_gets_it_or_a_refusal() {
    let site = Site::local().await;
    let session = site.begin_upload(REPOSITORY).await;
    let expecting = |path: &str, range: &str| {
        format!(
            "PATCH {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
             Content-Range: {range}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(site.address()).await.unwrap();
    let head = expecting(&session, "0-4");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut word = [0; 25];
    soon("100", stream.read_exact(&mut word)).await.unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 12];
    soon("202", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 202");
    // Refused without a byte of the body being asked for.
    let gone = format!("{UPLOADS}abc");
    let mut stream = TcpStream::connect(site.address()).await.unwrap();
    let head = expecting(&gone, "0-4");
    stream.write_all(head.as_bytes()).await.unwrap();
    soon("404", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
}

#[tokio::test]
async fn a_blob_over_the_bound_is_refused_and_one_of_it_is_not() {
    let site = Site::local_with(|config| config.pushes.maximum_layer = ByteSize::mib(1)).await;
    let most = content::bytes(1, 1 << 20);
    let over = content::bytes(2, (1 << 20) + 1);
    for way in [Way::Post, Way::Put] {
        let digest = Digest::of(&over);
        let answer = site.push_blob_by(way, REPOSITORY, &over, &digest).await;
        assert_eq!(answer.status, 413, "{way:?}");
        assert_eq!(answer.code(), "SIZE_INVALID");
        let text = answer.text().to_owned();
        assert!(text.contains("MAXIMUM_LAYER_SIZE"), "{text}");
    }
    let session = site.begin_upload(REPOSITORY).await;
    assert_eq!(site.patch_stream(&session, &over).await.status, 413);
    let session = site.begin_upload(REPOSITORY).await;
    let half = most.slice(..600_000);
    assert_eq!(site.patch_at(&session, 0, &half).await.status, 202);
    assert_eq!(site.patch_at(&session, 600_000, &half).await.status, 413);
    assert_eq!(site.upload_len(&session).await, Some(600_000));
    let rest = &most[600_000..];
    let ended = site.finish(&session, Digest::of(&most), rest).await;
    assert_eq!(ended.status, 201, "{}", ended.text());
}

/// DK-01, DK-03: a full disk is told of, keeps nothing of what did not fit, and costs nothing else.
#[tokio::test]
async fn an_upload_that_fills_the_disk_loses_nothing_else() {
    let folder = tempfile::Builder::new()
        .prefix("entrepot-")
        .tempdir()
        .unwrap();
    let Some((site, volume)) = small_volume(&folder).await else {
        return;
    };
    let image = Image::with_layers(1, &[100_000]);
    site.push_image(REPOSITORY, "v1", &image).await;
    let large = content::bytes(7, 24 << 20);
    let digest = Digest::of(&large);
    for way in [Way::Post, Way::Put] {
        let answer = site.push_blob_by(way, REPOSITORY, &large, &digest).await;
        assert!([503, 507].contains(&answer.status.as_u16()), "{way:?}");
        assert_eq!(answer.code(), "UNAVAILABLE");
    }
    let session = site.begin_upload(REPOSITORY).await;
    volume.fill(3 << 20);
    let answer = site.patch_stream(&session, &large).await;
    assert!([503, 507].contains(&answer.status.as_u16()));
    assert_eq!(site.head_status(&blob_path(&digest)).await, 404);
    site.pull(REPOSITORY, "v1").await;
    let gone = site.delete(&format!("/v2/{REPOSITORY}/manifests/v1")).await;
    assert_eq!(gone.status, 202);
    volume.clear();
    if site.upload_len(&session).await.is_some() {
        assert_eq!(site.delete(&session).await.status, 204);
    }
    assert_eq!(unfinished(&site), 0);
    let small = content::bytes(8, 1 << 20);
    site.push_blob(REPOSITORY, &small).await;
    assert!(!site.registry().store().failed());
}

async fn small_volume(folder: &TempDir) -> Option<(Site, Volume)> {
    let data = folder.path().join("data");
    let volume = Volume::mount(&data, 20 << 20, 2000)?;
    let site = Site::local_with(|config| {
        config.data_dir = data;
        config.disk_reserve = Some(ByteSize::mib(2));
    })
    .await;
    Some((site, volume))
}
