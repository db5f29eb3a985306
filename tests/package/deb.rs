//! The Debian package that `ENTREPOT_PACKAGE` names: what is in it, and how it comes and goes.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::chance::say;
use crate::harness::clients::variable;

use super::{has, run, run_well, source, units};

/// What systemd, shells, people and tools look for (HP-10).
const SHIPPED: [&str; 22] = [
    "etc/default/entrepot",
    "etc/entrepot/config.yaml",
    "usr/bin/entrepot",
    "usr/lib/systemd/system/entrepot-metrics.socket",
    "usr/lib/systemd/system/entrepot-mirror@.service",
    "usr/lib/systemd/system/entrepot-mirror@.timer",
    "usr/lib/systemd/system/entrepot.service",
    "usr/lib/systemd/system/entrepot.socket",
    "usr/lib/tmpfiles.d/entrepot.conf",
    "usr/share/bash-completion/completions/entrepot",
    "usr/share/doc/entrepot/changelog.gz",
    "usr/share/doc/entrepot/copyright",
    "usr/share/doc/entrepot/entrepot.cdx.json",
    "usr/share/doc/entrepot/examples/entrepot.container",
    "usr/share/doc/entrepot/examples/entrepot.rules.yml",
    "usr/share/doc/entrepot/examples/grafana-dashboard.json",
    "usr/share/doc/entrepot/examples/kubernetes.yaml",
    "usr/share/doc/entrepot/examples/prometheus.yml",
    "usr/share/entrepot/nsswitch.conf",
    "usr/share/fish/vendor_completions.d/entrepot.fish",
    "usr/share/man/man1/entrepot.1.gz",
    "usr/share/zsh/vendor-completions/_entrepot",
];

/// The package, or `None` if there is none; says so then.
pub(super) fn package() -> Option<PathBuf> {
    match variable("ENTREPOT_PACKAGE") {
        Some(path) if has("dpkg-deb") => Some(source("").join(path)),
        _ => {
            say("skipped: ENTREPOT_PACKAGE names no package");
            None
        }
    }
}

/// Whether this test may change roots; says so if not.
pub(super) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        say("skipped: it needs root");
    }
    root
}

/// The files of the package in an empty directory.
pub(super) fn unpacked(package: &Path) -> TempDir {
    let root = tempfile::Builder::new()
        .prefix("entrepot-")
        .tempdir()
        .unwrap();
    // Whoever runs in there is another user.
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    run_well("dpkg-deb", &["-x", word(package), word(root.path())]);
    root
}

pub(super) fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let name = entry.path().strip_prefix(folder).unwrap().to_owned();
                    found.insert(word(&name).to_owned(), entry.path());
                }
            }
        }
    }
    found
}

/// HP-07, HP-10: all that belongs in is there, every sum is right, nothing has rights it should not have.
#[test]
fn the_package_holds_what_it_promises() {
    let Some(package) = package() else { return };
    let root = unpacked(&package);
    let found = files(root.path());
    for name in SHIPPED {
        assert!(found.contains_key(name), "{name}");
    }
    let control = tempfile::tempdir().unwrap();
    run_well("dpkg-deb", &["-e", word(&package), word(control.path())]);
    let control = |name: &str| std::fs::read_to_string(control.path().join(name)).unwrap();
    let conffiles = control("conffiles");
    assert_eq!(
        conffiles,
        "/etc/default/entrepot\n/etc/entrepot/config.yaml\n"
    );
    let sums = control("md5sums");
    let summed: Vec<&str> = sums
        .lines()
        .map(|line| line.split_once("  ").unwrap().1)
        .collect();
    let others = found.keys().filter(|name| !name.starts_with("etc/"));
    assert_eq!(summed, others.map(String::as_str).collect::<Vec<_>>());
    let mut check = Command::new("md5sum");
    let list = root.path().join("sums");
    std::fs::write(&list, &sums).unwrap();
    let checked = check
        .args(["--check", "--quiet", "sums"])
        .current_dir(root.path())
        .status();
    assert!(checked.unwrap().success());
    std::fs::remove_file(list).unwrap();
    for (name, path) in found {
        let mode = path.metadata().unwrap().mode() & 0o7777;
        let expected = if name == "usr/bin/entrepot" {
            0o755
        } else {
            0o644
        };
        assert_eq!(mode, expected, "{name}");
    }
    let description = control("control");
    // Static: it depends on no library, so it can be unpacked anywhere.
    assert!(!description.contains("\nDepends:"), "{description}");
    assert!(description.contains(&format!("\nVersion: {}\n", env!("CARGO_PKG_VERSION"))));
    for page in ["entrepot.1.gz", "entrepot-cache-ls.1.gz"] {
        let page = root.path().join("usr/share/man/man1").join(page);
        assert!(run_well("gzip", &["-dc", word(&page)]).starts_with(".ie"));
    }
}

/// HP-01: systemd finds nothing to complain of in the package as it is unpacked.
#[test]
fn systemd_understands_the_packaged_units() {
    let Some(package) = package() else { return };
    if !has("systemd-analyze") {
        return;
    }
    let root = unpacked(&package);
    units::furnish_with_targets(root.path());
    assert_eq!(units::verified(root.path()), "");
}

/// HP-09: the same program makes the same package, byte by byte.
#[test]
fn the_package_can_be_built_again() {
    let Some(package) = package() else { return };
    let root = unpacked(&package);
    let again = tempfile::tempdir().unwrap();
    let program = root.path().join("usr/bin/entrepot");
    let script = source("packaging/deb/build");
    let made = run_well(word(&script), &[word(&program), word(again.path())]);
    let (first, second) = (
        std::fs::read(&package).unwrap(),
        std::fs::read(made.trim()).unwrap(),
    );
    assert!(
        first == second,
        "{} and {} bytes that differ",
        first.len(),
        second.len()
    );
}

/// A system of its own for dpkg, with nothing installed.
struct System(TempDir);

impl System {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["info", "updates", "triggers"] {
            std::fs::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).unwrap();
        }
        std::fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        Self(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Scripts run outside and are told the root: there is no shell in it.
    fn dpkg(&self, arguments: &[&str]) -> String {
        let root = format!("--root={}", word(self.0.path()));
        let mut all = vec![&root[..], "--force-script-chrootless", "--force-confold"];
        all.extend(arguments);
        let output = run("dpkg", &all);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }
}

/// HP-07: installed it is enabled and started by nobody here; an upgrade keeps what was changed; removal keeps
/// data and configuration; a purge takes all of it.
#[test]
fn the_package_comes_and_goes() {
    let Some(package) = package() else { return };
    if !is_root() {
        return;
    }
    let system = System::new();
    let package = word(&package);
    let config = "etc/entrepot/config.yaml";
    let data = "var/lib/private/entrepot/entrepot.redb";
    let wanted = "etc/systemd/system/multi-user.target.wants/entrepot.service";

    system.dpkg(&["-i", package]);
    assert!(system.has("usr/bin/entrepot") && system.has(config));
    let secret = system.path("etc/entrepot/credentials").metadata().unwrap();
    assert_eq!(secret.mode() & 0o7777, 0o700);
    let enables = has("deb-systemd-helper");
    assert_eq!(system.has(wanted), enables);
    assert!(!system.has("etc/systemd/system/sockets.target.wants/entrepot.socket"));
    assert_eq!(system.dpkg(&["-V", "entrepot"]), "");

    // As an administrator does, and the server.
    system.write(config, "LISTEN: 127.0.0.1:5000\n");
    system.write(data, "data");
    if enables {
        std::fs::remove_file(system.path(wanted)).unwrap();
    }
    system.dpkg(&["-i", package]);
    let kept = || std::fs::read_to_string(system.path(config)).unwrap();
    assert_eq!(kept(), "LISTEN: 127.0.0.1:5000\n");
    assert!(
        system.has(data) && !system.has(wanted),
        "disabled stays disabled"
    );
    let differences = system.dpkg(&["-V", "entrepot"]);
    assert_eq!(differences.lines().count(), 1, "{differences}");
    assert!(differences.contains(config));

    system.dpkg(&["-r", "entrepot"]);
    assert!(!system.has("usr/bin/entrepot") && system.has(data));
    assert_eq!(kept(), "LISTEN: 127.0.0.1:5000\n");

    system.dpkg(&["-i", package]);
    system.dpkg(&["-P", "entrepot"]);
    for gone in [
        config,
        data,
        "etc/entrepot",
        "var/lib/private/entrepot",
        "usr/share/entrepot",
    ] {
        assert!(!system.has(gone), "{gone}");
    }
    let left = files(system.0.path());
    let ours = left.keys().filter(|name| name.contains("entrepot"));
    assert_eq!(ours.collect::<Vec<_>>(), [""; 0]);
}
