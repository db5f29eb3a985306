//! The subcommands, one file each; `main` hands the parsed command line over.

mod backup;
mod cache;
mod check;
mod check_config;
mod doctor;
mod explain;
mod export;
mod gc;
mod import;
mod import_users;
mod keys;
mod listing;
mod manual;
mod mirror;
mod output;
mod password;
mod prune;
mod repository;
mod restore;
mod robot;
mod serve;
mod status;
mod sweep;
mod tag;
mod tls;
mod top;
mod transfer;
mod user;
mod volumes;
mod warm;

use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::assemble::Services;
use super::cli::{Cli, Command, Common, SiteCommand, TlsCommand};
use super::operations::{self, Frame, Request};
use super::{Error, control, lock};
use crate::bundle::Input;
use crate::config::{Config, ConfigSource, Environment, Flags};
use crate::model::Clock;
pub(super) use output::Output;
use transfer::Given;

/// Exit status of a look that found something lost.
const LOST: u8 = 2;

/// Exit status of a command that was told to go on and has left something out.
const PARTIAL: u8 = 3;

/// Runs what the command line asks for; what goes wrong is on stderr when it returns.
pub fn run(cli: Cli) -> ExitCode {
    let output = Output;
    let environment = Environment::of_process();
    let Cli {
        common,
        serve,
        command,
    } = cli;
    let done = match command {
        None => serve::run(&common, &serve, environment, &output),
        Some(Command::Serve(given)) => {
            let given = if given.listen.is_empty() {
                serve
            } else {
                given
            };
            serve::run(&common, &given, environment, &output)
        }
        Some(Command::CheckConfig { file }) => {
            return check_config::run(
                file.or_else(|| common.config.clone()),
                &common,
                &environment,
                &output,
            );
        }
        Some(Command::Tls {
            command: TlsCommand::SelfSigned { host, dir },
        }) => tls::self_signed(&host, &dir, &output),
        Some(Command::Man { dir }) => manual::pages(&dir),
        Some(Command::Completions { shell }) => manual::completions(shell, &output),
        Some(Command::Site(command)) => {
            run_on_site(command, &Site::new(&common, environment), &output)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Told) => ExitCode::FAILURE,
        Err(Stop::Lost) => ExitCode::from(LOST),
        Err(Stop::Partial) => ExitCode::from(PARTIAL),
        Err(Stop::Error(error)) => {
            output.error(format_args!("entrepot: {}", error.chain()));
            ExitCode::FAILURE
        }
    }
}

/// Runs a command about what a data directory holds.
fn run_on_site(command: SiteCommand, site: &Site, output: &Output) -> Result<(), Stop> {
    match command {
        SiteCommand::Cache { json, command } => cache::run(command, json, site, output),
        SiteCommand::Sweep => sweep::run(site, output),
        SiteCommand::Status { json } => status::run(json, site, output),
        SiteCommand::Explain { target, json } => explain::run(target, json, site, output),
        SiteCommand::Top { once, json } => top::run((once, json), site, output),
        SiteCommand::User { command } => user::run(command, site, output),
        SiteCommand::ImportUsers { file, dry_run } => {
            import_users::run(&file, dry_run, site, output)
        }
        SiteCommand::Robot { command } => robot::run(command, site, output),
        SiteCommand::Permission { command } => repository::permission(command, site, output),
        SiteCommand::Repository { command } => repository::repository(command, site, output),
        SiteCommand::Organization { command } => repository::organization(command, site, output),
        SiteCommand::Tag { command } => tag::run(command, site, output),
        SiteCommand::Gc { dry_run, json } => gc::run(dry_run, json, site, output),
        SiteCommand::Prune {
            scope,
            dry_run,
            json,
        } => prune::run(scope, (dry_run, json), site, output),
        SiteCommand::Mirror {
            repository,
            dry_run,
            json,
        } => mirror::run(repository, (dry_run, json), site, output),
        SiteCommand::Check { repair, json } => {
            check::check(Request::Check { repair }, json, site, output)
        }
        SiteCommand::Recount { repair, json } => {
            check::check(Request::Recount { repair }, json, site, output)
        }
        SiteCommand::Scrub { bandwidth, json } => check::scrub(bandwidth, json, site, output),
        SiteCommand::Doctor { online, json } => doctor::run(online, json, site, output),
        SiteCommand::Backup(given) => backup::run(&given, site, output),
        SiteCommand::Restore(given) => restore::run(&given, site, output),
        SiteCommand::Export(given) => export::run(given, site, output),
        SiteCommand::Import(given) => import::run(given, site, output),
        SiteCommand::Inventory => export::inventory(site, output),
        SiteCommand::Keys { command } => keys::run(command, site, output),
        SiteCommand::Warm(given) => warm::run(given, site, output),
    }
}

/// Why a command does not end with 0.
pub(super) enum Stop {
    /// Everything has been said.
    Told,
    /// Everything has been said, and it was that something is lost.
    Lost,
    /// Not everything was done, as was allowed; what was left out has been listed.
    Partial,
    Error(Box<Error>),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(Box::new(error.into()))
    }
}

/// What a server, or this process, is to do.
struct Work {
    request: Request,
    input: mpsc::Receiver<Input>,
    /// Only a running server can tell.
    needs_server: bool,
}

/// The site that a command is about, as far as the command line tells.
struct Site {
    source: ConfigSource,
    environment: Environment,
    flags: Flags,
}

impl Site {
    fn new(common: &Common, environment: Environment) -> Self {
        Self {
            source: ConfigSource::find(common.config.clone()),
            environment,
            flags: Flags {
                listen: Vec::new(),
                data_dir: common.data_dir.clone(),
            },
        }
    }

    fn config(&self, output: &Output) -> Result<Config, Stop> {
        match Config::load(self.source.clone(), &self.environment, &self.flags) {
            Ok((config, _)) => Ok(config),
            Err(mistakes) => {
                mistakes.iter().for_each(|mistake| output.error(mistake));
                Err(Stop::Told)
            }
        }
    }

    /// Has an operation carried out, by the running server or else by this process, and gives every
    /// frame to `show`.
    fn carry_out(
        &self,
        request: Request,
        output: &Output,
        mut show: impl FnMut(Frame),
    ) -> Result<(), Stop> {
        self.carry_out_with(request, Vec::new(), output, |frame| {
            show(frame);
            Ok(())
        })
    }

    /// The same with the files that the request takes, and with what to do about frames that can fail.
    fn carry_out_with(
        &self,
        request: Request,
        files: Vec<Given>,
        output: &Output,
        show: impl FnMut(Frame) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let config = self.config(output)?;
        let (input, trouble) = transfer::send(files);
        let done = self.run(&config, request, input, output, show);
        // A file that cannot be read is why the other end found it too short.
        match trouble.take() {
            Some(error) => Err(error.into()),
            None => done,
        }
    }

    /// The same for what only a running server can tell.
    fn ask_server(
        &self,
        request: Request,
        output: &Output,
        mut show: impl FnMut(Frame),
    ) -> Result<(), Stop> {
        let config = self.config(output)?;
        let (input, _trouble) = transfer::send(Vec::new());
        let work = Work {
            request,
            input,
            needs_server: true,
        };
        self.work(&config, work, output, |frame| {
            show(frame);
            Ok(())
        })
    }

    fn run(
        &self,
        config: &Config,
        request: Request,
        input: mpsc::Receiver<Input>,
        output: &Output,
        show: impl FnMut(Frame) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let work = Work {
            request,
            input,
            needs_server: false,
        };
        self.work(config, work, output, show)
    }

    fn work(
        &self,
        config: &Config,
        work: Work,
        output: &Output,
        mut show: impl FnMut(Frame) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let Work {
            request,
            input,
            needs_server,
        } = work;
        runtime()?.block_on(async {
            let called = control::call(&config.data_dir, &request, input).await;
            let called = called.map_err(|error| Error::Control {
                reason: error.to_string(),
            })?;
            let mut frames = match called {
                Ok(frames) => frames,
                Err(_) if needs_server => {
                    let reason = format!("no server answers in {}", config.data_dir.display());
                    return Err(Error::Control { reason }.into());
                }
                Err(input) => {
                    let lock = hold(config)?;
                    let services = Services::open(config, Clock::System, lock).await?;
                    operations::begin(Arc::new(services), request, input)
                }
            };
            while let Some(frame) = frames.recv().await {
                match frame {
                    Frame::Done { text } => {
                        if !text.is_empty() {
                            output.progress(text);
                        }
                        return Ok(());
                    }
                    Frame::Failed { reason } => return Err(Error::Refused(reason).into()),
                    frame => show(frame)?,
                }
            }
            let reason = "the server left before its answer was complete".to_owned();
            Err(Error::Control { reason }.into())
        })
    }
}

/// The lock, for working without a server.
fn hold(config: &Config) -> Result<lock::Lock, Error> {
    lock::Lock::existing(&config.data_dir).map_err(|error| match error {
        Error::Locked { data_dir, process } => Error::Silent { data_dir, process },
        other => other,
    })
}

fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)
}
