//! Commands for sites without a line to the world: bundles, their keys, and warm-ups.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::bundle::Signatures;
use crate::model::{ByteSize, Timestamp};
use crate::oci::Platform;

/// What is written, and how.
#[derive(Args, Clone, Debug)]
pub(in crate::app) struct ExportArgs {
    /// What to take along: namespace, namespace/repository or namespace/repository:tag, with *, ?, [...], {a,b},
    /// and ** for any number of components
    #[arg(value_name = "PATTERN", required = true)]
    pub(in crate::app) patterns: Vec<String>,
    /// File to write; - for standard output
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::app) output: PathBuf,
    /// Leave out the blobs that the receiver has, by its inventory or its last receipt
    #[arg(long, value_name = "FILE")]
    pub(in crate::app) since: Option<PathBuf>,
    /// Write volumes of at most this size, such as 4GiB-1 for FAT32, FILE.001 and so on
    #[arg(long, value_name = "SIZE", value_parser = split_size)]
    pub(in crate::app) split: Option<u64>,
    /// Leave out images that are not here whole, list them, and exit with 3
    #[arg(long)]
    pub(in crate::app) keep_going: bool,
    /// Only say what would be written
    #[arg(long)]
    pub(in crate::app) dry_run: bool,
    /// Have the bundle say that it is from here [default: the server's name]
    #[arg(long, value_name = "NAME")]
    pub(in crate::app) by: Option<String>,
    /// Have the bundle tell this time instead of now; with --sequence, the same content gives the same bytes
    #[arg(long, value_name = "TIME")]
    pub(in crate::app) created: Option<Timestamp>,
    /// Have the bundle bear this number instead of the next one
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::app) sequence: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(in crate::app) json: bool,
}

/// What is read, and how.
#[derive(Args, Clone, Debug)]
pub(in crate::app) struct ImportArgs {
    /// Volumes of one bundle, in any order; an OCI image layout as tar or directory; - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(in crate::app) files: Vec<PathBuf>,
    /// What is asked of signatures [default: require once a key is known here, else warn]
    #[arg(long, value_name = "WHAT")]
    pub(in crate::app) signature: Option<SignatureArg>,
    /// Put everything into this namespace; with a repository, images without a name of their own go there
    #[arg(long, value_name = "NAMESPACE[/REPOSITORY]")]
    pub(in crate::app) into: Option<String>,
    /// Put what begins with one name under another; may be given several times
    #[arg(long, value_name = "FROM=TO", value_parser = pair)]
    pub(in crate::app) map: Vec<(String, String)>,
    /// End the tags that the sender has ended since the last import
    #[arg(long)]
    pub(in crate::app) apply_removals: bool,
    /// Take the bundle although a newer one of the same key was taken before
    #[arg(long)]
    pub(in crate::app) allow_older: bool,
    /// Leave out images that are not complete, list them, and exit with 3
    #[arg(long)]
    pub(in crate::app) keep_going: bool,
    /// Only say what would come
    #[arg(long)]
    pub(in crate::app) dry_run: bool,
    /// Write the receipt into this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(in crate::app) receipt: Option<PathBuf>,
    /// Print one JSON object a line; then the receipt needs --receipt
    #[arg(long, requires = "receipt")]
    pub(in crate::app) json: bool,
}

/// What is asked of the signature of a bundle.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::app) enum SignatureArg {
    /// One of a trusted key, or nothing is taken
    Require,
    /// Say what is wrong, and take it all the same
    Warn,
    /// Do not look
    Off,
}

impl From<SignatureArg> for Signatures {
    fn from(given: SignatureArg) -> Self {
        match given {
            SignatureArg::Require => Self::Require,
            SignatureArg::Warn => Self::Warn,
            SignatureArg::Off => Self::Off,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(in crate::app) enum KeysCommand {
    /// Make the key that exports are signed with from now on, and print its public part
    Make,
    /// List our key and those that are trusted, with their public parts
    #[command(alias = "list")]
    Ls {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Trust the key of another registry: its bundles are taken, and unsigned ones no more
    Trust {
        /// File of minisign's form, or the key itself as `entrepot keys ls` prints it; - for standard input
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Trust a key no more
    Rm {
        /// Its number, as `entrepot keys ls` prints it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What is fetched.
#[derive(Args, Clone, Debug)]
pub(in crate::app) struct WarmArgs {
    /// List of references, Kubernetes manifests or a compose file; - for standard input
    #[arg(value_name = "FILE")]
    pub(in crate::app) file: PathBuf,
    /// Platform to fetch of indexes, such as linux/arm64; may be given several times [default: those of the
    /// cache's `platforms`, or else this machine's]
    #[arg(long, value_name = "OS/ARCH")]
    pub(in crate::app) platform: Vec<Platform>,
    /// Images fetched side by side, at most 32
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    pub(in crate::app) parallel: u16,
    /// Print one JSON object a line
    #[arg(long)]
    pub(in crate::app) json: bool,
}

/// `4GiB`, or `4GiB-1`.
fn split_size(text: &str) -> Result<u64, String> {
    let (size, less) = match text.rsplit_once('-') {
        Some((size, less)) => (size, less.parse().map_err(|_| "write 4GiB-1".to_owned())?),
        None => (text, 0),
    };
    let size: ByteSize = size.parse()?;
    size.bytes()
        .checked_sub(less)
        .ok_or_else(|| "it is less than nothing".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let halves = text
        .split_once('=')
        .filter(|(from, to)| !from.is_empty() && !to.is_empty());
    let (from, to) = halves.ok_or_else(|| "write FROM=TO, such as acme/app=corp/app".to_owned())?;
    Ok((
        from.trim_end_matches('/').to_owned(),
        to.trim_end_matches('/').to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_volumes_may_lack_a_byte() {
        assert_eq!(split_size("4GiB-1"), Ok((4 << 30) - 1));
        assert_eq!(split_size("700 MB"), Ok(700_000_000));
        for text in ["", "4GiB-x", "1-2", "-1"] {
            assert!(split_size(text).is_err(), "{text}");
        }
        assert!(pair("a=").is_err() && pair("ab").is_err());
    }
}
