//! The command line: every subcommand, flag and help text.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::operations::Target;
use crate::config::Flags;

/// A pull-through cache of container registries.
///
/// Without a command it serves. Without a configuration it caches docker.io, quay.io, ghcr.io, gcr.io,
/// registry.k8s.io, mcr.microsoft.com and public.ecr.aws for this machine:
///
///     entrepot
///     docker pull localhost:8080/docker.io/library/alpine
#[derive(Debug, Parser)]
#[command(
    name = "entrepot",
    version,
    verbatim_doc_comment,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Flags of every command.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Common {
    /// Configuration file [default: ./config.yaml, else /etc/entrepot/config.yaml, else what is built
    /// in]
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Directory of everything that is kept, instead of the configured one
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) data_dir: Option<PathBuf>,
}

/// Flags of the server.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ServeArgs {
    /// Address to listen on, instead of the configured ones; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve until told to stop (this is what happens without a command)
    ///
    /// SIGTERM and SIGINT end it after running requests; a second one ends it at once. SIGHUP reads the
    /// configuration again.
    Serve(ServeArgs),
    /// Check a configuration: print every mistake and warning with its line, change nothing
    ///
    /// Exits with 0 if the configuration can be used, else with 1.
    CheckConfig {
        /// The file to check, instead of that of --config
        file: Option<PathBuf>,
    },
    /// Look into what is held, and change it
    #[command(
        after_help = "A REF is organization/repository[:tag][@digest], such as \
        docker.io/library/alpine:latest."
    )]
    Cache {
        /// Print one JSON object a line
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Remove files that nothing names and fills that nobody resumes, as a server does by itself daily
    Sweep,
    /// Show whether the site works, its disk, and what each organization holds
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make what TLS needs
    Tls {
        #[command(subcommand)]
        command: TlsCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// List organizations, or the tags that one of them, or one repository, holds
    Ls {
        /// organization, organization/repository or organization/repository:tag
        #[arg(value_name = "ORG[/REPO]")]
        scope: Option<Target>,
    },
    /// Let go of tags, manifests, repositories, or with --all of all that an organization holds
    ///
    /// What other tags or repositories name as well stays. It is fetched again when it is asked for.
    Rm {
        #[arg(
            value_name = "REF",
            required = true,
            help = "What to let go of: organization/repository[:tag][@digest]"
        )]
        targets: Vec<Target>,
        /// Allow whole organizations
        #[arg(long)]
        all: bool,
    },
    /// Ask upstream now where tags point, and fetch what has changed
    Refresh {
        /// Tags to ask for: organization/repository:tag
        #[arg(value_name = "REF", required = true)]
        targets: Vec<Target>,
    },
    /// Keep what tags lead to, however long it is unused
    Pin {
        /// Tags to keep: organization/repository:tag
        #[arg(value_name = "REF", required = true)]
        targets: Vec<Target>,
    },
    /// Let what tags lead to be evicted again
    Unpin {
        /// Tags to free: organization/repository:tag
        #[arg(value_name = "REF", required = true)]
        targets: Vec<Target>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TlsCommand {
    /// Write a key and a certificate signed by it, and print how to use them
    SelfSigned {
        /// Host name or address that clients use; may be given several times [default: localhost
        /// and its addresses]
        #[arg(long, value_name = "HOST", value_parser = host)]
        host: Vec<String>,
        /// Directory to write entrepot.crt and entrepot.key into; existing files are never replaced
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
}

impl Common {
    /// What of the configuration the command line says.
    pub(super) fn flags(&self, serve: &ServeArgs) -> Flags {
        Flags {
            listen: serve.listen.clone(),
            data_dir: self.data_dir.clone(),
        }
    }
}

/// A name or an address, without port and scheme.
fn host(text: &str) -> Result<String, String> {
    let name = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._*".contains(&b));
    match (name && !text.is_empty()) || text.parse::<IpAddr>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("it is a host name or an address, without port and scheme".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Every command and every flag says what it does.
    #[test]
    fn help_texts_are_complete() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let explained = argument.get_help().is_some();
                assert!(explained, "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn serving_needs_no_word() {
        let cli = Cli::parse_from(["entrepot", "--listen", "127.0.0.1:1", "--data-dir", "d"]);
        assert!(cli.command.is_none());
        let flags = cli.common.flags(&cli.serve);
        assert_eq!(flags.listen, ["127.0.0.1:1"]);
        assert_eq!(flags.data_dir, Some("d".into()));
    }

    #[test]
    fn hosts_have_no_port() {
        assert!(host("registry.lan").is_ok() && host("::1").is_ok() && host("10.0.0.1").is_ok());
        assert!(host("a:80").is_err() && host("http://a").is_err() && host("").is_err());
    }
}
