//! Payout notices (代付): a form, signed by a digest with a salt key.
//!
//! The signed text is `name=value` joined with `&`, sorted by name, without empty values and without `sign_type`,
//! `sign_data`, `encrypt_type`, `encrypt_data` and `salt`; the salt key follows directly, and the digest is written in
//! upper case.
//!
//! No source lists the other fields, so such a notice says that something happened and never what.

use super::envelope::BODY_BYTES_MAX;
use crate::channel::{Rejection, quote};
use crate::form::{Form, FormError, Limits, Pair, duplicate};
use crate::signature::Verified;
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};
use crate::sorted::{Order, join};

/// Most fields of a notice; real ones have about twenty.
const FIELDS_MAX: usize = 128;

/// Outside the signed text.
const LEFT_OUT: [&str; 5] = ["sign_type", "sign_data", "encrypt_type", "encrypt_data", "salt"];

/// A digest, by the platform's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PayoutHash {
    Sha1,
    Sha256,
}

impl PayoutHash {
    /// Reads the word letter by letter.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "SHA" => Some(Self::Sha1),
            "SHA-256" => Some(Self::Sha256),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA",
            Self::Sha256 => "SHA-256",
        }
    }
}

/// The salt key, ready for each digest that the configuration allows.
#[derive(Debug)]
pub(super) struct Payout(Vec<(PayoutHash, SecretDigest)>);

impl Payout {
    /// None when the secret is empty. `label` names it in proofs.
    pub(super) fn new(secret: &[u8], label: &str, hashes: &[PayoutHash]) -> Option<Self> {
        let prepare = |hash: &PayoutHash| {
            let digest = match hash {
                PayoutHash::Sha1 => DigestHash::Sha1,
                PayoutHash::Sha256 => DigestHash::Sha256,
            };
            Some((*hash, SecretDigest::new(secret, digest, HexCase::Upper, label)?))
        };
        hashes.iter().map(prepare).collect::<Option<_>>().map(Self)
    }

    /// The allowed digests, for people.
    pub(super) fn algorithms(&self) -> String {
        self.0.iter().map(|(hash, _)| hash.word()).collect::<Vec<_>>().join(", ")
    }

    /// Checks a notice. Gives the proof and the signed text.
    pub(super) fn verify(&self, form: &Form<'_>) -> Result<(Verified, Vec<u8>), Rejection> {
        let sorted = form.sorted();
        if let Some(name) = duplicate(&sorted) {
            return Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) });
        }
        let is_plain = |name: &[u8]| !name.is_empty() && !name.iter().any(|byte| matches!(byte, b'&' | b'='));
        if let Some(pair) = sorted.iter().find(|pair| !is_plain(&pair.name)) {
            return Err(Rejection::Malformed { field: quote(&String::from_utf8_lossy(&pair.name)) });
        }
        let required = |name: &str| form.present(name).ok_or_else(|| Rejection::Missing { field: name.into() });
        let word = required("sign_type")?;
        let sign = required("sign_data")?;
        let word = std::str::from_utf8(word).ok().and_then(PayoutHash::parse);
        let Some((_, secret)) = self.0.iter().find(|(hash, _)| Some(*hash) == word) else {
            return Err(Rejection::Algorithm { algorithm: quote(&String::from_utf8_lossy(required("sign_type")?)) });
        };
        let signed = sorted.iter().filter(|pair| is_covered(pair));
        let text = join(signed.map(|pair| (pair.name.as_ref(), pair.value.as_ref())), Order::Bytes);
        let verified = secret.verify(&text, b"", sign, "payout").ok_or(Rejection::Signature)?;
        Ok((verified, text))
    }
}

/// The pairs that the digest covers: what stands beside them anybody could have written.
pub(super) fn signed<'f>(form: &'f Form<'_>) -> impl Iterator<Item = &'f Pair<'f>> {
    form.pairs().iter().filter(|pair| is_covered(pair))
}

/// The form of a notice.
pub(super) fn split(body: &[u8]) -> Result<Form<'_>, Rejection> {
    Form::parse(body, Limits { bytes_max: BODY_BYTES_MAX, pairs_max: FIELDS_MAX }).map_err(|error| match error {
        FormError::TooLarge { limit } => Rejection::TooLarge { limit },
        FormError::TooManyPairs { limit } => Rejection::TooManyFields { limit },
        FormError::Percent { .. } => Rejection::Malformed { field: "body".into() },
    })
}

/// The name of a signed field whose value may be two fields: joining escapes nothing, so the same text can be cut
/// elsewhere without the key.
pub(super) fn ambiguous_field<'f>(form: &'f Form<'_>) -> Option<&'f [u8]> {
    let is_name = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let looks_like_fields = |value: &[u8]| {
        let mut behind = value.split(|byte| *byte == b'&').skip(1);
        behind.any(|piece| piece.iter().position(|byte| *byte == b'=').is_some_and(|end| is_name(&piece[..end])))
    };
    signed(form).find(|pair| looks_like_fields(&pair.value)).map(|pair| pair.name.as_ref())
}

fn is_covered(pair: &Pair<'_>) -> bool {
    !pair.value.is_empty() && !LEFT_OUT.iter().any(|left_out| left_out.as_bytes() == &*pair.name)
}
