//! Where a signature stands and how it is written. Reading is strict: a text that two readers could take
//! for two signatures is refused, and so is one that does not decode.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

use super::message::{Message, malformed, missing};
use super::template::{Place, Reference};
use crate::channel::Rejection;
use crate::json::Json;

/// Most signatures in one carrier: the current ones and those around a rotation.
const CANDIDATES_MAX: usize = 16;

/// Longest text of a carrier, in bytes: sixteen signatures of SHA-512 with their names.
const CARRIER_BYTES_MAX: usize = 4096;

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
    /// Pairs, of which every one named `want` is a signature.
    Pairs { pair_sep: String, kv_sep: String, want: String },
    /// Signatures in a row, each behind a fixed text.
    List { list_sep: String, prefix: String, version: Option<Version> },
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

/// What a carrier holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Decoded signatures, each as long as the algorithm's.
    pub(super) candidates: Vec<Vec<u8>>,
    /// The pairs beside them.
    pub(super) pairs: Vec<(String, String)>,
}

impl Carrier {
    /// Whether a request has a carrier at all, which is how such a message is recognised.
    pub(super) fn is_there(&self, message: &Message<'_>) -> bool {
        match &self.from.place {
            Place::Header(name) => {
                let values = message.headers(name);
                // Two schemes may share a header: a list without a signature of ours is another channel's.
                !values.is_empty() && values.iter().all(|value| self.has_version(value))
            }
            // It stands in the items, which the event's own references find.
            Place::Item(_) => true,
            _ => matches!(message.text(&self.from, None), Ok(Some(_))),
        }
    }

    /// Whether a text has a signature of the wanted version, where versions are named.
    fn has_version(&self, text: &[u8]) -> bool {
        let Writing::List { list_sep, version: Some(version), .. } = &self.writing else { return true };
        let Ok(text) = std::str::from_utf8(text) else { return false };
        let is_ours =
            |entry: &str| entry.split_once(version.sep.as_str()).is_some_and(|(word, _)| word == version.want);
        text.len() <= CARRIER_BYTES_MAX && text.split(list_sep.as_str()).any(is_ours)
    }

    /// Reads the signatures of a message or item.
    pub(super) fn read(&self, message: &Message<'_>, item: Option<&Json>, bytes: usize) -> Result<Found, Rejection> {
        let mut found = Found { candidates: Vec::new(), pairs: Vec::new() };
        for text in self.texts(message, item)? {
            if text.len() > CARRIER_BYTES_MAX {
                return Err(malformed(&self.from));
            }
            self.read_text(&text, bytes, &mut found)?;
        }
        if found.candidates.is_empty() {
            return Err(missing(&self.from));
        }
        Ok(found)
    }

    fn texts(&self, message: &Message<'_>, item: Option<&Json>) -> Result<Vec<String>, Rejection> {
        let texts = match &self.from.place {
            Place::Header(name) if self.may_repeat => {
                let read = |value: &[u8]| std::str::from_utf8(value).map(str::to_owned);
                let texts = message.headers(name).into_iter().take(CANDIDATES_MAX).map(read).collect::<Result<_, _>>();
                texts.map_err(|_| malformed(&self.from))?
            }
            _ => message.text(&self.from, item)?.into_iter().collect::<Vec<_>>(),
        };
        if !self.is_percent_encoded {
            return Ok(texts);
        }
        let decode = |text: String| {
            let decoded = percent_encoding::percent_decode_str(&text).decode_utf8().ok()?;
            Some(decoded.into_owned())
        };
        texts.into_iter().map(|text| decode(text).ok_or_else(|| malformed(&self.from))).collect()
    }

    fn read_text(&self, text: &str, bytes: usize, found: &mut Found) -> Result<(), Rejection> {
        let refused = || malformed(&self.from);
        let take = |text: &str, found: &mut Found| {
            let signature = self.encoding.decode(text).filter(|signature| signature.len() == bytes);
            if found.candidates.len() == CANDIDATES_MAX {
                return Err(refused());
            }
            found.candidates.push(signature.ok_or_else(refused)?);
            Ok(())
        };
        match &self.writing {
            Writing::Whole { prefix } => take(text.strip_prefix(prefix).ok_or_else(refused)?, found),
            Writing::Pairs { pair_sep, kv_sep, want } => {
                for pair in text.split(pair_sep.as_str()) {
                    // At the first separator only: base64 ends in the same character.
                    let (key, value) = pair.split_once(kv_sep.as_str()).ok_or_else(refused)?;
                    if key == want {
                        take(value, found)?;
                    } else {
                        found.pairs.push((key.to_owned(), value.to_owned()));
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
                    take(value.strip_prefix(prefix).ok_or_else(refused)?, found)?;
                }
                Ok(())
            }
        }
    }
}
