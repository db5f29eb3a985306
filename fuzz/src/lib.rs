//! A whole server for the targets that need one; it goes with the process.

use std::path::PathBuf;

use entrepot::app::{App, Surroundings};
use entrepot::config::Config;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A server in a folder of its own, and the runtime that drives it.
pub struct Site {
    pub runtime: Runtime,
    pub app: App,
    pub data_dir: PathBuf,
    _folder: TempDir,
}

impl Site {
    /// Starts one that takes pushes into `local` from everyone.
    ///
    /// # Panics
    /// If it does not start: then there is nothing to fuzz.
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::for_testing(folder.path().join("data"));
        config.pushes.anonymous = vec!["local".parse().expect("a name")];
        let data_dir = config.data_dir.clone();
        let started = runtime.block_on(App::start(config, Surroundings::default()));
        Self {
            app: started.expect("a server"),
            runtime,
            data_dir,
            _folder: folder,
        }
    }
}
