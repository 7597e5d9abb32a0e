//! Shared code of the tests.

pub(crate) mod account;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod http2;
pub(crate) mod macros;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod receiver;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod wait;

use std::sync::{Arc, Mutex};

use pika_server::domain::audit::{Action, Actor, AuditEvent, Origin};

pub(crate) use client::{AgentClient, register_message};
pub(crate) use database::TestDatabase;
pub(crate) use fleet::Fleet;
pub(crate) use http2::Http2Client;
pub(crate) use proxy::{Delays, Faults, Proxy};
pub(crate) use random::Random;
pub(crate) use receiver::Receiver;
pub(crate) use server::TestServer;
pub(crate) use wait::eventually;

/// An audit event for what a test does to the store directly.
pub(crate) fn by_test(action: Action) -> AuditEvent {
    AuditEvent::new(Actor::System, Origin { at: client::now(), ..Origin::default() }, action)
}

/// What a subscriber writes to.
#[derive(Clone)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

/// Captures everything logged by the test's thread while this lives.
pub(crate) struct LogCapture {
    buffer: LogBuffer,
    // With only one subscriber, other tests' threads, which have none, would decide what is worth logging.
    _second: tracing::Dispatch,
    _guard: tracing::subscriber::DefaultGuard,
}

impl LogCapture {
    pub(crate) fn start() -> Self {
        let buffer = LogBuffer(Arc::default());
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(buffer.clone())
            .finish();
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        Self { buffer, _second: second, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.buffer.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for LogBuffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Runs each test on both editions: on the server given by `PIKA_TEST_DATABASE_URL`, and on Community in PGlite.
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
