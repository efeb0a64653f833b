//! A signed text is cut into values in one way only: what a forger could make of it by moving a boundary.

use super::*;

const EVENT: &str = r#""type":"json:/t","number":"json:/id","order":"json:/o","amount":{"value":"json:/a","currency":"EUR","form":"decimal-string"},"map":{"paid":"payment.succeeded"}"#;

fn fields(message: &str) -> String {
    format!(r#""signature":{{"from":"json:/sig","parse":"whole"}},"message":{message}"#)
}

#[track_caller]
fn error(verify: &str, event: &str) -> (String, &'static str) {
    let error = build(&settings(verify, event)).err().expect("refused");
    (error.key(), error.word)
}

fn tagged(text: &str, body: &str) -> RawRequest {
    let tag = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(text.as_bytes()));
    let mut request = signed("{}");
    request.headers.insert("s", tag.parse().unwrap());
    request.body = body.replace('$', &tag).into();
    request
}

#[test]
fn values_side_by_side_are_refused() {
    for message in [
        r#""{json:/t}|{json:/id}{json:/a}|{json:/o}""#,
        r#"["{json:/t}|{json:/id}|{json:/a}|{json:/o}", "{json:/t}{json:/id}|{json:/a}|{json:/o}"]"#,
    ] {
        let (key, word) = error(&fields(message), EVENT);
        assert!(key.starts_with("verify.message"), "{key}");
        assert_eq!(word, "not_separated", "{message}");
    }
    let header = |message: &str| {
        format!(
            r#""signature":{{"from":"header:s","parse":"whole"}},"body":"form","content_type":"*","message":{message}"#
        )
    };
    let form = r#""type":"form:t","map":{"x":"other"}"#;
    for message in
        [r#""{header:x-nonce}{body}""#, r#""{query:a}{query:b}.{body}""#, r#"["{body}", "{header:n}.{body}"]"#]
    {
        assert_eq!(error(&header(message), form).1, "not_separated", "{message}");
    }
    channel(r#""signature":{"from":"header:s","parse":"whole"},"message":["{header:n}{body}", "{body}"]"#, EVENT);
    let timed =
        format!(r#"{},"timestamp":{{"from":"form:ts","unit":"s","tolerance":60}}"#, header(r#""{form:ts}{form:t}""#));
    channel(&timed, form);
}

#[test]
fn the_same_fields_in_another_order_are_refused() {
    let verify = fields(r#"["{json:/t}|{json:/id}|{json:/a}|{json:/o}", "{json:/t}|{json:/a}|{json:/id}|{json:/o}"]"#);
    assert_eq!(error(&verify, EVENT), ("verify.message[0]".to_owned(), "not_separated"));
}

/// The platform signed an order whose name somebody chose; he sends the same text cut elsewhere.
#[test]
fn a_text_that_is_also_another_is_a_concern_in_each_reading() {
    let channel = channel(&fields(r#""{json:/t}|{json:/id}|{json:/a}|{json:/o}""#), EVENT);
    let text = "paid|P1|900.00|1.00|note";
    for body in [
        r#"{"t":"paid","id":"P1|900.00","a":"1.00","o":"note","sig":"$"}"#,
        r#"{"t":"paid","id":"P1","a":"900.00","o":"1.00|note","sig":"$"}"#,
    ] {
        let found = read(channel.as_ref(), &tagged(text, body)).concerns;
        assert!(matches!(found.as_slice(), [Concern::Ambiguous { .. }]), "{body}: {found:?}");
    }
    let plain = tagged("paid|P1|1.00|note", r#"{"t":"paid","id":"P1","a":"1.00","o":"note","sig":"$"}"#);
    assert_eq!(read(channel.as_ref(), &plain).concerns, []);
}

/// A separator of several characters that overlaps with what stands beside it.
#[test]
fn overlapping_separators_are_seen() {
    let channel = channel(&fields(r#""{json:/t}||{json:/id}||{json:/a}||{json:/o}""#), EVENT);
    for body in [
        r#"{"t":"paid","id":"P1|","a":"1.00","o":"n","sig":"$"}"#,
        r#"{"t":"paid","id":"P1","a":"|1.00","o":"n","sig":"$"}"#,
    ] {
        let found = read(channel.as_ref(), &tagged("paid||P1|||1.00||n", body)).concerns;
        assert!(found.iter().any(|concern| matches!(concern, Concern::Ambiguous { .. })), "{body}: {found:?}");
    }
}

/// The whole body does not keep headers before it apart.
#[test]
fn headers_before_a_body_are_compared_too() {
    let event = EVENT.replace("json:/o", "header:x-o");
    let verify = r#""signature":{"from":"header:s","parse":"whole"},"message":"{header:x-o}.{header:x-n}.{body}""#;
    let channel = channel(verify, &event);
    let body = r#"{"t":"paid","id":"P1","a":"1.00"}"#;
    let request = |order: &str, nonce: &str| {
        let mut request = tagged(&format!("{order}.{nonce}.{body}"), body);
        for (name, value) in [("x-o", order), ("x-n", nonce)] {
            request.headers.insert(name, value.parse().unwrap());
        }
        request
    };
    assert_eq!(read(channel.as_ref(), &request("A1", "n")).concerns, []);
    for (order, nonce) in [("A1.x", "n"), ("A1", "x.n")] {
        let found = read(channel.as_ref(), &request(order, nonce)).concerns;
        assert_eq!(found, [Concern::Ambiguous { field: "header:x-o".into() }], "{order} {nonce}");
    }
}

/// Bytes that are no text separate as well.
#[test]
fn a_value_that_is_no_text_is_compared_too() {
    let verify = r#""signature":{"from":"form:sig","parse":"whole"},"body":"form","content_type":"*","message":"{form:t}|{form:x}|{form:o}""#;
    let channel = channel(verify, r#""type":"form:t","order":"form:o","map":{"x":"other"}"#);
    let mut request = signed("");
    let tag = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(b"x|\xff|A|B"));
    request.body = format!("t=x&x=%FF%7CA&o=B&sig={tag}").into();
    let found = read(channel.as_ref(), &request).concerns;
    assert!(found.iter().any(|concern| matches!(concern, Concern::Ambiguous { .. })), "{found:?}");
}

#[test]
fn what_tells_live_from_sandbox_is_signed() {
    let verify = format!(r#"{WHOLE},"environment":{{"from":"header:x-env","live":"live","sandbox":"test"}}"#);
    assert_eq!(error(&verify, EVENT), ("verify.environment".to_owned(), "not_signed"));
}

#[test]
fn the_window_is_known_to_those_who_deliver() {
    let timed = format!(r#"{WHOLE},"timestamp":{{"from":"json:/at","unit":"s","tolerance":60}}"#);
    assert_eq!(channel(&timed, EVENT).freshness(), Some(Duration::from_mins(1)));
    let kept = format!(r#"{WHOLE},"timestamp":{{"from":"json:/at","unit":"s"}}"#);
    assert_eq!(channel(&kept, EVENT).freshness(), None);
    assert_eq!(channel(WHOLE, EVENT).freshness(), None);
}

/// The unsigned part of a body of single signed values can be changed by anybody.
#[test]
fn only_signed_values_are_fields() {
    let single = channel(&fields(r#""{json:/t}|{json:/id}|{json:/a}|{json:/o}|{json:/x/y}""#), EVENT);
    let body = r#"{"t":"paid","id":"P1","a":"1.00","o":"n","x":{"y":7,"z":8},"x.y":"else","buyer":"me","sig":"$"}"#;
    let request = tagged("paid|P1|1.00|n|7", body);
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let expected = [("t", "paid"), ("id", "P1"), ("a", "1.00"), ("o", "n"), ("x.y", "7")].map(pair);
    read(single.as_ref(), &request);
    assert_eq!(single.fields(&request), expected);
    let verify = r#""signature":{"from":"item:/s","parse":"whole"},"items":{"from":"json:/l","unwrap":"/i"},"message":"{item:/t}""#;
    let items = channel(verify, r#""type":"item:/t","map":{"x":"other"}"#);
    let other = hex(&HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(b"y"));
    let list = r#"{"l":[{"i":{"t":"x","s":"$","u":1}},{"i":{"t":"y","s":"OTHER"}}],"u":2}"#.replace("OTHER", &other);
    let request = tagged("x", &list);
    read(items.as_ref(), &request);
    assert_eq!(items.fields(&request), [("l.0.i.t", "x"), ("l.1.i.t", "y")].map(pair));
}

/// A condition whose value is an object is read by no rule as if it were nothing.
#[test]
fn a_condition_without_one_text_is_a_concern() {
    let channel = channel(WHOLE, MONEY);
    for (state, is_held) in [(r#"{"paid":1}"#, true), ("[]", true), (r#""""#, false), ("null", false)] {
        let body = format!(r#"{{"t":"done","n":"P1","a":1,"s":{state}}}"#);
        let concerns = read(channel.as_ref(), &signed(&body)).concerns;
        assert_eq!(!concerns.is_empty(), is_held, "{state}: {concerns:?}");
    }
}

/// The platform signed one amount; with another fixed text around it, the same signed text is another amount.
#[test]
fn alternatives_differ_in_blanks_at_their_ends_and_nowhere_else() {
    let verify = |messages: &str| fields(&format!("[{messages}]"));
    let event = r#""type":"json:/t","map":{"paid":"other"}"#;
    for messages in [
        r#""{json:/t}|{json:/a}", "{json:/t}|{json:/a}00""#,
        r#""{json:/t}|{json:/a}", "{json:/t}||{json:/a}""#,
        r#""{json:/t}|{json:/a}", "1{json:/t}|{json:/a}""#,
        r#""{json:/t}\n{json:/a}", "{json:/t}\n\n{json:/a}""#,
        r#""{json:/t}", "{json:/t}-""#,
    ] {
        assert_eq!(error(&verify(messages), event), ("verify.message[0]".to_owned(), "not_separated"), "{messages}");
    }
    channel(&verify(r#""{json:/t}|{json:/a}", "{json:/t}|{json:/a}\n", " {json:/t}|{json:/a}""#), event);
}

/// Between two values of anybody's, a body is wherever somebody writes one: the real one becomes a part of a header.
#[test]
fn nothing_of_anybodys_stands_on_both_sides_of_a_body() {
    let event = r#""type":"json:/t","map":{"x":"other"}"#;
    let verify = |message: &str| format!(r#""signature":{{"from":"header:s","parse":"whole"}},"message":{message}"#);
    for message in [
        r#""{header:x-note}|{body}|{header:x-trace}""#,
        r#""{header:x-note}{body}{header:x-trace}""#,
        r#""{header:a}|{path}|{body}|{query:b}""#,
        r#""{header:a}{method}{header:b}|{body}""#,
        r#"["{header:a}.{body}","{body}.{header:b}"]"#,
        r#"["{body}","{body}.{header:b}","{header:a}.{body}"]"#,
        // One text, cut by one of the templates or by the other.
        r#"["{header:a}.{body}","{header:a}.{header:c}.{body}"]"#,
        r#"["{header:a}.{header:b}.{body}","{header:b}.{header:a}.{body}"]"#,
        r#"["{header:a}.{body}","{header:a}00.{body}"]"#,
    ] {
        assert_eq!(error(&verify(message), event).1, "not_separated", "{message}");
    }
    let weak = format!(r#"{},"accept_weak":"crc32""#, verify(r#""{header:a}{body|crc32}{header:b}""#));
    assert_eq!(error(&weak, r#""type":"header:a","map":{"x":"other"}"#).1, "not_separated");
    // A time of the window has its own length, and one side alone moves nothing.
    let timed = r#""timestamp":{"from":"header:at","unit":"s","tolerance":60}"#;
    for message in [
        r#""{header:at}|{body}|{header:x-trace}""#,
        r#""{header:x-note}|{body}|{header:at}""#,
        r#""{header:x-note}|{method}|{header:at}|{body}""#,
        r#""{header:at}{method}{path}|{body}""#,
        r#"["{header:at}.{body}","{header:a}.{header:at}.{body}"]"#,
    ] {
        channel(&format!("{},{timed}", verify(message)), event);
    }
}

/// A time is as long as every other, and where it begins is known from the beginning or the end of the text alone: an
/// order number may end in what looks like one.
#[test]
fn a_bare_time_between_values_separates_nothing() {
    let timed = r#""timestamp":{"from":"json:/at","unit":"s","tolerance":60}"#;
    for message in ["{json:/id}{json:/at}{json:/a}", "{json:/id}|{json:/at}{json:/a}", "{json:/id}{json:/at}|{json:/a}"]
    {
        let verify = format!("{},{timed}", fields(&format!(r#""{{json:/t}}|{message}""#)));
        assert_eq!(error(&verify, EVENT).1, "not_separated", "{message}");
    }
    for message in ["{json:/at}{json:/id}|{json:/a}|{json:/o}", "{json:/t}|{json:/id}|{json:/a}{json:/at}"] {
        channel(&format!("{},{timed}", fields(&format!(r#""{message}""#))), r#""type":"json:/id","map":{"x":"other"}"#);
    }
}

/// The text of the method may stand in a value beside it.
#[test]
fn a_method_between_values_is_a_fixed_text() {
    let event = EVENT.replace("json:/o", "header:x-o");
    let verify =
        r#""signature":{"from":"header:s","parse":"whole"},"message":"{header:x-o}|{method}|{header:x-n}|{body}""#;
    let channel = channel(verify, &event);
    let body = r#"{"t":"paid","id":"P1","a":"1.00"}"#;
    let request = |order: &str, nonce: &str| {
        let mut request = tagged(&format!("{order}|POST|{nonce}|{body}"), body);
        for (name, value) in [("x-o", order), ("x-n", nonce)] {
            request.headers.insert(name, value.parse().unwrap());
        }
        request
    };
    assert_eq!(read(channel.as_ref(), &request("A1", "n")).concerns, []);
    for (order, nonce) in [("A1|POST|x", "n"), ("A1", "x|POST|n")] {
        let found = read(channel.as_ref(), &request(order, nonce)).concerns;
        assert!(matches!(found.as_slice(), [Concern::Ambiguous { .. }]), "{order} {nonce}: {found:?}");
    }
}

/// What PHP would take for the signed amount is not the signed amount.
#[test]
fn a_name_that_php_folds_onto_another_is_that_name_twice() {
    let event = r#""type":"form:t","number":"form:id","amount":{"value":"form:a","currency":"EUR","form":"decimal-string"},"map":{"paid":"payment.succeeded"}"#;
    let channel = channel(
        r#""signature":{"from":"header:s","parse":"whole"},"body":"form","content_type":"*","message":"{form:t}|{form:id}|{form:a}""#,
        event,
    );
    let body = "t=paid&id=P1&a=1.00&list[0]=1&list[1]=2&note.x=1";
    let request = |more: &str| tagged("paid|P1|1.00", &format!("{body}{more}"));
    assert_eq!(read(channel.as_ref(), &request("&A=2&b=3")).concerns, []);
    for more in ["&a%00=900", "&a%00x=900", "&%20a=900", "&a[]=900", "&a[0]=900", "&note_x=1", "&list=1"] {
        let verdict = channel.verify(&request(more), Timestamp::UNIX_EPOCH);
        assert!(matches!(verdict, Verdict::Refused(Rejection::Duplicate { .. })), "{more}: {verdict:?}");
    }
}
