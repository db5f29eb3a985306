//! HTTP over hyper: listeners, TLS, connections, bodies and the route table, without a word of the domain.
//!
//! [`Server::serve`] takes bound [`Listener`]s and a [`Handler`], and gives every request an [`Exchange`]
//! in its extensions. The handler answers with a [`Body`]; how it travels is decided here:
//!
//! ```text
//!  listener ── accept, cap, back off           (listener, inherited, limit, server)
//!     └ connection ── what is spoken, TLS, watch, end    (sniff, tls, pulse, connection)
//!          └ guard ── heads that two servers could read differently   (HTTP/1 only)
//!               └ hyper ── HTTP/1.1 or HTTP/2
//!                    └ service ── name, check, handler, log            (service, arrival, exchange, access_log)
//!                         └ outgoing ── pieces, sendfile               (body, pieces, sendfile)
//! ```
//!
//! Promises: bounded memory and time for every peer; a short body never looks whole; a panic in a handler
//! is one answer 500; shutting down loses no running answer within the drain time. Files over plain
//! HTTP/1.1 go by sendfile(2) and never wait for the disk on an async worker.
//!
//! Who may ask what, and what an answer says, is decided by the callers: `api` and `app`.

mod access_log;
mod arrival;
mod body;
pub mod conditional;
mod connection;
mod error;
mod exchange;
mod guard;
mod inherited;
mod limit;
mod limits;
mod listener;
mod mappings;
mod metrics;
mod multipart;
mod outgoing;
mod pieces;
mod pulse;
mod request;
mod request_id;
pub mod response;
mod router;
mod sendfile;
mod server;
mod service;
mod shutdown;
mod sniff;
mod tls;

pub use access_log::{AccessLevel, Finished, OnFinished, Operation, WhenFinished};
pub use arrival::RequestBody;
pub use body::{Body, BodyError, ByteStream, Region, Residency};
pub use error::Error;
pub use exchange::Exchange;
pub use inherited::Inherited;
pub use limits::Limits;
pub use listener::Listener;
pub use metrics::Metrics;
pub use multipart::Multipart;
pub use request::{BodyReader, Drained, ReadError, ReadLimits, StreamLimits, read_all};
pub use request_id::RequestId;
pub use router::{Match, Params, Route, Router, Table};
pub use server::{Ended, Options, Server};
pub use service::{Handler, Request, Response};
pub use shutdown::{Closer, Shutdown, shutdown};
pub use tls::{ClientAuthorities, Tls, TlsPaths, TlsReloader};
