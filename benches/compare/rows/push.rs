//! Pushes: manifests whose blobs are there, and whole small images.

use std::cell::Cell;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::content::{Blob, manifest};
use crate::failure::{Doing as _, Failure, Outcome};
use crate::load::{Connection, has_blob, push_blob, push_manifest, verify};
use crate::measure::{Spread, Turn, in_turns, work};
use crate::report::Line;
use crate::servers::{LOCAL, Server};
use crate::site::Site;

/// Clients that push manifests, as the budget has it.
const CLIENTS: usize = 64;
/// Clients that push whole images.
const IMAGE_CLIENTS: usize = 8;
/// A small layer.
const LAYER_KIBIBYTES: usize = 16;
/// Repositories that whole images go to.
const REPOSITORIES: u64 = 8;
/// How much of a turn is read back.
const LOOKS: u64 = 10;

/// Manifests by tag, each another one, whose blobs are there.
pub(super) async fn manifests(site: &Site) -> Outcome<Vec<Line>> {
    let servers = site.start_takers("push").await?;
    let blobs = [config(0), Blob::small_noise(1, LAYER_KIBIBYTES)];
    let repository = format!("{LOCAL}/manifests");
    for server in &servers {
        let mut client = Connection::open(&server.target).await?;
        for blob in &blobs {
            push_blob(&mut client, &repository, blob).await?;
        }
    }
    let next = Cell::new(0);
    let template = template(&blobs)?;
    let document = |number: u64| Bytes::from(template.join(&number.to_string()));
    let once = async |client: &mut Connection| {
        let number = next.replace(next.get() + 1);
        let tag = format!("v{number}");
        push_manifest(client, &repository, tag, &document(number)).await
    };
    let turn = async |server: &Server| {
        let first = next.get();
        let turn = work(server, CLIENTS, site.options.window, once).await?;
        for number in looks(first, next.get()) {
            let path = format!("/v2/{repository}/manifests/v{number}");
            let digest = Blob::of(document(number)).digest;
            verify(&server.target, &path, &digest).await?;
        }
        Ok(turn)
    };
    let all: Vec<&Server> = servers.iter().collect();
    let turns = in_turns(&all, site.options.rounds, turn).await?;
    let rate = Spread::of(&turns[0], Turn::rate);
    Ok(vec![Line {
        what: format!("durable manifest pushes, blobs there, {CLIENTS} clients"),
        measured: show(&turns[0], "push"),
        budget: ">= 1,000/s",
        is_met: Some(rate.median >= 1000.0),
        beside: beside(&servers, &turns, "push"),
    }])
}

/// Whole images: a config, one to three layers and a manifest, none of which was there.
pub(super) async fn images(site: &Site) -> Outcome<Vec<Line>> {
    let servers = site.start_takers("images").await?;
    let next = Cell::new(0);
    let once = async |client: &mut Connection| {
        let number = next.replace(next.get() + 1);
        push_image(client, number).await
    };
    let turn = async |server: &Server| {
        let first = next.get();
        let turn = work(server, IMAGE_CLIENTS, site.options.window, once).await?;
        for number in looks(first, next.get()) {
            check_image(server, number).await?;
        }
        Ok(turn)
    };
    let all: Vec<&Server> = servers.iter().collect();
    let turns = in_turns(&all, site.options.rounds, turn).await?;
    Ok(vec![Line {
        what: format!("whole small images pushed, {IMAGE_CLIENTS} clients"),
        measured: show(&turns[0], "image"),
        budget: "",
        is_met: None,
        beside: beside(&servers, &turns, "image"),
    }])
}

/// Pushes an image of which nothing is there.
async fn push_image(client: &mut Connection, number: u64) -> Outcome<()> {
    match push_what_is_missing(client, number).await? {
        0 => Ok(()),
        there => Err(Failure::new(format!("{there} blobs were there before"))),
    }
}

/// Pushes an image; tells how many of its blobs were there.
pub(super) async fn push_what_is_missing(client: &mut Connection, number: u64) -> Outcome<u64> {
    let repository = image_repository(number);
    let blobs = image_blobs(number);
    let mut there = 0;
    for blob in &blobs {
        match has_blob(client, &repository, blob).await? {
            true => there += 1,
            false => push_blob(client, &repository, blob).await?,
        }
    }
    let body = document(number, &blobs);
    push_manifest(client, &repository, format!("v{number}"), &body).await?;
    Ok(there)
}

/// Reads all of an image back.
async fn check_image(server: &Server, number: u64) -> Outcome<()> {
    let repository = image_repository(number);
    let blobs = image_blobs(number);
    for blob in &blobs {
        verify(&server.target, &blob.path(&repository), &blob.digest).await?;
    }
    let path = format!("/v2/{repository}/manifests/v{number}");
    let digest = Blob::of(document(number, &blobs)).digest;
    verify(&server.target, &path, &digest).await
}

fn image_repository(number: u64) -> String {
    format!("{LOCAL}/image-{}", number % REPOSITORIES)
}

/// The config and the layers of the image of that number.
fn image_blobs(number: u64) -> Vec<Blob> {
    let layers = 1 + number % 3;
    let layer = |place| Blob::small_noise(4 * number + place, LAYER_KIBIBYTES);
    [config(number)]
        .into_iter()
        .chain((0..layers).map(layer))
        .collect()
}

fn config(number: u64) -> Blob {
    let config =
        json!({"architecture": "amd64", "os": "linux", "config": {"User": number.to_string()}});
    Blob::of(config.to_string().into())
}

/// The manifest of that number.
fn document(number: u64, blobs: &[Blob]) -> Bytes {
    let mut manifest = manifest(&blobs[0], blobs[1..].iter());
    manifest["annotations"] = Value::from_iter([("number", number.to_string())]);
    manifest.to_string().into()
}

/// What stands in front of the number in a manifest, and what behind it: filling it in is all that
/// is done while pushes are measured.
fn template(blobs: &[Blob]) -> Outcome<[String; 2]> {
    let document = document(u64::MAX, blobs);
    let text = std::str::from_utf8(&document).doing("read a manifest")?;
    let parts = text.split_once(&u64::MAX.to_string());
    let (front, back) = parts.ok_or_else(|| Failure::new("a manifest without its number"))?;
    Ok([front.to_owned(), back.to_owned()])
}

/// Some of the numbers of a turn, the last one among them.
fn looks(first: u64, end: u64) -> impl Iterator<Item = u64> {
    let step = ((end - first) / LOOKS).max(1);
    (first..end)
        .rev()
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
}

fn show(turns: &[Turn], what: &str) -> String {
    let rate = Spread::of(turns, Turn::rate);
    let cpu = Spread::of(turns, Turn::cpu_micros);
    format!("{}/s, {:.0} us CPU a {what}", rate.show(0), cpu.median)
}

fn beside(servers: &[Server], turns: &[Vec<Turn>], what: &str) -> Vec<String> {
    let others = servers.iter().zip(turns).skip(1);
    others
        .map(|(server, turns)| format!("{} {}", server.name, show(turns, what)))
        .collect()
}
