//! A snapshot for a backup: rows and digests are streamed, blobs are left to the caller to copy.
//!
//! Files that the snapshot names are held until the caller says that it has them, or is gone.

use std::io;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::message::Row;
use super::{BackupWish, Failure, PartRow, Report, SnapshotRow};
use crate::app::assemble::Services;
use crate::backup::{self, BlobLine, Counts};
use crate::bundle::Input;
use crate::oci::Digest;
use crate::store::{self, Cached, Dumped, ReadTx};

/// Pieces that wait between reading and sending.
const PIECES: usize = 4;

/// Bytes of the list of blobs that are passed on at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What crosses from the reader of the store to the teller.
enum Piece {
    Part(&'static str),
    Bytes(Vec<u8>),
}

/// Streams a snapshot, and waits for the end of the input if it has rows.
pub(super) async fn backup(
    services: &Services,
    wish: BackupWish,
    mut input: mpsc::Receiver<Input>,
    report: &Report,
) -> Result<String, Failure> {
    let registry = &services.registry;
    if wish.rows {
        // What is noted in memory belongs into it too; a backup without it is better than none.
        if let Err(error) = registry.flush_recency().await {
            tracing::warn!(%error, "last-used times could not be written before a backup");
        }
        if let Err(error) = services.audit.flush().await {
            tracing::warn!(%error, "the usage log could not be written before a backup");
        }
    }
    // Invariant: before the snapshot begins, so that every file it names is held.
    let hold = wish.rows.then(|| registry.hold_files());
    let (out, mut pieces) = mpsc::channel(PIECES);
    let reading = registry.store().scan(move |tx| read(tx, wish, &Out(out)));
    let telling = async {
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Part(name) => {
                    let name = name.to_owned();
                    report.row(Row::Part(PartRow { name })).await?;
                }
                Piece::Bytes(bytes) => report.bytes(Bytes::from(bytes)).await?,
            }
        }
        Ok::<(), Failure>(())
    };
    let (read, told) = tokio::join!(reading, telling);
    told?;
    let (dumped, counts) = read?;
    let row = SnapshotRow {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: dumped.schema,
        counts,
    };
    report.row(Row::Snapshot(row)).await?;
    if wish.rows {
        while let Some(Input::Bytes(_)) = input.recv().await {}
    }
    drop(hold);
    Ok(String::new())
}

/// The way out of the blocking pool.
struct Out(mpsc::Sender<Piece>);

impl Out {
    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = self.0.blocking_send(piece);
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

fn read(tx: &ReadTx, wish: BackupWish, out: &Out) -> Result<(Dumped, Counts), store::Error> {
    let mut counts = Counts::default();
    let unheard = |error: io::Error| store::Error::Unreadable {
        reason: error.to_string(),
    };
    out.send(Piece::Part(backup::BLOBS)).map_err(unheard)?;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let cached = if wish.cached {
        Cached::Taken
    } else {
        Cached::Left
    };
    let mut take = |digest: Digest, size_bytes: u64| {
        counts.blobs += 1;
        counts.blob_bytes += size_bytes;
        piece.extend_from_slice(BlobLine { digest, size_bytes }.text().as_bytes());
        match piece.len() >= PIECE_BYTES {
            true => out.send(Piece::Bytes(std::mem::take(&mut piece))),
            false => Ok(()),
        }
    };
    tx.blobs_to_keep(cached, &mut take)?;
    out.send(Piece::Bytes(piece)).map_err(unheard)?;
    if !wish.rows {
        return Ok((Dumped::default(), counts));
    }
    out.send(Piece::Part(backup::ROWS)).map_err(unheard)?;
    let dumped = tx.dump(&mut |bytes| out.send(Piece::Bytes(bytes)))?;
    let counts = Counts {
        tables: dumped.tables,
        rows: dumped.rows,
        namespaces: dumped.namespaces,
        repositories: dumped.repositories,
        manifests: dumped.manifests,
        tags: dumped.tags,
        users: dumped.users,
        ..counts
    };
    Ok((dumped, counts))
}
