//! A command's end of the control socket.

use std::io;
use std::path::Path;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Announced, PATIENCE, PIECE_BYTES, address, read_line};
use crate::app::operations::{Frame, Request};
use crate::bundle::Input;

/// Frames that wait to be shown.
const FRAMES: usize = 64;

/// Asks the server of a data directory, and sends it the files that the request takes; the input comes
/// back if none answers there.
pub(in crate::app) async fn call(
    data_dir: &Path,
    request: &Request,
    input: mpsc::Receiver<Input>,
) -> io::Result<Result<mpsc::Receiver<Frame>, mpsc::Receiver<Input>>> {
    // No directory, no socket, nobody behind it: in each case there is no server to ask.
    let Ok((path, _folder)) = address(data_dir) else {
        return Ok(Err(input));
    };
    let connected = tokio::time::timeout(PATIENCE, UnixStream::connect(&path)).await;
    let Ok(Ok(stream)) = connected else {
        return Ok(Err(input));
    };
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    tokio::time::timeout(PATIENCE, writer.write_all(line.as_bytes())).await??;
    let (sender, frames) = mpsc::channel(FRAMES);
    let files = request.files();
    let _reading: JoinHandle<()> = tokio::spawn(async move {
        // The socket stays whole until the answer has ended: closing our half would end the work.
        let mut writer = writer;
        let sending = async {
            if send(&mut writer, files, input).await.is_err() {
                // The server has heard enough; its answer tells why.
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = read(BufReader::new(reader), sender) => {}
            () = sending => {}
        }
    });
    Ok(Ok(frames))
}

/// Passes frames on until the answer ends.
async fn read(mut reader: BufReader<OwnedReadHalf>, sender: mpsc::Sender<Frame>) {
    // Work may take as long as it takes; a server that dies closes the socket.
    while let Ok(Some(line)) = read_line(&mut reader, None).await {
        let frame = match serde_json::from_str::<Announced>(&line) {
            Ok(announced) if announced.bytes <= PIECE_BYTES => {
                let mut bytes = vec![0; announced.bytes];
                if reader.read_exact(&mut bytes).await.is_err() {
                    return;
                }
                Frame::Bytes(Bytes::from(bytes))
            }
            _ => serde_json::from_str(&line).unwrap_or_else(|error| Frame::Failed {
                reason: format!("the server's answer is not understood: {error}"),
            }),
        };
        if sender.send(frame).await.is_err() {
            return;
        }
    }
}

/// Sends the files that a request takes.
async fn send(
    writer: &mut OwnedWriteHalf,
    files: usize,
    mut input: mpsc::Receiver<Input>,
) -> io::Result<()> {
    let mut ended = 0;
    while ended < files {
        match input.recv().await {
            Some(Input::Bytes(mut bytes)) => {
                while !bytes.is_empty() {
                    let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                    let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                    writer.write_all(&length.to_be_bytes()).await?;
                    writer.write_all(&piece).await?;
                }
            }
            Some(Input::End) => {
                ended += 1;
                writer.write_all(&[0; 4]).await?;
            }
            // A file could not be read to its end: the server is to notice.
            None => return writer.shutdown().await,
        }
    }
    Ok(())
}
