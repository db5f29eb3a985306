//! How much of the server one peer may take, and for how long.

use std::time::Duration;

/// Bounds of connections, heads and waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once over all listeners; more are refused with 503.
    pub connections: usize,
    /// Bytes of a request's head. A list of ranges takes 30 kB (podman's partial pulls).
    pub head_bytes: usize,
    /// Header lines of a request (DO-01).
    pub head_lines: usize,
    /// Bytes of a request target; longer ones are answered 414 (DO-01).
    pub target_bytes: usize,
    /// From a head's first byte to its last; on a fresh connection from its start.
    pub head: Duration,
    /// From accepting a TLS connection to the end of its handshake.
    pub handshake: Duration,
    /// How long a connection may be kept open between requests.
    pub idle: Duration,
    /// How long a client may take next to nothing of an answer that waits for it (RS-02).
    pub stall: Duration,
    /// HTTP/2 streams open at once on a connection (DO-09).
    pub streams: u32,
    /// Connections that are answered while they are refused; others are just closed.
    pub refusals: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            head_bytes: 64 << 10,
            head_lines: 100,
            target_bytes: 8 << 10,
            head: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            stall: Duration::from_secs(45),
            streams: 128,
            refusals: 64,
        }
    }
}
