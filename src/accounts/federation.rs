//! Rules for identities of other providers that may act as robots (Quay: robot federation).

use std::collections::BTreeSet;

use super::Error;
use crate::model::Federation;

/// Most of them for one robot.
const RULES: usize = 100;

/// Longest issuer or subject, in bytes.
const TEXT_BYTES: usize = 2_048;

/// Checks a robot's rules; the reasons are the sentences of Quay's API.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check(rules: &[Federation]) -> Result<(), Error> {
    let fail = |reason| {
        let what = "the federation";
        Err(Error::Invalid { what, reason })
    };
    let mut seen = BTreeSet::new();
    for Federation { issuer, subject } in rules {
        if issuer.is_empty() || subject.is_empty() {
            return fail("Missing one or more required fields (issuer, subject)");
        }
        if !issuer.starts_with("http://") && !issuer.starts_with("https://") {
            return fail("Issuer must be a URL (http:// or https://)");
        }
        if issuer.len() > TEXT_BYTES || subject.len() > TEXT_BYTES {
            return fail("Issuer and subject have at most 2048 bytes");
        }
        if !seen.insert((issuer, subject)) {
            return fail("Duplicate federation config entry");
        }
    }
    if rules.len() > RULES {
        return fail("A robot has at most 100 federation config entries");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(issuer: &str, subject: &str) -> Federation {
        Federation {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        }
    }

    fn reason(rules: &[Federation]) -> Option<&'static str> {
        match check(rules) {
            Err(Error::Invalid { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn rules_name_an_issuer_by_its_url_and_a_subject_once() {
        let good = rule("https://idp.example.org", "repo:a");
        let other = rule("http://idp.example.org", "repo:a");
        assert_eq!(reason(&[]), None);
        assert_eq!(reason(&[good.clone(), other]), None);
        let missing = "Missing one or more required fields (issuer, subject)";
        assert_eq!(reason(&[rule("", "a")]), Some(missing));
        assert_eq!(reason(&[rule("https://a", "")]), Some(missing));
        let url = "Issuer must be a URL (http:// or https://)";
        assert_eq!(reason(&[rule("idp.example.org", "a")]), Some(url));
        let twice = "Duplicate federation config entry";
        assert_eq!(reason(&[good.clone(), good]), Some(twice));
        let many: Vec<_> = (0..=RULES)
            .map(|n| rule("https://a", &n.to_string()))
            .collect();
        assert!(reason(&many).is_some());
    }
}
