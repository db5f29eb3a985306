//! The shape of the text before YAML is asked: sections, tabs, lines that are not `KEY: value`.
//!
//! Called by `document`. Pure functions over lines; they never decide what a key means.

use super::document::Flaw;
use super::upstreams;

/// Rewrites lines of the form `KEY = value` as `KEY: value` and reports each of them.
///
/// Quay's manual prints switches in that form (`FEATURE_GENERAL_OCI_SUPPORT = false`). Rewritten,
/// the value is still checked, so that one run tells everything.
pub(super) fn mend_assignments(text: &str) -> (String, Vec<Flaw>) {
    let mut flaws = Vec::new();
    let mut mended = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let Some((indent, key, value)) = assignment(line) else {
            mended.push_str(line);
            continue;
        };
        let shown = match value.trim_end() {
            word @ ("true" | "false" | "True" | "False") => word,
            // It may be a secret.
            _ => "...",
        };
        flaws.push(Flaw {
            line: Some(index + 1),
            column: Some(indent.len() + 1),
            reason: format!("{key} = ... is not YAML; KEY: value is meant: write `{key}: {shown}`"),
        });
        mended.push_str(&format!("{indent}{key}: {value}"));
    }
    (mended, flaws)
}

/// The indentation, key and value of a line of the form `KEY = value`.
///
/// Indented lines count only if their key belongs to a cache or mirror: elsewhere they may be the
/// text of a block scalar.
fn assignment(line: &str) -> Option<(&str, &str, &str)> {
    let (left, value) = line.split_once('=')?;
    let key = left.trim_start_matches([' ', '-']);
    let indent = &left[..left.len() - key.len()];
    let key = key.trim_end();
    let is_key = if indent.is_empty() {
        let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        !key.is_empty() && key.bytes().all(letter)
    } else {
        upstreams::is_entry_key(key)
    };
    is_key.then(|| (indent, key, value.trim_start_matches(' ')))
}

/// The sections of a text, each with the number of lines before it.
pub(super) fn sections(text: &str) -> Vec<(usize, &str)> {
    let mut sections: Vec<(usize, usize)> = Vec::new();
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if starts_section(line) {
            sections.push((index, offset));
        }
        offset += line.len();
    }
    let ends = sections.iter().skip(1).map(|(_, start)| *start);
    let ends: Vec<usize> = ends.chain([text.len()]).collect();
    sections
        .into_iter()
        .zip(ends)
        .map(|((index, start), end)| (index, &text[start..end]))
        .collect()
}

/// Whether a line has something in its first column that is not the rest of a value.
fn starts_section(line: &str) -> bool {
    let inside = line.starts_with([' ', '\t', '\r', '\n', '#', '-', ']', '}', '%']);
    !inside && !line.is_empty()
}

/// The number of lines before a second document, and the text before it.
pub(super) fn before_second_document(text: &str) -> Option<(usize, &str)> {
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let begins = line.starts_with("---") && !text[..offset].lines().all(is_empty_line);
        if begins {
            return Some((index, &text[..offset]));
        }
        offset += line.len();
    }
    None
}

/// Whether a line holds no value.
pub(super) fn is_empty_line(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

/// The first line that is indented by a tab.
pub(super) fn find_tab(section: &str, lines_before: usize) -> Option<Flaw> {
    section.lines().enumerate().find_map(|(index, line)| {
        let indent = line.len() - line.trim_start().len();
        let column = line[..indent].find('\t')?;
        Some(Flaw {
            line: Some(lines_before + index + 1),
            column: Some(column + 1),
            reason: "a tab in the indentation; YAML indents with spaces".to_owned(),
        })
    })
}

/// What the YAML reader says, without the positions inside its text, which count from the section.
pub(super) fn flaw_of(error: &serde_yaml::Error, lines_before: usize) -> Flaw {
    let location = error.location();
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or(&text);
    let hint = match problem {
        text if text.contains("mapping values are not allowed") => {
            "; the line is indented wrongly, or a value with ': ' needs quotes"
        }
        text if text.contains("cannot start any token") => "; the value needs quotes",
        _ => "",
    };
    Flaw {
        line: location.as_ref().map(|at| lines_before + at.line()),
        column: location.as_ref().map(serde_yaml::Location::column),
        reason: format!("not YAML: {problem}{hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SC-204: the manual prints switches as assignments.
    #[test]
    fn assignments_are_reported_and_read_on() {
        let (text, flaws) = mend_assignments("# x = y\nFEATURE_X = false\nA: b = c\n  z = 1\n");
        assert_eq!(text, "# x = y\nFEATURE_X: false\nA: b = c\n  z = 1\n");
        assert_eq!((flaws.len(), flaws[0].line), (1, Some(2)));
        let (text, _) = mend_assignments("- organization = a\n  username=b\n");
        assert_eq!(text, "- organization: a\n  username: b\n");
    }

    #[test]
    fn sections_begin_in_the_first_column() {
        let text = "# c\nA: 1\nB:\n- x\n# d\n  y\n\nC: {\n}\n";
        let found = sections(text);
        let expected = [
            (1, "A: 1\n"),
            (2, "B:\n- x\n# d\n  y\n\n"),
            (7, "C: {\n}\n"),
        ];
        assert_eq!(found, expected);
    }
}
