//! Whatever comes over a connection: requests, their heads, credentials and bodies. A panic of a handler ends the
//! fuzzer, which a server would answer with 500.
#![no_main]

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use entrepot::app::{App, Surroundings};
use entrepot::config::Config;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

struct Place {
    runtime: Runtime,
    _app: App,
    address: SocketAddr,
    _folder: TempDir,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::for_testing(folder.path().join("data"));
        config.pushes.anonymous = vec!["local".parse().expect("a name")];
        let started = runtime.block_on(App::start(config, Surroundings::default()));
        let app = started.expect("a server");
        Place {
            runtime,
            address: app.addresses().listen[0],
            _app: app,
            _folder: folder,
        }
    })
}

async fn talk(address: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let place = place();
    place.runtime.block_on(async {
        // Connections that are reset are the server's right.
        let talk = talk(place.address, bytes);
        let _ = tokio::time::timeout(Duration::from_secs(5), talk).await;
    });
});
