//! Commands about tags of local repositories: what they point to, what they pointed to, and back.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::app::operations::{Expiry, RepositoryPath, Target};
use crate::config::parse_duration;
use crate::model::Timestamp;

#[derive(Debug, Subcommand)]
pub(in crate::app) enum TagCommand {
    /// List the tags of a repository: where each points, since when, by whom, and when it expires
    Ls {
        /// Repository: namespace/name
        repository: RepositoryPath,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// List what tags pointed to before they were moved or deleted or expired, the newest end first
    History {
        /// A repository, or one tag of it: namespace/name or namespace/name:tag
        #[arg(value_name = "REPO[:TAG]")]
        scope: Target,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Point a tag again at what it pointed to before it was last moved, deleted or expired
    ///
    /// With a digest it is pointed at that manifest, as far as the repository still has it.
    Restore {
        /// The tag: namespace/name:tag, or namespace/name:tag@digest
        #[arg(value_name = "REPO:TAG[@DIGEST]")]
        target: Target,
    },
    /// Have tags neither moved nor deleted nor expire
    Immutable {
        /// Tags to protect: namespace/name:tag
        #[arg(value_name = "REF", required = true)]
        targets: Vec<Target>,
    },
    /// Let tags be moved and deleted again, and expire if they are to
    Mutable {
        /// Tags to free: namespace/name:tag
        #[arg(value_name = "REF", required = true)]
        targets: Vec<Target>,
    },
    /// Say when tags end by themselves
    Expire {
        /// Tags that end, or last: namespace/name:tag
        #[arg(value_name = "REF", required = true)]
        targets: Vec<Target>,
        #[command(flatten)]
        when: ExpiryArgs,
    },
}

/// When a tag ends; one of the three.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(in crate::app) struct ExpiryArgs {
    /// End them at a time of RFC 3339, such as 2030-01-31T18:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// End them after this long, such as 20h, 2d or 3w
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    after: Option<Duration>,
    /// Have them last until they are deleted
    #[arg(long)]
    never: bool,
}

impl From<ExpiryArgs> for Expiry {
    fn from(given: ExpiryArgs) -> Self {
        match (given.at, given.after) {
            (Some(time), _) => Self::At { time },
            (None, Some(duration)) => Self::After { duration },
            (None, None) => Self::Never {},
        }
    }
}
