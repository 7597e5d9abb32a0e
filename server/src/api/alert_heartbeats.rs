//! Heartbeats in requests and answers. Their URLs are never answered.

use std::collections::BTreeMap;

use poem_openapi::{Enum, Object};
use secrecy::SecretString;
use serde::Deserialize;
use uuid::Uuid;

use super::{ApiContext, ApiError};
use crate::domain::alert::settings::{HEARTBEATS_MAX, Heartbeat, HeartbeatMethod};

/// The default interval of a heartbeat, in milliseconds.
const PERIOD_MS: i64 = 60_000;

/// The HTTP method of a heartbeat.
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

/// A request that is sent after complete evaluations, so that another service can tell when Pika stops.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertHeartbeat", rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub(super) struct HeartbeatBody {
    /// The id; left out in a request, a new heartbeat is created.
    #[serde(default)]
    id: Option<Uuid>,
    /// The URL. Never answered; left out in a request, the current one is kept.
    #[serde(default)]
    url: Option<String>,
    /// The host of the URL; ignored in requests.
    #[serde(default)]
    host: Option<String>,
    /// The method; by default `get`.
    #[serde(default)]
    method: Option<MethodName>,
    /// The minimum interval, in milliseconds (30,000 to a day; by default 60,000).
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

/// Returns the heartbeats of a request, and their URLs, encrypted.
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
