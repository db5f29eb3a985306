//! The life of a serving process: start, signals, end.
//!
//! SIGTERM, SIGINT and a superuser's word end it in order, a second signal at once; SIGHUP reads the configuration again; a
//! store that has failed ends it with 1, because only a fresh process can trust its file again. So does a data
//! volume that took no writes at the start and takes them now, because only a fresh process can use it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::assemble;
use super::commands::Output;
use super::listeners::client_host;
use super::notify::Notifier;
use super::{App, Error, Surroundings, doctor};
use crate::config::{Config, ConfigError, ConfigSource, Environment, Flags, Warning};
use crate::http::Inherited;
use crate::model::Clock;
use crate::telemetry::Logging;

/// Where the configuration comes from, at the start and at every SIGHUP.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) source: ConfigSource,
    pub(super) flags: Flags,
    pub(super) environment: Environment,
}

impl Given {
    /// Reads and checks everything anew.
    pub(super) fn load(&self) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
        Config::load(self.source.clone(), &self.environment, &self.flags)
    }
}

/// Why serving ends.
#[derive(Debug)]
enum End {
    Signal,
    /// A superuser asked for it.
    Asked,
    StoreFailed,
    /// The data volume was read-only at the start, and is no more.
    Writable,
}

/// What a signal means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    End,
    Reload,
}

/// The signals that mean something to us.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// From here on they no longer end the process by themselves.
    fn catch() -> Result<Self, Error> {
        let of = |kind| signal(kind).map_err(Error::Runtime);
        Ok(Self {
            term: of(SignalKind::terminate())?,
            int: of(SignalKind::interrupt())?,
            hup: of(SignalKind::hangup())?,
        })
    }

    /// The next signal, whichever it is.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.term.recv() => Told::End,
            _ = self.int.recv() => Told::End,
            _ = self.hup.recv() => Told::Reload,
        }
    }

    /// Returns at the next signal that wants an end; a wish to reload comes too late then.
    async fn end(&mut self) {
        while self.next().await != Told::End {}
    }
}

/// Serves until the end; an error is why the process ends with 1.
pub(super) async fn serve(
    given: Given,
    config: Config,
    logging: Logging,
    output: &Output,
) -> Result<(), Error> {
    let mut signals = Signals::catch()?;
    let notifier = Notifier::new(&given.environment);
    let surroundings = Surroundings {
        inherited: Inherited::take(&given.environment.inherited_sockets())?,
        logging: Some(logging),
        intervals: assemble::intervals(&config),
        ..Surroundings::default()
    };
    let lines = StartLines::of(&config);
    let starting = App::start(config, surroundings);
    let app = tokio::select! {
        app = starting => app?,
        // Nothing was promised yet, so nothing needs an orderly end.
        () = signals.end() => return Ok(()),
    };
    lines.show(&app, output);
    notifier.ready().await;
    let end = live(&app, &given, &mut signals, &notifier).await;
    notifier.stopping().await;
    finish(app, end, &mut signals).await
}

async fn live(app: &App, given: &Given, signals: &mut Signals, notifier: &Notifier) -> End {
    let mut watchdog = std::pin::pin!(notifier.keep_alive(app.registry()));
    loop {
        let told = tokio::select! {
            told = signals.next() => told,
            () = app.wait_failed() => return End::StoreFailed,
            () = app.end_asked() => return End::Asked,
            () = app.wait_writable() => return End::Writable,
            () = &mut watchdog => continue,
        };
        match told {
            Told::End => return End::Signal,
            Told::Reload => reload(app, given.clone()).await,
        }
    }
}

async fn reload(app: &App, given: Given) {
    match tokio::task::spawn_blocking(move || given.load()).await {
        Ok(loaded) => app.reload(loaded).await,
        Err(error) => tracing::error!(%error, "the configuration was not read"),
    }
}

async fn finish(app: App, end: End, signals: &mut Signals) -> Result<(), Error> {
    match end {
        End::Signal | End::Asked => {
            tracing::info!("ending; running requests may finish, a second signal cuts them")
        }
        End::StoreFailed => tracing::error!("ending: the store has failed"),
        End::Writable => tracing::info!("ending: the data volume takes writes again"),
    }
    let hasten = app.hasten();
    if matches!(end, End::StoreFailed) {
        hasten();
    }
    let mut stopping = std::pin::pin!(app.stop());
    let ended = tokio::select! {
        ended = &mut stopping => ended,
        () = signals.end() => {
            tracing::warn!("ending at once");
            hasten();
            stopping.await
        }
    };
    tracing::info!(cut_connections = ended.cut, "ended");
    match end {
        End::Signal | End::Asked => Ok(()),
        End::StoreFailed => Err(Error::Refused(
            "the store has failed; see the log".to_owned(),
        )),
        End::Writable => Err(Error::Refused(
            "the data volume was read-only and takes writes again: start once more to use it"
                .to_owned(),
        )),
    }
}

/// What is printed once requests are answered.
struct StartLines {
    scheme: &'static str,
    hostname: Option<String>,
    example: Option<String>,
}

impl StartLines {
    fn of(config: &Config) -> Self {
        let hub = config
            .upstreams
            .iter()
            .find(|rule| rule.upstream.host == "docker.io" && rule.upstream.namespace.is_none());
        let example = match hub {
            Some(rule) => Some(format!("{}/library/alpine", rule.organization)),
            None => config
                .upstreams
                .first()
                .map(|rule| format!("{}/NAME:TAG", rule.organization)),
        };
        Self {
            scheme: if config.tls.is_some() {
                "https"
            } else {
                "http"
            },
            hostname: config.server_hostname.clone(),
            example,
        }
    }

    fn show(&self, app: &App, output: &Output) {
        let addresses = app.addresses();
        for address in &addresses.listen {
            output.line(format_args!("serving on {}://{address}", self.scheme));
        }
        for (organization, address) in &addresses.mirrors {
            output.line(format_args!("mirror of {organization} on http://{address}"));
        }
        if let Some(address) = addresses.metrics {
            output.line(format_args!("metrics on http://{address}/metrics"));
        }
        if let Some(address) = addresses.redirect {
            output.line(format_args!("sent on to https from http://{address}"));
        }
        let listen = addresses.listen.first();
        // The line can be pasted into a shell of this machine as it is.
        let host = client_host(self.hostname.as_deref(), listen, "localhost");
        if let (Some(host), Some(example)) = (host, &self.example) {
            output.line(format_args!("pull with: docker pull {host}/{example}"));
        }
        tracing::info!(listen = ?addresses.listen, "serving");
        let now = Clock::System.now();
        if doctor::is_unset(now) {
            tracing::warn!(
                clock.now = %now,
                "the clock is not set: what is held is served, upstreams over TLS are not believed until it is"
            );
        }
    }
}
