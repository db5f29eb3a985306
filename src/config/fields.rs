//! The keys of one mapping, taken one by one.
//!
//! Called by every section file. A key that is wrong is reported with its path and place, and reads
//! as absent, so that the rest is still checked.

use super::document::{Entry, Node, Place, Value};
use super::report::Report;
use super::value::Parsed;

/// The keys of a mapping and what they are called from outside.
pub(super) struct Fields {
    /// `PROXY_CACHES[2].`, or nothing at the top.
    prefix: String,
    /// Where the mapping stands.
    pub(super) place: Place,
    entries: Vec<Entry>,
}

impl Fields {
    /// The top level: settings that have been merged and whose names have been checked.
    pub(super) const fn top(entries: Vec<Entry>) -> Self {
        Self {
            prefix: String::new(),
            place: Place::BuiltIn,
            entries,
        }
    }

    /// A mapping inside the file; keys not in `known` and keys given twice are reported.
    pub(super) fn open(
        node: &Node,
        path: &str,
        known: &[&'static str],
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let kind = node.value.kind();
            let keys = known.join(", ");
            let reason = format!("expected a mapping with the keys {keys}, found {kind}");
            report.mistake(node.place, path, reason);
            return None;
        };
        let mut kept: Vec<Entry> = Vec::new();
        for entry in entries {
            let key = format!("{path}.{}", entry.key);
            let first = kept.iter().find(|other| other.key == entry.key);
            if !known.contains(&entry.key.as_str()) {
                let hint = suggestion(&entry.key, known.iter().copied());
                report.mistake(entry.place, &key, format!("is not a key here{hint}"));
            } else if let Some(first) = first {
                let line = report.line(first.place);
                report.mistake(entry.place, &key, format!("given twice, first at {line}"));
            } else {
                kept.push(entry.clone());
            }
        }
        Some(Self {
            prefix: format!("{path}."),
            place: node.place,
            entries: kept,
        })
    }

    /// The value of a key, or `None` if it is absent.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// The whole path of a key.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Where a key stands, or else its mapping.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place, |node| node.place)
    }

    /// The value of a key through `parse`; `None` if it is absent or wrong.
    pub(super) fn read<T>(
        &self,
        report: &mut Report<'_>,
        key: &str,
        parse: impl FnOnce(&Node) -> Parsed<T>,
    ) -> Option<T> {
        let node = self.get(key)?;
        read_node(node, &self.path(key), report, parse)
    }

    /// The same for a key that must be there.
    pub(super) fn require<T>(
        &self,
        report: &mut Report<'_>,
        key: &str,
        parse: impl FnOnce(&Node) -> Parsed<T>,
    ) -> Option<T> {
        if self.get(key).is_none() {
            let example = match key {
                "organization" => "; give the organisation's name",
                "upstream" => "; give a host such as docker.io",
                _ => "",
            };
            report.mistake(self.place, &self.path(key), format!("is missing{example}"));
        }
        self.read(report, key, parse)
    }

    /// The items of a list with their paths; one value stands for a list of one.
    ///
    /// A text of the environment or the command line is split at its commas.
    pub(super) fn items(&self, report: &mut Report<'_>, key: &str) -> Option<Vec<(String, Node)>> {
        let node = self.get(key)?;
        let path = self.path(key);
        let items = match &node.value {
            Value::List(items) => items.clone(),
            Value::Text(text) if !matches!(node.place, Place::Document { .. }) => {
                split_commas(text, node.place)
            }
            Value::Null => {
                report.mistake(node.place, &path, NO_VALUE);
                return None;
            }
            Value::Map(_) => {
                let reason = "expected a list, found a mapping; begin its entries with '- '";
                report.mistake(node.place, &path, reason);
                return None;
            }
            _ => return Some(vec![(path, node.clone())]),
        };
        let items = items.into_iter().enumerate();
        Some(
            items
                .map(|(index, item)| (format!("{path}[{index}]"), item))
                .collect(),
        )
    }

    /// The items of a list through `parse`, without those that are wrong.
    pub(super) fn list<T>(
        &self,
        report: &mut Report<'_>,
        key: &str,
        mut parse: impl FnMut(&Node) -> Parsed<T>,
    ) -> Option<Vec<T>> {
        let items = self.items(report, key)?;
        Some(
            items
                .iter()
                .filter_map(|(path, item)| read_node(item, path, report, &mut parse))
                .collect(),
        )
    }
}

const NO_VALUE: &str = "has no value; leave the line out for the default";

fn read_node<T>(
    node: &Node,
    path: &str,
    report: &mut Report<'_>,
    parse: impl FnOnce(&Node) -> Parsed<T>,
) -> Option<T> {
    let parsed = match node.value {
        Value::Null => Err(NO_VALUE.to_owned()),
        _ => parse(node),
    };
    parsed
        .map_err(|reason| report.mistake(node.place, path, reason))
        .ok()
}

fn split_commas(text: &str, place: Place) -> Vec<Node> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| Node {
            place,
            value: Value::Text(item.to_owned()),
        })
        .collect()
}

/// `; did you mean X?` for the nearest of the known words, or nothing if none is near.
pub(super) fn suggestion<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let wanted = found.to_ascii_lowercase().replace('-', "_");
    let score = |word: &str| strsim::jaro_winkler(&wanted, &word.to_ascii_lowercase());
    let nearest = known
        .into_iter()
        .map(|word| (score(word), word))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((score, word)) if score > 0.75 => format!("; did you mean {word}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_if_it_is_near() {
        let known = ["quota", "upstream", "password_file"];
        assert!(suggestion("Quotas", known).contains("quota"));
        assert!(suggestion("upstream_registry", known).contains("upstream"));
        assert!(suggestion("password-file", known).contains("password_file"));
        assert_eq!(suggestion("zzz", known), "");
    }
}
