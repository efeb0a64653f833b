//! Ids: time-ordered (UUID version 7), typed, and shown with a prefix that says what they name.
//!
//! The ids of what is stored carry the number of their row, in place of the most of a UUID's random bits: finding a
//! row by its id needs no index then, which every callback would have to keep up. The row holds the whole id
//! and is compared with it. What is left to chance, and the time, tell the ids of two inboxes apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Bits of the row's number in an id: 2⁴⁰ notifications, and 2¹⁶ events and deliveries of each.
pub(super) const NUMBER_BITS: u32 = 56;
/// Bits of an id that are left to chance.
const CHANCE_BITS: u32 = 18;
/// Bits of the payload that stand in front of the variant's two bits.
const PAYLOAD_LOW_BITS: u32 = 62;

fn numbered(at_ms: u64, number: u64, chance: u64) -> Uuid {
    debug_assert!(number >> NUMBER_BITS == 0, "a number of {NUMBER_BITS} bits");
    let payload = (u128::from(number) << CHANCE_BITS) | u128::from(chance & ((1 << CHANCE_BITS) - 1));
    let version = 7 << (128 - 52);
    let variant = 0b10 << PAYLOAD_LOW_BITS;
    let low = payload & ((1 << PAYLOAD_LOW_BITS) - 1);
    let high = (payload >> PAYLOAD_LOW_BITS) & 0xfff;
    Uuid::from_u128((u128::from(at_ms) << 80) | version | (high << 64) | variant | low)
}

/// A number by chance, from which the chance bits of ids are drawn.
#[expect(clippy::disallowed_methods, reason = "this is where ids come from")]
pub(super) fn seed() -> u64 {
    Uuid::now_v7().as_u64_pair().1
}

fn number(id: Uuid) -> u64 {
    let bits = id.as_u128();
    let payload = ((bits >> 64) & 0xfff) << PAYLOAD_LOW_BITS | bits & ((1 << PAYLOAD_LOW_BITS) - 1);
    u64::try_from(payload >> CHANCE_BITS).expect("as many bits as a number has")
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh one. Ids made later sort later, within this process strictly.
            #[expect(clippy::disallowed_methods, reason = "this is where ids come from")]
            #[expect(clippy::new_without_default, reason = "two of them are never equal, which a default suggests")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The 16 bytes, as they are stored.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From stored bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let hex = text.strip_prefix(concat!($prefix, "_")).ok_or(NotAnId)?;
                if hex.len() != 32 {
                    return Err(NotAnId);
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| NotAnId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

/// The text is not an id of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct NotAnId;

ids! {
    /// Names a notification.
    NotificationId = "ntf";
    /// Names an event; what applications dedupe by.
    EventId = "evt";
    /// Names a delivery.
    DeliveryId = "dlv";
    /// Shown by the holder of a lease.
    LeaseToken = "lse";
    /// Names a rejection.
    RejectionId = "rej";
}

macro_rules! numbered_ids {
    ($($name:ident)*) => {$(
        impl $name {
            /// One that carries a row's number, of [`NUMBER_BITS`] bits at most.
            pub(super) fn numbered(at_ms: u64, number: u64, chance: u64) -> Self {
                Self(numbered(at_ms, number, chance))
            }

            /// The number that it carries. An id that was not made by [`Self::numbered`] has one that means nothing.
            pub(super) fn number(&self) -> u64 {
                number(self.0)
            }
        }
    )*};
}

numbered_ids! { NotificationId EventId DeliveryId }

impl NotificationId {
    /// The time in it, in milliseconds since 1970.
    pub(super) fn as_millisecond(&self) -> u64 {
        u64::try_from(self.0.as_u128() >> 80).expect("48 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_ids_carry_their_number_and_are_of_version_7() {
        let mut before = None;
        for (at, number, chance) in
            [(1, 1, 0), (1, 2, u64::MAX), (1, 3, 0), (2, 4, 7), (0xffff_ffff_ffff, (1 << 56) - 1, 1)]
        {
            let id = EventId::numbered(at, number, chance);
            assert_eq!(id.number(), number);
            let uuid = Uuid::from_bytes(*id.as_bytes());
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(uuid.as_u128() >> 80, u128::from(at));
            assert!(before < Some(id), "later ones sort later");
            before = Some(id);
        }
        assert_ne!(EventId::numbered(1, 1, 1), EventId::numbered(1, 1, 2));
    }

    #[test]
    fn ids_survive_text_and_sort_by_time() {
        let first = EventId::new();
        let second = EventId::new();
        assert!(first < second);
        assert_eq!(first.to_string().parse::<EventId>(), Ok(first));
        assert!(first.to_string().starts_with("evt_"));
        for bad in ["", "evt_", "ntf_00000000000000000000000000000000", "evt_{00000000-0000-0000-0000-000000000000}"] {
            assert_eq!(bad.parse::<EventId>(), Err(NotAnId), "{bad}");
        }
    }
}
