//! Whatever an upstream answers: heads, challenges, links to next pages, manifests, tokens.
#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use entrepot::config::{Config, OutboundConfig};
use entrepot::model::{Clock, PlatformPolicy, ProxyChoice, UpstreamRule};
use entrepot::oci::{Reference, RepositoryName};
use entrepot::outbound::{AddressPolicy, Names, Outbound};
use entrepot::upstream::{Metrics, Upstream};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

struct Place {
    runtime: Runtime,
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    outbound: Outbound,
    metrics: Metrics,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("its address");
        let answer = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(serve(listener, Arc::clone(&answer)));
        let outbound = Outbound::new(
            OutboundConfig::default(),
            Duration::from_secs(1),
            Names::System,
            Clock::System,
        );
        Place {
            runtime,
            address,
            answer,
            outbound: outbound.expect("a maker of clients"),
            metrics: Metrics::new(&prometheus::Registry::new()).expect("metrics"),
        }
    })
}

/// Answers each connection's first request with the bytes of the turn.
async fn serve(listener: TcpListener, answer: Arc<Mutex<Vec<u8>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let bytes = answer.lock().expect("nobody panics here").clone();
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&bytes).await;
        });
    }
}

fn rule(address: SocketAddr) -> UpstreamRule {
    UpstreamRule {
        organization: "cache".parse().expect("a name"),
        upstream: "registry.a.test".parse().expect("a name"),
        endpoint: Some(format!("http://{address}/").parse().expect("a URL")),
        credentials: None,
        insecure: true,
        ca_file: None,
        proxy: ProxyChoice::None,
        expiration: None,
        fresh: Duration::ZERO,
        strict_expiration: false,
        anonymous_pull: true,
        quota: None,
        platforms: PlatformPolicy::Requested,
        pin: Vec::new(),
        max_connections: 8,
        bandwidth: None,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let place = place();
    // Heads are HTTP in any case: what is behind them is what is looked for.
    let mut answer = b"HTTP/1.1 ".to_vec();
    answer.extend_from_slice(bytes);
    *place.answer.lock().expect("nobody panics here") = answer;
    let deadlines = Config::for_testing("data".into()).deadlines;
    let upstream = Upstream::new(
        &rule(place.address),
        AddressPolicy::Any,
        &place.outbound,
        &deadlines,
        &place.metrics,
    );
    let upstream = upstream.expect("a client");
    let name: RepositoryName = "a/b".parse().expect("a name");
    let reference: Reference = "latest".parse().expect("a tag");
    place.runtime.block_on(async {
        let all = async {
            let _ = upstream.head_manifest(&name, &reference).await;
            let _ = upstream.fetch_manifest(&name, &reference).await;
            let _ = upstream.list_tags(&name).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
    });
});
