//! Alerting as pure functions of values and a given time: what rules require, what follows from what was read, and what
//! must be sent. Nothing here reads a clock or a database.

pub mod builtin;
pub mod condition;
pub mod coverage;
pub mod function;
pub mod history;
pub mod measure;
pub mod outage;
pub mod past;
pub mod reading;
pub mod reconcile;
pub mod recurrence;
pub mod rule;
pub mod scope;
pub mod settings;
pub mod severity;
pub mod silence;
pub mod step;
pub mod trend;
pub mod verdict;
