//! Amounts: decimal texts, with the currency that stands beside them.

use crate::model::{Currency, Money, MoneyError};

/// Reads `100`, `100.00` or, of a currency without decimals, `1000`: at most as many decimals as ISO 4217 gives the
/// currency. A code is three capital letters.
///
/// # Errors
/// [`MoneyError`].
pub(super) fn read(text: &str, currency: &str) -> Result<Money, MoneyError> {
    if !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(MoneyError::Currency);
    }
    let currency = Currency::parse(currency)?;
    Money::from_decimal(text, currency, currency.iso_exponent())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_decimals_of_their_currency() {
        let read = |text, currency| read(text, currency).map(|money| money.minor);
        for (text, currency, minor) in [
            ("100", "USD", 10_000),
            ("100.00", "USD", 10_000),
            ("49.9", "EUR", 4_990),
            ("0.01", "GBP", 1),
            ("1000", "JPY", 1_000),
            ("1.234", "KWD", 1_234),
            ("0", "USD", 0),
        ] {
            assert_eq!(read(text, currency), Ok(minor), "{text} {currency}");
        }
        for (text, currency, error) in [
            ("1000.00", "JPY", MoneyError::Precision),
            ("1.001", "USD", MoneyError::Precision),
            ("-1.00", "USD", MoneyError::Shape),
            ("+1", "USD", MoneyError::Shape),
            ("1,000.00", "USD", MoneyError::Shape),
            (" 1.00", "USD", MoneyError::Shape),
            ("", "USD", MoneyError::Shape),
            ("1.00", "usd", MoneyError::Currency),
            ("1.00", "XQZ", MoneyError::Currency),
            ("1.00", "", MoneyError::Currency),
            ("99999999999999999999", "USD", MoneyError::Range),
        ] {
            assert_eq!(read(text, currency), Err(error), "{text} {currency}");
        }
    }
}
