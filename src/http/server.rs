//! The server: listeners in, a handler behind, an end in order.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::access_log::{AccessLog, OnFinished};
use super::connection::Newcomer;
use super::exchange::Trusted;
use super::limit::Connections;
use super::limits::Limits;
use super::listener::{Backoff, Listener};
use super::metrics::Metrics;
use super::service::{Handler, Shared};
use super::shutdown::{Phase, Shutdown, shutdown};
use super::sniff;

/// Cut connections are gone at the next turn of their task; this is for a task that never turns.
const CUT_WITHIN: Duration = Duration::from_secs(5);

/// How a server behaves, whatever it serves.
#[derive(Clone)]
pub struct Options {
    /// Bounds on peers.
    pub limits: Limits,
    /// Proxies whose word on client, scheme and host counts.
    pub trusted_proxies: Vec<IpNet>,
    /// How long running requests may take once the end has begun.
    pub drain: Duration,
    /// The counters.
    pub metrics: Metrics,
    /// Called with every request that is over.
    pub on_finished: Option<OnFinished>,
}

impl Options {
    /// Ordinary behaviour: default limits, no trusted proxy, 25 s to drain.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            drain: Duration::from_secs(25),
            metrics,
            on_finished: None,
        }
    }
}

/// Serves HTTP on any number of listeners.
pub struct Server {
    options: Options,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ended {
    /// Connections that were cut because they did not end in time.
    pub cut: usize,
}

/// What the accept loops share.
struct Gate<H> {
    shared: Arc<Shared<H>>,
    connections: Connections,
    refusals: Arc<Semaphore>,
    /// Never read from, so that clones have seen nothing.
    shutdown: Shutdown,
}

impl Server {
    /// A server that behaves so.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Serves until `until` says to end; then stops accepting, lets running requests finish within
    /// the drain time, and cuts what is left (LC-01).
    ///
    /// # Cancel safety
    /// Dropped, it cuts everything.
    pub async fn serve<H: Handler>(
        self,
        listeners: Vec<Listener>,
        handler: Arc<H>,
        mut until: Shutdown,
    ) -> Ended {
        let (closer, inner) = shutdown();
        let drain = self.options.drain;
        let gate = Arc::new(self.gate(handler, inner));
        let mut accepting = JoinSet::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            accepting.spawn(gate.clone().accept(index, listener));
        }
        until.reached(Phase::Draining).await;
        closer.drain();
        while accepting.join_next().await.is_some() {}
        tokio::select! {
            () = gate.connections.none_open() => {}
            () = sleep(drain) => {}
            () = until.reached(Phase::Cutting) => {}
        }
        let cut = gate.connections.open();
        closer.cut();
        // A task that does not end now would not end later.
        let _ = timeout(CUT_WITHIN, gate.connections.none_open()).await;
        Ended { cut }
    }

    fn gate<H: Handler>(self, handler: Arc<H>, shutdown: Shutdown) -> Gate<H> {
        let Options {
            limits,
            trusted_proxies,
            metrics,
            on_finished,
            ..
        } = self.options;
        Gate {
            connections: Connections::new(limits.connections, metrics.connections.clone()),
            refusals: Arc::new(Semaphore::new(limits.refusals)),
            shutdown,
            shared: Arc::new(Shared {
                handler,
                limits,
                trusted: Trusted::new(trusted_proxies),
                log: Arc::new(AccessLog {
                    metrics,
                    on_finished,
                }),
            }),
        }
    }
}

impl<H: Handler> Gate<H> {
    /// Accepts until draining begins; then the listener closes.
    async fn accept(self: Arc<Self>, index: usize, listener: Listener) {
        let mut shutdown = self.shutdown.clone();
        let mut backoff = Backoff::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.reached(Phase::Draining) => return,
                accepted = listener.accept() => accepted,
            };
            let pause = match accepted {
                Ok((stream, peer)) => {
                    backoff.succeeded();
                    self.welcome(Newcomer {
                        stream,
                        peer,
                        listener: index,
                        tls: listener.tls().cloned(),
                        shared: self.shared.clone(),
                        shutdown: self.shutdown.clone(),
                    });
                    continue;
                }
                Err(error) => {
                    self.shared.log.metrics.accept_failures.inc();
                    let pause = backoff.failed(&error);
                    if backoff.is_first() {
                        tracing::warn!(%error, listener = %listener.address(), "cannot accept");
                    }
                    pause
                }
            };
            if let Some(pause) = pause {
                tokio::select! {
                    () = shutdown.reached(Phase::Draining) => return,
                    () = sleep(pause) => {}
                }
            }
        }
    }

    fn welcome(&self, newcomer: Newcomer<H>) {
        match self.connections.take() {
            Some(place) => {
                tokio::spawn(async move {
                    newcomer.serve().await;
                    drop(place);
                });
            }
            None => self.refuse(newcomer),
        }
    }

    /// Sheds a connection: with an answer where that is cheap, and never waiting for it.
    fn refuse(&self, newcomer: Newcomer<H>) {
        self.shared.log.metrics.refused.inc();
        let stream: TcpStream = newcomer.stream;
        let permit = self.refusals.clone().try_acquire_owned();
        if let (None, Ok(permit)) = (newcomer.tls, permit) {
            tokio::spawn(async move {
                sniff::refuse(stream, sniff::TOO_MANY).await;
                drop(permit);
            });
        }
    }
}
