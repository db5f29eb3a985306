//! A command's end of the control socket.

use std::io;
use std::path::Path;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{PATIENCE, address, read_line};
use crate::app::operations::{Frame, Request};

/// Frames that wait to be shown.
const FRAMES: usize = 64;

/// Asks the server of a data directory; `None` if none answers there.
pub(in crate::app) async fn call(
    data_dir: &Path,
    request: &Request,
) -> io::Result<Option<mpsc::Receiver<Frame>>> {
    // No directory, no socket, nobody behind it: in each case there is no server to ask.
    let Ok((path, _folder)) = address(data_dir) else {
        return Ok(None);
    };
    let connected = tokio::time::timeout(PATIENCE, UnixStream::connect(&path)).await;
    let Ok(Ok(stream)) = connected else {
        return Ok(None);
    };
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    tokio::time::timeout(PATIENCE, writer.write_all(line.as_bytes())).await??;
    let (sender, frames) = mpsc::channel(FRAMES);
    let _reading: JoinHandle<()> = tokio::spawn(async move {
        // The socket stays whole until the answer has ended: closing our half would end the work.
        let _writer = writer;
        let mut reader = BufReader::new(reader);
        // Work may take as long as it takes; a server that dies closes the socket.
        while let Ok(Some(line)) = read_line(&mut reader, None).await {
            let frame = serde_json::from_str(&line).unwrap_or_else(|error| Frame::Failed {
                reason: format!("the server's answer is not understood: {error}"),
            });
            if sender.send(frame).await.is_err() {
                return;
            }
        }
    });
    Ok(Some(frames))
}
