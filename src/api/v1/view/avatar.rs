//! Avatars: a hash and a colour for everything that has a name (`quay-api` section 5).
//!
//! The hash is that of an e-mail address where there is one, so that a picture service can know it; of
//! the name otherwise.

use aws_lc_rs::digest;
use md5::Digest as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::AvatarKind;

/// Quay's colours, in its order.
const PALETTE: [&str; 32] = [
    "#969696", "#aec7e8", "#ff7f0e", "#ffbb78", "#2ca02c", "#98df8a", "#d62728", "#ff9896",
    "#9467bd", "#c5b0d5", "#8c564b", "#c49c94", "#e377c2", "#f7b6d2", "#7f7f7f", "#c7c7c7",
    "#bcbd22", "#1f77b4", "#17becf", "#9edae5", "#393b79", "#5254a3", "#6b6ecf", "#9c9ede",
    "#9ecae1", "#31a354", "#b5cf6b", "#a1d99b", "#8c6d31", "#ad494a", "#e7ba52", "#a55194",
];

/// What an avatar is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::api) enum AvatarSubject {
    User,
    Organization,
    Team,
    Robot,
    Application,
}

/// How something is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::api) struct Avatar {
    name: String,
    hash: String,
    color: &'static str,
    kind: &'static str,
}

impl Avatar {
    /// The avatar of `name`; `seed` is an e-mail address, or the name again where there is none.
    pub(in crate::api) fn new(
        kind: AvatarKind,
        subject: AvatarSubject,
        name: &str,
        seed: &str,
    ) -> Self {
        let hash = hash(kind, &seed.trim().to_lowercase());
        let first = hash
            .get(..2)
            .and_then(|hex| usize::from_str_radix(hex, 16).ok());
        Self {
            name: name.to_owned(),
            color: PALETTE[first.unwrap_or(0) % PALETTE.len()],
            hash,
            kind: match subject {
                AvatarSubject::User => "user",
                AvatarSubject::Organization => "org",
                AvatarSubject::Team => "team",
                AvatarSubject::Robot => "robot",
                AvatarSubject::Application => "app",
            },
        }
    }
}

fn hash(kind: AvatarKind, seed: &str) -> String {
    match kind {
        AvatarKind::Local => hex(digest::digest(&digest::SHA256, seed.as_bytes()).as_ref()),
        // The picture service knows people by nothing better.
        AvatarKind::Gravatar => hex(&md5::Md5::digest(seed.as_bytes())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SC-021: what the product documents show of five seeds.
    #[test]
    fn hash_and_colour_are_those_of_the_guide() {
        for (seed, hash, color) in [
            ("owners", "6f0e3a8c", "#c7c7c7"),
            ("test@gmil.com", "6d640d80", "#f7b6d2"),
            ("quay@quay.com", "b28d563a", "#17becf"),
            ("new-contact@test-org.com", "a15d4790", "#aec7e8"),
            (" NewUser@example.com ", "f338a2c8", "#9edae5"),
        ] {
            let avatar = Avatar::new(AvatarKind::Local, AvatarSubject::User, "x", seed);
            assert_eq!((&avatar.hash[..8], avatar.color), (hash, color), "{seed}");
            assert_eq!(avatar.hash.len(), 64);
        }
        let avatar = Avatar::new(AvatarKind::Gravatar, AvatarSubject::User, "x", "x");
        assert_eq!(avatar.hash, "9dd4e461268c8034f5c8564e155c67a6");
    }
}
