//! Which IP addresses are on the public Internet. All others are somebody's inside: this machine, its
//! network, what a cloud tells only its own machines, and the forms of IPv6 that carry such an address
//! of IPv4 within them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not public: the registry of special-purpose addresses (RFC 6890), with
/// multicast, what is reserved, and the address by which one cloud's machines ask their host.
const INSIDE_V4: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared by carriers (RFC 6598).
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local (RFC 3927), where clouds keep what only a machine itself may know.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Azure's host; public by its number, reached from its own machines only.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation (RFC 5737): three networks.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Relays of 6to4 (RFC 7526).
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Benchmarks (RFC 2544).
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::BROADCAST, 32),
];

/// What is given out of IPv6 (RFC 4291). Outside of it are loopback, mapped and compatible addresses of
/// IPv4, NAT64, unique local, link-local and multicast ones.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks within [`GLOBAL_V6`] that are not public.
const INSIDE_V6: [(Ipv6Addr, u32); 4] = [
    // Protocols of the IETF (RFC 2928): Teredo, benchmarks, ORCHID and others.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation (RFC 3849, RFC 9637).
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4 (RFC 3056): an address of IPv4 stands within it.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// The upper half of an interface's number that carries an address of IPv4 (ISATAP, RFC 5214), but for
/// the bit that says whether it is unique.
const ISATAP: u32 = 0x0000_5efe;
const UNIQUE_BIT: u32 = 0x0200_0000;

/// Whether everybody on the Internet can reach an address, so that calling it gains nobody anything.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !INSIDE_V4.iter().any(|network| is_within_v4(ip, *network)),
        IpAddr::V6(ip) => {
            is_within_v6(ip, GLOBAL_V6)
                && !INSIDE_V6.iter().any(|network| is_within_v6(ip, *network))
                && !is_isatap(ip)
        }
    }
}

fn is_within_v4(ip: Ipv4Addr, (network, length): (Ipv4Addr, u32)) -> bool {
    (ip.to_bits() ^ network.to_bits()) >> (32 - length) == 0
}

fn is_within_v6(ip: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    (ip.to_bits() ^ network.to_bits()) >> (128 - length) == 0
}

fn is_isatap(ip: Ipv6Addr) -> bool {
    let [.., a, b, _, _] = ip.segments();
    (u32::from(a) << 16 | u32::from(b)) & !UNIQUE_BIT == ISATAP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_every_network_are_where_they_belong() {
        for (inside, outside) in [
            ("0.255.255.255", "1.0.0.0"),
            ("10.0.0.0", "9.255.255.255"),
            ("10.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.63.255.255"),
            ("100.127.255.255", "100.128.0.0"),
            ("127.255.255.255", "128.0.0.0"),
            ("168.63.129.16", "168.63.129.17"),
            ("169.254.169.254", "169.255.0.0"),
            ("172.16.0.0", "172.15.255.255"),
            ("172.31.255.255", "172.32.0.0"),
            ("192.168.0.0", "192.167.255.255"),
            ("198.19.255.255", "198.20.0.0"),
            ("224.0.0.0", "223.255.255.255"),
            ("2001:1ff:ffff::", "2001:200::"),
            ("2001:db8::1", "2001:db9::1"),
            ("2002:7f00:1::", "2003::1"),
            ("3fff:fff::1", "3fff:1000::1"),
            ("1fff:ffff::", "2000::"),
            ("4000::", "3ffe:ffff::"),
            ("2600::5efe:7f00:1", "2600::5eff:7f00:1"),
            ("2600::200:5efe:7f00:1", "2600::201:5efe:7f00:1"),
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }
}
