//! The disks and interfaces of agents: names once, keys everywhere else.

use std::collections::{HashMap, HashSet};

use pika_protocol::DiskMetrics;

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::AgentKey;
use crate::domain::sample::{SERIES_PER_AGENT_MAX, SeriesKeys};

// The limit is counted here, over all connections that the agent ever had. Two at the same time may exceed it a little.
const INSERT_DISKS: &str = "INSERT INTO disks (agent_key, mount_point, device, fs_type, created_at) \
     SELECT $1, mount_point, device, fs_type, $5 \
     FROM unnest($2::text[], $3::text[], $4::text[]) AS new (mount_point, device, fs_type) \
     WHERE NOT EXISTS (SELECT FROM disks WHERE agent_key = $1 AND disks.mount_point = new.mount_point) \
     LIMIT greatest(0, $6::int8 - (SELECT count(*) FROM disks WHERE agent_key = $1)) \
     ON CONFLICT (agent_key, mount_point) DO NOTHING";
const UPDATE_DISKS: &str = "UPDATE disks SET device = new.device, fs_type = new.fs_type \
     FROM unnest($2::text[], $3::text[], $4::text[]) AS new (mount_point, device, fs_type) \
     WHERE disks.agent_key = $1 AND disks.mount_point = new.mount_point \
         AND (disks.device, disks.fs_type) IS DISTINCT FROM (new.device, new.fs_type)";
const DISK_KEYS: &str =
    "SELECT mount_point, key FROM disks WHERE agent_key = $1 AND mount_point = ANY ($2::text[])";
const INSERT_INTERFACES: &str = "INSERT INTO network_interfaces (agent_key, name, created_at) \
     SELECT $1, name, $3 FROM unnest($2::text[]) AS new (name) \
     WHERE NOT EXISTS (SELECT FROM network_interfaces old WHERE old.agent_key = $1 AND old.name = new.name) \
     LIMIT greatest(0, $4::int8 - (SELECT count(*) FROM network_interfaces WHERE agent_key = $1)) \
     ON CONFLICT (agent_key, name) DO NOTHING";
const INTERFACE_KEYS: &str =
    "SELECT name, key FROM network_interfaces WHERE agent_key = $1 AND name = ANY ($2::text[])";

pub(super) const STATEMENTS: &[&str] =
    &[INSERT_DISKS, UPDATE_DISKS, DISK_KEYS, INSERT_INTERFACES, INTERFACE_KEYS];

impl Store {
    /// The keys of these disks and interfaces of an agent; those that are new get one, as long as the agent
    /// has fewer than [`SERIES_PER_AGENT_MAX`] of the kind. What is missing in the answer was too many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn series_keys(
        &self,
        agent: AgentKey,
        disks: &[&DiskMetrics],
        interfaces: &[&str],
        now: TimestampMs,
    ) -> Result<SeriesKeys, Error> {
        #[expect(clippy::cast_possible_wrap, reason = "a thousand")]
        const MAX: i64 = SERIES_PER_AGENT_MAX as i64;

        let mut keys = SeriesKeys::default();
        let mut connection = self.connection().await?;
        if !disks.is_empty() {
            let mut seen = HashSet::new();
            let disks: Vec<_> = disks.iter().filter(|disk| seen.insert(disk.mount_point.as_str())).collect();
            let mount_points: Vec<&str> = disks.iter().map(|disk| disk.mount_point.as_str()).collect();
            let devices: Vec<&str> = disks.iter().map(|disk| disk.device.as_str()).collect();
            let fs_types: Vec<&str> = disks.iter().map(|disk| disk.fs_type.as_str()).collect();
            connection
                .execute(INSERT_DISKS, &[&agent.0, &mount_points, &devices, &fs_types, &now, &MAX])
                .await?;
            connection.execute(UPDATE_DISKS, &[&agent.0, &mount_points, &devices, &fs_types]).await?;
            keys.disks = pairs(&connection.query(DISK_KEYS, &[&agent.0, &mount_points]).await?);
        }
        if !interfaces.is_empty() {
            connection.execute(INSERT_INTERFACES, &[&agent.0, &interfaces, &now, &MAX]).await?;
            keys.interfaces = pairs(&connection.query(INTERFACE_KEYS, &[&agent.0, &interfaces]).await?);
        }
        Ok(keys)
    }
}

fn pairs(rows: &[tokio_postgres::Row]) -> HashMap<String, i32> {
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
