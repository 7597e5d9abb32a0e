//! The answer of operations that have nothing to say but that they are done.

use poem_openapi::ApiResponse;

#[derive(ApiResponse)]
pub(super) enum DoneResponse {
    /// Done.
    #[oai(status = 204)]
    NoContent,
}
