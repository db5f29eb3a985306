//! Commands that copy everything, and make a data folder of a copy.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use crate::backup::GenerationName;

/// What is copied, and where to.
#[derive(Args, Clone, Debug)]
pub(in crate::app) struct BackupArgs {
    /// Folder of backups; made if it is not there
    #[arg(value_name = "DIR")]
    pub(in crate::app) dir: PathBuf,
    /// Take along the blobs that caches hold, which otherwise are fetched again
    #[arg(long)]
    pub(in crate::app) cached: bool,
    /// Leave out secret.key and the signing key of bundles: after a restore every robot and every program needs a
    /// new token
    #[arg(long)]
    pub(in crate::app) without_secrets: bool,
    /// Copy where a hard link would do, so that one damaged disk block cannot hurt both
    #[arg(long)]
    pub(in crate::app) copy: bool,
    /// Remove all but this number of backups afterwards, and the blobs that only they needed
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::app) keep: Option<NonZeroUsize>,
    /// Only read what the folder has, and compare it with its sums
    #[arg(long, conflicts_with_all = ["cached", "without_secrets", "copy", "keep"])]
    pub(in crate::app) verify: bool,
    /// Only list the backups that the folder has
    #[arg(long, conflicts_with_all = ["cached", "without_secrets", "copy", "keep", "verify"])]
    pub(in crate::app) list: bool,
    /// Verify only this backup
    #[arg(long, value_name = "NAME", requires = "verify")]
    pub(in crate::app) generation: Option<GenerationName>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(in crate::app) json: bool,
}

/// What is made of a backup, and where.
#[derive(Args, Clone, Debug)]
pub(in crate::app) struct RestoreArgs {
    /// Folder of backups
    #[arg(value_name = "DIR")]
    pub(in crate::app) dir: PathBuf,
    /// Empty folder to restore into [default: the data folder of the configuration]
    #[arg(long, value_name = "DATA_DIR")]
    pub(in crate::app) to: Option<PathBuf>,
    /// The backup to take, such as 20261122T093143Z [default: the newest]
    #[arg(long, value_name = "NAME")]
    pub(in crate::app) generation: Option<GenerationName>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::app) json: bool,
}
