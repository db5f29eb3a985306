//! The limits that `docs/security.md` names are those in force.

use entrepot::http::Limits;

const GUIDE: &str = include_str!("../../docs/security.md");

#[test]
fn the_guide_has_the_limits_in_force() {
    let limits = Limits::default();
    let kib = |bytes: usize| bytes >> 10;
    for row in [
        format!(
            "| connections open at once | {}; more are",
            limits.connections
        ),
        format!(
            "| head of a request | {} KiB, {} lines, {} s from",
            kib(limits.head_bytes),
            limits.head_lines,
            limits.head.as_secs()
        ),
        format!("| target of a request | {} KiB,", kib(limits.target_bytes)),
        format!("| TLS handshake | {} s |", limits.handshake.as_secs()),
        format!(
            "| connection between requests | {} s |",
            limits.idle.as_secs()
        ),
        format!(
            "| client that takes next to nothing of its answer | {} s |",
            limits.stall.as_secs()
        ),
        format!("| HTTP/2 streams of a connection | {} |", limits.streams),
    ] {
        assert!(GUIDE.contains(&row), "{row}");
    }
}
