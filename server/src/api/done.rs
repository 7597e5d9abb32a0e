//! The empty answer of successful operations.

use poem_openapi::ApiResponse;

#[derive(ApiResponse)]
pub(super) enum DoneResponse {
    /// Done.
    #[oai(status = 204)]
    NoContent,
}
