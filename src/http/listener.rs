//! Sockets that are listened on, and what to do when accepting fails.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use super::error::Error;
use super::inherited::Inherited;
use super::tls::Tls;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A silent peer is asked after a minute, and given up after four questions (RS-02: half-open ends
/// within 5 minutes).
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// A bound socket, plain or TLS.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl Listener {
    /// Listens on every address, in this order. `[::]` takes IPv4 too unless `0.0.0.0` has that port.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If one of them cannot be had.
    pub fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<Self>, Error> {
        let any_v4 = |port| {
            let same = |a: &SocketAddr| a.is_ipv4() && a.ip().is_unspecified() && a.port() == port;
            port != 0 && addresses.iter().any(same)
        };
        let listen = |&address: &SocketAddr| Self::open(address, any_v4(address.port()));
        addresses.iter().map(listen).collect()
    }

    /// Listens on one address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        Self::open(address, false)
    }

    /// Serves on a socket that is listened on already. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If its options cannot be set.
    pub fn inherit(inherited: Inherited) -> Result<Self, Error> {
        let address = inherited.address();
        let failed = |source| Error::Listen { address, source };
        let socket = Socket::from(inherited.into_socket());
        furnish(&socket).map_err(failed)?;
        Ok(Self {
            tcp: TcpListener::from_std(socket.into()).map_err(failed)?,
            address,
            tls: None,
        })
    }

    fn open(address: SocketAddr, only_v6: bool) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address, source };
        let tcp = socket(address, only_v6).map_err(failed)?;
        let tcp = TcpListener::from_std(tcp.into()).map_err(failed)?;
        Ok(Self {
            address: tcp.local_addr().map_err(failed)?,
            tcp,
            tls: None,
        })
    }

    /// The same socket, speaking TLS.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }

    /// The address it has: with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.tcp.accept().await?;
        Ok((
            stream,
            SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        ))
    }
}

/// Options are set here once: on Linux, accepted sockets inherit them.
fn socket(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    furnish(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn furnish(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_nonblocking(true)
}

/// How long to wait after a failed accept (RS-03).
///
/// A lack of descriptors or memory does not go away by asking again at once: `accept` would fail and the
/// loop spin. Failures of the one connection (it was reset while it waited) need no pause.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pause: Option<Duration>,
}

impl Backoff {
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_secs(1);

    /// A connection was accepted.
    pub(super) fn succeeded(&mut self) {
        self.pause = None;
    }

    /// How long to pause after `error`; each pause is twice the one before, up to a second.
    pub(super) fn failed(&mut self, error: &io::Error) -> Option<Duration> {
        let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        let lacks = Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno));
        if !lacks && is_of_one_connection(error) {
            return None;
        }
        let next = self.pause.map_or(Self::SHORTEST, |pause| pause * 2);
        self.pause = Some(next.min(Self::LONGEST));
        self.pause
    }

    /// Whether the last failure was the first of a row: the one to log.
    pub(super) fn is_first(&self) -> bool {
        self.pause == Some(Self::SHORTEST)
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: Errno) -> io::Error {
        errno.into()
    }

    /// RS-03: without descriptors the loop neither spins nor ends, and recovers within a second.
    #[test]
    fn a_lack_of_descriptors_is_waited_out() {
        let mut backoff = Backoff::default();
        let mut waited = Duration::ZERO;
        let mut tries = 0;
        while waited < Duration::from_secs(10) {
            let pause = backoff.failed(&error(Errno::MFILE)).unwrap();
            assert_eq!(backoff.is_first(), tries == 0);
            assert!(pause <= Duration::from_secs(1));
            waited += pause;
            tries += 1;
        }
        assert!(tries < 20, "{tries} tries in 10 s");
        backoff.succeeded();
        assert_eq!(
            backoff.failed(&error(Errno::NFILE)),
            Some(Backoff::SHORTEST)
        );
    }

    #[test]
    fn one_lost_connection_stops_nothing() {
        let mut backoff = Backoff::default();
        for errno in [Errno::CONNABORTED, Errno::CONNRESET, Errno::INTR] {
            assert_eq!(backoff.failed(&error(errno)), None);
        }
        for errno in [Errno::NOBUFS, Errno::NOMEM, Errno::PERM] {
            assert!(backoff.failed(&error(errno)).is_some());
        }
    }

    #[tokio::test]
    async fn port_0_answers_its_address() {
        let addresses = ["127.0.0.1:0", "[::1]:0"].map(|a| a.parse().unwrap());
        let listeners = Listener::bind_all(&addresses).unwrap();
        for (listener, asked) in listeners.iter().zip(addresses) {
            assert_eq!(listener.address().ip(), asked.ip());
            assert_ne!(listener.address().port(), 0);
        }
        let taken = Listener::bind(listeners[0].address());
        assert!(matches!(taken, Err(Error::Listen { .. })));
    }

    #[tokio::test]
    async fn the_two_wildcards_share_a_port() {
        let v4 = Listener::bind("0.0.0.0:0".parse().unwrap())
            .unwrap()
            .address();
        let v6 = format!("[::]:{}", v4.port()).parse().unwrap();
        assert_eq!(Listener::bind_all(&[v6, v4]).unwrap().len(), 2);
    }

    #[tokio::test]
    async fn accepted_sockets_send_at_once_and_notice_dead_peers() {
        let listener = Listener::bind("[::]:0".parse().unwrap()).unwrap();
        let port = listener.address().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        assert!(peer.is_ipv4(), "{peer}");
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
    }
}
