//! The doors, through real sockets.

mod aggregatelogs;
mod application;
mod apptoken;
mod attack;
mod autoprune;
mod blobs;
mod documents;
mod error_types;
mod immutability;
mod initialize;
mod label;
mod lists;
mod logs;
mod manifest;
mod manifests;
mod matrix;
mod members;
mod messages;
mod mirror;
mod notifications;
mod oauth;
mod org_mirror;
mod organization;
mod pages;
mod people;
mod permission;
mod prototype;
mod proxycache;
mod quota;
mod registry;
mod repository;
mod robot;
mod search;
mod service_keys;
mod session;
mod star;
mod superuser;
mod tag;
mod team;
mod user;
mod web;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::site::Site;

/// An upstream with one image, `library/app:v1`, and a site that caches it.
async fn stage(layers: &[usize]) -> (Origin, Site, Image) {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, layers);
    origin.push_image("library/app", "v1", &image);
    let site = Site::cache_of(&origin).await;
    (origin, site, image)
}
