//! Bundles: whatever is read as one, nothing becomes visible of what is not whole, and nothing panics.
#![no_main]

use std::sync::OnceLock;

use bytes::Bytes;
use entrepot::app::{App, Surroundings};
use entrepot::bundle::{Bundles, ImportOptions, Input, Mapping, Source};
use entrepot::config::Config;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

struct Place {
    runtime: Runtime,
    _app: App,
    bundles: Bundles,
    _folder: TempDir,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::for_testing(folder.path().join("data"));
        let data_dir = config.data_dir.clone();
        let started = runtime.block_on(App::start(config, Surroundings::default()));
        let app = started.expect("a server");
        let bundles = Bundles::new(app.registry().clone(), app.accounts().clone(), &data_dir);
        Place {
            runtime,
            _app: app,
            bundles,
            _folder: folder,
        }
    })
}

fuzz_target!(|bytes: &[u8]| {
    let place = place();
    place.runtime.block_on(async {
        let (send, input) = mpsc::channel(4);
        let (progress, mut told) = mpsc::channel(4);
        for piece in [Input::Bytes(Bytes::copy_from_slice(bytes)), Input::End] {
            let _ = send.send(piece).await;
        }
        drop(send);
        let mut source = Source::new(input, vec!["site.tar".to_owned()]);
        let options = ImportOptions {
            signatures: None,
            mapping: Mapping::default(),
            apply_removals: false,
            allow_older: false,
            keep_going: false,
            dry_run: false,
        };
        let import = place.bundles.import(&mut source, &options, &progress);
        let listen = async { while told.recv().await.is_some() {} };
        tokio::select! {
            _ = import => {}
            () = listen => {}
        }
    });
});
