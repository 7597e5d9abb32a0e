//! Reasons and results, as values of metric labels.

/// The outcome of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// Accepted.
    Accepted,
    /// Refused: a wrong token, or invalid data.
    Refused,
    /// Told to retry later: too many at the same time, or the database is unavailable.
    Deferred,
}

impl RegistrationOutcome {
    /// All values.
    pub(super) const ALL: [RegistrationOutcome; 3] =
        [RegistrationOutcome::Accepted, RegistrationOutcome::Refused, RegistrationOutcome::Deferred];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            RegistrationOutcome::Accepted => "accepted",
            RegistrationOutcome::Refused => "refused",
            RegistrationOutcome::Deferred => "deferred",
        }
    }
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// `server.connections_max` is reached.
    Full,
    /// `server.connections_per_address_max` is reached for its address.
    FullForAddress,
    /// The system returned an error, usually because file descriptors are used up.
    AcceptError,
}

impl ConnectionRefusal {
    /// All values.
    pub(super) const ALL: [ConnectionRefusal; 3] =
        [ConnectionRefusal::Full, ConnectionRefusal::FullForAddress, ConnectionRefusal::AcceptError];

    /// Returns the reason as counted and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionRefusal::Full => "connections_max",
            ConnectionRefusal::FullForAddress => "connections_per_address_max",
            ConnectionRefusal::AcceptError => "accept_error",
        }
    }
}

/// Why the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Its first request did not arrive within `server.request_head_timeout_ms`.
    RequestHeadTimeout,
    /// No further request arrived within `server.idle_timeout_ms`.
    IdleTimeout,
    /// A request was not completely answered within `server.request_timeout_ms`.
    RequestTimeout,
    /// The client accepted no data for `server.write_timeout_ms`.
    WriteTimeout,
    /// `server.connections_max` is reached, and a new connection displaced it.
    Displaced,
    /// The TLS handshake failed.
    TlsFailed,
}

impl ConnectionEnd {
    /// All values.
    pub(super) const ALL: [ConnectionEnd; 6] = [
        ConnectionEnd::RequestHeadTimeout,
        ConnectionEnd::IdleTimeout,
        ConnectionEnd::RequestTimeout,
        ConnectionEnd::WriteTimeout,
        ConnectionEnd::Displaced,
        ConnectionEnd::TlsFailed,
    ];

    /// Returns the reason as counted and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionEnd::RequestHeadTimeout => "request_head_timeout",
            ConnectionEnd::IdleTimeout => "idle_timeout",
            ConnectionEnd::RequestTimeout => "request_timeout",
            ConnectionEnd::WriteTimeout => "write_timeout",
            ConnectionEnd::Displaced => "displaced",
            ConnectionEnd::TlsFailed => "tls_failed",
        }
    }
}

/// Why no more data from a client was buffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryRefusal {
    /// `server.buffered_bytes_max` is reached.
    Full,
    /// `server.buffered_bytes_per_address_max` is reached for its address.
    FullForAddress,
}

impl MemoryRefusal {
    /// All values.
    pub(super) const ALL: [MemoryRefusal; 2] = [MemoryRefusal::Full, MemoryRefusal::FullForAddress];

    /// Returns the reason as counted and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            MemoryRefusal::Full => "buffered_bytes_max",
            MemoryRefusal::FullForAddress => "buffered_bytes_per_address_max",
        }
    }
}

/// The limit because of which a chart was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartRefusal {
    /// `server.charts_per_user_max` is reached.
    User,
    /// The half of `database.pool_size` for charts is in use.
    Pool,
}

impl ChartRefusal {
    /// All values.
    pub(super) const ALL: [ChartRefusal; 2] = [ChartRefusal::User, ChartRefusal::Pool];

    /// Returns the limit's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ChartRefusal::User => "charts_per_user_max",
            ChartRefusal::Pool => "pool_size",
        }
    }
}
