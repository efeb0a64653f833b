//! V2's signature made afresh: the same fields with another `timestamp` and another `sign`, where they stood before.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;

use super::settings::Config;
use super::{Message, PROTOCOL, is_rsa};
use crate::channel::quote;
use crate::form::Form;
use crate::model::{RawRequest, Timestamp};
use crate::platforms::joined::is_in_query;
use crate::resign::{self, NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;
use crate::sorted::{Order, join};

/// Signs with a key of our own.
pub(super) struct EpayResigner {
    config: Arc<Config>,
    pair: RsaKeyPair,
    public: PublicKey,
}

impl fmt::Debug for EpayResigner {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpayResigner").field("public", &self.public.fingerprint()).finish_non_exhaustive()
    }
}

impl EpayResigner {
    pub(super) fn new(config: Arc<Config>, key: &[u8]) -> Result<Self, SettingsError> {
        let (pair, public) = resign::read_key(key)?;
        Ok(Self { config, pair, public })
    }

    fn message<'r>(&'r self, request: &'r RawRequest) -> Result<Message<'r>, ResignError> {
        Message::read(request, &PROTOCOL, &self.config.own).map_err(|_| ResignError::Malformed("query"))
    }
}

impl Resigner for EpayResigner {
    fn resign(&self, proven: &RawRequest, now: Timestamp, _: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError> {
        let message = self.message(proven)?;
        let sign_type = message.get("sign_type").ok_or(ResignError::Malformed("sign_type"))?;
        if !is_rsa(sign_type) {
            return Err(ResignError::Algorithm(quote(&String::from_utf8_lossy(sign_type))));
        }
        let timely = with_value(proven, "timestamp", &now.as_second().to_string())?;
        let text = join(self.message(&timely)?.covered(), Order::Bytes);
        let signature = STANDARD.encode(sign_sha256(&self.pair, &text).ok_or(ResignError::Key)?);
        with_value(&timely, "sign", &signature)
    }

    fn public_half(&self) -> Vec<PublicFile> {
        vec![
            PublicFile::line(
                &self.public,
                Text {
                    en: "the public key on one line, as the PHP kit wants it, in place of the platform's public key",
                    zh: "单行公钥：PHP SDK 使用的格式，用它替换平台公钥",
                },
            ),
            PublicFile::pem(
                &self.public,
                Text {
                    en: "the same key as PEM, for kits that read a file",
                    zh: "同一公钥的 PEM 格式，供读取文件的 SDK 使用",
                },
            ),
        ]
    }
}

/// The request with another value of one field, in the query or the form, wherever its fields stand.
fn with_value(request: &RawRequest, name: &'static str, value: &str) -> Result<RawRequest, ResignError> {
    let malformed = || ResignError::Malformed(name);
    let is_in_query = is_in_query(request, &PROTOCOL).map_err(|_| malformed())?;
    let query = request.query.as_deref().unwrap_or_default().as_bytes();
    let fields: &[u8] = if is_in_query { query } else { &request.body };
    let fields = Form::parse(fields, PROTOCOL.limits).map_err(|_| malformed())?.with_value(name, value);
    let mut fresh = request.clone();
    if is_in_query {
        fresh.query = Some(String::from_utf8(fields).map_err(|_| malformed())?);
        return Ok(fresh);
    }
    if fresh.headers.contains_key(CONTENT_LENGTH) {
        fresh.headers.insert(CONTENT_LENGTH, HeaderValue::from(fields.len()));
    }
    fresh.body = Bytes::from(fields);
    Ok(fresh)
}

#[cfg(all(test, feature = "simulate"))]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use http::Method;

    use super::*;
    use crate::channel::{Channel, Verdict};
    use crate::model::Environment;
    use crate::settings::{SettingValue, Settings};
    use crate::simulate::{OtherSide, Story};

    fn at() -> Timestamp {
        "2026-11-21T04:00:00Z".parse().unwrap()
    }

    fn an_hour_later() -> Timestamp {
        "2026-11-21T05:00:00Z".parse().unwrap()
    }

    /// A site's settings as they are written, but for the KEY where V2 is alone, with the platform's key as it is given.
    fn settings(side: &dyn OtherSide, keeps_key: bool, public: Option<&[u8]>) -> Settings {
        let written = side.written_settings().into_iter().filter(|one| keeps_key || one.name != "key");
        written.fold(Settings::new(Environment::Live), |settings, one| match (public, one.name) {
            (Some(public), "platform_public_key") => settings.with(one.name, SettingValue::Key(public.to_vec().into())),
            _ => settings.with(one.name, one.value),
        })
    }

    fn build(settings: &Settings) -> Box<dyn Channel> {
        (super::super::PLATFORM.build)(settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn own_key() -> Vec<u8> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        der.as_ref().to_vec()
    }

    fn told(side: &dyn OtherSide, serial: u64) -> RawRequest {
        let story = Story { serial, note: "a&b=c 书+%".into(), ..Story::paid("T1", 1010, at()) };
        side.callback(&story).request
    }

    fn verdict(channel: &dyn Channel, request: &RawRequest) -> &'static str {
        match channel.verify(request, an_hour_later()) {
            Verdict::Genuine(_) => "genuine",
            Verdict::Refused(rejection) => rejection.word(),
            other => panic!("{other:?}"),
        }
    }

    fn fields_but<'f>(request: &'f RawRequest, but: &[&str]) -> Vec<&'f str> {
        let form = std::str::from_utf8(&request.body).unwrap();
        let text = request.query.as_deref().unwrap_or(form);
        text.split('&').filter(|pair| !but.iter().any(|name| pair.starts_with(&format!("{name}=")))).collect()
    }

    #[test]
    fn an_old_callback_is_accepted_afresh_by_who_trusts_our_key_and_by_nobody_else() {
        let side = super::super::simulate::other_side();
        let gateway = build(&settings(&*side, false, None));
        let resigner = gateway.resigner(&own_key()).unwrap();
        for file in resigner.public_half() {
            let shop = build(&settings(&*side, false, Some(&file.content)));
            for (serial, method) in [(2, Method::GET), (4, Method::POST)] {
                let mut original = told(&*side, serial);
                if method == Method::POST {
                    original.headers.insert(CONTENT_LENGTH, HeaderValue::from(original.body.len()));
                }
                assert_eq!((&original.method, verdict(&*gateway, &original)), (&method, "stale"));
                let fresh = resigner.resign(&original, an_hour_later(), [0; 16]).unwrap();
                assert_eq!((verdict(&*shop, &fresh), verdict(&*gateway, &fresh)), ("genuine", "signature"));
                let rewritten = ["timestamp", "sign"];
                assert_eq!(fields_but(&fresh, &rewritten), fields_but(&original, &rewritten));
                assert_eq!((&fresh.method, &fresh.path), (&original.method, &original.path));
                assert_eq!(fresh.query.is_some(), method == Method::GET);
                let length = fresh.single_header("content-length").map(str::to_owned);
                assert_eq!(length, (method == Method::POST).then(|| fresh.body.len().to_string()));
                // What it says has not changed, only when it was signed.
                let read = |channel: &dyn Channel, request: &RawRequest, now| match channel.verify(request, now) {
                    Verdict::Genuine(proven) => proven.into_parts().0,
                    other => panic!("{other:?}"),
                };
                let (before, after) = (read(&*gateway, &original, at()), read(&*shop, &fresh, an_hour_later()));
                assert_eq!((&before.facts, &before.platform_id), (&after.facts, &after.platform_id));
                assert_eq!(after.sent_at, Some(an_hour_later()));
            }
        }
    }

    #[test]
    fn a_shops_own_parameter_stays_where_it_is_and_is_not_signed() {
        let side = super::super::simulate::other_side();
        let own = |settings: Settings| settings.with("ignored_parameters", SettingValue::Texts(vec!["act".to_owned()]));
        let resigner = build(&own(settings(&*side, false, None))).resigner(&own_key()).unwrap();
        let mut original = told(&*side, 2);
        original.query = original.query.map(|query| format!("act=pay&{query}"));
        let fresh = resigner.resign(&original, an_hour_later(), [0; 16]).unwrap();
        let query = fresh.query.clone().unwrap();
        assert!(query.starts_with("act=pay&"), "{query}");
        let public = resigner.public_half().remove(0).content;
        assert_eq!(verdict(&*build(&own(settings(&*side, false, Some(&public)))), &fresh), "genuine");
    }

    #[test]
    fn what_has_no_public_half_is_not_signed() {
        let side = super::super::simulate::other_side();
        let key = own_key();
        for keeps_key in [true, false] {
            let error = build(&settings(&*side, keeps_key, None)).resigner(&side.export()).unwrap_err();
            // The site's own key: whoever had it could send callbacks to the gateway.
            let expected = if keeps_key { "not_supported" } else { "believed_key" };
            assert_eq!((error.setting, error.word), ("resign_key", expected));
        }
        let gateway = build(&settings(&*side, false, None));
        assert_eq!(gateway.resigner(b"no key").unwrap_err().word, "not_a_key");
        let resigner = gateway.resigner(&key).unwrap();
        let refused = |request: &RawRequest| resigner.resign(request, an_hour_later(), [0; 16]).unwrap_err();
        assert_eq!(refused(&told(&*side, 1)), ResignError::Algorithm("MD5".to_owned()));
        let v2 = told(&*side, 2);
        let with_query = |query: String| RawRequest { query: Some(query), ..v2.clone() };
        let query = v2.query.clone().unwrap();
        assert_eq!(refused(&with_query(query.replace("&sign_type=RSA", ""))), ResignError::Malformed("sign_type"));
        assert_eq!(refused(&with_query(format!("{query}&money=%"))), ResignError::Malformed("query"));
        assert!(!format!("{resigner:?}").contains("pair"));
    }
}
