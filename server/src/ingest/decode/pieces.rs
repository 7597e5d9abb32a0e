//! Decodes parts of a frame one by one: each that is invalid is refused by name without affecting the others.

use pika_protocol::ErrorCode;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::refused::Refused;

/// Longer type names are not repeated in errors.
const TYPE_BYTES_SHOWN_MAX: usize = 24;
/// Maximum pieces of one frame refused individually. A frame of commas must not grow a hundredfold into reasons.
pub(super) const REFUSED_PIECES_MAX: usize = 1_000;

/// Repeats the name only if it is too short to be a token.
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

/// Adds a refusal, up to [`REFUSED_PIECES_MAX`].
pub(super) fn note(refused: &mut Vec<Refused>, refusal: Refused) {
    if refused.len() < REFUSED_PIECES_MAX {
        refused.push(refusal);
    }
}

/// One piece, or a list of them.
pub(super) trait Pieces<T> {
    /// The pieces that could be decoded.
    type Understood;

    /// Decodes what can be decoded.
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
