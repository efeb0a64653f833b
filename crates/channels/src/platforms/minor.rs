//! Amounts that a platform writes in minor units of its own, brought to those of ISO 4217, which everything else counts
//! in. What cannot be said in them is not rounded.

use crate::model::{Currency, Money, MoneyError};

/// Reads an integer of a platform's minor units, of which `own` decimals make the currency's unit.
///
/// # Errors
/// [`MoneyError`]: no plain integer, a part that ISO 4217 has no unit for, or too large.
pub(super) fn read(text: &str, currency: Currency, own: u8) -> Result<Money, MoneyError> {
    let written = Money::from_minor_text(text, currency)?.minor;
    let iso = currency.iso_exponent();
    let factor = 10_i64.checked_pow(u32::from(own.abs_diff(iso))).ok_or(MoneyError::Range)?;
    let minor = if iso >= own {
        written.checked_mul(factor).ok_or(MoneyError::Range)?
    } else if written % factor == 0 {
        written / factor
    } else {
        return Err(MoneyError::Precision);
    };
    Ok(Money { minor, currency })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_units_become_those_of_the_standard() {
        let of = |text, code: &str, own| read(text, Currency::parse(code).unwrap(), own).map(|money| money.minor);
        assert_eq!(of("1099", "USD", 2), Ok(1099));
        assert_eq!(of("1099", "JPY", 0), Ok(1099));
        assert_eq!(of("50000", "ISK", 2), Ok(500));
        assert_eq!(of("50001", "ISK", 2), Err(MoneyError::Precision));
        assert_eq!(of("5", "MGA", 0), Ok(500));
        assert_eq!(of("7", "IDR", 0), Ok(700));
        assert_eq!(of("9223372036854775807", "IDR", 0), Err(MoneyError::Range));
        assert_eq!(of("1.0", "USD", 2), Err(MoneyError::Precision));
        for bad in ["", "-1", "1e3", "+1", " 1"] {
            assert_eq!(of(bad, "USD", 2), Err(MoneyError::Shape), "{bad:?}");
        }
    }
}
