//! Large answers, serialized to JSON straight from their types.
//!
//! poem-openapi's own `Json` first builds a tree of values, which for ten thousand agents costs more than the query.

use std::marker::PhantomData;

use bytes::Bytes;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use serde::Serialize;

/// Describes an answer of type `T` to OpenAPI.
fn answered<T: Type>() -> MetaResponses {
    let content = MetaMediaType { content_type: Json::<T>::CONTENT_TYPE, schema: T::schema_ref() };
    MetaResponses {
        responses: vec![MetaResponse {
            description: "",
            status: Some(200),
            status_range: None,
            content: vec![content],
            headers: vec![],
        }],
    }
}

/// A JSON answer. To OpenAPI it is the same as [`Json`]; the type's serde names must match its description.
#[derive(Debug)]
pub(super) struct Serialized<T>(pub(super) T);

impl<T: Type + Send> Payload for Serialized<T> {
    const CONTENT_TYPE: &'static str = Json::<T>::CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Serialize + Send> IntoResponse for Serialized<T> {
    fn into_response(self) -> Response {
        poem::web::Json(self.0).into_response()
    }
}

impl<T: ToJSON + Serialize> ApiResponse for Serialized<T> {
    fn meta() -> MetaResponses {
        answered::<T>()
    }

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }
}

/// A [`Serialized`] answer that was written earlier and may be sent several times.
#[derive(Debug)]
pub(super) struct Written<T>(Bytes, PhantomData<fn() -> T>);

impl<T> Written<T> {
    pub(super) fn new(written: Bytes) -> Self {
        Self(written, PhantomData)
    }
}

impl<T: Serialize> Written<T> {
    /// Serializes an answer. Types like these, without maps, can always be serialized.
    pub(super) fn text(answer: &T) -> Bytes {
        serde_json::to_vec(answer).unwrap_or_default().into()
    }
}

impl<T: Type + Send> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type(Json::<T>::CONTENT_TYPE).body(self.0)
    }
}

impl<T: ToJSON> ApiResponse for Written<T> {
    fn meta() -> MetaResponses {
        answered::<T>()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// Checks that both ways serialize an answer alike, so that the description holds.
#[cfg(test)]
pub(super) fn assert_described<T: ToJSON + Serialize>(answer: &T) {
    assert_eq!(serde_json::to_value(answer).ok(), answer.to_json());
}
