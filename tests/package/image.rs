//! HP-05: the container image, made of the packaged program, and run with every right taken away.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::harness::chance::say;
use crate::harness::soon;

use super::deb::{is_root, package, unpacked, word};
use super::{has, source};

/// Largest image (HP-05), in bytes.
const MOST: u64 = 40_000_000;

/// The image as it is handed on: a file with its parts by name.
struct Image {
    parts: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

impl Image {
    /// Builds it as the script is told to where containers cannot run.
    fn build(program: &Path, folder: &Path) -> Self {
        let archive = folder.join("image.tar");
        let output = StdCommand::new(source("packaging/container/build"))
            .args([program, &archive])
            .env("STORAGE_DRIVER", "vfs")
            .env("BUILDAH_ISOLATION", "chroot")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let file = std::fs::File::open(&archive).unwrap();
        let bytes = file.metadata().unwrap().len();
        let mut parts = BTreeMap::new();
        for entry in tar::Archive::new(file).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = word(&entry.path().unwrap()).to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            parts.insert(name, content);
        }
        Self { parts, bytes }
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.parts[name]).unwrap()
    }

    fn manifest(&self) -> Value {
        self.json("manifest.json")[0].clone()
    }

    fn config(&self) -> Value {
        self.json(self.manifest()["Config"].as_str().unwrap())
    }

    /// What the layers come to.
    fn unpack(&self, root: &Path) {
        for layer in self.manifest()["Layers"].as_array().unwrap() {
            let mut archive = tar::Archive::new(&self.parts[layer.as_str().unwrap()][..]);
            archive.set_preserve_permissions(true);
            archive.set_preserve_ownerships(true);
            archive.unpack(root).unwrap();
        }
    }
}

/// A runtime's bundle: the image's files, and what it is to do with them.
fn bundle(image: &Image, arguments: &[&str]) -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("entrepot-")
        .tempdir()
        .unwrap();
    let root = folder.path().join("rootfs");
    std::fs::create_dir(&root).unwrap();
    image.unpack(&root);
    // The volume; the root is read-only.
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(65532), Some(65532)).unwrap();
    let namespaces = ["pid", "ipc", "uts", "mount"].map(|name| json!({ "type": name }));
    let spec = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 65532, "gid": 65532 },
            "args": arguments,
            "env": ["ENTREPOT_LISTEN=127.0.0.1:0", "ENTREPOT_LISTEN_METRICS=127.0.0.1:0"],
            "cwd": "/var/lib/entrepot",
            "noNewPrivileges": true,
            "capabilities": {}
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            {
                "destination": "/var/lib/entrepot", "type": "bind", "source": data,
                "options": ["rbind", "rw", "nosuid", "nodev", "noexec"]
            }
        ],
        "linux": { "namespaces": namespaces }
    });
    std::fs::write(folder.path().join("config.json"), spec.to_string()).unwrap();
    folder
}

fn runc(bundle: &TempDir, name: &str) -> Command {
    let mut command = Command::new("runc");
    command
        .args(["--root", word(&bundle.path().join("state")), "run", name])
        .current_dir(bundle.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_image_runs_without_any_right() {
    let Some(package) = package() else { return };
    if !is_root() || !has("buildah") {
        return;
    }
    let root = unpacked(&package);
    let image = Image::build(&root.path().join("usr/bin/entrepot"), root.path());
    assert!(image.bytes <= MOST, "{} bytes", image.bytes);
    says_how_it_runs(&image.config()["config"]);

    // What the image itself would run, but with a free port for the mirror of Docker Hub.
    let arguments = [
        "/usr/bin/entrepot",
        "serve",
        "--config",
        "/etc/entrepot/test.yaml",
    ];
    let bundle = bundle(&image, &arguments);
    let etc = bundle.path().join("rootfs/etc/entrepot");
    let config = std::fs::read_to_string(etc.join("config.yaml")).unwrap();
    assert!(
        config.contains("\nLISTEN: 0.0.0.0:8080\nLISTEN_METRICS: 0.0.0.0:9091\n"),
        "{config}"
    );
    std::fs::write(
        etc.join("test.yaml"),
        config.replace("0.0.0.0:8081", "127.0.0.1:0"),
    )
    .unwrap();
    if !has("runc") {
        return;
    }
    let name = format!("entrepot-test-{}", std::process::id());
    let mut child = runc(&bundle, &name).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let Some(line) = soon("the server", lines.next_line()).await.unwrap() else {
        let output = soon("the reason", child.wait_with_output()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // What the program itself says is another matter.
        assert!(said.contains("runc"), "{said}");
        return say(&format!("skipped: this machine runs no container: {said}"));
    };
    let url = format!("{}/readyz", line.strip_prefix("serving on ").unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(
        soon(&url, client.get(&url).send()).await.unwrap().status(),
        200
    );
    assert!(bundle.path().join("data/entrepot.redb").is_file());
    let state = word(&bundle.path().join("state")).to_owned();
    // As podman and docker stop it, and as they ask for its health.
    let health = [
        "--root",
        &state,
        "exec",
        &name,
        "/usr/bin/entrepot",
        "status",
        "--config",
        "/etc/entrepot/test.yaml",
    ];
    let output = soon("its health", Command::new("runc").args(health).output())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    super::run_well("runc", &["--root", &state, "kill", &name, "TERM"]);
    while let Ok(Some(_)) = soon("the end", lines.next_line()).await {}
    assert!(soon("the end", child.wait()).await.unwrap().success());
}

/// A number for a user, since Kubernetes' runAsNonRoot knows no names; where the data lies; how health is asked for.
fn says_how_it_runs(config: &Value) {
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/usr/bin/entrepot"]));
    assert_eq!(config["Cmd"], json!(["serve"]));
    assert_eq!(config["Volumes"], json!({ "/var/lib/entrepot": {} }));
    assert_eq!(
        config["Healthcheck"]["Test"],
        json!(["CMD", "/usr/bin/entrepot", "status"])
    );
    assert_eq!(config["StopSignal"], "SIGTERM");
}
