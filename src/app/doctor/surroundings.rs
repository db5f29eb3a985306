//! What of the machine a server depends on: its clock, and how many files it may open.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::process::Resource;

use super::{Examination, Severity};
use crate::model::Timestamp;

/// 2025-01-01: before this program was made.
const MADE: i64 = 1_735_689_600;

/// How far the clock may be behind what was written by it.
const SLACK_S: i64 = 3_600;

/// Each pull takes two descriptors or three.
const FILES: u64 = 4_096;

/// Looks whether the clock can be right: certificates, tokens and expiry go by it.
pub(super) fn clock(found: &mut Examination, data_dir: &Path, now: Timestamp) {
    found.look("clock");
    let then = "set the clock (timedatectl set-ntp true); tokens, certificates and expiry go by it";
    if is_unset(now) {
        return found.tell(Severity::Repairable, format!("the clock says {now}"), then);
    }
    let written = fs::metadata(data_dir.join("entrepot.redb"))
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let Some(written) = written.and_then(|time| i64::try_from(time.as_secs()).ok()) else {
        return;
    };
    if written > now.as_secs() + SLACK_S {
        let written = Timestamp::from_millis(written.saturating_mul(1000));
        let what = format!("the clock says {now}, and the store was written at {written}");
        found.tell(Severity::Repairable, what, then);
    }
}

/// Whether a clock says what cannot be, such as 1970 on a machine without one that goes on when it is off.
pub(in crate::app) fn is_unset(now: Timestamp) -> bool {
    now.as_secs() < MADE
}

/// Looks how many files the server may open, or this command, if none runs.
pub(super) fn limits(found: &mut Examination, data_dir: &Path, is_served: bool) {
    found.look("limits");
    let served = is_served.then(|| fs::read_to_string(data_dir.join("lock")).ok());
    let process = served.flatten();
    let limit = match process {
        Some(process) => limit_of(process.trim()),
        None => rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    if let Some(limit) = limit.filter(|limit| *limit < FILES) {
        let what = format!("{limit} files may be open at once: under load connections are refused");
        let then = "raise LimitNOFILE= of the service, or `ulimit -n`, to 65536";
        found.tell(Severity::Repairable, what, then);
    }
}

/// The hard limit that the kernel tells of another process; a server raises its own up to it.
fn limit_of(process: &str) -> Option<u64> {
    let number: u32 = process.parse().ok()?;
    let limits = fs::read_to_string(format!("/proc/{number}/limits")).ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(4)?.parse().ok()
}
