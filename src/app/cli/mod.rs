//! The command line: every subcommand, flag and help text.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod accounts;
mod backup;
mod bundle;
mod tags;

pub(super) use accounts::{
    OrganizationCommand, PasswordArgs, PermissionCommand, RepositoryCommand, RobotCommand,
    UserCommand, VisibilityArg,
};
pub(super) use backup::{BackupArgs, RestoreArgs};
pub(super) use bundle::{ExportArgs, ImportArgs, KeysCommand, WarmArgs};
pub(super) use tags::TagCommand;

use super::operations::{Rate, RepositoryPath, Target};
use crate::config::Flags;

/// A container registry: a pull-through cache of others, and a place to push to.
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
    /// Make what TLS needs
    Tls {
        #[command(subcommand)]
        command: TlsCommand,
    },
    /// Write the manual pages, one for each command
    #[command(hide = true)]
    Man {
        /// Directory to write them into
        dir: PathBuf,
    },
    /// Print what a shell needs to complete commands and flags
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
    #[command(flatten)]
    Site(SiteCommand),
}

/// A shell that can complete our commands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Commands about what a data directory holds; a running server carries them out, or else the command
/// itself.
#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
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
    /// Show whether the site works, its disk, and what each namespace holds
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how a pull would be answered: by which rule, from what is held or from upstream, and what it is made of
    ///
    /// Nothing is asked upstream and nothing is fetched.
    #[command(
        after_help = "A REF is organization/repository[:tag][@digest], such as \
        docker.io/library/alpine:latest."
    )]
    Explain {
        /// What would be pulled
        #[arg(value_name = "REF")]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the server does: pulls, pushes, fills, upstreams, disk; once a second in a terminal
    ///
    /// Ends with Ctrl-C. Rates are those of the last second.
    Top {
        /// Print one look, which is what happens too where the output is no terminal
        #[arg(long)]
        once: bool,
        /// Print one look as JSON; counters count from the start of the server
        #[arg(long)]
        json: bool,
    },
    /// Make users, change their passwords, list them, disable them
    #[command(
        after_help = "The first user turns logins on: from then on LISTEN asks for \
        credentials where something is not public."
    )]
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Take over the users of another registry from an htpasswd file
    ///
    /// Passwords stay as they are; those kept by bcrypt are taken, as docker-registry wants them. A user
    /// that is there already is left alone. If a line is wrong, nobody is imported.
    ImportUsers {
        /// File of lines name:hash, as `htpasswd -B` writes them; - for standard input
        file: PathBuf,
        /// Read the file, print who would be imported, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Make, list and remove robots, and give them new tokens: accounts for machines
    Robot {
        #[command(subcommand)]
        command: RobotCommand,
    },
    /// Say who may do what in a repository
    Permission {
        #[command(subcommand)]
        command: PermissionCommand,
    },
    /// List and make repositories, and say who may pull from them
    Repository {
        #[command(subcommand)]
        command: RepositoryCommand,
    },
    /// List tags of local repositories, bring back what they pointed to, protect them, have them expire
    #[command(
        after_help = "A REF is namespace/name:tag, such as me/app:v1. What a tag pointed to \
        before it was moved or deleted can be restored until the time machine ends \
        (DEFAULT_TAG_EXPIRATION)."
    )]
    Tag {
        #[command(subcommand)]
        command: TagCommand,
    },
    /// Make and list organizations
    Organization {
        #[command(subcommand)]
        command: OrganizationCommand,
    },
    /// Collect now what is due: expired tags, ended time machines, manifests and blobs that nothing names
    ///
    /// A server does this by itself all the time; the command waits until nothing due is left.
    Gc {
        /// Only say what would be freed
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End tags now by the policies of namespaces, repositories and the configuration
    ///
    /// A server does this by itself, every hour for each namespace that has policies. The tags that end are
    /// listed with the reason; `entrepot tag restore` brings them back until the time machine ends.
    Prune {
        /// Namespace, or namespace/name of a repository [default: everything]
        #[arg(value_name = "NAMESPACE[/REPOSITORY]")]
        scope: Option<Target>,
        /// Only list what would end, and why
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Run a mirror now, or say what a run would do
    ///
    /// A server runs mirrors by itself, when they are due. Exits with 1 if any tag failed; what was copied stays,
    /// and the next run goes on from there.
    Mirror {
        /// The repository that is a mirror
        #[arg(value_name = "NAMESPACE/REPOSITORY")]
        repository: RepositoryPath,
        /// Only say what would be copied and ended, in how many bytes and requests
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Compare what the store says with itself and with the files
    ///
    /// Exits with 1 if anything is wrong that was not repaired.
    Check {
        /// Put right what can be put right without losing content
        #[arg(long)]
        repair: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Count anew how many bytes every namespace and repository holds
    ///
    /// The counts that quotas go by are kept with every change; this proves them. Exits with 1 if any is
    /// wrong that was not corrected.
    Recount {
        /// Correct what is wrong
        #[arg(long)]
        repair: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Read every blob and compare it with its digest
    ///
    /// A blob of which only a damaged file is left is set aside, so that it can be pushed or fetched
    /// again. Exits with 1 if any is damaged or missing.
    Scrub {
        /// Most bytes a second to read, such as 50 MiB/s; none for no bound [default: as configured]
        #[arg(long, value_name = "RATE")]
        bandwidth: Option<Rate>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with this installation, and how to mend it
    ///
    /// Looks at configuration, folder, store, certificate, clock and limits, and changes nothing, whether a server
    /// runs or not. Exits with 0 if all is fine, with 1 if something is to be mended, with 2 if something is lost
    /// that only a backup or a push brings back.
    Doctor {
        /// Ask the upstreams too whether they answer
        #[arg(long)]
        online: bool,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Copy everything into a folder of backups, while the server goes on
    ///
    /// The rows of the store as they were at one moment, and the blobs they need: those that an earlier backup in
    /// the same folder has are not copied again, and where the volume allows it files are linked. The folder
    /// keeps every backup until --keep says otherwise. Exits with 3 if content was gone or damaged already, with
    /// 1 if --verify finds something wrong.
    Backup(BackupArgs),
    /// Make a data folder of a backup
    ///
    /// Into an empty folder only. Everything is compared with its sums before the folder is one that a server
    /// takes. A restore that was cut goes on when the same command is given again.
    Restore(RestoreArgs),
    /// Write images into a bundle, to be carried where no line leads
    ///
    /// A bundle is an OCI image layout in a tar archive, which other tools read too, with a signed
    /// description. An export that broke off goes on when the same command is given again. What is not here
    /// whole is named, and nothing written then. Exits with 3 if --keep-going left something out.
    Export(ExportArgs),
    /// Take a bundle, or an OCI image layout that other tools made
    ///
    /// Nothing is visible before everything was verified; the tags of each repository move together. An
    /// import that broke off keeps what it verified. Repositories that are not there are made, private. Exits
    /// with 3 if --keep-going left something out.
    Import(ImportArgs),
    /// Print what is here, as the sender's `entrepot export --since` takes it
    Inventory,
    /// Make the key that bundles are signed with, and say whose bundles are taken
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Fetch images into the caches before anybody asks for them
    ///
    /// Exits with 1 if one of them could not be fetched.
    Warm(WarmArgs),
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

    /// SE-01: a password on the command line could be read by every process.
    #[test]
    fn no_command_takes_a_password_as_a_word() {
        for arguments in [
            &["user", "create", "ann", "--password", "x"][..],
            &["user", "passwd", "ann", "secret-word"],
        ] {
            let words = std::iter::once(&"entrepot").chain(arguments);
            assert!(Cli::try_parse_from(words).is_err(), "{arguments:?}");
        }
        let both = [
            "entrepot",
            "user",
            "passwd",
            "ann",
            "--generate",
            "--password-file",
            "f",
        ];
        assert!(Cli::try_parse_from(both).is_err());
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
