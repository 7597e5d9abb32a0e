//! Every statement that the store prepares, in one list, so that a test can prepare all of them on a migrated
//! database of either edition.

use super::{agents, copy, enrollments, metrics, series, sessions, users};
use crate::domain::family::Family;
use crate::domain::row::{CpuRow, DiskRow, LoadRow, MemoryRow, NetworkRow};

/// The texts of all statements but the COPYs, which not every test database can prepare.
pub fn all() -> Vec<String> {
    let mut statements: Vec<String> = [
        agents::STATEMENTS,
        enrollments::STATEMENTS,
        series::STATEMENTS,
        sessions::STATEMENTS,
        users::STATEMENTS,
        metrics::LATEST_STATEMENTS,
    ]
    .concat()
    .into_iter()
    .map(ToOwned::to_owned)
    .collect();
    statements.extend(Family::ALL.into_iter().map(metrics::buckets_statement));
    statements.push(copy::insert_statement::<CpuRow>());
    statements.push(copy::insert_statement::<MemoryRow>());
    statements.push(copy::insert_statement::<DiskRow>());
    statements.push(copy::insert_statement::<NetworkRow>());
    statements.push(copy::insert_statement::<LoadRow>());
    statements
}
