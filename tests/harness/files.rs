//! What lies in a data directory, as somebody sees it who looks from outside.

use std::collections::BTreeMap;
use std::fs;
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
        walk(&data.join(folder), &mut |path, len| {
            let name = path.file_name().unwrap().to_string_lossy();
            let hex = name.rsplit('-').next().unwrap_or(&name).to_owned();
            found.insert(hex, len);
        });
    }
    found
}

/// The bytes of all blobs, complete or not.
pub(crate) fn bytes(data: &Path) -> u64 {
    contents(data).values().sum()
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path, u64)) {
    // Folders and files come and go while this looks.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        match metadata.is_dir() {
            true => walk(&entry.path(), visit),
            false => visit(&entry.path(), metadata.len()),
        }
    }
}

/// Looks at a data directory again and again, beside whatever happens in it.
pub(crate) struct Watcher {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Watcher {
    pub(crate) fn start(data: &Path) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (data, stop) = (data.to_owned(), ended.clone());
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            let mut before = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                let now = contents(&data);
                // A walk is no snapshot; two that agree were one.
                if now == before {
                    most = most.max(now.values().sum());
                }
                before = now;
            }
            most
        });
        Self { ended, thread }
    }

    /// The most bytes that ever lay there together.
    pub(crate) fn most(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
