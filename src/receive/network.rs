//! receive: networks that may connect, as an operator writes them. Nothing is looked up here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that begin alike: `192.0.2.0/24`, `2001:db8::/32`; without a length, one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// Both loopbacks.
    pub const LOOPBACK: [Network; 2] = [
        Network { base: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), bits: 8 },
        Network { base: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 },
    ];

    /// The network of a text, or the fault and a correction.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let wrong = || {
            let hint = "write for example `192.0.2.10`, `192.0.2.0/24` or `2001:db8::/64`";
            (format!("`{text}` is not a network"), hint.to_owned())
        };
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let base: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|b| *b <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        let network = Self { base, bits };
        if !network.holds(base) || network.cut(base) != number(base) {
            let meant = match base {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(network.cut(base) as u32)),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(network.cut(base))),
            };
            let hint = format!("did you mean `{meant}/{bits}` or `{base}`?");
            return Err((format!("`{text}` has more bits than it says"), hint));
        }
        Ok(network)
    }

    /// Whether an address lies in it. An IPv4 address on an IPv6 socket counts as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && self.cut(address) == self.cut(self.base)
    }

    fn cut(&self, address: IpAddr) -> u128 {
        let all = if address.is_ipv4() { 32 } else { 128 };
        let off = u32::from(all - self.bits.min(all));
        number(address).checked_shr(off).and_then(|n| n.checked_shl(off)).unwrap_or(0)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        Network::parse(network).expect("a network").holds(address.parse().expect("an address"))
    }

    #[test]
    fn what_lies_in_it() {
        for (network, inside, outside) in [
            ("127.0.0.0/8", "127.255.0.1", "128.0.0.1"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "::2"),
            ("::1/128", "::1", "127.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::a00:1"),
        ] {
            assert!(holds(network, inside), "{network} {inside}");
            assert!(!holds(network, outside), "{network} {outside}");
        }
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("::/0", "2001:db8::1") && !holds("::/0", "203.0.113.9"));
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "/",
            "1.2.3",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/-1",
            "1.2.3.4/+8",
            "host",
            "1.2.3.4/",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
        let (message, hint) = Network::parse("192.0.2.10/24").expect_err("bits too many");
        assert!(message.contains("more bits"), "{message}");
        assert_eq!(hint, "did you mean `192.0.2.0/24` or `192.0.2.10`?");
        assert_eq!(Network::LOOPBACK.map(|n| n.to_string()), ["127.0.0.0/8", "::1/128"]);
    }
}
