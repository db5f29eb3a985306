//! `GET /api/v1/repository/{repository}`: one repository, with its tags and its days.

use std::collections::BTreeMap;

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::context::Context;
use super::super::json;
use super::super::rows::Answer;
use super::super::view::{day, rfc2822};
use crate::model::{NamespaceKind, RepositoryState, Timestamp, Visibility};
use crate::registry::TagLine;

/// Tags that are told (Quay).
const TAGS: usize = 500;

/// Days that are told (Quay: three months).
const DAYS: i32 = 91;

const DAY_MILLIS: i64 = 86_400_000;

#[derive(Serialize, ToSchema)]
pub(super) struct RepositoryView {
    namespace: String,
    name: String,
    kind: &'static str,
    description: Option<String>,
    is_public: bool,
    is_organization: bool,
    is_starred: bool,
    status_token: &'static str,
    trust_enabled: bool,
    tag_expiration_s: u64,
    is_free_account: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, RepositoryTagView>>,
    can_write: bool,
    can_admin: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Vec<DayView>>,
}

/// A tag as its repository shows it.
#[derive(Serialize, ToSchema)]
struct RepositoryTagView {
    name: String,
    size: Option<u64>,
    last_modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    manifest_digest: String,
}

/// How many acts there were on a day.
#[derive(Serialize, ToSchema)]
struct DayView {
    date: String,
    count: u64,
}

pub(super) async fn show(context: Context) -> Answer {
    let subject = context.repository();
    let (registry, record) = (&context.state.registry, &subject.record);
    let is_starred = match context.caller.user() {
        Some((user, _)) => registry.is_starred(user, subject.repository).await?,
        None => false,
    };
    let tags = match context.flag("includeTags", true) {
        true => {
            let lines = registry.live_tags(subject.repository, TAGS).await?;
            Some(lines.into_iter().map(tag).collect())
        }
        false => None,
    };
    let stats = match context.flag("includeStats", false) {
        true => {
            let acts = registry.acts_by_day(subject.repository, DAYS).await?;
            Some(days(&acts, context.now()))
        }
        false => None,
    };
    let owner = &subject.namespace_record;
    let is_normal = record.state == RepositoryState::Normal && owner.is_local();
    let time_machine = registry.time_machine(subject.repository).await?;
    let view = RepositoryView {
        namespace: owner.name.to_string(),
        name: record.name.to_string(),
        kind: "image",
        description: record.description.clone(),
        is_public: match owner.is_local() {
            true => record.visibility == Visibility::Public,
            false => owner.anonymous_pull,
        },
        is_organization: !matches!(owner.kind, NamespaceKind::User(_)),
        is_starred,
        status_token: "",
        trust_enabled: record.trusted,
        tag_expiration_s: time_machine.as_secs(),
        is_free_account: true,
        state: record.state.as_str(),
        tags,
        can_write: is_normal && subject.permits.may_write(),
        can_admin: subject.permits.may_admin(),
        stats,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

fn tag(line: TagLine) -> (String, RepositoryTagView) {
    let name = line.tag.to_string();
    let view = RepositoryTagView {
        name: name.clone(),
        size: line.layers_bytes,
        last_modified: rfc2822(line.start),
        expiration: line.end.map(rfc2822),
        manifest_digest: line.digest.to_string(),
    };
    (name, view)
}

/// Days with acts, then a line of zero for every other day of the last three months (Quay).
fn days(acts: &[(i32, u64)], now: Timestamp) -> Vec<DayView> {
    let today = i32::try_from(now.as_millis().div_euclid(DAY_MILLIS)).unwrap_or(i32::MAX);
    let quiet = (today - DAYS + 1..=today).filter(|day| !acts.iter().any(|(of, _)| of == day));
    let all = acts.iter().copied().chain(quiet.map(|day| (day, 0)));
    all.map(|(number, count)| DayView {
        date: day(Timestamp::from_millis(i64::from(number) * DAY_MILLIS)),
        count,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_three_months_is_told_once() {
        let now = Timestamp::from_millis(19_900 * DAY_MILLIS + 5);
        let told = days(&[(19_850, 3), (19_900, 1)], now);
        assert_eq!(told.len(), 91);
        let first: Vec<_> = told
            .iter()
            .take(3)
            .map(|day| (day.date.as_str(), day.count))
            .collect();
        assert_eq!(
            first,
            [("2024-05-07", 3), ("2024-06-26", 1), ("2024-03-28", 0)]
        );
    }
}
