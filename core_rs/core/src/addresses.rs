//! Networks in CIDR notation: from where a key may be used.

use std::net::IpAddr;

/// Addresses that begin with the same bits. IPv4 is kept as the part of IPv6 that stands for it, so that an address
/// is the same however it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    prefix: u32,
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Network {
    /// The network with this text: an address, or an address and how many of its first bits count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (longest, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let length = match length {
            None => longest,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
        };
        if length > longest {
            return None;
        }
        let (bits, prefix) = (bits_of(address), before + length);
        // Bits that do not count must not be set: `10.0.0.7/8` is a slip of the pen, not a network.
        (bits & !mask(prefix) == 0).then_some(Self { bits, prefix })
    }

    /// True when the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        bits_of(address) & mask(self.prefix) == self.bits
    }
}

const fn mask(prefix: u32) -> u128 {
    match u128::MAX.checked_shl(128 - prefix) {
        Some(mask) => mask,
        None => 0,
    }
}

/// The address of a peer as the server tells it: with a port, in brackets, or bare.
#[must_use]
pub fn peer_address(text: &str) -> Option<IpAddr> {
    let socket: Option<std::net::SocketAddr> = text.parse().ok();
    socket.map_or_else(|| text.parse().ok(), |socket| Some(socket.ip()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_networks_and_in_no_other() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.1.2.3", "11.0.0.1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::1/128", "::1", "::2"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        assert!(Network::parse("::/0").unwrap().contains("1.2.3.4".parse().unwrap()));
        for bad in [
            "",
            "10.0.0.7/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "a/8",
            "10.0.0.0/",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn peers_come_with_and_without_a_port() {
        for (text, address) in [
            ("127.0.0.1:54321", Some("127.0.0.1")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[::1]:80", Some("::1")),
            ("::1", Some("::1")),
            ("unix:/run/x", None),
            ("", None),
        ] {
            assert_eq!(
                peer_address(text),
                address.map(|address| address.parse().unwrap()),
                "{text}"
            );
        }
    }
}
