//! The settings for all alert rules.

use tokio_postgres::{GenericClient, Row};

use super::{Error, Store, audit};
use crate::domain::alert::settings::AlertSettings;
use crate::domain::audit::AuditEvent;

const GET: &str = "SELECT language, time_zone, fleet_min, fleet_percent, tag_percent, history_keep_ms, heartbeats::text, version \
     FROM alert_settings";
const SET: &str = "UPDATE alert_settings SET language = $1, time_zone = $2, fleet_min = $3, fleet_percent = $4, \
         tag_percent = $5, history_keep_ms = $6, version = version + 1, updated_at = $7, \
         heartbeats = $9::text::jsonb, secrets = $10 \
     WHERE version = $8";

pub(super) const STATEMENTS: &[&str] = &[GET, SET];

pub(super) async fn get(client: &impl GenericClient) -> Result<AlertSettings, tokio_postgres::Error> {
    Ok(settings(&client.query_one(GET, &[]).await?))
}

fn settings(row: &Row) -> AlertSettings {
    AlertSettings {
        language: row.get(0),
        time_zone: row.get(1),
        fleet_min: row.get(2),
        fleet_percent: row.get(3),
        tag_percent: row.get(4),
        history_keep_ms: row.get(5),
        heartbeats: serde_json::from_str(row.get(6)).unwrap_or_default(),
        version: row.get(7),
    }
}

impl Store {
    /// Returns the settings for all alert rules.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_settings(&self) -> Result<AlertSettings, Error> {
        Ok(get(self.connection().await?.client()).await?)
    }

    /// Changes them, provided that they have the given version; `secrets` are the sealed URLs of heartbeats. Returns whether
    /// they had.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn set_alert_settings(
        &self,
        settings: &AlertSettings,
        secrets: Option<&[u8]>,
        event: &AuditEvent,
    ) -> Result<bool, Error> {
        let AlertSettings {
            language,
            time_zone,
            fleet_min,
            fleet_percent,
            tag_percent,
            history_keep_ms,
            heartbeats,
            version,
        } = settings;
        let heartbeats = serde_json::to_string(heartbeats).unwrap_or_else(|_| "[]".to_owned());
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let at = &event.origin.at;
        let n_changed = transaction
            .execute(
                SET,
                &[
                    language,
                    time_zone,
                    fleet_min,
                    fleet_percent,
                    tag_percent,
                    history_keep_ms,
                    at,
                    version,
                    &heartbeats,
                    &secrets,
                ],
            )
            .await?;
        if n_changed == 0 {
            return Ok(false);
        }
        audit::insert(&transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
