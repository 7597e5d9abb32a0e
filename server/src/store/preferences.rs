//! The preferences of users.

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::UserId;

const FIND: &str = "SELECT preferences, updated_at FROM user_preferences WHERE user_id = $1";
const SET: &str = "INSERT INTO user_preferences (user_id, preferences, updated_at) \
         SELECT id, $2, $3 FROM users WHERE id = $1 \
     ON CONFLICT (user_id) DO UPDATE SET preferences = excluded.preferences, updated_at = excluded.updated_at";

pub(super) const STATEMENTS: &[&str] = &[FIND, SET];

impl Store {
    /// Returns a user's preferences as JSON, and when they were set; `None` if there are none.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn preferences(&self, user: UserId) -> Result<Option<(String, TimestampMs)>, Error> {
        let row = self.connection().await?.query_opt(FIND, &[&user.0]).await?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    /// Sets a user's preferences. They are JSON of at most 16384 bytes.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn set_preferences(&self, user: UserId, json: &str, now: TimestampMs) -> Result<(), Error> {
        self.connection().await?.execute(SET, &[&user.0, &json, &now]).await?;
        Ok(())
    }
}
