//! The API's names of users' roles.

use poem_openapi::Enum;
use serde::Deserialize;

use crate::domain::user::Role;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "Role", rename_all = "lowercase")]
pub(super) enum RoleName {
    /// May read and change everything.
    Admin,
    /// May read.
    User,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Admin => Role::Admin,
            RoleName::User => Role::User,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => RoleName::Admin,
            Role::User => RoleName::User,
        }
    }
}
