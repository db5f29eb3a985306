//! Bundles: whatever is read as one, nothing becomes visible of what is not whole, and nothing panics.
#![no_main]

use std::sync::OnceLock;

use bytes::Bytes;
use entrepot::bundle::{Bundles, ImportOptions, Input, Mapping, Source};
use entrepot_fuzz::Site;
use libfuzzer_sys::fuzz_target;
use tokio::sync::mpsc;

fn place() -> &'static (Site, Bundles) {
    static PLACE: OnceLock<(Site, Bundles)> = OnceLock::new();
    PLACE.get_or_init(|| {
        let site = Site::start();
        let (registry, accounts) = (site.app.registry().clone(), site.app.accounts().clone());
        let bundles = Bundles::new(registry, accounts, &site.data_dir);
        (site, bundles)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (site, bundles) = place();
    site.runtime.block_on(async {
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
        let import = bundles.import(&mut source, &options, &progress);
        let listen = async { while told.recv().await.is_some() {} };
        tokio::select! {
            _ = import => {}
            () = listen => {}
        }
    });
});
