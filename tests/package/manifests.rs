//! The files for container hosts: Kubernetes manifest, Quadlet unit, Prometheus configuration.

use serde_json::Value;

use crate::harness::process::Place;

use super::{run_well, source, text};

/// The user of the image (packaging/container/build).
const USER: u64 = 65532;

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The objects of the Kubernetes manifest, by kind.
fn object(kind: &str) -> Value {
    let manifest = text("packaging/examples/kubernetes.yaml");
    let objects = manifest
        .split("\n---\n")
        .map(|part| serde_yaml::from_str::<Value>(part).unwrap());
    let mut found = objects.filter(|object| object["kind"] == kind);
    found.next().unwrap_or_else(|| panic!("no {kind}"))
}

/// HP-05: the pod may do nothing that its namespace's `restricted` profile forbids.
#[test]
fn the_pod_is_confined() {
    let pod = object("StatefulSet")["spec"]["template"]["spec"].clone();
    let security = &pod["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["runAsUser"], USER);
    assert_eq!(security["fsGroup"], USER);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    assert_eq!(
        container["image"],
        format!("localhost/entrepot:{}", version())
    );
    let enforced = &object("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(enforced, "restricted");
}

/// The configuration in the manifest is one that the server takes, and its ports are those of the pod.
#[tokio::test]
async fn the_pods_configuration_is_sound() {
    let config = object("ConfigMap")["data"]["config.yaml"]
        .as_str()
        .unwrap()
        .to_owned();
    let place = Place::new("");
    std::fs::write(place.path("pod.yaml"), &config).unwrap();
    place.run_well(&["check-config", "pod.yaml"]).await;
    let set = object("StatefulSet");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    for (name, key) in [("registry", "LISTEN"), ("metrics", "LISTEN_METRICS")] {
        let ports = container["ports"].as_array().unwrap();
        let port = ports.iter().find(|port| port["name"] == name).unwrap();
        let port = &port["containerPort"];
        assert!(
            config.contains(&format!("{key}: 0.0.0.0:{port}\n")),
            "{name}"
        );
        let service = &object("Service")["spec"]["ports"];
        let of_service = service
            .as_array()
            .unwrap()
            .iter()
            .find(|port| port["name"] == name);
        assert_eq!(&of_service.unwrap()["port"], port);
    }
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["mountPath"] == "/var/lib/entrepot")
    );
    assert!(config.contains("DATA_DIR: /var/lib/entrepot\n"));
    let arguments = container["args"].as_array().unwrap();
    let mut arguments: Vec<&str> = arguments
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    arguments.push("--help");
    place.run_well(&arguments).await;
}

/// HP-05: the Quadlet unit takes every right away, and waits for READY=1.
#[test]
fn the_quadlet_unit_is_confined() {
    let unit = text("packaging/examples/entrepot.container");
    for line in [
        "User=65532",
        "ReadOnly=true",
        "DropCapability=all",
        "NoNewPrivileges=true",
        "Notify=true",
        "Volume=entrepot-data:/var/lib/entrepot",
        "StartLimitIntervalSec=0",
        "HealthCmd=[\"/usr/bin/entrepot\", \"status\"]",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    assert!(unit.contains(&format!("Image=localhost/entrepot:{}\n", version())));
    for line in unit
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']))
    {
        assert!(line.contains('='), "{line}");
    }
}

#[test]
fn prometheus_reads_where_the_server_writes() {
    let config: Value = serde_yaml::from_str(&text("packaging/examples/prometheus.yml")).unwrap();
    let target = &config["scrape_configs"][0]["static_configs"][0]["targets"][0];
    let packaged = text("config/edge.yaml");
    assert!(packaged.contains(&format!("\nLISTEN_METRICS: {}\n", target.as_str().unwrap())));
    let rules = source("packaging/examples").join(config["rule_files"][0].as_str().unwrap());
    assert!(rules.is_file());
}

/// What the package installs as configuration is sound, and keeps its data where the unit lets it.
#[tokio::test]
async fn the_packaged_configuration_is_sound() {
    let edge = source("config/edge.yaml");
    let config = run_well(
        source("packaging/deb/config").to_str().unwrap(),
        &[edge.to_str().unwrap()],
    );
    assert!(config.contains("\nDATA_DIR: /var/lib/entrepot\n"));
    let place = Place::new("");
    std::fs::write(place.path("packaged.yaml"), &config).unwrap();
    place.run_well(&["check-config", "packaged.yaml"]).await;
    // Nothing but comments and the data directory is changed.
    let keys = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        lines
            .filter(|line| !line.starts_with("DATA_DIR"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(keys(&config), keys(&text("config/edge.yaml")));
}

/// HP-08: every crate of the program with version, licence and checksum, the same text each time.
#[test]
fn the_bill_of_materials_is_made_from_the_lock_file() {
    if !super::has("python3") {
        return;
    }
    let script = source("packaging/sbom");
    let script = script.to_str().unwrap();
    let said = run_well("python3", &[script]);
    assert_eq!(said, run_well("python3", &[script]));
    let bill: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let lock = text("Cargo.lock");
    let components = bill["components"].as_array().unwrap();
    let names: Vec<&str> = components
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for linked in ["redb", "hyper", "rustls", "aws-lc-sys", "clap_builder"] {
        assert!(names.contains(&linked), "{linked}");
    }
    for other in ["proptest", "serde_derive", "cc", "windows-sys"] {
        assert!(!names.contains(&other), "{other} is not in the program");
    }
    for one in components {
        let sum = one["hashes"][0]["content"].as_str().unwrap();
        assert!(lock.contains(&format!("checksum = \"{sum}\"")), "{one}");
        assert!(one["licenses"][0]["expression"].is_string(), "{one}");
    }
}

/// Scripts of the package are what every `sh` reads.
#[test]
fn scripts_can_be_read() {
    for name in ["build", "config", "postinst", "prerm", "postrm"] {
        let script = source("packaging/deb").join(name);
        run_well("sh", &["-n", script.to_str().unwrap()]);
    }
    run_well(
        "sh",
        &["-n", source("packaging/container/build").to_str().unwrap()],
    );
}
