//! Errors of the API: one format, standard statuses, no internal details.

use std::sync::Arc;

use pika_shared::chain;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};

use crate::auth::{AuthError, PasswordError};
use crate::domain::enrollment::EnrollmentError;
use crate::domain::permission::Denied;
use crate::domain::time_range::TimeRangeError;
use crate::http::request_id;
use crate::store::{self, ApiTokenError, UserError};

/// How many seconds a client should wait before it retries.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The kind of an error, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is malformed.
    BadRequest,
    /// Nobody is logged in, or the session has ended.
    Unauthorized,
    /// The username, the password, the token or the code is wrong.
    InvalidCredentials,
    /// Username and password are correct; log in again with a code of the second factor.
    TotpRequired,
    /// The user is logged in but may not do this.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The request conflicts with existing state.
    Conflict,
    /// The body is too large.
    PayloadTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The request is well-formed, but its values are invalid.
    Unprocessable,
    /// Too many requests.
    TooManyRequests,
    /// The server failed. Its log has details under the request's id.
    Internal,
    /// The server cannot do this now; try again later.
    Unavailable,
}

/// The body of every error.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Error", rename_all = "camelCase")]
pub struct ErrorBody {
    /// The kind of the error, for programs.
    pub code: ErrorCode,
    /// A description of the error, for people.
    pub message: String,
    /// Identifies the request in the server's log; also in the header `X-Request-Id`.
    pub request_id: String,
}

impl ErrorBody {
    /// Creates the body for the current request.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Json<Self> {
        Json(Self { code, message: message.into(), request_id: request_id::current() })
    }
}

/// All errors of the API.
#[derive(Debug, ApiResponse)]
pub enum ApiError {
    /// The request is malformed; the message names the parameter.
    #[oai(status = 400)]
    BadRequest(Json<ErrorBody>),
    /// Nobody is logged in, or the credentials are wrong.
    #[oai(status = 401)]
    Unauthorized(Json<ErrorBody>),
    /// The caller may not do this.
    #[oai(status = 403)]
    Forbidden(Json<ErrorBody>),
    /// The resource does not exist.
    #[oai(status = 404)]
    NotFound(Json<ErrorBody>),
    /// The request conflicts with existing state.
    #[oai(status = 409)]
    Conflict(Json<ErrorBody>),
    /// The body is too large.
    #[oai(status = 413)]
    PayloadTooLarge(Json<ErrorBody>),
    /// The body is not JSON.
    #[oai(status = 415)]
    UnsupportedMediaType(Json<ErrorBody>),
    /// The values are invalid; the message names the parameter.
    #[oai(status = 422)]
    Unprocessable(Json<ErrorBody>),
    /// Too many requests at the same time or within a while.
    #[oai(status = 429)]
    TooManyRequests(
        Json<ErrorBody>,
        /// Seconds to wait before retrying.
        #[oai(header = "Retry-After")]
        u64,
    ),
    /// The server failed.
    #[oai(status = 500)]
    Internal(Json<ErrorBody>),
    /// The server cannot do this now.
    #[oai(status = 503)]
    Unavailable(
        Json<ErrorBody>,
        /// Seconds to wait before retrying.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

impl ApiError {
    /// 401.
    pub fn unauthorized(message: &str) -> Self {
        ApiError::Unauthorized(ErrorBody::new(ErrorCode::Unauthorized, message))
    }

    /// 403.
    pub fn forbidden(message: &str) -> Self {
        ApiError::Forbidden(ErrorBody::new(ErrorCode::Forbidden, message))
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        ApiError::NotFound(ErrorBody::new(ErrorCode::NotFound, message))
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        ApiError::Conflict(ErrorBody::new(ErrorCode::Conflict, message))
    }

    /// 422, naming the parameter.
    pub fn unprocessable(parameter: &str, message: &str) -> Self {
        ApiError::Unprocessable(ErrorBody::new(ErrorCode::Unprocessable, format!("{parameter}: {message}")))
    }

    /// 500; the cause is logged and not disclosed.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        if let Some(count) = request_id::note("internal error") {
            let request_id = request_id::current();
            tracing::error!(error = %chain(error), request_id, count, "a request failed");
        }
        ApiError::Internal(ErrorBody::new(ErrorCode::Internal, "the server failed; its log says why"))
    }

    /// 429.
    pub fn too_many_requests(message: &str) -> Self {
        ApiError::TooManyRequests(ErrorBody::new(ErrorCode::TooManyRequests, message), RETRY_AFTER_SECONDS)
    }

    /// 503.
    pub fn unavailable(message: &str) -> Self {
        ApiError::Unavailable(ErrorBody::new(ErrorCode::Unavailable, message), RETRY_AFTER_SECONDS)
    }
}

/// Rate-limited, since anybody can cause these errors.
fn log_database_error(error: &store::Error, what: &'static str) {
    if let Some(count) = request_id::note(what) {
        tracing::warn!(error = %chain(error), request_id = request_id::current(), count, "{what}");
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        Self::from(&error)
    }
}

/// Several requests wait for the same answer.
impl From<Arc<store::Error>> for ApiError {
    fn from(error: Arc<store::Error>) -> Self {
        Self::from(&*error)
    }
}

impl From<&store::Error> for ApiError {
    fn from(error: &store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) | store::Error::ReadOnly | store::Error::Rejected(_) => {
                log_database_error(error, "no database for a request");
                ApiError::unavailable("the database is not available; try again later")
            }
            store::Error::TimedOut(_) => {
                log_database_error(error, "the database took too long");
                ApiError::unavailable("the database took too long to answer; ask for a narrower range")
            }
            store::Error::TooManyBuckets => ApiError::unprocessable(
                "points",
                "all disks or interfaces of this agent together have too many buckets; ask for fewer points",
            ),
            store::Error::TooManyCharts => {
                ApiError::too_many_requests("too many charts are being read; try again later")
            }
            // Expected conflicts are handled where they can happen; others are bugs.
            store::Error::Conflict { .. } | store::Error::Unsupported(_) | store::Error::Database(_) => {
                ApiError::internal(error)
            }
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let message = error.to_string();
        match error {
            AuthError::InvalidCredentials | AuthError::InvalidToken => {
                ApiError::Unauthorized(ErrorBody::new(ErrorCode::InvalidCredentials, message))
            }
            AuthError::CodeRequired | AuthError::InvalidCode => {
                ApiError::Unauthorized(ErrorBody::new(ErrorCode::TotpRequired, message))
            }
            // Not 401: the caller stays logged in.
            AuthError::WrongPassword | AuthError::WrongCode => {
                ApiError::Forbidden(ErrorBody::new(ErrorCode::InvalidCredentials, message))
            }
            AuthError::OwnAccount => ApiError::forbidden(&message),
            AuthError::Limited { retry_after_ms } => ApiError::TooManyRequests(
                ErrorBody::new(ErrorCode::TooManyRequests, message),
                retry_after_ms.unsigned_abs().div_ceil(1_000).max(1),
            ),
            AuthError::TotpEnabled => ApiError::conflict(message),
            AuthError::NoTotp => ApiError::not_found(message),
            AuthError::User(error) => error.into(),
            AuthError::Store(error) => error.into(),
            AuthError::Password(PasswordError::Rule(_)) => ApiError::unprocessable("password", &message),
            AuthError::Password(PasswordError::Busy) => ApiError::too_many_requests(&message),
            AuthError::Password(PasswordError::Stopping) => ApiError::unavailable(&message),
            AuthError::Password(_) | AuthError::Random(_) | AuthError::Secrets(_) => {
                ApiError::internal(&error)
            }
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => ApiError::not_found(error.to_string()),
            UserError::NameTaken | UserError::NameLooksTaken | UserError::LastAdmin => {
                ApiError::conflict(error.to_string())
            }
            UserError::Store(error) => error.into(),
        }
    }
}

impl From<ApiTokenError> for ApiError {
    fn from(error: ApiTokenError) -> Self {
        match error {
            ApiTokenError::TooMany => ApiError::conflict(error.to_string()),
            ApiTokenError::Store(error) => error.into(),
        }
    }
}

impl From<EnrollmentError> for ApiError {
    fn from(error: EnrollmentError) -> Self {
        // The message names the parameter itself.
        ApiError::Unprocessable(ErrorBody::new(ErrorCode::Unprocessable, error.to_string()))
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        ApiError::forbidden(&denied.to_string())
    }
}

impl From<TimeRangeError> for ApiError {
    fn from(error: TimeRangeError) -> Self {
        ApiError::unprocessable(error.parameter, &error.message)
    }
}
