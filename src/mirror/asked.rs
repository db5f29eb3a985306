//! A wish for a mirror: whether it is right in itself, what it makes of what there is, how it is told.

use serde_json::{Value, json};

use super::fault::SettingsError;
use super::filter::Chooser;
use super::schedule::Calendar;
use crate::model::{
    BandwidthWindow, MirrorMore, MirrorRecord, MirrorSource, MirrorWish, Sealed, TagChoice,
    check_mirror_account, check_mirror_architectures, check_mirror_deadline, check_mirror_globs,
    check_mirror_interval, check_mirror_platforms, check_mirror_reference, check_mirror_windows,
    show_minutes,
};

/// A wish that is right in itself, its secrets sealed.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) wish: MirrorWish,
    pub(super) username: Option<Option<Sealed>>,
    pub(super) password: Option<Option<Sealed>>,
}

impl Asked {
    /// Changes what there is as far as something is wanted; the robot is the caller's to find.
    pub(super) fn apply(&self, record: &mut MirrorRecord) {
        let wish = &self.wish;
        take(&mut record.enabled, wish.enabled.as_ref());
        self.apply_to_source(&mut record.source);
        take(&mut record.interval_s, wish.interval_s.as_ref());
        take(&mut record.deadline_s, wish.deadline_s.as_ref());
        take(&mut record.architectures, wish.architectures.as_ref());
        take(&mut record.tags.globs, wish.globs.as_ref());
        wish.more.apply(&mut record.tags, &mut record.options);
    }

    fn apply_to_source(&self, source: &mut MirrorSource) {
        let wish = &self.wish;
        take(&mut source.reference, wish.reference.as_ref());
        take(&mut source.username, self.username.as_ref());
        if self.username == Some(None) {
            // Without a name it opens nothing.
            source.password = None;
        }
        take(&mut source.password, self.password.as_ref());
        take(&mut source.verify_tls, wish.verify_tls.as_ref());
        take(&mut source.unsigned_images, wish.unsigned_images.as_ref());
        take(&mut source.http_proxy, wish.http_proxy.as_ref());
        take(&mut source.https_proxy, wish.https_proxy.as_ref());
        take(&mut source.no_proxy, wish.no_proxy.as_ref());
    }

    /// The source as it is to be.
    pub(super) fn source(&self, before: Option<&MirrorSource>) -> MirrorSource {
        let now = crate::model::Timestamp::default();
        let mut source = before
            .cloned()
            .unwrap_or_else(|| super::settings::new_record(now).source);
        self.apply_to_source(&mut source);
        source
    }

    /// Whether another host is to be called, or by another way.
    pub(super) const fn moves_source(&self) -> bool {
        let wish = &self.wish;
        wish.reference.is_some()
            || wish.http_proxy.is_some()
            || wish.https_proxy.is_some()
            || wish.no_proxy.is_some()
    }

    /// Whether the next run may be due at another time.
    pub(super) const fn moves_schedule(&self) -> bool {
        self.wish.start.is_some() || self.wish.more.cron.is_some()
    }

    /// What is changed and to what, as the usage log tells it (Quay: a line for whatever is given).
    pub(super) fn told(&self) -> Vec<(&'static str, Value)> {
        let wish = &self.wish;
        let mut told = Told::default();
        told.put("is_enabled", wish.enabled.map(Value::from));
        told.put(
            "external_reference",
            wish.reference.as_deref().map(Value::from),
        );
        let robot = wish.robot.as_ref().map(|robot| robot.to_string().into());
        told.put("robot_username", robot);
        let start = wish.start.map(|start| start.http_date().into());
        told.put("sync_start_date", start);
        told.put("sync_interval", wish.interval_s.map(Value::from));
        told.put("skopeo_timeout_interval", wish.deadline_s.map(Value::from));
        told.put(
            "architecture_filter",
            wish.architectures.as_ref().map(|it| json!(it)),
        );
        let username = wish.username.as_ref();
        let username = username.map(|name| json!(name.as_ref().map(|it| it.expose())));
        told.put("external_registry_username", username);
        let password = wish.password.as_ref();
        let password = password.map(|given| json!(given.as_ref().map(|_| "********")));
        told.put("external_registry_password", password);
        told.put("verify_tls", wish.verify_tls.map(Value::from));
        told.put("unsigned_images", wish.unsigned_images.map(Value::from));
        told.put("http_proxy", wish.http_proxy.as_ref().map(|it| json!(it)));
        told.put("https_proxy", wish.https_proxy.as_ref().map(|it| json!(it)));
        told.put("no_proxy", wish.no_proxy.as_ref().map(|it| json!(it)));
        told.put("mirror_rule", wish.globs.as_ref().map(|it| json!(it)));
        told.put_more(&wish.more);
        told.0
    }
}

/// What is told of a change.
#[derive(Default)]
struct Told(Vec<(&'static str, Value)>);

impl Told {
    fn put(&mut self, changed: &'static str, to: Option<Value>) {
        self.0.extend(to.map(|to| (changed, to)));
    }

    /// The part that Quay's mirrors do not have.
    fn put_more(&mut self, more: &MirrorMore) {
        self.put("exclude", more.exclude.as_ref().map(|it| json!(it)));
        self.put("semver", more.semver.as_ref().map(|it| json!(it)));
        self.put("newest", more.newest.as_ref().map(|it| json!(it)));
        self.put("cron", more.cron.as_ref().map(|it| json!(it)));
        self.put("deletion", more.deletion.map(|it| it.as_str().into()));
        let cap = more.deletion_cap_percent.map(Value::from);
        self.put("deletion_cap_percent", cap);
        let windows = more.bandwidth.as_ref();
        let windows = windows.map(|it| it.iter().map(show_window).collect());
        self.put("bandwidth", windows);
        self.put("platforms", more.platforms.as_ref().map(|it| json!(it)));
        self.put("referrers", more.referrers.map(Value::from));
    }
}

fn show_window(window: &BandwidthWindow) -> Value {
    json!({
        "from": show_minutes(window.from),
        "until": show_minutes(window.until),
        "bytes_per_second": window.bytes_per_second,
    })
}

/// Whether a wish is right in itself.
///
/// # Errors
/// [`SettingsError::Invalid`], saying what is wrong.
pub(super) fn check(wish: &MirrorWish) -> Result<(), SettingsError> {
    let result = check_parts(wish).and_then(|()| check_more(&wish.more));
    result.map_err(SettingsError::Invalid)?;
    match (&wish.username, &wish.password) {
        // Quay's words, both.
        (Some(None), Some(Some(_))) => Err(invalid(
            "Unable to delete username while setting a password.",
        )),
        (None, Some(_)) => Err(invalid(
            "Unable to set a new password without also specifying a username.",
        )),
        _ => Ok(()),
    }
}

fn check_parts(wish: &MirrorWish) -> Result<(), String> {
    checked(wish.reference.as_deref(), check_mirror_reference)?;
    for half in [&wish.username, &wish.password] {
        checked(half.as_ref().and_then(Option::as_ref), check_mirror_account)?;
    }
    for (name, proxy) in [
        ("http_proxy", &wish.http_proxy),
        ("https_proxy", &wish.https_proxy),
    ] {
        if let Some(Some(proxy)) = proxy {
            check_proxy(proxy).map_err(|reason| format!("{name}: {reason}"))?;
        }
    }
    checked(wish.interval_s, check_mirror_interval)?;
    checked(wish.deadline_s, check_mirror_deadline)?;
    checked(wish.globs.as_deref(), |globs| match globs.is_empty() {
        true => Err("rule_value has at least one pattern".to_owned()),
        false => check_mirror_globs(globs),
    })?;
    checked(wish.architectures.as_deref(), |architectures| {
        check_mirror_architectures(architectures)
            .map_err(|reason| format!("architecture_filter: {reason}"))
    })
}

fn check_more(more: &MirrorMore) -> Result<(), String> {
    let at = |key: &'static str| move |reason: String| format!("entrepot.{key}: {reason}");
    checked(more.exclude.as_deref(), check_mirror_globs).map_err(at("exclude"))?;
    checked(more.semver.as_ref().and_then(Option::as_deref), |range| {
        check_range(range)
    })
    .map_err(at("semver"))?;
    if more.newest == Some(Some(0)) {
        return Err("entrepot.newest: it is at least 1, or null for all".to_owned());
    }
    checked(more.cron.as_ref().and_then(Option::as_deref), |cron| {
        let calendar = Calendar::new(cron).map(drop);
        calendar.map_err(|error| error.to_string())
    })
    .map_err(at("cron"))?;
    if more.deletion_cap_percent.is_some_and(|cap| cap > 100) {
        return Err("entrepot.deletion_cap_percent: it is 0 to 100".to_owned());
    }
    checked(more.bandwidth.as_deref(), check_mirror_windows).map_err(at("bandwidth"))?;
    checked(more.platforms.as_deref(), check_mirror_platforms).map_err(at("platforms"))
}

fn check_range(range: &str) -> Result<(), String> {
    let choice = TagChoice {
        semver: Some(range.to_owned()),
        ..TagChoice::default()
    };
    let chooser = Chooser::new(&choice).map(drop);
    chooser.map_err(|error| error.to_string())
}

fn checked<T>(given: Option<T>, check: impl FnOnce(T) -> Result<(), String>) -> Result<(), String> {
    given.map_or(Ok(()), check)
}

/// A proxy is a URL of the web.
pub(super) fn check_proxy(text: &str) -> Result<(), String> {
    let url: Result<url::Url, _> = text.parse();
    match url {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        // It may hold an account, and is not shown.
        _ => Err("it is no http:// or https:// URL".to_owned()),
    }
}

pub(super) fn no_robot() -> SettingsError {
    invalid("'robot_username' is a required property")
}

pub(super) fn invalid(text: &str) -> SettingsError {
    SettingsError::Invalid(text.to_owned())
}

/// Puts what is wanted in the place of what there is.
fn take<T: Clone>(place: &mut T, wanted: Option<&T>) {
    if let Some(wanted) = wanted {
        place.clone_from(wanted);
    }
}
