//! Whatever comes over a connection: requests, their heads, credentials and bodies. A panic of a handler ends the
//! fuzzer, which a server would answer with 500.
#![no_main]

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use entrepot_fuzz::Site;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

static SITE: OnceLock<Site> = OnceLock::new();

async fn talk(address: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let site = SITE.get_or_init(Site::start);
    site.runtime.block_on(async {
        // Connections that are reset are the server's right.
        let talk = talk(site.app.addresses().listen[0], bytes);
        let _ = tokio::time::timeout(Duration::from_secs(5), talk).await;
    });
});
