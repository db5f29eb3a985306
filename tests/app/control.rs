//! The control socket, spoken to by hand.

use std::os::fd::AsRawFd as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::harness::origin::Origin;
use crate::harness::site::Site;
use crate::harness::soon;

async fn ask(site: &Site, request: &[u8]) -> String {
    // A socket's path is bounded; that of the process's own directory entry is short.
    let folder = std::fs::File::open(&site.config.data_dir).unwrap();
    let path = format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd());
    let mut stream = UnixStream::connect(path).await.unwrap();
    // The server may stop reading before everything is written.
    let _ = stream.write_all(request).await;
    let mut answer = String::new();
    let _ = soon("the answer", stream.read_to_string(&mut answer)).await;
    answer
}

#[tokio::test]
async fn one_line_asks_and_lines_answer() {
    let origin = Origin::start().await;
    let site = Site::cache_of(&origin).await;
    let answer = ask(&site, b"{\"command\":\"list\",\"scope\":null}\n").await;
    let lines: Vec<serde_json::Value> = answer
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["row"]["organization"]["namespace"], "docker.io");
    assert!(lines.last().unwrap()["done"].is_object());
}

/// WB-03, DO-01: what is no request gets an answer and does no harm.
#[tokio::test]
async fn nonsense_is_answered_and_bounded() {
    let origin = Origin::start().await;
    let site = Site::cache_of(&origin).await;
    for request in [
        &b"nonsense\n"[..],
        b"{\"command\":\"nosuch\"}\n",
        b"{\"command\":\"remove\",\"targets\":[\"../..\"],\"all\":true}\n",
        b"{\"command\":\"sweep\",\"more\":1}\n",
    ] {
        let answer = ask(&site, request).await;
        assert!(answer.contains("not understood"), "{answer}");
    }
    let endless = vec![b'x'; 1 << 20];
    assert_eq!(ask(&site, &endless).await, "");
    let answer = ask(&site, b"{\"command\":\"status\"}\n").await;
    assert!(answer.contains("store_works"), "{answer}");
}

/// A socket file that a crash left is replaced.
#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let origin = Origin::start().await;
    let mut site = Site::cache_of(&origin).await;
    site.stop().await;
    std::fs::write(site.config.data_dir.join("control.sock"), "").unwrap();
    site.restart().await;
    let answer = ask(&site, b"{\"command\":\"status\"}\n").await;
    assert!(answer.contains("store_works"), "{answer}");
}

/// The path of a socket holds 108 bytes, that of a data directory 4,096.
#[tokio::test]
async fn a_long_path_is_no_obstacle() {
    let site = Site::start(|config| {
        config.data_dir = config.data_dir.join("x".repeat(120)).join("data");
    })
    .await;
    let answer = ask(&site, b"{\"command\":\"status\"}\n").await;
    assert!(answer.contains("store_works"), "{answer}");
}
