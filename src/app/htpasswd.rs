//! Reading of htpasswd files, as other registries keep their users.

use crate::model::NamespaceName;

/// One user of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) name: NamespaceName,
    pub(super) hash: String,
}

/// Reads a file whole.
///
/// # Errors
/// Every line that cannot be taken over, with its number, what is wrong and what would be right.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut mistakes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match entry(line, &entries) {
            Ok(entry) => entries.push(entry),
            Err(reason) => mistakes.push(format!("line {}: {reason}", number + 1)),
        }
    }
    match mistakes.is_empty() {
        true => Ok(entries),
        false => Err(mistakes),
    }
}

fn entry(line: &str, before: &[Entry]) -> Result<Entry, String> {
    let (name, hash) = line
        .split_once(':')
        .ok_or("it is no name:hash; htpasswd writes one user a line")?;
    let parsed: Option<NamespaceName> = name.parse().ok().filter(|_| name.len() >= 2);
    let parsed = parsed.ok_or_else(|| {
        format!(
            "{name:?} is no name of a user here: 2 to 255 lower-case letters and digits, with single \
             '.', '_' or '-' between them"
        )
    })?;
    if before.iter().any(|entry| entry.name == parsed) {
        return Err(format!("{name} stands in the file twice"));
    }
    let kind = if hash.starts_with("$2") {
        return Ok(Entry {
            name: parsed,
            hash: hash.to_owned(),
        });
    } else if hash.starts_with("$apr1$") || hash.starts_with("$1$") {
        "MD5"
    } else if hash.starts_with("{SHA}") {
        "SHA-1"
    } else {
        "another form than bcrypt"
    };
    Err(format!(
        "the password of {name} is kept as {kind}, which is too weak to be taken over; have it set anew \
         with htpasswd -B, or make the user with: entrepot user create {name}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_and_comments_are_not() {
        let text = "# site\n\nalice:$2y$05$abc\n bob-1:$2b$10$def \n";
        let entries = parse(text).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["alice", "bob-1"]);
        assert_eq!(entries[1].hash, "$2b$10$def");
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn every_line_that_is_wrong_is_told() {
        let text = "alice\nBob:$2y$05$a\ncarol:$apr1$x$y\ndave:{SHA}x\nerin:$2y$05$a\nerin:$2y$05$a\nf:$2y$x\n";
        let mistakes = parse(text).unwrap_err();
        let expected = [
            ("line 1", "name:hash"),
            ("line 2", "lower-case"),
            ("line 3", "MD5"),
            ("line 4", "SHA-1"),
            ("line 6", "twice"),
            ("line 7", "2 to 255"),
        ];
        assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
        for (mistake, (line, word)) in mistakes.iter().zip(expected) {
            assert!(
                mistake.starts_with(line) && mistake.contains(word),
                "{mistake}"
            );
        }
    }
}
