//! Passwords of users: changing your own, resetting another user's.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use secrecy::ExposeSecret;
use serde::Deserialize;
use uuid::Uuid;

use super::body::Body;
use super::done::DoneResponse;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::auth::NewPassword;
use crate::domain::audit::Action;
use crate::domain::id::UserId;
use crate::domain::permission::Permission;

/// Passwords of users.
#[derive(Debug)]
pub struct UserPasswordsApi;

/// The caller's old password and a new one.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordChange {
    /// The current password.
    #[oai(validator(min_length = 1, max_length = 1024))]
    old_password: String,
    /// The new password (at least 8 characters, at most 1,024 bytes).
    new_password: String,
}

/// A new password for another user.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct PasswordReset {
    /// The new password (at least 8 characters, at most 1,024 bytes); generated if omitted.
    #[serde(default)]
    password: Option<String>,
}

/// The result of setting a password.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct PasswordResetResult {
    /// The generated password; null if one was given. It is shown only once, here.
    password: Option<String>,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Users")]
impl UserPasswordsApi {
    /// Change your own password
    ///
    /// Takes a session and the old password. All other sessions of the user end; API tokens stay.
    #[oai(path = "/users/:id/password", method = "post", operation_id = "changePassword")]
    async fn change_password(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The caller's own id.
        id: Path<Uuid>,
        body: Body<PasswordChange>,
    ) -> Result<DoneResponse, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        if caller.user.id.0 != id.0 {
            return Err(ApiError::forbidden(
                "only your own password can be changed; administrators reset those of others",
            ));
        }
        let Body(PasswordChange { old_password, new_password }) = body;
        let event = caller.event(Action::PasswordChanged);
        let session = caller.session()?;
        context
            .auth
            .change_password(&caller.user, old_password.into(), new_password.into(), session, event)
            .await?;
        Ok(DoneResponse::NoContent)
    }

    /// Reset another user's password
    ///
    /// For administrators with a session. All sessions of the user end; API tokens stay. Not for your own (403).
    #[oai(path = "/users/:id/reset-password", method = "post", operation_id = "resetPassword")]
    async fn reset_password(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The user's id.
        id: Path<Uuid>,
        body: Body<PasswordReset>,
    ) -> Result<Json<PasswordResetResult>, ApiError> {
        let caller = auth.require(Permission::ManageCredentials)?;
        let password = NewPassword::given_or_generated(body.0.password);
        let event = caller.event(Action::PasswordReset);
        let password = context.auth.reset_password(UserId(id.0), password, event).await?;
        let password = password.map(|password| password.expose_secret().to_owned());
        Ok(Json(PasswordResetResult { password }))
    }
}
