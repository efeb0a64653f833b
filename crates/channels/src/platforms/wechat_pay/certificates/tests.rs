//! What only this platform's list has; the contract suite plays the rest.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;

use super::*;
use crate::channel::{Rejection, Verdict};
use crate::model::{Environment, RawRequest};
use crate::platforms::wechat_pay::PLATFORM;
use crate::settings::{SettingValue, Settings};
use crate::signature::key::{PublicKey, to_pem};
use crate::simulate::{Conduct, KeyOffice, OtherSide, Story};

const BASE: &str = "http://127.0.0.1:9";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

struct Stage {
    side: Box<dyn OtherSide>,
    office: Box<dyn KeyOffice>,
    settings: Settings,
}

fn stage() -> Stage {
    let side = (PLATFORM.simulate)();
    let office = side.key_office().unwrap();
    let written = office.written_settings(BASE);
    let settings =
        written.into_iter().fold(Settings::new(Environment::Live), |settings, one| settings.with(one.name, one.value));
    Stage { side, office, settings }
}

impl Stage {
    fn with(mut self, name: &'static str, value: SettingValue) -> Self {
        self.settings = self.settings.with(name, value);
        self
    }

    fn without(self, names: &[&str]) -> Self {
        let written = self.office.written_settings(BASE).into_iter().filter(|one| !names.contains(&one.name));
        let settings = written.fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value));
        Self { settings, ..self }
    }

    /// With the public key of the simulator's side, as in the years in which both are in use.
    fn with_public_key(self) -> Self {
        let theirs = self.side.settings();
        let (key, id) = (theirs.key("wechatpay_public_key").unwrap(), theirs.text("wechatpay_public_key_id").unwrap());
        let (key, id) = (SettingValue::Key(key.to_vec().into()), SettingValue::Text(id.to_owned()));
        self.with("wechatpay_public_key", key).with("wechatpay_public_key_id", id)
    }

    fn build(&self) -> Box<dyn Channel> {
        (PLATFORM.build)(&self.settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(&self) -> (&'static str, &'static str) {
        let error = (PLATFORM.build)(&self.settings).err().expect("refused");
        (error.setting, error.word)
    }

    fn callback(&self) -> RawRequest {
        self.office.callback(&Story::paid("T-1", 100, now())).request
    }
}

fn ask_of(channel: &dyn Channel) -> HttpAsk {
    channel.key_source().unwrap().ask(None, [1; 16], now()).unwrap()
}

#[test]
fn the_settings_of_a_download_belong_together() {
    let text = |text: &str| SettingValue::Text(text.to_owned());
    assert_eq!(stage().without(&["merchant_serial_no"]).error(), ("merchant_serial_no", "missing"));
    assert_eq!(stage().without(&["private_key"]).error(), ("private_key", "missing"));
    assert_eq!(
        stage().without(&["private_key", "merchant_serial_no"]).error(),
        ("wechatpay_public_key", "missing"),
        "no key at all"
    );
    for bad in ["PUB_KEY_ID_011", "xyz", "12 34", "\"1", "1\",x=\"2"] {
        assert_eq!(
            stage().with("merchant_serial_no", text(bad)).error(),
            ("merchant_serial_no", "malformed_id"),
            "{bad}"
        );
    }
    assert_eq!(stage().with("api_base", text("http://10.0.0.1")).error(), ("api_base", "malformed"));
    let garbage = SettingValue::Key(b"garbage".to_vec().into());
    assert_eq!(stage().with("private_key", garbage).error(), ("private_key", "not_a_key"));

    // The commonest mistake: the merchant's own key in place of the platform's.
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let private = SettingValue::Key(to_pem("PRIVATE KEY", der.as_ref()).into_bytes().into());
    let public = SettingValue::Key(PublicKey::of_pair("key", &pair).unwrap().to_pem().into_bytes().into());
    let swapped = stage().with_public_key().with("private_key", private).with("wechatpay_public_key", public);
    assert_eq!(swapped.error(), ("wechatpay_public_key", "own_public_key"));
}

#[test]
fn no_secret_is_shown() {
    let stage = stage();
    let config = Config::build(&stage.settings).unwrap();
    let pem = String::from_utf8(stage.settings.key("private_key").unwrap().to_vec()).unwrap();
    let shown = format!("{config:?} {:?} {:?}", stage.build().keys(), ask_of(&*stage.build()));
    for line in pem.lines().filter(|line| line.len() == 64) {
        assert!(!shown.contains(line));
    }
}

#[test]
fn a_public_key_is_never_asked_for() {
    let channel = stage().build();
    let mut request = stage().callback();
    for id in ["PUB_KEY_ID_9", "PUB_KEY_ID_0119000000012026112100000000000001"] {
        request.headers.insert("wechatpay-serial", HeaderValue::from_static(id));
        match channel.verify(&request, now()) {
            Verdict::Refused(Rejection::UnknownKey { serial }) => assert_eq!(serial, id),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn in_public_key_mode_nothing_is_downloaded_before_a_certificate_turns_up() {
    let bare = stage();
    let channel = bare.build();
    assert_eq!(channel.key_source().unwrap().renew_at(&[], now()), Some(now()));
    assert!(!ask_of(&*channel).headers.contains_key("wechatpay-serial"));

    let both = stage().with_public_key();
    let channel = both.build();
    let source = channel.key_source().unwrap();
    assert_eq!(source.renew_at(&[], now()), None);
    let id = both.settings.text("wechatpay_public_key_id").unwrap();
    assert_eq!(ask_of(&*channel).headers["wechatpay-serial"], id, "the answer shall be signed with that key");
    assert!(matches!(channel.verify(&both.callback(), now()), Verdict::NeedsKey(_)));
    let keys = source.read(&both.office.answer(&ask_of(&*channel), now(), Conduct::Honest), None, now()).unwrap();
    let with_both = source.with_keys(&keys, now()).unwrap();
    assert!(matches!(with_both.verify(&both.callback(), now()), Verdict::Genuine(_)));
    let by_public_key = both.side.callback(&Story::paid("T-2", 100, now())).request;
    // The side has a secret of its own, so this only shows that its key is still in use.
    assert!(matches!(with_both.verify(&by_public_key, now()), Verdict::Refused(Rejection::Undecryptable)));
    assert_eq!(source.renew_at(&keys, now()), Some(later(6 * 3600)), "from then on the list is looked at");
    assert_eq!(source.renew_at(&keys, later(-86_400)), Some(later(-86_400 + 6 * 3600)), "a clock that was set back");
}

#[test]
fn an_answer_may_be_signed_by_a_key_that_is_known() {
    let stage = stage();
    let channel = stage.build();
    let ask = ask_of(&*channel);
    let first = channel.key_source().unwrap().read(&stage.office.answer(&ask, now(), Conduct::Honest), None, now());
    let known = channel.key_source().unwrap().with_keys(&first.unwrap(), now()).unwrap();
    // Another certificate under the signature of its own; then the same list under that of the known one.
    let answer = stage.office.answer(&ask, now(), Conduct::Unasked);
    let mut by_known = answer.clone();
    by_known.headers.insert(SERIAL, HeaderValue::from_static("405157F09EFDC096DE"));
    assert_eq!(channel.key_source().unwrap().read(&by_known, None, now()), Err(KeyRefused::Signature));
    let found = known.key_source().unwrap().read(&by_known, None, now()).unwrap();
    assert_eq!(found[0].serial, "405157F09EFDC096DF");
}

#[test]
fn an_answer_has_a_window_and_one_of_each_header() {
    let stage = stage();
    let channel = stage.build();
    let source = channel.key_source().unwrap();
    let answer = stage.office.answer(&ask_of(&*channel), now(), Conduct::Honest);
    for (seconds, is_fresh) in [(0, true), (299, true), (-299, true), (300, false), (-300, false), (86_400, false)] {
        assert_eq!(source.read(&answer, None, later(seconds)).is_ok(), is_fresh, "{seconds}");
    }
    for name in [TIMESTAMP, NONCE, SERIAL, SIGNATURE] {
        let mut missing = answer.clone();
        missing.headers.remove(name);
        assert_eq!(source.read(&missing, None, now()), Err(KeyRefused::Malformed { field: name }));
        let mut twice = answer.clone();
        let value = twice.headers[name].clone();
        twice.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        assert_eq!(source.read(&twice, None, now()), Err(KeyRefused::Malformed { field: name }));
    }
    let mut other = answer.clone();
    other.headers.insert("wechatpay-signature-type", HeaderValue::from_static("WECHATPAY2-SM2-WITH-SM3"));
    assert_eq!(source.read(&other, None, now()), Err(KeyRefused::Malformed { field: TYPE }));
    let not_found = HttpAnswer { status: 404, body: Bytes::from_static(b"{\"code\":\"NOT_FOUND\"}"), ..answer };
    assert_eq!(source.read(&not_found, None, now()), Err(KeyRefused::Status { status: 404 }));
}

#[test]
fn a_certificate_proves_nothing_before_it_begins() {
    let stage = stage();
    let channel = stage.build();
    let source = channel.key_source().unwrap();
    let keys = source.read(&stage.office.answer(&ask_of(&*channel), now(), Conduct::Honest), None, now()).unwrap();
    let early: Timestamp = "2019-12-31T00:00:00Z".parse().unwrap();
    let with_key = source.with_keys(&keys, early).unwrap();
    let callback = stage.office.callback(&Story::paid("T-1", 100, early)).request;
    assert!(matches!(with_key.verify(&callback, early), Verdict::NeedsKey(_)));
    let answer = stage.office.answer(&ask_of(&*channel), early, Conduct::Honest);
    assert_eq!(source.read(&answer, None, early), Err(KeyRefused::Signature));
}
