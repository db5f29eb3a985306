//! Which value counts for each key: flags, then environment, then credentials, then the file.
//!
//! Called by `Config::load`. Names are checked here, once: after this every entry is a key of the
//! table or a feature switch. Values are still nodes; the section files read them.

use std::path::Path;

use super::document::{Document, Entry, Node, Place, Value};
use super::environment::Environment;
use super::features::FEATURES;
use super::fields::suggestion;
use super::keys::{self, Form};
use super::quay_keys;
use super::report::Report;
use super::source::Flags;
use super::value;

/// What a key of the outside names.
enum Named {
    /// A key of ours, or a feature switch.
    Key(Form),
    /// `<KEY>_FILE`
    File(String),
    /// A key of Quay's without effect here.
    Quay,
    /// A key that was of use once, with what is to be said about it.
    Retired(&'static str),
    Nothing,
}

/// The settings that count, by key, with `PROXY_CACHES` and its like as they stand.
pub(super) fn gather(
    document: &Document,
    environment: &Environment,
    flags: &Flags,
    report: &mut Report<'_>,
) -> Vec<Entry> {
    let mut settings = Vec::new();
    gather_file(document, &mut settings, report);
    gather_credentials(environment, &mut settings, report);
    gather_environment(environment, &mut settings, report);
    gather_flags(flags, &mut settings);
    settings
}

fn name_of(key: &str) -> Named {
    if let Some(row) = keys::find(key) {
        return Named::Key(row.form);
    }
    if FEATURES.iter().any(|feature| feature.key == key) {
        return Named::Key(Form::Switch);
    }
    if let Some((_, text)) = RETIRED.iter().find(|(name, _)| *name == key) {
        return Named::Retired(text);
    }
    if quay_keys::is_known(key) {
        return Named::Quay;
    }
    match key.strip_suffix("_FILE").map(|key| (key, name_of(key))) {
        Some((key, Named::Key(form))) if form.has_file() => Named::File(key.to_owned()),
        Some((_, Named::Quay)) => Named::Quay,
        Some((_, Named::Retired(text))) => Named::Retired(text),
        _ => Named::Nothing,
    }
}

fn gather_file(document: &Document, settings: &mut Vec<Entry>, report: &mut Report<'_>) {
    let mut seen: Vec<&Entry> = Vec::new();
    for entry in &document.entries {
        if let Some(first) = seen.iter().find(|other| other.key == entry.key) {
            let line = report.line(first.place);
            let reason = format!("given twice, first at {line}; one of them must go");
            report.mistake(entry.place, &entry.key, reason);
            continue;
        }
        seen.push(entry);
        match name_of(&entry.key) {
            Named::Key(_) => put(settings, entry.clone(), report),
            Named::File(key) => {
                let read = |node: &Node| value::content(Path::new(&value::text(node)?));
                match read(&entry.value) {
                    Ok(text) => put(settings, text_entry(&key, text, entry.place), report),
                    Err(reason) => report.mistake(entry.value.place, &entry.key, reason),
                }
            }
            Named::Quay => report.warn(entry.place, &entry.key, QUAY),
            Named::Retired(text) => report.warn(entry.place, &entry.key, text),
            Named::Nothing => report.mistake(entry.place, &entry.key, unknown(&entry.key)),
        }
    }
}

/// Credentials of systemd are files named like keys.
fn gather_credentials(
    environment: &Environment,
    settings: &mut Vec<Entry>,
    report: &mut Report<'_>,
) {
    let Some(folder) = environment.credentials() else {
        return;
    };
    let flat = keys::KEYS.iter().filter(|key| key.form.has_file());
    for key in flat.map(|key| key.name) {
        let path = folder.join(key);
        if !path.exists() {
            continue;
        }
        match value::content(&path) {
            Ok(text) => replace(settings, text_entry(key, text, Place::Credential)),
            Err(reason) => report.mistake(Place::Credential, key, reason),
        }
    }
}

fn gather_environment(
    environment: &Environment,
    settings: &mut Vec<Entry>,
    report: &mut Report<'_>,
) {
    let place = Place::Environment;
    for name in environment.unreadable() {
        report.mistake(place, name, "is not UTF-8 text");
    }
    let mut given = Vec::new();
    for (name, text) in environment.settings() {
        match name_of(name) {
            Named::Key(form) if form.is_flat() => {
                put(&mut given, text_entry(name, text.to_owned(), place), report);
            }
            Named::Key(form) => {
                let form = form.describe();
                report.mistake(
                    place,
                    name,
                    format!("is a {form} that only the file can give"),
                );
            }
            Named::File(key) => match value::content(Path::new(text)) {
                Ok(text) => put(&mut given, text_entry(&key, text, place), report),
                Err(reason) => report.mistake(place, name, reason),
            },
            Named::Quay => report.warn(place, name, QUAY),
            Named::Retired(text) => report.warn(place, name, text),
            Named::Nothing => report.warn(place, name, format!("is ignored: it {}", unknown(name))),
        }
    }
    given.into_iter().for_each(|entry| replace(settings, entry));
}

fn gather_flags(flags: &Flags, settings: &mut Vec<Entry>) {
    let place = Place::CommandLine;
    let node = |value| Node { place, value };
    if !flags.listen.is_empty() {
        let texts = flags.listen.iter().cloned();
        let items = texts.map(|text| node(Value::Text(text))).collect();
        let value = node(Value::List(items));
        let key = "LISTEN".to_owned();
        replace(settings, Entry { key, place, value });
    }
    if let Some(folder) = &flags.data_dir {
        let text = folder.display().to_string();
        replace(settings, text_entry("DATA_DIR", text, place));
    }
}

/// Keys of Quay that were needed once for artifacts other than images (SC-193, SC-194).
const RETIRED: [(&str, &str); 2] = [
    (
        "FEATURE_HELM_OCI_SUPPORT",
        "is deprecated and has no effect: charts are accepted like every artifact; see \
         FEATURE_GENERAL_OCI_SUPPORT and ALLOWED_OCI_ARTIFACT_TYPES",
    ),
    (
        "IGNORE_UNKNOWN_MEDIATYPES",
        "is deprecated and has no effect: media types that are not known are accepted; see \
         ALLOWED_OCI_ARTIFACT_TYPES",
    ),
];
const QUAY: &str = "is a setting of Quay that has no effect here";

fn unknown(key: &str) -> String {
    if let Some(row) = key.strip_suffix("_FILE").and_then(keys::find) {
        let name = row.name;
        return match row.form {
            Form::Path => format!("is not a key; {name} is the path itself"),
            form => {
                let form = form.describe();
                format!("is not a key; {name} is a {form} and cannot come from a file of its own")
            }
        };
    }
    let ours = keys::KEYS.iter().map(|key| key.name);
    let features = FEATURES.iter().map(|feature| feature.key);
    format!("is not a key{}", suggestion(key, ours.chain(features)))
}

fn text_entry(key: &str, text: String, place: Place) -> Entry {
    let value = Value::Text(text);
    Entry {
        key: key.to_owned(),
        place,
        value: Node { place, value },
    }
}

/// Adds a setting; one that came before from the same source, as `<KEY>` or `<KEY>_FILE`, is a mistake.
fn put(settings: &mut Vec<Entry>, entry: Entry, report: &mut Report<'_>) {
    match settings.iter().any(|other| other.key == entry.key) {
        true => {
            let reason = format!("{0} and {0}_FILE are both given; keep one", entry.key);
            report.mistake(entry.place, &entry.key, reason);
        }
        false => settings.push(entry),
    }
}

/// Adds a setting that wins over those of sources before.
fn replace(settings: &mut Vec<Entry>, entry: Entry) {
    settings.retain(|other| other.key != entry.key);
    settings.push(entry);
}
