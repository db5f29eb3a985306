//! Manifests at the door: what is taken, byte for byte, and what is refused and why.

use std::collections::{BTreeMap, BTreeSet};

use entrepot::config::Artifacts;
use entrepot::oci::{Algorithm, Digest, MediaType};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::content::{
    self, DOCKER_MANIFEST, Document, Image, OCI_INDEX, OCI_MANIFEST, document,
};
use crate::harness::local::{REPOSITORY, Way};
use crate::harness::site::{Answer, Site};

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn path(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

fn named(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

async fn put(site: &Site, tag: &str, content_type: Option<&str>, bytes: &[u8]) -> Answer {
    let headers = content_type.map(|text| [("content-type", text)]);
    let headers = headers.as_ref().map_or(&[][..], |headers| &headers[..]);
    site.send(Method::PUT, &path(tag), headers, bytes.to_vec())
        .await
}

fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(answer.code(), code, "{what}");
}

/// PR-05, PR-06: bytes and type go out as they came in, however odd they are written.
#[tokio::test]
async fn a_manifest_is_kept_to_the_byte_with_its_type() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    let value: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    let mut untyped = value.clone();
    untyped.as_object_mut().unwrap().remove("mediaType");
    let spaced = format!("\n\t{}\r\n ", serde_json::to_string_pretty(&value).unwrap());
    let untyped = untyped.to_string();
    let charset = format!("{OCI_MANIFEST}; charset=utf-8");
    for (bytes, sent, kept) in [
        (&spaced, Some(OCI_MANIFEST), OCI_MANIFEST),
        (&spaced, Some(&*charset), OCI_MANIFEST),
        (&spaced, None, OCI_MANIFEST),
        (&spaced, Some("application/json"), OCI_MANIFEST),
        (&spaced, Some("text/plain"), OCI_MANIFEST),
        (&spaced, Some("application/octet-stream"), OCI_MANIFEST),
        (&untyped, None, OCI_MANIFEST),
        (&untyped, Some("application/json"), OCI_MANIFEST),
        (&untyped, Some(OCI_MANIFEST), OCI_MANIFEST),
        (&untyped, Some(DOCKER_MANIFEST), DOCKER_MANIFEST),
    ] {
        let tag = "odd";
        let pushed = put(&site, tag, sent, bytes.as_bytes()).await;
        assert_eq!(pushed.status, 201, "{sent:?}: {}", pushed.text());
        let digest = Digest::of(bytes.as_bytes());
        assert_eq!(pushed.header("docker-content-digest"), digest.to_string());
        for reference in [tag.to_owned(), digest.to_string()] {
            let pulled = site.get(&path(reference)).await;
            assert_eq!(pulled.text(), bytes);
            assert_eq!(pulled.header("content-type"), kept, "{sent:?}");
        }
    }
}

#[tokio::test]
async fn a_manifest_is_named_by_either_algorithm() {
    let site = Site::local().await;
    for (seed, algorithm) in (1..).zip(Algorithm::ALL) {
        let image = Image::small(seed);
        for blob in image.blobs() {
            site.push_blob(REPOSITORY, blob).await;
        }
        let digest = Digest::with(algorithm, &image.manifest.bytes);
        let wrong = Digest::with(algorithm, b"other");
        let refused = site.put_manifest(REPOSITORY, wrong, &image.manifest).await;
        assert_refused(&refused, 400, "DIGEST_INVALID", "another digest");
        assert_eq!(site.head_status(&path(wrong)).await, 404);
        assert_eq!(site.head_status(&path(digest)).await, 404);
        let tagged = format!("{digest}?tag=t{seed}");
        let pushed = site
            .push_manifest(REPOSITORY, tagged, &image.manifest)
            .await;
        assert_eq!(pushed.header("docker-content-digest"), digest.to_string());
        assert_eq!(pushed.header("location"), path(digest));
        for reference in [digest.to_string(), format!("t{seed}")] {
            let pulled = site.get(&path(reference)).await;
            assert_eq!(pulled.body, image.manifest.bytes);
            assert_eq!(pulled.header("docker-content-digest"), digest.to_string());
        }
    }
    let image = Image::small(1);
    for bad in ["sha256:baddigeststring", "sha256:", "md5:0123", "sha384:00"] {
        let refused = site.put_manifest(REPOSITORY, bad, &image.manifest).await;
        assert_refused(&refused, 400, "DIGEST_INVALID", bad);
    }
}

/// PR-05: two readings or two types. PR-06: what parsers read differently.
#[tokio::test]
async fn an_ambiguous_document_is_refused() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    let whole = String::from_utf8(image.manifest.bytes.to_vec()).unwrap();
    let open = whole.trim_end_matches('}');
    let with = |more: &str| format!("{open}{more}}}");
    let config = named(OCI_CONFIG, &image.config);
    let documents = [
        with(r#","manifests":[]"#),
        with(r#","fsLayers":[]"#),
        with(r#","blobs":[]"#),
        with(r#","layers":[]"#),
        with(r#","Layers":[]"#),
        with(r#","mediaType":"application/vnd.oci.image.index.v1+json""#),
        with(r#","\u006dediaType":"application/vnd.oci.image.index.v1+json""#),
        with(r#","config":null"#),
        with(r#","schemaVersion":2"#),
        with(r#","SCHEMAVERSION":1"#),
        format!("\u{feff}{whole}"),
        format!("{whole}{{}}"),
        format!("{whole}\0"),
        format!("{whole},"),
        format!("//x\n{whole}"),
        whole.replace(':', "="),
        whole[..whole.len() - 1].to_owned(),
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "\"x\"".to_owned(),
        r#"{"schemaVersion":2,"layers":[]}"#.to_owned(),
        r#"{"schemaVersion":2,"manifests":{}}"#.to_owned(),
        r#"{"schemaVersion":2,"manifests":[null]}"#.to_owned(),
        r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","size":1}]}"#.to_owned(),
        format!(r#"{{"schemaVersion":3,"config":{config},"layers":[]}}"#),
        format!(r#"{{"schemaVersion":"2","config":{config},"layers":[]}}"#),
        format!(r#"{{"config":{config},"layers":[]}}"#),
        format!(
            r#"{{"schemaVersion":2,"manifests":[],"x":{}{}}}"#,
            "[".repeat(100),
            "]".repeat(100)
        ),
    ];
    for text in &documents {
        for content_type in [None, Some("application/json")] {
            let answer = put(&site, "bad", content_type, text.as_bytes()).await;
            assert_refused(&answer, 400, "MANIFEST_INVALID", text);
        }
    }
    let mut latin = with(r#","x":"?""#).into_bytes();
    let at = latin.iter().rposition(|byte| *byte == b'?').unwrap();
    latin[at] = 0xe9;
    let answer = put(&site, "bad", Some(OCI_MANIFEST), &latin).await;
    assert_refused(&answer, 400, "MANIFEST_INVALID", "latin");
    for other in [
        DOCKER_MANIFEST,
        OCI_INDEX,
        DOCKER_LIST,
        "text/html",
        "image/png",
    ] {
        let answer = put(&site, "bad", Some(other), whole.as_bytes()).await;
        assert_refused(&answer, 400, "MANIFEST_INVALID", other);
    }
    assert_eq!(site.tags(REPOSITORY).await, ["v1"]);
}

#[tokio::test]
async fn schema_1_is_refused_with_a_word_of_what_to_do() {
    let site = Site::local().await;
    let text = r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[]}"#;
    for content_type in [
        None,
        Some("application/vnd.docker.distribution.manifest.v1+json"),
        Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ] {
        let answer = put(&site, "v1", content_type, text.as_bytes()).await;
        assert_refused(&answer, 400, "MANIFEST_INVALID", "schema 1");
        let message = answer.json()["errors"][0]["message"].to_string();
        assert!(message.contains("schema 1"), "{message}");
        assert!(message.contains("schema 2 or OCI"), "{message}");
    }
}

/// PR-08: images name only what the repository has, unless the operator says otherwise.
#[tokio::test]
async fn an_image_without_a_blob_is_refused_unless_sparse_images_are_allowed() {
    let image = Image::small(1);
    let site = Site::local().await;
    site.push_blob(REPOSITORY, &image.config).await;
    // The same bytes in another repository are not these.
    site.push_blob("local/other", &image.layers[0]).await;
    let refused = site.put_manifest(REPOSITORY, "v1", &image.manifest).await;
    assert_refused(&refused, 400, "MANIFEST_BLOB_UNKNOWN", "no layer");
    let missing = Digest::of(&image.layers[0]).to_string();
    assert!(refused.text().contains(&missing));
    assert_eq!(site.head_status(&path("v1")).await, 404);
    assert_eq!(site.head_status(&path(image.digest())).await, 404);
    let sparse = Site::local_with(|config| config.pushes.sparse_images = true).await;
    sparse
        .push_manifest(REPOSITORY, "v1", &image.manifest)
        .await;
    assert_eq!(
        sparse.get(&path("v1")).await.body,
        image.manifest.bytes,
        "it is served"
    );
    let blob = format!("/v2/{REPOSITORY}/blobs/{missing}");
    assert_eq!(sparse.head_status(&blob).await, 404);
}

#[tokio::test]
async fn an_index_may_be_sparse_unless_the_operator_says_otherwise() {
    let (one, two) = (Image::small(1), Image::small(2));
    let index = content::index(&[(&one, "amd64"), (&two, "arm64")]);
    let site = Site::local().await;
    site.push_image(REPOSITORY, one.digest(), &one).await;
    site.push_manifest(REPOSITORY, "v1", &index).await;
    assert_eq!(site.get(&path("v1")).await.body, index.bytes);
    assert_eq!(site.head_status(&path(two.digest())).await, 404);
    let strict = Site::local_with(|config| config.pushes.sparse_indexes = false).await;
    strict.push_image(REPOSITORY, one.digest(), &one).await;
    let refused = strict.put_manifest(REPOSITORY, "v1", &index).await;
    assert_refused(&refused, 400, "MANIFEST_BLOB_UNKNOWN", "no child");
    assert!(refused.text().contains(&two.digest().to_string()));
    strict.push_image(REPOSITORY, two.digest(), &two).await;
    strict.push_manifest(REPOSITORY, "v1", &index).await;
    let deleted = strict.delete(&path(two.digest())).await;
    assert_eq!(deleted.status, 202, "a child may be deleted");
    assert_eq!(strict.get(&path("v1")).await.body, index.bytes);
    let refused = strict.put_manifest(REPOSITORY, "v2", &index).await;
    assert_refused(&refused, 400, "MANIFEST_BLOB_UNKNOWN", "a deleted child");
}

/// PR-09: a size that is not that of the content makes the image one that no engine can pull.
#[tokio::test]
async fn sizes_are_those_of_the_content() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    let value: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    for part in ["/config/size", "/layers/0/size"] {
        for wrong in [0_u64, 1023, 1025, 1 << 40] {
            let mut changed = value.clone();
            *changed.pointer_mut(part).unwrap() = json!(wrong);
            let changed = document(OCI_MANIFEST, &changed);
            let refused = site.put_manifest(REPOSITORY, "bad", &changed).await;
            assert_refused(&refused, 400, "MANIFEST_INVALID", part);
        }
    }
    let index = content::index(&[(&image, "amd64")]);
    let value: Value = serde_json::from_slice(&index.bytes).unwrap();
    let mut changed = value;
    changed["manifests"][0]["size"] = json!(image.manifest.bytes.len() + 1);
    let refused = site
        .put_manifest(REPOSITORY, "bad", &document(OCI_INDEX, &changed))
        .await;
    assert_refused(&refused, 400, "MANIFEST_INVALID", "a child's size");
    assert_eq!(site.tags(REPOSITORY).await, ["v1"]);
}

/// PR-09: foreign layers are neither asked for nor fetched.
#[tokio::test]
async fn foreign_layers_may_be_absent() {
    let site = Site::local().await;
    for (seed, media_type) in (1..).zip([
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        OCI_LAYER,
    ]) {
        let mut image = Image::small(seed);
        let canary = site.url("/foreign");
        image.add_layer(media_type, b"elsewhere", &[&canary]);
        let tag = format!("v{seed}");
        site.push_image(REPOSITORY, &tag, &image).await;
        let pulled = site.pull(REPOSITORY, &tag).await;
        assert_eq!(pulled.body, image.manifest.bytes);
        let absent = format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(b"elsewhere"));
        assert_eq!(site.head_status(&absent).await, 404);
    }
}

/// SC-191, oci-registry section 2: whatever clients push that is well formed.
#[tokio::test]
async fn every_shape_that_clients_make_is_taken() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "image", &image).await;
    site.push_blob(REPOSITORY, b"{}").await;
    let empty = named(EMPTY, b"{}");
    let mut with_data = empty.clone();
    with_data["data"] = json!("e30=");
    let layer = named(OCI_LAYER, &image.layers[0]);
    let child = named(OCI_MANIFEST, &image.manifest.bytes);
    let nested = content::index(&[(&image, "amd64")]);
    site.push_manifest(REPOSITORY, nested.digest(), &nested)
        .await;
    let nested = named(OCI_INDEX, &nested.bytes);
    let oci = |config: &Value, layers: Value, artifact_type: Option<&str>| {
        let mut value = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers,
        });
        if let Some(artifact_type) = artifact_type {
            value["artifactType"] = json!(artifact_type);
        }
        document(OCI_MANIFEST, &value)
    };
    let index = |children: Value| {
        document(
            OCI_INDEX,
            &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}),
        )
    };
    let own = named("application/vnd.example.thing.config.v7+json", b"{}");
    let helm = named("application/vnd.cncf.helm.config.v1+json", b"{}");
    let shapes: Vec<(&str, Document)> = vec![
        ("empty", oci(&empty, json!([empty]), Some("a/b"))),
        ("data", oci(&with_data, json!([with_data]), Some("a/b"))),
        ("no-layers", oci(&own, json!([]), None)),
        (
            "own-types",
            oci(&own, json!([named("x/y", b"{}"), layer]), None),
        ),
        ("helm", oci(&helm, json!([layer]), None)),
        ("twice", oci(&empty, json!([layer, layer]), Some("a/b"))),
        ("no-children", index(json!([]))),
        ("nested", index(json!([nested, child]))),
        ("cache", index(json!([layer, named("x/cache", b"{}")]))),
        ("same", index(json!([child, child]))),
    ];
    for (tag, shape) in &shapes {
        site.push_manifest(REPOSITORY, tag, shape).await;
        let pulled = site.get(&path(tag)).await;
        assert_eq!(pulled.body, shape.bytes, "{tag}");
        assert_eq!(pulled.header("content-type"), shape.media_type);
    }
    // Deleting what a BuildKit cache is made of would break it.
    let deleted = site.delete(&path("image")).await;
    assert_eq!(deleted.status, 202);
    let layer = format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(&image.layers[0]));
    assert_eq!(site.delete(&layer).await.status, 405);
}

#[tokio::test]
async fn many_tags_come_with_one_push() {
    let site = Site::local().await;
    let image = Image::small(1);
    for blob in image.blobs() {
        site.push_blob(REPOSITORY, blob).await;
    }
    let digest = image.digest();
    let names: Vec<String> = (0..100).map(|n| format!("t{n:02}")).collect();
    let query = format!("{digest}?tag={}", names.join("&tag="));
    let pushed = site.push_manifest(REPOSITORY, query, &image.manifest).await;
    let told: Vec<&str> = pushed
        .headers
        .get_all("oci-tag")
        .iter()
        .flat_map(|line| line.to_str().unwrap().split(','))
        .map(str::trim)
        .collect();
    assert_eq!(told, names);
    assert_eq!(site.tags(REPOSITORY).await, names);
    let plain = site.push_manifest(REPOSITORY, "x", &image.manifest).await;
    assert_eq!(plain.header("oci-tag"), "");
    let escaped = format!("{digest}?tag=%61&tag=a&ns=");
    let twice = site
        .push_manifest(REPOSITORY, escaped, &image.manifest)
        .await;
    assert_eq!(twice.header("oci-tag"), "a");
    let before = site.tags(REPOSITORY).await;
    for (tags, status) in [
        (vec!["good", ".bad"], 400),
        (vec!["good", ""], 400),
        (vec!["a%2Fb"], 400),
        (vec!["a%0ab"], 400),
        (vec![&*"x".repeat(129)], 400),
        (
            names
                .iter()
                .map(String::as_str)
                .chain(["one-more"])
                .collect(),
            414,
        ),
    ] {
        let query = format!("{digest}?tag={}", tags.join("&tag="));
        let refused = site.put_manifest(REPOSITORY, query, &image.manifest).await;
        assert_refused(&refused, status, "TAG_INVALID", tags[0]);
    }
    assert_eq!(site.tags(REPOSITORY).await, before, "all or none");
    let long = "y".repeat(128);
    site.push_manifest(REPOSITORY, &long, &image.manifest).await;
    for bad in [".x", "-x", &"y".repeat(129), "a%20b"] {
        let refused = site.put_manifest(REPOSITORY, bad, &image.manifest).await;
        assert_refused(&refused, 400, "TAG_INVALID", bad);
        assert_eq!(site.get(&path(bad)).await.status, 404, "a pull of it");
    }
}

/// RFC 9110 §13.1: what a client expects of a tag decides about its push.
#[tokio::test]
async fn a_push_may_depend_on_what_the_tag_is() {
    let site = Site::local().await;
    let (one, two) = (Image::small(1), Image::small(2));
    site.push_image(REPOSITORY, "v1", &one).await;
    site.push_image(REPOSITORY, "v2", &two).await;
    let put = async |tag: &str, image: &Image, name: &str, value: &str| {
        let headers = [(name, value), ("content-type", OCI_MANIFEST)];
        let body = image.manifest.bytes.clone();
        let answer = site.send(Method::PUT, &path(tag), &headers, body).await;
        answer.status.as_u16()
    };
    let (first, second) = (
        format!("\"{}\"", one.digest()),
        format!("\"{}\"", two.digest()),
    );
    assert_eq!(put("v1", &two, "if-none-match", "*").await, 412);
    assert_eq!(put("v1", &two, "if-match", &second).await, 412);
    assert_eq!(put("new", &two, "if-match", &first).await, 412);
    assert_eq!(put("new", &two, "if-match", "*").await, 412);
    assert_eq!(put("v1", &two, "if-match", "\"x\"").await, 412);
    assert_eq!(site.tags(REPOSITORY).await, ["v1", "v2"]);
    assert_eq!(site.get(&path("v1")).await.body, one.manifest.bytes);
    assert_eq!(put("new", &two, "if-none-match", "*").await, 201);
    let either = format!("{second}, {first}");
    assert_eq!(put("v1", &two, "if-match", &either).await, 201);
    assert_eq!(put("v1", &one, "if-match", "*").await, 201);
    let bare = one.digest().to_string();
    assert_eq!(put("v1", &two, "if-match", &bare).await, 201);
    assert_eq!(site.get(&path("v1")).await.body, two.manifest.bytes);
}

#[tokio::test]
async fn methods_that_a_path_lacks_are_told_with_those_it_has() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    let layer = Digest::of(&image.layers[0]);
    for (method, path, allow) in [
        (Method::POST, path("v1"), "GET, HEAD, PUT, DELETE"),
        (Method::PATCH, path("v1"), "GET, HEAD, PUT, DELETE"),
        (
            Method::PUT,
            format!("/v2/{REPOSITORY}/blobs/{layer}"),
            "GET, HEAD, DELETE",
        ),
        (
            Method::DELETE,
            format!("/v2/{REPOSITORY}/blobs/{layer}"),
            "GET, HEAD",
        ),
        (
            Method::POST,
            format!("/v2/{REPOSITORY}/tags/list"),
            "GET, HEAD",
        ),
        (
            Method::DELETE,
            format!("/v2/{REPOSITORY}/referrers/{layer}"),
            "GET, HEAD",
        ),
        (Method::PUT, "/v2/".to_owned(), "GET, HEAD"),
        (Method::DELETE, "/v2/_catalog".to_owned(), "GET, HEAD"),
    ] {
        let answer = site.send(method.clone(), &path, &[], "").await;
        assert_refused(&answer, 405, "UNSUPPORTED", &path);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

/// SC-193: without any key everything is taken; `OCI-Subject` tells that referrers are listed here, for
/// images and indexes, whether the subject is there or not.
#[tokio::test]
async fn a_subject_is_told_back() {
    let site = Site::local().await;
    site.push_blob(REPOSITORY, b"{}").await;
    let image = Image::small(1);
    let signature = content::referrer(&image.manifest, "a/signature");
    let mut index: Value = serde_json::from_slice(&content::index(&[]).bytes).unwrap();
    index["subject"] = named(OCI_MANIFEST, &image.manifest.bytes);
    let index = document(OCI_INDEX, &index);
    for round in 0..2 {
        for referrer in [&signature, &index] {
            for reference in [referrer.digest().to_string(), format!("t{round}")] {
                let pushed = site.push_manifest(REPOSITORY, reference, referrer).await;
                assert_eq!(pushed.header("oci-subject"), image.digest().to_string());
            }
        }
        let plain = site.push_image(REPOSITORY, "v1", &image).await;
        assert_eq!(plain.header("oci-subject"), "");
    }
}

fn media(text: &str) -> MediaType {
    text.parse().unwrap()
}

/// SC-201, SC-202: with a list, what it names and images, and nothing else.
#[tokio::test]
async fn listed_artifact_types_are_taken_and_others_are_not() {
    let sif = (
        "application/vnd.sylabs.sif.config.v1+json",
        "application/vnd.sylabs.sif.layer.v1.sif",
    );
    let helm = (
        "application/vnd.cncf.helm.config.v1+json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    );
    let listed = |types: &[(&str, &str)]| -> BTreeMap<MediaType, BTreeSet<MediaType>> {
        let entry = |(config, layer): &(&str, &str)| (media(config), [media(layer)].into());
        types.iter().map(entry).collect()
    };
    let of = |(config, layer): (&str, &str)| {
        document(
            OCI_MANIFEST,
            &json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": named(config, b"{}"), "layers": [named(layer, b"{}")],
            }),
        )
    };
    for (types, sif_status, helm_status) in [
        (&[][..], 415, 415),
        (&[sif][..], 201, 415),
        (&[sif, helm][..], 201, 201),
    ] {
        let types = Artifacts::Listed(listed(types));
        let site = Site::local_with(|config| config.pushes.artifacts = types).await;
        site.push_blob(REPOSITORY, b"{}").await;
        for (kind, status) in [(sif, sif_status), (helm, helm_status)] {
            let answer = site.put_manifest(REPOSITORY, "v1", &of(kind)).await;
            assert_eq!(answer.status, status, "{}", answer.text());
            if status == 415 {
                assert_eq!(answer.code(), "MANIFEST_INVALID");
                assert!(answer.text().contains(kind.0), "{}", answer.text());
            }
        }
        let mixed = site
            .put_manifest(REPOSITORY, "v1", &of((sif.0, helm.1)))
            .await;
        assert_eq!(mixed.status, 415);
        site.push_image(REPOSITORY, "image", &Image::small(1)).await;
    }
}

/// SC-203: OCI can be switched off; Docker's images stay.
#[tokio::test]
async fn without_oci_support_only_docker_images_are_taken() {
    let site = Site::local_with(|config| config.pushes.artifacts = Artifacts::Images).await;
    let (oci, docker) = (Image::small(1), Image::docker(2));
    for blob in oci.blobs() {
        site.push_blob(REPOSITORY, blob).await;
    }
    let refused = site.put_manifest(REPOSITORY, "v1", &oci.manifest).await;
    assert_refused(&refused, 415, "MANIFEST_INVALID", "an OCI image");
    site.push_image(REPOSITORY, "v1", &docker).await;
    site.pull(REPOSITORY, "v1").await;
}

/// PR-01: what is mounted was hashed when it came; a manifest is hashed whatever it is named by.
#[tokio::test]
async fn a_blob_of_both_algorithms_is_two_blobs() {
    let site = Site::local().await;
    let bytes = content::bytes(1, 1000);
    let [one, two] = [Algorithm::Sha256, Algorithm::Sha512].map(|it| Digest::with(it, &bytes));
    let pushed = site.push_blob_by(Way::Post, REPOSITORY, &bytes, &two).await;
    assert_eq!(pushed.status, 201);
    let (one, two) = (
        format!("/v2/{REPOSITORY}/blobs/{one}"),
        format!("/v2/{REPOSITORY}/blobs/{two}"),
    );
    assert_eq!(site.head_status(&one).await, 404, "no alias");
    assert_eq!(site.head_status(&two).await, 200);
    site.push_blob(REPOSITORY, &bytes).await;
    assert_eq!(site.delete(&two).await.status, 202);
    assert_eq!(site.head_status(&one).await, 200);
    assert_eq!(site.head_status(&two).await, 404);
}
