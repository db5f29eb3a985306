//! A small HTTP proxy: CONNECT, and requests in absolute form. It has a name service of its own: whatever
//! host is asked for, it goes to one address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy; ends with the test's runtime.
pub(crate) struct HttpProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    /// Everything asked of it goes to `target`.
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(forward(client, target, Arc::clone(&seen)));
            }
        });
        Self { address, heads }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of all requests it got.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// One request a connection, then bytes both ways.
async fn forward(mut client: TcpStream, target: SocketAddr, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    let mut server = TcpStream::connect(target).await.unwrap();
    if head.starts_with("CONNECT ") {
        client
            .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
            .await
            .unwrap();
    } else {
        // RFC 9112 §3.2.2: the absolute form becomes the origin form.
        let (line, rest) = head.split_once("\r\n").unwrap();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let url = url::Url::parse(target).unwrap();
        let head = format!(
            "{method} {} HTTP/1.1\r\n{rest}",
            &url[url::Position::BeforePath..]
        );
        server.write_all(head.as_bytes()).await.unwrap();
    }
    // Broken pipes at the end are how tests end.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
