//! The control socket: how commands speak to the running server.
//!
//! `DATA_DIR/control.sock`, for its owner and root alone: by the mode of the file and, since modes can
//! be changed, by the user that the kernel says the peer is. One JSON line asks, JSON lines answer,
//! the last of them [`Done`](super::operations::Frame::Done) or
//! [`Failed`](super::operations::Frame::Failed). Lines, waits and callers are bounded.
//!
//! Bundles are too much for JSON. Behind a request that takes files their bytes follow, in pieces with
//! their length in front (4 bytes, big-endian), an empty piece at the end of each file. Bytes of an answer
//! stand behind a line that says how many they are: `{"bytes":65536}`.

mod client;
mod server;

pub(super) use client::call;
pub(super) use server::Server;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Longest request and longest line of an answer, in bytes.
const LINE_BYTES: u64 = 256 * 1024;

/// How long a caller may take for its request, and a reader to take a line.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest piece of a file that crosses at once.
const PIECE_BYTES: usize = 1 << 20;

/// Pieces that wait at either end.
const PIECES: usize = 4;

/// The line in front of bytes.
#[derive(serde::Deserialize, serde::Serialize)]
struct Announced {
    bytes: usize,
}

/// Longest path that a socket may be bound to (`sun_path` of Linux, with its end).
const SOCKET_PATH_BYTES: usize = 107;

/// The socket's path as the kernel takes it: by way of the directory's descriptor where it is too long.
/// The file must be kept open for as long as the path is used.
fn address(data_dir: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = data_dir.join("control.sock");
    if path.as_os_str().len() <= SOCKET_PATH_BYTES {
        return Ok((path, None));
    }
    let folder = File::open(data_dir)?;
    let short = format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd());
    Ok((short.into(), Some(folder)))
}

/// Reads a line of bounded length and time; `None` at the end.
async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    patience: Option<Duration>,
) -> io::Result<Option<String>> {
    let mut line = String::new();
    let mut bounded = reader.take(LINE_BYTES);
    let reading = bounded.read_line(&mut line);
    let length = match patience {
        Some(patience) => tokio::time::timeout(patience, reading).await??,
        None => reading.await?,
    };
    if length == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a line without an end",
        ));
    }
    Ok(Some(line))
}
