//! All clients before one cache: what one has pulled, upstream is never asked for again.

use std::path::Path;

use super::stage::Stage;
use crate::harness::clients::containerd::Containerd;
use crate::harness::clients::containers::{Buildah, Podman};
use crate::harness::clients::docker::Docker;
use crate::harness::clients::layout::{Copier, Tool};
use crate::harness::clients::{Client, Puller, SiteUnderTest, Way, require};

/// One of each client that is installed, in the way its users set it up.
async fn clients(site: &SiteUnderTest) -> Vec<Box<dyn Puller>> {
    let mut clients: Vec<Box<dyn Puller>> = Vec::new();
    let needed = [Client::Docker, Client::Dockerd, Client::Containerd];
    if let Some([docker, dockerd, _]) = require(needed) {
        let engine = Docker::start(&docker, &dockerd, site, Way::AsMirror).await;
        clients.push(Box::new(engine.expect("dockerd starts")));
    }
    if let Some([ctr, containerd]) = require([Client::Ctr, Client::Containerd]) {
        let engine = Containerd::start(&ctr, &containerd, site, Way::AsMirror).await;
        clients.push(Box::new(engine.expect("containerd starts")));
    }
    if let Some([podman]) = require([Client::Podman]) {
        clients.push(Box::new(Podman::new(&podman, site, Way::AsMirror)));
    }
    if let Some([buildah]) = require([Client::Buildah]) {
        clients.push(Box::new(Buildah::new(&buildah, site, Way::ByAddress)));
    }
    let tools = [
        (Tool::Skopeo, Client::Skopeo),
        (Tool::Crane, Client::Crane),
        (Tool::Oras, Client::Oras),
        (Tool::Regctl, Client::Regctl),
    ];
    for (tool, client) in tools {
        if let Some([program]) = require([client]) {
            clients.push(copier(tool, &program, site));
        }
    }
    clients
}

fn copier(tool: Tool, program: &Path, site: &SiteUnderTest) -> Box<dyn Puller> {
    Box::new(Copier::new(tool, program, site))
}

#[tokio::test]
async fn each_blob_crosses_once_for_all_clients_and_all_pull_again_offline() {
    let Some([registry]) = require([Client::DockerRegistry]) else {
        return;
    };
    let mut stage = Stage::set(&registry).await;
    let clients = clients(stage.site()).await;
    if clients.is_empty() {
        return;
    }
    for client in &clients {
        stage.pulls(client.as_ref()).await;
    }
    stage.stop_upstream().await;
    for client in &clients {
        stage.forgets(client.as_ref()).await;
        stage.pulls(client.as_ref()).await;
    }
    stage.each_blob_crossed_once();

    stage.restart_upstream().await;
    for client in &clients {
        stage.forgets(client.as_ref()).await;
        stage.pulls(client.as_ref()).await;
    }
    stage.stop_upstream().await;
    stage.each_blob_crossed_once();
}

#[tokio::test]
async fn clients_that_pull_at_the_same_time_share_each_download() {
    let Some([registry]) = require([Client::DockerRegistry]) else {
        return;
    };
    let mut stage = Stage::set(&registry).await;
    let clients = clients(stage.site()).await;
    if clients.is_empty() {
        return;
    }
    stage.all_pull_at_once(&clients).await;
    stage.stop_upstream().await;
    stage.each_blob_crossed_once();
}
