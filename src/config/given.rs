//! What the operator said, to be shown: every key that was given, wherever it was given, its secrets
//! masked (Quay: the configuration dump).
//!
//! Called by `Config::load`. A secret is known by its name; a file's path is none.

use serde_json::{Map, Value};

use super::document::{self, Entry, Node};

/// Words in names of secrets, in lower case.
const SECRETS: [&str; 3] = ["password", "secret", "token"];

/// Names that hold such a word, and no secret.
const PLAIN: [&str; 3] = ["_file", "_sec", "_count"];

/// Characters that a mask shows at most.
const MASK: usize = 10;

/// Every key with its value, in the order in which they count.
pub(super) fn given(settings: &[Entry]) -> Vec<(String, Value)> {
    let shown = |entry: &Entry| (entry.key.clone(), show(&entry.key, &entry.value));
    settings.iter().map(shown).collect()
}

fn show(name: &str, node: &Node) -> Value {
    match &node.value {
        document::Value::Null | document::Value::Float => Value::Null,
        document::Value::Bool(switch) => (*switch).into(),
        document::Value::Integer(number) => i64::try_from(*number).map_or(Value::Null, Value::from),
        document::Value::Text(text) if is_secret(name) => mask(text).into(),
        document::Value::Text(text) => text.clone().into(),
        document::Value::List(nodes) => nodes.iter().map(|node| show(name, node)).collect(),
        document::Value::Map(entries) => {
            let members = entries.iter();
            let members = members.map(|entry| (entry.key.clone(), show(&entry.key, &entry.value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let named = SECRETS.iter().any(|word| name.contains(word));
    named && !PLAIN.iter().any(|end| name.ends_with(end))
}

/// Quay: up to ten asterisks, and the length.
fn mask(text: &str) -> String {
    let length = text.chars().count();
    format!("{} ({length})", "*".repeat(length.min(MASK)))
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let text = "SUPER_USERS: [ann]\n\
                    OFFLINE: true\n\
                    PROXY_CACHES:\n  \
                    - organization: a\n    \
                    password: hunter2\n    \
                    password_file: /run/secret\n\
                    DATABASE_SECRET_KEY: \"0123456789abcdef\"\n\
                    UNAPPROVED_SERVICE_KEY_TTL_SEC: 60\n";
        let shown: Map<String, Value> = given(&Document::parse(text).entries).into_iter().collect();
        let expected = serde_json::json!({
            "SUPER_USERS": ["ann"],
            "OFFLINE": true,
            "PROXY_CACHES": [{
                "organization": "a",
                "password": "******* (7)",
                "password_file": "/run/secret",
            }],
            "DATABASE_SECRET_KEY": "********** (16)",
            "UNAPPROVED_SERVICE_KEY_TTL_SEC": 60,
        });
        assert_eq!(Value::Object(shown), expected);
    }
}
