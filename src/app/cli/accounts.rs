//! Commands about accounts and what is theirs: users, robots, grants, repositories, organizations.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::app::operations::{GranteeName, RepositoryPath};
use crate::model::{NamespaceName, RobotName, Role};

/// Where a password comes from; never from the command line, which every process can read.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub(in crate::app) struct PasswordArgs {
    /// Read the password from the first line of a file; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(in crate::app) password_file: Option<PathBuf>,
    /// Make a password up and print it
    #[arg(long)]
    pub(in crate::app) generate: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::app) enum UserCommand {
    /// Make a user, who owns the namespace of that name
    ///
    /// Without --password-file and --generate the password is asked for on the terminal, twice.
    Create {
        /// 2 to 255 lower-case letters and digits, with single '.', '_' or '-' between them
        #[arg(value_parser = user_name)]
        name: NamespaceName,
        /// E-mail address, which works as a name at login too
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
        /// Let the user administer the whole site
        #[arg(long)]
        superuser: bool,
    },
    /// Give a user another password; what was logged in with the old one is logged out
    Passwd {
        /// Name of the user
        #[arg(value_parser = user_name)]
        name: NamespaceName,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Let a user log in no more, nor its robots; nothing of theirs is lost
    Disable {
        /// Name of the user
        #[arg(value_parser = user_name)]
        name: NamespaceName,
    },
    /// Let a user log in again that was disabled
    Enable {
        /// Name of the user
        #[arg(value_parser = user_name)]
        name: NamespaceName,
    },
    /// List users
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::app) enum RobotCommand {
    /// Make a robot, print its token, and say how to log in with it
    ///
    /// The token is all that is on standard output, for `docker login --password-stdin`.
    Create {
        /// Name of the robot: the namespace it belongs to, '+', and its own name
        #[arg(value_name = "NAMESPACE+NAME")]
        name: RobotName,
        /// What it is for, at most 255 characters
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Repository of its namespace to which it may push; may be given several times
        #[arg(long, value_name = "REPO")]
        write: Vec<RepositoryPath>,
        /// Repository of its namespace from which it may pull; may be given several times
        #[arg(long, value_name = "REPO")]
        read: Vec<RepositoryPath>,
    },
    /// Give a robot another token and print it; the one before counts no more, its grants stay
    Regenerate {
        /// Name of the robot
        #[arg(value_name = "NAMESPACE+NAME")]
        name: RobotName,
    },
    /// List the robots of a namespace
    List {
        /// Name of a user or an organization
        namespace: NamespaceName,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a robot; it is logged out at once
    Rm {
        /// Name of the robot
        #[arg(value_name = "NAMESPACE+NAME")]
        name: RobotName,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::app) enum PermissionCommand {
    /// List who may do what in a repository, besides its owners
    Ls {
        /// Repository: namespace/name
        repository: RepositoryPath,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Let a user, robot or team do something in a repository, instead of what it might before
    Set {
        /// Repository: namespace/name
        repository: RepositoryPath,
        /// User, robot (namespace+name), or team of the organization (team:name): every organization
        /// has team:owners, and others come with the API
        #[arg(value_name = "NAME")]
        grantee: GranteeName,
        /// read: pull; write: push and delete too; admin: change settings and grants too
        #[arg(value_name = "read|write|admin")]
        role: Role,
    },
    /// Take a grant back
    Rm {
        /// Repository: namespace/name
        repository: RepositoryPath,
        /// User, robot (namespace+name), or team of the organization (team:name)
        #[arg(value_name = "NAME")]
        grantee: GranteeName,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::app) enum RepositoryCommand {
    /// List repositories, of one namespace or of all
    Ls {
        /// Name of a user or an organization
        namespace: Option<NamespaceName>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make an empty repository, to grant something on it before the first push
    Create {
        /// Repository: namespace/name
        repository: RepositoryPath,
        /// Let everyone pull from it, instead of only those to whom it is granted
        #[arg(long)]
        public: bool,
    },
    /// Let everyone pull from a repository, or only those to whom it is granted
    Visibility {
        /// Repository: namespace/name
        repository: RepositoryPath,
        /// public: everyone pulls; private: those to whom it is granted
        #[arg(value_name = "public|private")]
        visibility: VisibilityArg,
    },
}

/// `public` or `private`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(in crate::app) enum VisibilityArg {
    Public,
    Private,
}

#[derive(Debug, Subcommand)]
pub(in crate::app) enum OrganizationCommand {
    /// List organizations; `entrepot cache ls` lists caches, and `entrepot user list` users
    Ls {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Make an organization
    Create {
        /// 2 to 255 lower-case letters and digits, with single '.', '_' or '-' between them
        #[arg(value_parser = organization_name)]
        name: NamespaceName,
        /// User who administers it; without one only superusers do
        #[arg(long, value_name = "USER", value_parser = user_name)]
        owner: Option<NamespaceName>,
    },
}

fn user_name(text: &str) -> Result<NamespaceName, String> {
    chosen_name("the user's name", text)
}

fn organization_name(text: &str) -> Result<NamespaceName, String> {
    chosen_name("the organization's name", text)
}

/// A name that people choose; what it is, where it is not one, is told in the words of [`accounts`].
///
/// [`accounts`]: crate::accounts
fn chosen_name(what: &str, text: &str) -> Result<NamespaceName, String> {
    text.parse().map_err(|_| {
        format!(
            "{what} is not valid: it is 2 to 255 lower-case letters and digits, with single '.', \
             '_' or '-' between them"
        )
    })
}
