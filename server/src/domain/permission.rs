//! What a caller may do: it follows from the user's role and from what the caller came with.

use super::TimestampMs;
use super::id::{ApiTokenId, SessionId};
use super::user::Role;

/// What an API token is for.
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
    /// Looking after alerts.
    AcknowledgeAlerts,
    /// Changing alert rules and silences.
    WriteAlerts,
    /// Changing where messages go.
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

    /// The scope as it is stored and shown.
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

    /// The scope of a stored name.
    pub fn parse(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Seeing the fleet, its metrics, the settings and oneself.
    Read,
    /// Seeing users, enrollment tokens and the audit log.
    ReadAdministration,
    /// Changing agents and enrollment tokens.
    WriteAgents,
    /// Changing users, as long as nobody gets more power by it.
    WriteUsers,
    /// Changing settings.
    WriteSettings,
    /// Looking after alerts: acknowledging and snoozing them.
    AcknowledgeAlerts,
    /// Changing alert rules and silences.
    WriteAlerts,
    /// Changing where messages go.
    WriteChannels,
    /// One's own password, sessions, API tokens and second factor.
    ManageOwnAccount,
    /// What gives somebody power: passwords, second factors, roles, tokens of others.
    ManageCredentials,
}

/// Why a caller may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The user's role is not enough.
    #[error("only administrators may do this")]
    Role,
    /// The API token lacks a scope.
    #[error("the API token lacks the scope {}", .0.as_str())]
    Scope(Scope),
    /// No API token may do this, whatever its scopes: one that has leaked must not outlive its end.
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

    /// The permission's name in the API.
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

    /// Whether the role has it.
    fn is_of(self, role: Role) -> bool {
        match (role, self) {
            (Role::Admin, _)
            | (Role::User, Permission::Read | Permission::AcknowledgeAlerts | Permission::ManageOwnAccount) => {
                true
            }
            (Role::User, _) => false,
        }
    }

    /// The scope that gives it to an API token; none: it takes a session.
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

    /// Whether a user of this role who came with this credential has the permission: what the role gives, and of that
    /// what the credential lets through.
    ///
    /// # Errors
    /// Says what is missing.
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

/// What a caller came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A session.
    Session {
        /// Which.
        id: SessionId,
        /// When it ends.
        expires_at: TimestampMs,
    },
    /// An API token.
    ApiToken(ApiToken),
}

/// An API token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: TimestampMs,
    /// When it ends; none: never.
    pub expires_at: Option<TimestampMs>,
    /// When it was last used, to the minute; none: never.
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
