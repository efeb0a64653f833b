//! What would let an unproven or misread message through is refused at start, at its own line and column.

use super::written::Written;
use tollbell::messages::Lang;

const GOOD: &str = r#"[[channel]]
id = "shop-pay"
kind = "custom"
platform = "example-pay"
account = "acct_1"
secret_file = "secret"

[channel.verify]
algorithm = "hmac-sha256"
encoding = "hex"
secret = { format = "utf8" }
signature = { from = "header:x-signature", parse = "kv", want = "v1" }
timestamp = { from = "sig:t", unit = "s", tolerance = 300 }
message = "{sig:t}.{body}"

[channel.event]
type = "json:/type"
number = "json:/data/id"
amount = { value = "json:/data/amount", currency = "json:/data/currency", form = "minor-int" }

[channel.event.map]
"payment.paid" = "payment.succeeded"
"payment.ended" = { event = "payment.succeeded", when = { "json:/ok" = "yes" }, else = "payment.failed" }

[channel.reply]
ok = { status = 200, body = "OK" }
refused = { status = 400, body = "bad" }
"#;

const SECRET: &str = "a secret of some length";

fn problem(text: &str, secret: &str) -> String {
    let problems = Written::new(text, &[("secret", secret)]).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let place = problems[0].place.as_ref().expect("a place");
    for lang in Lang::ALL {
        let shown = problems[0].render(*lang);
        assert!(!shown.contains(secret) && !shown.contains("{detail}"), "{shown}");
        assert!(shown.contains(&format!("{}:{}", place.line, place.column)), "{shown}");
    }
    format!("{}:{} {} {}", place.line, place.column, problems[0].key, problems[0].message.key())
}

#[test]
fn the_whole_configuration_is_good() {
    assert_eq!(Written::new(GOOD, &[("secret", SECRET)]).channels().len(), 1);
}

#[test]
fn each_mistake_is_shown_at_its_place() {
    let mut wrong = Vec::new();
    let mut check = |from: &str, to: &str, expected: &str| {
        assert!(GOOD.contains(from), "{from}");
        let found = problem(&GOOD.replacen(from, to, 1), SECRET);
        if found != expected {
            wrong.push(format!("{to}: {found}, expected {expected}"));
        }
    };
    // What is signed.
    check("{sig:t}.{body}", "{sig:t}", "14:11 channel.verify.message setting.unbound_body");
    check("{sig:t}.{body}", "{sig:t}.{body|crc32}", "14:11 channel.verify.message setting.unbound_body");
    check("{sig:t}.{body}", "{sig:t}.{boddy}", "14:11 channel.verify.message setting.unknown_reference");
    check("{sig:t}.{body}", "{sig:t}.{cfg:url}{body}", "14:11 channel.verify.message setting.unknown_reference");
    check("{sig:t}.{body}", "{sig:t}.{item:/a}{body}", "14:11 channel.verify.message setting.unknown_reference");
    check("{sig:t}.{body}", "{sig:t}.{form:a}{body}", "14:11 channel.verify.message setting.unknown_reference");
    check("{sig:t}.{body}", "{sig:t}.{body", "14:11 channel.verify.message setting.malformed");
    check("{sig:t}.{body}", "{sig:t}.{secret}{body}", "14:11 channel.verify.message setting.not_offered");
    check(
        "\"{sig:t}.{body}\"",
        "[\"{sig:t}.{body}\", \"{sig:t}\"]",
        "14:30 channel.verify.message[1] setting.unbound_body",
    );
    check("\"{sig:t}.{body}\"", "[]", "14:11 channel.verify.message setting.empty_list");
    check("\"{sig:t}.{body}\"", "3", "14:11 channel.verify.message setting.wrong_type");
    // Freshness.
    check("{sig:t}.{body}", "{body}", "13:22 channel.verify.timestamp.from setting.not_signed");
    check("from = \"sig:t\"", "from = \"header:x-time\"", "13:22 channel.verify.timestamp.from setting.not_signed");
    check("tolerance = 300", "tolerance = 0", "13:55 channel.verify.timestamp.tolerance setting.out_of_range");
    check("tolerance = 300", "tolerance = \"0s\"", "13:55 channel.verify.timestamp.tolerance setting.out_of_range");
    check("tolerance = 300", "tolerance = \"30d\"", "13:55 channel.verify.timestamp.tolerance setting.out_of_range");
    check("unit = \"s\"", "unit = \"sec\"", "13:38 channel.verify.timestamp.unit setting.unknown_word");
    // The signature.
    check(", want = \"v1\"", "", "12:13 channel.verify.signature.want setting.missing");
    check(
        "want = \"v1\"",
        "want = \"v1\", list_sep = \" \"",
        "12:82 channel.verify.signature.list_sep setting.relation",
    );
    check("header:x-signature", "body", "12:22 channel.verify.signature.from setting.unknown_reference");
    check("\"hmac-sha256\"", "\"none\"", "9:13 channel.verify.algorithm setting.not_offered");
    check("\"hmac-sha256\"", "\"token\"", "9:13 channel.verify.algorithm setting.not_offered");
    check("\"hmac-sha256\"", "\"rsa-sha256\"", "9:13 channel.verify.algorithm setting.not_offered");
    check("\"hmac-sha256\"", "\"hmac-md5\"", "9:13 channel.verify.algorithm setting.unknown_word");
    check("encoding = \"hex\"", "encoding = \"binary\"", "10:12 channel.verify.encoding setting.unknown_word");
    check("format = \"utf8\"", "format = \"hex\"", "6:15 channel.secret_file setting.not_encoded");
    check("format = \"utf8\"", "format = \"pem\"", "11:21 channel.verify.secret.format setting.not_offered");
    check("encoding = \"hex\"\n", "encoding = \"hex\"\nhash = \"x\"\n", "11:8 channel.verify.hash setting.unknown_key");
    // What it says.
    check("json:/data/id", "header:x-id", "18:10 channel.event.number setting.not_signed");
    check("type = \"json:/type\"", "type = \"json:type\"", "17:8 channel.event.type setting.unknown_reference");
    check("number = \"json:/data/id\"\n", "", "21:18 channel.event.map.\"payment.paid\" setting.missing");
    check("form = \"minor-int\"", "form = \"cents\"", "19:82 channel.event.amount.form setting.unknown_word");
    check("json:/data/currency", "EURO", "19:52 channel.event.amount.currency setting.unknown_word");
    check(
        "\"payment.succeeded\"",
        "\"payment.success\"",
        "22:18 channel.event.map.\"payment.paid\" setting.unknown_word",
    );
    check("\"payment.paid\" =", "\"\" =", "22:6 channel.event.map.\"\" setting.never_matches");
    check(
        ", when = { \"json:/ok\" = \"yes\" }",
        "",
        "23:57 channel.event.map.\"payment.ended\".else setting.never_matches",
    );
    check(
        "\"json:/ok\" = \"yes\"",
        "\"json:/type\" = \"other\"",
        "23:74 channel.event.map.\"payment.ended\".when.\"json:/type\" setting.never_matches",
    );
    check(
        "\"payment.succeeded\"\n",
        "[\"payment.succeeded\", \"payment.failed\"]\n",
        "22:40 channel.event.map.\"payment.paid\"[1] setting.never_matches",
    );
    // What the platform hears.
    check("status = 200", "status = 500", "26:17 channel.reply.ok.status setting.bad_status");
    check("status = 400", "status = 200", "27:22 channel.reply.refused.status setting.bad_status");
    check("body = \"bad\"", "body = \"not ok\"", "27:11 channel.reply.refused setting.reads_as_success");
    check("body = \"OK\"", "body = 1.5", "26:29 channel.reply.ok.body config.expected_plain");
    check("[channel.reply]", "[channel.replies]", "25:10 channel.replies config.unknown_key_nearest");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_secret_that_is_none_is_refused_and_not_shown() {
    let good = |format: &str| GOOD.replace("format = \"utf8\"", format);
    assert_eq!(problem(&good("format = \"utf8\""), "tiny4u"), "6:15 channel.secret_file setting.too_short");
    for (format, secret) in
        [("hex", "0123456789abcdef0"), ("hex", "0123456789abcdeg"), ("base64", "not base64 at all!")]
    {
        let text = good(&format!("format = \"{format}\""));
        assert_eq!(problem(&text, secret), "6:15 channel.secret_file setting.not_encoded", "{format}");
    }
    let stripped = good("format = \"utf8\", strip_prefix = \"whsec_\"");
    assert_eq!(problem(&stripped, "whsec_"), "6:15 channel.secret_file setting.missing");
    let literal = "[[channel.key]]\nid = \"k\"\nsecret = \"tiny\"\n\n[channel.verify]";
    let text = GOOD.replace("secret_file = \"secret\"\n", "").replace("[channel.verify]", literal);
    let problems = Written::new(&text, &[]).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let shown = problems[0].render(Lang::En);
    assert!(shown.contains("channel.key[0].secret") && !shown.contains("tiny"), "{shown}");
}

#[test]
fn secrets_are_given_in_one_way() {
    let both = GOOD.replace("secret_file = \"secret\"", "secret_file = \"secret\"\nsecret_files = [\"secret\"]");
    assert_eq!(problem(&both, SECRET), "7:16 channel.secret_files setting.either_or");
    let none = GOOD.replace("secret_file = \"secret\"\n", "");
    let problems = Written::new(&none, &[]).problems();
    assert_eq!(problems[0].message.key(), "config.missing_either");
    let unread = GOOD.replace("secret_file = \"secret\"", "secret_files = [\"secret\", \"gone\"]");
    assert_eq!(problem(&unread, SECRET), "6:16 channel.secret_files config.no_key_file");
    let by_id = GOOD.replace("message = ", "key_id = { from = \"header:x-key\" }\nmessage = ");
    let problems = Written::new(&by_id, &[("secret", SECRET)]).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].key.as_str(), problems[0].message.key()), ("channel.key", "config.missing_either"));
}
