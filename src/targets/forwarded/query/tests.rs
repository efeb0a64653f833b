use std::fs;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::time::Instant;
use tollbell_channels::model::{AckMatch, Environment, Timestamp};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_proof::php_fpm::{Options, PhpFpm};

use super::*;
use crate::targets::{Outcome, Target, fastcgi};

/// A delivery of a request with this query, of which this much is signed.
fn envelope(received: &str, signed: &str) -> Envelope {
    let signed = Some(signed.to_owned()).filter(|signed| !signed.is_empty());
    Envelope {
        delivery: "dlv_1".to_owned(),
        attempt: 1,
        notification: "ntf_1".to_owned(),
        merchant: Arc::from("default"),
        channel: Arc::from("pay"),
        environment: Environment::Live,
        origin: "callback",
        events: Vec::new(),
        request: Some(RawRequest {
            method: Method::GET,
            path: "/notify/pay".to_owned(),
            query: Some(received.to_owned()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            source: None,
            received_at: Timestamp::UNIX_EPOCH,
        }),
        signed_query: Arc::new(move |_| signed.clone()),
        attempted_at: Timestamp::UNIX_EPOCH,
        fields: Arc::new(Vec::new),
        is_ack: Arc::new(|reply| AckMatch::of_word(reply.body, b"success")),
    }
}

fn written(received: &str, signed: &str, own: &str, is_asked_for: bool, bytes_max: usize) -> Result<String, Taken> {
    let envelope = envelope(received, signed);
    query(&envelope, envelope.request.as_ref().unwrap(), own, is_asked_for, bytes_max)
}

#[test]
fn only_what_is_signed_goes_on_unless_more_is_asked_for() {
    let check = |received: &str, signed: &str, own: &str, plain: &str, asked: &str| {
        assert_eq!(written(received, signed, own, false, 1000).as_deref(), Ok(plain), "{received}");
        assert_eq!(written(received, signed, own, true, 1000).as_deref(), Ok(asked), "{received}, asked for");
    };
    check("", "", "s=1", "s=1", "s=1");
    check("a=1", "", "", "", "a=1");
    check("a=1", "", "s=1", "s=1", "s=1&a=1");
    check("x=&pid=1&sign=2&act=3", "pid=1&sign=2", "", "pid=1&sign=2", "pid=1&sign=2&x=&act=3");
    check("act=3&pid=1", "pid=1", "act=own", "act=own&pid=1", "act=own&pid=1");
    // Not plain, not as long as the rest, or a name of nobody.
    for strange in [
        "a=%zz",
        "a=%",
        "a=%4",
        "a=1%00",
        "a=%0d%0aX:1",
        "%00a=1",
        "a=%7f",
        "-d=1",
        "--env=local",
        "+-d=1",
        "a=\u{4e2d}",
        "a= ",
    ] {
        check(&format!("{strange}&b=%D6%D0+1"), "", "", "", "b=%D6%D0%201");
    }
    check("a=\u{4e2d}&b=1&pid=\u{4e2d}", "pid=\u{4e2d}", "s=1", "s=1&pid=\u{4e2d}", "s=1&pid=\u{4e2d}&b=1");
    check("&&=1&[x]=2&%00=3&a=1&", "", "", "", "a=1");
    // What parts pairs for some readers is a letter for who signed.
    check("pid=1;x=2&b=3;pid=4", "pid=1;x=2", "s;t=1", "s;t=1&pid=1%3Bx=2", "s;t=1&pid=1%3Bx=2&b=3%3Bpid=4");
    check("b=3&amp;pid=4&pid=1", "pid=1", "", "pid=1", "pid=1&b=3&amp%3Bpid=4");
}

#[test]
fn a_forms_fields_are_not_named_beside_it() {
    let mut envelope = envelope("trade.no=evil&total_amount[]=evil&shop=1&Sign=evil&b%6Fdy=evil", "");
    let request = envelope.request.as_mut().unwrap();
    request.body = Bytes::from_static(b"trade_no=1&total%5Famount=2&sign=\xff&&body");
    let asked = |request: &RawRequest| query(&self::envelope("", ""), request, "", true, 1000).unwrap();
    // What is no form has no such fields.
    assert_eq!(asked(request), request.query.clone().unwrap());
    for media_type in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-urlencoded; charset=GBK"] {
        request.headers.insert("content-type", media_type.parse().unwrap());
        assert_eq!(asked(request), "shop=1");
    }
}

#[test]
fn what_is_not_signed_never_makes_a_delivery_impossible() {
    let signed = format!("pid={}", "1".repeat(96));
    let rest = format!("a={}", "2".repeat(97));
    let both = format!("{rest}&{signed}");
    assert_eq!(written(&both, &signed, "", true, 199).unwrap(), signed);
    assert_eq!(written(&both, &signed, "", true, 200).unwrap(), format!("{signed}&{rest}"));
    // Signed ones have no bound here: the listener has one.
    assert_eq!(written(&both, &signed, "", true, 3).unwrap(), signed);
    let many = |count: usize| (0..count).map(|number| format!("n{number}=")).collect::<Vec<_>>().join("&");
    assert_eq!(written(&many(UNSIGNED_PAIRS_MAX), "", "s=1", true, 9999).unwrap().split('&').count(), 101);
    assert_eq!(written(&many(UNSIGNED_PAIRS_MAX + 1), "", "s=1", true, 9999).unwrap(), "s=1");
}

#[test]
fn an_own_name_that_is_signed_too_is_found_in_every_spelling() {
    let taken = |own: &str| written("pid=1&out_trade_no=2", "pid=1&out_trade_no=2", own, false, 1000);
    for own in ["pid=x", "a=1&pid", "%70id=", "PID=1", "pid[]=1", "pid%00x=1", "+pid=1", "&pid"] {
        assert_eq!(taken(own), Err(Taken("pid".to_owned())), "{own}");
    }
    for own in ["out.trade.no=1", "out+trade_no", "out[trade_no=1", "out_trade_no[a][b]=2"] {
        assert_eq!(taken(own), Err(Taken("out_trade_no".to_owned())), "{own}");
    }
    for own in ["", "act=pid", "pid2=1", "a[pid]=1", "[pid]=1", "out-trade-no=1"] {
        assert!(taken(own).is_ok(), "{own}");
    }
    // Beside a query in which nothing is signed every name is free.
    assert_eq!(written("pid=1", "", "pid=2", false, 1000).unwrap(), "pid=2");
    assert_eq!(clash("pid=1", ["sign", "pid"]), Some("pid"));
    assert_eq!(clash("", ["sign", "pid"]), None);
}

/// Rows of pieces of names that readers take for different things.
fn odd_names() -> Vec<String> {
    const PIECES: &[&str] = &["act", ".", "+", "[", "]", "%00", "%5B", "_", "%2", "X"];
    let mut rows: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    for _ in 0..2 {
        let longer = rows.iter().flat_map(|row| PIECES.iter().map(move |piece| format!("{row}{piece}")));
        rows = PIECES.iter().map(|piece| (*piece).to_owned()).chain(longer).collect();
    }
    let picked = [
        "",
        "%61ct",
        "%20%20act",
        "%09act",
        "%0aact",
        "act%0d%0a",
        "act%20",
        "act%2e",
        "%C3%A9",
        "%ff",
        "act%zz",
        "act%",
        "%",
        "act%0",
        "%2500act",
        "act\\",
        "act'",
        "act\"",
        "act<>",
        "act|{}^`",
        "act~!*()-$@,:/?",
        "-d",
        "--env",
        "x+--env",
        "+-d+act",
        "0",
        "007",
        "-0",
        "this",
        "GLOBALS",
        "_GET",
        "act%5B%5D",
        "act[]",
        "act[+]",
        "act[+",
        "act[a]b",
        "act[a]b[c",
        "act[a][b",
        "act[a.b",
        "act[a b]",
        "act[a][b][c][d]",
        "act[[a]]",
        "act[a[b",
        "act.[a",
        "+.act[",
        "act]",
        "a]ct[b",
        "act;b",
        "act%3Bb",
        "amp;act",
        "__Host-act",
        "..",
        "+.",
        "+[a]",
        "+%00a",
        "act%00[a]",
        "act[%00]",
        "act[a%00]",
        "act%5b%5d%5B",
    ];
    rows.extend(picked.map(str::to_owned));
    rows.sort();
    rows.dedup();
    rows
}

struct Php {
    fpm: PhpFpm,
}

impl Php {
    fn new(script: &str) -> Self {
        let fpm = PhpFpm::start(&Options {
            children: 1,
            php_values: vec![("register_argc_argv".to_owned(), "On".to_owned())],
            ..Options::default()
        });
        fpm.script("query.php", script);
        Self { fpm }
    }

    fn target(&self, request_uri: &str) -> Arc<dyn Target> {
        let text = |text: &str| SettingValue::Text(text.to_owned());
        let settings = Settings::without_environment()
            .with("address", text(&self.fpm.address()))
            .with("script", text(self.fpm.root().join("query.php").to_str().unwrap()))
            .with("request_uri", text(request_uri))
            .with("forward_query", SettingValue::Flag(true));
        (fastcgi::KIND.build)(&settings).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("lines")).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

async fn confirmed(target: &dyn Target, envelope: Envelope) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let attempted = target.deliver(&[envelope], deadline).await.remove(0);
    assert_eq!(attempted.outcome, Outcome::Delivered, "{attempted:?}");
}

#[tokio::test]
async fn names_are_read_as_php_reads_them() {
    let script = "<?php $names = array_map(fn ($name) => bin2hex((string) $name), array_keys($_GET));
        file_put_contents(__DIR__ . '/lines', implode(',', $names) . \"\\n\", FILE_APPEND); echo 'success';";
    let php = Php::new(script);
    let target = php.target("/query.php");
    let names = odd_names();
    assert!(names.len() > 1000);
    for name in &names {
        let query = format!("{name}=1");
        confirmed(&*target, envelope(&query, &query)).await;
    }
    // Deeper than PHP follows, and dropped for that.
    let deep = format!("act{}=1", "[a]".repeat(65));
    confirmed(&*target, envelope(&deep, &deep)).await;
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let found = php.lines();
    assert_eq!(found.len(), names.len() + 1);
    let differing: Vec<String> = names
        .iter()
        .zip(&found)
        .filter(|(name, found)| php_name(name.as_bytes()).map(hex).unwrap_or_default() != **found)
        .map(|(name, found)| format!("{name}: PHP has {found}, not {:?}", php_name(name.as_bytes()).map(hex)))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert_eq!((found.last().map(String::as_str), php_name(deep.as_bytes())), (Some(""), Some(b"act".to_vec())));
}

#[tokio::test]
async fn no_spelling_of_a_strangers_name_reaches_a_variable_that_is_taken() {
    let script = "<?php $seen = [$_GET['act'], $_GET['a_ct'], $_GET['pid'], $_GET['out_trade_no']];
        array_push($seen, preg_grep('/^-/', $_SERVER['argv']), $_SERVER['argc'], count($_GET));
        file_put_contents(__DIR__ . '/lines', json_encode($seen) . \"\\n\", FILE_APPEND); echo 'success';";
    let php = Php::new(script);
    let target = php.target("/query.php?act=own&a.ct=too");
    let signed = "pid=1&out_trade_no=2";
    let names = odd_names();
    let mut count = 0;
    for some in names.chunks(UNSIGNED_PAIRS_MAX / 4) {
        let strange = |name: &String| {
            let pid = name.replace("act", "pid");
            let number = name.replace("act", "out.trade_no");
            format!("{name}=evil&{pid}=evil&{number}=evil&{}=evil", name.replace("act", "a_ct"))
        };
        let strange = some.iter().map(strange).collect::<Vec<_>>().join("&");
        confirmed(&*target, envelope(&format!("{strange}&{signed}"), signed)).await;
        count += 1;
    }
    let found = php.lines();
    assert_eq!(found.len(), count);
    for line in &found {
        assert!(line.starts_with(r#"["own","too","1","2",[],1,"#), "{line}");
    }
    // The rest of them did come.
    assert!(found.iter().any(|line| !line.ends_with(",4]")), "{found:?}");
}
