//! Sockets of the agent's network namespace, from `/proc/net`. The tables of all sockets are not read: on a busy machine
//! that takes long.

use std::path::PathBuf;

use pika_protocol::SystemMetrics;

use super::super::page::page_bytes;
use super::super::{attribute, keyed};
use crate::collect::delta::{Counters, Width};
use crate::collect::number::{signed, small};
use crate::collect::proc_file::ProcFile;
use crate::collect::{Roots, Tick, View};

/// Reads sockets.
pub(super) struct Sockets {
    snmp: ProcFile,
    snmp6: ProcFile,
    netstat: ProcFile,
    sockstat: ProcFile,
    sockstat6: ProcFile,
    softnet: ProcFile,
    conntrack: PathBuf,
    /// Whether numbers that the kernel keeps for the whole machine belong to what the agent reports.
    is_whole: bool,
    page_bytes: u64,
    counters: Counters<11>,
}

impl Sockets {
    pub(super) fn new(roots: &Roots, view: View) -> Sockets {
        let file = |name: &str| ProcFile::new(roots.proc.join("net").join(name));
        let mut widths = [Width::Full; 11];
        // Sums over processors, which shrink when one goes offline.
        widths[9] = Width::Bits32;
        widths[10] = Width::Bits32;
        Sockets {
            snmp: file("snmp"),
            snmp6: file("snmp6"),
            netstat: file("netstat"),
            sockstat: file("sockstat"),
            sockstat6: file("sockstat6"),
            softnet: file("softnet_stat"),
            conntrack: roots.proc.join("sys/net/netfilter"),
            is_whole: view == View::Host,
            page_bytes: page_bytes(roots),
            counters: Counters::new(widths),
        }
    }

    /// Fills in what is there.
    pub(super) fn read(&mut self, tick: Tick, metrics: &mut SystemMetrics) {
        let snmp = self.snmp.read().unwrap_or_default();
        let tcp = |name| table_value(snmp, "Tcp:", name);
        let snmp6 = self.snmp6.read().unwrap_or_default();
        // The kernel counts TCP for both versions of IP together, and UDP for each by itself.
        let udp = |name: &str| {
            let ipv4 = table_value(snmp, "Udp:", name)?;
            Some(ipv4.saturating_add(keyed::number(snmp6, &format!("Udp6{name}")).unwrap_or(0)))
        };
        let netstat = self.netstat.read().unwrap_or_default();
        let tcp_extended = |name| table_value(netstat, "TcpExt:", name);
        let (dropped, squeezed) = match self.softnet.read() {
            Ok(text) if self.is_whole => parse_softnet(text),
            _ => (None, None),
        };
        let full_buffers = udp("RcvbufErrors")
            .zip(udp("SndbufErrors"))
            .map(|(received, sent)| received.saturating_add(sent));
        let current = [
            tcp("OutSegs"),
            tcp("RetransSegs"),
            tcp_extended("ListenDrops"),
            tcp_extended("ListenOverflows"),
            tcp_extended("TCPTimeouts"),
            tcp("OutRsts"),
            tcp("AttemptFails"),
            udp("InErrors"),
            full_buffers,
            dropped,
            squeezed,
        ];
        metrics.tcp_established = tcp("CurrEstab").and_then(small);
        let moved = self.counters.advance(tick.uptime_ms, current);
        metrics.interval_ms = moved.interval_ms;
        [
            metrics.tcp_out_segments,
            metrics.tcp_retransmits,
            metrics.tcp_listen_drops,
            metrics.tcp_listen_overflows,
            metrics.tcp_timeouts,
            metrics.tcp_resets_sent,
            metrics.tcp_failed_connects,
            metrics.udp_receive_errors,
            metrics.udp_buffer_errors,
            metrics.softnet_dropped,
            metrics.softnet_squeezed,
        ] = moved.amounts;
        self.read_open_sockets(metrics);
        if self.is_whole {
            let conntrack = |name: &str| attribute::number::<u64>(&self.conntrack.join(name)).map(signed);
            metrics.conntrack_entries = conntrack("nf_conntrack_count");
            metrics.conntrack_max = conntrack("nf_conntrack_max");
        }
    }

    fn read_open_sockets(&mut self, metrics: &mut SystemMetrics) {
        let sockstat = self.sockstat.read().unwrap_or_default();
        let sockstat6 = self.sockstat6.read().unwrap_or_default();
        let udp = pair_value(sockstat, "UDP", "inuse");
        let udp6 = pair_value(sockstat6, "UDP6", "inuse").unwrap_or(0);
        metrics.udp_in_use = udp.and_then(|udp| small(udp.saturating_add(udp6)));
        metrics.tcp_time_wait = pair_value(sockstat, "TCP", "tw").and_then(small);
        if self.is_whole {
            metrics.tcp_orphaned = pair_value(sockstat, "TCP", "orphan").and_then(small);
            let bytes = |pages: u64| pages.saturating_mul(self.page_bytes);
            metrics.tcp_memory_bytes = pair_value(sockstat, "TCP", "mem").map(bytes).map(signed);
        }
    }
}

/// Returns a value of a pair of lines: the first names the columns, the second has the values.
fn table_value(text: &str, prefix: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let (names, values) = (lines.next()?, lines.next()?);
    let (_, value) = names
        .split_ascii_whitespace()
        .zip(values.split_ascii_whitespace())
        .find(|(found, _)| *found == name)?;
    value.parse().ok()
}

/// Returns a value of `TCP: inuse 9 orphan 0 tw 0 alloc 9 mem 75`.
fn pair_value(text: &str, key: &str, name: &str) -> Option<u64> {
    let mut words = keyed::value(text, key)?.split_ascii_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

/// Sums the second and third of the hexadecimal columns over the processors: dropped, and squeezed.
fn parse_softnet(text: &str) -> (Option<u64>, Option<u64>) {
    let column = |n| {
        let values =
            text.lines().map(|line| u64::from_str_radix(line.split_ascii_whitespace().nth(n)?, 16).ok());
        values.into_iter().try_fold(0u64, |sum, value| sum.checked_add(value?)).filter(|_| !text.is_empty())
    };
    (column(1), column(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_names() {
        let snmp =
            "Ip: Forwarding\nIp: 2\nTcp: MaxConn CurrEstab OutSegs\nTcp: -1 7 66006026\nUdp: InErrors\n";
        assert_eq!(table_value(snmp, "Tcp:", "OutSegs"), Some(66_006_026));
        assert_eq!(table_value(snmp, "Tcp:", "MaxConn"), None, "no count");
        assert_eq!(table_value(snmp, "Tcp:", "Other"), None);
        assert_eq!(table_value(snmp, "Udp:", "InErrors"), None, "without values");
        let sockstat = "sockets: used 27\nTCP: inuse 9 orphan 1 tw 2 alloc 9 mem 75\nUDP: inuse 3 mem 0\nUDPLITE: inuse 5\n";
        assert_eq!(pair_value(sockstat, "TCP", "tw"), Some(2));
        assert_eq!(pair_value(sockstat, "UDP", "inuse"), Some(3));
        assert_eq!(pair_value(sockstat, "UDP", "orphan"), None);
    }

    #[test]
    fn processors_are_added_up() {
        assert_eq!(
            parse_softnet("01f915a7 00000002 0000000e 0\n00000001 00000001 00000017 0\n"),
            (Some(3), Some(37))
        );
        assert_eq!(parse_softnet(""), (None, None));
        assert_eq!(parse_softnet("1 x 3\n"), (None, Some(3)));
    }
}
