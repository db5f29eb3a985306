//! Helm keeps charts in the registry: what it pushed it pulls by version (SC-196 to SC-198).

use std::path::PathBuf;

use entrepot::oci::Digest;

use crate::harness::child::Finished;
use crate::harness::clients::cli::Cli;
use crate::harness::clients::{Client, require};
use crate::harness::pushable::{Pushable, Transport, Wish};

const CHART: &str = "apiVersion: v2\nname: etherpad\nversion: 0.0.4\ndescription: A chart\n";
const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: etherpad\n";

async fn stage(transport: Transport) -> Option<(Pushable, PathBuf)> {
    let [program] = require([Client::Helm])?;
    let wish = Wish {
        transport,
        ..Wish::WITH_LOGIN
    };
    Some((Pushable::start(wish).await, program))
}

/// Helm with a packed chart, and the site's authority in a file.
async fn helm(program: &std::path::Path, site: &Pushable) -> Cli {
    let helm = Cli::new(Client::Helm, program);
    if let Some(authority) = &site.authority {
        let pem = std::fs::read_to_string(authority).unwrap();
        helm.write("authority.crt", &pem);
    }
    helm.write("etherpad/Chart.yaml", CHART);
    helm.write("etherpad/templates/map.yaml", TEMPLATE);
    helm.does("package etherpad").await;
    helm
}

/// The digest after the word under which Helm prints it.
fn printed(said: &Finished) -> Digest {
    let lines = said.stdout.lines().chain(said.stderr.lines());
    let digest = lines
        .filter_map(|line| line.trim().strip_prefix("Digest:"))
        .next();
    let digest = digest.unwrap_or_else(|| panic!("no digest: {said:?}"));
    digest.trim().parse().expect("a digest")
}

/// SC-197, SC-198: pushed and pulled by version, one digest; the chart comes back as it was.
async fn a_chart_travels(helm: &Cli, site: &Pushable, trust: &str) {
    let to = format!("oci://{}/{}", site.address, site.namespace);
    let pushed = helm
        .does(format!("push etherpad-0.0.4.tgz {to} {trust}"))
        .await;
    let digest = printed(&pushed);
    assert_eq!(site.digest("etherpad", "0.0.4").await, Some(digest));
    let manifest = site.document("etherpad", "0.0.4").await;
    let config = "application/vnd.cncf.helm.config.v1+json";
    assert_eq!(manifest["config"]["mediaType"], config);

    let pull = format!("pull {to}/etherpad --version 0.0.4 {trust}");
    let pulled = helm.does(format!("{pull} --destination back")).await;
    assert_eq!(printed(&pulled), digest);
    let back = helm.read("back/etherpad-0.0.4.tgz");
    assert_eq!(back, helm.read("etherpad-0.0.4.tgz"));
}

#[tokio::test]
async fn helm_pushes_and_pulls_by_version_over_tls_with_a_named_authority() {
    let Some((site, program)) = stage(Transport::Tls).await else {
        return;
    };
    let helm = helm(&program, &site).await;
    helm.write("back/.keep", "");
    helm.logs_in(&site).await;
    a_chart_travels(&helm, &site, "--ca-file authority.crt").await;
}

/// SC-196: the authority is one that the machine trusts, and Helm is told nothing of it.
#[tokio::test]
async fn helm_pushes_and_pulls_over_tls_with_an_authority_that_the_machine_trusts() {
    let Some((site, program)) = stage(Transport::Tls).await else {
        return;
    };
    let helm = helm(&program, &site).await;
    helm.write("back/.keep", "");
    let authority = helm.path("authority.crt");
    let stranger = format!("oci://{}/{}/etherpad", site.address, site.namespace);
    let said = helm
        .fails_to(format!("pull {stranger} --version 0.0.4"))
        .await;
    assert!(said.contains("x509"), "{said}");

    let helm = helm.with("SSL_CERT_FILE", authority);
    helm.logs_in(&site).await;
    a_chart_travels(&helm, &site, "").await;
}

#[tokio::test]
async fn helm_pushes_and_pulls_by_version_over_plain_http() {
    let Some((site, program)) = stage(Transport::Plain).await else {
        return;
    };
    let helm = helm(&program, &site).await;
    helm.write("back/.keep", "");
    let to = format!("oci://{}/{}", site.address, site.namespace);
    let push = format!("push etherpad-0.0.4.tgz {to} --plain-http");
    helm.fails_to(push).await;
    let pushed = site.digest("etherpad", "0.0.4").await;
    assert_eq!(pushed, None, "nobody was logged in");

    helm.logs_in(&site).await;
    a_chart_travels(&helm, &site, "--plain-http").await;
}
