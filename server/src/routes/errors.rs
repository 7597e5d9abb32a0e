//! Converts the framework's errors to the API's shape, without internal details.

use std::any::Any;

use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::StatusCode;
use poem::{Error, IntoResponse as _, Response};
use poem_openapi::OperationId;
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError,
};

use crate::api::{ApiError, ErrorBody, ErrorCode, Parameters};
use crate::http::{OutOfMemory, RequestRefused};
use crate::telemetry::MemoryRefusal;

/// Returns the response to an error.
pub(super) async fn respond(error: Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    if let Some(refused) = error.downcast_ref::<RequestRefused>() {
        return respond_to_refusal(refused);
    }
    let (status, code, message) = describe(&error);
    if status.is_server_error() {
        return ApiError::internal(&Opaque(error)).into_response();
    }
    let mut response = with_status(status, code, message);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert("WWW-Authenticate", poem::http::HeaderValue::from_static("Bearer"));
    }
    response
}

fn respond_to_refusal(refused: &RequestRefused) -> Response {
    let message = refused.to_string();
    let code = match refused {
        RequestRefused::OutOfMemory(OutOfMemory(MemoryRefusal::Full)) => {
            return ApiError::unavailable(&message).into_response();
        }
        RequestRefused::OutOfMemory(OutOfMemory(MemoryRefusal::FullForAddress)) => {
            return ApiError::too_many_requests(&message).into_response();
        }
        RequestRefused::BodyTooLarge { .. } => ErrorCode::PayloadTooLarge,
        RequestRefused::BodyTooSlow | RequestRefused::BodyIncomplete => ErrorCode::BadRequest,
    };
    with_status(refused.status(), code, message)
}

fn with_status(status: StatusCode, code: ErrorCode, message: String) -> Response {
    let mut response = ErrorBody::new(code, message).into_response();
    response.set_status(status);
    response
}

/// Replaces an error about a parameter by one that says what is allowed. Others are unchanged.
pub(super) fn explain(error: Error, parameters: &Parameters) -> Error {
    let (name, reason) = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(ParseParamError { name, reason }), _) | (_, Some(ParsePathError { name, reason })) => {
            (*name, reason)
        }
        _ => return error,
    };
    let operation = error.data::<OperationId>().map(|id| id.0).unwrap_or_default();
    let message = match parameters.find(operation, name) {
        Some(parameter) => {
            let is_missing = reason.contains("expects an input value");
            let wrong = if is_missing { "is missing; it must be" } else { "must be" };
            format!(
                "the parameter {} {wrong} {}. {}",
                parameter.name, parameter.allowed, parameter.description
            )
        }
        None => format!("the parameter {name} is not valid: {}", plain(reason)),
    };
    ApiError::BadRequest(ErrorBody::new(ErrorCode::BadRequest, message.trim_end())).into()
}

/// Returns the response to a panic, whose message is already in the log.
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    drop(panic);
    let message = "the server failed; its log says why".to_owned();
    with_status(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, message)
}

fn describe(error: &Error) -> (StatusCode, ErrorCode, String) {
    if let Some(error) = error.downcast_ref::<ParseRequestPayloadError>() {
        let message = format!("the body is not valid: {}", plain(&error.reason));
        return (StatusCode::BAD_REQUEST, ErrorCode::BadRequest, message);
    }
    if error.is::<ContentTypeError>() {
        let message = "the body must be application/json".to_owned();
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::UnsupportedMediaType, message);
    }
    if error.is::<AuthorizationError>() {
        let message = "log in first".to_owned();
        return (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message);
    }
    if error.is::<NotFoundError>() {
        return (StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this path".to_owned());
    }
    if error.is::<MethodNotAllowedError>() {
        let message = "this path has no such method".to_owned();
        return (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, message);
    }
    let status = error.status();
    let (code, message) = match status {
        StatusCode::NOT_FOUND => (ErrorCode::NotFound, "there is nothing at this path"),
        StatusCode::UNAUTHORIZED => (ErrorCode::Unauthorized, "log in first"),
        _ => (ErrorCode::BadRequest, "the request cannot be understood"),
    };
    (status, code, message.to_owned())
}

/// Strips the names of poem-openapi's types before (`failed to parse "integer_int64": …`) and after (`… (occurred while
/// parsing "optional_integer_int64")`) the reason.
fn plain(reason: &str) -> &str {
    let reason = reason.trim();
    let reason = reason.split_once(" (occurred while parsing ").map_or(reason, |(reason, _)| reason);
    match reason.strip_prefix("failed to parse ") {
        Some(rest) => rest.split_once(": ").map_or(reason, |(_, rest)| rest),
        None => reason,
    }
}

/// Wraps poem's error, which does not implement `Error`.
#[derive(Debug)]
struct Opaque(Error);

impl std::fmt::Display for Opaque {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Opaque {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_names_are_left_out() {
        assert_eq!(plain("failed to parse \"integer_int64\": invalid digit"), "invalid digit");
        let nested = "invalid digit (occurred while parsing \"optional_integer_int64\")";
        assert_eq!(plain(nested), "invalid digit");
        assert_eq!(plain("validation failed: minLength(1)"), "validation failed: minLength(1)");
    }
}
