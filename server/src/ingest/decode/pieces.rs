//! Reads parts of a frame one by one: what cannot be understood is refused by name, and costs only itself.

use pika_protocol::ErrorCode;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::refused::Refused;

/// Longer names of types are not repeated.
const TYPE_BYTES_SHOWN_MAX: usize = 24;
/// Pieces of one frame that are refused one by one. A frame of commas must not become a hundred times its size in reasons.
pub(super) const REFUSED_PIECES_MAX: usize = 1_000;

/// Repeats the name where it is short, and so no token.
pub(super) fn unknown_type(kind: &str, name: &str) -> Refused {
    let message = if name.len() <= TYPE_BYTES_SHOWN_MAX {
        format!("there is no {kind} type {name:?}")
    } else {
        format!("there is no such {kind} type")
    };
    Refused::new(ErrorCode::UnknownType, message)
}

pub(super) fn parse_field<T: DeserializeOwned>(field: &str, data: &RawValue) -> Result<T, Refused> {
    serde_json::from_str(data.get())
        .map_err(|error| Refused::new(ErrorCode::InvalidField, format!("{field}: {error}")))
}

/// Notes what was not understood; of a frame that holds little else, only so many pieces.
pub(super) fn note(refused: &mut Vec<Refused>, refusal: Refused) {
    if refused.len() < REFUSED_PIECES_MAX {
        refused.push(refusal);
    }
}

/// One piece, or a list of them.
pub(super) trait Pieces<T> {
    /// What was understood of them.
    type Understood;

    /// Understands what can be understood.
    fn understand(self, field: &str, refused: &mut Vec<Refused>) -> Self::Understood;
}

impl<T: DeserializeOwned> Pieces<T> for Option<&RawValue> {
    type Understood = Option<T>;

    fn understand(self, field: &str, refused: &mut Vec<Refused>) -> Option<T> {
        match parse_field(field, self?) {
            Ok(value) => Some(value),
            Err(refusal) => {
                note(refused, refusal);
                None
            }
        }
    }
}

impl<T: DeserializeOwned> Pieces<T> for Vec<&RawValue> {
    type Understood = Vec<T>;

    fn understand(self, field: &str, refused: &mut Vec<Refused>) -> Vec<T> {
        let mut understood = Vec::with_capacity(self.len());
        for (index, item) in self.into_iter().enumerate() {
            match parse_field(&format!("{field}[{index}]"), item) {
                Ok(item) => understood.push(item),
                Err(refusal) => note(refused, refusal),
            }
        }
        understood
    }
}
