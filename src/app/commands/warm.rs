//! `entrepot warm`.

use super::transfer::Given;
use super::{Output, Site, Stop};
use crate::app::cli::WarmArgs;
use crate::app::operations::{Frame, Request, Row, WarmWish, WarmedRow};
use crate::model::ByteSize;

pub(super) fn run(given: WarmArgs, site: &Site, output: &Output) -> Result<(), Stop> {
    let wish = WarmWish {
        file: given.file.display().to_string(),
        platforms: given.platform,
        parallel: given.parallel,
    };
    let (json, files) = (given.json, vec![Given::Path(given.file)]);
    site.carry_out_with(Request::Warm(wish), files, output, |frame| {
        match frame {
            Frame::Row(row @ Row::Warmed(_)) if json => output.line(row.json()),
            Frame::Row(Row::Warmed(row)) => tell(&row, output),
            Frame::Progress { text } => output.progress(text),
            Frame::Row(_) | Frame::Bytes(_) | Frame::Done { .. } | Frame::Failed { .. } => {}
        }
        Ok(())
    })
}

fn tell(row: &WarmedRow, output: &Output) {
    let image = &row.image;
    match &row.error {
        Some(error) => output.line(format_args!("{image}: {error}")),
        None => output.line(format_args!(
            "{image}: {} in {} blobs, {} fetched",
            ByteSize(row.bytes),
            row.blobs,
            ByteSize(row.fetched_bytes)
        )),
    }
}
