//! What only this platform's download has; the contract suite plays the rest.

use super::*;
use crate::channel::{Rejection, Verdict};
use crate::model::{Environment, RawRequest};
use crate::platforms::alipay::PLATFORM;
use crate::settings::{SettingValue, Settings};
use crate::simulate::{Conduct, KeyOffice, Story};

const BASE: &str = "http://127.0.0.1:9";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

struct Stage {
    office: Box<dyn KeyOffice>,
}

fn stage() -> Stage {
    Stage { office: (PLATFORM.simulate)().key_office().unwrap() }
}

impl Stage {
    fn settings(&self, environment: Environment, without: &[&str]) -> Settings {
        let written = self.office.written_settings(BASE).into_iter().filter(|one| !without.contains(&one.name));
        written.fold(Settings::new(environment), |all, one| all.with(one.name, one.value))
    }

    fn channel(&self) -> Box<dyn Channel> {
        (PLATFORM.build)(&self.settings(Environment::Live, &[])).unwrap_or_else(|error| panic!("{error}"))
    }

    fn callback(&self) -> RawRequest {
        self.office.callback(&Story::paid("T-1", 100, now())).request
    }
}

/// The answer, and what was needed.
fn answer_to(stage: &Stage, channel: &dyn Channel) -> (HttpAnswer, KeyRequest) {
    let Verdict::NeedsKey(needed) = channel.verify(&stage.callback(), now()) else { panic!("no key needed") };
    let ask = channel.key_source().unwrap().ask(Some(&needed), [0; 16], now()).unwrap();
    (stage.office.answer(&ask, now(), Conduct::Honest), needed)
}

fn with_body(answer: &HttpAnswer, change: impl FnOnce(String) -> String) -> HttpAnswer {
    let text = change(String::from_utf8(answer.body.to_vec()).unwrap());
    HttpAnswer { body: text.into_bytes().into(), ..answer.clone() }
}

#[test]
fn a_download_needs_all_of_certificate_mode_and_a_live_account() {
    let stage = stage();
    let has_source = |settings: &Settings| (PLATFORM.build)(settings).unwrap().key_source().is_some();
    assert!(has_source(&stage.settings(Environment::Live, &[])));
    assert!(has_source(&stage.settings(Environment::Live, &["api_base"])));
    for name in ["alipay_root_cert", "app_cert", "private_key"] {
        assert!(!has_source(&stage.settings(Environment::Live, &[name])), "{name}");
    }
    // The sandbox has no downloads; somebody who plays it may.
    assert!(!has_source(&stage.settings(Environment::Sandbox, &["api_base"])));
    assert!(has_source(&stage.settings(Environment::Sandbox, &[])));
    let elsewhere =
        stage.settings(Environment::Live, &[]).with("api_base", SettingValue::Text("http://a.example".into()));
    assert_eq!((PLATFORM.build)(&elsewhere).err().unwrap().word, "malformed");
}

#[test]
fn only_a_serial_is_asked_for() {
    let channel = stage().channel();
    let source = channel.key_source().unwrap();
    assert_eq!(source.ask(None, [0; 16], now()), None);
    for bad in ["", "x", "\",\"a\":\"", &"0".repeat(33)] {
        assert_eq!(source.ask(Some(&KeyRequest { serial: bad.to_owned() }), [0; 16], now()), None, "{bad}");
    }
    assert_eq!(source.renew_at(&[], now()), None);
}

#[test]
fn an_answer_is_signed_and_says_one_thing() {
    let stage = stage();
    let channel = stage.channel();
    let source = channel.key_source().unwrap();
    let (answer, needed) = answer_to(&stage, &*channel);
    let read = |answer: &HttpAnswer| source.read(answer, Some(&needed), now());
    assert_eq!(read(&answer).unwrap().len(), 1);

    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let (before, _) = text.split_once(",\"sign\":").unwrap();
    let unsigned = with_body(&answer, |_| format!("{before}}}"));
    assert_eq!(read(&unsigned), Err(KeyRefused::Malformed { field: "sign" }));
    let empty = with_body(&answer, |_| format!("{before},\"sign\":\"\"}}"));
    assert_eq!(read(&empty), Err(KeyRefused::Malformed { field: "sign" }));
    let unnamed = with_body(&answer, |text| text.replace(&format!("\"alipay_cert_sn\":\"{}\",", needed.serial), ""));
    assert_eq!(read(&unnamed), Err(KeyRefused::Signature));
    let unknown = with_body(&answer, |text| {
        let at = text.rfind(&needed.serial).unwrap();
        format!("{}{}{}", &text[..at], "0".repeat(32), &text[at + 32..])
    });
    assert_eq!(read(&unknown), Err(KeyRefused::Signature));
    let blank = with_body(&answer, |text| text.replace("\"code\":", "\"code\": "));
    assert_eq!(read(&blank), Err(KeyRefused::Signature), "the signature is over the text as it is written");

    let name = "\"alipay_open_app_alipaycert_download_response\":";
    let twice = with_body(&answer, |text| text.replacen('{', &format!("{{{name}{{\"code\":\"10000\"}},"), 1));
    assert_eq!(read(&twice), Err(KeyRefused::Malformed { field: "body" }));
    let with_error = with_body(&answer, |text| text.replacen('{', "{\"error_response\":{\"code\":\"40002\"},", 1));
    assert!(matches!(read(&with_error), Err(KeyRefused::Malformed { .. })));
    // A field of the envelope that we do not know changes nothing.
    let more = with_body(&answer, |text| text.replacen('{', "{\"extra\":1,", 1));
    assert!(read(&more).is_ok());
    assert_eq!(source.read(&answer, None, now()), Err(KeyRefused::Serial), "nothing was needed");
}

#[test]
fn a_message_that_names_no_certificate_is_for_the_configured_one() {
    let stage = stage();
    let channel = stage.channel();
    let (answer, needed) = answer_to(&stage, &*channel);
    let source = channel.key_source().unwrap();
    let keys = source.read(&answer, Some(&needed), now()).unwrap();
    let with_key = source.with_keys(&keys, now()).unwrap();
    let callback = stage.callback();
    assert!(matches!(with_key.verify(&callback, now()), Verdict::Genuine(_)));
    let mut nameless = callback.clone();
    let text = String::from_utf8(callback.body.to_vec()).unwrap();
    nameless.body = text.replace(&format!("alipay_cert_sn={}&", needed.serial), "").into_bytes().into();
    assert_ne!(nameless.body, callback.body);
    assert!(matches!(with_key.verify(&nameless, now()), Verdict::Refused(Rejection::Signature)));
}

#[test]
fn an_issuer_beside_the_certificate_is_no_key_for_messages() {
    let stage = stage();
    let channel = stage.channel();
    let (answer, needed) = answer_to(&stage, &*channel);
    let keys = channel.key_source().unwrap().read(&answer, Some(&needed), now()).unwrap();
    let issuer = keys[0].evidence.clone();
    let authority = Certificate::read("cert", &issuer).unwrap();
    assert!(authority.is_authority());
    // As the platform's own file has it: the certificate, and the one above it.
    let settings = stage.settings(Environment::Live, &[]);
    let file = [settings.key("alipay_cert").unwrap(), issuer.as_slice()].concat();
    let channel = (PLATFORM.build)(&settings.with("alipay_cert", SettingValue::Key(file.into()))).unwrap();
    let source = channel.key_source().unwrap();
    // The path may also lead over it, and then the answer need not bring it.
    let bare = FetchedKey { evidence: Vec::new(), ..keys[0].clone() };
    assert_eq!(source.check(&bare, now()), Ok(()));
    let mut named = stage.callback();
    let text = String::from_utf8(named.body.to_vec()).unwrap();
    named.body = text.replace(&needed.serial, &certificate::serial(&authority)).into_bytes().into();
    assert!(matches!(channel.verify(&named, now()), Verdict::NeedsKey(_)), "its serial is not one of ours");
}
