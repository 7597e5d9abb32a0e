//! Assembles and runs the server; the only module that uses all others.

mod error;
mod jobs;
mod maintenance;
mod own_history;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pika_shared::Clock;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::jobs::prepare_and_maintain;
use crate::alerting::EvaluatorOptions;
use crate::api::{ApiContext, ApiParts, Backtests, ChangedAlertsCache, ChannelTests, ChartLimit, FleetCache};
use crate::auth::Auth;
use crate::config::{self, Config};
use crate::http::{self, ConnectionLimiter, LimitedAcceptor, Limits, Memory, Tls, TlsInUse};
use crate::ingest::Ingest;
use crate::notify::{Notifier, NotifierParts};
use crate::readiness::Readiness;
use crate::routes;
use crate::store::Store;
use crate::telemetry::Instruments;

pub use error::AppError;

/// Length of the accept queue, up to the system's `net.core.somaxconn`.
const LISTEN_BACKLOG: u32 = 4_096;
/// How often to check whether the database is ready for notifications.
const READINESS_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of connections to the separate address for metrics.
const METRICS_CONNECTIONS_MAX: usize = 64;

/// Binds an address. Like Tokio's own `bind`, with a longer queue: a whole fleet may reconnect within a second, and a
/// client that finds the queue full retries only after a second or more.
fn listen(address: SocketAddr) -> Result<TcpListener, AppError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(LISTEN_BACKLOG)
    };
    bound().map_err(|source| AppError::Listen { address, source })
}

/// A server that is bound to its address but not running yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    clock: Clock,
    store: Store,
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    tls: Option<Tls>,
    instruments: Arc<Instruments>,
    notifier: Notifier,
    announce_password: fn(&str, &SecretString),
}

impl Server {
    /// Binds the configured address, without using the database yet.
    ///
    /// # Errors
    /// If the address is not available, or the database's URL or the certificate is invalid.
    pub async fn bind(config: Config, clock: Clock) -> Result<Self, AppError> {
        let store = Store::of_config(&config.database)?;
        let instruments = Arc::new(Instruments::new()?);
        let notifier = Notifier::new(
            &config.alerting,
            NotifierParts {
                store: store.clone(),
                clock: clock.clone(),
                instruments: Arc::clone(&instruments),
                public_url: config.server.public_url.clone(),
            },
        )?;
        let tls = config.server.tls_files().map(Tls::load).transpose()?;
        let listener = listen(config.server.addr)?;
        let metrics_listener = match config.metrics.addr {
            Some(address) => Some(listen(address)?),
            None => None,
        };
        Ok(Self {
            config,
            clock,
            store,
            listener,
            metrics_listener,
            tls,
            instruments,
            notifier,
            announce_password: |_, _| {},
        })
    }

    /// Sets the function that is called with the name and the generated password of the first administrator.
    #[must_use]
    pub fn announce_password_with(mut self, announce: fn(&str, &SecretString)) -> Self {
        self.announce_password = announce;
        self
    }

    /// Returns the address on which the server listens.
    ///
    /// # Errors
    /// If the system does not report it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns the separate address for metrics, if any.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Returns the server's own metrics.
    pub fn instruments(&self) -> Arc<Instruments> {
        Arc::clone(&self.instruments)
    }

    /// Serves until `shutdown` is cancelled; then stores and acknowledges what is in flight. If the database is
    /// unavailable at startup, requests are answered with 503 while connecting is retried.
    ///
    /// # Errors
    /// If the database is available but cannot be used.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AppError> {
        let Self { config, clock, store, listener, metrics_listener, tls, instruments, notifier, .. } = self;
        let announce_password = self.announce_password;
        let deadline = Duration::from_millis(config.server.shutdown_timeout_ms);
        let auth = Auth::new(
            store.clone(),
            clock.clone(),
            &config.auth,
            notifier.secret_keys(),
            Arc::clone(&instruments),
        )?;
        let ingest =
            Ingest::start(config.ingest.clone(), store.clone(), clock.clone(), Arc::clone(&instruments));
        let readiness = Readiness::default();
        let context = ApiContext::from(ApiParts {
            store: store.clone(),
            clock: clock.clone(),
            auth: auth.clone(),
            enrollment_limits: config.auth.enrollment_limits(),
            sockets: ingest.sockets(),
            readiness: readiness.clone(),
            charts: ChartLimit::new(config.server.charts_per_user_max, Arc::clone(&instruments)),
            fleet_answers: FleetCache::default(),
            changed_alerts: ChangedAlertsCache::default(),
            backtests: Backtests::default(),
            alerting: EvaluatorOptions::of_config(&config),
            notifier: notifier.clone(),
            channel_tests: ChannelTests::default(),
            instruments: Arc::clone(&instruments),
            pinned_tls: tls.as_ref().filter(|_| config.server.tls.pin_key).map(Tls::subscribe),
            is_public_over_tls: config.server.is_public_over_tls(),
            public_url: not_empty(&config.server.public_url),
            grafana_url: not_empty(&config.grafana.url),
            started_at: clock.now(),
        });
        let stop_notifier = CancellationToken::new();
        let notifying = start_notifier(&config, &notifier, &readiness, stop_notifier.clone());
        let stop_http = CancellationToken::new();
        let own_context = context.clone();
        let address = listener.local_addr().ok();
        let listeners = (listener, metrics_listener);
        let subscription = tls.as_ref().map(Tls::subscribe);
        let mut http_server = start_http(&config, listeners, subscription, context, stop_http.clone())?;
        let mut http_ended = None;
        let result = tokio::select! {
            () = ingest.failed() => Err(AppError::Ingest),
            never = keep_current(tls, &config) => match never {},
            never = Box::pin(own_history::write(&own_context, address, &config.metrics)) => match never {},
            ended = &mut http_server => {
                http_ended = Some(ended);
                Ok(())
            }
            () = shutdown.cancelled() => Ok(()),
            result = prepare_and_maintain(&config, &clock, &store, &auth, &notifier, &instruments, &readiness, announce_password) => result,
        };
        if result.is_ok() {
            tracing::info!("stopping: storing samples in flight");
        }
        // No more connections from here on; existing ones share one deadline with the ingest path.
        stop_http.cancel();
        stop_notifier.cancel();
        ingest.stop(deadline).await;
        stop_notifying(notifying, deadline).await;
        let http_ended = match http_ended {
            Some(Ok(())) => Err(io::Error::other("it ended unexpectedly")),
            Some(Err(error)) => Err(error.into()),
            None => http_server.await.map_err(io::Error::from),
        };
        if let Err(error) = http_ended {
            return result.and(Err(AppError::Http(error)));
        }
        tracing::info!("stopped");
        result
    }
}

/// Returns a setting's text unless it is empty.
fn not_empty(text: &str) -> Option<Arc<str>> {
    Some(text).filter(|text| !text.is_empty()).map(Arc::from)
}

/// Starts sending notifications once the database is ready.
fn start_notifier(
    config: &Config,
    notifier: &Notifier,
    readiness: &Readiness,
    stopped: CancellationToken,
) -> JoinHandle<()> {
    let (notifier, readiness, is_enabled) = (notifier.clone(), readiness.clone(), config.alerting.enabled);
    tokio::spawn(async move {
        while !readiness.is_ready() {
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(READINESS_INTERVAL) => {}
            }
        }
        if is_enabled {
            notifier.run(stopped).await;
        }
    })
}

/// Waits for messages that are being sent. Unfinished ones are sent again later with the same key.
async fn stop_notifying(notifying: JoinHandle<()>, deadline: Duration) {
    let abort = notifying.abort_handle();
    if tokio::time::timeout(deadline, notifying).await.is_err() {
        abort.abort();
        tracing::warn!("stopped while a message was being sent; it will be sent again");
    }
}

/// Starts serving: everything on the first listener, the metrics on the second, if any.
fn start_http(
    config: &Config,
    listeners: (TcpListener, Option<TcpListener>),
    tls: Option<watch::Receiver<TlsInUse>>,
    context: ApiContext,
    stopped: CancellationToken,
) -> Result<JoinHandle<()>, AppError> {
    let (listener, metrics_listener) = listeners;
    let deadline = Duration::from_millis(config.server.shutdown_timeout_ms);
    let instruments = Arc::clone(&context.instruments);
    let metrics_token = Some(&config.metrics.token).filter(|token| !token.expose_secret().is_empty());
    let metrics_routes = routes::metrics_routes(context.clone());
    let routes = routes::routes(context, &config.server, metrics_token.cloned());
    let limits = limits(&config.server, &instruments);
    let metrics_limits = Limits { connections: metrics_connections(&instruments), ..limits.clone() };
    let accept =
        |listener, tls, limits| LimitedAcceptor::new(listener, tls, limits, Arc::clone(&instruments));
    let acceptor = accept(listener, tls, limits).map_err(AppError::Http)?;
    let metrics_acceptor = metrics_listener.map(|listener| accept(listener, None, metrics_limits));
    let metrics_acceptor = metrics_acceptor.transpose().map_err(AppError::Http)?;
    let api_server = http::serve(acceptor, routes, stopped.clone(), deadline);
    let metrics_server = async move {
        match metrics_acceptor {
            Some(acceptor) => http::serve(acceptor, metrics_routes, stopped, deadline).await,
            None => stopped.cancelled().await,
        }
    };
    Ok(tokio::spawn(async move {
        tokio::join!(api_server, metrics_server);
    }))
}

/// Returns the limits of the server's clients.
fn limits(config: &config::ServerConfig, instruments: &Arc<Instruments>) -> Limits {
    Limits {
        connections: ConnectionLimiter::new(
            config.connections_max,
            config.connections_per_address_max,
            config.trusted_proxies.clone(),
            Arc::clone(instruments),
        ),
        memory: Memory::new(
            config.buffered_bytes_max,
            config.buffered_bytes_per_address_max,
            Arc::clone(instruments),
        ),
        timeouts: config.into(),
    }
}

/// Returns the connection limiter of the separate address for metrics.
fn metrics_connections(instruments: &Arc<Instruments>) -> Arc<ConnectionLimiter> {
    ConnectionLimiter::new(
        METRICS_CONNECTIONS_MAX,
        METRICS_CONNECTIONS_MAX,
        Vec::new(),
        Arc::clone(instruments),
    )
}

/// Keeps certificate and key current, if the server uses TLS.
async fn keep_current(tls: Option<Tls>, config: &Config) -> Infallible {
    match tls {
        Some(tls) => tls.keep_current(Duration::from_millis(config.server.tls.reload_interval_ms)).await,
        None => std::future::pending().await,
    }
}
