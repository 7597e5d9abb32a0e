//! What the tests share.

pub(crate) mod account;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod fleet;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod wait;

pub(crate) use client::{AgentClient, register_message};
pub(crate) use database::TestDatabase;
pub(crate) use fleet::Fleet;
pub(crate) use proxy::{Delays, Faults, Proxy};
pub(crate) use random::Random;
pub(crate) use server::TestServer;
pub(crate) use wait::eventually;

/// Runs each test on both editions: on the server that `PIKA_TEST_DATABASE_URL` names, and on Community in PGlite.
macro_rules! on_both_editions {
    ($($test:ident),+ $(,)?) => {
        mod on_server {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::support::TestDatabase::on_server().await).await;
            })+
        }
        mod on_community {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::support::TestDatabase::on_community().await).await;
            })+
        }
    };
}
pub(crate) use on_both_editions;
