//! Sockets that a service manager has opened before this process began (`sd_listen_fds(3)`, LC-09).
//!
//! While the manager holds them no connection is refused, whether or not a process of ours runs. Which of
//! them is for what is decided by the callers. A child process of ours inherits none of them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::error::Error;

/// A TCP socket that is listened on already.
#[derive(Debug)]
pub struct Inherited {
    name: String,
    address: SocketAddr,
    socket: TcpListener,
}

impl Inherited {
    /// Takes over the sockets of this process, whose names are `names`, in the order of their
    /// descriptors. They can be taken once.
    ///
    /// # Errors
    /// If one of them is no TCP socket that is listened on; none is taken then.
    pub fn take(names: &[String]) -> Result<Vec<Self>, Error> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut passed = ListenFd::from_env();
        let mut taken = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let missing = || io::Error::from(io::ErrorKind::NotFound);
            let socket = passed.take_tcp_listener(place);
            let socket = socket.and_then(|socket| socket.ok_or_else(missing));
            let inherited = socket.and_then(|socket| Self::new(name, socket));
            taken.push(inherited.map_err(|source| Error::Inherited {
                name: match name.is_empty() {
                    true => format!("number {}", place + 1),
                    false => name.clone(),
                },
                source,
            })?);
        }
        Ok(taken)
    }

    /// A socket that was opened elsewhere, under a name that may be empty.
    ///
    /// # Errors
    /// If it is not listened on.
    pub fn new(name: &str, socket: TcpListener) -> io::Result<Self> {
        if !socket_acceptconn(&socket)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "nobody listens on it",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            address: socket.local_addr()?,
            socket,
        })
    }

    /// What the service manager calls it; empty if it has no name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address that is listened on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_socket(self) -> TcpListener {
        self.socket
    }
}
