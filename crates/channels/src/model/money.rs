//! Money as integers. No float comes near an amount: text is parsed by a strict decimal grammar, and
//! the number of decimals is a property of the platform and currency, handed in by the platform.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest decimal text that is read as an amount; real amounts have at most a dozen digits.
pub const AMOUNT_TEXT_MAX: usize = 24;

/// An ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Chinese yuan, the currency of every platform that names none.
    pub const CNY: Self = Self(*b"CNY");

    /// Reads a code in upper or lower case.
    ///
    /// # Errors
    /// [`MoneyError::Currency`] when ISO 4217 does not know it.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let upper = code.to_ascii_uppercase();
        iso_currency::Currency::from_code(&upper).ok_or(MoneyError::Currency)?;
        let bytes = upper.as_bytes().try_into().map_err(|_| MoneyError::Currency)?;
        Ok(Self(bytes))
    }

    /// The three letters.
    #[expect(clippy::missing_panics_doc, reason = "the only constructor takes three ASCII letters")]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is three ASCII letters")
    }

    /// Decimals by ISO 4217 (2 for CNY, 0 for JPY). A platform may use another number for itself.
    pub fn iso_exponent(&self) -> u8 {
        iso_currency::Currency::from_code(self.code())
            .and_then(iso_currency::Currency::exponent)
            .and_then(|e| u8::try_from(e).ok())
            .unwrap_or(2)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        Self::parse(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// An amount in minor units (fen, cents) of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; never negative in a fact.
    pub minor: i64,
    /// Of this currency.
    pub currency: Currency,
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not `digits` or `digits.digits`.
    #[error("not a plain decimal number")]
    Shape,
    /// More decimals than the currency has on this platform.
    #[error("more decimals than the currency has")]
    Precision,
    /// Larger than an `i64` of minor units.
    #[error("larger than can be kept")]
    Range,
    /// Unknown currency code.
    #[error("unknown currency code")]
    Currency,
}

impl Money {
    /// Reads a strict decimal: digits, optionally a point and 1 to `exponent` digits. No sign, blank,
    /// exponent, separator or leading point.
    ///
    /// # Errors
    /// [`MoneyError`] names what is wrong; the caller keeps the text and holds the fact.
    pub fn from_decimal(text: &str, currency: Currency, exponent: u8) -> Result<Self, MoneyError> {
        if text.len() > AMOUNT_TEXT_MAX {
            return Err(MoneyError::Range);
        }
        let (whole, part) = match text.split_once('.') {
            Some((_, "")) => return Err(MoneyError::Shape),
            Some((whole, part)) => (whole, part),
            None => (text, ""),
        };
        let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(part) {
            return Err(MoneyError::Shape);
        }
        if part.len() > usize::from(exponent) {
            return Err(MoneyError::Precision);
        }
        let zeros = usize::from(exponent) - part.len();
        let mut minor: i64 = 0;
        for digit in whole.bytes().chain(part.bytes()).chain(std::iter::repeat_n(b'0', zeros)) {
            minor =
                minor.checked_mul(10).and_then(|m| m.checked_add(i64::from(digit - b'0'))).ok_or(MoneyError::Range)?;
        }
        Ok(Self { minor, currency })
    }

    /// Reads an integer of minor units: digits only.
    ///
    /// # Errors
    /// [`MoneyError::Shape`] or [`MoneyError::Range`].
    pub fn from_minor_text(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Self::from_decimal(text, currency, 0)
    }

    /// The decimal text with the ISO number of decimals: `10.00`.
    pub fn to_text(&self) -> String {
        let exponent = usize::from(self.currency.iso_exponent());
        let digits = format!("{:0width$}", self.minor.unsigned_abs(), width = exponent + 1);
        let sign = if self.minor < 0 { "-" } else { "" };
        if exponent == 0 {
            return format!("{sign}{digits}");
        }
        let (whole, part) = digits.split_at(digits.len() - exponent);
        format!("{sign}{whole}.{part}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_strictly() {
        let read = |text| Money::from_decimal(text, Currency::CNY, 2).map(|m| m.minor);
        for (text, expected) in [
            ("0.10", Ok(10)),
            ("1", Ok(100)),
            ("1.5", Ok(150)),
            ("00012.34", Ok(1234)),
            ("100000000.00", Ok(10_000_000_000)),
            ("", Err(MoneyError::Shape)),
            (".5", Err(MoneyError::Shape)),
            ("5.", Err(MoneyError::Shape)),
            ("-1", Err(MoneyError::Shape)),
            ("+1", Err(MoneyError::Shape)),
            (" 1", Err(MoneyError::Shape)),
            ("1e3", Err(MoneyError::Shape)),
            ("1,000.00", Err(MoneyError::Shape)),
            ("1.2.3", Err(MoneyError::Shape)),
            ("1\u{663}", Err(MoneyError::Shape)),
            ("0.001", Err(MoneyError::Precision)),
            ("0.100", Err(MoneyError::Precision)),
            ("99999999999999999999", Err(MoneyError::Range)),
            ("9999999999999999999999999999", Err(MoneyError::Range)),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn text_shows_the_decimals_of_the_currency() {
        let show = |minor, code| Money { minor, currency: Currency::parse(code).unwrap() }.to_text();
        assert_eq!(show(1000, "CNY"), "10.00");
        assert_eq!(show(5, "CNY"), "0.05");
        assert_eq!(show(500, "JPY"), "500");
        assert_eq!(show(1234, "KWD"), "1.234");
        assert_eq!(show(i64::MAX, "CNY"), "92233720368547758.07");
    }

    #[test]
    fn currencies_are_those_of_the_standard() {
        assert_eq!(Currency::parse("cny"), Ok(Currency::CNY));
        for bad in ["", "CN", "CNYY", "XQZ", "¥"] {
            assert_eq!(Currency::parse(bad), Err(MoneyError::Currency), "{bad}");
        }
    }
}
