//! The servers that are compared. All serve, and take, the same content under the same paths.

mod distribution;
mod nginx;
mod ours;
mod process;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::failure::{Failure, Outcome};
use crate::load::{Connection, Target};

pub(crate) use distribution::{Distribution, Role};
pub(crate) use nginx::{Nginx, Tuning};
pub(crate) use ours::{LOCAL, Ours, PROGRAM, Settings};
pub(crate) use process::{Memory, Process, free_address};

/// How long a server may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How often it is asked meanwhile.
const START_POLL: Duration = Duration::from_millis(1);

/// A running server.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    pub(crate) process: Process,
}

impl Server {
    /// Waits until `process` answers a request, whatever it says.
    async fn ready(name: &'static str, target: Target, mut process: Process) -> Outcome<Self> {
        let deadline = Instant::now() + START_DEADLINE;
        while !answers(&target).await {
            if !process.is_running() || Instant::now() > deadline {
                return Err(Failure::new(format!("{name} did not start")));
            }
            tokio::time::sleep(START_POLL).await;
        }
        Ok(Self {
            name,
            target,
            process,
        })
    }
}

async fn answers(target: &Target) -> bool {
    if !listens(target.address).await {
        return false;
    }
    let Ok(mut connection) = Connection::open(target).await else {
        return false;
    };
    // Any status will do: nginx has no such file.
    connection.begin("/v2/").await.is_ok()
}

async fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}
