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
    // A header that comes twice is never accepted silently.
    check("want = \"v1\"", "want = \"v1\", repeat = true", "12:80 channel.verify.signature.repeat setting.relation");
    check("header:x-signature", "body", "12:22 channel.verify.signature.from setting.unknown_reference");
    check("\"hmac-sha256\"", "\"none\"", "9:13 channel.verify.algorithm setting.unproven");
    check("\"hmac-sha256\"", "\"token\"", "9:13 channel.verify.algorithm setting.unproven");
    check("\"hmac-sha256\"", "\"rsa-sha256\"", "11:10 channel.verify.secret setting.relation");
    check("\"hmac-sha256\"", "\"sha256\"", "14:11 channel.verify.message setting.unkeyed");
    check("\"hmac-sha256\"", "\"hmac-md5\"", "9:13 channel.verify.algorithm setting.unknown_word");
    check("encoding = \"hex\"", "encoding = \"binary\"", "10:12 channel.verify.encoding setting.unknown_word");
    check("format = \"utf8\"", "format = \"hex\"", "6:15 channel.secret_file setting.not_encoded");
    check("format = \"utf8\"", "format = \"pem\"", "11:21 channel.verify.secret.format setting.relation");
    check("encoding = \"hex\"\n", "encoding = \"hex\"\nhash = \"x\"\n", "11:8 channel.verify.hash setting.unknown_key");
    // Signatures that nobody could find.
    check("want = \"v1\"", "want = \"v1=\"", "12:65 channel.verify.signature.want setting.never_matches");
    check(
        "want = \"v1\"",
        "want = \"v1\", pair_sep = \"0\"",
        "12:82 channel.verify.signature.pair_sep setting.never_matches",
    );
    // A word that anybody may write beside the signature.
    let live = |from: &str, live: &str| {
        format!("{{sig:t}}.{{body}}\"\nenvironment = {{ from = \"{from}\", live = \"{live}\", sandbox = \"0\" }}\n#\"")
    };
    check("{sig:t}.{body}\"", &live("header:x-live", "1"), "15:15 channel.verify.environment setting.not_signed");
    check("{sig:t}.{body}\"", &live("json:/live", "0"), "15:15 channel.verify.environment setting.never_matches");
    check("json:/type", "header:x-topic", "17:8 channel.event.type setting.not_signed");
    check("json:/data/id", "query:id", "18:10 channel.event.number setting.not_signed");
    check("json:/data/amount", "query:amount", "19:20 channel.event.amount.value setting.not_signed");
    check(
        "\"json:/ok\" = \"yes\"",
        "\"header:x-ok\" = \"yes\"",
        "23:75 channel.event.map.\"payment.ended\".when.\"header:x-ok\" setting.not_signed",
    );
    check(
        "account = \"acct_1\"\n",
        "account = \"acct_1\"\nvalues = { url = \" \" }\n",
        "6:10 channel.values setting.malformed",
    );
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
    check("status = 400", "status = 410", "27:22 channel.reply.refused.status setting.bad_status");
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

/// Many mistakes of one configuration, each by what is changed and where it is shown.
#[track_caller]
fn check_all(good: &str, files: &[(&str, &str)], mistakes: &[(&str, &str, &str)]) {
    assert_eq!(Written::new(good, files).channels().len(), 1);
    let mut wrong = Vec::new();
    for (from, to, expected) in mistakes {
        assert!(good.contains(from), "{from}");
        let problems = Written::new(&good.replacen(from, to, 1), files).found_problems();
        let shown: Vec<String> = problems
            .iter()
            .map(|problem| {
                let place = problem.place.as_ref().map_or_else(String::new, |p| format!("{}:{}", p.line, p.column));
                let texts = Lang::ALL.iter().map(|lang| problem.render(*lang)).collect::<Vec<_>>().concat();
                assert!(!texts.contains("{detail}") && files.iter().all(|(_, key)| !texts.contains(key)), "{texts}");
                format!("{place} {} {}", problem.key, problem.message.key())
            })
            .collect();
        if shown != [*expected] {
            wrong.push(format!("{to}: {shown:?}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const ASKED: &str = r#"[[channel]]
id = "shop-pay"
kind = "custom"
platform = "example-pay"
account = "acct_1"
secret_file = "secret"
api_key_file = "api"

[channel.verify]
algorithm = "token"
signature = { from = "header:x-token", parse = "whole" }

[channel.fetch]
required = true
url = "https://api.example.com/v1/payments/{json:/id}?expand=all"
id_pattern = "^pay_[A-Za-z0-9]+$"
auth = "bearer"
headers = { accept-language = "en" }
same = "answer:/id"

[channel.event]
type = "answer:/state"
number = "answer:/id"
amount = { value = "answer:/amount", currency = "EUR", form = "minor-int" }
map = { paid = "payment.succeeded", open = "nothing" }
"#;

/// What proves nothing goes on only with a question, and the question is one of the configuration.
#[test]
fn a_question_is_whole_or_there_is_no_channel() {
    let without_fetch = {
        let from = ASKED.find("[channel.fetch]").unwrap();
        let to = ASKED.find("[channel.event]").unwrap();
        format!("{}{}", &ASKED[..from], &ASKED[to..])
    };
    let problems = Written::new(&without_fetch, &[("secret", SECRET), ("api", "api_key_of_the_shop")]).problems();
    assert_eq!((problems[0].key.as_str(), problems[0].message.key()), ("channel.verify.algorithm", "setting.unproven"));
    check_all(
        ASKED,
        &[("secret", SECRET), ("api", "api_key_of_the_shop")],
        &[
            ("required = true", "required = false", "14:12 channel.fetch.required setting.not_offered"),
            ("required = true\n", "", "13:1 channel.fetch.required setting.missing"),
            ("https://api", "http://api", "15:7 channel.fetch.url setting.malformed"),
            ("api.example.com", "{json:/host}", "15:7 channel.fetch.url setting.malformed"),
            ("api.example.com", "u:p@api.example.com", "15:7 channel.fetch.url setting.malformed"),
            ("/{json:/id}?", "/?", "15:7 channel.fetch.url setting.missing"),
            ("{json:/id}", "{json:/id}/{json:/shop}", "15:7 channel.fetch.url setting.relation"),
            ("{json:/id}", "{form:id}", "15:7 channel.fetch.url setting.unknown_reference"),
            ("{json:/id}", "{body}", "15:7 channel.fetch.url setting.unknown_reference"),
            ("{json:/id}?", "{json:/id}/../x?", "15:7 channel.fetch.url setting.malformed"),
            ("\"^pay_[A-Za-z0-9]+$\"", "\"pay_[A-Za-z0-9]+\"", "16:14 channel.fetch.id_pattern setting.malformed"),
            ("\"^pay_[A-Za-z0-9]+$\"", "\"^.+$\"", "16:14 channel.fetch.id_pattern setting.malformed"),
            ("id_pattern = \"^pay_[A-Za-z0-9]+$\"\n", "", "13:1 channel.fetch.id_pattern setting.missing"),
            ("\"bearer\"", "\"none\"", "17:8 channel.fetch.auth setting.unknown_word"),
            ("\"bearer\"", "\"header\"", "13:1 channel.fetch.auth_header setting.missing"),
            ("\"bearer\"", "\"bearer\"\nauth_user = \"u\"", "18:13 channel.fetch.auth_user setting.relation"),
            ("\"answer:/id\"\n\n", "\"json:/id\"\n\n", "19:8 channel.fetch.same setting.unknown_reference"),
            ("api_key_file = \"api\"\n", "", "1:1 channel.api_key setting.missing"),
            ("secret_file = \"secret\"\n", "", "1:1 channel.secret config.missing_either"),
            ("type = \"answer:/state\"", "type = \"json:/state\"", "22:8 channel.event.type setting.not_signed"),
            ("number = \"answer:/id\"", "number = \"header:x-id\"", "23:10 channel.event.number setting.not_signed"),
            ("paid = \"payment.succeeded\", ", "", "25:7 channel.event.map setting.never_matches"),
            ("parse = \"whole\"", "parse = \"kv\"", "11:48 channel.verify.signature.parse setting.unknown_word"),
            ("\"token\"", "\"token\"\nmessage = \"{body}\"", "11:11 channel.verify.message setting.relation"),
            (
                "\"token\"",
                "\"token\"\ntimestamp = { from = \"header:t\", unit = \"s\", tolerance = 300 }",
                "11:13 channel.verify.timestamp setting.not_signed",
            ),
            ("\"token\"", "\"none\"", "11:13 channel.verify.signature setting.relation"),
        ],
    );
}

const OTHERS: &str = r#"[[channel]]
id = "shop-pay"
kind = "custom"
platform = "example-pay"
account = "acct_1"

[[channel.key]]
id = "a"
secret_file = "secret"
until = "2030-01-01T00:00:00Z"

[channel.verify]
algorithm = "sha256"
encoding = "hex"
method = "POST"
signature = { from = "form:sign", parse = "whole" }
key_id = { from = "form:key" }
message = "{form:id}|{form:state}|{form:amount}|{secret}"
body = "form"
require = { "form:app" = "shop" }

[channel.event]
type = "form:state"
number = "{form:id}/{form:state}"
amount = { value = "form:amount", currency = "EUR", form = "decimal-string", exponents = { EUR = 2 } }

[channel.event.facts.refund]
number = "form:id"

[channel.event.map]
paid = [{ event = "payment.succeeded", when = { "form:state" = ["paid", "done"] } }, "payment.failed"]
gone = { event = "refund.failed" }
"#;

#[test]
fn a_digest_its_keys_and_its_names_are_checked() {
    check_all(
        OTHERS,
        &[("secret", SECRET)],
        &[
            ("|{secret}", "", "18:11 channel.verify.message setting.unkeyed"),
            ("|{secret}\"", "|{secret}|{form:x}\"", "18:11 channel.verify.message setting.extendable"),
            ("{form:id}|{form:state}|{form:amount}|", "{method}|", "18:11 channel.verify.message setting.unbound_body"),
            ("{form:id}|{form:state}|", "{form:id}{form:state}|", "18:11 channel.verify.message setting.not_separated"),
            (
                "{form:id}|",
                "{query:id}|{body|crc32}|{answer:/a}|{form:id}|",
                "18:11 channel.verify.message setting.unknown_reference",
            ),
            ("\"sha256\"", "\"hmac-sha256\"", "18:11 channel.verify.message setting.not_offered"),
            ("2030-01-01T00:00:00Z", "2030-01-01", "10:9 channel.key[0].until setting.malformed"),
            ("id = \"a\"\n", "", "7:1 channel.key config.missing_either"),
            (
                "encoding = \"hex\"\n",
                "encoding = \"hex\"\naccept_weak = \"crc32\"\n",
                "15:15 channel.verify.accept_weak setting.relation",
            ),
            (
                "encoding = \"hex\"\n",
                "encoding = \"hex\"\npublic_key = { format = \"pem\" }\n",
                "15:14 channel.verify.public_key setting.relation",
            ),
            (
                "\"form:app\" = \"shop\"",
                "\"form:state\" = \"refused\"",
                "31:8 channel.event.map.paid setting.never_matches",
            ),
            (
                "[\"paid\", \"done\"]",
                "\"done\"",
                "31:64 channel.event.map.paid[0].when.\"form:state\" setting.never_matches",
            ),
            (
                "\"payment.failed\"]",
                "{ event = \"payment.closed\", when = { \"form:state\" = \"paid\" } }]",
                "31:86 channel.event.map.paid[1] setting.never_matches",
            ),
            // Signed is one thing, said another.
            ("|{form:amount}|", "|", "25:20 channel.event.amount.value setting.not_signed"),
            (
                "value = \"form:amount\"",
                "value = \"query:amount\"",
                "25:20 channel.event.amount.value setting.not_signed",
            ),
            (
                "message = \"{form:id}|{form:state}|{form:amount}|{secret}\"",
                "message = [\"{form:id}|{form:state}|{form:amount}|{secret}\", \"{form:id}|{form:state}|{form:amount}00|{secret}\"]",
                "18:12 channel.verify.message[0] setting.not_separated",
            ),
            ("{form:id}/{form:state}", "{form:id}{form:state}", "24:10 channel.event.number setting.not_separated"),
            ("{form:id}/{form:state}", "{form:id}/{secret}", "24:10 channel.event.number setting.unknown_reference"),
            ("{form:id}/{form:state}", "{form:id}/{form:app}", "24:10 channel.event.number setting.not_signed"),
            (
                "exponents = { EUR = 2 }",
                "exponents = { JPY = 2 }",
                "25:98 channel.event.amount.exponents.JPY setting.never_matches",
            ),
            ("facts.refund", "facts.return", "27:1 channel.event.facts.return setting.unknown_key"),
            (
                "event = \"refund.failed\"",
                "event = \"refund.failed\", also = \"other\"",
                "32:42 channel.event.map.gone.also setting.relation",
            ),
        ],
    );
}

const PUBLIC: &str = r#"[[channel]]
id = "shop-pay"
kind = "custom"
platform = "example-pay"
account = "acct_1"
public_key_file = "public"

[channel.verify]
algorithm = "ed25519"
encoding = "base64"
public_key = { format = "hex", mine_alone = true }
signature = { from = "header:x-signature", parse = "whole" }
message = "{body}"

[channel.event]
type = "json:/type"
map = { x = "other" }
"#;

/// RFC 8032, 7.1, test 2.
const ED25519: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

#[test]
fn a_public_key_is_one_of_its_algorithm() {
    check_all(
        PUBLIC,
        &[("public", ED25519)],
        &[
            ("format = \"hex\"", "format = \"base64\"", "6:19 channel.public_key_file setting.not_a_key"),
            ("format = \"hex\"", "format = \"pem\"", "6:19 channel.public_key_file setting.not_encoded"),
            ("format = \"hex\"", "format = \"x509\"", "11:25 channel.verify.public_key.format setting.relation"),
            (
                "format = \"hex\"",
                "format = \"hex\", url_from = \"header:x-cert-url\"",
                "11:43 channel.verify.public_key.url_from setting.not_offered",
            ),
            ("\"ed25519\"", "\"rsa-sha256\"", "11:25 channel.verify.public_key.format setting.relation"),
            ("public_key_file", "secret_file", "6:15 channel.secret_file setting.relation"),
            (", mine_alone = true", "", "9:13 channel.verify.algorithm setting.unowned"),
            (
                ", mine_alone = true }",
                " }\nrequire = { \"header:x-shop\" = \"acct_1\" }",
                "12:11 channel.verify.require setting.not_signed",
            ),
            ("public_key_file = \"public\"\n", "", "1:1 channel.public_key config.missing_either"),
            (
                "encoding =",
                "secret = { format = \"utf8\" }\nencoding =",
                "10:10 channel.verify.secret setting.relation",
            ),
            ("message = \"{body}\"", "message = \"{body|crc32}\"", "13:11 channel.verify.message setting.unbound_body"),
            ("map = { x", "also = 1\nmap = { x", "17:8 channel.event.also setting.unknown_key"),
        ],
    );
}

/// Two channels on one path: whose message it is would be decided by chance.
#[test]
fn a_path_leads_to_one_channel() {
    let first = GOOD.replacen("[channel.verify]", "paths = [\"/pay/callback\"]\n\n[channel.verify]", 1);
    let second = first.replace("id = \"shop-pay\"", "id = \"shop-pay-2\"");
    let problems = Written::new(&format!("{first}\n{second}"), &[("secret", SECRET)]).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let shown = problems[0].render(Lang::En);
    assert!(shown.contains("/pay/callback") && shown.contains("shop-pay"), "{shown}");
}

/// A list of secrets without a secret in it is no list.
#[test]
fn a_list_of_secrets_has_one() {
    let none = GOOD.replace("secret_file = \"secret\"", "secret_files = []");
    assert_eq!(problem(&none, SECRET), "6:16 channel.secret_files setting.empty_list");
}
