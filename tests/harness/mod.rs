//! What the tests stand on: real clients, real and scripted upstreams, content. Loopback only, port 0.

pub mod api;
pub mod browser;
pub mod chance;
pub mod child;
pub mod clients;
pub mod conformance;
pub mod content;
pub mod disk;
pub mod distribution;
pub mod files;
pub mod form;
pub mod http_proxy;
pub mod images;
pub mod ledger;
pub mod local;
pub mod origin;
pub mod people;
pub mod process;
pub mod pushable;
pub mod pusher;
pub mod sandbox;
pub mod site;
pub mod strace;
pub mod usage;
pub mod volume;

use std::future::Future;
use std::time::Duration;

/// Waits for something that is about to happen; a test that waits this long has failed.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), event).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Moves the clock of this test's runtime; nobody sleeps.
pub(crate) async fn pass_time(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}
