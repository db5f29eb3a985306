//! Page tokens: where a list goes on, sealed.
//!
//! A position may be a name that the caller must not learn (AZ-10), so neither it nor its length can be read
//! out of a token. Who sends one that is not ours begins at the first page, as in Quay.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::accounts::SealKey;
use crate::model::Sealed;

/// Positions are padded to a multiple of this.
const PADDED_TO: usize = 512;

/// The token of a position in a list of that kind.
pub(super) fn seal(key: &SealKey, list: &str, position: &str) -> String {
    let mut padded = position.as_bytes().to_vec();
    padded.resize((padded.len() + 1).next_multiple_of(PADDED_TO), b' ');
    URL_SAFE_NO_PAD.encode(key.seal(&padded, list.as_bytes()).0)
}

/// The position of a token that [`seal`] made for a list of that kind.
pub(super) fn open(key: &SealKey, list: &str, token: &str) -> Option<String> {
    let sealed = Sealed(URL_SAFE_NO_PAD.decode(token).ok()?);
    let opened = key.open(&sealed, list.as_bytes())?;
    let position = std::str::from_utf8(&opened).ok()?;
    Some(position.trim_end_matches(' ').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AZ-10: neither a position nor its length can be read, nor be used for another list.
    #[test]
    fn a_token_is_read_by_who_wrote_it_for_that_list() {
        let key = SealKey::from_bytes(&[7; 32]);
        let tokens = ["", "a/b", "7"].map(|position| (position, seal(&key, "x", position)));
        for (position, token) in &tokens {
            assert_eq!(open(&key, "x", token).as_deref(), Some(*position));
            assert_eq!(open(&key, "y", token), None);
        }
        assert_eq!(tokens[0].1.len(), tokens[1].1.len());
        for token in ["", "x", "a/b"] {
            assert_eq!(open(&key, "x", token), None);
        }
    }
}
