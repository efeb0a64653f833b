//! Amounts: integers in the smallest unit, and what the smallest unit is (Stripe, "Supported currencies").

use super::super::minor;
use crate::model::{Currency, Money, MoneyError};

/// Currencies without decimals.
const ZERO_DECIMALS: &[&str] =
    &["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"];

/// Currencies that have no decimals any more, and are written as if they had two, of which both are 0.
const WRITTEN_WITH_TWO: &[&str] = &["ISK", "UGX"];

/// Currencies with three decimals, of which the last is 0.
const THREE_DECIMALS: &[&str] = &["BHD", "JOD", "KWD", "OMR", "TND"];

/// Currencies that are charged with two decimals, and paid out in whole units.
const WHOLE_PAYOUTS: &[&str] = &["HUF", "TWD"];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// What a payer pays or gets back.
    Charge,
    /// What goes to the merchant's bank.
    Payout,
}

/// Reads an amount. The currency is in lower case; one with another number of decimals than two, of which no list says
/// how it is written, is not guessed.
pub(super) fn read(text: &str, code: &str, counted: Counted, has_three: bool) -> Result<Money, MoneyError> {
    if !code.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(MoneyError::Currency);
    }
    let currency = Currency::parse(code)?;
    let is_in = |list: &[&str]| list.contains(&currency.code());
    let own = if is_in(ZERO_DECIMALS) {
        0
    } else if is_in(WRITTEN_WITH_TWO) {
        2
    } else if is_in(THREE_DECIMALS) && has_three {
        if !text.ends_with('0') {
            return Err(MoneyError::Precision);
        }
        3
    } else if currency.iso_exponent() == 2 {
        2
    } else {
        return Err(MoneyError::Currency);
    };
    let money = minor::read(text, currency, own)?;
    if counted == Counted::Payout && is_in(WHOLE_PAYOUTS) && money.minor % 100 != 0 {
        return Err(MoneyError::Precision);
    }
    Ok(money)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_unit_is_the_platforms() {
        let of = |text, code| read(text, code, Counted::Charge, false).map(|money| (money.minor, money.currency));
        let minor = |text, code| of(text, code).map(|(minor, _)| minor);
        assert_eq!(of("1099", "usd"), Ok((1099, Currency::parse("USD").unwrap())));
        assert_eq!(minor("500", "jpy"), Ok(500));
        assert_eq!(minor("500", "krw"), Ok(500));
        // One hundred units for each, as ISO 4217 has no smaller one.
        assert_eq!(minor("500", "isk"), Ok(5));
        assert_eq!(minor("500", "ugx"), Ok(5));
        assert_eq!(minor("501", "ugx"), Err(MoneyError::Precision));
        // ISO 4217 counts two decimals here.
        assert_eq!(minor("500", "mga"), Ok(50_000));
        assert_eq!(minor("1099", "huf"), Ok(1099));
        for (text, code) in [("10", "USD"), ("10", "Usd"), ("10", ""), ("10", "xxq"), ("10", "usdc"), ("10", "clf")] {
            assert_eq!(minor(text, code), Err(MoneyError::Currency), "{code}");
        }
        for text in ["", "-1", "1e2", "+1", " 1", "0x1", "1."] {
            assert_eq!(minor(text, "usd"), Err(MoneyError::Shape), "{text:?}");
        }
        assert_eq!(minor("1.5", "usd"), Err(MoneyError::Precision));
        assert_eq!(minor("1.0", "usd"), Err(MoneyError::Precision));
        assert_eq!(minor("9223372036854775808", "usd"), Err(MoneyError::Range));
    }

    #[test]
    fn three_decimals_are_read_only_where_they_are_configured() {
        for code in ["bhd", "jod", "kwd", "omr", "tnd"] {
            let of = |text, has_three| read(text, code, Counted::Charge, has_three).map(|money| money.minor);
            assert_eq!(of("5120", false), Err(MoneyError::Currency));
            assert_eq!(of("5120", true), Ok(5120));
            assert_eq!(of("5124", true), Err(MoneyError::Precision));
        }
    }

    #[test]
    fn some_payouts_are_whole() {
        let of = |text, code| read(text, code, Counted::Payout, false).map(|money| money.minor);
        assert_eq!(of("10000", "huf"), Ok(10_000));
        assert_eq!(of("10050", "huf"), Err(MoneyError::Precision));
        assert_eq!(of("10050", "twd"), Err(MoneyError::Precision));
        assert_eq!(of("10050", "usd"), Ok(10_050));
    }
}
