//! The server's end of the control socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{Announced, PATIENCE, PIECE_BYTES, PIECES, address, read_line};
use crate::app::Error;
use crate::app::assemble::Services;
use crate::app::operations::{self, Frame, Request};
use crate::bundle::Input;

/// Callers served at one time.
const CALLERS: usize = 8;

/// The listening socket; dropped, it hears nobody.
pub(in crate::app) struct Server {
    task: JoinSet<()>,
    path: PathBuf,
}

/// A socket at `path`, in place of one that nobody listens at any more, for its owner alone.
fn listen(data_dir: &Path, path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (short, _folder) = address(data_dir)?;
    let listener = UnixListener::bind(&short)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Server {
    /// Listens in the data directory, whose lock the caller holds: a socket that is there already
    /// belongs to nobody. On a volume that takes no writes there is no socket, and commands are not heard.
    pub(in crate::app) fn start(data_dir: &Path, services: Arc<Services>) -> Result<Self, Error> {
        let path = data_dir.join("control.sock");
        let mut task = JoinSet::new();
        match listen(data_dir, &path) {
            Ok(listener) => {
                task.spawn(accept(listener, services));
            }
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                tracing::warn!("no control socket: commands cannot reach this server");
            }
            Err(error) => return Err(Error::file("listen on", path, error)),
        }
        Ok(Self { task, path })
    }

    /// Hears nobody any more; running operations end where they are.
    pub(in crate::app) async fn stop(mut self) {
        self.task.shutdown().await;
        // It would be replaced at the next start in any case.
        let _ = fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, services: Arc<Services>) {
    let places = Arc::new(Semaphore::new(CALLERS));
    let mut callers = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let services = services.clone();
                callers.spawn(async move {
                    if let Err(error) = serve(stream, services).await {
                        tracing::debug!(%error, "a caller of the control socket left");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept");
                tokio::time::sleep(PATIENCE).await;
            }
        }
        while callers.try_join_next().is_some() {}
    }
}

async fn serve(stream: UnixStream, services: Arc<Services>) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    let (reader, mut writer) = stream.into_split();
    if user != own && user != 0 {
        tracing::warn!(user, "refused a caller of the control socket");
        let reason = format!("only the user {own} and root may ask");
        return write(&mut writer, &Frame::Failed { reason }).await;
    }
    let mut reader = BufReader::new(reader);
    let Some(line) = read_line(&mut reader, Some(PATIENCE)).await? else {
        return Ok(());
    };
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            let reason = format!("the request is not understood: {error}");
            return write(&mut writer, &Frame::Failed { reason }).await;
        }
    };
    let (sender, input) = mpsc::channel(PIECES);
    let files = request.files();
    let mut frames = operations::begin(services, request, input);
    // Ends with the files, or with whoever reads them: nobody waits for it.
    let receiving = receive(reader, files, sender);
    let answering = async {
        while let Some(frame) = frames.recv().await {
            match frame {
                // They wait for a slow disk or pipe of the caller.
                Frame::Bytes(bytes) => write_bytes(&mut writer, &bytes).await?,
                frame => write(&mut writer, &frame).await?,
            }
        }
        Ok(())
    };
    tokio::select! {
        answered = answering => answered,
        never = async { receiving.await; std::future::pending().await } => never,
    }
}

/// Passes on the files behind a request. A caller that leaves is noticed by whoever reads them.
async fn receive(mut reader: BufReader<OwnedReadHalf>, files: usize, sender: mpsc::Sender<Input>) {
    let mut ended = 0;
    while ended < files {
        let Ok(length) = reader.read_u32().await else {
            return;
        };
        let length = length as usize;
        if length > PIECE_BYTES {
            return;
        }
        let input = match length {
            0 => {
                ended += 1;
                Input::End
            }
            length => {
                let mut bytes = vec![0; length];
                if reader.read_exact(&mut bytes).await.is_err() {
                    return;
                }
                Input::Bytes(bytes.into())
            }
        };
        if sender.send(input).await.is_err() {
            return;
        }
    }
}

async fn write_bytes(writer: &mut OwnedWriteHalf, bytes: &Bytes) -> io::Result<()> {
    let mut line = serde_json::to_string(&Announced { bytes: bytes.len() })?;
    line.push('\n');
    writer.write_all(line.as_bytes()).await?;
    writer.write_all(bytes).await
}

async fn write(writer: &mut OwnedWriteHalf, frame: &Frame) -> io::Result<()> {
    let mut line = serde_json::to_string(frame)?;
    line.push('\n');
    tokio::time::timeout(PATIENCE, writer.write_all(line.as_bytes())).await?
}
