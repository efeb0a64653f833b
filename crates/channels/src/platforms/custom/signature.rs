//! Where a signature stands and how it is written. Reading is strict: a text that two readers could take
//! for two signatures is refused, and so is one that does not decode.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

use super::message::{Message, malformed, missing};
use super::template::{Place, Reference};
use crate::channel::{Rejection, quote};
use crate::json::Json;

/// Most signatures in one carrier: the current ones and those around a rotation.
const CANDIDATES_MAX: usize = 16;

/// Longest text of a carrier, in bytes: sixteen signatures of SHA-512 with their names.
const CARRIER_BYTES_MAX: usize = 4096;

/// Most pairs beside the signatures; the longest known carrier has three.
const PAIRS_MAX: usize = 64;

/// A signature's carrier.
#[derive(Clone, Debug)]
pub(super) struct Carrier {
    pub(super) from: Reference,
    pub(super) writing: Writing,
    pub(super) encoding: Encoding,
    /// Percent signs in it are decoded once before anything else.
    pub(super) is_percent_encoded: bool,
    /// Its header may come several times with different values; each is a candidate.
    pub(super) may_repeat: bool,
}

/// How a carrier is written.
#[derive(Clone, Debug)]
pub(super) enum Writing {
    /// The signature alone, behind a fixed text.
    Whole { prefix: String },
    /// Pairs, some of which are signatures.
    Pairs { pair_sep: String, kv_sep: String, want: Want },
    /// Signatures in a row, each behind a fixed text.
    List { list_sep: String, prefix: String, version: Option<Version> },
}

/// Which pairs are signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Every one of this name.
    Named(String),
    /// Every one whose name is a key's id; it is that key's signature and no other's.
    KeyId,
}

/// The version before each signature of a list.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) sep: String,
    pub(super) want: String,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Hexadecimal in either case.
    Hex,
    /// Base64, standard alphabet, padded.
    Base64,
    /// Base64, URL alphabet, padded or not.
    Base64Url,
}

impl Encoding {
    /// The bytes of a text; none when anything is out of order.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => decode_hex(text),
            Self::Base64 => STANDARD.decode(text).ok(),
            Self::Base64Url if text.ends_with('=') => URL_SAFE.decode(text).ok(),
            Self::Base64Url => URL_SAFE_NO_PAD.decode(text).ok(),
        }
        .filter(|bytes| !bytes.is_empty())
    }

    /// Whether a text may be a part of such a signature.
    pub(super) fn may_hold(self, text: &str) -> bool {
        text.bytes().all(|byte| match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Base64 => byte.is_ascii_alphanumeric() || b"+/=".contains(&byte),
            Self::Base64Url => byte.is_ascii_alphanumeric() || b"-_=".contains(&byte),
        })
    }

    /// The text of bytes.
    #[cfg(any(test, feature = "simulate"))]
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => crate::signature::key::hex(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

/// Hexadecimal digits in either case, two for each byte.
pub(super) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

/// A signature that may be the message's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The key that it names; none where any may have made it.
    pub(super) key: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// What a carrier holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) candidates: Vec<Candidate>,
    /// The pairs beside them.
    pub(super) pairs: Vec<(String, String)>,
    /// Whether a signature decodes and is as long as no key's own: another key's, perhaps one of before.
    has_foreign: bool,
}

/// What tells signatures from other texts.
pub(super) trait Takes {
    /// Whether a signature has so many bytes.
    fn length(&self, bytes: usize) -> bool;
    /// Whether a key is called so.
    fn key(&self, id: &str) -> bool;
}

impl Carrier {
    /// Whether a request has a carrier at all, which is how such a message is recognised.
    pub(super) fn is_there(&self, message: &Message<'_>) -> bool {
        let Place::Header(name) = &self.from.place else { return is_there(&self.from, message) };
        // Two schemes may share a header: a list without a signature of ours is another channel's.
        is_there(&self.from, message) && message.headers(name).iter().all(|value| self.has_version(value))
    }

    /// Whether a text has a signature of the wanted version, where versions are named.
    fn has_version(&self, text: &[u8]) -> bool {
        let Writing::List { list_sep, version: Some(version), .. } = &self.writing else { return true };
        let Ok(text) = std::str::from_utf8(text) else { return false };
        let is_ours =
            |entry: &str| entry.split_once(version.sep.as_str()).is_some_and(|(word, _)| word == version.want);
        text.len() <= CARRIER_BYTES_MAX && text.split(list_sep.as_str()).any(is_ours)
    }

    /// Whether each signature stands under the id of its key.
    pub(super) fn names_key(&self) -> bool {
        matches!(&self.writing, Writing::Pairs { want: Want::KeyId, .. })
    }

    /// Whether a reference `sig:NAME` can mean something: a pair other than the signature's own.
    pub(super) fn has_pair(&self, name: &str) -> bool {
        match &self.writing {
            Writing::Pairs { want: Want::Named(want), .. } => want != name,
            Writing::Pairs { want: Want::KeyId, .. } => true,
            Writing::Whole { .. } | Writing::List { .. } => false,
        }
    }

    /// Reads the signatures of a message or item.
    pub(super) fn read(
        &self,
        message: &Message<'_>,
        item: Option<&Json>,
        takes: &dyn Takes,
    ) -> Result<Found, Rejection> {
        let mut found = Found::default();
        for text in self.texts(message, item)? {
            if text.len() > CARRIER_BYTES_MAX {
                return Err(malformed(&self.from));
            }
            self.read_text(&text, takes, &mut found)?;
        }
        if !found.candidates.is_empty() {
            return Ok(found);
        }
        if found.has_foreign {
            return Err(Rejection::Signature);
        }
        Err(self.unknown_key(&found).unwrap_or_else(|| missing(&self.from)))
    }

    /// Where each pair is called as its key is, and none as a key of ours: a key that is not known here signed. The
    /// longest of the values that may be signatures is the likeliest.
    fn unknown_key(&self, found: &Found) -> Option<Rejection> {
        let Writing::Pairs { want: Want::KeyId, .. } = &self.writing else { return None };
        let may_be = found.pairs.iter().filter(|(_, value)| self.encoding.decode(value).is_some());
        may_be.max_by_key(|(_, value)| value.len()).map(|(id, _)| Rejection::UnknownKey { serial: quote(id) })
    }

    fn texts<'m>(&self, message: &'m Message<'_>, item: Option<&'m Json>) -> Result<Vec<Cow<'m, str>>, Rejection> {
        let texts = match &self.from.place {
            Place::Header(name) if self.may_repeat => {
                let read = |value| std::str::from_utf8(value).map(Cow::Borrowed);
                let values = message.headers(name);
                if values.len() > CANDIDATES_MAX {
                    return Err(malformed(&self.from));
                }
                values.into_iter().map(read).collect::<Result<_, _>>().map_err(|_| malformed(&self.from))?
            }
            _ => message.text(&self.from, item)?.into_iter().collect::<Vec<_>>(),
        };
        if !self.is_percent_encoded {
            return Ok(texts);
        }
        texts.into_iter().map(|text| percent_decoded(&text).ok_or_else(|| malformed(&self.from))).collect()
    }

    fn read_text(&self, text: &str, takes: &dyn Takes, found: &mut Found) -> Result<(), Rejection> {
        let refused = || malformed(&self.from);
        let take = |text: &str, key: Option<&str>, found: &mut Found| {
            let bytes = self.encoding.decode(text).ok_or_else(refused)?;
            if found.candidates.len() == CANDIDATES_MAX {
                return Err(refused());
            }
            if takes.length(bytes.len()) {
                found.candidates.push(Candidate { key: key.map(str::to_owned), bytes });
            } else {
                found.has_foreign = true;
            }
            Ok(())
        };
        match &self.writing {
            Writing::Whole { prefix } => take(text.strip_prefix(prefix).ok_or_else(refused)?, None, found),
            Writing::Pairs { pair_sep, kv_sep, want } => {
                for pair in text.split(pair_sep.as_str()) {
                    // At the first separator only: base64 ends in the same character.
                    let (key, value) = pair.split_once(kv_sep.as_str()).ok_or_else(refused)?;
                    match want {
                        Want::Named(want) if key == want => take(value, None, found)?,
                        Want::KeyId if takes.key(key) => take(value, Some(key), found)?,
                        _ if found.pairs.len() == PAIRS_MAX => return Err(refused()),
                        _ => found.pairs.push((key.to_owned(), value.to_owned())),
                    }
                }
                Ok(())
            }
            Writing::List { list_sep, prefix, version } => {
                for entry in text.split(list_sep.as_str()) {
                    let value = match version {
                        None => entry,
                        Some(version) => match entry.split_once(version.sep.as_str()) {
                            Some((word, value)) if word == version.want => value,
                            Some(_) => continue,
                            None => return Err(refused()),
                        },
                    };
                    take(value.strip_prefix(prefix).ok_or_else(refused)?, None, found)?;
                }
                Ok(())
            }
        }
    }
}

/// Whether something stands at the place of a proof. What stands in the items, the event's own references find.
pub(super) fn is_there(from: &Reference, message: &Message<'_>) -> bool {
    match &from.place {
        Place::Header(name) => !message.headers(name).is_empty(),
        Place::Item(_) => true,
        _ => matches!(message.text(from, None), Ok(Some(_))),
    }
}

/// Percent signs decoded once; none where one stands alone or the bytes are no text. A plus stays a plus.
fn percent_decoded(text: &str) -> Option<Cow<'static, str>> {
    let is_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    });
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    is_whole.then(|| Cow::Owned(decoded.into_owned()))
}
