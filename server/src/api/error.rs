//! Errors as the API answers them: one shape, statuses used as they are meant, no details of the inside.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};

use crate::auth::{AuthError, PasswordError};
use crate::domain::time_range::TimeRangeError;
use crate::http::request_id;
use crate::store;
use crate::telemetry::chain;

/// How many seconds a client should wait before it tries again.
const RETRY_AFTER_SECONDS: u64 = 5;

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be understood.
    BadRequest,
    /// Nobody is logged in, or the login has ended.
    Unauthorized,
    /// The username or the password is wrong.
    InvalidCredentials,
    /// Somebody is logged in who may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// It contradicts what is there.
    Conflict,
    /// The body is too large.
    PayloadTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// It is understood, but its values make no sense.
    Unprocessable,
    /// Too often.
    TooManyRequests,
    /// The server is at fault. The log knows more under the request's id.
    Internal,
    /// The server cannot do it now; try again later.
    Unavailable,
}

/// The body of every error.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Error", rename_all = "camelCase")]
pub struct ErrorBody {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people.
    pub message: String,
    /// Identifies the request in the server's log; also in the header `X-Request-Id`.
    pub request_id: String,
}

impl ErrorBody {
    /// The body for the request that is being handled.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Json<Self> {
        Json(Self { code, message: message.into(), request_id: request_id::current() })
    }
}

/// All errors of the API.
#[derive(Debug, ApiResponse)]
pub enum ApiError {
    /// The request cannot be understood; the message names the parameter.
    #[oai(status = 400)]
    BadRequest(Json<ErrorBody>),
    /// Nobody is logged in, or the credentials are wrong.
    #[oai(status = 401)]
    Unauthorized(Json<ErrorBody>),
    /// The caller may not do this.
    #[oai(status = 403)]
    Forbidden(Json<ErrorBody>),
    /// There is no such thing.
    #[oai(status = 404)]
    NotFound(Json<ErrorBody>),
    /// The body is too large.
    #[oai(status = 413)]
    PayloadTooLarge(Json<ErrorBody>),
    /// The body is not JSON.
    #[oai(status = 415)]
    UnsupportedMediaType(Json<ErrorBody>),
    /// The values make no sense; the message names the parameter.
    #[oai(status = 422)]
    Unprocessable(Json<ErrorBody>),
    /// Too many ask for this at the same time.
    #[oai(status = 429)]
    TooManyRequests(
        Json<ErrorBody>,
        /// Seconds to wait before trying again.
        #[oai(header = "Retry-After")]
        u64,
    ),
    /// The server is at fault.
    #[oai(status = 500)]
    Internal(Json<ErrorBody>),
    /// The server cannot do it now.
    #[oai(status = 503)]
    Unavailable(
        Json<ErrorBody>,
        /// Seconds to wait before trying again.
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

    /// 422, naming the parameter.
    pub fn unprocessable(parameter: &str, message: &str) -> Self {
        ApiError::Unprocessable(ErrorBody::new(ErrorCode::Unprocessable, format!("{parameter}: {message}")))
    }

    /// 500; the cause goes into the log and nowhere else.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %chain(error), request_id = %request_id::current(), "a request failed");
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

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match &error {
            store::Error::Unavailable(_) | store::Error::Rejected(_) => {
                tracing::warn!(error = %chain(&error), request_id = %request_id::current(), "no database for a request");
                ApiError::unavailable("the database is not available; try again later")
            }
            store::Error::TimedOut(_) => {
                tracing::warn!(error = %chain(&error), request_id = %request_id::current(), "the database took too long");
                ApiError::unavailable("the database took too long to answer; ask for a narrower range")
            }
            store::Error::TooManyBuckets => ApiError::unprocessable(
                "points",
                "all disks or interfaces of this agent together have too many buckets; ask for fewer points",
            ),
            // Expected conflicts are handled where they can happen; others are mistakes.
            store::Error::Conflict { .. } | store::Error::Unsupported(_) | store::Error::Database(_) => {
                ApiError::internal(&error)
            }
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::InvalidCredentials => {
                ApiError::Unauthorized(ErrorBody::new(ErrorCode::InvalidCredentials, error.to_string()))
            }
            AuthError::Store(error) => error.into(),
            AuthError::Password(PasswordError::Busy) => ApiError::too_many_requests(&error.to_string()),
            AuthError::Password(PasswordError::Stopping) => ApiError::unavailable(&error.to_string()),
            AuthError::Password(_) | AuthError::Random(_) => ApiError::internal(&error),
        }
    }
}

impl From<TimeRangeError> for ApiError {
    fn from(error: TimeRangeError) -> Self {
        ApiError::unprocessable(error.parameter, &error.message)
    }
}
