//! HP-07: what the package's scripts tell systemd. Programs that take the place of the real ones note what they are
//! asked for; `/run/systemd/system`, which says that systemd runs, is there for the scripts alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::deb::{is_root, word};
use super::{has, source};

/// Those that the scripts call.
const PROGRAMS: [&str; 5] = [
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "entrepot",
    "systemctl",
    "systemd-tmpfiles",
];

/// A folder of programs that only take notes.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        for name in PROGRAMS {
            stage.program(name, 0);
        }
        stage
    }

    fn notes(&self) -> PathBuf {
        self.0.path().join("notes")
    }

    /// A program of that name, which ends so.
    fn program(&self, name: &str, status: i32) {
        let path = self.0.path().join(name);
        let text = format!(
            "#!/bin/sh\necho \"{name} $*\" >>{}\nexit {status}\n",
            word(&self.notes())
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script of the package where systemd runs or does not; returns what it asked of whom.
    fn run(&self, script: &str, arguments: &str, systemd: bool) -> Vec<String> {
        let _ = std::fs::remove_file(self.notes());
        let script = source("packaging/deb").join(script);
        let made = if systemd {
            "mkdir -p /run/systemd/system"
        } else {
            "true"
        };
        // A /run of its own, which goes with the shell.
        let line = format!(
            "mount -t tmpfs none /run && {made} && PATH={}:$PATH sh {} {arguments}",
            word(self.0.path()),
            word(&script)
        );
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &line])
            .env_remove("DPKG_ROOT")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        let notes = std::fs::read_to_string(self.notes()).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }
}

fn invoked(notes: &[String]) -> Vec<&str> {
    let ours = notes
        .iter()
        .filter_map(|note| note.strip_prefix("deb-systemd-invoke "));
    ours.collect()
}

#[test]
fn the_service_is_started_restarted_and_stopped_when_it_should_be() {
    if !is_root() || !has("unshare") {
        return;
    }
    let stage = Stage::new();
    let notes = stage.run("postinst", "configure ''", true);
    assert_eq!(invoked(&notes), ["start entrepot.service"]);
    assert!(
        notes.contains(&"deb-systemd-helper enable entrepot.service".to_owned()),
        "{notes:?}"
    );
    assert!(
        notes.contains(&"systemctl --system daemon-reload".to_owned()),
        "{notes:?}"
    );
    assert!(
        !notes
            .iter()
            .any(|note| note.contains("enable entrepot.socket")),
        "{notes:?}"
    );

    // An upgrade stops nothing before the new program takes over, which it does in one step.
    assert_eq!(invoked(&stage.run("prerm", "upgrade 0.2.0", true)), [""; 0]);
    assert_eq!(
        invoked(&stage.run("postinst", "configure 0.1.0", true)),
        ["restart entrepot.service"]
    );

    // What the administrator disabled is not enabled again.
    stage.program("deb-systemd-helper", 1);
    let notes = stage.run("postinst", "configure 0.1.0", true);
    assert!(
        !notes.contains(&"deb-systemd-helper enable entrepot.service".to_owned()),
        "{notes:?}"
    );

    // A configuration that the new one refuses leaves the old one serving.
    stage.program("entrepot", 1);
    assert_eq!(
        invoked(&stage.run("postinst", "configure 0.1.0", true)),
        [""; 0]
    );

    let stopped = stage.run("prerm", "remove", true);
    assert_eq!(
        invoked(&stopped),
        ["stop entrepot.socket entrepot-metrics.socket entrepot.service"]
    );
}

/// In a chroot, and wherever systemd does not run, nothing is started or stopped.
#[test]
fn without_systemd_nothing_is_started() {
    if !is_root() || !has("unshare") {
        return;
    }
    let stage = Stage::new();
    for (script, arguments) in [
        ("postinst", "configure ''"),
        ("postinst", "configure 0.1.0"),
        ("prerm", "remove"),
        ("postrm", "remove"),
    ] {
        let notes = stage.run(script, arguments, false);
        assert_eq!(invoked(&notes), [""; 0], "{script} {arguments}");
        assert!(
            !notes.iter().any(|note| note.starts_with("systemctl")),
            "{notes:?}"
        );
    }
}
