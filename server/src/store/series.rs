//! The disks and interfaces of agents: names once, keys everywhere else.

use std::collections::{HashMap, HashSet};

use pika_protocol::DiskMetrics;

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::AgentKey;
use crate::domain::sample::SeriesKeys;

const UPSERT_DISKS: &str = "INSERT INTO disks (agent_key, mount_point, device, fs_type, created_at) \
     SELECT $1, mount_point, device, fs_type, $5 \
     FROM unnest($2::text[], $3::text[], $4::text[]) AS new (mount_point, device, fs_type) \
     ON CONFLICT (agent_key, mount_point) DO UPDATE SET device = excluded.device, fs_type = excluded.fs_type \
     WHERE (disks.device, disks.fs_type) IS DISTINCT FROM (excluded.device, excluded.fs_type)";
const DISK_KEYS: &str =
    "SELECT mount_point, key FROM disks WHERE agent_key = $1 AND mount_point = ANY ($2::text[])";
const UPSERT_INTERFACES: &str = "INSERT INTO network_interfaces (agent_key, name, created_at) \
     SELECT $1, name, $3 FROM unnest($2::text[]) AS new (name) ON CONFLICT (agent_key, name) DO NOTHING";
const INTERFACE_KEYS: &str =
    "SELECT name, key FROM network_interfaces WHERE agent_key = $1 AND name = ANY ($2::text[])";

pub(super) const STATEMENTS: &[&str] = &[UPSERT_DISKS, DISK_KEYS, UPSERT_INTERFACES, INTERFACE_KEYS];

impl Store {
    /// The keys of these disks and interfaces of an agent; those that are new get one.
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
        let mut keys = SeriesKeys::default();
        let mut connection = self.connection().await?;
        if !disks.is_empty() {
            let mut seen = HashSet::new();
            let disks: Vec<_> = disks.iter().filter(|disk| seen.insert(disk.mount_point.as_str())).collect();
            let mount_points: Vec<&str> = disks.iter().map(|disk| disk.mount_point.as_str()).collect();
            let devices: Vec<&str> = disks.iter().map(|disk| disk.device.as_str()).collect();
            let fs_types: Vec<&str> = disks.iter().map(|disk| disk.fs_type.as_str()).collect();
            connection.execute(UPSERT_DISKS, &[&agent.0, &mount_points, &devices, &fs_types, &now]).await?;
            keys.disks = pairs(&connection.query(DISK_KEYS, &[&agent.0, &mount_points]).await?);
        }
        if !interfaces.is_empty() {
            connection.execute(UPSERT_INTERFACES, &[&agent.0, &interfaces, &now]).await?;
            keys.interfaces = pairs(&connection.query(INTERFACE_KEYS, &[&agent.0, &interfaces]).await?);
        }
        Ok(keys)
    }
}

fn pairs(rows: &[tokio_postgres::Row]) -> HashMap<String, i32> {
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
