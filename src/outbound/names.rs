//! Where names are looked up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Where names are looked up: the system's resolver, or a table that a test fills.
#[derive(Clone, Debug, Default)]
pub enum Names {
    #[default]
    System,
    /// Only these names exist; each lookup sees what the table holds then.
    Table(Arc<std::sync::RwLock<HashMap<String, Vec<IpAddr>>>>),
}
