//! Sockets that a service manager holds: processes come and go, connections do not notice (LC-09).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::clients::variable;
use crate::harness::process::Place;
use crate::harness::soon;

/// Asks on a connection of its own; returns the first line of the answer.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// LC-09: the process is replaced again and again, and each connection is answered. `ENTREPOT_LONG=1`
/// makes 10,000.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_on_an_inherited_socket_refuses_nobody() {
    let wanted = match variable("ENTREPOT_LONG") {
        Some(_) => 10_000,
        None => 1_500,
    };
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // What is named for the registry stands in the place of LISTEN, which could not be had.
    let place = Place::new("LISTEN: 192.0.2.1:1\n");
    let mut process = place
        .serve_on("registry", socket.try_clone().unwrap())
        .await;
    assert_eq!(process.address, address);
    let (done, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered) = (done.clone(), answered.clone());
            tokio::spawn(async move {
                while !done.load(Relaxed) {
                    let answer = soon("an answer", ask(address)).await;
                    assert_eq!(answer.expect("no refusal, no reset"), "HTTP/1.1 200 OK");
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for part in 1..=5 {
        soon("some answers", async {
            while answered.load(Relaxed) < wanted / 5 * part {
                assert!(clients.iter().all(|client| !client.is_finished()));
                tokio::task::yield_now().await;
            }
        })
        .await;
        process.signal(Signal::TERM);
        assert!(process.ended().await.success());
        process = place
            .serve_on("registry", socket.try_clone().unwrap())
            .await;
    }
    done.store(true, Relaxed);
    for client in clients {
        soon("a client", client).await.unwrap();
    }
    assert!(answered.load(Relaxed) >= wanted);
}

/// LC-09: a socket without a name is what its address says, and one that nothing wants is told.
#[tokio::test]
async fn sockets_are_known_by_address_and_strangers_are_told() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let place = Place::new(&format!("LISTEN: {address}\n"));
    let process = place.serve_on("entrepot.socket", socket).await;
    assert_eq!(process.address, address);
    assert_eq!(
        soon("an answer", ask(address)).await.unwrap(),
        "HTTP/1.1 200 OK"
    );

    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::new("");
    let mut process = place.serve_on("something", stranger).await;
    let line = process.logs("no setting wants this socket").await;
    assert!(line.contains("something"), "{line}");
    assert_eq!(
        soon("an answer", ask(process.address)).await.unwrap(),
        "HTTP/1.1 200 OK"
    );
}

/// LC-04: what is no TCP socket is named, and nothing starts.
#[tokio::test]
async fn what_is_no_socket_is_refused() {
    let place = Place::new("");
    let file = std::fs::File::open("/dev/null").unwrap();
    let refused = place.serve_badly_on("registry", file).await;
    assert!(refused.contains("the socket \"registry\""), "{refused}");
}

/// LC-09, SE: a child of ours would not inherit the socket.
#[tokio::test]
async fn inherited_sockets_are_closed_on_exec() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::new("");
    let process = place.serve_on("registry", socket).await;
    let path = format!("/proc/{}/fdinfo/3", process.id());
    let info = std::fs::read_to_string(path).unwrap();
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .unwrap();
    let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
    assert_ne!(flags & 0o2_000_000, 0, "O_CLOEXEC in {info}");
}
