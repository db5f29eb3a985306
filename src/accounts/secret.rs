//! Secrets that the server makes up, how they are sealed, and how what is shown is compared.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};

use super::{Error, Noun, SealKey};
use crate::model::{
    AppTokenRecord, NamespaceId, OauthApplicationRecord, RobotRecord, Sealed, Secret,
};

/// Characters of a robot's token (Quay).
const ROBOT_TOKEN: usize = 64;

/// Characters of each half of an app token (Quay).
const APP_TOKEN_HALF: usize = 60;

/// Characters of the half of an OAuth token by which it is found (Quay).
pub const OAUTH_TOKEN_LOOKUP: usize = 20;

/// Characters of an OAuth token (Quay).
const OAUTH_TOKEN: usize = 40;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const BOTH_CASES: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz";

/// Whether a text has the form of an OAuth token.
pub fn is_oauth_token(text: &str) -> bool {
    text.len() == OAUTH_TOKEN && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What is kept of an OAuth token.
pub fn oauth_token_hash(token: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(b"oauth token\0");
    context.update(token.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// A new OAuth token, both halves.
pub(super) fn new_oauth_token() -> Secret {
    Secret::new(random_of(BOTH_CASES, OAUTH_TOKEN))
}

/// A new authorization code, as long as a token (Quay).
pub fn new_oauth_code() -> Secret {
    Secret::new(random_of(BOTH_CASES, OAUTH_TOKEN))
}

/// A new app token: by which it is found, and what proves it.
pub(super) struct AppTokenCode {
    pub(super) lookup: String,
    pub(super) secret: Secret,
}

impl AppTokenCode {
    pub(super) fn random() -> Self {
        Self {
            lookup: random(APP_TOKEN_HALF),
            secret: Secret::new(random(APP_TOKEN_HALF)),
        }
    }

    /// Both halves, as the user gets it.
    pub(super) fn whole(&self) -> Secret {
        Secret::new(format!("{}{}", self.lookup, self.secret.expose()))
    }
}

/// The halves of what somebody shows as an app token, if it could be one.
pub(super) fn halves(code: &str) -> Option<(&str, &str)> {
    let whole = code.len() == 2 * APP_TOKEN_HALF;
    whole.then(|| code.split_at_checked(APP_TOKEN_HALF))?
}

/// A random UUID (RFC 9562, version 4), as text.
pub(super) fn new_uuid() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}

pub(super) fn new_robot_token() -> Secret {
    Secret::new(random(ROBOT_TOKEN))
}

/// The token of a robot of this short name in the namespace, whatever the namespace is called.
pub(super) fn seal_robot_token(
    key: &SealKey,
    namespace: NamespaceId,
    short: &str,
    token: &Secret,
) -> Sealed {
    key.seal(token.expose().as_bytes(), &robot_context(namespace, short))
}

pub(super) fn open_robot_token(key: &SealKey, robot: &RobotRecord) -> Result<Secret, Error> {
    let context = robot_context(robot.namespace, robot.name.short());
    open(key, &robot.token, &context, Noun::Robot)
}

pub(super) fn seal_client_secret(key: &SealKey, client_id: &str, secret: &Secret) -> Sealed {
    key.seal(secret.expose().as_bytes(), &client_context(client_id))
}

pub(super) fn open_client_secret(
    key: &SealKey,
    application: &OauthApplicationRecord,
) -> Result<Secret, Error> {
    let context = client_context(&application.client_id);
    open(key, &application.client_secret, &context, Noun::Application)
}

pub(super) fn seal_app_token(key: &SealKey, code: &AppTokenCode) -> Sealed {
    let context = app_token_context(&code.lookup);
    key.seal(code.secret.expose().as_bytes(), &context)
}

/// The second half of the token.
pub(super) fn open_app_token(key: &SealKey, token: &AppTokenRecord) -> Result<Secret, Error> {
    let context = app_token_context(&token.lookup);
    open(key, &token.secret, &context, Noun::AppToken)
}

/// Whether the two are the same, in a time that does not tell where they differ (AU-09).
pub(super) fn is_same(expected: &Secret, shown: &str) -> bool {
    verify_slices_are_equal(expected.expose().as_bytes(), shown.as_bytes()).is_ok()
}

fn robot_context(namespace: NamespaceId, short: &str) -> Vec<u8> {
    format!("robot token of {namespace}+{short}").into_bytes()
}

fn client_context(client_id: &str) -> Vec<u8> {
    format!("client secret of {client_id}").into_bytes()
}

fn app_token_context(lookup: &str) -> Vec<u8> {
    format!("app token {lookup}").into_bytes()
}

fn open(key: &SealKey, sealed: &Sealed, context: &[u8], noun: Noun) -> Result<Secret, Error> {
    key.open(sealed, context)
        .and_then(|text| std::str::from_utf8(&text).ok().map(Secret::new))
        .ok_or(Error::SealBroken { noun })
}

/// That many upper-case letters and digits.
pub(super) fn random(length: usize) -> String {
    random_of(ALPHABET, length)
}

/// That many characters of an alphabet, each as likely as any other.
fn random_of(alphabet: &[u8], length: usize) -> String {
    // The largest multiple of the alphabet in a byte: what lies above would favour its beginning.
    let fair = usize::from(u8::MAX) / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 96];
    while text.len() < length {
        getrandom::fill(&mut bytes).expect("the system has a source of randomness");
        let places = bytes.iter().map(|&byte| usize::from(byte));
        let letters = places.filter(|&place| place < fair);
        let letters = letters.map(|place| alphabet[place % alphabet.len()] as char);
        text.extend(letters.take(length - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn made_up_secrets_use_the_whole_alphabet_and_never_repeat() {
        let tokens: BTreeSet<String> = (0..200)
            .map(|_| new_robot_token().expose().to_owned())
            .collect();
        assert_eq!(tokens.len(), 200);
        assert!(tokens.iter().all(|token| token.len() == 64));
        let letters: BTreeSet<u8> = tokens.iter().flat_map(|token| token.bytes()).collect();
        assert_eq!(letters, ALPHABET.iter().copied().collect());
    }

    #[test]
    fn an_oauth_token_has_forty_letters_and_is_kept_hashed() {
        let token = new_oauth_token().expose().to_owned();
        assert!(is_oauth_token(&token));
        for bad in ["", "a", &"a".repeat(39), &"-".repeat(40), &"é".repeat(20)] {
            assert!(!is_oauth_token(bad), "{bad}");
        }
        assert_ne!(oauth_token_hash(&token), oauth_token_hash(&"a".repeat(40)));
    }

    #[test]
    fn uuids_have_their_form_and_never_repeat() {
        let uuids: BTreeSet<String> = (0..100).map(|_| new_uuid()).collect();
        assert_eq!(uuids.len(), 100);
        for uuid in uuids {
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
    }

    #[test]
    fn an_app_token_falls_into_its_halves() {
        let code = AppTokenCode::random();
        let whole = code.whole();
        assert_eq!(whole.expose().len(), 120);
        let expected = (code.lookup.as_str(), code.secret.expose());
        assert_eq!(halves(whole.expose()), Some(expected));
        assert_eq!(halves("short"), None);
        assert_eq!(
            halves(&format!("{}é{}", "a".repeat(59), "b".repeat(59))),
            None
        );
    }

    #[test]
    fn secrets_are_the_same_only_whole() {
        let secret = Secret::new("ABC");
        assert!(is_same(&secret, "ABC"));
        for other in ["", "AB", "ABCD", "ABD"] {
            assert!(!is_same(&secret, other), "{other}");
        }
    }
}
