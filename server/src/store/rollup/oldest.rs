//! From where on a table or aggregate is complete: expired data is dropped in whole chunks.

use std::collections::HashMap;

use tokio_postgres::GenericClient;

use super::Rollup;
use crate::domain::TimestampMs;
use crate::domain::tier::bucket_start;

/// The start of the oldest chunk of each relation.
const OLDEST: &str = "SELECT coalesce(view_name, chunks.hypertable_name)::text, min(range_start_integer) \
     FROM timescaledb_information.chunks AS chunks \
     LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
         ON (materialization_hypertable_schema, materialization_hypertable_name) \
            = (chunks.hypertable_schema, chunks.hypertable_name) \
     GROUP BY 1";

pub(in crate::store) const STATEMENTS: &[&str] = &[OLDEST];

/// The start of the oldest chunk of each relation.
#[derive(Debug, Default)]
pub(in crate::store) struct Oldest(HashMap<String, TimestampMs>);

impl Oldest {
    pub(super) async fn read(client: &impl GenericClient) -> Result<Self, tokio_postgres::Error> {
        let rows = client.query(OLDEST, &[]).await?;
        let oldest = |row: &tokio_postgres::Row| Some((row.get(0), row.get::<_, Option<i64>>(1)?));
        Ok(Self(rows.iter().filter_map(oldest).collect()))
    }

    /// Returns the first bucket whose source is complete; `None` if there is no source at all. Rolling up an earlier
    /// bucket would replace its values by those of an incomplete source.
    pub(super) fn first_whole_bucket(&self, rollup: Rollup) -> Option<TimestampMs> {
        let bucket_ms = rollup.tier.bucket_ms();
        let oldest = self.0.get(&rollup.source().relation)?;
        Some(bucket_start(oldest.saturating_add(bucket_ms - 1), bucket_ms))
    }
}
