//! Links: packets, drops, and the state of network interfaces.

use super::{Bounds, SeriesNames};
use crate::limits::{NAME_CHARS_MAX, NETWORKS_PER_SAMPLE_MAX};

family! {
    /// The state of one network interface, and its packets since the previous sample.
    LinkMetrics, LinkNumbers in "link_metrics", rolled up from Hour;
    series "link_key" named by SeriesNames::Shared, at most NETWORKS_PER_SAMPLE_MAX => {
        /// The interface's name; identifies it within its agent.
        interface "interface" => name, NAME_CHARS_MAX;
        /// `physical`, `wireless`, `bridge`, `bond`, `vlan`, `tunnel` or `virtual`.
        kind "kind" => kind, NAME_CHARS_MAX;
        /// The bond or bridge that it belongs to; empty if none.
        master "master" => master, NAME_CHARS_MAX;
        /// `true` if a default route leads through it, otherwise `false`.
        has_default_route "hasDefaultRoute" => has_default_route, NAME_CHARS_MAX;
    }
    required {}
    optional {
        /// The time that the amounts cover, in milliseconds.
        interval_ms "intervalMs" => interval_ms: i64, Bounds::NotNegative;
        /// Packets received.
        received_packets "receivedPackets" => received_packets: i64, Bounds::NotNegative;
        /// Packets sent.
        sent_packets "sentPackets" => sent_packets: i64, Bounds::NotNegative;
        /// Received packets that were dropped.
        receive_drops "receiveDrops" => receive_drops: i64, Bounds::NotNegative;
        /// Packets that were dropped instead of sent.
        send_drops "sendDrops" => send_drops: i64, Bounds::NotNegative;
        /// Multicast packets received.
        received_multicast "receivedMulticast" => received_multicast: i64, Bounds::NotNegative;
        /// How often the link went up or down.
        carrier_changes "carrierChanges" => carrier_changes: i64, Bounds::NotNegative;
        /// The speed of the link, in bits per second.
        speed_bits_per_second "speedBitsPerSecond" => speed_bits_per_second: i64, Bounds::NotNegative;
        /// 1 if the link is up, otherwise 0.
        is_up "isUp" => is_up: i32, Bounds::UpTo(1);
        /// 1 if the link is full duplex, otherwise 0.
        full_duplex "fullDuplex" => full_duplex: i32, Bounds::UpTo(1);
    }
    family "link" {
        rate "receivedPacketsPerSecond" = received_packets, PerSecond;
        rate "sentPacketsPerSecond" = sent_packets, PerSecond;
        rate "receiveDropsPerSecond" = receive_drops, PerSecond;
        rate "sendDropsPerSecond" = send_drops, PerSecond;
        rate "receivedMulticastPerSecond" = received_multicast, PerSecond;
        per_hour "carrierChangesPerHour" = carrier_changes, PerHour;
        level "isUp" = is_up, Boolean;
        level "speedBitsPerSecond" = speed_bits_per_second, BitsPerSecond;
        level "fullDuplex" = full_duplex, Boolean;
    }
}
