//! Bundles between two registries that know nothing of each other: the real binary on both sides.

mod clients;
mod delta;
mod hostile;
mod media;
mod nested;
mod policy;
mod resume;
mod round;
mod trust;
mod volumes;
mod warm;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use bytes::Bytes;
use entrepot::oci::Digest;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::content::{Document, Image};
use crate::harness::process::{Place, Process};
use crate::harness::pusher::{Pusher, Way};

/// Both sides take pushes into `local` from everyone, and everyone may pull from there.
const CONFIG: &str = "ANONYMOUS_PUSH: [local]\nPROXY_CACHES: []\n";

/// A registry on one side of the gap.
struct Side {
    place: Place,
    server: Option<Process>,
    client: Option<Pusher>,
}

impl Side {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With more in its configuration.
    async fn with(more: &str) -> Self {
        let mut side = Self {
            place: Place::new(&format!("{CONFIG}{more}")),
            server: None,
            client: None,
        };
        side.start().await;
        side
    }

    async fn start(&mut self) {
        let server = self.place.serve().await;
        self.client = Some(Pusher::new(server.address));
        self.server = Some(server);
    }

    async fn stop(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.signal(Signal::TERM);
        assert!(server.ended().await.success());
    }

    async fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.signal(Signal::KILL);
        server.ended().await;
    }

    fn client(&self) -> &Pusher {
        self.client.as_ref().expect("it has been started")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    async fn push_blobs(&self, repository: &str, blobs: impl Iterator<Item = &Bytes>) {
        for blob in blobs {
            let pushed = self
                .client()
                .push_blob(repository, blob, Way::Single)
                .await
                .unwrap();
            assert_eq!(pushed.status, 201);
        }
    }

    async fn put(&self, repository: &str, reference: &str, document: &Document) {
        let put = self
            .client()
            .put_manifest(repository, reference, document)
            .await
            .unwrap();
        assert_eq!(put.status, 201, "{}", String::from_utf8_lossy(&put.body));
    }

    async fn push(&self, repository: &str, tag: &str, image: &Image) {
        self.push_blobs(repository, image.blobs()).await;
        self.put(repository, tag, &image.manifest).await;
    }

    async fn delete_tag(&self, repository: &str, tag: &str) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        assert_eq!(self.client().delete(&path).await.unwrap().status, 202);
    }

    /// What a reference leads to; `None` for 404.
    async fn manifest(&self, repository: &str, reference: &str) -> Option<Bytes> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let got = self.client().get(&path).await.unwrap();
        match got.status {
            200 => Some(got.body),
            404 => None,
            other => panic!("{path}: {other}"),
        }
    }

    /// The image is here under its tag, every byte of it.
    async fn has(&self, repository: &str, tag: &str, image: &Image) {
        let manifest = self.manifest(repository, tag).await;
        assert_eq!(
            manifest.as_ref(),
            Some(&image.manifest.bytes),
            "{repository}:{tag}"
        );
        for blob in image.blobs() {
            let path = format!("/v2/{repository}/blobs/{}", Digest::of(blob));
            let got = self.client().get(&path).await.unwrap();
            assert_eq!((got.status, &got.body), (200, blob), "{path}");
        }
    }

    async fn tags(&self, repository: &str) -> Vec<String> {
        let got = self
            .client()
            .get(&format!("/v2/{repository}/tags/list"))
            .await
            .unwrap();
        if got.status == 404 {
            return Vec::new();
        }
        let list: Value = serde_json::from_slice(&got.body).unwrap();
        let tags = list["tags"].as_array().unwrap().iter();
        tags.map(|tag| tag.as_str().unwrap().to_owned()).collect()
    }

    /// Exports into a file of this side's place.
    async fn export(&self, arguments: &[&str]) -> String {
        let arguments: Vec<&str> = std::iter::once(&"export")
            .chain(arguments)
            .copied()
            .collect();
        self.place.run_well(&arguments).await
    }

    /// Imports files of the other side; the receipt is in `receipt` afterwards.
    async fn import(&self, from: &Self, files: &[&str], more: &[&str]) -> Output {
        let paths: Vec<String> = files
            .iter()
            .map(|name| from.path(name).display().to_string())
            .collect();
        let mut arguments = vec!["import"];
        arguments.extend(paths.iter().map(String::as_str));
        arguments.extend(["--receipt", "receipt"]);
        arguments.extend(more);
        self.place.run(&arguments).await
    }

    async fn imports(&self, from: &Self, files: &[&str], more: &[&str]) {
        let output = self.import(from, files, more).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{files:?}: {said}");
    }

    /// What it says to a bundle that it does not take.
    async fn refuses(&self, from: &Self, files: &[&str], more: &[&str]) -> String {
        let output = self.import(from, files, more).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{files:?}: {said}");
        said
    }

    /// What stands in a file of a bundle.
    fn member(&self, bundle: &str, name: &str) -> Vec<u8> {
        let file = std::fs::File::open(self.path(bundle)).unwrap();
        let mut archive = tar::Archive::new(file);
        let mut entries = archive.entries().unwrap().map(Result::unwrap);
        let is_it = |entry: &tar::Entry<'_, _>| entry.path().unwrap() == Path::new(name);
        let mut entry = entries.find(is_it).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn size(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).unwrap().len()
    }
}

/// The digest that a command prints of a bundle.
fn sum_of(side: &Side, name: &str) -> Digest {
    Digest::of(&std::fs::read(side.path(name)).unwrap())
}
