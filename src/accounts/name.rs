//! Rules for the texts that people choose.
//!
//! Names have one form only: what is not in it is refused, never changed, so that no two accounts
//! look alike (AZ-17).

use super::{Error, Noun};
use crate::model::{NamespaceName, RobotName};

/// Shortest and longest name of a user, organisation or team, in bytes.
const NAME_BYTES: std::ops::RangeInclusive<usize> = 2..=255;

/// Longest e-mail address: a path of SMTP without its brackets (RFC 5321 section 4.5.3.1.3).
const EMAIL_BYTES: usize = 254;

/// Longest description or title, in characters.
const DESCRIPTION_CHARS: usize = 255;

/// Longest description of a team, which is Markdown, in characters.
const TEAM_DESCRIPTION_CHARS: usize = 4_096;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameFault {
    /// It has other characters, or in another order.
    Form,
    Length,
}

impl NameFault {
    /// What a name must be.
    pub const fn rule(self) -> &'static str {
        "it is 2 to 255 lower-case letters and digits, with single '.', '_' or '-' between them"
    }
}

/// The name of a user or organisation that somebody wrote.
///
/// # Errors
/// [`Error::InvalidName`].
pub fn namespace_name(noun: Noun, text: &str) -> Result<NamespaceName, Error> {
    check_name(noun, text)?;
    let parsed = text.parse();
    parsed.map_err(|_| invalid(noun, text, NameFault::Form))
}

/// The name of a robot of a namespace that somebody wrote.
///
/// # Errors
/// [`Error::InvalidName`].
pub fn robot_name(namespace: &NamespaceName, short: &str) -> Result<RobotName, Error> {
    check_name(Noun::Robot, short)?;
    let named = RobotName::new(namespace.clone(), short);
    named.map_err(|_| invalid(Noun::Robot, short, NameFault::Form))
}

/// Checks a name against Quay's rule for namespaces: first its form, then its length.
///
/// # Errors
/// [`Error::InvalidName`].
pub(super) fn check_name(noun: Noun, name: &str) -> Result<(), Error> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_run = |run: &str| !run.is_empty() && run.bytes().all(is_word);
    if !name.split(['.', '_', '-']).all(is_run) {
        return Err(invalid(noun, name, NameFault::Form));
    }
    if !NAME_BYTES.contains(&name.len()) {
        return Err(invalid(noun, name, NameFault::Length));
    }
    Ok(())
}

fn invalid(noun: Noun, name: &str, fault: NameFault) -> Error {
    let name = name.to_owned();
    Error::InvalidName { noun, name, fault }
}

/// Checks an e-mail address: its outline, not whether mail arrives.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check_email(email: &str) -> Result<(), Error> {
    let outlined = email.split_once('@').is_some_and(|(local, host)| {
        let labelled = host.split('.').all(|label| !label.is_empty());
        !local.is_empty() && !host.contains('@') && host.contains('.') && labelled
    });
    // Other scripts have letters that look like these; an address must not pass for another.
    let plain = email.bytes().all(|byte| byte.is_ascii_graphic());
    if outlined && plain && email.len() <= EMAIL_BYTES {
        return Ok(());
    }
    Err(Error::Invalid {
        what: "the e-mail address",
        reason: "it is name@host.domain in ASCII without white space, at most 254 characters",
    })
}

/// Checks a description or title.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check_description(text: &str) -> Result<(), Error> {
    match text.chars().nth(DESCRIPTION_CHARS) {
        None => Ok(()),
        Some(_) => Err(Error::Invalid {
            what: "the description",
            reason: "it has at most 255 characters",
        }),
    }
}

/// Checks the description of a team.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn check_team_description(text: &str) -> Result<(), Error> {
    match text.chars().nth(TEAM_DESCRIPTION_CHARS) {
        None => Ok(()),
        Some(_) => Err(Error::Invalid {
            what: "the description",
            reason: "it has at most 4096 characters",
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// AZ-17: what only looks like another name is no name.
    #[test]
    fn lookalikes_of_a_name_are_refused() {
        for good in ["ab", "admin", "a.b_c-d", "0a", &"a".repeat(255)] {
            assert!(check_name(Noun::User, good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "Admin",
            "ａdmin",
            "admin%20",
            "a..b",
            "a.-b",
            "-ab",
            "ab-",
            "a b",
            "a+b",
            "a/b",
            "ádmin",
            &"a".repeat(256),
        ] {
            assert!(check_name(Noun::User, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_has_a_local_part_and_a_domain() {
        for good in ["a@b.c", "Ann.Lee+x@Example.org"] {
            assert!(check_email(good).is_ok(), "{good}");
        }
        let long = format!("{}@b.c", "a".repeat(251));
        for bad in [
            "", "a", "@b.c", "a@b", "a@.c", "a@b.", "a@b@c.d", "a b@c.d", "á@b.c", &long,
        ] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_description_is_counted_in_characters() {
        assert!(check_description(&"é".repeat(255)).is_ok());
        assert!(check_description(&"e".repeat(256)).is_err());
    }

    proptest! {
        #[test]
        fn every_valid_name_is_a_namespace_name(name in "[a-z0-9._-]{1,6}") {
            if check_name(Noun::User, &name).is_ok() {
                let parsed: Result<NamespaceName, _> = name.parse();
                prop_assert!(parsed.is_ok(), "{}", name);
            }
        }
    }
}
