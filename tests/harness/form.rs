//! Answers held against examples: what the product documents print is JSON in which some values are
//! those of the writer's own site.
//!
//! An example is the whole answer: the same fields in the same order at every depth, and the same values.
//! What no example can know is told by its form: ids, digests, hashes, colours, dates, and secrets match
//! others of the same form, and the words in angle brackets ([`ANY`]) stand for any value of a type. An
//! array of one element stands for one or more of its like.

use serde_json::Value;

/// The words of an example that stand for any value: of text that is not empty, of a truth, of a whole number.
const ANY: [&str; 3] = ["<text>", "<truth>", "<number>"];

/// How texts look that are different on every site.
#[derive(Debug, Eq, PartialEq)]
enum Form<'a> {
    Uuid,
    Digest,
    /// SHA-256 or MD5 in lower case, by its length.
    Hash(usize),
    /// Letters and digits, by their number.
    Secret(usize),
    Color,
    /// RFC 2822 with `-0000`.
    MailDate,
    /// RFC 9110.
    HttpDate,
    /// ISO 8601 in UTC.
    IsoDate,
    Plain(&'a str),
}

impl<'a> Form<'a> {
    fn of(text: &'a str) -> Self {
        let is_hex = |text: &str| {
            text.bytes()
                .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_word = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric());
        let dashes = text.match_indices('-').map(|(at, _)| at);
        match text.len() {
            36 if dashes.eq([8, 13, 18, 23]) => Self::Uuid,
            71 if text.strip_prefix("sha256:").is_some_and(is_hex) => Self::Digest,
            7 if text.strip_prefix('#').is_some_and(is_hex) => Self::Color,
            length @ (32 | 64) if is_hex(text) => Self::Hash(length),
            31 if text.ends_with(" -0000") => Self::MailDate,
            29 if text.ends_with(" GMT") => Self::HttpDate,
            20.. if text.ends_with('Z') && text[10..].starts_with('T') => Self::IsoDate,
            length @ 20.. if is_word(text) => Self::Secret(length),
            _ => Self::Plain(text),
        }
    }
}

/// Where `found` is not as the example; empty if it is.
pub(crate) fn differences(found: &Value, example: &Value) -> Vec<String> {
    let mut told = Vec::new();
    compare(found, example, "", &mut told);
    told
}

fn compare(found: &Value, example: &Value, at: &str, told: &mut Vec<String>) {
    match (found, example) {
        (Value::Object(found), Value::Object(example)) => {
            let names = |of: &serde_json::Map<String, Value>| -> Vec<String> {
                of.keys().cloned().collect()
            };
            if names(found) != names(example) {
                told.push(format!(
                    "{at}: {:?}, not {:?}",
                    names(found),
                    names(example)
                ));
            }
            for (name, example) in example {
                if let Some(found) = found.get(name) {
                    compare(found, example, &format!("{at}.{name}"), told);
                }
            }
        }
        (Value::Array(found), Value::Array(example)) => {
            let is_like_one = example.len() == 1 && !found.is_empty();
            if found.len() != example.len() && !is_like_one {
                told.push(format!(
                    "{at}: {} elements, not {}",
                    found.len(),
                    example.len()
                ));
            }
            for (place, found) in found.iter().enumerate() {
                if let Some(example) = example.get(place).or_else(|| example.first()) {
                    compare(found, example, &format!("{at}[{place}]"), told);
                }
            }
        }
        (found, Value::String(example)) if ANY.contains(&example.as_str()) => {
            let is_any = match example.as_str() {
                "<text>" => found.as_str().is_some_and(|text| !text.is_empty()),
                "<truth>" => found.is_boolean(),
                _ => found.is_i64() || found.is_u64(),
            };
            if !is_any {
                told.push(format!("{at}: {found} is no {example}"));
            }
        }
        (Value::String(found), Value::String(example)) => {
            if Form::of(found) != Form::of(example) {
                told.push(format!("{at}: {found:?}, not {example:?}"));
            }
        }
        (found, example) if found == example => {}
        (found, example) => told.push(format!("{at}: {found}, not {example}")),
    }
}

#[test]
fn an_example_is_the_whole_answer() {
    use serde_json::json;
    let example = json!({
        "uuid": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "created": "Fri, 10 May 2024 17:46:02 -0000",
        "avatar": {"hash": "ab".repeat(32), "color": "#aec7e8"},
        "rows": [{"name": "<text>", "count": "<number>"}],
        "none": [],
    });
    let found = json!({
        "uuid": "1f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2b",
        "created": "Thu, 01 Jan 2026 00:00:00 -0000",
        "avatar": {"hash": "cd".repeat(32), "color": "#ff7f0e"},
        "rows": [{"name": "a", "count": 1}, {"name": "b", "count": 2}],
        "none": [],
    });
    assert_eq!(differences(&found, &example), Vec::<String>::new());
    let changed = |change: fn(&mut Value)| {
        let mut found = found.clone();
        change(&mut found);
        differences(&found, &example).len()
    };
    assert_eq!(changed(|it| it["more"] = json!(1)), 1);
    assert_eq!(changed(|it| it["uuid"] = json!("x")), 1);
    assert_eq!(
        changed(|it| it["created"] = json!("Thu, 01 Jan 2026 00:00:00 GMT")),
        1
    );
    assert_eq!(
        changed(|it| it["avatar"]["hash"] = json!("cd".repeat(16))),
        1
    );
    assert_eq!(changed(|it| it["rows"][1]["count"] = json!(1.0)), 1);
    assert_eq!(changed(|it| it["rows"] = json!([])), 1);
    assert_eq!(changed(|it| it["none"] = json!([1])), 1);
    assert_eq!(
        changed(|it| it["avatar"] = json!({"color": "#ff7f0e", "hash": "cd".repeat(32)})),
        1
    );
}
