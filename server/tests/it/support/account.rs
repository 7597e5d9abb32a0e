//! The property checked by every fault test: an acknowledged sample is stored exactly once; an unacknowledged one is
//! stored at most once, and until it is, the agent still holds it.

use std::collections::{BTreeMap, BTreeSet};

use super::database::connect;

/// What happened to one agent's samples as far as the agent knows. Samples are identified by their time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Dropped by the agent, because the server has acknowledged them.
    pub(crate) acknowledged: BTreeSet<i64>,
    /// Kept by the agent, to be sent or sent again.
    pub(crate) held: BTreeSet<i64>,
}

/// The number of rows of a sample in the tables of CPU, memory, load, disks and network.
pub(crate) type RowCounts = [i64; 5];

/// The rows of one agent by time.
pub(crate) type Stored = BTreeMap<i64, RowCounts>;

impl Account {
    pub(crate) fn n_taken(&self) -> usize {
        self.acknowledged.len() + self.held.len()
    }

    /// Checks the property. `acknowledged` must be recorded before `stored` is read, as acknowledgements may arrive at
    /// any time; `whole` returns whether a sample's rows are complete.
    ///
    /// # Panics
    /// If the property does not hold.
    pub(crate) fn check(
        &self,
        acknowledged: &BTreeSet<i64>,
        stored: &Stored,
        whole: impl Fn(&RowCounts) -> bool,
        context: &str,
    ) {
        let lost: Vec<_> = acknowledged.iter().filter(|ts| !stored.contains_key(ts)).collect();
        assert!(lost.is_empty(), "{context}: acknowledged and not stored: {lost:?}");
        let is_taken = |ts: &i64| self.acknowledged.contains(ts) || self.held.contains(ts);
        let strange: Vec<_> = stored.keys().filter(|ts| !is_taken(ts)).collect();
        assert!(strange.is_empty(), "{context}: stored at a time at which nothing was taken: {strange:?}");
        let torn: Vec<_> = stored.iter().filter(|(_, rows)| !whole(rows)).collect();
        assert!(torn.is_empty(), "{context}: stored in part, or more than once: {torn:?}");
    }

    /// Checks the property when everything must be stored by now.
    ///
    /// # Panics
    /// If it does not hold, or something is missing.
    pub(crate) fn check_all_stored(
        &self,
        stored: &Stored,
        whole: impl Fn(&RowCounts) -> bool,
        context: &str,
    ) {
        self.check(&self.acknowledged, stored, whole, context);
        let missing: Vec<_> = self.held.iter().filter(|ts| !stored.contains_key(ts)).collect();
        assert!(missing.is_empty(), "{context}: not stored in the end: {missing:?}");
    }
}

/// Returns the rows of one agent.
pub(crate) async fn stored(database_url: &str, agent_id: &str) -> Stored {
    let families =
        ["cpu_metrics", "memory_metrics", "load_metrics", "disk_metrics", "network_metrics"].map(|table| {
            let of_agent = format!("agent_key = (SELECT key FROM agents WHERE id = '{agent_id}')");
            format!("SELECT '{table}' AS family, ts FROM {table} WHERE {of_agent}")
        });
    let sql = format!(
        "SELECT ts, count(*) FILTER (WHERE family = 'cpu_metrics'), \
                count(*) FILTER (WHERE family = 'memory_metrics'), \
                count(*) FILTER (WHERE family = 'load_metrics'), \
                count(*) FILTER (WHERE family = 'disk_metrics'), \
                count(*) FILTER (WHERE family = 'network_metrics') \
         FROM ({}) AS rows GROUP BY ts",
        families.join(" UNION ALL ")
    );
    let rows = connect(database_url).await.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), std::array::from_fn(|family| row.get(family + 1)))).collect()
}
