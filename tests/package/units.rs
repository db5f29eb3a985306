//! The unit files of `systemd/`: what they promise, and that the program keeps up with them.

use std::path::Path;

use crate::harness::process::Place;

use super::{has, run, run_well, source, text};

const SERVICES: [&str; 2] = ["entrepot.service", "entrepot-mirror@.service"];
const OTHERS: [&str; 3] = [
    "entrepot.socket",
    "entrepot-metrics.socket",
    "entrepot-mirror@.timer",
];

/// What every service of ours says, whatever else it does.
const SANDBOX: [&str; 29] = [
    "DynamicUser=yes",
    "User=entrepot",
    "StateDirectory=entrepot",
    "ConfigurationDirectory=entrepot",
    "UMask=0077",
    "LimitCORE=0",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "ProtectProc=invisible",
    "ProcSubset=pid",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallErrorNumber=EPERM",
];

/// What the server says besides.
const SERVER: [&str; 14] = [
    "Type=notify",
    "CacheDirectory=entrepot",
    "RuntimeDirectory=entrepot",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "WatchdogSec=30s",
    "Restart=on-failure",
    "StartLimitIntervalSec=0",
    "MemoryMax=512M",
    "TasksMax=512",
    "LimitNOFILE=65536",
    "OOMPolicy=stop",
    "TimeoutStopSec=60s",
];

/// A unit file as `(section, key, value)`.
pub(super) fn unit(name: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in text(&format!("systemd/{name}")).lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            Some(name) => name.clone_into(&mut section),
            None => {
                let (key, value) = line
                    .split_once('=')
                    .unwrap_or_else(|| panic!("{name}: {line}"));
                rows.push((section.clone(), key.to_owned(), value.to_owned()));
            }
        }
    }
    rows
}

/// The values of a key.
pub(super) fn values(unit: &[(String, String, String)], wanted: &str) -> Vec<String> {
    let found = unit.iter().filter(|(_, key, _)| key == wanted);
    found.map(|(_, _, value)| value.clone()).collect()
}

/// HP-01, HP-02, HP-03, LC-03: no line of the sandbox is lost by an edit.
#[test]
fn the_services_are_hardened() {
    for name in SERVICES {
        let text = text(&format!("systemd/{name}"));
        let said = |line: &str| text.lines().any(|found| found == line);
        let server: &[&str] = if name == SERVICES[0] { &SERVER } else { &[] };
        let missing = SANDBOX.iter().chain(server).filter(|line| !said(line));
        assert_eq!(missing.collect::<Vec<_>>(), [&""; 0], "{name}");
    }
}

/// Every command line of a unit is one that the program takes, flag by flag.
#[tokio::test]
async fn what_units_run_is_what_the_program_takes() {
    let place = Place::new("");
    for name in SERVICES {
        let unit = unit(name);
        for line in [values(&unit, "ExecStart"), values(&unit, "ExecReload")].concat() {
            let Some(arguments) = line.strip_prefix("/usr/bin/entrepot ") else {
                assert_eq!(line, "/bin/kill -HUP $MAINPID");
                continue;
            };
            let line = arguments.replace("%I", "team/alpine") + " --help";
            let arguments: Vec<&str> = line.split(' ').collect();
            let help = place.run_well(&arguments).await;
            assert!(help.contains("Usage: entrepot"), "{line}: {help}");
        }
    }
}

/// The service reads the packaged configuration, which keeps its data in the service's own directory.
#[test]
fn paths_agree() {
    let server = unit("entrepot.service");
    let folder = |key: &str| values(&server, key).remove(0);
    let config = format!("/etc/{}/config.yaml", folder("ConfigurationDirectory"));
    for name in SERVICES {
        let unit = unit(name);
        for line in [values(&unit, "ExecStart"), values(&unit, "ExecReload")].concat() {
            let ours = line.starts_with("/usr/bin/entrepot");
            assert!(
                !ours || line.contains(&format!("--config {config}")),
                "{line}"
            );
        }
    }
    let tmpfiles = text("systemd/entrepot.tmpfiles");
    assert!(tmpfiles.contains(&format!(" /etc/{} ", folder("ConfigurationDirectory"))));
}

/// LC-01: systemd's patience is longer than the server's own, and the watchdog ends what hangs in time (LC-03).
#[test]
fn deadlines_of_the_unit_are_beyond_those_of_the_server() {
    let server = unit("entrepot.service");
    let seconds = |key: &str| -> u32 {
        let value = values(&server, key).remove(0);
        value.trim_end_matches('s').parse().unwrap()
    };
    let defaults = text("config/entrepot.yaml");
    let shutdown = defaults
        .lines()
        .find_map(|line| line.strip_prefix("SHUTDOWN_TIMEOUT: "));
    let shutdown: u32 = shutdown.unwrap().trim_end_matches('s').parse().unwrap();
    assert!(seconds("TimeoutStopSec") > shutdown + 10);
    assert!(seconds("TimeoutAbortSec") + seconds("RestartSec") <= 10);
}

/// LC-09: what the sockets are called is what the server looks for, and they hold the default addresses.
#[test]
fn sockets_stand_where_the_server_would_listen() {
    let packaged = text("config/edge.yaml");
    for (name, descriptor, key) in [
        ("entrepot.socket", "registry", "LISTEN"),
        ("entrepot-metrics.socket", "metrics", "LISTEN_METRICS"),
    ] {
        let unit = unit(name);
        assert_eq!(values(&unit, "FileDescriptorName"), [descriptor]);
        assert_eq!(values(&unit, "Service"), ["entrepot.service"]);
        let address = values(&unit, "ListenStream").remove(0);
        assert!(
            packaged.contains(&format!("\n{key}: {address}\n")),
            "{name}"
        );
    }
}

/// HP-01: the exposure that systemd itself reckons.
#[test]
fn systemd_finds_the_services_little_exposed() {
    if !has("systemd-analyze") {
        return;
    }
    for name in SERVICES {
        let file = source(&format!("systemd/{name}"));
        let file = file.to_str().unwrap();
        let options = [
            "security",
            "--offline=true",
            "--threshold=15",
            "--no-pager",
            file,
        ];
        let said = run_well("systemd-analyze", &options);
        let overall = said
            .lines()
            .find(|line| line.contains("Overall exposure level"));
        let score = overall.and_then(|line| line.split(": ").nth(1)?.split(' ').next());
        let score: f32 = score.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
        assert!(score > 0.0 && score <= 1.5, "{name}: {score}");
    }
}

/// Has systemd read every unit below `root`, as it would at boot, and returns what it complains of.
pub(super) fn verified(root: &Path) -> String {
    let mut arguments = vec!["verify", "--man=no", "--root", root.to_str().unwrap()];
    arguments.push("entrepot.service");
    arguments.extend(OTHERS);
    let output = run("systemd-analyze", &arguments);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    match (output.status.success(), said.is_empty()) {
        (true, _) => said,
        (false, true) => "it fails without a word".to_owned(),
        (false, false) => said,
    }
}

/// What of this machine's systemd the units lean on, for a root that has nothing else.
pub(super) fn furnish_with_targets(root: &Path) {
    let units = root.join("usr/lib/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    let host = ["/usr/lib/systemd/system", "/lib/systemd/system"];
    let host = host
        .into_iter()
        .find(|folder| Path::new(folder).is_dir())
        .unwrap();
    for entry in std::fs::read_dir(host).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if [".target", ".slice", ".mount"]
            .iter()
            .any(|kind| name.to_str().unwrap().ends_with(kind))
        {
            let to = units.join(name);
            let _ = std::fs::copy(entry.path(), to);
        }
    }
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/sh", root.join("bin/kill")).unwrap();
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    if !has("systemd-analyze") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    furnish_with_targets(root.path());
    for name in SERVICES.iter().chain(&OTHERS) {
        let to = root.path().join("usr/lib/systemd/system").join(name);
        std::fs::copy(source(&format!("systemd/{name}")), to).unwrap();
    }
    std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    std::fs::copy("/bin/sh", root.path().join("usr/bin/entrepot")).unwrap();
    assert_eq!(verified(root.path()), "");
    // A line that it does not know is told, so silence means something.
    let unit = root.path().join("usr/lib/systemd/system/entrepot.service");
    let broken = std::fs::read_to_string(&unit)
        .unwrap()
        .replace("RestrictSUIDSGID", "RestrictSGID");
    std::fs::write(&unit, broken).unwrap();
    assert!(verified(root.path()).contains("RestrictSGID"));
}
