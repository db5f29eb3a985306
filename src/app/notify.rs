//! What systemd is told (`Type=notify`, LC-03): ready, alive, ending.
//!
//! The watchdog is fed only after the store has answered, so a process whose store hangs is restarted.
//! Without a service manager every call does nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::config::Environment;
use crate::registry::Registry;

/// The service manager, if there is one.
pub(super) struct Notifier {
    socket: Option<PathBuf>,
    watchdog: Option<Duration>,
}

impl Notifier {
    pub(super) fn new(environment: &Environment) -> Self {
        Self {
            socket: environment.notify_socket(),
            watchdog: environment.watchdog(),
        }
    }

    /// Requests are answered.
    pub(super) async fn ready(&self) {
        self.tell("READY=1").await;
    }

    /// The end has begun.
    pub(super) async fn stopping(&self) {
        self.tell("STOPPING=1").await;
    }

    /// Tells again and again that the store answers; ends never.
    pub(super) async fn keep_alive(&self, registry: &Registry) {
        let Some(watchdog) = self.watchdog else {
            return std::future::pending().await;
        };
        // Twice within the time, as sd_watchdog_enabled(3) advises.
        let pause = watchdog / 2;
        loop {
            tokio::time::sleep(pause).await;
            match tokio::time::timeout(watchdog, registry.holdings()).await {
                Ok(Ok(_)) if !registry.store().failed() => self.tell("WATCHDOG=1").await,
                _ => tracing::error!("the store does not answer; the watchdog is not fed"),
            }
        }
    }

    async fn tell(&self, state: &str) {
        let Some(path) = &self.socket else { return };
        if let Err(error) = send(path, state).await {
            tracing::warn!(%error, "the service manager cannot be told {state}");
        }
    }
}

async fn send(path: &Path, state: &str) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};
    let bytes = path.as_os_str().as_encoded_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = StdDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)?
        .send(state.as_bytes())
        .await
        .map(drop)
}
