//! Connections: requests read, recorded, answered, and spoilt as the rules say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::Shared;
use super::fault::{self, Fault};
use super::wire::{Recorded, Reply, Stream, read};

/// Whether a connection serves another request.
type KeepAlive = bool;

/// Listens at `address`, also right after another server did.
pub(super) fn bind(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(1024).unwrap()
}

/// Serves until aborted; its connections end with it.
pub(super) fn spawn(shared: &Arc<Shared>, listener: TcpListener) {
    let server = Arc::clone(shared);
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            server.connections.fetch_add(1, Ordering::SeqCst);
            connections.spawn(serve(Arc::clone(&server), stream));
        }
    });
    *shared.server.lock().unwrap() = Some(task.abort_handle());
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut stream: Box<dyn Stream> = match &shared.identity {
        None => Box::new(stream),
        Some(identity) => match identity.acceptor().accept(stream).await {
            Ok(stream) => Box::new(stream),
            // A client that does not trust us says so here.
            Err(_) => return,
        },
    };
    while let Some(request) = read(&mut *stream).await {
        let (reply, fault) = plan(&shared, &request);
        match write(&shared, &mut *stream, &request, reply, fault).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
    }
}

/// Records the request and decides about it.
fn plan(shared: &Shared, request: &Recorded) -> (Reply, Option<Fault>) {
    let mut state = shared.state.lock().unwrap();
    state.requests.push(request.clone());
    let reply = state.answer(shared, request);
    let fault = fault::take(&mut state.rules, request, reply.is_content());
    let reply = match fault {
        Some(Fault::IgnoreRange) => {
            let mut whole = request.clone();
            whole.headers.retain(|(name, _)| name != "range");
            state.answer(shared, &whole)
        }
        _ => reply,
    };
    drop(state);
    shared.seen.send_modify(|count| *count += 1);
    (reply, fault)
}

async fn write(
    shared: &Shared,
    stream: &mut dyn Stream,
    request: &Recorded,
    reply: Reply,
    fault: Option<Fault>,
) -> std::io::Result<KeepAlive> {
    match fault {
        Some(Fault::HangUp) => return Ok(false),
        Some(Fault::Endless) => return endless(stream).await,
        Some(Fault::StallBeforeHeaders) => released(shared).await,
        _ => {}
    }
    let missing = match fault {
        Some(Fault::WrongLength(missing)) => missing,
        _ => 0,
    };
    let stop = match fault {
        Some(Fault::CutAt(bytes) | Fault::StallAt(bytes)) => bytes,
        _ => usize::MAX,
    };
    let is_cut = matches!(fault, Some(Fault::CutAt(_)));
    let is_stalled = matches!(fault, Some(Fault::StallAt(_)));
    let is_unsized = matches!(fault, Some(Fault::Unsized));
    let reply = spoilt(reply, fault);
    let head = match is_unsized {
        true => reply.head_until_close(),
        false => reply.head(reply.body.len() + missing),
    };
    stream.write_all(head.as_bytes()).await?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    let (first, rest) = reply.body.split_at(stop.min(reply.body.len()));
    stream.write_all(first).await?;
    stream.flush().await?;
    if is_cut {
        return Ok(false);
    }
    if is_stalled {
        released(shared).await;
    }
    stream.write_all(rest).await?;
    stream.flush().await?;
    Ok(missing == 0 && !is_unsized)
}

/// What a fault makes of an answer's head and content.
fn spoilt(mut reply: Reply, fault: Option<Fault>) -> Reply {
    match fault {
        Some(Fault::Status(status, headers, body)) => {
            reply = Reply::new(status, "application/json", body);
            for (name, value) in headers {
                reply.set(name, Some(&value));
            }
        }
        Some(Fault::Content(media_type, body)) => reply = Reply::new(200, media_type, body),
        Some(Fault::Html) => {
            reply = Reply::new(
                200,
                "text/html; charset=utf-8",
                "<html>Please log in</html>",
            );
        }
        Some(Fault::Redirect(to)) => {
            reply = Reply::new(307, "text/plain", "elsewhere").with("Location", to);
        }
        Some(Fault::WrongBytes) => {
            let mut body = reply.body.to_vec();
            body[0] ^= 0xff;
            reply.body = body.into();
        }
        Some(Fault::Gzip) => reply.set("Content-Encoding", Some("gzip")),
        Some(Fault::ContentRange(value)) => reply.set("Content-Range", Some(value)),
        Some(Fault::Headers(headers)) => {
            for (name, value) in headers {
                reply.set(name, value.as_deref());
            }
        }
        _ => {}
    }
    reply
}

async fn released(shared: &Shared) {
    let mut released = shared.released.subscribe();
    shared.stalled.send_modify(|count| *count += 1);
    // An error would mean that the server is gone, and this task with it.
    let _ = released.changed().await;
}

async fn endless(stream: &mut dyn Stream) -> std::io::Result<KeepAlive> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    loop {
        // Ends when the client hangs up.
        stream.write_all(piece.as_bytes()).await?;
    }
}
