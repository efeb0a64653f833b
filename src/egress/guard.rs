//! Which addresses may be dialled. Pure: an address comes in, its class and a verdict go out.
//!
//! The rules look at the address that is really dialled, so that neither a name that changes its mind
//! between two look-ups nor another way to write an address helps. IPv6 addresses that carry an IPv4
//! address inside are judged by that one too.
//! Sources: the IANA IPv4 and IPv6 special-purpose address registries (RFC 6890 and its updates), and the
//! cloud providers' pages about their instance metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who wrote the URL, and so how far it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The operator's own file: the shop next door is meant, so loopback and private addresses are fine.
    /// Link-local addresses and the clouds' metadata services never are: they hand out the machine's
    /// credentials, and a mistake there is worth more than any webhook.
    Operator,
    /// Everybody else: addresses that anyone on the internet can reach, and nothing of ours.
    Public(PublicRules),
}

/// What a URL that the operator did not write may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicRules {
    /// Whether `http` is allowed beside `https`.
    pub plain_http: bool,
    /// The ports that may be dialled; others are mail servers and databases.
    pub ports: &'static [u16],
}

impl PublicRules {
    /// `https` on its own port.
    pub const HTTPS: Self = Self { plain_http: false, ports: &[443] };
    /// `https` on the ports where web servers are found.
    pub const HTTPS_WEB_PORTS: Self = Self { plain_http: false, ports: &[443, 8443] };
}

impl Guard {
    /// Whether this address may be dialled.
    ///
    /// # Errors
    /// The class that forbids it.
    pub fn check(self, address: IpAddr) -> Result<(), Class> {
        let class = Class::of(address);
        let is_allowed = match self {
            Self::Operator => !class.is_never_dialled() && !inner(address).is_some_and(Class::is_never_dialled),
            Self::Public(_) => class == Class::Public,
        };
        if is_allowed { Ok(()) } else { Err(class) }
    }
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reachable by anyone.
    Public,
    /// This machine.
    Loopback,
    /// A private network, unique local addresses included.
    Private,
    /// A provider's own network (RFC 6598).
    Shared,
    /// Valid on one cable only (RFC 3927, RFC 4291).
    LinkLocal,
    /// A cloud's metadata service or its host agent.
    Metadata,
    /// "This network", or no address at all.
    Unspecified,
    /// Many machines at once.
    Multicast,
    /// All machines at once.
    Broadcast,
    /// For examples in documents.
    Documentation,
    /// For measurements between networks (RFC 2544); also what some local proxies invent for names.
    Benchmark,
    /// An IPv6 address through which an IPv4 one is reached (6to4, Teredo, NAT64, IPv4-compatible).
    Translated,
    /// Kept for protocols or for later.
    Reserved,
}

impl Class {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::Metadata => "metadata",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmark => "benchmark",
            Self::Translated => "translated",
            Self::Reserved => "reserved",
        }
    }

    /// The class of an address. An IPv4-mapped one is the IPv4 address itself.
    pub fn of(address: IpAddr) -> Self {
        if METADATA.contains(&address.to_canonical()) {
            return Self::Metadata;
        }
        match address.to_canonical() {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }

    /// Refused whoever asks.
    fn is_never_dialled(self) -> bool {
        match self {
            Self::LinkLocal
            | Self::Metadata
            | Self::Unspecified
            | Self::Multicast
            | Self::Broadcast
            | Self::Reserved => true,
            Self::Public
            | Self::Loopback
            | Self::Private
            | Self::Shared
            | Self::Documentation
            | Self::Benchmark
            | Self::Translated => false,
        }
    }
}

/// Addresses of metadata services and host agents, in and outside the link-local range.
const METADATA: &[IpAddr] = &[
    // Amazon, Google, Azure, DigitalOcean, Huawei, Baidu, OpenStack and most others.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // Amazon's containers: task roles and pod identities.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Tencent.
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    // Aliyun.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Volcengine.
    IpAddr::V4(Ipv4Addr::new(100, 96, 0, 96)),
    // Azure's host agent; an ordinary public address otherwise.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Oracle's older address.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Amazon, Google and Scaleway over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042)),
];

fn of_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        [0, ..] => Class::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] => Class::Shared,
        [127, ..] => Class::Loopback,
        [169, 254, ..] => Class::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Class::Documentation,
        [198, 18 | 19, ..] => Class::Benchmark,
        [224..=239, ..] => Class::Multicast,
        [255, 255, 255, 255] => Class::Broadcast,
        // Protocol assignments, the 6to4 relays, class E.
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Class {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // IPv4-compatible (RFC 4291 2.5.5.1), IPv4-translated (RFC 2765), NAT64 (RFC 6052, RFC 8215),
        // Teredo (RFC 4380), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0 | 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..]
        | [0x2001, 0, ..]
        | [0x2002, ..] => Class::Translated,
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Class::Documentation,
        [0x2001, 0x0002, 0, ..] => Class::Benchmark,
        // The rest of the protocol assignments (RFC 2928).
        [0x2001, 0..=0x01ff, ..] => Class::Reserved,
        [0x2000..=0x3fff, ..] => Class::Public,
        // Site-local addresses are deprecated (RFC 3879), and still private networks.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Class::Private,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xff00..=0xffff, ..] => Class::Multicast,
        _ => Class::Reserved,
    }
}

/// The class of the IPv4 address inside a translated one.
fn inner(address: IpAddr) -> Option<Class> {
    let IpAddr::V6(address) = address.to_canonical() else { return None };
    let octets = address.octets();
    let at = |places: [usize; 4]| Class::of(IpAddr::V4(Ipv4Addr::from(places.map(|place| octets[place]))));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0 | 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(at(LAST)),
        // A network chooses where in this range the IPv4 address stands (RFC 8215), so all places are looked
        // at: after prefixes of 48, 56, 64 and 96 bits, without bits 64 to 71 (RFC 6052 2.2).
        [0x64, 0xff9b, 1, ..] => [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], LAST]
            .map(at)
            .into_iter()
            .find(|class| class.is_concealed()),
        [0x2002, ..] => Some(at([2, 3, 4, 5])),
        // Teredo writes the client's address inverted.
        [0x2001, 0, ..] => {
            let inverted = LAST.map(|place| !octets[place]);
            Some(Class::of(IpAddr::V4(Ipv4Addr::from(inverted))))
        }
        _ => None,
    }
}

/// Where an IPv4 address at the end of an IPv6 one stands.
const LAST: [usize; 4] = [12, 13, 14, 15];

impl Class {
    /// Found at a place of a translated address where it can hardly be by chance. Zeros are, and so are
    /// reserved and multicast numbers.
    fn is_concealed(self) -> bool {
        matches!(self, Self::Metadata | Self::LinkLocal)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUBLIC: Guard = Guard::Public(PublicRules::HTTPS);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_table_of_addresses() {
        // Address, class, whether the operator may dial it. The public may dial `Public` alone.
        for (text, class, operator) in [
            ("1.1.1.1", Class::Public, true),
            ("8.8.8.8", Class::Public, true),
            ("100.63.255.255", Class::Public, true),
            ("100.128.0.0", Class::Public, true),
            ("172.15.255.255", Class::Public, true),
            ("172.32.0.0", Class::Public, true),
            ("192.0.1.1", Class::Public, true),
            ("198.17.255.255", Class::Public, true),
            ("198.20.0.0", Class::Public, true),
            ("223.255.255.255", Class::Public, true),
            ("2606:4700:4700::1111", Class::Public, true),
            ("2001:4860:4860::8888", Class::Public, true),
            ("2400:3200::1", Class::Public, true),
            ("::ffff:1.1.1.1", Class::Public, true),
            ("127.0.0.1", Class::Loopback, true),
            ("127.255.255.254", Class::Loopback, true),
            ("::1", Class::Loopback, true),
            ("::ffff:127.0.0.1", Class::Loopback, true),
            ("10.0.0.1", Class::Private, true),
            ("172.16.0.1", Class::Private, true),
            ("172.31.255.255", Class::Private, true),
            ("192.168.1.1", Class::Private, true),
            ("fc00::1", Class::Private, true),
            ("fd12:3456::1", Class::Private, true),
            ("fec0::1", Class::Private, true),
            ("::ffff:10.0.0.1", Class::Private, true),
            ("100.64.0.1", Class::Shared, true),
            ("100.127.255.255", Class::Shared, true),
            ("198.18.0.1", Class::Benchmark, true),
            ("198.19.255.255", Class::Benchmark, true),
            ("2001:2::1", Class::Benchmark, true),
            ("192.0.2.1", Class::Documentation, true),
            ("198.51.100.1", Class::Documentation, true),
            ("203.0.113.1", Class::Documentation, true),
            ("2001:db8::1", Class::Documentation, true),
            ("3fff::1", Class::Documentation, true),
            ("169.254.0.1", Class::LinkLocal, false),
            ("fe80::1", Class::LinkLocal, false),
            ("febf::1", Class::LinkLocal, false),
            ("::ffff:169.254.1.1", Class::LinkLocal, false),
            ("169.254.169.254", Class::Metadata, false),
            ("::ffff:169.254.169.254", Class::Metadata, false),
            ("169.254.170.2", Class::Metadata, false),
            ("169.254.0.23", Class::Metadata, false),
            ("100.100.100.200", Class::Metadata, false),
            ("::ffff:100.100.100.200", Class::Metadata, false),
            ("168.63.129.16", Class::Metadata, false),
            ("192.0.0.192", Class::Metadata, false),
            ("fd00:ec2::254", Class::Metadata, false),
            ("fd20:ce::254", Class::Metadata, false),
            ("0.0.0.0", Class::Unspecified, false),
            ("0.1.2.3", Class::Unspecified, false),
            ("::", Class::Unspecified, false),
            ("224.0.0.1", Class::Multicast, false),
            ("239.255.255.255", Class::Multicast, false),
            ("ff02::1", Class::Multicast, false),
            ("255.255.255.255", Class::Broadcast, false),
            ("240.0.0.1", Class::Reserved, false),
            ("192.0.0.1", Class::Reserved, false),
            ("192.88.99.1", Class::Reserved, false),
            ("100::1", Class::Reserved, false),
            ("5f00::1", Class::Reserved, false),
            ("4000::1", Class::Reserved, false),
            ("2001:20::1", Class::Reserved, false),
            ("64:ff9b::8.8.8.8", Class::Translated, true),
            ("64:ff9b::169.254.169.254", Class::Translated, false),
            ("64:ff9b::100.100.100.200", Class::Translated, false),
            ("64:ff9b:1::8.8.8.8", Class::Translated, true),
            ("64:ff9b:1::169.254.169.254", Class::Translated, false),
            ("64:ff9b:1:a9fe:a9:fe00::", Class::Translated, false),
            ("64:ff9b:1:0:a9:fea9:fe00:0", Class::Translated, false),
            ("2002:0808:0808::1", Class::Translated, true),
            ("2002:a9fe:a9fe::1", Class::Translated, false),
            ("2001:0:1:2:3:4:f7f7:f7f7", Class::Translated, true),
            ("2001:0:1:2:3:4:5601:5601", Class::Translated, false),
            ("::8.8.8.8", Class::Translated, true),
            ("::169.254.169.254", Class::Translated, false),
            ("::ffff:0:169.254.169.254", Class::Translated, false),
        ] {
            let address = address(text);
            assert_eq!(Class::of(address), class, "{text}");
            assert_eq!(Guard::Operator.check(address).is_ok(), operator, "{text} by the operator");
            assert_eq!(PUBLIC.check(address).is_ok(), class == Class::Public, "{text} by others");
        }
    }

    proptest! {
        #[test]
        fn every_way_to_write_an_ipv4_address_is_judged_alike(bits: u32) {
            let plain = Ipv4Addr::from(bits);
            let mapped = IpAddr::V6(plain.to_ipv6_mapped());
            for guard in [Guard::Operator, PUBLIC] {
                prop_assert_eq!(guard.check(IpAddr::V4(plain)), guard.check(mapped));
            }
        }

        #[test]
        fn nothing_translated_is_public_and_nothing_forbidden_hides_in_it(bits: u32, tail: u16) {
            let v4 = Ipv4Addr::from(bits);
            let [a, b, c, d] = v4.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let ways = [
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, tail, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, tail, tail, 0, 0, !high, !low),
            ];
            for way in ways {
                prop_assert!(PUBLIC.check(IpAddr::V6(way)).is_err(), "{}", way);
                if matches!(Class::of(IpAddr::V4(v4)), Class::Metadata | Class::LinkLocal) {
                    prop_assert!(Guard::Operator.check(IpAddr::V6(way)).is_err(), "{}", way);
                }
            }
        }

        #[test]
        fn what_the_standard_library_calls_special_is_never_public(bits: u32, wide: u128) {
            let (v4, v6) = (Ipv4Addr::from(bits), Ipv6Addr::from(wide));
            let is_special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
                || v4.is_documentation() || v4.is_multicast() || v4.is_unspecified();
            prop_assert!(!is_special || PUBLIC.check(IpAddr::V4(v4)).is_err());
            let is_special = v6.is_loopback() || v6.is_multicast() || v6.is_unspecified()
                || v6.is_unique_local() || v6.is_unicast_link_local();
            prop_assert!(!is_special || PUBLIC.check(IpAddr::V6(v6)).is_err());
            // Outside 2000::/3 nothing is public at all.
            prop_assert!(v6.segments()[0] & 0xe000 == 0x2000 || PUBLIC.check(IpAddr::V6(v6)).is_err() || v6.to_ipv4_mapped().is_some());
        }

        #[test]
        fn link_local_is_refused_to_everyone(low in 0u16..) {
            let [c, d] = low.to_be_bytes();
            let v4 = IpAddr::V4(Ipv4Addr::new(169, 254, c, d));
            prop_assert!(Guard::Operator.check(v4).is_err());
            prop_assert!(PUBLIC.check(v4).is_err());
        }
    }
}
