//! One client, one cold cache: it pulls an image and an index, upstream goes, and it pulls both again.

use super::stage::Stage;
use crate::harness::clients::containerd::Containerd;
use crate::harness::clients::containers::{Buildah, Podman};
use crate::harness::clients::docker::Docker;
use crate::harness::clients::layout::{Copier, Tool};
use crate::harness::clients::{Client, Way, require};

async fn docker_pulls(way: Way) {
    let needed = [
        Client::DockerRegistry,
        Client::Docker,
        Client::Dockerd,
        Client::Containerd,
    ];
    let Some([registry, docker, dockerd, _]) = require(needed) else {
        return;
    };
    let stage = Stage::set(&registry).await;
    let engine = Docker::start(&docker, &dockerd, stage.site(), way).await;
    stage
        .pulls_cold_and_offline(&engine.expect("dockerd starts"))
        .await;
}

async fn containerd_pulls(way: Way) {
    let needed = [Client::DockerRegistry, Client::Ctr, Client::Containerd];
    let Some([registry, ctr, containerd]) = require(needed) else {
        return;
    };
    let stage = Stage::set(&registry).await;
    let engine = Containerd::start(&ctr, &containerd, stage.site(), way).await;
    stage
        .pulls_cold_and_offline(&engine.expect("containerd starts"))
        .await;
}

async fn podman_pulls(way: Way) {
    let Some([registry, podman]) = require([Client::DockerRegistry, Client::Podman]) else {
        return;
    };
    let stage = Stage::set(&registry).await;
    let podman = Podman::new(&podman, stage.site(), way);
    stage.pulls_cold_and_offline(&podman).await;
}

async fn buildah_pulls(way: Way) {
    let Some([registry, buildah]) = require([Client::DockerRegistry, Client::Buildah]) else {
        return;
    };
    let stage = Stage::set(&registry).await;
    let buildah = Buildah::new(&buildah, stage.site(), way);
    stage.pulls_cold_and_offline(&buildah).await;
}

async fn tool_copies(tool: Tool, client: Client) {
    let Some([registry, program]) = require([Client::DockerRegistry, client]) else {
        return;
    };
    let stage = Stage::set(&registry).await;
    let copier = Copier::new(tool, &program, stage.site());
    stage.pulls_cold_and_offline(&copier).await;
}

#[tokio::test]
async fn docker_pulls_through_registry_mirrors_also_offline() {
    docker_pulls(Way::AsMirror).await;
}

#[tokio::test]
async fn docker_pulls_by_address_also_offline() {
    docker_pulls(Way::ByAddress).await;
}

#[tokio::test]
async fn ctr_pulls_with_override_path_also_offline() {
    let needed = [Client::DockerRegistry, Client::Ctr, Client::Containerd];
    let Some([registry, ctr, containerd]) = require(needed) else {
        return;
    };
    let stage = Stage::set(&registry).await;
    let engine = Containerd::start(&ctr, &containerd, stage.site(), Way::AsMirror).await;
    let engine = engine.expect("containerd starts").by_path();
    stage.pulls_cold_and_offline(&engine).await;
}

#[tokio::test]
async fn ctr_pulls_with_ns_also_offline() {
    containerd_pulls(Way::AsMirror).await;
}

#[tokio::test]
async fn ctr_pulls_by_address_also_offline() {
    containerd_pulls(Way::ByAddress).await;
}

#[tokio::test]
async fn podman_pulls_through_a_configured_mirror_also_offline() {
    podman_pulls(Way::AsMirror).await;
}

#[tokio::test]
async fn podman_pulls_by_address_also_offline() {
    podman_pulls(Way::ByAddress).await;
}

#[tokio::test]
async fn buildah_pulls_through_a_configured_mirror_also_offline() {
    buildah_pulls(Way::AsMirror).await;
}

#[tokio::test]
async fn buildah_pulls_by_address_also_offline() {
    buildah_pulls(Way::ByAddress).await;
}

#[tokio::test]
async fn skopeo_copies_also_offline() {
    tool_copies(Tool::Skopeo, Client::Skopeo).await;
}

#[tokio::test]
async fn crane_pulls_also_offline() {
    tool_copies(Tool::Crane, Client::Crane).await;
}

#[tokio::test]
async fn oras_copies_also_offline() {
    tool_copies(Tool::Oras, Client::Oras).await;
}

#[tokio::test]
async fn regctl_copies_also_offline() {
    tool_copies(Tool::Regctl, Client::Regctl).await;
}
