//! The disks and interfaces of agents: names once, keys everywhere else.
//!
//! Whoever stores samples under a key asks for it again at least every [`SERIES_RENEWAL_MS`], and the time of that is
//! kept. So it is known without a look at the samples of which series there can be none any more: those do not count
//! against the limit of their agent, and are deleted once nothing is left of them in any rollup either.

use std::collections::{HashMap, HashSet};

use pika_protocol::limits;

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::AgentKey;
use crate::domain::retention::Retention;
use crate::domain::sample::{SERIES_PER_AGENT_MAX, SERIES_RENEWAL_MS, SeriesKeys};
use crate::domain::tier::Tier;

/// `named_at` may be this much older than the last time that the key was asked for: it is not written each time.
const NAMED_AT_AGE_MS_MAX: i64 = SERIES_RENEWAL_MS / 4;
/// The newest sample of a series may be this much newer than `named_at`.
const SAMPLES_AFTER_MS: i64 = NAMED_AT_AGE_MS_MAX + SERIES_RENEWAL_MS + limits::FUTURE_MS_MAX;

/// There may be raw samples of a series that was named after the horizon $2, less their retention.
macro_rules! is_live {
    ($table:literal) => {
        concat!(
            "coalesce((SELECT $2::int8 - keep_ms FROM retention_settings WHERE tier = 'raw'), 0) <= ",
            $table,
            ".named_at"
        )
    };
}

// The limit is counted here, over all connections that the agent ever had. Two at the same time may exceed it a little.
// A series that was not live any more keeps its key, under which there may be rollups.
const INSERT_DISKS: &str = concat!(
    "INSERT INTO disks (agent_key, mount_point, device, fs_type, created_at, named_at) \
     SELECT $1, mount_point, device, fs_type, $3, $3 \
     FROM unnest($5::text[], $6::text[], $7::text[]) AS new (mount_point, device, fs_type) \
     WHERE NOT EXISTS (SELECT FROM disks WHERE agent_key = $1 AND disks.mount_point = new.mount_point AND ",
    is_live!("disks"),
    ") LIMIT greatest(0, $4::int8 - (SELECT count(*) FROM disks WHERE agent_key = $1 AND ",
    is_live!("disks"),
    ")) ON CONFLICT (agent_key, mount_point) DO UPDATE SET named_at = excluded.named_at"
);
const RENEW_DISKS: &str = concat!(
    "UPDATE disks SET device = new.device, fs_type = new.fs_type, named_at = $3 \
     FROM unnest($5::text[], $6::text[], $7::text[]) AS new (mount_point, device, fs_type) \
     WHERE disks.agent_key = $1 AND disks.mount_point = new.mount_point \
         AND ((disks.device, disks.fs_type) IS DISTINCT FROM (new.device, new.fs_type) OR disks.named_at < $4) AND ",
    is_live!("disks")
);
const DISK_KEYS: &str = concat!(
    "SELECT mount_point, key FROM disks WHERE agent_key = $1 AND mount_point = ANY ($3::text[]) AND ",
    is_live!("disks")
);
const INSERT_INTERFACES: &str = concat!(
    "INSERT INTO network_interfaces AS old (agent_key, name, created_at, named_at) \
     SELECT $1, name, $3, $3 FROM unnest($5::text[]) AS new (name) \
     WHERE NOT EXISTS (SELECT FROM network_interfaces AS old WHERE old.agent_key = $1 AND old.name = new.name AND ",
    is_live!("old"),
    ") LIMIT greatest(0, $4::int8 - (SELECT count(*) FROM network_interfaces AS old WHERE agent_key = $1 AND ",
    is_live!("old"),
    ")) ON CONFLICT (agent_key, name) DO UPDATE SET named_at = excluded.named_at"
);
const RENEW_INTERFACES: &str = concat!(
    "UPDATE network_interfaces AS old SET named_at = $3 \
     WHERE agent_key = $1 AND name = ANY ($5::text[]) AND named_at < $4 AND ",
    is_live!("old")
);
const INTERFACE_KEYS: &str = concat!(
    "SELECT name, key FROM network_interfaces AS old WHERE agent_key = $1 AND name = ANY ($3::text[]) AND ",
    is_live!("old")
);
const DELETE_EXPIRED: [&str; 2] =
    ["DELETE FROM disks WHERE named_at < $1", "DELETE FROM network_interfaces WHERE named_at < $1"];

pub(super) const STATEMENTS: &[&str] = &[
    INSERT_DISKS,
    RENEW_DISKS,
    DISK_KEYS,
    INSERT_INTERFACES,
    RENEW_INTERFACES,
    INTERFACE_KEYS,
    DELETE_EXPIRED[0],
    DELETE_EXPIRED[1],
];

/// A disk as its agent reports it.
#[derive(Clone, Copy, Debug)]
pub struct ReportedDisk<'a> {
    /// Where it is mounted: what tells it from the agent's others.
    pub mount_point: &'a str,
    /// Its device.
    pub device: &'a str,
    /// Its kind of file system.
    pub fs_type: &'a str,
}

impl Store {
    /// The keys of these disks and interfaces of an agent, good for [`SERIES_RENEWAL_MS`]; those that are new get one, as
    /// long as the agent has samples of fewer than [`SERIES_PER_AGENT_MAX`] of the kind. What is missing in the answer was
    /// too many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn series_keys(
        &self,
        agent: AgentKey,
        disks: &[ReportedDisk<'_>],
        interfaces: &[&str],
        now: TimestampMs,
    ) -> Result<SeriesKeys, Error> {
        #[expect(clippy::cast_possible_wrap, reason = "a thousand")]
        const MAX: i64 = SERIES_PER_AGENT_MAX as i64;

        let mut keys = SeriesKeys::default();
        let mut connection = self.connection().await?;
        let agent = agent.0;
        let horizon = now - SAMPLES_AFTER_MS - Tier::Raw.chunk_ms();
        let stale = now - NAMED_AT_AGE_MS_MAX;
        if !disks.is_empty() {
            let mut seen = HashSet::new();
            let disks: Vec<_> = disks.iter().filter(|disk| seen.insert(disk.mount_point)).collect();
            let names: Vec<&str> = disks.iter().map(|disk| disk.mount_point).collect();
            let devices: Vec<&str> = disks.iter().map(|disk| disk.device).collect();
            let fs_types: Vec<&str> = disks.iter().map(|disk| disk.fs_type).collect();
            connection
                .execute(INSERT_DISKS, &[&agent, &horizon, &now, &MAX, &names, &devices, &fs_types])
                .await?;
            connection
                .execute(RENEW_DISKS, &[&agent, &horizon, &now, &stale, &names, &devices, &fs_types])
                .await?;
            keys.disks = pairs(&connection.query(DISK_KEYS, &[&agent, &horizon, &names]).await?);
        }
        if !interfaces.is_empty() {
            connection.execute(INSERT_INTERFACES, &[&agent, &horizon, &now, &MAX, &interfaces]).await?;
            connection.execute(RENEW_INTERFACES, &[&agent, &horizon, &now, &stale, &interfaces]).await?;
            keys.interfaces =
                pairs(&connection.query(INTERFACE_KEYS, &[&agent, &horizon, &interfaces]).await?);
        }
        Ok(keys)
    }

    /// Deletes the disks and interfaces of which nothing is left, neither samples nor rollups. Answers how many there were.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn delete_expired_series(&self, now: TimestampMs) -> Result<u64, Error> {
        let Some(longest_ms) = kept_for_ms(&self.retention().await?) else {
            return Ok(0);
        };
        let before = now.saturating_sub(SAMPLES_AFTER_MS).saturating_sub(longest_ms);
        let mut connection = self.connection().await?;
        let mut n_deleted = 0;
        for statement in DELETE_EXPIRED {
            n_deleted += connection.execute(statement, &[&before]).await?;
        }
        Ok(n_deleted)
    }
}

/// How long anything of a sample is kept; `None`: for ever. What has expired stays until its whole chunk has.
fn kept_for_ms(retention: &Retention) -> Option<i64> {
    let kept_for_ms = |tier: Tier| Some(retention.keep_ms(tier)?.saturating_add(tier.chunk_ms()));
    Tier::ALL.into_iter().map(kept_for_ms).try_fold(0, |longest, kept_for_ms| Some(longest.max(kept_for_ms?)))
}

fn pairs(rows: &[tokio_postgres::Row]) -> HashMap<String, i32> {
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
