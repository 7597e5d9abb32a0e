//! Texts of requests, checked.

use super::ApiError;
use crate::domain::name::normalize;

/// A text that was checked, or 422.
pub(super) fn checked<E: std::error::Error>(
    parameter: &str,
    result: Result<String, E>,
) -> Result<String, ApiError> {
    result.map_err(|error| ApiError::unprocessable(parameter, &error.to_string()))
}

/// A text to be searched for, as names are kept. The database knows no null characters.
pub(super) fn search_text(parameter: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.contains('\0') => {
            Err(ApiError::unprocessable(parameter, "must not have null characters"))
        }
        text => Ok(text.map(|text| normalize(&text))),
    }
}
