//! Operations across an air gap: bundles written and taken, and the keys that sign them.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::message::Row;
use super::{ExportRow, ExportWish, Failure, ImportRow, ImportWish, LeftRow, Report, VolumeRow};
use crate::app::assemble::Services;
use crate::bundle::{
    Error, Export, ExportOptions, ExportSummary, HAVE_BYTES, ImportOptions, ImportSummary, Input,
    KeyLine, Mapping, Source,
};
use crate::model::ByteSize;
use crate::oci::Digest;

/// Pieces that wait between reading and sending.
const PIECES: usize = 4;

/// Largest description of a bundle.
const DESCRIPTION_BYTES: usize = 32 << 20;

/// Digests that are told of one image; more would be a line too long.
const TOLD: usize = 1000;

/// Writes a bundle.
pub(super) async fn export(
    services: &Services,
    wish: &ExportWish,
    input: mpsc::Receiver<Input>,
    report: &Report,
) -> Result<String, Failure> {
    let since = match &wish.since {
        Some(name) => {
            let mut source = Source::new(input, vec![name.clone()]);
            Some((name.as_str(), source.read_whole(HAVE_BYTES).await?))
        }
        None => None,
    };
    let options = ExportOptions {
        patterns: wish.patterns.clone(),
        split: wish.split,
        keep_going: wish.keep_going,
        dry_run: wish.dry_run,
        created: wish.created,
        sequence: wish.sequence,
        by: wish
            .by
            .clone()
            .unwrap_or_else(|| services.site_name.clone()),
    };
    report.progress("looking at what is to travel").await?;
    let since = since
        .as_ref()
        .map(|(name, bytes)| (*name, bytes.as_slice()));
    let export = services.bundles.export(&options, since).await?;
    let summary = export.summary();
    tell_left(&summary.missing, report).await?;
    report.row(Row::Export(row_of(&summary))).await?;
    let missing = summary.missing.len();
    if missing > 0 && !wish.keep_going {
        return Err(Failure::refused(format!(
            "{missing} images are not here whole, as listed; fetch them, such as with `entrepot warm`, \
             or leave them out with --keep-going"
        )));
    }
    if wish.dry_run {
        return Ok(String::new());
    }
    write(&export, &summary, wish, report).await?;
    export.note().await?;
    let bytes = ByteSize(summary.volumes.iter().sum());
    Ok(format!(
        "{bytes} in {} volumes written, number {}",
        summary.volumes.len(),
        summary.sequence
    ))
}

/// Writes the volumes, without what an earlier try has written.
async fn write(
    export: &Export,
    summary: &ExportSummary,
    wish: &ExportWish,
    report: &Report,
) -> Result<(), Failure> {
    let resume = wish
        .resume
        .as_ref()
        .filter(|resume| resume.bundle == summary.bundle);
    for (number, bytes) in (1..).zip(&summary.volumes) {
        let from = match resume {
            Some(resume) if number < resume.volume => continue,
            Some(resume) if number == resume.volume => resume.bytes.min(*bytes),
            _ => 0,
        };
        let bytes = *bytes;
        report
            .row(Row::Volume(VolumeRow {
                number,
                bytes,
                from,
            }))
            .await?;
        pass(report, |out| async move {
            export.write(number, from, &out).await
        })
        .await?;
    }
    Ok(())
}

/// Passes on what is written into a channel.
async fn pass<T, F: Future<Output = Result<T, Error>>>(
    report: &Report,
    write: impl FnOnce(mpsc::Sender<Bytes>) -> F,
) -> Result<T, Failure> {
    let (out, mut pieces) = mpsc::channel(PIECES);
    let passing = async move {
        while let Some(piece) = pieces.recv().await {
            report.bytes(piece).await?;
        }
        Ok::<(), Failure>(())
    };
    let (written, passed) = tokio::join!(write(out), passing);
    passed?;
    Ok(written?)
}

fn row_of(summary: &ExportSummary) -> ExportRow {
    ExportRow {
        bundle: summary.bundle,
        sequence: summary.sequence,
        created: summary.created,
        repositories: summary.repositories,
        tags: summary.tags,
        manifests: summary.manifests,
        blobs: summary.blobs,
        known: summary.known,
        known_bytes: summary.known_bytes,
        removed_tags: summary.removed_tags,
        volumes: summary.volumes.clone(),
        signed_by: summary.signer.clone(),
        missing: summary.missing.len() as u64,
    }
}

async fn tell_left(left: &[(String, Vec<Digest>)], report: &Report) -> Result<(), Failure> {
    for (image, missing) in left {
        let row = LeftRow {
            image: image.clone(),
            missing: missing.iter().take(TOLD).copied().collect(),
        };
        report.row(Row::Left(row)).await?;
    }
    Ok(())
}

/// Takes bundles or layouts; the receipt follows as bytes.
pub(super) async fn import(
    services: &Services,
    wish: &ImportWish,
    input: mpsc::Receiver<Input>,
    report: &Report,
) -> Result<String, Failure> {
    let options = ImportOptions {
        signatures: wish.signatures,
        mapping: Mapping {
            into: wish.into.clone(),
            map: wish.map.clone(),
        },
        apply_removals: wish.apply_removals,
        allow_older: wish.allow_older,
        keep_going: wish.keep_going,
        dry_run: wish.dry_run,
    };
    let mut source = Source::new(input, wish.files.clone());
    let (progress, mut words) = mpsc::channel(PIECES);
    let telling = async {
        while let Some(word) = words.recv().await {
            report.progress(word).await?;
        }
        Ok::<(), Failure>(())
    };
    let reading = async {
        let done = services
            .bundles
            .import(&mut source, &options, &progress)
            .await;
        drop(progress);
        done
    };
    let (done, told) = tokio::join!(reading, telling);
    told?;
    let (summary, receipt) = done?;
    tell_import(&summary, report).await?;
    if let Some(receipt) = receipt {
        let pass_on = |out| async move { crate::bundle::send_bytes(&out, receipt.into()).await };
        pass(report, pass_on).await?;
    }
    match &summary.incomplete {
        Some(reason) if !wish.keep_going || wish.dry_run => {
            Err(Failure::refused(match wish.dry_run {
                true => format!("it could not be taken: {reason}"),
                false => {
                    format!("nothing was changed: {reason}. What came is kept for the next try")
                }
            }))
        }
        _ => Ok(String::new()),
    }
}

async fn tell_import(summary: &ImportSummary, report: &Report) -> Result<(), Failure> {
    for warning in &summary.warnings {
        report.progress(format!("warning: {warning}")).await?;
    }
    tell_left(&summary.left, report).await?;
    let row = ImportRow {
        bundle: summary.bundle.clone(),
        by: summary.by.clone(),
        sequence: summary.sequence,
        signed_by: summary.signer.clone(),
        repositories: summary.repositories,
        tags: summary.tags,
        manifests: summary.manifests,
        blobs: summary.blobs,
        blob_bytes: summary.blob_bytes,
        removals: summary.removals.iter().take(TOLD).cloned().collect(),
        removed: summary.removed,
        complete: summary.incomplete.is_none(),
    };
    Ok(report.row(Row::Import(row)).await?)
}

/// Says which members of a bundle need not be sent, as a list of JSON.
pub(super) async fn present(
    services: &Services,
    input: mpsc::Receiver<Input>,
    report: &Report,
) -> Result<String, Failure> {
    let mut source = Source::new(input, vec!["the description".to_owned()]);
    let description = source.read_whole(DESCRIPTION_BYTES).await?;
    let present = services.bundles.present(&description).await?;
    let list = serde_json::to_vec(&present).expect("texts are always JSON");
    pass(report, |out| async move {
        crate::bundle::send_bytes(&out, list.into()).await
    })
    .await?;
    Ok(String::new())
}

/// Says what this registry has, for the sender's `--since`.
pub(super) async fn inventory(services: &Services, report: &Report) -> Result<String, Failure> {
    let (bundles, name) = (&services.bundles, &services.site_name);
    pass(
        report,
        |out| async move { bundles.inventory(name, &out).await },
    )
    .await?;
    Ok(String::new())
}

/// Makes the key that bundles are signed with.
pub(super) async fn make_key(services: &Services, report: &Report) -> Result<String, Failure> {
    tell_key(services.bundles.make_key().await?, report).await?;
    Ok("exports are signed from now on; give the public key to those who import".to_owned())
}

/// Lists our key and those that are trusted.
pub(super) async fn list_keys(services: &Services, report: &Report) -> Result<String, Failure> {
    for key in services.bundles.list_keys().await? {
        tell_key(key, report).await?;
    }
    Ok(String::new())
}

/// Trusts the key of another registry.
pub(super) async fn trust_key(
    services: &Services,
    text: &str,
    report: &Report,
) -> Result<String, Failure> {
    tell_key(services.bundles.trust_key(text).await?, report).await?;
    Ok("bundles without a signature of a trusted key are refused from now on".to_owned())
}

/// Trusts a key no more.
pub(super) async fn distrust_key(services: &Services, id: &str) -> Result<String, Failure> {
    services.bundles.distrust_key(id).await?;
    Ok(format!("the key {id} is trusted no more"))
}

async fn tell_key(key: KeyLine, report: &Report) -> Result<(), Failure> {
    Ok(report.row(Row::Key(key)).await?)
}
