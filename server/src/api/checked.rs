//! Validation of texts in requests.

use super::ApiError;
use crate::domain::name::normalize;

/// Returns a validated text, or 422.
pub(super) fn checked<E: std::error::Error>(
    parameter: &str,
    result: Result<String, E>,
) -> Result<String, ApiError> {
    result.map_err(|error| ApiError::unprocessable(parameter, &error.to_string()))
}

/// Returns a text to search for, normalized like stored names. The database cannot hold null characters.
pub(super) fn search_text(parameter: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.contains('\0') => {
            Err(ApiError::unprocessable(parameter, "must not contain null characters"))
        }
        text => Ok(text.map(|text| normalize(&text))),
    }
}
