//! Limits of the wire protocol, shared by the agent, the server and the load generator.

/// Maximum size of a frame in bytes, in either direction. A larger one closes the connection.
pub const FRAME_BYTES_MAX: usize = 512 * 1024;

/// Maximum number of samples in one `batch` frame.
pub const SAMPLES_PER_FRAME_MAX: usize = 200;

/// Maximum number of disks in one sample.
pub const DISKS_PER_SAMPLE_MAX: usize = 128;

/// Maximum number of network interfaces in one sample.
pub const NETWORKS_PER_SAMPLE_MAX: usize = 128;

/// Maximum number of block devices in one sample.
pub const DEVICES_PER_SAMPLE_MAX: usize = 64;

/// Maximum number of sensors in one sample.
pub const SENSORS_PER_SAMPLE_MAX: usize = 128;

/// Maximum number of volumes in one sample.
pub const VOLUMES_PER_SAMPLE_MAX: usize = 64;

/// Maximum number of containers, virtual machines and units in one sample.
pub const CGROUPS_PER_SAMPLE_MAX: usize = 128;

/// Maximum number of graphics processors in one sample.
pub const GPUS_PER_SAMPLE_MAX: usize = 16;

/// Maximum number of processor cores in one sample.
pub const CORES_PER_SAMPLE_MAX: usize = 256;

/// Maximum length of names, host names, versions and so on, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// Maximum length of a mount point, device or interface name, in characters.
pub const PATH_CHARS_MAX: usize = 1024;

/// Maximum length of any name, in bytes of UTF-8, so that it fits a database index.
pub const NAME_BYTES_MAX: usize = 1024;

/// Maximum CPU core count that is accepted.
pub const CORE_COUNT_MAX: i32 = 65_536;

/// Maximum load average that is accepted.
pub const LOAD_MAX: i32 = 1_000_000;

/// Maximum time that a sample may be ahead of the server's clock, in milliseconds.
pub const FUTURE_MS_MAX: i64 = 5 * 60 * 1000;

/// Minimum interval between two samples of one agent, in milliseconds.
pub const INTERVAL_MS_MIN: u64 = 1_000;

/// Minimum time between the first and the last of three consecutive samples of one agent, in milliseconds. It is below
/// the minimum interval, because samples may be a little late and clocks may be set.
pub const SAMPLE_SPACING_MS_MIN: i64 = 500;

/// Maximum interval between two samples of one agent, in milliseconds.
pub const INTERVAL_MS_MAX: u64 = 60 * 60 * 1000;

/// Clock offsets smaller than this, in milliseconds, are attributed to network latency and jitter.
pub const CLOCK_OFFSET_TOLERANCE_MS: i64 = 2_000;
