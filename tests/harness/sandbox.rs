//! A directory of its own and an environment of its own for each client under test.
//!
//! A client started here finds no configuration, credentials, images or sockets of this machine, and
//! leaves none: home, caches, runtime and temporary directories are inside, and go with the sandbox.
//! Nothing but loopback is reachable for it: every other address is sent to a proxy that is not there,
//! because a client whose mirror fails would otherwise ask the registry behind it and look successful.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::clients::variable;

/// Port 9 is discard (RFC 863), which nobody runs.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9";

/// A private place for one client.
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    /// Makes an empty one.
    #[expect(
        clippy::new_without_default,
        reason = "it makes a directory: nobody's default"
    )]
    pub fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("entrepot-")
            .tempdir()
            .expect("a temporary directory can be made");
        let sandbox = Self { root };
        for directory in ["home", "run", "tmp"] {
            let path = sandbox.directory(directory);
            // XDG base directory specification: the runtime directory is its owner's alone.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .expect("its mode can be set");
        }
        sandbox
    }

    /// The path of `name` in here, whether it exists or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Makes the directory `name`, with its parents.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory can be made in the sandbox");
        path
    }

    /// Writes the file `name`, with its parents.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let parent = path.parent().expect("a file is inside the sandbox");
        fs::create_dir_all(parent).expect("a directory can be made in the sandbox");
        fs::write(&path, text).expect("a file can be written in the sandbox");
        path
    }

    /// A command that sees this place and loopback only.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.furnish(&mut command);
        command
    }

    /// The same, with mounts that end with the process: engines mount their own directories, and a
    /// killed one would leave them behind.
    pub fn command_with_own_mounts(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(program);
        self.furnish(&mut command);
        command
    }

    fn furnish(&self, command: &mut Command) {
        let home = self.path("home");
        command
            .env_clear()
            .env("PATH", variable("PATH").unwrap_or_default())
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("TMPDIR", self.path("tmp"))
            .env("HTTP_PROXY", NOWHERE)
            .env("HTTPS_PROXY", NOWHERE)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .current_dir(self.root.path());
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        open_up(self.root.path());
    }
}

/// Lets every directory below be emptied: layers hold read-only ones, and the tests' person may not be root.
fn open_up(directory: &Path) {
    // Best effort: what cannot be opened cannot be removed either, and the test has spoken already.
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        // The type of the entry itself: symbolic links are not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
