//! What the audit log holds: who did what to which object, when and from where.

use serde_json::Value;

use super::TimestampMs;
use super::id::{ApiTokenId, UserId};
use super::user::User;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user with a session.
    User {
        /// Who.
        id: UserId,
        /// The username at the time.
        name: String,
    },
    /// A program with an API token of a user.
    ApiToken {
        /// Whose.
        user_id: UserId,
        /// The owner's username at the time.
        username: String,
        /// Which token.
        id: ApiTokenId,
    },
    /// Somebody at the server's own command line.
    CommandLine,
    /// The server itself.
    System,
    /// Somebody who is not logged in.
    Nobody,
}

impl Actor {
    /// The kind as it is stored and shown.
    pub fn kind(&self) -> &'static str {
        match self {
            Actor::User { .. } => "user",
            Actor::ApiToken { .. } => "api_token",
            Actor::CommandLine => "command_line",
            Actor::System => "system",
            Actor::Nobody => "nobody",
        }
    }

    /// The user behind it.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Actor::User { id, .. } | Actor::ApiToken { user_id: id, .. } => Some(*id),
            Actor::CommandLine | Actor::System | Actor::Nobody => None,
        }
    }

    /// The username; empty where there is none.
    pub fn name(&self) -> &str {
        match self {
            Actor::User { name, .. } | Actor::ApiToken { username: name, .. } => name,
            Actor::CommandLine | Actor::System | Actor::Nobody => "",
        }
    }

    /// The API token that was used.
    pub fn api_token_id(&self) -> Option<ApiTokenId> {
        match self {
            Actor::ApiToken { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// When and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// When.
    pub at: TimestampMs,
    /// The address that the request came from; empty where there was none.
    pub address: String,
    /// The id of the request; empty where there was none.
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
            /// The name as it is stored and shown.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }
        }
    };
}

names!(
    /// What was done.
    Action {
        /// Somebody logged in.
        Login = "user.login",
        /// Somebody did not get in.
        LoginFailed = "user.login_failed",
        /// Somebody logged out.
        Logout = "user.logout",
        /// A user was made.
        UserCreated = "user.create",
        /// A user's name, contact data or role was changed.
        UserUpdated = "user.update",
        /// A user was deleted.
        UserDeleted = "user.delete",
        /// A user was enabled.
        UserEnabled = "user.enable",
        /// A user was disabled.
        UserDisabled = "user.disable",
        /// Somebody changed the own password.
        PasswordChanged = "user.change_password",
        /// Somebody set another's password.
        PasswordReset = "user.reset_password",
        /// A session was ended from another one.
        SessionEnded = "session.end",
        /// An API token was made.
        ApiTokenCreated = "api_token.create",
        /// An API token was ended.
        ApiTokenDeleted = "api_token.delete",
        /// A second factor was set up.
        TotpEnabled = "totp.enable",
        /// Somebody removed the own second factor.
        TotpDisabled = "totp.disable",
        /// Somebody removed another's second factor.
        TotpReset = "totp.reset",
        /// A recovery code was used in place of a second factor.
        RecoveryCodeUsed = "totp.use_recovery_code",
        /// An enrollment token was made.
        EnrollmentCreated = "enrollment.create",
        /// An enrollment token was ended.
        EnrollmentDeleted = "enrollment.delete",
        /// A machine brought an enrollment token, and is an agent from now on, or again.
        AgentEnrolled = "agent.enroll",
        /// An agent was changed.
        AgentUpdated = "agent.update",
        /// An agent was deleted.
        AgentDeleted = "agent.delete",
        /// An agent has replaced its secret.
        AgentSecretRotated = "agent.rotate_secret",
        /// An agent's secret was revoked.
        AgentSecretRevoked = "agent.revoke_secret",
        /// A setting was changed.
        SettingsUpdated = "settings.update",
        /// An alert rule was made.
        AlertRuleCreated = "alert_rule.create",
        /// An alert rule was changed.
        AlertRuleUpdated = "alert_rule.update",
        /// An alert rule was deleted.
        AlertRuleDeleted = "alert_rule.delete",
        /// A silence was made.
        AlertSilenceCreated = "alert_silence.create",
        /// A silence was changed.
        AlertSilenceUpdated = "alert_silence.update",
        /// A silence was deleted.
        AlertSilenceDeleted = "alert_silence.delete",
        /// Somebody looks after an alert.
        AlertAcknowledged = "alert.acknowledge",
        /// Nobody looks after an alert any more.
        AlertUnacknowledged = "alert.unacknowledge",
        /// Somebody does not want to hear of an alert for a while, or does again.
        AlertSnoozed = "alert.snooze",
        /// Somebody has said something about an alert.
        AlertNoted = "alert.note",
        /// A channel was made.
        AlertChannelCreated = "alert_channel.create",
        /// A channel was changed.
        AlertChannelUpdated = "alert_channel.update",
        /// A channel was deleted.
        AlertChannelDeleted = "alert_channel.delete",
        /// A channel was enabled.
        AlertChannelEnabled = "alert_channel.enable",
        /// A channel was disabled.
        AlertChannelDisabled = "alert_channel.disable",
        /// A channel was tried with a real message.
        AlertChannelTested = "alert_channel.test",
        /// A message that was given up is sent again.
        AlertDeliveryRetried = "alert_delivery.retry",
    }
);

names!(
    /// What kind of thing it was done to.
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

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What kind of thing.
    pub kind: ObjectKind,
    /// Its public id.
    pub id: String,
    /// Its name at the time; possibly empty.
    pub name: String,
}

impl Object {
    /// A thing with an id and a name.
    pub fn new(kind: ObjectKind, id: &impl ToString, name: impl Into<String>) -> Self {
        Self { kind, id: id.to_string(), name: name.into() }
    }

    /// A user.
    pub fn user(user: &User) -> Self {
        Self::new(ObjectKind::User, &user.id, &user.username)
    }
}

/// Something that somebody did, for the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Who.
    pub actor: Actor,
    /// When and from where.
    pub origin: Origin,
    /// What.
    pub action: Action,
    /// To what; none where there is nothing to name.
    pub object: Option<Object>,
    /// What else is worth knowing: an object of JSON, never with a secret in it.
    pub details: Value,
}

impl AuditEvent {
    /// An event about nothing in particular.
    pub fn new(actor: Actor, origin: Origin, action: Action) -> Self {
        Self { actor, origin, action, object: None, details: Value::Object(serde_json::Map::new()) }
    }

    /// With what it was done to.
    #[must_use]
    pub fn about(mut self, object: Object) -> Self {
        self.object = Some(object);
        self
    }

    /// With what else is worth knowing. Never a secret.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}
