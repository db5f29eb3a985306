//! Row numbers, each its own type.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
        )]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A namespace that owns repositories. Never reused.
    NamespaceId
);
id!(
    /// A repository. Never reused, so that a new repository of an old name inherits nothing.
    RepositoryId
);
id!(
    /// A person's account. Never reused.
    UserId
);
id!(
    /// A robot account. Never reused.
    RobotId
);
id!(
    /// A team of an organisation. Never reused.
    TeamId
);
id!(
    /// A default permission of an organisation. Never reused.
    PrototypeId
);
id!(
    /// An app token of a user. Never reused.
    AppTokenId
);
id!(
    /// A token of an OAuth application. Never reused.
    OauthTokenId
);
id!(
    /// An OAuth application. Never reused.
    OauthApplicationId
);
