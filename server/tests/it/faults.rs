//! What is acknowledged is stored exactly once, and what is not is sent again: tested by killing processes, breaking
//! connections at any byte and filling disks. `support::account` states the property; every test draws its faults from
//! a seed, which it prints and `PIKA_TEST_SEED` sets.

mod agent_killed;
mod connection_cut;
mod database_killed;
mod disk_full;
mod primary_lost;
mod server_killed;
