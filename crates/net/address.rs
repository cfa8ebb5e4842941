//! The address guard: which addresses pongpong may connect to on behalf of its users.
//!
//! Without it, a user who may enter a URL could reach what only this machine can reach: the database, other services
//! in the cluster, the cloud's metadata service. So an address is judged after name resolution, and the connection
//! goes to the judged address itself.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use url::{Host, Url};

/// The setting `CHECK_PRIVATE_NETWORKS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PrivateNetworks {
    /// Only the public internet.
    #[default]
    Deny,
    /// Everything except addresses that no setting permits (see [`never`]).
    Allow,
    /// The public internet and these networks.
    AlsoAllow(Vec<IpNet>),
}

impl FromStr for PrivateNetworks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "deny" => return Ok(Self::Deny),
            "allow" => return Ok(Self::Allow),
            _ => {}
        }
        text.split(',')
            .map(|part| {
                let part = part.trim();
                part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                    format!(
                        "`{part}` is not a network: expected `deny`, `allow`, or networks such \
                             as `10.1.0.0/16,127.0.0.2/32`"
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self::AlsoAllow)
    }
}

impl PrivateNetworks {
    /// An IPv6 address that contains an IPv4 address needs permission for both, because a gateway or the kernel
    /// itself would forward it to the IPv4 address.
    pub fn permits(&self, ip: IpAddr) -> bool {
        let embedded = match ip {
            IpAddr::V4(_) => return self.permits_one(ip),
            IpAddr::V6(ip) => embedded(ip),
        };
        let outer_counts = match ip {
            // Mapped (::ffff:0:0/96) and compatible (::/96) addresses *are* IPv4 addresses.
            IpAddr::V6(ip) => !is_another_spelling_of_ipv4(ip),
            IpAddr::V4(_) => true,
        };
        (!outer_counts || self.permits_one(ip))
            && embedded.iter().flatten().all(|v4| self.permits_one(IpAddr::V4(*v4)))
    }

    fn permits_one(&self, ip: IpAddr) -> bool {
        if never(ip) {
            return false;
        }
        match self {
            Self::Deny => is_global(ip),
            Self::Allow => true,
            Self::AlsoAllow(networks) => {
                is_global(ip) || networks.iter().any(|network| network.contains(&ip))
            }
        }
    }

    /// Refuses a URL whose host is an IP literal that the policy refuses: IP literals do not reach the resolver.
    pub fn check_url(&self, url: &Url) -> Result<(), BlockedAddress> {
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.permits(ip) { Ok(()) } else { Err(BlockedAddress { host: ip.to_string(), ip }) }
    }
}

/// Addresses that no setting permits: they are no services, or they hand out the credentials of the machine.
fn never(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast() || METADATA_V4.contains(&ip)
        }
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast() || METADATA_V6.contains(&ip),
    }
}

/// Some of these are in the public address space, so `is_global` would not catch them.
const METADATA_V4: [Ipv4Addr; 7] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Google Cloud, Azure, OpenStack and others
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS pod identity
    Ipv4Addr::new(169, 254, 0, 23),    // Tencent Cloud
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud
    Ipv4Addr::new(168, 63, 129, 16),   // Azure WireServer
];

const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),   // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),    // AWS EKS pod identity
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),    // Google Cloud
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // OpenStack
];

/// According to the IANA special-purpose registries; std's own `is_global` is not stable.
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(a == 0                                    // this network
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || (a == 100 && b & 0xc0 == 64)         // carrier-grade NAT
                || (a, b, c) == (192, 0, 0)             // protocol assignments
                || (a, b, c) == (192, 88, 99)           // former 6to4 relays
                || (a == 198 && b & 0xfe == 18)         // benchmarking
                || a >= 224) // multicast, reserved, broadcast
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            let unicast = a & 0xe000 == 0x2000
                && !(a == 0x2001 && b < 0x200)          // protocol assignments, Teredo, benchmarking
                && !(a == 0x2001 && b == 0xdb8)         // documentation
                && !(a == 0x3fff && b < 0x1000); // documentation
            // A NAT64 gateway forwards to the embedded address, which is judged separately.
            unicast || is_nat64(ip)
        }
    }
}

fn is_nat64(ip: Ipv6Addr) -> bool {
    ip.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
}

fn is_another_spelling_of_ipv4(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    segments[..5] == [0; 5] && (segments[5] == 0xffff || (segments[5] == 0 && u128::from(ip) > 1))
}

/// The IPv4 addresses to which an IPv6 address may be translated.
fn embedded(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    if is_another_spelling_of_ipv4(ip) || is_nat64(ip) {
        [v4(s[6], s[7]), None]
    } else if s[..3] == [0x64, 0xff9b, 1] {
        // Local NAT64, 64:ff9b:1::/48: after the prefix (RFC 6052 skips one byte), or at the end.
        let after =
            Ipv4Addr::from((u32::from(s[3]) << 16) | (u32::from(s[4] & 0xff) << 8) | u32::from(s[5] >> 8));
        let at_the_end = (s[6..] != [0, 0]).then(|| v4(s[6], s[7])).flatten();
        if s[3..6] == [0; 3] { [at_the_end, None] } else { [Some(after), at_the_end] }
    } else if s[0] == 0x2002 {
        [v4(s[1], s[2]), None] // 6to4
    } else if s[..2] == [0x2001, 0] {
        [v4(s[2], s[3]), v4(!s[6], !s[7])] // Teredo: its server, and the client
    } else {
        [None, None]
    }
}

/// The address guard refused an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedAddress {
    pub host: String,
    pub ip: IpAddr,
}

impl fmt::Display for BlockedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host == self.ip.to_string() {
            write!(f, "{} is not a public address; this server does not connect to it", self.ip)
        } else {
            write!(
                f,
                "{} leads to {}, which is not a public address; this server does not connect to it",
                self.host, self.ip
            )
        }
    }
}

impl Error for BlockedAddress {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4001:81b::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ];

    const PRIVATE: &[&str] = &[
        "10.0.0.1",
        "10.255.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "198.19.255.255",
        "192.88.99.1",
        "240.0.0.1",
        "255.255.255.254",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd12:3456::1",
        "2001:db8::1",
        "3fff::1",
        "2001:2::1",
        "2001:10::1",
        "100::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:192.168.1.1",
        "::127.0.0.1",
        "::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:a00:0:100::",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2001:0:808:808::f5ff:fffe",
        "::ffff:0:10.0.0.1",
    ];

    const NEVER: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "::",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::a83f:8110",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::",
        "2001:0:808:808::5601:5601",
    ];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn judges_every_kind_of_address() {
        let everything: PrivateNetworks = "0.0.0.0/0,::/0".parse().unwrap();
        for text in PUBLIC {
            assert!(PrivateNetworks::Deny.permits(ip(text)), "deny permits {text}");
            assert!(PrivateNetworks::Allow.permits(ip(text)), "allow permits {text}");
        }
        for text in PRIVATE {
            assert!(!PrivateNetworks::Deny.permits(ip(text)), "deny refuses {text}");
            assert!(PrivateNetworks::Allow.permits(ip(text)), "allow permits {text}");
            assert!(everything.permits(ip(text)), "a listed network permits {text}");
        }
        for text in NEVER {
            assert!(!PrivateNetworks::Deny.permits(ip(text)), "deny refuses {text}");
            assert!(!PrivateNetworks::Allow.permits(ip(text)), "allow refuses {text}");
            assert!(!everything.permits(ip(text)), "no list opens {text}");
        }
    }

    #[test]
    fn a_list_opens_what_it_names_and_no_more() {
        let policy: PrivateNetworks = " 10.1.0.0/16, 127.0.0.2 ,fd00:1::/32".parse().unwrap();
        for text in ["10.1.2.3", "127.0.0.2", "fd00:1::5", "::ffff:10.1.2.3", "8.8.8.8"] {
            assert!(policy.permits(ip(text)), "{text}");
        }
        for text in ["10.2.0.1", "127.0.0.1", "fd00:2::5", "::ffff:10.2.0.1", "169.254.169.254"] {
            assert!(!policy.permits(ip(text)), "{text}");
        }
    }

    #[test]
    fn reads_the_setting() {
        assert_eq!("deny".parse(), Ok(PrivateNetworks::Deny));
        assert_eq!(" allow ".parse(), Ok(PrivateNetworks::Allow));
        for wrong in ["", "Deny!", "10.0.0.0/33", "10.0.0.0/8,", "10.0.0.0/8,nonsense"] {
            let error = wrong.parse::<PrivateNetworks>().unwrap_err();
            assert!(error.contains("is not a network"), "{wrong}: {error}");
        }
        assert!("10.0.0.0/8,x".parse::<PrivateNetworks>().unwrap_err().contains("`x`"));
    }

    #[test]
    fn refuses_literals_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://[::ffff:127.0.0.1]/",
            "http://127。0。0。1/",
        ] {
            let url = Url::parse(url).unwrap();
            assert!(PrivateNetworks::Deny.check_url(&url).is_err(), "{url}");
        }
        let public = Url::parse("http://8.8.8.8/").unwrap();
        assert_eq!(PrivateNetworks::Deny.check_url(&public), Ok(()));
    }
}
