//! entrepot: a container registry appliance in one binary.

pub mod api;
pub mod app;
pub mod blob;
pub mod config;
pub mod http;
pub mod jobs;
pub mod model;
pub mod oci;
pub mod outbound;
pub mod proxy;
pub mod quota;
pub mod registry;
pub mod store;
pub mod telemetry;
pub mod upstream;
