//! What Quay's mirrors do not have, in one object of bodies and views.
//!
//! It is shown only where something of it differs from the defaults, so that those who know Quay only see Quay's.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::error::ApiError;
use super::super::loose;
use super::body::given;
use super::refused;
use crate::model::{
    BandwidthWindow, MirrorMore, MirrorOptions, MirrorRecord, TagChoice, parse_minutes, parse_rate,
    show_minutes,
};

/// What Quay's mirrors do not have; what is left out stays, or is the default.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OursBody {
    /// Patterns of tags that are not copied.
    exclude: Option<Vec<String>>,
    /// A range of semantic versions, such as `>=1.2, <2`; `null` for none.
    #[serde(default, deserialize_with = "loose::nullable")]
    #[schema(value_type = Option<String>)]
    semver: Option<Option<String>>,
    /// How many tags, by version, then by name; `null` for all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    newest: Option<Option<Value>>,
    /// When runs begin, in place of the interval: five fields, UTC; `null` for the interval.
    #[serde(default, deserialize_with = "loose::nullable")]
    #[schema(value_type = Option<String>)]
    cron: Option<Option<String>>,
    /// What becomes of a tag that is chosen upstream no more: keep, archive or delete.
    deletion: Option<String>,
    /// Most tags that one run ends, in percent of those held.
    #[serde(default, deserialize_with = "loose::number")]
    #[schema(value_type = Option<u64>)]
    deletion_cap_percent: Option<u64>,
    bandwidth: Option<Vec<WindowBody>>,
    /// `os/architecture` or `os/architecture/variant`; none for all.
    platforms: Option<Vec<String>>,
    /// Whether signatures and attestations are copied too.
    #[serde(default, deserialize_with = "loose::truth")]
    referrers: Option<bool>,
}

/// When no more than so many bytes a second are taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowBody {
    /// `22:00`, UTC
    from: String,
    /// `06:00`, UTC
    until: String,
    /// A number, or a text such as `10 MiB`.
    #[schema(value_type = u64)]
    bytes_per_second: Value,
}

#[derive(Serialize, ToSchema)]
pub(super) struct OursView {
    exclude: Vec<String>,
    semver: Option<String>,
    newest: Option<u32>,
    cron: Option<String>,
    deletion: &'static str,
    deletion_cap_percent: u8,
    bandwidth: Vec<WindowView>,
    platforms: Vec<String>,
    referrers: bool,
}

#[derive(Serialize, ToSchema)]
struct WindowView {
    from: String,
    until: String,
    bytes_per_second: u64,
}

impl OursBody {
    /// What it wants.
    pub(super) fn more(self) -> Result<MirrorMore, ApiError> {
        let windows = self.bandwidth.map(|windows| {
            let windows = windows.into_iter();
            windows
                .map(WindowBody::window)
                .collect::<Result<Vec<_>, _>>()
        });
        Ok(MirrorMore {
            exclude: self.exclude,
            semver: self.semver.map(super::body::filled),
            newest: self.newest.map(newest).transpose()?,
            cron: self.cron.map(super::body::filled),
            deletion: self
                .deletion
                .map(|text| parsed("deletion", text.parse()))
                .transpose()?,
            deletion_cap_percent: self.deletion_cap_percent.map(percent).transpose()?,
            bandwidth: windows.transpose()?,
            platforms: self.platforms,
            referrers: self.referrers,
        })
    }
}

impl WindowBody {
    fn window(self) -> Result<BandwidthWindow, ApiError> {
        let minutes = |key, text: &str| {
            let parsed = parse_minutes(text);
            parsed.map_err(|reason| refused(format!("entrepot.bandwidth: {key}: {reason}")))
        };
        let rate = match &self.bytes_per_second {
            Value::String(text) => parse_rate(text),
            value => value
                .as_u64()
                .ok_or_else(|| format!("{value} is no number of bytes")),
        };
        let rate = rate
            .map_err(|reason| refused(format!("entrepot.bandwidth: bytes_per_second: {reason}")))?;
        Ok(BandwidthWindow {
            from: minutes("from", &self.from)?,
            until: minutes("until", &self.until)?,
            bytes_per_second: rate,
        })
    }
}

fn newest(value: Option<Value>) -> Result<Option<u32>, ApiError> {
    let number = match &value {
        None => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let wrong = || refused("entrepot.newest: it is a whole number, or null for all");
    number.map(Some).ok_or_else(wrong)
}

fn percent(number: u64) -> Result<u8, ApiError> {
    let small = u8::try_from(number).ok().filter(|percent| *percent <= 100);
    small.ok_or_else(|| refused("entrepot.deletion_cap_percent: it is 0 to 100"))
}

fn parsed<T>(key: &str, parsed: Result<T, String>) -> Result<T, ApiError> {
    parsed.map_err(|reason| refused(format!("entrepot.{key}: {reason}")))
}

/// What a mirror has beyond Quay's; `None` if that is what every mirror has.
pub(super) fn view(record: &MirrorRecord) -> Option<OursView> {
    let (tags, options) = (&record.tags, &record.options);
    let plain = TagChoice {
        globs: tags.globs.clone(),
        ..TagChoice::default()
    };
    if *tags == plain && *options == MirrorOptions::default() {
        return None;
    }
    let windows = options.bandwidth.iter().map(|window| WindowView {
        from: show_minutes(window.from),
        until: show_minutes(window.until),
        bytes_per_second: window.bytes_per_second,
    });
    Some(OursView {
        exclude: tags.exclude.clone(),
        semver: tags.semver.clone(),
        newest: tags.newest,
        cron: options.cron.clone(),
        deletion: options.deletion.as_str(),
        deletion_cap_percent: options.deletion_cap_percent,
        bandwidth: windows.collect(),
        platforms: options.platforms.clone(),
        referrers: options.referrers,
    })
}
