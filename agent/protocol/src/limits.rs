//! Every bound of the wire protocol, named once for the agent, the server and the load generator.

/// Largest frame in bytes, in either direction. A bigger one ends the connection.
pub const FRAME_BYTES_MAX: usize = 512 * 1024;

/// Most samples in one `batch` frame.
pub const SAMPLES_PER_FRAME_MAX: usize = 200;

/// Most disks in one sample.
pub const DISKS_PER_SAMPLE_MAX: usize = 128;

/// Most network interfaces in one sample.
pub const NETWORKS_PER_SAMPLE_MAX: usize = 128;

/// Longest name, host name, version and the like, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// Longest mount point, device or interface name, in characters.
pub const PATH_CHARS_MAX: usize = 1024;

/// Longest name of any kind, in bytes of UTF-8: what an index of the database can hold.
pub const NAME_BYTES_MAX: usize = 1024;

/// Largest CPU core count that is believed.
pub const CORE_COUNT_MAX: i32 = 65_536;

/// Largest load average that is believed.
pub const LOAD_MAX: i32 = 1_000_000;

/// How far ahead of the server's clock a sample may be, in milliseconds.
pub const FUTURE_MS_MAX: i64 = 5 * 60 * 1000;

/// Shortest interval between two samples of one agent, in milliseconds.
pub const INTERVAL_MS_MIN: u64 = 1_000;

/// Of three samples of one agent that follow one another, the first and the last are at least this far apart, in
/// milliseconds. Samples may be a little late, and clocks may be set.
pub const SAMPLE_SPACING_MS_MIN: i64 = 500;

/// Longest interval between two samples of one agent, in milliseconds.
pub const INTERVAL_MS_MAX: u64 = 60 * 60 * 1000;

/// Clock offsets smaller than this, in milliseconds, are network latency and jitter rather than a wrong clock.
pub const CLOCK_OFFSET_TOLERANCE_MS: i64 = 2_000;
