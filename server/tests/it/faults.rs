//! What is acknowledged is stored exactly once, and what is not is sent again: with processes that are killed,
//! connections that break anywhere and disks that are full. `support::account` says what holds; every test draws its
//! faults from a seed, which it prints and `PIKA_TEST_SEED` sets.

mod agent_killed;
mod connection_cut;
mod database_killed;
mod disk_full;
mod server_killed;
