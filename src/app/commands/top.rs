//! `entrepot top`: what the server does, drawn anew each second.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stdout};

use super::{Output, Site, Stop};
use crate::app::operations::{Frame, LookRow, OrganizationLook, Request, Row};
use crate::model::ByteSize;
use crate::proxy::Filling;

/// ECMA-48: the cursor to the corner, and everything behind it away.
const REDRAW: &str = "\x1b[H\x1b[J";

/// Fills and organisations that are drawn.
const DRAWN: usize = 20;

pub(super) fn run((once, json): (bool, bool), site: &Site, output: &Output) -> Result<(), Stop> {
    let stays = !once && !json && stdout().is_terminal();
    // A rate takes two looks.
    let looks = match (stays, json) {
        (true, _) => None,
        (false, true) => Some(1),
        (false, false) => Some(2),
    };
    let mut before: Option<LookRow> = None;
    site.ask_server(Request::Top { looks }, output, |frame| {
        let Frame::Row(Row::Look(look)) = frame else {
            return;
        };
        if json {
            return output.line(Row::Look(look).json());
        }
        if let Some(before) = &before {
            let text = draw(before, &look);
            match stays {
                true => redraw(&text),
                false => output.line(text.trim_end()),
            }
        }
        before = Some(*look);
    })
}

fn redraw(text: &str) {
    let mut screen = stdout().lock();
    // Whoever reads it may have left: no error of ours.
    let _ = write!(screen, "{REDRAW}{text}").and_then(|()| screen.flush());
}

/// What happened between two looks.
fn draw(before: &LookRow, now: &LookRow) -> String {
    let seconds = now.time.since(before.time).as_secs_f64().max(0.001);
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    let bytes = |now: u64, before: u64| ByteSize(rate(now, before) as u64);
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line(format!(
        "entrepot {}  {}  {} connections  {} descriptors  {} memory{}",
        now.version,
        now.time,
        now.connections,
        now.descriptors,
        ByteSize(now.memory_bytes),
        if now.offline { "  OFFLINE" } else { "" }
    ));
    line(format!(
        "requests {:.0}/s  manifests {:.0}/s  pushed manifests {:.1}/s  pushed blobs {:.1}/s  sent {}/s",
        rate(now.requests, before.requests),
        rate(now.manifest_requests, before.manifest_requests),
        rate(now.pushed_manifests, before.pushed_manifests),
        rate(now.pushed_blobs, before.pushed_blobs),
        bytes(now.sent_bytes, before.sent_bytes)
    ));
    line(format!(
        "disk {} free of {}, {} of them reserved\n",
        ByteSize(now.disk_free_bytes),
        ByteSize(now.disk_size_bytes),
        ByteSize(now.disk_reserve_bytes)
    ));
    line(format!(
        "{:<28} {:>8} {:>5} {:>12} {:>12} {:>10} {:>10}  {}",
        "ORGANIZATION", "REQ/S", "HIT%", "SERVED/S", "FETCHED/S", "HELD", "QUOTA", "UPSTREAM"
    ));
    let mut organizations: Vec<_> = now.organizations.iter().collect();
    organizations.sort_by_key(|it| (std::cmp::Reverse(it.requests), it.name.clone()));
    for organization in organizations.into_iter().take(DRAWN) {
        let was = before
            .organizations
            .iter()
            .find(|was| was.name == organization.name);
        // Nothing is known of what was before it was there.
        let was = was.unwrap_or(organization);
        line(format!(
            "{:<28} {:>8.1} {:>5} {:>12} {:>12} {:>10} {:>10}  {}",
            organization.name.as_str(),
            rate(organization.requests, was.requests),
            hit_ratio(organization),
            bytes(organization.served_bytes, was.served_bytes).to_string(),
            bytes(organization.fetched_bytes, was.fetched_bytes).to_string(),
            ByteSize(organization.held_bytes).to_string(),
            organization
                .limit_bytes
                .map_or_else(|| "-".to_owned(), |limit| ByteSize(limit).to_string()),
            organization
                .upstream
                .as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string)
        ));
    }
    line(format!("\n{} fills", now.fills.len()));
    for fill in now.fills.iter().take(DRAWN) {
        line(filling(fill));
    }
    text
}

/// Of all requests since the start, in per cent.
fn hit_ratio(organization: &OrganizationLook) -> String {
    match organization.requests {
        0 => "-".to_owned(),
        all => (organization.hits * 100 / all).to_string(),
    }
}

fn filling(fill: &Filling) -> String {
    let arrived = ByteSize(fill.arrived_bytes);
    let progress = match fill.total_bytes {
        Some(total) if total > 0 => {
            let part = fill.arrived_bytes.saturating_mul(100) / total;
            format!("{part:>3}% of {}", ByteSize(total))
        }
        _ => format!("{arrived}"),
    };
    let askers = match fill.askers {
        1 => "1 asker".to_owned(),
        askers => format!("{askers} askers"),
    };
    let digest = fill.digest.to_string();
    let short: String = digest.chars().take(19).collect();
    format!("{progress:<20} {askers:<10} {short}  {}", fill.repository)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::oci::Digest;

    fn look(seconds: i64, requests: u64) -> LookRow {
        LookRow {
            time: Timestamp::from_millis(1_700_000_000_000 + seconds * 1000),
            version: "1".to_owned(),
            connections: 3,
            memory_bytes: 1 << 20,
            descriptors: 20,
            requests,
            sent_bytes: requests * 1000,
            manifest_requests: requests,
            pushed_manifests: 0,
            pushed_blobs: 0,
            organizations: vec![OrganizationLook {
                name: "docker.io".parse().unwrap(),
                hits: requests / 2,
                requests,
                served_bytes: 0,
                fetched_bytes: requests << 10,
                held_bytes: 5 << 20,
                limit_bytes: None,
                upstream: Some(Default::default()),
            }],
            fills: vec![Filling {
                digest: Digest::of(b"x"),
                repository: "docker.io/library/alpine".to_owned(),
                arrived_bytes: 512,
                total_bytes: Some(1024),
                askers: 2,
            }],
            disk_free_bytes: 1 << 30,
            disk_size_bytes: 2 << 30,
            disk_reserve_bytes: 1 << 20,
            offline: false,
        }
    }

    #[test]
    fn rates_are_what_happened_between_two_looks() {
        let text = draw(&look(0, 100), &look(2, 300));
        assert!(text.contains("requests 100/s"), "{text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ");
        assert!(text.contains("docker.io 100.0 50 "), "{text}");
        assert!(
            text.contains("50% of 1 KiB") && text.contains("2 askers"),
            "{text}"
        );
        assert!(text.contains("up, as far as is known"), "{text}");
        // A clock that was set back makes no negative rate.
        assert!(draw(&look(9, 300), &look(0, 100)).contains("requests 0/s"));
    }
}
