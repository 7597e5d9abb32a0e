//! Identifiers with distinct types.

use std::fmt;

use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Returns a new random id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// The public id of an agent.
    AgentId
);
uuid_id!(
    /// The id of a user.
    UserId
);
uuid_id!(
    /// The id of an enrollment token.
    EnrollmentId
);
uuid_id!(
    /// The id of a session; not its token.
    SessionId
);
uuid_id!(
    /// The id of an API token; not the token.
    ApiTokenId
);
uuid_id!(
    /// The id of an agent's connection. A connection may change its agent's state only while the database names it as
    /// the current one, so that a late disconnect of an old connection cannot affect a newer one.
    ConnectionId
);

/// The key of an agent inside the database, used in metric rows instead of the public id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentKey(pub i32);
