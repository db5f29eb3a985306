//! entrepot: a container registry appliance in one binary.

pub mod model;
pub mod oci;
