//! Amounts: decimal text beside the code of its currency (PayPal, REST API "money"; payouts write other names).

use crate::json::Json;
use crate::model::{Currency, Money, MoneyError};

/// Currencies that ISO 4217 gives two decimals, and the platform is said to take in whole units alone. That is
/// unconfirmed, so decimals of zero are read as well, and any others are an amount that the platform never writes.
const WHOLE: &[&str] = &["HUF", "TWD"];

/// Reads `{"currency_code": "USD", "value": "10.00"}`, or `currency` in place of the first name.
pub(super) fn read(amount: &Json) -> Result<Money, MoneyError> {
    let codes = (amount.get("currency_code"), amount.get("currency"));
    let ((Some(Json::Text(code)), None) | (None, Some(Json::Text(code)))) = codes else {
        return Err(MoneyError::Currency);
    };
    // A number of JSON has lost its decimals somewhere.
    let Some(Json::Text(value)) = amount.get("value") else { return Err(MoneyError::Shape) };
    if !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(MoneyError::Currency);
    }
    let currency = Currency::parse(code)?;
    let money = Money::from_decimal(value, currency, currency.iso_exponent())?;
    if WHOLE.contains(&currency.code()) && money.minor % 100 != 0 {
        return Err(MoneyError::Precision);
    }
    Ok(money)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(i64, String), MoneyError> {
        let money = read(&Json::parse(text.as_bytes()).unwrap())?;
        Ok((money.minor, money.currency.code().to_owned()))
    }

    fn minor(code: &str, value: &str) -> Result<i64, MoneyError> {
        of(&format!(r#"{{"currency_code":"{code}","value":"{value}"}}"#)).map(|(minor, _)| minor)
    }

    #[test]
    fn decimals_are_those_of_the_currency() {
        for (code, value, expected) in [
            ("USD", "10.00", Ok(1000)),
            ("USD", "0.01", Ok(1)),
            ("USD", "10", Ok(1000)),
            ("USD", "10.001", Err(MoneyError::Precision)),
            ("JPY", "500", Ok(500)),
            ("JPY", "500.00", Err(MoneyError::Precision)),
            ("TND", "1.234", Ok(1234)),
            ("TND", "1.2345", Err(MoneyError::Precision)),
            ("HUF", "1000", Ok(100_000)),
            ("HUF", "1000.00", Ok(100_000)),
            ("HUF", "1000.50", Err(MoneyError::Precision)),
            ("TWD", "30", Ok(3000)),
            ("TWD", "30.01", Err(MoneyError::Precision)),
            ("USD", "-5.00", Err(MoneyError::Shape)),
            ("USD", "1,000.00", Err(MoneyError::Shape)),
            ("USD", "1e3", Err(MoneyError::Shape)),
            ("USD", "", Err(MoneyError::Shape)),
            ("USD", "99999999999999999999.00", Err(MoneyError::Range)),
            ("usd", "1.00", Err(MoneyError::Currency)),
            ("XXQ", "1.00", Err(MoneyError::Currency)),
        ] {
            assert_eq!(minor(code, value), expected, "{code} {value}");
        }
    }

    #[test]
    fn an_amount_is_text_beside_one_currency() {
        assert_eq!(of(r#"{"currency":"EUR","value":"1.50"}"#), Ok((150, "EUR".to_owned())));
        for bad in [
            r#"{"currency_code":"USD","value":10.00}"#,
            r#"{"currency_code":"USD"}"#,
            r#"{"value":"10.00"}"#,
            r#"{"currency_code":"USD","currency":"USD","value":"1.00"}"#,
            r#"{"currency_code":"USD","value":null}"#,
            r#"{"currency_code":["USD"],"value":"1.00"}"#,
            r#"{"currency_code":"USD","total":"1.00"}"#,
            "null",
            r#""10.00""#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
