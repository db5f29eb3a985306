//! A small volume of its own for one test: a tmpfs that can be filled.
//!
//! It is mounted where the test says and taken away when dropped. Only root may mount; where the test
//! may not, it says so and ends early, or fails with `ENTREPOT_REQUIRE_CLIENTS=1`, as CI sets it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::clients::variable;

/// A mounted tmpfs.
pub(crate) struct Volume {
    path: PathBuf,
}

impl Volume {
    /// Mounts one of so many bytes and inodes, or `None` where this test may not.
    pub(crate) fn mount(path: &Path, bytes: u64, inodes: u64) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={bytes},nr_inodes={inodes},mode=700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "entrepot-test"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self { path: path.into() });
        }
        let required = variable("ENTREPOT_REQUIRE_CLIENTS").is_some_and(|value| value == "1");
        assert!(!required, "no tmpfs can be mounted");
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "skipped: no tmpfs can be mounted");
        None
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Has a foreign file take all but `left` bytes.
    pub(crate) fn fill(&self, left: u64) {
        let mut file = new_file(&self.foreign()).unwrap();
        let piece = [7; 4096];
        while self.free_bytes() > left && file.write_all(&piece).is_ok() {}
    }

    /// Has foreign files take every inode.
    pub(crate) fn take_inodes(&self) {
        let folder = self.path.join("foreign-files");
        fs::create_dir_all(&folder).unwrap();
        for number in 0.. {
            if new_file(&folder.join(number.to_string())).is_err() {
                return;
            }
        }
    }

    /// Takes foreign files away.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_file(self.foreign());
        let _ = fs::remove_dir_all(self.path.join("foreign-files"));
    }

    fn foreign(&self) -> PathBuf {
        self.path.join("foreign")
    }
}

fn new_file(path: &Path) -> std::io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: what the site has open lets go of it a moment later.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
