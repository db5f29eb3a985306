//! The HTTP room over real sockets.

mod bodies;
mod documented;
mod framing;
mod peers;
mod shutdown;
mod site;
mod tls;
mod uploads;
mod versions;
