//! `entrepot explain`.

use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::operations::{
    Belongs, BlobRow, BlobState, ExplainRow, Frame, Pullers, Request, Row, Target,
};
use crate::model::ByteSize;

/// Parts and sharers that are listed; the JSON has all.
const LISTED: usize = 40;

pub(super) fn run(target: Target, json: bool, site: &Site, output: &Output) -> Result<(), Stop> {
    site.carry_out(Request::Explain { target }, output, |frame| {
        let Frame::Row(Row::Explain(row)) = frame else {
            return;
        };
        match json {
            true => output.line(Row::Explain(row).json()),
            false => show(&row, output),
        }
    })
}

fn show(row: &ExplainRow, output: &Output) {
    let line = |name: &str, value: String| output.line(format_args!("{name:<12}{value}"));
    line("reference", row.reference.to_string());
    line("answer", row.answer.clone());
    line("rule", rule(row));
    if let Some(upstream) = &row.upstream {
        line("upstream", upstream.to_string());
    }
    line("may pull", pullers(row.pullers).to_owned());
    if let Some(digest) = row.digest {
        line("digest", digest.to_string());
    }
    for (name, value) in times(row) {
        line(name, value);
    }
    if !row.manifests.is_empty() {
        line("size", size(row));
        line("alone", alone(row));
        parts(row, output);
    }
}

fn rule(row: &ExplainRow) -> String {
    let organization = &row.reference.organization;
    let shown = row
        .repository
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let what = match row.belongs {
        Belongs::ConfiguredCache => "a cache by the configuration",
        Belongs::ApiCache => "a cache made by the API",
        Belongs::FormerCache => "no cache any more; what it holds is served",
        Belongs::Local => "local: its content is pushed here",
        Belongs::Mirrored => "local, filled by a mirror",
        Belongs::Unknown => "unknown here",
    };
    let Some(rule) = &row.rule else {
        return match row.repository_exists || row.belongs == Belongs::Unknown {
            true => format!("{organization} is {what}"),
            false => format!("{organization} is {what}; there is no repository {shown}"),
        };
    };
    let endpoint = rule.endpoint.as_ref().map(|url| format!(" at {url}"));
    let remote = rule
        .remote_name
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let account = if rule.with_account {
        ", with an account"
    } else {
        ""
    };
    format!(
        "{organization} is {what}; there it is {}/{remote}{}{account}",
        rule.upstream,
        endpoint.unwrap_or_default()
    )
}

const fn pullers(pullers: Pullers) -> &'static str {
    match pullers {
        Pullers::Everyone => "everyone",
        Pullers::Accounts => "accounts with the right to read it",
        Pullers::NobodyYet => "nobody: it takes an account, and there is none yet",
    }
}

/// When things were, and how long they still are.
fn times(row: &ExplainRow) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    add("since", row.since.map(|time| time.to_string()));
    add("confirmed", confirmed(row));
    add("last used", row.last_used.map(|time| time.to_string()));
    add("ends", row.expires.map(|time| time.to_string()));
    let marks = [
        (row.pinned, "pinned: never evicted"),
        (row.immutable, "immutable"),
    ];
    let marks: Vec<&str> = marks
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, mark)| *mark)
        .collect();
    add("marks", (!marks.is_empty()).then(|| marks.join(", ")));
    lines
}

fn confirmed(row: &ExplainRow) -> Option<String> {
    let rule = row.rule.as_ref()?;
    let (time, age) = (row.validated?, row.age_s?);
    let state = match (row.fresh_for_s, row.expired) {
        (Some(left), _) => format!("fresh for {left} s of {} s", rule.fresh_s),
        (None, true) => "expired".to_owned(),
        (None, false) => "to be confirmed".to_owned(),
    };
    Some(format!("{time}, {age} s ago: {state}"))
}

fn size(row: &ExplainRow) -> String {
    let (held, whole) = (ByteSize(row.held_bytes), ByteSize(row.size_bytes));
    match row.held_bytes == row.size_bytes {
        true => format!("{whole}, all of it here"),
        false => format!("{held} here of {whole}"),
    }
}

fn alone(row: &ExplainRow) -> String {
    let bytes = ByteSize(row.alone_bytes);
    let mut text = format!("{bytes} would be freed if it were evicted");
    if let Some(first) = row.shared_with.first() {
        let others = row.shared_with.len() - 1;
        text += &format!(
            "; {} shared with {}",
            ByteSize(first.bytes),
            first.repository
        );
        if others > 0 {
            text += &format!(" and {others} others");
        }
    }
    text
}

fn parts(row: &ExplainRow, output: &Output) {
    let manifests = row.manifests.iter().map(|part| {
        let state = if part.held { "held" } else { "missing" };
        let size = part.size_bytes.map(|bytes| ByteSize(bytes).to_string());
        [
            Cell::of("manifest"),
            Cell::of(state),
            Cell::Number(size.unwrap_or_else(|| "-".to_owned())),
            Cell::of(part.digest),
        ]
    });
    let blobs = row.blobs.iter().map(|blob| {
        [
            Cell::of(if blob.shared { "blob, shared" } else { "blob" }),
            Cell::Text(state(blob)),
            Cell::Number(ByteSize(blob.size_bytes).to_string()),
            Cell::of(blob.digest),
        ]
    });
    let rows: Vec<_> = manifests.chain(blobs).take(LISTED).collect();
    output.table(["PART", "STATE", "SIZE", "DIGEST"], &rows);
    let all = row.manifests.len() + row.blobs.len();
    if all > LISTED || !row.complete {
        let more = if row.complete { "" } else { " and more" };
        output.line(format_args!("{} parts{more}; --json tells of them", all));
    }
}

fn state(blob: &BlobRow) -> String {
    match blob.state {
        BlobState::Held => "held".to_owned(),
        BlobState::Missing => "missing".to_owned(),
        BlobState::Partial => format!("{} here", ByteSize(blob.held_bytes)),
    }
}
