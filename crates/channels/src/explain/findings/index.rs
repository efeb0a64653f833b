//! Which of many channels matter to one's settings, found without comparing each with each.

use std::collections::{BTreeSet, HashMap};

use super::secrets::{ids, is_strange, publics};
use super::slots::{self, Secret};
use crate::explain::Configured;
use crate::signature::digest::DigestHash;
use crate::signature::key::{Content, TAG_INTEGER, Tlv, content_of, der_of, without_zeros};

/// Where among channels the material of one matters to the settings of another: each piece read once, to be found by what
/// it is. A configuration of a thousand channels is compared so, and not each of them with each.
pub(in crate::explain) struct Index {
    /// Channels by the digests of their shared secrets.
    secrets: HashMap<Vec<u8>, Vec<usize>>,
    /// By the moduli of their private keys.
    private: HashMap<Vec<u8>, Vec<usize>>,
    /// By family and id.
    ids: HashMap<(&'static str, String), Vec<usize>>,
}

/// A secret without what is none of it, as it is compared.
fn digest(secret: &Secret) -> Vec<u8> {
    DigestHash::Sha256.of(&[secret.bytes.trim_ascii()])
}

impl Index {
    pub(in crate::explain) fn of(all: &[Configured<'_>]) -> Self {
        let (mut secrets, mut private, mut by_id) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (place, one) in all.iter().enumerate() {
            for secret in slots::secrets(one.platform, one.settings) {
                match content_of(&secret.bytes) {
                    Some(Content::Private) => {
                        private.entry(modulus_of(&secret.bytes)).or_insert_with(Vec::new).push(place);
                    }
                    Some(_) => {}
                    None => secrets.entry(digest(&secret)).or_insert_with(Vec::new).push(place),
                }
            }
            for (_, id) in ids(one) {
                by_id.entry((one.platform.family, id.to_owned())).or_insert_with(Vec::new).push(place);
            }
        }
        Self { secrets, private, ids: by_id }
    }

    /// The channels of these that matter to settings: the first of each that has something of theirs, but for the one in
    /// this place.
    pub(in crate::explain) fn beside<'c>(
        &self,
        all: &[Configured<'c>],
        place: usize,
        own: &Configured<'_>,
    ) -> Vec<Configured<'c>> {
        let first = |places: Option<&Vec<usize>>, is_it: &dyn Fn(&Configured<'_>) -> bool| {
            let mut others = places.into_iter().flatten().copied().filter(|other| *other != place);
            others.find(|other| is_it(&all[*other]))
        };
        let mut found = BTreeSet::new();
        for secret in slots::secrets(own.platform, own.settings) {
            found.extend(first(self.secrets.get(&digest(&secret)), &|other| is_strange(own, other)));
        }
        for public in publics(own) {
            let modulus = public.key.rsa_numbers().map(|(modulus, _)| modulus.to_vec());
            found.extend(first(modulus.and_then(|modulus| self.private.get(&modulus)), &|_| true));
            let name = public.certificate.and_then(|certificate| certificate.description().common_name.clone());
            found.extend(first(name.and_then(|name| self.ids.get(&(own.platform.family, name))), &|_| true));
        }
        found.into_iter().map(|place| all[place]).collect()
    }
}

/// The modulus in a private key, bare (RFC 8017, A.1.2) or in PKCS #8 (RFC 5958, section 2); empty where there is none.
fn modulus_of(material: &[u8]) -> Vec<u8> {
    let der = der_of(material).unwrap_or_default();
    let modulus = || {
        let version = Tlv::read(Tlv::read(&der)?.content)?;
        let second = Tlv::read(version.rest)?;
        if second.tag == TAG_INTEGER {
            return Some(without_zeros(second.content).to_vec());
        }
        let inner = Tlv::read(Tlv::read(second.rest)?.content)?;
        let version = Tlv::read(inner.content)?;
        Some(without_zeros(Tlv::read(version.rest)?.content).to_vec())
    };
    modulus().unwrap_or_default()
}
