//! Auto-prune: the policy for everybody, and how often policies are followed.
//!
//! Called by `Config::load`; `registry` takes the policy, `jobs` the times. `FEATURE_AUTO_PRUNE` is the switch
//! above all of it.

use std::time::Duration;

use super::document::{Node, Value};
use super::fields::Fields;
use super::report::Report;
use super::value::{self, Parsed};
use crate::model::{PrunePolicy, PruneRule};

const DAY: Duration = Duration::from_secs(86_400);

/// The key of the policy, and the keys in it.
const POLICY: &str = "DEFAULT_NAMESPACE_AUTOPRUNE_POLICY";
const KEYS: [&str; 4] = ["method", "value", "tag_pattern", "tag_pattern_matches"];

/// Bounds of a pattern, as those that the API takes.
const PATTERN_CHARACTERS: usize = 256;
const COMPILED_BYTES: usize = 1 << 20;

/// The policy for everybody, and how often policies are followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PruneConfig {
    /// Followed in every local repository, beside what namespaces and repositories have.
    pub policy: Option<PrunePolicy>,
    /// How often the queue is looked at for work that is due (Quay).
    pub poll: Duration,
    /// Most jobs begun within that time (Quay).
    pub batch: usize,
    /// How often a namespace's policies are followed at most (Quay). Whole minutes.
    pub least_interval: Duration,
    /// How often `policy` is followed (Quay).
    pub policy_interval: Duration,
}

impl Default for PruneConfig {
    fn default() -> Self {
        Self {
            policy: None,
            poll: Duration::from_secs(30),
            batch: 10,
            least_interval: Duration::from_secs(3_600),
            policy_interval: DAY,
        }
    }
}

impl PruneConfig {
    pub(super) fn read(fields: &Fields, report: &mut Report<'_>) -> Self {
        let default = Self::default();
        let mut seconds = |key: &str, most: Duration, default: Duration| {
            let least = Duration::from_secs(1);
            let parse = |node: &Node| match value::seconds(node, most)? {
                span if span < least => Err("it is at least 1 second".to_owned()),
                span => Ok(span),
            };
            fields.read(report, key, parse).unwrap_or(default)
        };
        let poll = seconds("AUTO_PRUNING_POLL_PERIOD", DAY, default.poll);
        let (key, year) = ("AUTO_PRUNING_DEFAULT_POLICY_POLL_PERIOD", 365 * DAY);
        let policy_interval = seconds(key, year, default.policy_interval);
        let mut number = |key: &str, most: u64| {
            let parse = |node: &Node| value::integer(node, 1, most);
            fields.read(report, key, parse)
        };
        let batch = number("AUTO_PRUNING_BATCH_SIZE", 1_000);
        let batch = batch.and_then(|batch| usize::try_from(batch).ok());
        let minutes = number("AUTOPRUNE_TASK_RUN_MINIMUM_INTERVAL_MINUTES", 525_600);
        let least_interval = minutes.map(|minutes| Duration::from_secs(60 * minutes));
        Self {
            policy: policy(fields, report),
            poll,
            batch: batch.unwrap_or(default.batch),
            least_interval: least_interval.unwrap_or(default.least_interval),
            policy_interval,
        }
    }
}

/// The policy, if one is given and right in all its parts.
fn policy(fields: &Fields, report: &mut Report<'_>) -> Option<PrunePolicy> {
    let node = fields.get(POLICY)?;
    let given = Fields::open(node, POLICY, &KEYS, report)?;
    let method = given.require(report, "method", method)?;
    let rule = given.require(report, "value", |node| rule(method, node))?;
    let tag_pattern = match given.get("tag_pattern") {
        Some(_) => Some(given.read(report, "tag_pattern", pattern)?),
        None => None,
    };
    let matches = given.read(report, "tag_pattern_matches", value::switch);
    Some(PrunePolicy {
        rule,
        tag_pattern,
        matches: matches.unwrap_or(true),
    })
}

#[derive(Clone, Copy)]
enum Method {
    NumberOfTags,
    CreationDate,
    LastPulled,
}

fn method(node: &Node) -> Parsed<Method> {
    match value::text(node)?.as_str() {
        "number_of_tags" => Ok(Method::NumberOfTags),
        "creation_date" => Ok(Method::CreationDate),
        "last_pulled" => Ok(Method::LastPulled),
        other => Err(format!(
            "{other:?} is no method; write number_of_tags, creation_date or last_pulled"
        )),
    }
}

fn rule(method: Method, node: &Node) -> Parsed<PruneRule> {
    let age = || match &node.value {
        Value::Integer(number) => Err(format!("{number} has no unit; write {number}d for days")),
        _ => value::parsed(node),
    };
    match method {
        Method::NumberOfTags => value::integer(node, 1, u64::MAX >> 1).map(PruneRule::NumberOfTags),
        Method::CreationDate => age().map(PruneRule::CreationDate),
        Method::LastPulled => age().map(PruneRule::LastPulled),
    }
}

/// A pattern that can be followed (`registry` compiles it again).
fn pattern(node: &Node) -> Parsed<String> {
    let text = value::text(node)?;
    if !(1..=PATTERN_CHARACTERS).contains(&text.chars().count()) {
        return Err(format!("it has 1 to {PATTERN_CHARACTERS} characters"));
    }
    let compiled = regex::RegexBuilder::new(&text)
        .size_limit(COMPILED_BYTES)
        .build();
    compiled.map_err(|error| {
        let told = error.to_string();
        let last = told.lines().last().unwrap_or("it cannot be read");
        format!(
            "{text:?} is no regular expression: {}",
            last.trim_start_matches("error: ")
        )
    })?;
    Ok(text)
}
