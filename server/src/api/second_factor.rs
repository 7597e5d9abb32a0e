//! Second factors: one-time passwords from the user's device (TOTP, RFC 6238), and recovery codes.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret;
use serde::Deserialize;
use uuid::Uuid;

use super::body::Body;
use super::security::UserAuth;
use super::users::find;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::{Action, Object as AuditObject};
use crate::domain::permission::Permission;

/// Second factors.
#[derive(Debug)]
pub struct SecondFactorApi;

/// The caller's password.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct TotpRequest {
    /// The password.
    #[oai(validator(min_length = 1, max_length = 1024))]
    password: String,
}

/// What a device needs to compute codes.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct TotpSetupBody {
    /// The secret in base32, for typing into the device. It is shown only once, here.
    secret: String,
    /// The same as an `otpauth://` URL, for a QR code.
    otpauth_url: String,
}

/// A code.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct TotpConfirmation {
    /// The six digits shown by the device.
    #[oai(validator(min_length = 1, max_length = 64))]
    code: String,
}

/// Codes to log in with when the device is lost.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct RecoveryCodes {
    /// Each can be used once in place of a code. They are shown only once, here.
    recovery_codes: Vec<String>,
}

/// The caller's password and a code.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct TotpRemoval {
    /// The password.
    #[oai(validator(min_length = 1, max_length = 1024))]
    password: String,
    /// The code shown by the device, or a recovery code.
    #[oai(validator(min_length = 1, max_length = 64))]
    code: String,
}

#[derive(ApiResponse)]
enum RemovedResponse {
    /// The second factor was removed.
    #[oai(status = 204)]
    NoContent,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Account")]
impl SecondFactorApi {
    /// Begin to set up a second factor
    ///
    /// Takes a session and the password. Logins ask for no code until the setup is confirmed; starting again generates
    /// a new secret.
    #[oai(path = "/account/totp", method = "post", operation_id = "beginTotp")]
    async fn begin(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<TotpRequest>,
    ) -> Result<Json<TotpSetupBody>, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let setup = context.auth.begin_totp(&caller.user, body.0.password.into(), &caller.origin).await?;
        Ok(Json(TotpSetupBody {
            secret: setup.secret.expose_secret().to_owned(),
            otpauth_url: setup.url.expose_secret().to_owned(),
        }))
    }

    /// Confirm the setup of a second factor
    ///
    /// Takes a code from the device. From now on logins need one. Returns the recovery codes.
    #[oai(path = "/account/totp/confirm", method = "post", operation_id = "confirmTotp")]
    async fn confirm(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<TotpConfirmation>,
    ) -> Result<Json<RecoveryCodes>, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let event = caller.event(Action::TotpEnabled).about(AuditObject::user(&caller.user));
        let codes = context.auth.confirm_totp(&caller.user, &body.0.code.into(), &event).await?;
        let recovery_codes = codes.iter().map(|code| code.expose_secret().to_owned()).collect();
        Ok(Json(RecoveryCodes { recovery_codes }))
    }

    /// Remove your own second factor
    ///
    /// Takes the password and a code.
    #[oai(path = "/account/totp", method = "delete", operation_id = "removeTotp")]
    async fn remove(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<TotpRemoval>,
    ) -> Result<RemovedResponse, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let Body(TotpRemoval { password, code }) = body;
        let event = caller.event(Action::TotpDisabled).about(AuditObject::user(&caller.user));
        context.auth.disable_totp(&caller.user, password.into(), &code.into(), &event).await?;
        Ok(RemovedResponse::NoContent)
    }

    /// Remove another user's second factor
    ///
    /// For administrators with a session, if device and recovery codes are lost. Not for your own (403).
    #[oai(path = "/users/:id/totp", method = "delete", operation_id = "resetUserTotp")]
    async fn reset(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The user's id.
        id: Path<Uuid>,
    ) -> Result<RemovedResponse, ApiError> {
        let caller = auth.require(Permission::ManageCredentials)?;
        let user = find(&context.store, id.0).await?;
        if !context.auth.reset_totp(&user, caller.event(Action::TotpReset)).await? {
            return Err(ApiError::not_found(format!("the user {} has no second factor", id.0)));
        }
        Ok(RemovedResponse::NoContent)
    }
}
