//! Heartbeats as the API takes and shows them. Their addresses are taken and never shown.

use std::collections::BTreeMap;

use poem_openapi::{Enum, Object};
use secrecy::SecretString;
use serde::Deserialize;
use uuid::Uuid;

use super::{ApiContext, ApiError};
use crate::domain::alert::settings::{HEARTBEATS_MAX, Heartbeat, HeartbeatMethod};

/// How often a heartbeat is sent where nobody says.
const PERIOD_MS: i64 = 60_000;

/// How a heartbeat is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "HeartbeatMethod", rename_all = "lowercase")]
enum MethodName {
    /// With GET.
    Get,
    /// With POST and an empty body.
    Post,
    /// With HEAD.
    Head,
}

/// A sign of life that is sent after complete evaluations: where it stays away, somebody else can say that Pika is gone.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertHeartbeat", rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub(super) struct HeartbeatBody {
    /// Its id; left out in a request: it is a new one.
    #[serde(default)]
    id: Option<Uuid>,
    /// Where it goes. Never answered; left out in a request: where it went before.
    #[serde(default)]
    url: Option<String>,
    /// The host that it goes to; not looked at in a request.
    #[serde(default)]
    host: Option<String>,
    /// How it is sent; with `get` where it is left out.
    #[serde(default)]
    method: Option<MethodName>,
    /// How often at most, in milliseconds (30,000 to a day; 60,000 where it is left out).
    #[serde(default)]
    period_ms: Option<i64>,
}

impl From<Heartbeat> for HeartbeatBody {
    fn from(heartbeat: Heartbeat) -> Self {
        Self {
            id: Some(heartbeat.id),
            url: None,
            host: Some(heartbeat.host),
            method: Some(match heartbeat.method {
                HeartbeatMethod::Get => MethodName::Get,
                HeartbeatMethod::Post => MethodName::Post,
                HeartbeatMethod::Head => MethodName::Head,
            }),
            period_ms: Some(heartbeat.period_ms),
        }
    }
}

/// The heartbeats that a request asks for, and their addresses, sealed.
pub(super) async fn requested(
    context: &ApiContext,
    asked: &[HeartbeatBody],
    (before, sealed): (Vec<Heartbeat>, Option<Vec<u8>>),
) -> Result<(Vec<Heartbeat>, Option<Vec<u8>>), ApiError> {
    if HEARTBEATS_MAX < asked.len() {
        return Err(ApiError::unprocessable("heartbeats", &format!("must be at most {HEARTBEATS_MAX}")));
    }
    let old_urls = if asked.iter().any(|heartbeat| heartbeat.url.is_none()) {
        context.notifier.open_heartbeats(sealed.as_deref())?
    } else {
        BTreeMap::new()
    };
    let (mut heartbeats, mut urls) = (Vec::new(), BTreeMap::new());
    for (index, asked) in asked.iter().enumerate() {
        let refused = |message: &str| ApiError::unprocessable(&format!("heartbeats[{index}].url"), message);
        let known = asked.id.and_then(|id| before.iter().find(|known| known.id == id));
        let (id, host, url) = match (&asked.url, known) {
            (Some(url), known) => {
                let checked = context.notifier.check_heartbeat(url).await;
                let host = checked.map_err(|error| refused(&error.to_string()))?;
                (known.map_or_else(Uuid::new_v4, |known| known.id), host, SecretString::from(url.as_str()))
            }
            (None, Some(known)) => {
                let url = old_urls.get(&known.id).ok_or_else(|| refused("must be given again"))?;
                (known.id, known.host.clone(), url.clone())
            }
            (None, None) => return Err(refused("must be given")),
        };
        let method = match asked.method {
            None | Some(MethodName::Get) => HeartbeatMethod::Get,
            Some(MethodName::Post) => HeartbeatMethod::Post,
            Some(MethodName::Head) => HeartbeatMethod::Head,
        };
        if urls.insert(id, url).is_some() {
            return Err(ApiError::unprocessable(&format!("heartbeats[{index}].id"), "is there twice"));
        }
        heartbeats.push(Heartbeat { id, host, method, period_ms: asked.period_ms.unwrap_or(PERIOD_MS) });
    }
    Ok((heartbeats, context.notifier.seal_heartbeats(&urls)?))
}
