//! Signs of life to the outside: where they go, and whether there is a reason not to give any.

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::alert::settings::Heartbeat;

const GET: &str = "SELECT heartbeats::text, secrets FROM alert_settings";
const RESEAL: &str = "UPDATE alert_settings SET secrets = $2 WHERE secrets = $1";
// What follows a message that has failed waits with it.
const UNTRIED: &str = "SELECT EXISTS (SELECT FROM alert_channels c \
         CROSS JOIN LATERAL (SELECT next_attempt_at FROM alert_outbox \
             WHERE channel_id = c.id AND status IN ('waiting', 'sending') ORDER BY id LIMIT 1) AS first \
         WHERE c.enabled AND coalesce(c.next_at, 0) < $1 AND coalesce(c.leased_until, 0) < $1 \
             AND first.next_attempt_at < $1)";

pub(super) const STATEMENTS: &[&str] = &[GET, RESEAL, UNTRIED];

impl Store {
    /// The heartbeats, and their addresses, sealed.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn heartbeats(&self) -> Result<(Vec<Heartbeat>, Option<Vec<u8>>), Error> {
        let row = self.connection().await?.query_opt(GET, &[]).await?;
        Ok(row.map_or_else(Default::default, |row| {
            (serde_json::from_str(row.get(0)).unwrap_or_default(), row.get(1))
        }))
    }

    /// Seals the addresses anew, as long as they are sealed as they were.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn reseal_heartbeats(&self, before: &[u8], after: &[u8]) -> Result<(), Error> {
        self.connection().await?.execute(RESEAL, &[&before, &after]).await?;
        Ok(())
    }

    /// Whether a message has been due since before `due_before`, and nobody has tried it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn has_untried_message(&self, due_before: TimestampMs) -> Result<bool, Error> {
        let row = self.connection().await?.query_opt(UNTRIED, &[&due_before]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }
}
