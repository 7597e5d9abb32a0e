//! What every fault test checks, in one place: an acknowledged sample is stored exactly once; one that is not
//! acknowledged is stored at most once, and until it is, whoever took it still holds it.

use std::collections::{BTreeMap, BTreeSet};

use super::database::connect;

/// What became of the samples of one agent, in the agent's own eyes. Samples are known by the time they are stored at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Forgotten by the agent, because the server has said that they are stored.
    pub(crate) acknowledged: BTreeSet<i64>,
    /// Kept by the agent: to be sent, or to be sent again.
    pub(crate) held: BTreeSet<i64>,
}

/// How many rows a sample has in the tables of cpu, memory, load, disks and network.
pub(crate) type RowCounts = [i64; 5];

/// The rows of one agent by their time.
pub(crate) type Stored = BTreeMap<i64, RowCounts>;

impl Account {
    pub(crate) fn n_taken(&self) -> usize {
        self.acknowledged.len() + self.held.len()
    }

    /// Checks the property. `acknowledged` is what the account said before `stored` was read, as an acknowledgement
    /// may come at any time; `whole` tells whether a sample's rows are all of it.
    ///
    /// # Panics
    /// When the property does not hold.
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

    /// Checks the property where everything must be stored by now.
    ///
    /// # Panics
    /// When it does not hold, or something is missing.
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

/// The rows of one agent.
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
