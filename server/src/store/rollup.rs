//! The rollups: which exist, and what each is built from. Both editions' SQL and the queries follow from this one
//! definition, which itself follows from the declared tables; a new metric is one line in the file of its family.
//!
//! Every start makes the database match the definition: [`found`] inspects it, [`plan`] turns the differences into
//! ordered steps, and [`build`] executes them.

pub(super) mod abilities;
pub(super) mod build;
pub(super) mod catch_up;
mod columns;
pub(super) mod community;
mod copy_rows;
mod definition;
mod difference;
mod found;
pub(super) mod marks;
pub(super) mod oldest;
mod pieces;
pub(super) mod plan;
pub(super) mod policies;
mod progress;
mod relation;
mod replace;
pub(super) mod roll;
mod span;
pub(super) mod stale;

pub use catch_up::RefreshFailure;
pub(super) use columns::{RollupColumn, chart_expressions, histogram_expression, sample_expression};
pub use definition::Definition;
pub(super) use relation::{Content, Rollup, relation, series_key, time_column};

pub(super) const STATEMENTS: [&[&str]; 8] = [
    copy_rows::STATEMENTS,
    found::STATEMENTS,
    marks::STATEMENTS,
    oldest::STATEMENTS,
    pieces::STATEMENTS,
    replace::STATEMENTS,
    roll::STATEMENTS,
    stale::STATEMENTS,
];
