//! The doors beside `/v2/`: health, metrics, and the page for people.

mod health;
mod html;
mod landing;
mod metrics;
mod redirect;
mod snippets;

pub(super) use health::{Probe, probe};
pub(super) use html::Html;
pub(super) use landing::landing;
pub(super) use metrics::metrics;
pub(super) use redirect::redirect;
