//! Amounts: integers in minor units, and currencies whose minor unit is not that of ISO 4217 (Adyen, "Currency codes and
//! minor units").

use super::super::minor;
use crate::json::Json;
use crate::model::{Currency, Money, MoneyError};

/// Decimals that are Adyen's own.
const OWN_DECIMALS: &[(&str, u8)] = &[("CLP", 2), ("CVE", 0), ("IDR", 0), ("ISK", 2), ("MRO", 1), ("RSD", 2)];

/// Reads `{value, currency}`: a plain integer, and a code in capitals.
pub(in crate::platforms) fn read(amount: &Json) -> Result<Money, MoneyError> {
    let (Some(Json::Number(value)), Some(Json::Text(code))) = (amount.get("value"), amount.get("currency")) else {
        return Err(MoneyError::Shape);
    };
    if !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(MoneyError::Currency);
    }
    let currency = Currency::parse(code)?;
    let own = OWN_DECIMALS.iter().find(|(own, _)| own == code).map_or_else(|| currency.iso_exponent(), |(_, own)| *own);
    minor::read(value, currency, own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_unit_is_the_platforms() {
        let of = |text: &str| read(&Json::parse(text.as_bytes()).unwrap()).map(|money| money.minor);
        assert_eq!(of(r#"{"value":1130,"currency":"EUR"}"#), Ok(1130));
        assert_eq!(of(r#"{"value":1130,"currency":"JPY"}"#), Ok(1130));
        assert_eq!(of(r#"{"value":1130,"currency":"KWD"}"#), Ok(1130));
        assert_eq!(of(r#"{"value":1130,"currency":"RSD"}"#), Ok(1130));
        // ISO 4217 has no decimals here.
        assert_eq!(of(r#"{"value":1100,"currency":"CLP"}"#), Ok(11));
        assert_eq!(of(r#"{"value":1130,"currency":"CLP"}"#), Err(MoneyError::Precision));
        assert_eq!(of(r#"{"value":1100,"currency":"ISK"}"#), Ok(11));
        // And two here.
        assert_eq!(of(r#"{"value":15000,"currency":"IDR"}"#), Ok(1_500_000));
        assert_eq!(of(r#"{"value":15,"currency":"CVE"}"#), Ok(1_500));
        for bad in ["\"1130\"", "-1", "1e3", "null", "true"] {
            assert_eq!(of(&format!(r#"{{"value":{bad},"currency":"EUR"}}"#)), Err(MoneyError::Shape), "{bad}");
        }
        for bad in ["11.3", "1130.0"] {
            assert_eq!(of(&format!(r#"{{"value":{bad},"currency":"EUR"}}"#)), Err(MoneyError::Precision), "{bad}");
        }
        for bad in ["eur", "", "EURO", "XXQ"] {
            assert_eq!(of(&format!(r#"{{"value":1,"currency":"{bad}"}}"#)), Err(MoneyError::Currency), "{bad}");
        }
    }
}
