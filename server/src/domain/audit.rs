//! The entries of the audit log: who did what to which object, when and from where.

use serde_json::Value;

use super::TimestampMs;
use super::id::{ApiTokenId, UserId};
use super::user::User;

/// Who performed an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user with a session.
    User {
        /// The user's id.
        id: UserId,
        /// The username at the time.
        name: String,
    },
    /// A program with an API token of a user.
    ApiToken {
        /// The owner's id.
        user_id: UserId,
        /// The owner's username at the time.
        username: String,
        /// The token's id.
        id: ApiTokenId,
    },
    /// Somebody at the server's command line.
    CommandLine,
    /// The server itself.
    System,
    /// Somebody who is not logged in.
    Nobody,
}

impl Actor {
    /// Returns the kind as stored and shown.
    pub fn kind(&self) -> &'static str {
        match self {
            Actor::User { .. } => "user",
            Actor::ApiToken { .. } => "api_token",
            Actor::CommandLine => "command_line",
            Actor::System => "system",
            Actor::Nobody => "nobody",
        }
    }

    /// Returns the id of the user, if any.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Actor::User { id, .. } | Actor::ApiToken { user_id: id, .. } => Some(*id),
            Actor::CommandLine | Actor::System | Actor::Nobody => None,
        }
    }

    /// Returns the username; empty if there is none.
    pub fn name(&self) -> &str {
        match self {
            Actor::User { name, .. } | Actor::ApiToken { username: name, .. } => name,
            Actor::CommandLine | Actor::System | Actor::Nobody => "",
        }
    }

    /// Returns the id of the API token, if one was used.
    pub fn api_token_id(&self) -> Option<ApiTokenId> {
        match self {
            Actor::ApiToken { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// When and from where an action was performed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The time.
    pub at: TimestampMs,
    /// The client's address; empty if there was no request.
    pub address: String,
    /// The id of the request; empty if there was none.
    pub request_id: String,
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Returns the name as stored and shown.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }
        }
    };
}

names!(
    /// An action in the audit log.
    Action {
        /// Somebody logged in.
        Login = "user.login",
        /// A login failed.
        LoginFailed = "user.login_failed",
        /// Somebody logged out.
        Logout = "user.logout",
        /// A user was created.
        UserCreated = "user.create",
        /// A user's name, contact data or role was changed.
        UserUpdated = "user.update",
        /// A user was deleted.
        UserDeleted = "user.delete",
        /// A user was enabled.
        UserEnabled = "user.enable",
        /// A user was disabled.
        UserDisabled = "user.disable",
        /// A user changed their own password.
        PasswordChanged = "user.change_password",
        /// An administrator set another user's password.
        PasswordReset = "user.reset_password",
        /// A session was ended from another one.
        SessionEnded = "session.end",
        /// An API token was created.
        ApiTokenCreated = "api_token.create",
        /// An API token was revoked.
        ApiTokenDeleted = "api_token.delete",
        /// A second factor was set up.
        TotpEnabled = "totp.enable",
        /// A user removed their own second factor.
        TotpDisabled = "totp.disable",
        /// An administrator removed another user's second factor.
        TotpReset = "totp.reset",
        /// A recovery code was used in place of a second factor.
        RecoveryCodeUsed = "totp.use_recovery_code",
        /// An enrollment token was created.
        EnrollmentCreated = "enrollment.create",
        /// An enrollment token was revoked.
        EnrollmentDeleted = "enrollment.delete",
        /// An agent was enrolled, or enrolled again, with an enrollment token.
        AgentEnrolled = "agent.enroll",
        /// An agent was changed.
        AgentUpdated = "agent.update",
        /// An agent was deleted.
        AgentDeleted = "agent.delete",
        /// An agent replaced its secret.
        AgentSecretRotated = "agent.rotate_secret",
        /// An agent's secret was revoked.
        AgentSecretRevoked = "agent.revoke_secret",
        /// A setting was changed.
        SettingsUpdated = "settings.update",
        /// An alert rule was created.
        AlertRuleCreated = "alert_rule.create",
        /// An alert rule was changed.
        AlertRuleUpdated = "alert_rule.update",
        /// An alert rule was deleted.
        AlertRuleDeleted = "alert_rule.delete",
        /// A silence was created.
        AlertSilenceCreated = "alert_silence.create",
        /// A silence was changed.
        AlertSilenceUpdated = "alert_silence.update",
        /// A silence was deleted.
        AlertSilenceDeleted = "alert_silence.delete",
        /// An alert was acknowledged.
        AlertAcknowledged = "alert.acknowledge",
        /// An acknowledgement was withdrawn.
        AlertUnacknowledged = "alert.unacknowledge",
        /// An alert was snoozed, or a snooze was ended.
        AlertSnoozed = "alert.snooze",
        /// A note was added to an alert.
        AlertNoted = "alert.note",
        /// A channel was created.
        AlertChannelCreated = "alert_channel.create",
        /// A channel was changed.
        AlertChannelUpdated = "alert_channel.update",
        /// A channel was deleted.
        AlertChannelDeleted = "alert_channel.delete",
        /// A channel was enabled.
        AlertChannelEnabled = "alert_channel.enable",
        /// A channel was disabled.
        AlertChannelDisabled = "alert_channel.disable",
        /// A test message was sent through a channel.
        AlertChannelTested = "alert_channel.test",
        /// A message that was given up was queued again.
        AlertDeliveryRetried = "alert_delivery.retry",
    }
);

names!(
    /// The kind of an object.
    ObjectKind {
        /// A user.
        User = "user",
        /// A session.
        Session = "session",
        /// An API token.
        ApiToken = "api_token",
        /// An enrollment token.
        Enrollment = "enrollment",
        /// An agent.
        Agent = "agent",
        /// A setting.
        Setting = "setting",
        /// An alert rule.
        AlertRule = "alert_rule",
        /// A silence.
        AlertSilence = "alert_silence",
        /// An alert.
        Alert = "alert",
        /// A channel.
        AlertChannel = "alert_channel",
        /// A message to a channel.
        AlertDelivery = "alert_delivery",
    }
);

/// The object of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The kind of the object.
    pub kind: ObjectKind,
    /// Its public id.
    pub id: String,
    /// Its name at the time, possibly empty.
    pub name: String,
}

impl Object {
    /// Creates an object.
    pub fn new(kind: ObjectKind, id: &impl ToString, name: impl Into<String>) -> Self {
        Self { kind, id: id.to_string(), name: name.into() }
    }

    /// Creates the object of a user.
    pub fn user(user: &User) -> Self {
        Self::new(ObjectKind::User, &user.id, &user.username)
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// The actor.
    pub actor: Actor,
    /// When and from where it was performed.
    pub origin: Origin,
    /// The action.
    pub action: Action,
    /// The object, if there is one.
    pub object: Option<Object>,
    /// Further details, a JSON object. Never contains a secret.
    pub details: Value,
}

impl AuditEvent {
    /// Creates an event without object and details.
    pub fn new(actor: Actor, origin: Origin, action: Action) -> Self {
        Self { actor, origin, action, object: None, details: Value::Object(serde_json::Map::new()) }
    }

    /// Sets the object.
    #[must_use]
    pub fn about(mut self, object: Object) -> Self {
        self.object = Some(object);
        self
    }

    /// Sets the details. They must not contain a secret.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}
