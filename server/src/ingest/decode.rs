//! Decodes the text of a frame. Errors are contained: one bad metric in a batch is refused by name, and the rest of the
//! batch is kept.

mod pieces;
mod samples;

use std::borrow::Cow;

use pika_protocol::message::Gap;
use pika_protocol::{ErrorCode, Register, Sample};
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use self::pieces::{parse_field, unknown_type};
use self::samples::{decode_batch, decode_metrics};
use crate::domain::TimestampMs;
use crate::domain::refused::Refused;

/// A frame that was decoded, at least in part.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    /// The number to acknowledge it by.
    pub seq: Option<u64>,
    /// The agent's clock when it sent the frame.
    pub timestamp: Option<TimestampMs>,
    /// The decoded message.
    pub message: Message,
    /// The parts that could not be decoded.
    pub refused: Vec<Refused>,
}

/// An agent's message.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// The agent identifies itself.
    Register(Box<Register>),
    /// The agent is alive.
    Heartbeat,
    /// Samples.
    Samples {
        /// In the order they were sent.
        samples: Vec<Sample>,
        /// Whether the frame had no time of its own, so the samples carry the server's.
        stamped_by_server: bool,
    },
    /// The agent had to drop samples.
    Gap(Gap),
}

/// A frame of which nothing could be decoded.
#[derive(Debug, PartialEq)]
pub struct DecodeError {
    /// The frame's number, if at least that was readable.
    pub seq: Option<u64>,
    /// Whether it is a `register`.
    pub is_register: bool,
    /// The reason to tell the agent.
    pub refused: Refused,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    timestamp: Option<TimestampMs>,
    seq: Option<u64>,
}

/// Decodes one text frame. `now` is the server's clock, for samples without a time of their own; `samples_max` is the
/// maximum number of samples in a frame.
///
/// # Errors
/// If nothing in the frame can be used.
pub fn decode(text: &str, now: TimestampMs, samples_max: usize) -> Result<Decoded, DecodeError> {
    let envelope: Envelope<'_> = parse_discreetly(text).map_err(|reason| DecodeError {
        seq: None,
        is_register: false,
        refused: Refused::new(ErrorCode::Malformed, format!("not a frame {{type, data}}: {reason}")),
    })?;
    let Envelope { message_type, data, timestamp, seq } = envelope;
    let mut refused = Vec::new();
    let is_register = message_type == "register";
    let message = match message_type.as_ref() {
        "register" => required(data).and_then(decode_register),
        "heartbeat" => Ok(Message::Heartbeat),
        "metrics" => required(data).and_then(|data| {
            let sample = decode_metrics(data, timestamp.unwrap_or(now), &mut refused)?;
            Ok(Message::Samples { samples: vec![sample], stamped_by_server: timestamp.is_none() })
        }),
        "batch" => required(data).and_then(|data| {
            let samples = decode_batch(data, samples_max, &mut refused)?;
            Ok(Message::Samples { samples, stamped_by_server: false })
        }),
        "gap" => required(data).and_then(|data| Ok(Message::Gap(parse_field("gap", data)?))),
        other => Err(unknown_type("message", other)),
    };
    match message {
        Ok(message) => Ok(Decoded { seq, timestamp, message, refused }),
        Err(refused) => Err(DecodeError { seq, is_register, refused }),
    }
}

fn required(data: Option<&RawValue>) -> Result<&RawValue, Refused> {
    data.ok_or_else(|| Refused::new(ErrorCode::InvalidField, "data is missing"))
}

fn decode_register(data: &RawValue) -> Result<Message, Refused> {
    match parse_discreetly(data.get()) {
        Ok(register) => Ok(Message::Register(Box::new(register))),
        Err(reason) => Err(Refused::new(ErrorCode::InvalidField, format!("register: {reason}"))),
    }
}

/// Parses data that may hold a token. The error says where something is wrong but never repeats the value: a token in
/// the wrong place must not get into an answer or a log.
fn parse_discreetly<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            // Field names come from the protocol itself.
            Category::Data if error.to_string().starts_with("missing field") => error.to_string(),
            Category::Data => format!("{path} has the wrong type"),
            Category::Syntax | Category::Eof | Category::Io => {
                format!("not JSON at line {} column {}", error.line(), error.column())
            }
        }
    })?;
    deserializer
        .end()
        .map_err(|error| format!("more follows at line {} column {}", error.line(), error.column()))?;
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use pika_protocol::limits::SAMPLES_PER_FRAME_MAX;

    use super::pieces::REFUSED_PIECES_MAX;
    use super::*;

    fn decode(text: &str, now: TimestampMs) -> Result<Decoded, DecodeError> {
        super::decode(text, now, SAMPLES_PER_FRAME_MAX)
    }

    fn samples(text: &str) -> (Vec<Sample>, Vec<Refused>) {
        let decoded = decode(text, 5).unwrap();
        match decoded.message {
            Message::Samples { samples, .. } => (samples, decoded.refused),
            other => panic!("{other:?}"),
        }
    }

    fn refused(text: &str) -> Refused {
        decode(text, 5).unwrap_err().refused
    }

    #[test]
    fn messages_of_the_original_pika_are_decoded() {
        let register = r#"{"type":"register","data":{"name":"探针名称","hostname":"主机名","ip":"192.168.1.100","os":"linux","arch":"amd64","version":"1.0.0"}}"#;
        assert!(matches!(decode(register, 5).unwrap().message, Message::Register(_)));
        assert_eq!(decode(r#"{"type":"heartbeat","data":{}}"#, 5).unwrap().message, Message::Heartbeat);
        let cpu = r#"{"type":"metrics","data":{"type":"cpu","data":{"usagePercent":45.5,"coreCount":8}}}"#;
        let decoded = decode(cpu, 5).unwrap();
        let Message::Samples { samples, stamped_by_server } = decoded.message else { panic!() };
        assert!(stamped_by_server);
        assert_eq!(samples[0].timestamp, 5);
        assert_eq!(samples[0].cpu.unwrap().core_count, 8);
    }

    #[test]
    fn a_disk_may_be_an_object_or_a_list() {
        let disk = r#"{"mountPoint":"/","total":3,"used":1,"free":2,"usagePercent":33}"#;
        for (data, count) in [(disk.to_owned(), 1), (format!("[{disk},{disk}]"), 2)] {
            let text = format!(r#"{{"type":"metrics","data":{{"type":"disk","data":{data}}}}}"#);
            assert_eq!(samples(&text).0[0].disks.len(), count);
        }
    }

    #[test]
    fn each_kind_of_invalid_frame_has_its_code() {
        assert_eq!(refused("").code, ErrorCode::Malformed);
        assert_eq!(refused("[]").code, ErrorCode::Malformed);
        assert_eq!(refused(r#"{"type":"heartbeat""#).code, ErrorCode::Malformed);
        assert_eq!(
            refused(r#"{"type":"metrics","data":{"type":"cpu","data":{"usagePercent":NaN}}}"#).code,
            ErrorCode::Malformed
        );
        assert_eq!(refused(r#"{"type":"exec","data":{}}"#).code, ErrorCode::UnknownType);
        assert_eq!(
            refused(r#"{"type":"metrics","data":{"type":"gpu","data":{}}}"#).code,
            ErrorCode::UnknownType
        );
        assert_eq!(refused(r#"{"type":"metrics"}"#).code, ErrorCode::InvalidField);
        let missing = refused(r#"{"type":"metrics","data":{"type":"cpu","data":{"coreCount":8}}}"#);
        assert_eq!(missing.code, ErrorCode::InvalidField);
        assert!(missing.message.contains("usagePercent"), "{}", missing.message);
    }

    #[test]
    fn a_token_in_the_wrong_place_is_not_repeated() {
        let token = "pika_enroll_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
        for text in [
            format!(r#"{{"type":"register","data":"{token}"}}"#),
            format!(r#"{{"type":"register","data":{{"name":{{"x":"{token}"}}}}}}"#),
            format!(r#"{{"type":"register","data":{{"name":"a","intervalMs":"{token}"}}}}"#),
            format!(r#"{{"type":"register","data":{{"name":"a","{token}":1}}}}"#),
            format!(r#"{{"type":"register","data":{{"token":"{token}"}}}}"#),
            format!(r#"{{"type":"register","seq":"{token}"}}"#),
            format!(r#"{{"type":"{token}","data":{{}}}}"#),
            format!(r#"{{"type":"metrics","data":{{"type":"{token}","data":{{}}}}}}"#),
            format!(r#""{token}""#),
            token.to_owned(),
        ] {
            let message = refused(&text).message;
            assert!(!message.contains("0123"), "{message}");
        }
        let wrong = refused(r#"{"type":"register","data":{"name":5}}"#);
        assert!(wrong.message.contains("name has the wrong type"), "{}", wrong.message);
        let missing = refused(r#"{"type":"register","data":{"name":"a"}}"#);
        assert!(missing.message.contains("missing field `hostname`"), "{}", missing.message);
        assert_eq!(refused(r#"{"type":"heartbeat"} x"#).code, ErrorCode::Malformed);
    }

    #[test]
    fn a_gap_is_decoded() {
        let text = r#"{"type":"gap","seq":9,"data":{"start":1,"end":2,"samples":3,"reason":"expired"}}"#;
        let Message::Gap(gap) = decode(text, 5).unwrap().message else { panic!("no gap") };
        assert_eq!((gap.start, gap.end, gap.samples), (1, 2, 3));
        let refused = refused(r#"{"type":"gap","data":{"start":1,"end":2,"samples":3,"reason":"boredom"}}"#);
        assert_eq!(refused.code, ErrorCode::InvalidField);
    }

    #[test]
    fn the_number_of_a_bad_frame_is_kept() {
        assert_eq!(decode(r#"{"type":"exec","seq":7}"#, 5).unwrap_err().seq, Some(7));
    }

    #[test]
    fn valid_samples_survive_invalid_ones_in_a_batch() {
        let text = r#"{"type":"batch","seq":3,"data":{"samples":[
            {"timestamp":1,"cpu":{"usagePercent":"much","coreCount":1},"load":{"load1":1,"load5":1,"load15":1},
             "disks":[{"mountPoint":"/","total":1,"used":1,"free":0,"usagePercent":100},{"mountPoint":"/x"}]},
            {"cpu":{"usagePercent":1,"coreCount":1}},
            {"timestamp":2,"cpu":{"usagePercent":1,"coreCount":1}}]}}"#;
        let (samples, refused) = samples(text);
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].cpu, samples[0].disks.len(), samples[0].load.is_some()), (None, 1, true));
        assert!(samples[1].cpu.is_some());
        let messages: Vec<_> = refused.iter().map(|refused| refused.message.as_str()).collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(messages[0].starts_with("samples[0].cpu"));
        assert!(messages[1].starts_with("samples[0].disks[1]"));
        assert!(messages[2].starts_with("samples[1]: missing field `timestamp`"));
    }

    #[test]
    fn an_invalid_frame_does_not_grow() {
        let rubbish = vec!["0"; 100_000].join(",");
        let text =
            format!(r#"{{"type":"batch","data":{{"samples":[{{"timestamp":1,"disks":[{rubbish}]}}]}}}}"#);
        let (samples, refused) = samples(&text);
        assert_eq!((samples.len(), refused.len()), (1, REFUSED_PIECES_MAX));
    }

    #[test]
    fn too_many_samples_are_refused() {
        let sample = r#"{"timestamp":1}"#;
        let text = format!(
            r#"{{"type":"batch","data":{{"samples":[{}]}}}}"#,
            vec![sample; SAMPLES_PER_FRAME_MAX + 1].join(",")
        );
        assert_eq!(refused(&text).code, ErrorCode::TooMany);
    }
}
