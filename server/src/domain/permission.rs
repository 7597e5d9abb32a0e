//! Permissions of a caller, determined by the user's role and the credential.

use super::TimestampMs;
use super::id::{ApiTokenId, SessionId};
use super::user::Role;

/// A scope of an API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reading what the user may read.
    Read,
    /// Changing agents and enrollment tokens.
    WriteAgents,
    /// Changing users.
    WriteUsers,
    /// Changing settings.
    WriteSettings,
    /// Acknowledging, snoozing and annotating alerts.
    AcknowledgeAlerts,
    /// Changing alert rules and silences.
    WriteAlerts,
    /// Changing channels.
    WriteChannels,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 7] = [
        Scope::Read,
        Scope::WriteAgents,
        Scope::WriteUsers,
        Scope::WriteSettings,
        Scope::AcknowledgeAlerts,
        Scope::WriteAlerts,
        Scope::WriteChannels,
    ];

    /// Returns the scope as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::WriteAgents => "agents:write",
            Scope::WriteUsers => "users:write",
            Scope::WriteSettings => "settings:write",
            Scope::AcknowledgeAlerts => "alerts:acknowledge",
            Scope::WriteAlerts => "alerts:write",
            Scope::WriteChannels => "channels:write",
        }
    }

    /// Returns the scope with this stored name.
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A permission that a request requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Reading the fleet, its metrics, the settings and one's own user.
    Read,
    /// Reading users, enrollment tokens and the audit log.
    ReadAdministration,
    /// Changing agents and enrollment tokens.
    WriteAgents,
    /// Changing users without granting privileges.
    WriteUsers,
    /// Changing settings.
    WriteSettings,
    /// Acknowledging, snoozing and annotating alerts.
    AcknowledgeAlerts,
    /// Changing alert rules and silences.
    WriteAlerts,
    /// Changing channels.
    WriteChannels,
    /// Changing one's own password, sessions, API tokens and second factor.
    ManageOwnAccount,
    /// Changing what grants privileges: passwords, second factors, roles and tokens of others.
    ManageCredentials,
}

/// Why a permission is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The user's role is insufficient.
    #[error("only administrators may do this")]
    Role,
    /// The API token lacks a scope.
    #[error("the API token lacks the scope {}", .0.as_str())]
    Scope(Scope),
    /// No API token may do this, whatever its scopes, so that a leaked one cannot extend its access.
    #[error("API tokens cannot do this; log in")]
    SessionOnly,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Permission; 10] = [
        Permission::Read,
        Permission::ReadAdministration,
        Permission::WriteAgents,
        Permission::WriteUsers,
        Permission::WriteSettings,
        Permission::AcknowledgeAlerts,
        Permission::WriteAlerts,
        Permission::WriteChannels,
        Permission::ManageOwnAccount,
        Permission::ManageCredentials,
    ];

    /// Returns the permission's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Permission::Read => "read",
            Permission::ReadAdministration => "administration:read",
            Permission::WriteAgents => "agents:write",
            Permission::WriteUsers => "users:write",
            Permission::WriteSettings => "settings:write",
            Permission::AcknowledgeAlerts => "alerts:acknowledge",
            Permission::WriteAlerts => "alerts:write",
            Permission::WriteChannels => "channels:write",
            Permission::ManageOwnAccount => "account:manage",
            Permission::ManageCredentials => "credentials:manage",
        }
    }

    /// Returns whether the role has the permission.
    fn is_of(self, role: Role) -> bool {
        match (role, self) {
            (Role::Admin, _)
            | (Role::User, Permission::Read | Permission::AcknowledgeAlerts | Permission::ManageOwnAccount) => {
                true
            }
            (Role::User, _) => false,
        }
    }

    /// Returns the scope that grants it to an API token; `None` if a session is required.
    fn scope(self) -> Option<Scope> {
        match self {
            Permission::Read | Permission::ReadAdministration => Some(Scope::Read),
            Permission::WriteAgents => Some(Scope::WriteAgents),
            Permission::WriteUsers => Some(Scope::WriteUsers),
            Permission::WriteSettings => Some(Scope::WriteSettings),
            Permission::AcknowledgeAlerts => Some(Scope::AcknowledgeAlerts),
            Permission::WriteAlerts => Some(Scope::WriteAlerts),
            Permission::WriteChannels => Some(Scope::WriteChannels),
            Permission::ManageOwnAccount | Permission::ManageCredentials => None,
        }
    }

    /// Checks that both the role and the credential allow the permission.
    ///
    /// # Errors
    /// If the permission is denied, with what is missing.
    pub fn check(self, role: Role, credential: &Credential) -> Result<(), Denied> {
        if let Credential::ApiToken(token) = credential {
            let scope = self.scope().ok_or(Denied::SessionOnly)?;
            if !token.scopes.contains(&scope) {
                return Err(Denied::Scope(scope));
            }
        }
        if self.is_of(role) { Ok(()) } else { Err(Denied::Role) }
    }
}

/// The credential of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A session.
    Session {
        /// The session's id.
        id: SessionId,
        /// When the session expires.
        expires_at: TimestampMs,
    },
    /// An API token.
    ApiToken(ApiToken),
}

/// An API token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// The token's id.
    pub id: ApiTokenId,
    /// The name given by its owner.
    pub name: String,
    /// The token's scopes.
    pub scopes: Vec<Scope>,
    /// When it was created.
    pub created_at: TimestampMs,
    /// When it expires, if ever.
    pub expires_at: Option<TimestampMs>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<TimestampMs>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scopes: &[Scope]) -> Credential {
        Credential::ApiToken(ApiToken {
            id: ApiTokenId::random(),
            name: String::new(),
            scopes: scopes.to_vec(),
            created_at: 0,
            expires_at: None,
            last_used_at: None,
        })
    }

    #[test]
    fn a_token_has_what_both_role_and_scopes_give() {
        let session = Credential::Session { id: SessionId::random(), expires_at: 0 };
        for permission in Permission::ALL {
            for role in [Role::Admin, Role::User] {
                let by_role = permission.check(role, &session).is_ok();
                assert_eq!(by_role, role == Role::Admin || permission.is_of(Role::User));
                for scope in Scope::ALL {
                    let by_token = permission.check(role, &token(&[scope])).is_ok();
                    assert_eq!(by_token, by_role && permission.scope() == Some(scope), "{permission:?}");
                }
            }
        }
    }

    #[test]
    fn no_token_manages_credentials() {
        for permission in [Permission::ManageOwnAccount, Permission::ManageCredentials] {
            assert_eq!(permission.check(Role::Admin, &token(&Scope::ALL)), Err(Denied::SessionOnly));
        }
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
        }
        assert_eq!(Scope::parse("everything"), None);
    }
}
