//! Groups addresses for per-address limits.

use std::net::{IpAddr, Ipv6Addr};

/// The prefix length that distinguishes customers of a provider; the rest of an IPv6 address is chosen by the customer.
const IPV6_PREFIX_BITS: u32 = 64;

/// Returns the address that represents an address in limits: an IPv4 address itself, or the first of an IPv6 address's
/// /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8::ffff:1"), "2001:db8::");
        assert_eq!(of("2001:db8:0:1::1"), "2001:db8:0:1::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
