//! What is counted apart by its reason or result: the values of labels.

/// What becomes of agents that want to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// Let in.
    Accepted,
    /// Not let in: a wrong token, or nonsense.
    Refused,
    /// Told to come back later: too many at the same time, or the database is away.
    Deferred,
}

impl RegistrationOutcome {
    /// All of them.
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

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// `server.connections_max` is reached.
    Full,
    /// `server.connections_per_address_max` is reached for its address.
    FullForAddress,
    /// The system gave an error, usually because file descriptors are used up.
    AcceptError,
}

impl ConnectionRefusal {
    /// All of them.
    pub(super) const ALL: [ConnectionRefusal; 3] =
        [ConnectionRefusal::Full, ConnectionRefusal::FullForAddress, ConnectionRefusal::AcceptError];

    /// As it is counted and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionRefusal::Full => "connections_max",
            ConnectionRefusal::FullForAddress => "connections_per_address_max",
            ConnectionRefusal::AcceptError => "accept_error",
        }
    }
}

/// Why the server has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Its first request did not come within `server.request_head_timeout_ms`.
    RequestHeadTimeout,
    /// No further request came within `server.idle_timeout_ms`.
    IdleTimeout,
    /// A request was not answered, or its answer not taken, within `server.request_timeout_ms`.
    RequestTimeout,
    /// The client took nothing of what it was sent for `server.write_timeout_ms`.
    WriteTimeout,
    /// `server.connections_max` is reached, and others needed the place more.
    Displaced,
    /// No TLS could be agreed upon.
    TlsFailed,
}

impl ConnectionEnd {
    /// All of them.
    pub(super) const ALL: [ConnectionEnd; 6] = [
        ConnectionEnd::RequestHeadTimeout,
        ConnectionEnd::IdleTimeout,
        ConnectionEnd::RequestTimeout,
        ConnectionEnd::WriteTimeout,
        ConnectionEnd::Displaced,
        ConnectionEnd::TlsFailed,
    ];

    /// As it is counted and logged.
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

/// Why nothing more was buffered of what a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryRefusal {
    /// `server.buffered_bytes_max` is reached.
    Full,
    /// `server.buffered_bytes_per_address_max` is reached for its address.
    FullForAddress,
}

impl MemoryRefusal {
    /// All of them.
    pub(super) const ALL: [MemoryRefusal; 2] = [MemoryRefusal::Full, MemoryRefusal::FullForAddress];

    /// As it is counted and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            MemoryRefusal::Full => "buffered_bytes_max",
            MemoryRefusal::FullForAddress => "buffered_bytes_per_address_max",
        }
    }
}

/// Which limit a chart was refused by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChartRefusal {
    /// `server.charts_per_user_max` is reached.
    User,
    /// The half of `database.pool_size` that charts may use is in use.
    Pool,
}

impl ChartRefusal {
    /// All of them.
    pub(super) const ALL: [ChartRefusal; 2] = [ChartRefusal::User, ChartRefusal::Pool];

    /// The limit's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ChartRefusal::User => "charts_per_user_max",
            ChartRefusal::Pool => "pool_size",
        }
    }
}
