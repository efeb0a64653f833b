//! Names, conditions, further facts, and messages in a query.

use super::*;

const SIGNED: &str = r#""signature":{"from":"query:sign","parse":"whole"},"body":"query","message":"{query:id}|{query:state}|{query:sum}""#;

fn query(text: &str) -> RawRequest {
    let mut request = signed("");
    request.headers.clear();
    request.method = http::Method::GET;
    request.query = Some(text.to_owned());
    request
}

fn tag(text: &str) -> String {
    hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(text.as_bytes()))
}

#[test]
fn a_message_may_stand_in_the_query() {
    let event = r#""type":"query:state","number":"query:id","amount":{"value":"query:sum","currency":"EUR","form":"decimal-string"},"map":{"paid":"payment.succeeded"}"#;
    let channel = channel(SIGNED, event);
    let good = query(&format!("id=P%201&state=paid&sum=10.50&more=x&sign={}", tag("P 1|paid|10.50")));
    let found = read(channel.as_ref(), &good);
    assert_eq!((found.facts[0].identity.as_str(), found.facts[0].signed_money().unwrap().minor), ("P 1", 1050));
    let own = channel.signed_query(&good).unwrap();
    assert!(own.starts_with("id=P%201&state=paid&sum=10.50&sign=") && !own.contains("more"), "{own}");
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    assert_eq!(
        channel.fields(&good),
        [("id", "P 1"), ("state", "paid"), ("sum", "10.50")].map(pair),
        "and nothing unsigned"
    );
    let mut with_body = good.clone();
    with_body.body = "x".into();
    assert_eq!(refused(channel.as_ref(), &with_body), "malformed");
    let mut without = good.clone();
    without.query = None;
    assert_eq!(refused(channel.as_ref(), &without), "empty");
    assert_eq!(refused(channel.as_ref(), &query("id=1&id=1&state=paid&sum=1&sign=00")), "duplicate_field");
    let mut posted = good;
    posted.method = http::Method::POST;
    assert_eq!(refused(channel.as_ref(), &posted), "method");
    let unbound = SIGNED.replace("{query:id}|{query:state}|{query:sum}", "{header:x}");
    assert_eq!(build(&settings(&unbound, event)).err().unwrap().word, "unbound_body");
}

#[test]
fn a_name_of_several_values_has_one_meaning() {
    let event = r#""type":"json:/t","number":["{json:/id}:{json:/state}","json:/id"],"map":{"d":"dispute.updated"}"#;
    let channel = channel(WHOLE, event);
    let names = |body: &str| {
        let found = read(channel.as_ref(), &signed(body));
        let names: Vec<String> = found.facts[0].identities().map(|name| name.as_str().to_owned()).collect();
        (names.join(" "), found.concerns)
    };
    assert_eq!(names(r#"{"t":"d","id":"D1","state":"won"}"#), ("D1:won D1".to_owned(), vec![]));
    assert_eq!(names(r#"{"t":"d","id":"D1"}"#).0, "D1", "a part is missing");
    let ambiguous = Concern::Ambiguous { field: "{json:/id}:{json:/state}".into() };
    assert_eq!(names(r#"{"t":"d","id":"D1:a","state":"won"}"#).1, [ambiguous]);
}

#[test]
fn a_message_says_what_stands_beside() {
    let event = r#""type":"json:/t","number":"json:/p","payment":"json:/p","amount":{"value":"json:/a","currency":"EUR","form":"minor-int"},
        "facts":{"refund":{"number":"json:/r","amount":{"value":"json:/b","currency":"EUR","form":"minor-int"CUMULATIVE}}},
        "map":{"both":{"event":"payment.succeeded","also":[{"event":"refund.succeeded","when":{"json:/back":true}}]},"back":"refund.succeeded"}"#;
    let running = channel(WHOLE, &event.replace("CUMULATIVE", r#","cumulative":true"#));
    let single = channel(WHOLE, &event.replace("CUMULATIVE", ""));
    let kinds = |channel: &dyn Channel, body: &str| {
        let found = read(channel, &signed(body));
        let facts = found.facts.iter().map(|fact| (fact.kind, fact.identity.as_str().to_owned())).collect::<Vec<_>>();
        (facts, found.concerns.len())
    };
    let paid = (EventKind::PaymentSucceeded, "P1".to_owned());
    let total = (EventKind::RefundSucceeded, "P1:total:5".to_owned());
    let back = (EventKind::RefundSucceeded, "R1".to_owned());
    let whole = r#"{"t":"both","p":"P1","a":10,"r":"R1","b":5,"back":true}"#;
    let not_back = r#"{"t":"both","p":"P1","a":10,"r":"R1","b":5,"back":false}"#;
    let absent = r#"{"t":"both","p":"P1","a":10,"r":"R1","back":true}"#;
    let nothing = r#"{"t":"both","p":"P1","a":10,"r":"R1","b":0,"back":true}"#;
    assert_eq!(kinds(running.as_ref(), whole), (vec![paid.clone(), total], 0));
    assert_eq!(kinds(running.as_ref(), not_back), (vec![paid.clone()], 0));
    assert_eq!(kinds(running.as_ref(), absent), (vec![paid.clone()], 0), "nothing is said of it");
    assert_eq!(kinds(running.as_ref(), nothing), (vec![paid.clone()], 0), "nothing was paid back");
    // A refund of its own is told with its amount, or looked at by a person.
    assert_eq!(kinds(single.as_ref(), whole), (vec![paid.clone(), back.clone()], 0));
    assert_eq!(kinds(single.as_ref(), not_back), (vec![paid.clone()], 0));
    assert_eq!(kinds(single.as_ref(), absent), (vec![paid, back.clone()], 1));
    assert_eq!(kinds(single.as_ref(), r#"{"t":"back","p":"P1","r":"R1","b":5}"#), (vec![back], 0));
}

/// The words of an environment may be several, and nothing may be one of them; an object is not nothing.
#[test]
fn an_environment_has_one_or_more_words() {
    let verify = |live: &str, sandbox: &str| {
        format!(r#"{WHOLE},"environment":{{"from":"json:/test","live":{live},"sandbox":{sandbox}}}"#)
    };
    let event = r#""type":"json:/t","map":{"x":"other"}"#;
    let optional = channel(&verify(r#"[false,""]"#, "true"), event);
    for (test, is_held) in [
        (r#","test":false"#, false),
        ("", false),
        (r#","test":null"#, false),
        (r#","test":true"#, true),
        (r#","test":{}"#, true),
    ] {
        let found = read(optional.as_ref(), &signed(&format!(r#"{{"t":"x"{test}}}"#))).concerns;
        assert_eq!(!found.is_empty(), is_held, "{test}: {found:?}");
    }
    channel(&verify(r#"["live",""]"#, r#"["sandbox",""]"#), event);
    for (live, sandbox) in [(r#"["a","b"]"#, r#"["c","b"]"#), (r#""""#, r#"[""]"#), ("true", r#""true""#)] {
        let error = build(&settings(&verify(live, sandbox), event)).err().expect("one word for both");
        assert_eq!((error.key().as_str(), error.word), ("verify.environment", "never_matches"), "{live} {sandbox}");
    }
}

#[test]
fn what_the_map_does_not_name_is_kept_or_held() {
    for (unmapped, is_held) in [("other", false), ("hold", true)] {
        let event = format!(r#""type":"json:/t","unmapped":"{unmapped}","map":{{"x":"other"}}"#);
        let channel = channel(WHOLE, &event);
        let found = read(channel.as_ref(), &signed(r#"{"t":"news"}"#));
        assert_eq!((found.facts[0].kind, !found.concerns.is_empty()), (EventKind::Other, is_held));
        assert_eq!(read(channel.as_ref(), &signed(r#"{"t":"x"}"#)).concerns, []);
    }
}

#[test]
fn an_amount_may_be_unstated_and_not_forgotten() {
    let event =
        |amount: &str| format!(r#""type":"json:/t","number":"json:/p"{amount},"map":{{"paid":"payment.succeeded"}}"#);
    assert_eq!(build(&settings(WHOLE, &event(""))).err().unwrap().word, "missing");
    let found = read(channel(WHOLE, &event(r#","amount":"unstated""#)).as_ref(), &signed(r#"{"t":"paid","p":"P1"}"#));
    assert_eq!((&found.facts[0].amount, found.concerns.len()), (&Amount::None, 0));
}

/// A checksum in the body's place is taken only by whoever says that he knows it.
#[test]
fn a_checksum_is_accepted_by_name_only() {
    let weak = r#""signature":{"from":"header:s","parse":"whole"},"message":"{header:x-id}|{body|crc32}""#;
    let event = r#""type":"header:x-id","map":{"x":"other"}"#;
    assert_eq!(build(&settings(weak, event)).err().unwrap().word, "unbound_body");
    let known = format!(r#"{weak},"accept_weak":"crc32""#);
    let channel = channel(&known, event);
    let mut request = signed("{}");
    request.headers.insert("x-id", "x".parse().unwrap());
    request.headers.insert("s", tag("x|2745614147").parse().unwrap());
    assert_eq!(read(channel.as_ref(), &request).platform_kind, "x");
    assert_eq!(build(&settings(&known, r#""type":"json:/t","map":{"x":"other"}"#)).err().unwrap().word, "not_signed");
}

/// A separator that a signature may hold cuts it, and a name that holds a separator is never found.
#[test]
fn signatures_that_nobody_could_find_are_refused_at_start() {
    let event = r#""type":"json:/t","map":{"x":"other"}"#;
    let built = |signature: &str| {
        let verify = format!(r#""signature":{{"from":"header:s",{signature}}},"message":"{{body}}""#);
        build(&settings(&verify, event)).err().map(|error| (error.key(), error.word))
    };
    let never = |key: &str| Some((format!("verify.signature.{key}"), "never_matches"));
    assert_eq!(built(r#""parse":"kv","want":"v1=""#), never("want"));
    assert_eq!(built(r#""parse":"kv","want":"a,b""#), never("want"));
    assert_eq!(built(r#""parse":"kv","want":"v","pair_sep":"=""#), never("kv_sep").map(|_| never("parse").unwrap()));
    assert_eq!(built(r#""parse":"kv","want":"v","pair_sep":";","kv_sep":";""#), never("kv_sep"));
    assert_eq!(built(r#""parse":"kv","want":"v","pair_sep":"ff""#), never("pair_sep"));
    assert_eq!(built(r#""parse":"list","list_sep":"0""#), never("list_sep"));
    assert_eq!(built(r#""parse":"list","prefix":"a,b""#), never("prefix"));
    assert_eq!(built(r#""parse":"list","list_sep":" ","want":"v 1""#), never("want"));
    assert_eq!(built(r#""parse":"list","list_sep":" ","want":"v,1""#), never("want"));
    assert_eq!(built(r#""parse":"list","list_sep":" ","want":"v1","version_sep":": ""#), never("version_sep"));
    assert_eq!(built(r#""parse":"list","list_sep":"--","want":"v1""#), None);
    assert_eq!(built(r#""parse":"kv","want":"v1","pair_sep":"; ""#), None);
}

/// 410 tells a platform to switch the address off.
#[test]
fn no_answer_switches_the_address_off() {
    let event = r#""type":"json:/t","map":{"x":"other"}"#;
    for status in [410, 302, 200] {
        let reply = SettingValue::Tree(tree(&format!(r#"{{"refused":{{"status":{status}}}}}"#)));
        let error = build(&settings(WHOLE, event).with("reply", reply)).err().unwrap();
        assert_eq!((error.key().as_str(), error.word), ("reply.refused.status", "bad_status"), "{status}");
    }
}

/// Whoever has one genuine message cannot make many of it with what nobody signed.
#[test]
fn what_is_not_signed_makes_no_other_message_of_it() {
    let part = r#""signature":{"from":"json:/sign","parse":"whole"},"message":"{header:at}|{json:/t}|{json:/n}""#;
    let event = r#""type":"json:/t","map":{"x":"other"}"#;
    let channel = channel(part, event);
    let id = |at: &str, n: &str, more: &str| {
        let body = format!(r#"{{"t":"x","n":"{n}"{more},"sign":"{}"}}"#, tag(&format!("{at}|x|{n}")));
        let mut request = signed(&body);
        request.headers.insert("at", at.parse().unwrap());
        let found = read(channel.as_ref(), &request);
        assert_eq!(found.facts[0].identity.as_str(), found.platform_id);
        found.platform_id
    };
    let first = id("1", "1", "");
    assert_eq!(first, id("1", "1", r#","more":1"#), "not signed");
    assert_eq!(first, id("2", "1", ""), "the same, sent again");
    assert_ne!(first, id("1", "2", ""));
    assert_ne!(id("1", "1|", ""), id("1", "|1", ""));
}

/// A fixed text stands before a whole signature; without it there is none.
#[test]
fn a_whole_signature_stands_behind_its_prefix() {
    let part = r#""signature":{"from":"header:s","parse":"whole","prefix":"sha256="},"message":"{body}""#;
    let channel = channel(part, r#""type":"json:/t","map":{"x":"other"}"#);
    let sent = |value: &str| {
        let mut request = signed(r#"{"t":"x"}"#);
        request.headers.insert("s", value.parse().unwrap());
        request
    };
    let tag = tag(r#"{"t":"x"}"#);
    assert_eq!(read(channel.as_ref(), &sent(&format!("sha256={tag}"))).platform_kind, "x");
    for wrong in [tag.clone(), format!("sha1={tag}"), format!("SHA256={tag}"), format!("sha256={tag} ")] {
        assert_eq!(refused(channel.as_ref(), &sent(&wrong)), "malformed", "{wrong}");
    }
}

/// The time may stand in the body, in each unit; it counts where the signed text holds it.
#[test]
fn a_time_in_the_body_is_the_bodys() {
    for (unit, at, late) in [
        ("s", "1700000000", "1699999000"),
        ("ms", "1700000000123", "1699999000123"),
        ("rfc3339", "\"2023-11-14T22:13:20Z\"", "\"2023-11-14T21:13:20Z\""),
    ] {
        let part = format!(r#"{WHOLE},"timestamp":{{"from":"json:/at","unit":"{unit}","tolerance":60}}"#);
        let channel = channel(&part, r#""type":"json:/t","map":{"x":"other"}"#);
        let now = Timestamp::from_second(1_700_000_010).unwrap();
        let verdict = |at: &str| channel.verify(&signed(&format!(r#"{{"t":"x","at":{at}}}"#)), now);
        assert!(matches!(verdict(at), Verdict::Genuine(_)), "{unit}");
        assert!(matches!(verdict(late), Verdict::Refused(Rejection::Stale { .. })), "{unit}");
        let outside = part.replace("json:/at", "header:at");
        assert_eq!(
            build(&settings(&outside, r#""type":"json:/t","map":{"x":"other"}"#)).err().unwrap().word,
            "not_signed"
        );
    }
}

/// How many facts a message has is not for anybody to say.
#[test]
fn a_list_of_items_is_signed() {
    let event = r#""id":"json:/id","type":"json:/type","map":{"x":"other"}"#;
    let verify = r#""signature":{"from":"header:s","parse":"whole"},"message":"{json:/id},{json:/type},{json:/amount}","items":{"from":"json:/lines"}"#;
    let error = build(&settings(verify, event)).err().expect("anybody writes as many lines as he likes");
    assert_eq!((error.key().as_str(), error.word), ("verify.items", "not_signed"));
    let whole = verify.replace("{json:/id},{json:/type},{json:/amount}", "{body}");
    channel(&whole, event);
    let each =
        verify.replace("header:s", "item:/s").replace("json:/id},{json:/type},{json:/amount", "item:/id},{item:/type");
    channel(&each, &event.replace("json:", "item:"));
}

/// One fact has one name, in whatever order and company it comes.
#[test]
fn a_fact_of_a_batch_is_named_by_what_it_says() {
    let verify = format!(r#"{WHOLE},"items":{{"from":"json:/l"}}"#);
    let names = |channel: &dyn Channel, items: &[&str]| {
        let found = read(channel, &signed(&format!(r#"{{"l":[{}]}}"#, items.join(","))));
        found.facts.iter().map(|fact| fact.identity.as_str().to_owned()).collect::<Vec<_>>()
    };
    let (one, two) = (r#"{"id":"EV1","t":"x"}"#, r#"{"id":"EV2","t":"x"}"#);
    let numbered = channel(&verify, r#""id":"item:/id","type":"item:/t","map":{"x":"other"}"#);
    assert_eq!(names(numbered.as_ref(), &[one]), ["EV1"]);
    assert_eq!(names(numbered.as_ref(), &[one, two]), ["EV1", "EV2"]);
    assert_eq!(names(numbered.as_ref(), &[two, one]), ["EV2", "EV1"]);
    assert_eq!(names(numbered.as_ref(), &[two, one, two]), ["EV2", "EV1"]);
    let bare = channel(&verify, r#""type":"item:/t","map":{"x":"other"}"#);
    let [alone, both, turned] = [&[one][..], &[one, two], &[two, one]].map(|items| names(bare.as_ref(), items));
    assert_eq!((both[0].as_str(), turned[1].as_str(), both.len()), (alone[0].as_str(), alone[0].as_str(), 2));
    assert_eq!(both[1], turned[0]);
    assert_ne!(both[0], both[1]);
}

/// Whoever has one signed item makes no other message of it by copying it.
#[test]
fn a_signed_item_counts_once() {
    let verify =
        r#""signature":{"from":"item:/s","parse":"whole"},"items":{"from":"json:/l"},"message":"{item:/t}|{item:/n}""#;
    let channel = channel(verify, r#""type":"item:/t","map":{"x":"other"}"#);
    let item = |n: u8, more: &str| format!(r#"{{"t":"x","n":"{n}","s":"{}"{more}}}"#, tag(&format!("x|{n}")));
    let sent = |items: &[String]| signed(&format!(r#"{{"l":[{}]}}"#, items.join(",")));
    let names = |items: &[String]| {
        let found = read(channel.as_ref(), &sent(items));
        found.facts.iter().map(|fact| fact.identity.as_str().to_owned()).collect::<Vec<_>>()
    };
    let (one, two) = (item(1, ""), item(2, ""));
    assert_eq!(names(std::slice::from_ref(&one))[0], names(&[two.clone(), one.clone()])[1]);
    for copy in [one.clone(), item(1, r#","unsigned":1"#)] {
        let (found, own) = ([one.clone(), two.clone(), copy], [one.clone(), two.clone()]);
        let (found, own) = (read(channel.as_ref(), &sent(&found)), read(channel.as_ref(), &sent(&own)));
        assert_eq!((found.facts.len(), found.platform_id), (2, own.platform_id));
    }
}

/// A code that is none of ISO 4217 has the decimals that the configuration says, and in smallest units no others.
#[test]
fn a_mapped_code_has_decimals_of_its_own() {
    let event = |more: &str, form: &str| {
        format!(
            r#""type":"json:/t","number":"json:/p","amount":{{"value":"json:/a","currency":"json:/c","form":"{form}","currencies":{{"USDC":"USD"}}{more}}},"map":{{"paid":"payment.succeeded"}}"#
        )
    };
    for form in ["minor-int", "minor-string"] {
        for more in ["", r#","exponents":{"USD":2}"#] {
            let error = build(&settings(WHOLE, &event(more, form))).err().expect("a guess");
            assert_eq!((error.key().as_str(), error.word), ("event.amount.currencies", "missing"), "{form} {more}");
        }
    }
    let unknown = build(&settings(WHOLE, &event(r#","exponents":{"USDT":6}"#, "minor-int"))).err().unwrap();
    assert_eq!(unknown.word, "unknown_word");
    let minor = |channel: &dyn Channel, amount: &str, code: &str| {
        let found = read(channel, &signed(&format!(r#"{{"t":"paid","p":"P1","a":{amount},"c":"{code}"}}"#)));
        match &found.facts[0].amount {
            Amount::Stated(money) => format!("{} {}", money.currency, money.minor),
            _ => "?".to_owned(),
        }
    };
    let whole = channel(WHOLE, &event(r#","exponents":{"USDC":6}"#, "minor-int"));
    assert_eq!(minor(whole.as_ref(), "1000000", "USDC"), "USD 100");
    assert_eq!(minor(whole.as_ref(), "1000000", "usdc"), "USD 100");
    assert_eq!(minor(whole.as_ref(), "1000001", "USDC"), "?", "not to be said in cents");
    assert_eq!(minor(whole.as_ref(), "100", "USD"), "USD 100");
    let decimal = channel(WHOLE, &event(r#","exponents":{"USDC":6}"#, "decimal-string"));
    assert_eq!(minor(decimal.as_ref(), "\"100.000000\"", "USDC"), "USD 10000");
    assert_eq!(minor(decimal.as_ref(), "\"100.000001\"", "USDC"), "?");
    assert_eq!(minor(decimal.as_ref(), "\"100.000\"", "USD"), "?");
}

/// One place has one value: what is required of it twice, or against what it must say otherwise, is never there.
#[test]
fn a_place_is_required_once() {
    let event = r#""type":"json:/t","map":{"x":"other"}"#;
    let built =
        |more: &str| build(&settings(&format!("{WHOLE},{more}"), event)).err().map(|error| (error.key(), error.word));
    let twice = built(r#""require":{"header:X-Shop":"a","header:x-shop":"b"}"#).unwrap();
    assert_eq!(twice.1, "relation", "{}", twice.0);
    let live = |text: &str| {
        built(&format!(
            r#""require":{{"json:/live":{text}}},"environment":{{"from":"json:/live","live":true,"sandbox":false}}"#
        ))
    };
    assert_eq!(live("true"), None);
    assert_eq!(live("false"), Some(("verify.environment".to_owned(), "never_matches")));
}
