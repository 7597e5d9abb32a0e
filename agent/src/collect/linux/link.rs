//! Interfaces of the agent's own network namespace: packets from `/proc/net/dev`, state from `/sys/class/net`, default
//! routes from `/proc/net/route` and `/proc/net/ipv6_route`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::attribute;
use crate::collect::link::Interface;
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Roots};

/// The kernel's types of interfaces that are tunnels: PPP, IP in IP, over IPv6, SIT, GRE, GRE over IPv6, and none (tun,
/// `WireGuard`).
const TUNNEL_TYPES: [u32; 7] = [512, 768, 769, 776, 778, 823, 65_534];

/// Types of tunnels that look like Ethernet, as the kernel names them.
const TUNNEL_NAMES: [&str; 4] = ["geneve", "gretap", "vxlan", "wireguard"];

/// A route that is in use.
const ROUTE_UP: u32 = 0x1;
/// A route that refuses packets.
const ROUTE_REJECT: u32 = 0x200;

/// The interfaces.
pub(in crate::collect) struct LinkSource {
    dev: ProcFile,
    net: PathBuf,
    route: PathBuf,
    ipv6_route: PathBuf,
}

impl LinkSource {
    pub(in crate::collect) fn new(roots: &Roots) -> LinkSource {
        LinkSource {
            dev: ProcFile::new(roots.proc.join("net/dev")),
            net: roots.sys.join("class/net"),
            route: roots.proc.join("net/route"),
            ipv6_route: roots.proc.join("net/ipv6_route"),
        }
    }

    /// Returns the interfaces that are selected by their names.
    pub(in crate::collect) fn read(
        &mut self,
        is_selected: impl Fn(&str) -> bool,
    ) -> Result<Vec<Interface>, CollectError> {
        // A router's tables are long; the default route is near their beginning.
        let mut default = default_routes(&attribute::text(&self.route).unwrap_or_default());
        default.extend(default_ipv6_routes(&attribute::text(&self.ipv6_route).unwrap_or_default()));
        let counters = self.dev.read()?.lines().filter_map(parse).filter(|(name, _)| is_selected(name));
        Ok(counters
            .map(|(name, [received, sent, receive_drops, send_drops, multicast])| {
                let directory = self.net.join(name);
                let kind = kind(&directory);
                let is_physical = directory.join("device").exists();
                let speed = attribute::number::<i64>(&directory.join("speed")).filter(|_| is_physical);
                let duplex = attribute::text(&directory.join("duplex")).filter(|_| is_physical);
                Interface {
                    name: name.to_owned(),
                    kind,
                    master: attribute::target_name(&directory.join("master")).unwrap_or_default(),
                    has_default_route: default.contains(name),
                    // Unknown ones are -1, and without a carrier some drivers say 65535 or 2^32 - 1.
                    speed_bits_per_second: speed
                        .filter(|megabits| (1..10_000_000).contains(megabits) && *megabits != 65_535)
                        .map(|megabits| megabits * 1_000_000),
                    is_up: is_up(&directory),
                    is_full_duplex: match duplex.as_deref() {
                        Some("full") => Some(true),
                        Some("half") => Some(false),
                        _ => None,
                    },
                    counters: [
                        Some(received),
                        Some(sent),
                        Some(receive_drops),
                        Some(send_drops),
                        Some(multicast),
                        attribute::number(&directory.join("carrier_changes")),
                    ],
                }
            })
            .collect())
    }
}

/// `name: bytes packets errors drops fifo frame compressed multicast`, and after these eight of received ones, `bytes
/// packets errors drops …` of sent ones. Returns packets received and sent, drops of both, multicast.
fn parse(line: &str) -> Option<(&str, [u64; 5])> {
    let (name, numbers) = line.rsplit_once(':')?;
    let mut columns = [0; 16];
    let mut numbers = numbers.split_ascii_whitespace();
    for column in &mut columns {
        *column = numbers.next()?.parse().ok()?;
    }
    Some((name.trim(), [columns[1], columns[9], columns[3], columns[11], columns[7]]))
}

fn is_up(directory: &Path) -> Option<bool> {
    match fs::read_to_string(directory.join("carrier")) {
        Ok(carrier) => Some(carrier.trim() == "1"),
        // The interface is switched off.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Some(false),
        Err(_) => None,
    }
}

fn kind(directory: &Path) -> &'static str {
    let has = |name: &str| directory.join(name).exists();
    let event = attribute::text(&directory.join("uevent")).unwrap_or_default();
    let device_type = event.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).unwrap_or_default();
    let hardware_type = attribute::number::<u32>(&directory.join("type"));
    if has("wireless") || has("phy80211") || matches!(device_type, "wlan" | "wwan") {
        "wireless"
    } else if has("bridge") {
        "bridge"
    } else if has("bonding") {
        "bond"
    } else if device_type == "vlan" {
        "vlan"
    } else if TUNNEL_NAMES.contains(&device_type)
        || has("tun_flags")
        || hardware_type.is_some_and(|hardware_type| TUNNEL_TYPES.contains(&hardware_type))
    {
        "tunnel"
    } else if has("device") {
        "physical"
    } else {
        "virtual"
    }
}

/// `interface destination gateway flags references uses metric mask …`, in hexadecimal, after a line of headings.
fn default_routes(text: &str) -> BTreeSet<String> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
        let [name, "00000000", _, flags, _, _, _, "00000000"] = fields[..] else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        (flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0).then(|| name.to_owned())
    };
    text.lines().filter_map(route).collect()
}

/// `destination length source length next_hop metric references uses flags interface`, in hexadecimal.
fn default_ipv6_routes(text: &str) -> BTreeSet<String> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
        let [destination, "00", _, _, _, _, _, _, flags, name] = fields[..] else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = destination.bytes().all(|digit| digit == b'0');
        (is_default && flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0 && name != "lo")
            .then(|| name.to_owned())
    };
    text.lines().filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_in_their_columns() {
        assert_eq!(
            parse("  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"),
            Some(("eth0", [2, 10, 4, 12, 8]))
        );
        assert_eq!(parse("eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").unwrap().0, "eth0:1");
        for text in ["", " face |bytes packets", "eth0: 1 2 3", "eth0: x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn default_routes_are_told_from_others() {
        let text = "\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth1	00000000	00000000	0201	0	0	0	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	0	00000080	0	0	0
eth2	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
";
        assert_eq!(default_routes(text), BTreeSet::from(["eth0".to_owned()]));
        let zero = "00000000000000000000000000000000";
        let text = format!(
            "{zero} 00 {zero} 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
             {zero} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth1\n"
        );
        assert_eq!(default_ipv6_routes(&text), BTreeSet::from(["eth0".to_owned()]));
    }

    #[test]
    fn this_machine_has_readable_links() {
        for interface in LinkSource::new(&Roots::default()).read(|_| true).unwrap() {
            assert!(!interface.name.is_empty() && !interface.kind.is_empty());
        }
    }
}
