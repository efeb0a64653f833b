//! Real messages and certificates of production, which are public in the official Node kit's tests.

use serde_json::Value;

use super::*;

const REAL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracles/china/real_messages.json"));

fn real(name: &str) -> Value {
    serde_json::from_str::<Value>(REAL).unwrap()[name].clone()
}

/// The form of a message, and a channel that knows its key.
fn staged(name: &str, seller: &str) -> (Vec<(String, String)>, Settings) {
    let message = real(name);
    let fields = message["fields"].as_object().unwrap();
    let fields: Vec<_> =
        fields.iter().map(|(field, value)| (field.clone(), value.as_str().unwrap().to_owned())).collect();
    let app_id = message["fields"]["app_id"].as_str().unwrap();
    let settings = Settings::new(Environment::Live)
        .with("app_id", text(app_id))
        .with("seller_id", texts(&[seller]))
        .with("alipay_public_key", key(message["public_key"].as_str().unwrap().as_bytes()));
    (fields, settings)
}

fn body(fields: &[(String, String)]) -> Vec<u8> {
    form::encode(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// The variants whose string this signature fits.
fn fitting(settings: &Settings, body: &[u8]) -> Vec<&'static str> {
    let channel = channel(settings);
    let form = Form::parse(body, LIMITS).unwrap();
    let sorted = form.sorted();
    let signature = decode_base64(form.present("sign").unwrap()).unwrap();
    let fits = |variant: &canonical::Variant| {
        let keys = &channel.config.keys;
        keys.verify(SignType::Rsa2, (None, None), &variant.string(&sorted), &signature, variant.name()).is_some()
    };
    canonical::variants(&sorted).into_iter().filter(fits).map(canonical::Variant::name).collect()
}

#[test]
fn each_real_message_fits_exactly_one_rule() {
    let (trade, settings) = staged("alipay_trade", "2088531891668739");
    assert_eq!(fitting(&settings, &body(&trade)), ["v1-keep"]);
    let (notification, variant) = genuine(&settings, body(&trade));
    assert_eq!((variant.as_str(), notification.concerns.as_slice()), ("v1-keep", &[][..]));
    let fact = &notification.facts[0];
    assert_eq!(fact.signed_money().map(|money| money.minor), Some(10));
    assert_eq!(fact.order_no.as_deref(), Some("20190815155618536-564-57"));
    assert_eq!(fact.identity.as_str(), "2019081522001468450512505578");
    assert_eq!(notification.sent_at.unwrap().to_string(), "2019-08-15T07:56:25Z");

    let (market, settings) = staged("alipay_servicemarket", "2088721996721370");
    assert_eq!(fitting(&settings, &body(&market)), ["v2-keep"]);
    let (notification, variant) = genuine(&settings, body(&market));
    assert_eq!((variant.as_str(), notification.concerns.as_slice()), ("v2-keep", &[][..]));
    assert_eq!(notification.facts[0].kind.as_str(), "other");
}

#[test]
fn a_real_message_with_one_thing_changed_is_refused() {
    for (name, seller) in [("alipay_trade", "2088531891668739"), ("alipay_servicemarket", "2088721996721370")] {
        let (fields, settings) = staged(name, seller);
        for at in 0..fields.len() {
            let mut changed = fields.clone();
            changed[at].1.push('1');
            refused(&settings, &request(body(&changed)));
            changed.remove(at);
            refused(&settings, &request(body(&changed)));
        }
    }
    let (mut trade, settings) = staged("alipay_trade", "2088531891668739");
    let bills = trade.iter_mut().find(|(name, _)| name == "fund_bill_list").unwrap();
    bills.1 = bills.1.replace('"', "&quot;");
    assert_eq!(refused(&settings, &request(body(&trade))), Rejection::Signature);
}

#[test]
fn real_certificates_have_the_serials_that_alipay_shows() {
    let certificates = real("alipay_certificates");
    let bytes = |name: &str| certificates[name].as_str().unwrap().as_bytes().to_vec();
    for (name, serial) in [("alipay", "7513daaaa48aa3ba2e4018d84402479c"), ("app", "866efef280dec9137a87d047ac446315")]
    {
        let read = crate::signature::x509::Certificate::read("certificate", &bytes(name)).unwrap();
        assert_eq!(certificate::serial(&read), serial);
    }
    let root = "687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6";
    assert_eq!(certificate::root_serial(&bytes("root")).as_deref(), Some(root));
    let settings = merchant().with("alipay_cert", key(&bytes("alipay")));
    let note = &channel(&settings).keys()[0];
    assert_eq!(note.fingerprint.as_deref(), Some("7513daaaa48aa3ba2e4018d84402479c"));
}
