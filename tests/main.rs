//! Behaviour through real sockets; one folder a room.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod api;
pub mod app;
pub mod architecture;
pub mod backup;
pub mod bounds;
pub mod bundle;
pub mod clients;
pub mod guides;
pub mod harness;
pub mod http;
pub mod jobs;
pub mod life;
pub mod mirror;
pub mod package;
pub mod proxy;
pub mod registry;
pub mod upstream;
