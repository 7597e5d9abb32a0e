//! All statements the store prepares, in one list, so that a test can prepare them on a migrated database of either
//! edition.

use super::rollup;
use super::{
    agent_tags, agents, alert_changes, alert_channels, alert_deliveries, alert_evaluation, alert_health,
    alert_outbox, alert_past, alert_readings, alert_reconcile, alert_rules, alert_settings, alert_silences,
    alerts, api_tokens, audit, backup, brin, cadence, copy, enrollments, fleet, fleet_totals, gaps, grafana,
    heartbeats, identities, latest, lock, maintenance, metrics, migrate, newest, own_history, passwords,
    preferences, presence, sample_pages, series, sessions, storage, tables, totp, user_rows, usernames,
    users, watchdog,
};
use crate::domain::TimestampMs;
use crate::domain::family::{Family, Table};
use crate::domain::fleet::{FleetMetric, RankBy};
use crate::domain::tier::Tier;

pub use super::options::PLANNING_OPTIONS;

/// Returns the statement of a chart of all metrics of a table from a tier: agent, bucket width, and one bound more than
/// there are tiers from that one down to raw → bucket, series, and for each metric average, minimum and maximum.
pub fn chart(table: &Table, coarsest: Tier) -> String {
    metrics::buckets_statement(table, table.metrics, coarsest)
}

/// Returns the statement of a chart's percentiles, for families that have them. Parameters as for the chart, without
/// the one-minute tier.
pub fn percentiles(family: Family, tier: Tier) -> Option<String> {
    metrics::histogram_statement(family, tier)
}

/// Returns the statement of a page of samples of a family: agent, start, exclusive end, number of rows → time, series,
/// and the value of each metric.
pub fn samples(family: Family) -> String {
    sample_pages::statement(family)
}

/// Returns the statements of the latest values of one agent: agent, start → the newest row of each series.
pub fn latest() -> Vec<String> {
    Table::ALL.map(newest::statement).into()
}

/// Returns the statements of alert rule windows ending at `end`, for all families: one raw, one of an hour and one of a
/// day each.
pub fn alert_windows(end: TimestampMs) -> Vec<String> {
    alert_readings::examples(end)
}

/// The statement that ends what the role of Grafana has been at for too long: milliseconds → how many statements.
pub fn end_long_readers() -> &'static str {
    grafana::role::END_LONG_STATEMENTS
}

/// Returns the texts of all statements but the COPYs, which not every test database can prepare.
pub fn all() -> Vec<String> {
    let mut statements: Vec<String> = [
        agent_tags::STATEMENTS,
        agents::STATEMENTS,
        alert_evaluation::STATEMENTS,
        alert_health::STATEMENTS,
        alert_past::STATEMENTS,
        alert_readings::STATEMENTS,
        alert_reconcile::STATEMENTS,
        alert_rules::STATEMENTS,
        alert_settings::STATEMENTS,
        alert_silences::STATEMENTS,
        alerts::STATEMENTS,
        alert_changes::STATEMENTS,
        alert_channels::STATEMENTS,
        alert_deliveries::STATEMENTS,
        alert_outbox::STATEMENTS,
        api_tokens::STATEMENTS,
        audit::STATEMENTS,
        brin::STATEMENTS,
        enrollments::STATEMENTS,
        fleet::STATEMENTS,
        gaps::STATEMENTS,
        heartbeats::STATEMENTS,
        grafana::STATEMENTS,
        grafana::role::STATEMENTS,
        identities::STATEMENTS,
        own_history::STATEMENTS,
        passwords::STATEMENTS,
        preferences::STATEMENTS,
        presence::STATEMENTS,
        sessions::STATEMENTS,
        storage::STATEMENTS,
        tables::STATEMENTS,
        totp::STATEMENTS,
        user_rows::STATEMENTS,
        usernames::STATEMENTS,
        users::STATEMENTS,
        metrics::STATEMENTS,
        newest::STATEMENTS,
        latest::STATEMENTS,
        lock::STATEMENTS,
        maintenance::STATEMENTS,
        migrate::STATEMENTS,
        watchdog::STATEMENTS,
    ]
    .into_iter()
    .chain(backup::STATEMENTS)
    .chain(rollup::STATEMENTS)
    .flatten()
    .copied()
    .map(ToOwned::to_owned)
    .collect();
    for sort in users::UserSort::ALL {
        statements.extend([false, true].map(|is_descending| users::list_statement(sort, is_descending)));
    }
    for family in Family::ALL {
        statements.extend(alert_readings::series_statement(family));
        statements.push(cadence::statement(family));
        statements.push(sample_pages::statement(family));
        let chart = |tier| metrics::buckets_statement(family.declaration(), family.metrics(), tier);
        statements.extend(Tier::ALL.map(chart));
        let percentiles =
            [Tier::OneHour, Tier::OneDay].map(|tier| metrics::histogram_statement(family, tier));
        statements.extend(percentiles.into_iter().flatten());
    }
    for metric in FleetMetric::ALL {
        for has_keys in [false, true] {
            statements.extend(Tier::ALL.map(|tier| fleet::statement(metric, tier, has_keys)));
            statements.extend(Tier::ALL.map(|tier| fleet_totals::totals_statement(metric, tier, has_keys)));
            for by in [RankBy::Average, RankBy::Largest] {
                let ranking = |tier| fleet_totals::ranking_statement(metric, by, tier, has_keys);
                statements.extend(Tier::ALL.map(ranking));
            }
        }
    }
    statements.extend(alert_windows(1_795_403_300_000));
    statements.extend(alert_past::examples(1_795_403_300_000));
    for table in Table::ALL {
        statements.push(copy::insert_statement(table));
        statements.push(newest::statement(table));
        statements.extend(metrics::labels_statement(table));
        statements.extend(series::statements(table));
    }
    statements
}
