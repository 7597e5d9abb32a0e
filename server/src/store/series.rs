//! The disks, interfaces and the like of agents, stored by name once and referred to by key everywhere else.
//!
//! A server that stores samples under a key asks for it again at least every [`SERIES_RENEWAL_MS`], and the time of
//! that is stored. So it is known without reading samples which series can no longer have any: those do not count
//! against their agent's limit, and are deleted once no rollup holds them either.

use std::collections::{BTreeSet, HashMap, HashSet};

use pika_protocol::limits;
use tokio_postgres::Row;

use super::connection::{Connection, Parameter};
use super::series_names::NamingTable;
use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::family::Table;
use crate::domain::id::AgentKey;
use crate::domain::retention::Retention;
use crate::domain::series::{
    ReportedSeries, SERIES_PER_AGENT_MAX, SERIES_RENEWAL_MS, SeriesKeys, SeriesLabels,
};
use crate::domain::tier::Tier;

/// `named_at` may be this much older than the last request for the key: it is not updated each time.
const NAMED_AT_AGE_MS_MAX: i64 = SERIES_RENEWAL_MS / 4;
/// The newest sample of a series may be this much newer than `named_at`.
const SAMPLES_AFTER_MS: i64 = NAMED_AT_AGE_MS_MAX + SERIES_RENEWAL_MS + limits::FUTURE_MS_MAX;

/// Whether there may be raw samples of a series, named after the horizon $2 less their retention.
const IS_LIVE: &str =
    "coalesce((SELECT $2::int8 - keep_ms FROM retention_settings WHERE tier = 'raw'), 0) <= old.named_at";

/// Returns the statement that inserts new series: agent, horizon, now, limit, reported columns.
///
/// The limit is checked here, over all connections the agent ever had; two at the same time may exceed it a little. A
/// series that was no longer live keeps its key, under which there may be rollups.
fn insert_statement(naming: NamingTable) -> String {
    let (names, values): (Vec<_>, Vec<_>) = naming.columns().into_iter().unzip();
    format!(
        "INSERT INTO {table} AS old (agent_key, {names}, created_at, named_at) \
         SELECT $1, {values}, $3, $3 FROM {reported} \
         WHERE NOT EXISTS (SELECT FROM {table} AS old \
             WHERE old.agent_key = $1{is_of_kind} AND old.{identifier} = new.{identifier} AND {IS_LIVE}) \
         LIMIT greatest(0, $4::int8 \
             - (SELECT count(*) FROM {table} AS old WHERE old.agent_key = $1{is_of_kind} AND {IS_LIVE})) \
         ON CONFLICT (agent_key{kind}, {identifier}) DO UPDATE SET named_at = excluded.named_at",
        table = naming.name(),
        names = names.join(", "),
        values = values.join(", "),
        reported = reported(naming),
        is_of_kind = naming.is_of_kind("old"),
        identifier = naming.identifier(),
        kind = if names.contains(&"kind") { ", kind" } else { "" },
    )
}

/// Returns the statement that updates known series and their descriptions: agent, horizon, now, the time since which
/// they need not have been named again, reported columns.
fn renew_statement(naming: NamingTable) -> String {
    let identifier = naming.identifier();
    let described: Vec<_> =
        naming.columns().into_iter().filter(|(name, _)| *name != identifier && *name != "kind").collect();
    let set: String = described.iter().map(|(name, value)| format!("{name} = {value}, ")).collect();
    let differs: String =
        described.iter().map(|(name, value)| format!("old.{name} IS DISTINCT FROM {value} OR ")).collect();
    format!(
        "UPDATE {table} AS old SET {set}named_at = $3 FROM {reported} \
         WHERE old.agent_key = $1{is_of_kind} AND old.{identifier} = new.{identifier} \
             AND ({differs}old.named_at < $4) AND {IS_LIVE}",
        table = naming.name(),
        reported = reported(naming),
        is_of_kind = naming.is_of_kind("old"),
    )
}

/// The reported columns, as rows `new`.
fn reported(naming: NamingTable) -> String {
    let columns = naming.reported();
    let arrays: Vec<String> = (5..).take(columns.len()).map(|number| format!("${number}::text[]")).collect();
    format!("unnest({}) AS new ({})", arrays.join(", "), columns.join(", "))
}

/// Returns the statement that looks up keys: agent, horizon, names → name, key, when it was named, labels.
fn keys_statement(naming: NamingTable) -> String {
    format!(
        "SELECT {identifier}, key, named_at, {labels} FROM {table} AS old \
         WHERE agent_key = $1{is_of_kind} AND {identifier} = ANY ($3::text[]) AND {IS_LIVE}",
        table = naming.name(),
        labels = naming.labels("old"),
        is_of_kind = naming.is_of_kind("old"),
        identifier = naming.identifier(),
    )
}

/// Returns the statements that delete what was last named before a time, one per naming table.
fn delete_expired_statements() -> Vec<String> {
    let tables: BTreeSet<&str> =
        Table::ALL.into_iter().filter_map(NamingTable::of).map(NamingTable::name).chain(["series"]).collect();
    tables.into_iter().map(|table| format!("DELETE FROM {table} WHERE named_at < $1")).collect()
}

/// Returns the statements for a table's series; none if an agent has only one.
pub(super) fn statements(table: &Table) -> Vec<String> {
    let statements = |naming| [insert_statement(naming), renew_statement(naming), keys_statement(naming)];
    NamingTable::of(table).map(statements).into_iter().flatten().chain(delete_expired_statements()).collect()
}

impl Store {
    /// Returns the keys of these series of an agent, valid for [`SERIES_RENEWAL_MS`]; new ones get a key as long as the
    /// agent has samples of fewer than [`SERIES_PER_AGENT_MAX`] of the kind. Those missing from the result exceed that
    /// limit.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn series_keys(
        &self,
        agent: AgentKey,
        reported: &ReportedSeries,
        now: TimestampMs,
    ) -> Result<SeriesKeys, Error> {
        let mut keys = SeriesKeys::default();
        let mut connection = self.connection().await?;
        for ((_, table, reported), (_, _, keys)) in reported.iter().zip(keys.iter_mut()) {
            *keys = keys_of_table(&mut connection, agent, table, reported, now).await?;
        }
        Ok(keys)
    }

    /// Like [`Store::series_keys`], for the series of one table.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn series_keys_of_table(
        &self,
        agent: AgentKey,
        table: &Table,
        reported: &[SeriesLabels],
        now: TimestampMs,
    ) -> Result<HashMap<String, i32>, Error> {
        keys_of_table(&mut *self.connection().await?, agent, table, reported, now).await
    }

    /// Deletes the series of which nothing is left, neither samples nor rollups. Returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_expired_series(&self, now: TimestampMs) -> Result<u64, Error> {
        let Some(longest_ms) = kept_for_ms(&self.retention().await?) else {
            return Ok(0);
        };
        let before = now.saturating_sub(SAMPLES_AFTER_MS).saturating_sub(longest_ms);
        let connection = self.connection().await?;
        let mut n_deleted = 0;
        for statement in delete_expired_statements() {
            n_deleted += connection.execute(&statement, &[&before]).await?;
        }
        Ok(n_deleted)
    }
}

async fn keys_of_table(
    connection: &mut Connection,
    agent: AgentKey,
    table: &Table,
    reported: &[SeriesLabels],
    now: TimestampMs,
) -> Result<HashMap<String, i32>, Error> {
    #[expect(clippy::cast_possible_wrap, reason = "a thousand")]
    const MAX: i64 = SERIES_PER_AGENT_MAX as i64;

    let Some(naming) = NamingTable::of(table).filter(|_| !reported.is_empty()) else {
        return Ok(HashMap::new());
    };
    let mut seen = HashSet::new();
    let reported: Vec<SeriesLabels> =
        reported.iter().filter(|series| seen.insert(series.name())).cloned().collect();
    let horizon = now - SAMPLES_AFTER_MS - Tier::Raw.chunk_ms();
    let stale = now - NAMED_AT_AGE_MS_MAX;
    let names: Vec<&str> = reported.iter().map(SeriesLabels::name).collect();
    let known = connection.query(&keys_statement(naming), &[&agent.0, &horizon, &names]).await?;
    // An agent that comes back soon with what it had needs no more than this.
    if reported.iter().all(|series| known.iter().any(|row| is_known(row, series, stale))) {
        return Ok(keys_by_name(&known));
    }
    let arrays = naming.arrays(&reported);
    for (statement, limit) in [(insert_statement(naming), &MAX), (renew_statement(naming), &stale)] {
        let mut parameters: Vec<Parameter<'_>> = vec![&agent.0, &horizon, &now, limit];
        parameters.extend(arrays.iter().map(|array| array as Parameter<'_>));
        connection.execute(&statement, &parameters).await?;
    }
    let rows = connection.query(&keys_statement(naming), &[&agent.0, &horizon, &names]).await?;
    Ok(keys_by_name(&rows))
}

/// Returns whether a row of [`keys_statement`] is this series, named since `stale` with the same labels.
fn is_known(row: &Row, series: &SeriesLabels, stale: TimestampMs) -> bool {
    row.get::<_, &str>(0) == series.name()
        && stale <= row.get::<_, TimestampMs>(2)
        && row.get::<_, Vec<&str>>(3) == series.texts
}

fn keys_by_name(rows: &[Row]) -> HashMap<String, i32> {
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// How long anything of a sample is kept; `None` means for ever. Expired rows stay until their whole chunk has expired.
fn kept_for_ms(retention: &Retention) -> Option<i64> {
    let kept_for_ms = |tier: Tier| Some(retention.keep_ms(tier)?.saturating_add(tier.chunk_ms()));
    Tier::ALL.into_iter().map(kept_for_ms).try_fold(0, |longest, kept_for_ms| Some(longest.max(kept_for_ms?)))
}
