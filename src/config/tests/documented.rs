//! The reference file and the documentation say what the tables say.

use super::*;

const REFERENCE: &str = include_str!("../../../config/entrepot.yaml");
const MANUAL: &str = include_str!("../../../docs/configuration.md");

/// The file of all keys changes nothing.
#[test]
fn the_reference_file_holds_the_defaults() {
    let (mut config, warnings) = load(REFERENCE).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(warnings, []);
    config.given.clear();
    assert_eq!(config, good(""));
}

#[test]
fn every_key_stands_in_the_reference_file_with_its_default() {
    let has = |line: &str| REFERENCE.lines().any(|other| other == line);
    for key in KEYS {
        let name = key.name;
        let stands = match key.default.starts_with('(') {
            true => REFERENCE.lines().any(|line| {
                line.trim_start_matches("# ")
                    .starts_with(&format!("{name}:"))
            }),
            false => has(&format!("{name}: {}", key.default)),
        };
        assert!(stands, "{name}");
        assert!(REFERENCE.contains(key.meaning.split(' ').next().unwrap_or_default()));
    }
    for feature in FEATURES {
        assert!(
            has(&format!("{}: {}", feature.key, feature.default)),
            "{}",
            feature.key
        );
        assert!(has(&format!("# {}", feature.meaning)), "{}", feature.key);
    }
}

#[test]
fn every_key_stands_in_the_manual_as_the_table_has_it() {
    let has = |line: &str| MANUAL.lines().any(|other| other == line);
    for key in KEYS {
        let default = match key.default.strip_prefix('(') {
            Some(words) => words.trim_end_matches(')').to_owned(),
            None => format!("`{}`", key.default),
        };
        let reload = match key.reload {
            Reload::Live => "live",
            Reload::Restart => "restart",
        };
        let (name, form, meaning) = (key.name, key.form.describe(), key.meaning);
        let row = format!("| `{name}` | {form} | {default} | {reload} | {meaning} |");
        assert!(has(&row), "{row}");
    }
    for feature in FEATURES {
        let row = format!(
            "| `{}` | `{}` | {} |",
            feature.key, feature.default, feature.meaning
        );
        assert!(has(&row), "{row}");
    }
}

#[test]
fn every_key_of_an_entry_stands_in_both() {
    let caches = upstreams::KEYS.iter();
    let mirrors = registry_mirrors::KEYS
        .iter()
        .chain(super::super::mirrors::ALL_KEYS.iter().copied().flatten());
    for key in caches.chain(mirrors) {
        assert!(MANUAL.contains(&format!("\n| `{key}` |")), "{key}");
        assert!(REFERENCE.contains(key), "{key}");
    }
}

/// No row of the manual is of a key that does not exist.
#[test]
fn the_manual_names_no_key_that_is_not_there() {
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `"));
    for name in rows.filter_map(|row| row.split('`').next()) {
        let top = KEYS.iter().any(|key| key.name == name);
        let feature = FEATURES.iter().any(|feature| feature.key == name);
        assert!(top || feature || upstreams::is_entry_key(name), "{name}");
    }
}

/// The guide to security names no key that is not there, and its examples are sound but for their files.
#[test]
fn the_guide_to_security_names_keys_that_are_there() {
    const GUIDE: &str = include_str!("../../../docs/security.md");
    let words = GUIDE.split('`').skip(1).step_by(2);
    let names = words.filter_map(|word| word.split([':', ' ']).next());
    let is_name =
        |name: &&str| name.len() > 3 && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    for name in names.filter(is_name) {
        let known = KEYS.iter().any(|key| key.name == name);
        assert!(known || name == "LISTEN_FDS", "{name}");
    }
    for block in GUIDE.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap_or_default();
        for mistake in load(yaml).err().into_iter().flatten() {
            let text = mistake.to_string();
            assert!(
                text.contains("cannot read") || text.contains("without"),
                "{text}"
            );
        }
    }
}
