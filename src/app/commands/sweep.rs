//! `entrepot sweep`.

use super::cache::show;
use super::{Output, Site, Stop};
use crate::app::operations::Request;

pub(super) fn run(site: &Site, output: &Output) -> Result<(), Stop> {
    show(Request::Sweep {}, false, site, output)
}
