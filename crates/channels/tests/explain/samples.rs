//! Questions that people ask, written as inputs: rows of the mistake tables that need more than one rule for every
//! platform, and messages that were published with their secret, which this project did not make.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollbell_channels::explain::{Configured, Kept, Question, explain};
use tollbell_channels::lifetimes::Lifetimes;
use tollbell_channels::model::{Environment, EventKind, RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::{KeyMark, SettingValue, Settings};

use super::bytes::{has, hex, replaced};
use super::json::{COMPACT, Json, Style};
use super::matrix::{genuine, ids};
use super::pen::{Algorithm, Pen, Piece, Writing};
use super::stage::{Other, Scene, Stage, at, stage};

fn key(bytes: &[u8]) -> SettingValue {
    SettingValue::Key(bytes.to_vec().into())
}

/// The finding that is due, first and alone; one of several where a question has several right answers.
#[track_caller]
fn is_named(scene: &Scene<'_>, due: &[&str]) {
    let diagnosis = scene.diagnose().expect("a channel");
    assert!(!diagnosis.outcome.is_accepted(), "nothing is wrong");
    let found = ids(&diagnosis);
    assert!(
        found.len() == 1 && due.contains(&found[0]),
        "{:?}: found {found:?}, due is one of {due:?}",
        diagnosis.outcome
    );
}

fn right(stage: &'static Stage) -> Other {
    Other { id: "right", platform: stage.platform, settings: Some(stage.settings.clone()) }
}

/// "The signature is right and the content does not open": the older interface's key was put into the newer one's place.
#[test]
fn the_key_of_an_older_interface_in_the_newer_ones_place() {
    let (newer, older) = (stage("wechat_pay"), stage("wechat_pay_v2"));
    let old_key = older.settings.key("api_key").expect("a key").to_vec();
    let settings = newer.settings.clone().with("api_v3_key", key(&old_key));
    let scene = genuine(newer).with_settings(settings).beside(vec![right(older)]);
    is_named(&scene, &["decryption_key", "key_shared"]);
}

/// "Notices stopped to verify after we asked for refunds with HMAC": the notice names and uses the other algorithm.
#[test]
fn a_notice_by_another_algorithm_than_is_allowed() {
    let stage = stage("wechat_pay_v2");
    let only = SettingValue::Texts(vec!["MD5".to_owned()]);
    let scene = genuine(stage).with_settings(stage.settings.clone().with("sign_types", only));
    let pen = Pen::of(&genuine(stage)).expect("a pen");
    let signature = pen.write(Algorithm::HmacSha256, &pen.pieces, Writing::Upper).expect("a secret");
    assert_eq!(signature.len(), 64);
    is_named(&pen.put(scene, &signature).expect("a signature"), &["algorithm_other"]);
}

/// "Which of the three callbacks is this?": headers and fields decide the generation.
#[test]
fn messages_of_another_generation() {
    let generations = ["douyin_ecpay", "douyin_trade", "douyin_pay"];
    for own in generations {
        for sent in generations.into_iter().filter(|sent| *sent != own) {
            let (own, sent) = (stage(own), stage(sent));
            let mut scene = genuine(own);
            scene.genuine = genuine(sent).genuine;
            scene.request = scene.genuine.request.clone();
            is_named(&scene.beside(vec![right(sent)]), &["other_platform"]);
        }
    }
}

/// "I decode the message and encode it again before hashing": a text that is JSON inside JSON.
#[test]
fn a_text_inside_the_document_is_printed_again() {
    let scene = genuine(stage("douyin_ecpay"));
    let blanks = Style { indent: None, comma: ", ", colon: ": " };
    let inner = |text: &str| {
        let text: Option<String> = serde_json::from_str(text).ok();
        let json = text.and_then(|text| Json::read(text.as_bytes())).filter(|json| !matches!(json, Json::Scalar(_)));
        json.map(|json| serde_json::to_string(&json.print(&blanks)).expect("a text"))
    };
    let json = Json::read(&scene.request.body).expect("JSON");
    let printed = json.map(&|text| inner(text).unwrap_or_else(|| text.to_owned())).print(&COMPACT);
    is_named(&scene.with_body(printed), &["json_reprinted"]);
}

/// "I sort the names": the platform sorts the values, the secret among them.
#[test]
fn names_are_sorted_for_values() {
    let stage = stage("douyin_ecpay");
    let scene = genuine(stage);
    let Some(Json::Object(members)) = Json::read(&scene.request.body) else { panic!("an object") };
    let member = |name: &str| -> String {
        let (_, value) = members.iter().find(|(own, _)| own.trim_matches('"') == name).expect("a member");
        let Json::Scalar(text) = value else { panic!("a text") };
        serde_json::from_str(text).expect("a text")
    };
    let token = stage.settings.key("token").expect("a token");
    let text = ["msg", "nonce", "timestamp"].map(member).concat();
    let pieces = [Piece::Text(text.into_bytes()), Piece::Secret];
    let signature = hex(&Algorithm::Sha1.sign(token, &pieces).expect("a digest"));
    let own = member("msg_signature");
    assert_ne!(signature, own, "the same by chance");
    let body = replaced(&scene.request.body, own.as_bytes(), signature.as_bytes());
    is_named(&scene.with_body(body), &["sorted_otherwise"]);
}

/// "It worked until we changed the token": the message fits the former one, which has ended.
#[test]
fn a_former_token_that_has_ended() {
    let stage = stage("douyin_ecpay");
    let scene = genuine(stage).beside(Vec::new());
    let (fresh, former) =
        (stage.neighbour.key("token").expect("a token"), stage.settings.key("token").expect("a token"));
    let until = scene.now.checked_sub(Duration::from_hours(1)).ok();
    let settings = stage.settings.clone().with("token", key(fresh)).with("former_tokens", key(former)).with_mark(
        "former_tokens",
        0,
        KeyMark { name: None, until },
    );
    is_named(&scene.with_settings(settings), &["key_ended"]);
}

/// "The list of payment means has `&quot;` in it": a filter escaped one field.
#[test]
fn one_escaped_field_of_a_form() {
    let scene = genuine(stage("alipay"));
    let body = scene.request.body.clone();
    assert!(has(&body, b"%22fundChannel%22"));
    let body = replaced(&body, b"%22amount%22", b"%26quot%3Bamount%26quot%3B");
    let body = replaced(&body, b"%22fundChannel%22", b"%26quot%3BfundChannel%26quot%3B");
    // Every quote of the field is escaped, as a filter does it.
    let at = body.windows(14).position(|window| window == b"fund_bill_list").expect("the field");
    let end = body[at..].iter().position(|&byte| byte == b'&').map_or(body.len(), |end| at + end);
    let field = replaced(&body[at..end], b"%22", b"%26quot%3B");
    is_named(&scene.with_body([&body[..at], &field, &body[end..]].concat()), &["html_escaped"]);
}

/// "The certificate in the notice is damaged": its plus signs became blanks.
#[test]
fn blanks_in_a_certificate_that_came_along() {
    let scene = genuine(stage("unionpay"));
    let body = scene.request.body.clone();
    let at = body.windows(15).position(|window| window == b"signPubKeyCert=").expect("the field");
    let end = at + body[at..].iter().position(|&byte| byte == b'&').expect("another field");
    assert!(has(&body[at..end], b"%2B"));
    let field = replaced(&body[at..end], b"%2B", b"+");
    is_named(&scene.with_body([&body[..at], &field, &body[end..]].concat()), &["plus_lost"]);
}

/// "Test events fail on the live endpoint": the other environment's endpoint is configured, too.
#[test]
fn a_test_event_at_the_live_endpoint() {
    let stage = stage("stripe");
    let mut sandbox = stage.settings.clone();
    sandbox.environment = Environment::Sandbox;
    let mut scene = genuine(stage);
    let pen = Pen::of(&scene).expect("a pen");
    let text = pen.text().expect("a text").to_vec();
    let other = replaced(&text, b"\"livemode\":true", b"\"livemode\":false");
    let signature = pen.sign(&[Piece::Text(other)]).expect("a signature");
    scene = pen.put(scene, &signature).expect("a signature");
    let body = replaced(&scene.request.body, b"\"livemode\":true", b"\"livemode\":false");
    let scene = scene.with_body(body);
    // Asked is the live endpoint, which has a secret of its own.
    let live = stage.neighbour.clone();
    let scene = scene.with_settings(live);
    is_named(
        &scene.beside(vec![Other { id: "test", platform: stage.platform, settings: Some(sandbox) }]),
        &["other_environment"],
    );
}

/// A message that somebody published, with its secret.
struct Published {
    kind: &'static str,
    secret: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    at: i64,
}

/// Vectors of specifications and of the platforms' own libraries.
const PUBLISHED: &[Published] = &[
    Published {
        kind: "standard_webhooks",
        secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        headers: &[
            ("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
            ("webhook-timestamp", "1649367553"),
            ("webhook-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
        ],
        body: r#"{"email":"test@example.com","username":"test_user"}"#,
        at: 1_649_367_553,
    },
    Published {
        kind: "standard_webhooks",
        secret: "whsec_MfKQ9r8GKYqTwUPD8ILPZIo2LaLaSw==",
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,ycrBnQSdMfrPtr3c829tMkKNLs7sG4EUsl1WMhToQic="),
        ],
        body: r#"{"test": 2432232314}"#,
        at: 1_614_265_330,
    },
];

impl Published {
    fn request(&self) -> RawRequest {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        RawRequest {
            method: Method::POST,
            path: "/hook".to_owned(),
            query: None,
            headers,
            body: Bytes::from_static(self.body.as_bytes()),
            source: None,
            received_at: self.now(0),
        }
    }

    fn now(&self, late: i64) -> Timestamp {
        Timestamp::from_second(self.at + late).expect("a time")
    }

    fn settings(&self, secret: &[u8]) -> Settings {
        stage(self.kind).settings.clone().with("secret", key(secret))
    }

    /// What is found in this request under this secret, so many seconds late.
    fn found(&self, request: &RawRequest, secret: &[u8], late: i64) -> Vec<&'static str> {
        let settings = self.settings(secret);
        let platform = by_kind(self.kind).expect("a platform");
        let channel = Lifetimes::build(platform.build, &settings).expect("a channel");
        let own = Configured { id: "own", platform, settings: &settings, channel: &*channel };
        let (kept, now) = (Kept::WHOLE, self.now(late));
        ids(&explain(&Question { request, kept, own, others: &[], now, is_dated: true }))
    }
}

#[test]
fn published_messages_are_explained() {
    for published in PUBLISHED {
        let (request, secret) = (published.request(), published.secret.as_bytes());
        let none: [&str; 0] = [];
        assert_eq!(published.found(&request, secret, 0), none, "as it was published");
        let with_body = |body: String| RawRequest { body: Bytes::from(body), ..request.clone() };
        let json = Json::read(published.body.as_bytes()).expect("JSON");
        let pretty = Style { indent: Some("  "), comma: ",", colon: ": " };
        let printed =
            [json.print(&pretty), json.print(&COMPACT), json.print(&Style { indent: None, comma: ", ", colon: ": " })];
        for body in printed.into_iter().filter(|body| body != published.body) {
            assert_eq!(published.found(&with_body(body.clone()), secret, 0), ["json_reprinted"], "{body}");
        }
        assert_eq!(published.found(&with_body(format!("\u{feff}{}", published.body)), secret, 0), ["bom"]);
        assert_eq!(published.found(&with_body(format!("{}\n", published.body)), secret, 0), ["line_ends"]);
        assert_eq!(published.found(&request, secret, 3600), ["clock_wrong"]);
        assert_eq!(published.found(&request, secret, -3600), ["clock_wrong"]);
        let mut renamed = request.clone();
        for (name, value) in published.headers {
            renamed.headers.remove(*name);
            let name = HeaderName::from_bytes(format!("x-{name}").as_bytes()).expect("a name");
            renamed.headers.insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(published.found(&renamed, secret, 0), ["header_renamed"]);
    }
}

/// The suite's own pen signs as the published messages are signed.
#[test]
fn the_pen_writes_what_was_published() {
    use base64::Engine as _;
    for published in PUBLISHED {
        let secret = published.secret.strip_prefix("whsec_").expect("a prefix");
        let secret = base64::engine::general_purpose::STANDARD.decode(secret).expect("base64");
        let text = format!("{}.{}.{}", published.headers[0].1, published.headers[1].1, published.body);
        let signature = Algorithm::HmacSha256.sign(&secret, &[Piece::Text(text.into_bytes())]).expect("a tag");
        assert_eq!(format!("v1,{}", Writing::Base64.write(&signature)), published.headers[2].1);
    }
    let story = Stage::story(EventKind::PaymentSucceeded, "");
    assert_eq!(story.at, at());
}
