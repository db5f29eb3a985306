//! Images fetched into the caches before anybody asks for them.

use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::message::Row;
use super::{Failure, Report, WarmWish, WarmedRow};
use crate::app::assemble::Services;
use crate::bundle::{Input, Source};
use crate::config::image_references;
use crate::model::ByteSize;
use crate::oci::{Platform, Reference, RepositoryName, Tag};
use crate::proxy::{self, Origin, Route};

/// Largest list.
const LIST_BYTES: usize = 16 << 20;

/// Most images fetched side by side.
const PARALLEL: u16 = 32;

/// A reference as people write it, taken apart as Docker does.
#[derive(Debug, Eq, PartialEq)]
struct Wanted {
    /// Where it comes from.
    host: String,
    name: RepositoryName,
    reference: Reference,
}

/// Fetches every image of a list; each has its row, whatever becomes of the others.
pub(super) async fn warm(
    services: &Services,
    wish: &WarmWish,
    input: mpsc::Receiver<Input>,
    report: &Report,
) -> Result<String, Failure> {
    let mut source = Source::new(input, vec![wish.file.clone()]);
    let text = source.read_whole(LIST_BYTES).await?;
    let text = String::from_utf8_lossy(&text);
    let images = image_references(&text)
        .map_err(|reason| Failure::refused(format!("{}: {reason}", wish.file)))?;
    let all = images.len();
    let (mut failed, mut fetched) = (0, 0);
    let one = |image: String| fetch(services, image, &wish.platforms);
    let parallel = usize::from(wish.parallel.clamp(1, PARALLEL));
    let mut rows = futures_util::stream::iter(images)
        .map(one)
        .buffer_unordered(parallel);
    while let Some(row) = rows.next().await {
        failed += usize::from(row.error.is_some());
        fetched += row.fetched_bytes;
        report.row(Row::Warmed(row)).await?;
    }
    let summary = format!(
        "{} of {all} images are here, {} fetched",
        all - failed,
        ByteSize(fetched)
    );
    match failed {
        0 => Ok(summary),
        _ => Err(Failure::refused(summary)),
    }
}

async fn fetch(services: &Services, image: String, platforms: &[Platform]) -> WarmedRow {
    let fetched = match parse(&image) {
        Ok(wanted) => fetch_wanted(services, &wanted, platforms).await,
        Err(reason) => Err(reason),
    };
    let mut row = WarmedRow {
        image,
        digest: None,
        manifests: 0,
        blobs: 0,
        bytes: 0,
        fetched_bytes: 0,
        error: None,
    };
    match fetched {
        Ok(warmed) => {
            row.digest = Some(warmed.digest);
            (row.manifests, row.blobs) = (warmed.manifests, warmed.blobs);
            (row.bytes, row.fetched_bytes) = (warmed.bytes, warmed.fetched_bytes);
            if warmed.unkept > 0 {
                row.error = Some(format!(
                    "there was no room to keep {} of its blobs",
                    warmed.unkept
                ));
            }
        }
        Err(reason) => row.error = Some(reason),
    }
    row
}

async fn fetch_wanted(
    services: &Services,
    wanted: &Wanted,
    platforms: &[Platform],
) -> Result<proxy::Warmed, String> {
    let source = find(services, wanted).await?;
    let warmed = services
        .proxy
        .warm(&source, &wanted.reference, platforms)
        .await;
    warmed.map_err(|error| error.to_string())
}

/// The cache that an image is fetched by: of the organisation of that name, or of that upstream.
async fn find(services: &Services, wanted: &Wanted) -> Result<proxy::Source, String> {
    let named = wanted.host.parse().ok();
    let source = named.and_then(|name| services.proxy.operated(&name, &wanted.name));
    if let Some(source) = source {
        return Ok(source);
    }
    let origin = Origin {
        ns: Some(&wanted.host),
        ..Origin::default()
    };
    let route = services.proxy.route(&origin, &wanted.name).await;
    match route.map_err(|error| error.to_string())? {
        Route::Source(source) if source.is_cache() => Ok(source),
        _ => Err(format!("no cache here fetches from {}", wanted.host)),
    }
}

/// Docker's rule: what stands before the first `/` is a host if it looks like one; Docker Hub is meant
/// otherwise, and `library` there if there is no `/` at all.
fn parse(image: &str) -> Result<Wanted, String> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("docker.io", rest),
    };
    let (name, tag) = match path.rsplit_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (path, None),
    };
    let name = match host == "docker.io" && !name.contains('/') {
        true => format!("library/{name}"),
        false => name.to_owned(),
    };
    let said = |error: crate::oci::ParseError| error.to_string();
    let reference = match digest {
        Some(digest) => Reference::Digest(digest.parse().map_err(said)?),
        None => Reference::Tag(tag.unwrap_or("latest").parse::<Tag>().map_err(said)?),
    };
    Ok(Wanted {
        host: host.to_owned(),
        name: name.parse().map_err(said)?,
        reference,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let digest = crate::oci::Digest::of(b"");
        for (image, host, name, reference) in [
            ("alpine", "docker.io", "library/alpine", "latest".to_owned()),
            (
                "grafana/loki:3",
                "docker.io",
                "grafana/loki",
                "3".to_owned(),
            ),
            ("quay.io/a/b/c:v1", "quay.io", "a/b/c", "v1".to_owned()),
            (
                "localhost:5000/x",
                "localhost:5000",
                "x",
                "latest".to_owned(),
            ),
            (
                &format!("ghcr.io/a/b:v1@{digest}"),
                "ghcr.io",
                "a/b",
                digest.to_string(),
            ),
        ] {
            let read = parse(image).unwrap();
            assert_eq!(
                (read.host.as_str(), read.name.as_str()),
                (host, name),
                "{image}"
            );
            assert_eq!(read.reference.to_string(), reference);
        }
        for image in [
            "",
            "Alpine",
            "quay.io/",
            "a:b:c",
            "a@sha256:1",
            "quay.io/a b",
        ] {
            assert!(parse(image).is_err(), "{image:?}");
        }
    }
}
