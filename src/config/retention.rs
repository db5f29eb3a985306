//! For how long things are kept, and when what is kept is looked at.
//!
//! Called by `Config::load`; `registry` takes the spans, `jobs` the intervals.

use std::time::Duration;

use super::document::{Node, Value};
use super::fields::Fields;
use super::report::Report;
use super::value::{self, Parsed, show_duration};
use crate::model::ByteSize;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Longer is longer than anyone will wait.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// For how long things are kept, and when what is kept is looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RetentionConfig {
    /// The time machine where a namespace says nothing: for how long what a tag pointed to can be
    /// restored. Whole seconds; one of `time_machines`.
    pub time_machine: Duration,
    /// The lengths that a namespace may choose; at least one, in the order of the file.
    pub time_machines: Vec<Duration>,
    /// Tags can be deleted without a way back (`PERMANENTLY_DELETE_TAGS`).
    pub permanently_delete: bool,
    /// What an index named goes with it, however lately it came (`RESET_CHILD_MANIFEST_EXPIRATION`).
    pub reset_children: bool,
    /// What a namespace may hold that has no quota of its own, in bytes; `None`: whatever it likes
    /// (`DEFAULT_SYSTEM_REJECT_QUOTA_BYTES`, 0 for none).
    pub default_quota: Option<u64>,
    /// The shortest and the longest life that `quay.expires-after` gives a tag.
    pub labeled: (Duration, Duration),
    /// For how long what nothing names yet is kept after its push.
    pub grace: Duration,
    /// For how long an upload may rest before it is given up.
    pub upload_expiry: Duration,
    /// How often what is due is collected; `None`: never (`FEATURE_GARBAGE_COLLECTION`). While
    /// `PushConfig::closed` says that nothing is written, nothing is collected either.
    pub collect_every: Option<Duration>,
    /// In which time every blob is read once and compared with its digest; `None`: never.
    pub scrub_every: Option<Duration>,
    /// Most bytes a second that such reading takes from the disk; `None`: no bound.
    pub scrub_bandwidth: Option<ByteSize>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            time_machine: 2 * WEEK,
            time_machines: vec![Duration::ZERO, DAY, WEEK, 2 * WEEK, 4 * WEEK],
            permanently_delete: false,
            reset_children: false,
            default_quota: None,
            labeled: (60 * MINUTE, 104 * WEEK),
            grace: 60 * MINUTE,
            upload_expiry: 2 * DAY,
            collect_every: Some(MINUTE / 2),
            scrub_every: Some(30 * DAY),
            scrub_bandwidth: Some(ByteSize::mib(10)),
        }
    }
}

impl RetentionConfig {
    /// Reads what is said; `collect` is the switch of the collection.
    pub(super) fn read(fields: &Fields, collect: bool, report: &mut Report<'_>) -> Self {
        let default = Self::default();
        let (time_machine, time_machines) = time_machines(fields, &default, report);
        let mut read = |key: &str, least: Duration, most: Duration, default: Duration| {
            let parse = |node: &Node| seconds(node, least, most);
            fields.read(report, key, parse).unwrap_or(default)
        };
        let second = Duration::from_secs(1);
        let (key, most) = ("PUSH_TEMP_TAG_EXPIRATION_SEC", 30 * DAY);
        let grace = read(key, second, most, default.grace);
        let every = Duration::from_secs(30);
        let every = read("GARBAGE_COLLECTION_FREQUENCY", second, DAY, every);
        let mut life = |key: &str, default| {
            let life = |node: &Node| value::duration(node, Duration::ZERO, CENTURY);
            fields.read(report, key, life).unwrap_or(default)
        };
        let labeled = (
            life("LABELED_EXPIRATION_MINIMUM", default.labeled.0),
            life("LABELED_EXPIRATION_MAXIMUM", default.labeled.1),
        );
        let permanently = fields.read(report, "PERMANENTLY_DELETE_TAGS", value::switch);
        let reset_children = fields.read(report, "RESET_CHILD_MANIFEST_EXPIRATION", value::switch);
        let most = ByteSize(i64::MAX as u64);
        let quota = |node: &Node| value::size(node, ByteSize(0), most);
        let default_quota = fields.read(report, "DEFAULT_SYSTEM_REJECT_QUOTA_BYTES", quota);
        let rest = |node: &Node| value::duration(node, MINUTE, 365 * DAY);
        let upload_expiry = fields.read(report, "UPLOAD_EXPIRATION", rest);
        let scrub_every = fields.read(report, "SCRUB_INTERVAL", scrub_interval);
        let scrub_bandwidth = fields.read(report, "SCRUB_BANDWIDTH", scrub_bandwidth);
        Self {
            time_machine,
            time_machines,
            permanently_delete: permanently.unwrap_or(default.permanently_delete),
            reset_children: reset_children.unwrap_or(default.reset_children),
            default_quota: default_quota
                .map(ByteSize::bytes)
                .filter(|bytes| *bytes > 0),
            labeled,
            grace,
            upload_expiry: upload_expiry.unwrap_or(default.upload_expiry),
            collect_every: collect.then_some(every),
            scrub_every: scrub_every.unwrap_or(default.scrub_every),
            scrub_bandwidth: scrub_bandwidth.unwrap_or(default.scrub_bandwidth),
        }
    }
}

/// `DEFAULT_TAG_EXPIRATION`, which is one of `TAG_EXPIRATION_OPTIONS`.
fn time_machines(
    fields: &Fields,
    default: &RetentionConfig,
    report: &mut Report<'_>,
) -> (Duration, Vec<Duration>) {
    let key = "DEFAULT_TAG_EXPIRATION";
    let chosen = fields.read(report, key, time_machine);
    let options = options(fields, report).unwrap_or_else(|| default.time_machines.clone());
    // What could not be read has been told already.
    let told = (fields.get(key).is_some() && chosen.is_none()) || options.is_empty();
    let chosen = chosen.unwrap_or(default.time_machine);
    if !told && !options.contains(&chosen) {
        tell_stray(fields, chosen, &options, report);
    }
    (chosen, options)
}

/// `TAG_EXPIRATION_OPTIONS`: each once, at least one.
fn options(fields: &Fields, report: &mut Report<'_>) -> Option<Vec<Duration>> {
    let key = "TAG_EXPIRATION_OPTIONS";
    let mut options: Vec<Duration> = Vec::new();
    fields.list(report, key, |node| {
        let option = time_machine(node)?;
        if options.contains(&option) {
            let shown = show_duration(option);
            return Err(format!("{shown} stands here twice; one of them must go"));
        }
        options.push(option);
        Ok(())
    })?;
    let value = fields.get(key).map(|node| &node.value);
    if matches!(value, Some(Value::List(items)) if items.is_empty()) {
        let reason = "is empty; give at least one duration";
        report.mistake(fields.place_of(key), key, reason);
    }
    Some(options)
}

/// Tells that the default is not among the options, where one of the two is given.
fn tell_stray(fields: &Fields, chosen: Duration, options: &[Duration], report: &mut Report<'_>) {
    let (one, all) = ("DEFAULT_TAG_EXPIRATION", "TAG_EXPIRATION_OPTIONS");
    let options = options.iter().copied().map(show_duration);
    let (options, chosen) = (
        options.collect::<Vec<_>>().join(", "),
        show_duration(chosen),
    );
    if let Some(node) = fields.get(one) {
        let reason = format!("{chosen} is not one of {all} ({options}); add it there");
        report.mistake(node.place, one, reason);
        return;
    }
    let reason =
        format!("lacks {chosen}, the default of {one}; add it, or give {one}: one of {options}");
    report.mistake(fields.place_of(all), all, reason);
}

/// Whole seconds, since that is what the API shows.
fn time_machine(node: &Node) -> Parsed<Duration> {
    let span = value::duration(node, Duration::ZERO, CENTURY)?;
    whole(span)
}

/// A number of seconds, plain or with a unit.
fn seconds(node: &Node, least: Duration, most: Duration) -> Parsed<Duration> {
    let found = whole(value::seconds(node, most)?)?;
    if found >= least {
        return Ok(found);
    }
    let [found, least, most] = [found, least, most].map(show_duration);
    Err(format!("{found} is out of range; write {least} to {most}"))
}

fn whole(span: Duration) -> Parsed<Duration> {
    match span.subsec_nanos() {
        0 => Ok(span),
        _ => Err(format!("{} is not whole seconds", show_duration(span))),
    }
}

/// A span, or `none` or zero for never.
fn scrub_interval(node: &Node) -> Parsed<Option<Duration>> {
    if value::is_none(node) {
        return Ok(None);
    }
    let span = value::duration(node, Duration::ZERO, CENTURY);
    match span.map_err(|reason| format!("{reason}, or none"))? {
        Duration::ZERO => Ok(None),
        span if span < 60 * MINUTE => {
            let shown = show_duration(span);
            Err(format!(
                "{shown} is out of range; write 1h or more, or none"
            ))
        }
        span => Ok(Some(span)),
    }
}

/// A rate, or `none` or zero for no bound.
fn scrub_bandwidth(node: &Node) -> Parsed<Option<ByteSize>> {
    if value::is_none(node) {
        return Ok(None);
    }
    let rate = value::bandwidth(node).map_err(|reason| format!("{reason}, or none"))?;
    Ok(Some(rate))
}
