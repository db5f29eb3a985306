//! What lies in a data directory, as somebody sees it who looks from outside.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use entrepot::oci::Digest;

/// The file that a blob has once it is complete.
pub(crate) fn blob(data: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    data.join("blobs/sha256").join(&hex[..2]).join(hex)
}

/// The file that a blob has while it is on its way in.
pub(crate) fn partial(data: &Path, digest: &Digest) -> PathBuf {
    data.join("partial")
        .join(format!("sha256-{}", digest.hex()))
}

/// Lengths of all blobs, complete or not, by the hex of their digest; one that is moved from one
/// folder to the other while this looks counts once.
pub(crate) fn contents(data: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for folder in ["partial", "tmp", "blobs"] {
        walk(&data.join(folder), &mut |path, file| {
            let name = path.file_name().unwrap().to_string_lossy();
            let hex = name.rsplit('-').next().unwrap_or(&name).to_owned();
            found.insert(hex, file.len());
        });
    }
    found
}

/// The bytes of all blobs, complete or not.
pub(crate) fn bytes(data: &Path) -> u64 {
    contents(data).values().sum()
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path, &Metadata)) {
    // Folders and files come and go while this looks.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        match metadata.is_dir() {
            true => walk(&entry.path(), visit),
            false => visit(&entry.path(), &metadata),
        }
    }
}

/// What a file takes: the bytes it has, and those that the volume has set aside for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    pub(crate) allocated: u64,
}

impl Taken {
    fn of(file: &Metadata) -> Self {
        Self {
            bytes: file.len(),
            allocated: file.blocks() * 512,
        }
    }

    fn least(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.min(other.bytes),
            allocated: self.allocated.min(other.allocated),
        }
    }

    fn most(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            allocated: self.allocated.max(other.allocated),
        }
    }
}

/// A file wherever it lies, also where it has no name any more: its number, and the digest or the session that
/// it is named by.
type File = (u64, String);

/// All blobs of a data directory, with those that are unlinked and that this process still has open.
fn taken(data: &Path) -> BTreeMap<File, Taken> {
    let mut found = BTreeMap::new();
    let mut add = |name: &str, file: &Metadata| {
        let hex = name.rsplit('-').next().unwrap_or(name).to_owned();
        found.insert((file.ino(), hex), Taken::of(file));
    };
    for folder in ["uploads", "partial", "tmp", "blobs"] {
        walk(&data.join(folder), &mut |path, file| {
            add(&path.file_name().unwrap().to_string_lossy(), file);
        });
    }
    for open in fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
    {
        let (Ok(target), Ok(file)) = (fs::read_link(open.path()), fs::metadata(open.path())) else {
            continue;
        };
        let target = target.to_string_lossy();
        if let Some(path) = target.strip_suffix(" (deleted)")
            && let Ok(path) = Path::new(path).strip_prefix(data)
        {
            add(&path.file_name().unwrap().to_string_lossy(), &file);
        }
    }
    found
}

/// Looks at a data directory again and again, beside whatever happens in it.
pub(crate) struct Watcher {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Taken>,
}

impl Watcher {
    pub(crate) fn start(data: &Path) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (data, stop) = (data.to_owned(), ended.clone());
        let thread = std::thread::spawn(move || {
            let mut most = Taken::default();
            let mut before = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                let now = taken(&data);
                most = most.most(between(&before, &now));
                before = now;
            }
            most
        });
        Self { ended, thread }
    }

    /// The most that ever lay there together.
    pub(crate) fn most(self) -> Taken {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// What surely lay there at the moment between two looks, none of which is a snapshot: what both saw, as
/// far as both saw it.
fn between(before: &BTreeMap<File, Taken>, after: &BTreeMap<File, Taken>) -> Taken {
    let both = before.iter().filter_map(|(file, taken)| {
        let again = after.get(file)?;
        Some(taken.least(*again))
    });
    both.fold(Taken::default(), |sum, taken| Taken {
        bytes: sum.bytes + taken.bytes,
        allocated: sum.allocated + taken.allocated,
    })
}
