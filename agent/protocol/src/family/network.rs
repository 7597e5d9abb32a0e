//! Network interfaces.

use super::{Bounds, SeriesNames};
use crate::limits::{NETWORKS_PER_SAMPLE_MAX, PATH_CHARS_MAX};

family! {
    /// One network interface: counters since boot, and the traffic since the previous sample.
    NetworkMetrics, NetworkNumbers in "network_metrics";
    series "interface_key" named by SeriesNames::Own("network_interfaces"), at most NETWORKS_PER_SAMPLE_MAX => {
        /// The interface's name; identifies it within its agent.
        interface "interface" => name, PATH_CHARS_MAX;
    }
    required {
        /// Bytes received since boot, as the kernel counts them.
        received_bytes_total "bytesRecvTotal" => received_bytes_total: i64, Bounds::NotNegative;
        /// Bytes sent since boot, as the kernel counts them.
        sent_bytes_total "bytesSentTotal" => sent_bytes_total: i64, Bounds::NotNegative;
    }
    optional {
        /// Bytes received since the previous sample of this interface, accounting for counter resets. Absent in the
        /// first sample. If an agent never sends it, the server derives it.
        received_bytes_delta "bytesRecvDelta" => received_bytes: i64, Bounds::NotNegative;
        /// Bytes sent since the previous sample of this interface, like `bytesRecvDelta`.
        sent_bytes_delta "bytesSentDelta" => sent_bytes: i64, Bounds::NotNegative;
        /// The time that the deltas cover, in milliseconds.
        interval_ms "intervalMs" => interval_ms: i64, Bounds::NotNegative;
        /// Packets received with an error since the previous sample.
        receive_errors_delta "errorsRecvDelta" => receive_errors: i64, Bounds::NotNegative;
        /// Packets that could not be sent since the previous sample.
        send_errors_delta "errorsSentDelta" => send_errors: i64, Bounds::NotNegative;
    }
    family "network" {
        rate "receivedBytesPerSecond" = received_bytes, BytesPerSecond;
        rate "sentBytesPerSecond" = sent_bytes, BytesPerSecond;
        rate "receiveErrorsPerSecond" = receive_errors, PerSecond;
        rate "sendErrorsPerSecond" = send_errors, PerSecond;
    }
    completed by with_deltas;
}

/// Fills in the deltas since earlier numbers if the agent did not send them. A counter that went down was reset, so its
/// whole value is the delta.
///
/// # Errors
/// If there are deltas without the time that they cover.
fn with_deltas(
    mut now: NetworkNumbers,
    earlier: Option<(NetworkNumbers, i64)>,
) -> Result<NetworkNumbers, &'static str> {
    if now.received_bytes.is_some() || now.sent_bytes.is_some() {
        return match now.interval_ms {
            Some(1..) => Ok(now),
            _ => Err("intervalMs must be positive where deltas are given"),
        };
    }
    if let Some((earlier, elapsed_ms)) = earlier {
        let moved = |now: i64, earlier: i64| if earlier <= now { now - earlier } else { now };
        now.received_bytes = Some(moved(now.received_bytes_total, earlier.received_bytes_total));
        now.sent_bytes = Some(moved(now.sent_bytes_total, earlier.sent_bytes_total));
        now.interval_ms = Some(elapsed_ms);
    }
    Ok(now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says where")]

    use super::*;

    fn counted(received_bytes_total: i64) -> NetworkNumbers {
        NetworkNumbers { received_bytes_total, sent_bytes_total: 0, ..NetworkNumbers::default() }
    }

    #[test]
    fn deltas_are_derived_and_survive_a_reset() {
        let moved = |now, earlier| with_deltas(counted(now), earlier).unwrap();
        assert_eq!(moved(100, None).received_bytes, None);
        let derived = moved(150, Some((counted(100), 5_000)));
        assert_eq!((derived.received_bytes, derived.sent_bytes), (Some(50), Some(0)));
        assert_eq!(derived.interval_ms, Some(5_000));
        assert_eq!(moved(30, Some((counted(150), 5_000))).received_bytes, Some(30));
    }

    #[test]
    fn deltas_need_the_time_they_cover() {
        let sent = NetworkNumbers { received_bytes: Some(5), ..counted(100) };
        assert!(with_deltas(sent, None).unwrap_err().contains("intervalMs"));
        assert!(with_deltas(NetworkNumbers { interval_ms: Some(0), ..sent }, None).is_err());
        let covered = NetworkNumbers { interval_ms: Some(1), ..sent };
        assert_eq!(
            with_deltas(covered, Some((counted(1), 9))),
            Ok(covered),
            "the agent's own deltas are kept"
        );
    }
}
